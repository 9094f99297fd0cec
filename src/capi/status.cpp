#include "capi/status.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <new>

#include "base/error.h"

namespace qwen3::capi {
namespace {

constexpr size_t kMaxMessage = 2048;
thread_local std::array<char, kMaxMessage> last_message{};

}  // namespace

qwen3_status status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return QWEN3_ERROR_INVALID_ARGUMENT;
    case ErrorKind::not_found:
      return QWEN3_ERROR_NOT_FOUND;
    case ErrorKind::corrupt_file:
      return QWEN3_ERROR_CORRUPT_FILE;
    case ErrorKind::unsupported:
      return QWEN3_ERROR_UNSUPPORTED;
    case ErrorKind::out_of_memory:
      return QWEN3_ERROR_OUT_OF_MEMORY;
    case ErrorKind::busy:
      return QWEN3_ERROR_BUSY;
    case ErrorKind::io:
      return QWEN3_ERROR_IO;
    case ErrorKind::device:
      return QWEN3_ERROR_DEVICE;
    case ErrorKind::internal:
      break;
  }
  return QWEN3_ERROR_INTERNAL;
}

qwen3_status failed(std::string_view function,
                    qwen3_status status,
                    std::string_view message) noexcept {
  size_t at = 0;
  const auto append = [&](std::string_view text) {
    size_t n = std::min(text.size(), kMaxMessage - 1 - at);
    // A text that is cut is cut between characters.
    if (n < text.size()) {
      while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
    }
    std::copy_n(text.data(), n, last_message.data() + at);
    at += n;
  };
  append(function);
  append(": ");
  append(message);
  last_message[at] = 0;
  return status;
}

qwen3_status failed_by_exception(std::string_view function) noexcept {
  try {
    throw;
  } catch (const HandleError& error) {
    return failed(function, QWEN3_ERROR_INVALID_HANDLE, error.message);
  } catch (const Error& error) {
    return failed(function, status_of(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return failed(function, QWEN3_ERROR_OUT_OF_MEMORY, "no memory");
  } catch (const std::exception& error) {
    return failed(function, QWEN3_ERROR_INTERNAL, error.what());
  } catch (...) {
    return failed(function, QWEN3_ERROR_INTERNAL, "an exception of unknown type");
  }
}

void check_given(const void* pointer, std::string_view name) {
  QWEN3_CHECK(
      pointer != nullptr, ErrorKind::invalid_argument, "{}: expected a pointer; got NULL", name);
}

void check_index(size_t index, size_t n) {
  QWEN3_CHECK(
      index < n, ErrorKind::invalid_argument, "index: expected less than {}; got {}", n, index);
}

}  // namespace qwen3::capi

using namespace qwen3::capi;

const char* qwen3_version(void) { return QWEN3_VERSION; }
int32_t qwen3_abi_version(void) { return QWEN3_ABI_VERSION; }
const char* qwen3_last_error(void) { return last_message.data(); }

const char* qwen3_status_name(int32_t status) {
  switch (status) {
    case QWEN3_OK:
      return "ok";
    case QWEN3_TIMEOUT:
      return "timeout";
    case QWEN3_END:
      return "end";
    case QWEN3_ERROR_INVALID_ARGUMENT:
      return "invalid_argument";
    case QWEN3_ERROR_NOT_FOUND:
      return "not_found";
    case QWEN3_ERROR_CORRUPT_FILE:
      return "corrupt_file";
    case QWEN3_ERROR_UNSUPPORTED:
      return "unsupported";
    case QWEN3_ERROR_OUT_OF_MEMORY:
      return "out_of_memory";
    case QWEN3_ERROR_BUSY:
      return "busy";
    case QWEN3_ERROR_IO:
      return "io";
    case QWEN3_ERROR_DEVICE:
      return "device";
    case QWEN3_ERROR_INTERNAL:
      return "internal";
    case QWEN3_ERROR_INVALID_HANDLE:
      return "invalid_handle";
    case QWEN3_ERROR_IN_USE:
      return "in_use";
    case QWEN3_ERROR_BUFFER_TOO_SMALL:
      return "buffer_too_small";
    default:
      return "unknown";
  }
}

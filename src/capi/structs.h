// The structs of the C API, whose first member says how long the caller's is: an older caller's is shorter than ours, and
// the rest has its defaults; a newer caller's is longer, and what we do not know of it must be zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "capi/status.h"

namespace qwen3::capi {

// Nobody's struct grows by more than this; a larger size is of memory that was not initialised.
inline constexpr size_t kMostGrowth = 256;

// What the struct holds after its _init function.
template <typename T>
T defaults();

// All structs are as long as they were in the first version of the ABI: a member that is added later makes this the
// size before it.
template <typename T>
constexpr size_t first_size() {
  return sizeof(T);
}
template <>
constexpr size_t first_size<qwen3_model_options>() {
  return offsetof(qwen3_model_options, hf_overrides);
}

template <typename T>
bool plausible_size(size_t size) {
  return size >= first_size<T>() && size <= sizeof(T) + kMostGrowth;
}

// A size that no library can have made leaves a struct that is refused.
template <typename T>
void init_struct(T* out, size_t size) noexcept {
  if (out == nullptr) return;
  if (!plausible_size<T>(size)) {
    if (size >= sizeof(size_t)) out->size = 0;
    return;
  }
  std::memset(static_cast<void*>(out), 0, size);
  const T value = defaults<T>();
  std::memcpy(static_cast<void*>(out), &value, std::min(size, sizeof(T)));
  out->size = size;
}

template <typename T>
void check_struct(const T* given, std::string_view name) {
  check_given(given, name);
  QWEN3_CHECK(plausible_size<T>(given->size),
              ErrorKind::invalid_argument,
              "{0}: expected a struct that was initialised; got a size of {1} bytes; call its "
              "_init function first",
              name,
              given->size);
}

// Throws Error{invalid_argument, unsupported}.
template <typename T>
T read_struct(const T* given, std::string_view name) {
  check_struct(given, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  QWEN3_CHECK(std::all_of(bytes + std::min(sizeof(T), given->size),
                          bytes + given->size,
                          [](unsigned char byte) { return byte == 0; }),
              ErrorKind::unsupported,
              "{}: asks for what this library, {}, does not know; install a newer one",
              name,
              qwen3_version());
  T value = defaults<T>();
  std::memcpy(static_cast<void*>(&value), given, std::min(sizeof(T), given->size));
  return value;
}

// Like read_struct; a NULL is the defaults.
template <typename T>
T read_optional_struct(const T* given, std::string_view name) {
  return given == nullptr ? defaults<T>() : read_struct(given, name);
}

// REQUIRES: check_struct(out).
template <typename T>
void write_struct(T value, T* out) {
  value.size = out->size;
  std::memcpy(static_cast<void*>(out), &value, std::min(sizeof(T), value.size));
}

}  // namespace qwen3::capi

// How functions of the C API end: nothing is thrown past them, and a failure leaves its one line with the thread.
#pragma once

#include <cstddef>
#include <string_view>

#include "capi/handles.h"
#include "qwen3/c.h"
#include "qwen3/error.h"

namespace qwen3::capi {

qwen3_status status_of(ErrorKind kind);

// Keeps "function: message" for qwen3_last_error(). Allocates nothing.
qwen3_status failed(std::string_view function,
                    qwen3_status status,
                    std::string_view message) noexcept;
// The same for the exception that is being handled.
qwen3_status failed_by_exception(std::string_view function) noexcept;

// What `call` returns, or the status of what it throws.
template <typename Call>
qwen3_status guarded(std::string_view function, const Call& call) noexcept {
  try {
    return call();
  } catch (...) {
    return failed_by_exception(function);
  }
}

// Throws Error{invalid_argument} for NULL where something must be.
void check_given(const void* pointer, std::string_view name);
// The same for an index that is not below n.
void check_index(size_t index, size_t n);

}  // namespace qwen3::capi

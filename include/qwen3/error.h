// The one error type of libqwen3. Messages read "where: what; expected; got; what to do".
#pragma once

#include <stdexcept>
#include <string>

namespace qwen3 {

enum class ErrorKind {
  invalid_argument,  // the caller asked for something that makes no sense
  not_found,         // a file, tensor, token or name that does not exist
  corrupt_file,      // a file whose bytes break its format
  unsupported,       // valid, but beyond what this build can do
  out_of_memory,     // does not fit; nothing was changed
  busy,              // the queue is full now; the same request may succeed later
  io,                // the operating system failed: a disk, a socket, a pipe
  device,            // what computes failed, and may fail again
  internal,          // a defect of ours
};

// Thrown by every function of libqwen3 that cannot do what it was asked to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace qwen3

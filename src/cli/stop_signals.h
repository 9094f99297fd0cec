// Ctrl-C and SIGTERM as wishes to a long run instead of ends of the program.
#pragma once

#include <memory>

namespace qwen3::cli {

// While it lives, SIGINT and SIGTERM are counted. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int interrupts() const;   // Ctrl-C so far
  bool terminated() const;  // SIGTERM came

 private:
  struct Saved;  // the actions before
  std::unique_ptr<Saved> saved_;
};

}  // namespace qwen3::cli

#include "chat/code_spans.h"

namespace qwen3 {

void CodeSpans::push(char c) {
  if (c == '`' || c == '~') {
    if (run_ > 0 && run_mark_ == c) {
      ++run_;
      return;
    }
    end_run();
    run_is_first_ = blank_;
    blank_ = false;
    only_run_ = false;
    run_mark_ = c;
    run_ = 1;
    return;
  }
  end_run();
  if (c == '\n') return end_line();
  if (c == ' ' || c == '\t' || c == '\r') return;
  blank_ = false;
  only_run_ = false;
}

void CodeSpans::end_run() {
  if (run_ == 0) return;
  if (run_is_first_ && run_ >= 3) {
    first_mark_ = run_mark_;
    first_run_ = run_;
    only_run_ = true;
  }
  if (run_mark_ == '`' && fence_ == 0) {
    if (span_ == 0) {
      span_ = run_;
    } else if (span_ == run_) {
      span_ = 0;
    }
  }
  run_ = 0;
}

bool CodeSpans::closes_fence() const {
  // The run may still be going on.
  if (run_ > 0) return run_is_first_ && run_mark_ == fence_mark_ && run_ >= fence_;
  return only_run_ && first_mark_ == fence_mark_ && first_run_ >= fence_;
}

void CodeSpans::end_line() {
  if (fence_ != 0) {
    if (closes_fence()) fence_ = 0;
  } else if (first_run_ != 0 && (first_mark_ == '~' || span_ == first_run_)) {
    fence_ = first_run_;
    fence_mark_ = first_mark_;
  }
  span_ = 0;
  blank_ = true;
  first_run_ = 0;
  only_run_ = false;
}

}  // namespace qwen3

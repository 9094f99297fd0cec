// Reader: the events of one request as text. Thoughts are parted from the answer, and a stop string ends it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "capi/request.h"
#include "qwen3/engine.h"

namespace qwen3::capi {

// How long at most a thread waits before it looks whether it should go on.
inline constexpr std::chrono::milliseconds kTurn{50};

struct Step {
  Event event;
  std::string text, reasoning;  // what became certain
  int matched_stop = -1;
};

// One thread at a time; cancel() from any.
class Reader {
 public:
  Reader(Engine& engine, ReadRequest request);

  // Empty when nothing came in time, and after the last step.
  std::optional<Step> next(std::chrono::milliseconds patience);
  bool ended() const { return ended_; }
  void cancel() { stream_.cancel(); }

 private:
  bool take(Step& step);  // false: the event is behind the answer's end

  std::optional<AnswerStream> answer_;
  EventStream stream_;
  bool stopped_ = false;  // by a stop string
  bool ended_ = false;
};

}  // namespace qwen3::capi

// One request in progress: events, pulled by one caller at a time.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "capi/engine.h"
#include "capi/reader.h"
#include "capi/structs.h"
#include "capi/views.h"

namespace qwen3::capi {
namespace {

struct StreamObject : Object {
  static constexpr Kind kKind = Kind::stream;
  StreamObject(std::shared_ptr<ModelObject> of, Engine& engine, ReadRequest request)
      : Object(kKind), model(std::move(of)), reader(engine, std::move(request)) {}

  const std::shared_ptr<ModelObject> model;  // its tokenizer, when the caller has closed it
  std::atomic<bool> in_use = false;          // by the one call that may read or close
  bool is_closed = false;                    // whoever has it in use
  Reader reader;
  EventView view;  // of the last event
};

constexpr std::string_view kInUse =
    "another call with this stream goes on; end it with qwen3_stream_cancel and wait for it";

// The stream, held for one call.
class HeldStream {
 public:
  explicit HeldStream(qwen3_stream handle) : stream_(object_of<StreamObject>(handle)) {
    held_ = !stream_->in_use.exchange(true);
    if (!held_ || !stream_->is_closed) return;
    stream_->in_use = false;
    throw HandleError{"expected a stream, got one that was closed"};
  }
  ~HeldStream() {
    if (held_) stream_->in_use = false;
  }
  HeldStream(const HeldStream&) = delete;

  explicit operator bool() const { return held_; }
  StreamObject& operator*() const { return *stream_; }
  StreamObject* operator->() const { return stream_.get(); }

 private:
  const std::shared_ptr<StreamObject> stream_;
  bool held_;
};

std::chrono::milliseconds patience_of(int64_t timeout_ms) {
  constexpr int64_t kLong = int64_t{1000} * 3600 * 24;  // a day; whoever waits for ever asks again
  return std::chrono::milliseconds(timeout_ms < 0 ? kLong : std::min(timeout_ms, kLong));
}

qwen3_status next_event(StreamObject& stream, int64_t timeout_ms, qwen3_event& out) {
  for (;;) {
    std::optional<Step> step = stream.reader.next(patience_of(timeout_ms));
    if (step) {
      out = stream.view.show(*std::move(step));
      return QWEN3_OK;
    }
    if (stream.reader.ended()) return QWEN3_END;
    if (timeout_ms >= 0) return QWEN3_TIMEOUT;
  }
}

}  // namespace
}  // namespace qwen3::capi

using namespace qwen3::capi;

qwen3_status qwen3_submit(qwen3_engine handle, const qwen3_request* request, qwen3_stream* stream) {
  return guarded(__func__, [&] {
    const auto engine = object_of<EngineObject>(handle);
    check_given(stream, "stream");
    ReadRequest read = read_request(*engine->model, request);
    *stream = new_handle<qwen3_stream>(
        std::make_shared<StreamObject>(engine->model, engine->engine, std::move(read)));
    return QWEN3_OK;
  });
}

qwen3_status qwen3_stream_next(qwen3_stream handle, int64_t timeout_ms, qwen3_event* event) {
  return guarded(__func__, [&] {
    const HeldStream held(handle);
    if (!held) return failed("qwen3_stream_next", QWEN3_ERROR_IN_USE, kInUse);
    check_struct(event, "event");
    qwen3_event out = defaults<qwen3_event>();
    const qwen3_status status = next_event(*held, timeout_ms, out);
    if (status == QWEN3_OK) write_struct(out, event);
    return status;
  });
}

qwen3_status qwen3_stream_run(qwen3_stream handle, qwen3_on_event on_event, void* user) {
  return guarded(__func__, [&] {
    const HeldStream held(handle);
    if (!held) return failed("qwen3_stream_run", QWEN3_ERROR_IN_USE, kInUse);
    check_given(reinterpret_cast<const void*>(on_event), "on_event");
    qwen3_event event = defaults<qwen3_event>();
    while (next_event(*held, -1, event) == QWEN3_OK) {
      event.size = sizeof(event);
      if (on_event(&event, user) != 0) held->reader.cancel();
    }
    return QWEN3_OK;
  });
}

qwen3_status qwen3_stream_cancel(qwen3_stream handle) {
  return guarded(__func__, [&] {
    object_of<StreamObject>(handle)->reader.cancel();
    return QWEN3_OK;
  });
}

qwen3_status qwen3_stream_close(qwen3_stream handle) {
  return guarded(__func__, [&] {
    const HeldStream held(handle);
    if (!held) return failed("qwen3_stream_close", QWEN3_ERROR_IN_USE, kInUse);
    close_handle<StreamObject>(handle);
    held->is_closed = true;
    return QWEN3_OK;
  });
}

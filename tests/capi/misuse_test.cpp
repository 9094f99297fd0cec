// Misuse of the C API is answered, and reaches no memory: run it under AddressSanitizer (script/check sanitizers).
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include "capi/fixture.h"

namespace qwen3::test {
namespace {

using ::testing::HasSubstr;
using Misuse = CApiTest;

template <typename Handle>
Handle made_up(uint64_t number) {
  return reinterpret_cast<Handle>(static_cast<uintptr_t>(number));
}

TEST_F(Misuse, NullIsAnError) {
  size_t n = 0;
  qwen3_chat chat = nullptr;
  EXPECT_EQ(qwen3_model_open(nullptr, nullptr, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_model_open(kNano.c_str(), nullptr, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_model_close(nullptr), QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_EQ(qwen3_model_get_info(model, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_encode(model, nullptr, 3, 1, nullptr, 0, &n), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_encode(model, "a", 1, 1, nullptr, 10, &n), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_encode(model, "a", 1, 1, nullptr, 0, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_decode(model, nullptr, 3, nullptr, 0, &n), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_chat_render(model, nullptr, 3, nullptr, &chat), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_submit(engine, nullptr, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_generate(engine, nullptr, 1, -1, nullptr, nullptr, nullptr),
            QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_forward(model, nullptr, 4, nullptr, nullptr), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_stream_next(nullptr, 0, nullptr), QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("expected a stream, got NULL"));
  qwen3_request_init(nullptr, sizeof(qwen3_request));
}

TEST_F(Misuse, ClosedHandlesAndThoseOfAnotherKindAreKnown) {
  qwen3_model other = nullptr;
  qwen3_model_options options;
  qwen3_model_options_init(&options, sizeof(options));
  options.text_only = 1;
  ASSERT_EQ(qwen3_model_open(kNano.c_str(), &options, &other), QWEN3_OK);
  qwen3_engine none = nullptr;
  EXPECT_EQ(qwen3_engine_open(other, nullptr, &none), QWEN3_ERROR_UNSUPPORTED);
  ASSERT_EQ(qwen3_model_close(other), QWEN3_OK);
  EXPECT_EQ(qwen3_model_close(other), QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("closed"));
  qwen3_model next = nullptr;
  ASSERT_EQ(qwen3_model_open(kNano.c_str(), &options, &next), QWEN3_OK);
  EXPECT_NE(next, other) << "a slot is used again under another name";
  EXPECT_EQ(qwen3_model_close(other), QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_EQ(qwen3_engine_close(reinterpret_cast<qwen3_engine>(next)), QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("expected an engine, got a model"));
  EXPECT_EQ(qwen3_model_close(next), QWEN3_OK);
}

TEST_F(Misuse, OverridesOfTheConfig) {
  qwen3_model_options options;
  qwen3_model_options_init(&options, sizeof(options));
  const auto context_of = [&](int64_t* context) {
    qwen3_model opened = nullptr;
    const qwen3_status status = qwen3_model_open(kNano.c_str(), &options, &opened);
    if (status != QWEN3_OK) return status;
    qwen3_model_info info;
    qwen3_model_info_init(&info, sizeof(info));
    EXPECT_EQ(qwen3_model_get_info(opened, &info), QWEN3_OK);
    *context = info.context_length;
    return qwen3_model_close(opened);
  };
  int64_t context = 0;
  options.hf_overrides =
      R"({"rope_scaling":{"rope_type":"yarn","factor":2,"original_max_position_embeddings":2048}})";
  EXPECT_EQ(context_of(&context), QWEN3_OK) << qwen3_last_error();
  EXPECT_EQ(context, 4096);
  options.hf_overrides = R"({"rope_thetta":2})";
  EXPECT_EQ(context_of(&context), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_THAT(qwen3_last_error(), HasSubstr("rope_thetta"));
  options.hf_overrides = nullptr;
  EXPECT_EQ(context_of(&context), QWEN3_ERROR_INVALID_ARGUMENT);
  options.hf_overrides = "{}";
  options.text_only = 1;
  EXPECT_EQ(context_of(&context), QWEN3_ERROR_INVALID_ARGUMENT);
  // A program that was made before there were overrides.
  qwen3_model_options_init(&options, offsetof(qwen3_model_options, hf_overrides));
  EXPECT_EQ(context_of(&context), QWEN3_OK) << qwen3_last_error();
  EXPECT_EQ(context, 2048);
}

TEST_F(Misuse, StructsThatWereNotInitialisedAreRefused) {
  Asked asked(encode("Hello"));
  qwen3_stream stream = nullptr;
  asked.get();
  for (const size_t size :
       {size_t{0}, size_t{8}, sizeof(qwen3_request) - 1, sizeof(qwen3_request) + 4096, SIZE_MAX}) {
    asked.request.size = size;
    EXPECT_EQ(qwen3_submit(engine, &asked.request, &stream), QWEN3_ERROR_INVALID_ARGUMENT) << size;
    EXPECT_THAT(qwen3_last_error(), HasSubstr("_init"));
  }
  qwen3_event event;
  std::memset(&event, 0xA5, sizeof(event));
  asked.request.size = sizeof(asked.request);
  ASSERT_EQ(qwen3_submit(engine, &asked.request, &stream), QWEN3_OK);
  EXPECT_EQ(qwen3_stream_next(stream, -1, &event), QWEN3_ERROR_INVALID_ARGUMENT);
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

// A program made for a later header: what it does not use works, what it uses is refused.
TEST_F(Misuse, StructsOfALaterHeader) {
  struct Later {
    qwen3_request request;
    int64_t added;
  } later;
  qwen3_request_init(&later.request, sizeof(later));
  EXPECT_EQ(later.request.size, sizeof(later));
  EXPECT_EQ(later.added, 0);
  const std::vector<int32_t> ids = encode("Hello");
  later.request.prompt_ids = ids.data();
  later.request.n_prompt_ids = ids.size();
  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, &later.request, &stream), QWEN3_OK) << qwen3_last_error();
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
  later.added = 1;
  EXPECT_EQ(qwen3_submit(engine, &later.request, &stream), QWEN3_ERROR_UNSUPPORTED);

  struct LaterEvent {
    qwen3_event event;
    int64_t added;
  } event;
  qwen3_event_init(&event.event, sizeof(event));
  event.added = 77;
  later.added = 0;
  ASSERT_EQ(qwen3_submit(engine, &later.request, &stream), QWEN3_OK);
  ASSERT_EQ(qwen3_stream_next(stream, -1, &event.event), QWEN3_OK);
  EXPECT_EQ(event.added, 77) << "behind what the library knows nothing is written";
  EXPECT_EQ(event.event.size, sizeof(event));
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

TEST_F(Misuse, AStreamServesOneCallAtATime) {
  Asked asked(encode("Sort 7, 3 and 9."), -1);
  asked.sampling.ignore_eos = 1;
  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK);
  struct Seen {
    qwen3_stream stream;
    qwen3_status next, close;
    int n = 0;
  } seen{stream, QWEN3_OK, QWEN3_OK};
  const auto within = [](const qwen3_event*, void* user) {
    auto& its = *static_cast<Seen*>(user);
    if (++its.n > 1) return 0;
    qwen3_event event = fresh_event();
    its.next = qwen3_stream_next(its.stream, 0, &event);
    std::thread([&] { its.close = qwen3_stream_close(its.stream); }).join();
    return 1;
  };
  EXPECT_EQ(qwen3_stream_run(stream, within, &seen), QWEN3_OK);
  EXPECT_EQ(seen.next, QWEN3_ERROR_IN_USE);
  EXPECT_EQ(seen.close, QWEN3_ERROR_IN_USE);
  EXPECT_GE(seen.n, 2) << "the finishing event comes after a cancellation, too";
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

TEST_F(Misuse, WhoeverWaitsIsWokenByCancelAndByTheEnginesEnd) {
  qwen3_engine own = nullptr;
  ASSERT_EQ(qwen3_engine_open(model, nullptr, &own), QWEN3_OK);
  Asked asked(encode("Sort 7, 3 and 9."), -1);
  asked.sampling.ignore_eos = 1;
  const qwen3_request* requests[] = {asked.get()};
  qwen3_status status = QWEN3_OK;
  qwen3_results results = nullptr;
  std::thread waiting(
      [&] { status = qwen3_generate(own, requests, 1, -1, nullptr, nullptr, &results); });
  qwen3_engine_stats stats;
  qwen3_engine_stats_init(&stats, sizeof(stats));
  while (stats.n_running == 0) ASSERT_EQ(qwen3_engine_get_stats(own, &stats), QWEN3_OK);
  EXPECT_EQ(qwen3_engine_close(own), QWEN3_OK);
  waiting.join();
  EXPECT_EQ(status, QWEN3_ERROR_INVALID_HANDLE);
  EXPECT_EQ(results, nullptr);

  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK);
  std::thread cancelling([&] { EXPECT_EQ(qwen3_stream_cancel(stream), QWEN3_OK); });
  qwen3_event event = fresh_event();
  while (qwen3_stream_next(stream, -1, &event) == QWEN3_OK) {
  }
  cancelling.join();
  EXPECT_EQ(event.finish, QWEN3_FINISH_CANCELLED);
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
  EXPECT_EQ(qwen3_generate(engine, requests, 1, 20, nullptr, nullptr, &results), QWEN3_TIMEOUT);
  const auto stop = [](size_t, size_t, void*) { return 1; };
  EXPECT_EQ(qwen3_generate(engine, requests, 1, -1, stop, nullptr, &results), QWEN3_END);
}

TEST_F(Misuse, AChildOfForkGetsErrors) {
  Asked asked(encode("Hello"));
  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK);
  const pid_t child = fork();
  if (child == 0) {
    qwen3_event event = fresh_event();
    size_t n = 0;
    const bool right =
        qwen3_stream_next(stream, -1, &event) == QWEN3_ERROR_INVALID_HANDLE &&
        qwen3_engine_close(engine) == QWEN3_ERROR_INVALID_HANDLE &&
        qwen3_encode(model, "a", 1, 1, nullptr, 0, &n) == QWEN3_ERROR_INVALID_HANDLE &&
        std::strstr(qwen3_last_error(), "fork") != nullptr;
    _exit(right ? 0 : 1);
  }
  int state = 0;
  ASSERT_EQ(waitpid(child, &state, 0), child);
  EXPECT_EQ(state, 0);
  qwen3_event event = fresh_event();
  EXPECT_EQ(qwen3_stream_next(stream, -1, &event), QWEN3_OK) << "the parent goes on";
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

// ---- Any call with any handle, by many threads --------------------------------------------------

class Handles {
 public:
  explicit Handles(uint64_t seed) : random_(seed) {}

  // One that is open, one that was, one of any kind, or no handle at all.
  template <typename Handle>
  Handle any() {
    switch (draw(8)) {
      case 0:
        return nullptr;
      case 1:
        return made_up<Handle>(random_());
      case 2:  // near to one: another kind, slot or generation
        return known_.empty()
                   ? nullptr
                   : made_up<Handle>(known_[draw(known_.size())] ^ uint64_t{1} << draw(64));
      default:
        return known_.empty() ? nullptr : made_up<Handle>(known_[draw(known_.size())]);
    }
  }
  template <typename Handle>
  void keep(Handle handle) {
    if (handle != nullptr) known_.push_back(reinterpret_cast<uintptr_t>(handle));
    if (known_.size() > 40) known_.erase(known_.begin());
  }
  uint64_t draw(uint64_t n) { return random_() % n; }

 private:
  std::mt19937_64 random_;
  std::vector<uint64_t> known_;
};

void reading_call(Handles& handles, uint64_t which) {
  size_t n = 0;
  std::array<int32_t, 4> ids{1, 2, 3, 1 << 30};
  std::array<char, 8> text{};
  switch (which) {
    case 0: {
      qwen3_model_info info;
      qwen3_model_info_init(&info, sizeof(info));
      qwen3_model_get_info(handles.any<qwen3_model>(), handles.draw(4) == 0 ? nullptr : &info);
      break;
    }
    case 1:
      qwen3_encode(handles.any<qwen3_model>(),
                   "\xff"
                   "Hi <|im_end|>",
                   handles.draw(14),
                   1,
                   ids.data(),
                   handles.draw(5),
                   &n);
      break;
    case 2:
      qwen3_decode(handles.any<qwen3_model>(),
                   ids.data(),
                   handles.draw(5),
                   text.data(),
                   handles.draw(9),
                   &n);
      break;
    case 3: {
      qwen3_chat_view view;
      qwen3_chat_view_init(&view, handles.draw(2) == 0 ? sizeof(view) : handles.draw(sizeof(view)));
      qwen3_chat_get(handles.any<qwen3_chat>(), &view);
      break;
    }
    case 4: {
      qwen3_result result;
      qwen3_result_init(&result, sizeof(result));
      qwen3_results_get(handles.any<qwen3_results>(), handles.draw(3), &result);
      break;
    }
    case 5: {
      qwen3_tensor tensor;
      qwen3_tensor_init(&tensor, sizeof(tensor));
      qwen3_tensors_get(handles.any<qwen3_tensors>(), handles.draw(3), &tensor);
      qwen3_tensors_find(
          handles.any<qwen3_tensors>(), handles.draw(2) == 0 ? "norm" : nullptr, &tensor);
      break;
    }
    case 6: {
      qwen3_event event = fresh_event();
      qwen3_stream_next(handles.any<qwen3_stream>(), static_cast<int64_t>(handles.draw(3)), &event);
      break;
    }
    default: {
      qwen3_engine_stats stats;
      qwen3_engine_stats_init(&stats, sizeof(stats));
      qwen3_engine_get_stats(handles.any<qwen3_engine>(), &stats);
      qwen3_stream_cancel(handles.any<qwen3_stream>());
      qwen3_tensors_count(handles.any<qwen3_tensors>(), &n);
    }
  }
}

void opening_call(Handles& handles, uint64_t which) {
  Asked asked({1, 2, 3}, static_cast<int64_t>(handles.draw(4)));
  const qwen3_request* requests[] = {asked.get(), handles.draw(8) == 0 ? nullptr : asked.get()};
  switch (which) {
    case 0: {
      qwen3_stream stream = nullptr;
      if (handles.draw(4) == 0) asked.request.size = handles.draw(2 * sizeof(qwen3_request));
      qwen3_submit(handles.any<qwen3_engine>(), asked.get(), &stream);
      handles.keep(stream);
      break;
    }
    case 1: {
      qwen3_results results = nullptr;
      qwen3_generate(
          handles.any<qwen3_engine>(), requests, handles.draw(3), 5, nullptr, nullptr, &results);
      handles.keep(results);
      break;
    }
    case 2: {
      qwen3_tensors tensors = nullptr;
      qwen3_forward(
          handles.any<qwen3_model>(), asked.ids.data(), handles.draw(4), nullptr, &tensors);
      handles.keep(tensors);
      break;
    }
    default: {
      qwen3_chat chat = nullptr;
      qwen3_chat_render(handles.any<qwen3_model>(),
                        kMessages.data(),
                        kMessages.size() - handles.draw(2),
                        nullptr,
                        &chat);
      handles.keep(chat);
    }
  }
}

void closing_call(Handles& handles, uint64_t which) {
  switch (which) {
    case 0:
      qwen3_stream_close(handles.any<qwen3_stream>());
      break;
    case 1:
      qwen3_results_close(handles.any<qwen3_results>());
      break;
    case 2:
      qwen3_tensors_close(handles.any<qwen3_tensors>());
      break;
    default:
      qwen3_chat_close(handles.any<qwen3_chat>());
  }
}

TEST_F(Misuse, AnyCallsInAnyOrder) {
  constexpr int kThreads = 4;
  constexpr int kCalls = 3000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      Handles handles(static_cast<uint64_t>(t) + 1);
      for (int i = 0; i < kCalls; ++i) {
        if (i % 50 == 0) {
          handles.keep(model);
          handles.keep(engine);
        }
        const uint64_t what = handles.draw(10);
        if (what < 6) {
          reading_call(handles, handles.draw(8));
        } else if (what < 8) {
          opening_call(handles, handles.draw(4));
        } else {
          closing_call(handles, handles.draw(4));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Asked asked(encode("Hello"), 4);
  qwen3_stream stream = nullptr;
  ASSERT_EQ(qwen3_submit(engine, asked.get(), &stream), QWEN3_OK)
      << "after all that: " << qwen3_last_error();
  qwen3_event event = fresh_event();
  EXPECT_EQ(qwen3_stream_next(stream, -1, &event), QWEN3_OK);
  EXPECT_EQ(qwen3_stream_close(stream), QWEN3_OK);
}

}  // namespace
}  // namespace qwen3::test

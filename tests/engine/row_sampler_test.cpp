// Rows chosen by a team get what one Sampler alone gives them, foreign code stays on the caller's
// thread, and a row that fails is the only one that does.
#include "engine/row_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <future>
#include <iterator>
#include <limits>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/model_impl.h"
#include "hardware/thread_pool.h"
#include "mock_model.h"

namespace qwen3 {
namespace {

// Only threads and the size of a vocabulary.
class Threads final : public ModelRunner {
 public:
  Threads(int n_threads, int64_t vocab_size) : pool_(n_threads), vocab_size_(vocab_size) {}
  int64_t vocab_size() const override { return vocab_size_; }
  void set_vocab_size(int64_t vocab_size) { vocab_size_ = vocab_size; }
  Tensor run(const Batch&, Tap*) override { return {}; }
  int n_threads() const override { return pool_.size(); }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    n_lent += n_rows;
    pool_.parallel_for(n_rows, body);
  }
  int64_t n_lent = 0;

 private:
  ThreadPool pool_;
  int64_t vocab_size_;
};

// n rows of as many sequences, each with parameters of its own.
class Rows {
 public:
  Rows(int64_t n, int64_t width) : logits_(static_cast<size_t>(n * width)), shape_{n, width} {
    for (int64_t i = 0; i < n; ++i) {
      auto s = std::make_unique<Sequence>();
      s->id = static_cast<uint64_t>(i);
      s->tokens = {1, static_cast<int32_t>(i % width), 5, 5, 3};
      s->n_prompt = 3;
      s->seed = mix64(s->id);
      s->end_ids = {2, 4};
      vary(*s, i % 8, width);
      const int64_t position = s->n_to_score > 0 ? i / 8 % 2 : 4;
      rows.push_back({s.get(), position});
      mock_logits(row(i), s->seed);
      sequences_.push_back(std::move(s));
    }
  }

  Sequence& sequence(size_t i) { return *sequences_[i]; }
  std::span<float> row(int64_t i) {
    return std::span(logits_).subspan(static_cast<size_t>(i * shape_[1]),
                                      static_cast<size_t>(shape_[1]));
  }
  Tensor logits() { return Tensor::view(logits_, {shape_[0], shape_[1]}); }

  std::vector<BatchBuilder::LogitRow> rows;

 private:
  static void vary(Sequence& s, int64_t kind, int64_t width) {
    SamplingParams& p = s.sampling;
    if (kind == 1) p.temperature = 1;
    if (kind == 2) p = {.temperature = .7, .top_k = 20, .top_p = .9, .n_logprobs = 20};
    if (kind == 3) p = {.frequency_penalty = .5, .repetition_penalty = 1.3, .n_logprobs = 0};
    if (kind == 4) p = {.temperature = 2, .top_p = .8, .min_tokens = 9};
    if (kind == 5) p.allowed_token_ids = {3, static_cast<int32_t>(width - 1), 9};
    if (kind == 6) p = {.logit_bias = {{17, 3.0}}, .n_logprobs = 3};
    if (kind == 7) {
      s.n_prompt_logprobs = 4;
      s.n_to_score = 2;
    }
  }

  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<float> logits_;
  int64_t shape_[2];
};

std::string text(const Sampled& s) {
  std::string text = std::to_string(static_cast<int>(s.status)) + " " + std::to_string(s.token_id);
  const auto add = [&](float x) { text += " " + std::to_string(std::bit_cast<uint32_t>(x)); };
  add(s.logprob);
  for (int i = 0; i < s.n_top; ++i) {
    text += " " + std::to_string(s.top[static_cast<size_t>(i)].token_id);
    add(s.top[static_cast<size_t>(i)].logprob);
  }
  return text;
}

TEST(RowSampler, ATeamChoosesAsOneSamplerDoes) {
  constexpr int64_t kWidth = 3000, kReal = 2900;
  Sampler sampler(kWidth, kReal);
  for (const int n_threads : {1, 2, 4}) {
    Threads threads(n_threads, kWidth);
    HostRowSampler row_sampler(threads, kReal);
    for (const int64_t n : {1, 5, 6, 64, 7}) {  // 5 rows are too few to ask the team
      Rows rows(n, kWidth), same(n, kWidth);
      if (n > 6) rows.row(6)[8] = same.row(6)[8] = std::nanf("");
      threads.n_lent = 0;
      row_sampler.choose(rows.rows, rows.logits());
      EXPECT_EQ(threads.n_lent, n < 6 ? 0 : n);
      for (int64_t i = 0; i < n; ++i) {
        const auto& [sequence, position] = same.rows[static_cast<size_t>(i)];
        const Sequence& s = *sequence;
        const Sampled expected =
            s.n_to_score > 0
                ? sampler.score(same.row(i), s.tokens[static_cast<size_t>(position + 1)], 4)
                : sampler.sample(same.row(i),
                                 {.params = s.sampling,
                                  .tokens = s.tokens,
                                  .n_prompt = s.n_prompt,
                                  .end_ids = s.end_ids,
                                  .seed = s.seed});
        EXPECT_EQ(expected.status == Sampled::Status::not_finite, n > 6 && i == 6);
        EXPECT_EQ(text(row_sampler.take(static_cast<size_t>(i))), text(expected)) << i;
      }
    }
  }
}

// In the order of the rows, when they are taken and only then.
TEST(RowSampler, ProcessorsRunOnTheCallersThreadWhenTheirRowIsTaken) {
  constexpr int64_t kWidth = 3000;
  Threads threads(4, kWidth);
  HostRowSampler row_sampler(threads, kWidth);
  Rows rows(40, kWidth);
  std::vector<size_t> called;
  const auto here = std::this_thread::get_id();
  for (size_t i = 0; i < 40; i += 3) {
    rows.sequence(i).logits_processor = [&, i](std::span<const int32_t>, std::span<float> x) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      called.push_back(i);
      if (i == 12) throw std::runtime_error("twelve");
      std::ranges::fill(x, -std::numeric_limits<float>::infinity());
      x[i] = 0;
    };
  }
  row_sampler.choose(rows.rows, rows.logits());
  EXPECT_TRUE(called.empty());
  std::vector<size_t> expected;
  for (size_t i = 0; i < 40; ++i) {
    if (i == 21) continue;                       // its sequence ended
    const bool asks = i % 3 == 0 && i % 8 != 7;  // not for a row that scores
    if (asks) expected.push_back(i);
    if (i == 12) {
      EXPECT_THROW(row_sampler.take(i), std::runtime_error);
      continue;
    }
    const Sampled& sampled = row_sampler.take(i);
    EXPECT_EQ(sampled.status, Sampled::Status::ok);
    if (asks) {
      EXPECT_EQ(sampled.token_id, static_cast<int32_t>(i));
    }
  }
  EXPECT_EQ(called, expected);
}

// No memory holds counts for so many ids, on whatever thread; nothing of it stays.
TEST(RowSampler, WhatFailsOnTheTeamIsThrownWhenTheRowIsTaken) {
  constexpr int64_t kWidth = 3000;
  for (const int64_t n : {2, 24}) {
    Threads threads(3, int64_t{1} << 61);
    HostRowSampler row_sampler(threads, kWidth);
    Rows rows(n, kWidth);
    const auto n_rows = static_cast<size_t>(n);
    row_sampler.choose(rows.rows, rows.logits());
    for (size_t i = 0; i < n_rows; ++i) EXPECT_THROW(row_sampler.take(i), std::exception);
    threads.set_vocab_size(kWidth);
    row_sampler.choose(rows.rows, rows.logits());
    for (size_t i = 0; i < n_rows; ++i) {
      EXPECT_EQ(row_sampler.take(i).status, Sampled::Status::ok);
    }
  }
}

// One thread at a time calls a backend; what would have to wait for it does without its threads.
TEST(ModelRunner, LendsThreadsOnlyWhileNobodyElseHasTheBackend) {
  const auto model = Model::load(QWEN3_SOURCE_DIR "/models/nano", {.n_threads = 4});
  const auto runner =
      make_model_runner(model,
                        {.kv = {.dtype = DType::f32, .n_blocks = 1, .block_size = 16},
                         .max_batch_tokens = 16,
                         .max_logit_rows = 1,
                         .max_model_len = 16});
  EXPECT_EQ(runner->n_threads(), 4);
  // Two rows that wait for each other, in vain if one thread has both.
  const auto threads_of_two_rows = [&](std::chrono::milliseconds patience) {
    std::thread::id threads[2];
    std::atomic<int> n_here = 0;
    const auto deadline = Clock::now() + patience;
    runner->for_each_row(2, [&](int64_t row, int thread) {
      EXPECT_TRUE(thread >= 0 && thread < 4);
      threads[row] = std::this_thread::get_id();
      ++n_here;
      while (n_here < 2 && Clock::now() < deadline) std::this_thread::yield();
    });
    EXPECT_EQ(n_here, 2);
    return std::set<std::thread::id>(std::begin(threads), std::end(threads));
  };
  std::promise<void> taken, done;
  std::thread other([&] {
    const std::lock_guard lock(impl_of(*model).backend_mutex);
    taken.set_value();
    done.get_future().wait();
  });
  taken.get_future().wait();
  EXPECT_EQ(threads_of_two_rows(std::chrono::milliseconds(200)),
            std::set{std::this_thread::get_id()});
  done.set_value();
  other.join();
  EXPECT_EQ(threads_of_two_rows(std::chrono::seconds(10)).size(), 2u);
}

}  // namespace
}  // namespace qwen3

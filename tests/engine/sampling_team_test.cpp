// Whole histories of an engine whose rows are sampled by a team, beside the same engine whose rows
// are sampled by its own thread: the same events, bit for bit, in the same order.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine_core.h"
#include "mock_model.h"
#include "qwen3/model.h"

namespace qwen3 {
namespace {

constexpr int64_t kBlock = 16;

// Passes everything on, except, if told so, the threads.
class Watched final : public ModelRunner {
 public:
  enum class Lends { nothing, threads };
  Watched(std::unique_ptr<ModelRunner> inner, Lends lends, int64_t& n_lent)
      : inner_(std::move(inner)), lends_(lends), n_lent_(n_lent) {}

  int64_t vocab_size() const override { return inner_->vocab_size(); }
  Tensor run(const Batch& batch, Tap* tap) override { return inner_->run(batch, tap); }
  Tensor hidden() override { return inner_->hidden(); }
  int n_threads() const override { return lends_ == Lends::threads ? inner_->n_threads() : 1; }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    if (lends_ == Lends::nothing) return ModelRunner::for_each_row(n_rows, body);
    n_lent_ += n_rows;
    inner_->for_each_row(n_rows, body);
  }

 private:
  std::unique_ptr<ModelRunner> inner_;
  Lends lends_;
  int64_t& n_lent_;
};

std::string line(size_t request, const Event& e) {
  const auto token = [](const TokenLogprob& t) {
    return fmt::format("{}:{:a}", t.token_id, t.logprob);
  };
  std::string text =
      fmt::format("request {}: token {}{}", request, e.token_id, e.is_end_token ? " end" : "");
  if (e.logprob) text += " logprob " + token(*e.logprob);
  for (const TokenLogprob& t : e.top_logprobs) text += " top " + token(t);
  for (const PromptLogprobs& p : e.prompt_logprobs) {
    text += " | " + (p.token ? token(*p.token) : "none");
    for (const TokenLogprob& t : p.top) text += " " + token(t);
  }
  if (!e.embedding.empty()) text += fmt::format(" embedding {:a}", fmt::join(e.embedding, " "));
  if (e.finish) text += fmt::format(" finish {} {}", static_cast<int>(*e.finish), e.error);
  return text;
}

// Everything that requests hear and their processors see, in order.
std::vector<std::string> history(std::unique_ptr<ModelRunner> runner,
                                 CoreOptions options,
                                 const std::vector<Request>& requests) {
  std::vector<std::string> log;
  options.own_thread = false;
  options.check_every_step = true;
  EngineCore core(std::move(runner), std::move(options));
  const auto here = std::this_thread::get_id();
  size_t n_running = requests.size();
  for (size_t i = 0; i < requests.size(); ++i) {
    Request request = requests[i];
    if (request.logits_processor) {
      request.logits_processor = [&, i](std::span<const int32_t> generated, std::span<float> row) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        log.push_back(fmt::format("processor {} after {}: {:a}", i, generated.size(), row[1]));
        requests[i].logits_processor(generated, row);
      };
    }
    core.submit(std::move(request), [&, i](const Event& event) {
      log.push_back(line(i, event));
      if (event.finish) --n_running;
    });
  }
  for (int turn = 0; n_running > 0 && turn < 10'000; ++turn) core.run_once();
  EXPECT_EQ(n_running, 0u);
  return log;
}

void keep_even(std::span<const int32_t>, std::span<float> row) {
  for (size_t i = 1; i < row.size(); i += 2) row[i] = -std::numeric_limits<float>::infinity();
}

void throw_at_third(std::span<const int32_t> generated, std::span<float>) {
  if (generated.size() == 3) throw std::runtime_error("the third");
}

void forbid_all_at_fifth(std::span<const int32_t> generated, std::span<float> row) {
  if (generated.size() == 5) {
    for (float& x : row) x = -std::numeric_limits<float>::infinity();
  }
}

void make_nan(std::span<const int32_t>, std::span<float> row) { row[2] = std::nanf(""); }

Request request_of_kind(int kind, std::mt19937& random, int64_t vocab_size) {
  Request r;
  const auto n_prompt = 1 + random() % 50;
  for (size_t i = 0; i < n_prompt; ++i) {
    r.prompt_ids.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  }
  SamplingParams& p = r.sampling;
  if (kind == 1) p = {.temperature = 1};
  if (kind == 2) p = {.temperature = .7, .top_k = 20, .top_p = .9, .n_logprobs = 20};
  if (kind == 3) p = {.frequency_penalty = .5, .repetition_penalty = 1.3, .n_logprobs = 0};
  if (kind == 4) p = {.temperature = 2, .top_p = .8, .min_tokens = 5};
  if (kind == 5) p = {.logit_bias = {{17, 3.0}}, .allowed_token_ids = {3, 9, 17, 20, 31}};
  if (kind == 6) r.logits_processor = keep_even;
  if (kind == 7) r.logits_processor = throw_at_third;
  if (kind == 8) r.logits_processor = forbid_all_at_fifth;
  if (kind == 9) r.logits_processor = make_nan;
  if (kind == 10) r.embed = true;
  if (kind == 11) p = {.temperature = 1, .min_p = .02, .presence_penalty = 1, .n_logprobs = 2};
  p.seed = random();
  p.max_tokens = static_cast<int64_t>(6 + random() % 15);
  if (random() % 4 == 0) r.n_prompt_logprobs = static_cast<int>(random() % 21);
  return r;
}

std::vector<Request> mixed_requests(int n, int64_t vocab_size) {
  std::mt19937 random(8);
  std::vector<Request> requests;
  for (int i = 0; i < n; ++i) requests.push_back(request_of_kind(i % 12, random, vocab_size));
  return requests;
}

int64_t count(const std::vector<std::string>& log, const std::string& part) {
  return std::ranges::count_if(log, [&](const auto& s) { return s.find(part) != s.npos; });
}

CoreOptions core_options(int64_t n_sequences, int64_t vocab_size) {
  return {.scheduler = {.n_blocks = 5 * n_sequences / 2,  // some are preempted
                        .block_size = kBlock,
                        .max_batch_tokens = 256,
                        .max_sequences = n_sequences,
                        .max_logit_rows = n_sequences + 40},
          .limits = {.n_real_tokens = vocab_size - 3, .max_model_len = 96},
          .max_waiting = 1000,
          .eos_token_ids = {2}};
}

TEST(SamplingTeam, ChangesNoEventOfAMockModel) {
  constexpr int64_t kVocab = 4096, kSequences = 24;
  std::vector<Request> requests = mixed_requests(120, kVocab - 3);
  requests[12].prompt_ids.back() = 63;  // its logits are not numbers
  requests[24].prompt_ids = {1, 2, 63, 4, 5};
  requests[24].n_prompt_logprobs = 2;  // neither are those that score one of its tokens
  const CoreOptions options = core_options(kSequences, kVocab);
  std::vector<std::string> alone;
  for (const int n_threads : {1, 2, 4}) {
    for (const auto lends : {Watched::Lends::nothing, Watched::Lends::threads}) {
      MockModel::Knobs knobs;
      knobs.nan_token = 63;
      int64_t n_lent = 0;
      auto mock =
          std::make_unique<MockModel>(options.scheduler.n_blocks, kBlock, kVocab, knobs, n_threads);
      const auto log =
          history(std::make_unique<Watched>(std::move(mock), lends, n_lent), options, requests);
      if (alone.empty()) alone = log;
      EXPECT_EQ(log, alone) << n_threads;
      EXPECT_EQ(n_lent > 1000, lends == Watched::Lends::threads) << n_lent;
    }
  }
  EXPECT_EQ(count(alone, "logits_processor: the third"), 10);
  EXPECT_EQ(count(alone, "no token is allowed"), 10);
  EXPECT_EQ(count(alone, "got NaN or plus infinity"), 10);
  EXPECT_GE(count(alone, "not a number or infinite"), 2);
  EXPECT_GT(count(alone, " | "), 10);
  EXPECT_GT(count(alone, "embedding"), 9);
}

TEST(SamplingTeam, ChangesNoEventOfAModel) {
  constexpr int64_t kSequences = 64;
  for (const std::string name :
       {"tests/data/models/dense", "tests/data/models/moe", "models/nano"}) {
    for (const int n_threads : {1, 2, 4}) {
      const auto model = Model::load(QWEN3_SOURCE_DIR "/" + name, {.n_threads = n_threads});
      const int64_t vocab_size = model->info().vocab_size;
      const std::vector<Request> requests = mixed_requests(100, vocab_size - 3);
      const CoreOptions options = core_options(kSequences, vocab_size);
      const auto heard = [&](Watched::Lends lends, int64_t& n_lent) {
        auto runner = make_model_runner(model,
                                        {.kv = {.dtype = DType::f32,
                                                .n_blocks = options.scheduler.n_blocks,
                                                .block_size = kBlock},
                                         .max_batch_tokens = options.scheduler.max_batch_tokens,
                                         .max_logit_rows = options.scheduler.max_logit_rows,
                                         .max_model_len = options.limits.max_model_len});
        return history(
            std::make_unique<Watched>(std::move(runner), lends, n_lent), options, requests);
      };
      int64_t n_alone = 0, n_lent = 0;
      const auto alone = heard(Watched::Lends::nothing, n_alone);
      EXPECT_EQ(heard(Watched::Lends::threads, n_lent), alone) << name << ", threads " << n_threads;
      EXPECT_EQ(n_lent > 0, vocab_size >= 300) << name;
      EXPECT_EQ(count(alone, "logits_processor: the third"), 8);
    }
  }
}

}  // namespace
}  // namespace qwen3

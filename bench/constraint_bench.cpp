// What constraints cost an engine: tokens a second of n sequences, free and held to a grammar, over a model whose
// step takes a fixed time and whose logits are noise. The vocabulary has the size of Qwen3's. Processor time is of all
// threads, per token: on a machine with other work it says more than tokens a second do.
//
//   constraint_bench [--sequences 64] [--tokens 100] [--step-ms 10] [--threads 2]
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/mix64.h"
#include "engine/engine_core.h"
#include "grammar/grammar.h"
#include "grammar/schema.h"
#include "hardware/thread_pool.h"

namespace qwen3 {
namespace {

constexpr int64_t kVocab = 151'936;
constexpr int32_t kTokens = 151'643;
constexpr int64_t kBlock = 32;

struct Options {
  int sequences = 64;
  int tokens = 100;
  int step_ms = 10;
  int threads = 2;
};

// Rows of noise, each another cut of one long row.
class NoiseModel final : public ModelRunner {
 public:
  explicit NoiseModel(const Options& options)
      : options_(options), noise_(static_cast<size_t>(2 * kVocab)), pool_(options.threads) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 3);
    for (float& x : noise_) x = normal(random);
  }
  int64_t vocab_size() const override { return kVocab; }
  int n_threads() const override { return pool_.size(); }
  void for_each_row(int64_t n_rows, const RowBody& body) override {
    pool_.parallel_for(n_rows, body);
  }

  Tensor run(const Batch& batch, Tap* /*tap*/) override {
    const auto end = Clock::now() + std::chrono::milliseconds(options_.step_ms);
    const auto n_rows = static_cast<int64_t>(batch.logit_rows.size());
    logits_.resize(static_cast<size_t>(n_rows * kVocab));
    for (int64_t i = 0; i < n_rows; ++i) {
      const auto at = static_cast<int64_t>(mix64(++n_rows_seen_) % kVocab);
      std::copy_n(noise_.begin() + at, kVocab, logits_.begin() + i * kVocab);
    }
    std::this_thread::sleep_until(end);
    return Tensor::view(logits_, {n_rows, kVocab});
  }

 private:
  const Options options_;
  std::vector<float> noise_, logits_;
  uint64_t n_rows_seen_ = 0;
  ThreadPool pool_;
};

// All bytes, then words of one to twelve letters with and without a space in front.
std::shared_ptr<const TokenTrie> make_trie() {
  std::mt19937 random(2);
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  while (std::ssize(tokens) < kTokens) {
    std::string word(random() % 2, ' ');
    for (auto n = 1 + random() % 12; n > 0; --n) {
      word += "abcdefghijklmnopqrstuvwxyz0123456789\"{}[],:"[random() % 43];
    }
    tokens.push_back(std::move(word));
  }
  return TokenTrie::make(tokens, {});
}

struct Speed {
  double tokens_per_s = 0, cpu_us = 1e9;

  void keep_best(const Speed& other) {
    tokens_per_s = std::max(tokens_per_s, other.tokens_per_s);
    cpu_us = std::min(cpu_us, other.cpu_us);
  }
};

// Once every sequence has its first token. `grammars`: of the sequences in turn; none: free.
Speed measure(const Options& options,
              const std::vector<GrammarPtr>& grammars,
              const std::shared_ptr<const TokenTrie>& trie) {
  const int64_t length = options.tokens + 2;
  const int64_t blocks = (length + kBlock - 1) / kBlock * options.sequences;
  EngineCore core(std::make_unique<NoiseModel>(options),
                  {.scheduler = {.n_blocks = blocks,
                                 .block_size = kBlock,
                                 .max_batch_tokens = options.sequences,
                                 .max_sequences = options.sequences},
                   .limits = {.n_real_tokens = kTokens, .max_model_len = length},
                   .eos_token_ids = {}});
  std::vector<EventStream> streams;
  for (int i = 0; i < options.sequences; ++i) {
    Request request{.prompt_ids = {65 + i % 26},
                    .sampling = {.temperature = 0.7,
                                 .top_k = 20,
                                 .top_p = 0.8,
                                 .seed = static_cast<uint64_t>(i),
                                 .max_tokens = options.tokens}};
    if (!grammars.empty()) {
      request.constraint = start_grammar(grammars[static_cast<size_t>(i) % grammars.size()], trie);
    }
    streams.push_back(core.submit(std::move(request)));
  }
  for (EventStream& stream : streams) stream.next();
  const auto begin = Clock::now();
  const std::clock_t cpu_begin = std::clock();
  int64_t n = 0;
  for (EventStream& stream : streams) {
    while (const auto event = stream.next()) {
      n += event->token_id >= 0;
      if (event->finish == FinishReason::error) throw Error(event->error_kind, event->error);
    }
  }
  const auto count = static_cast<double>(n);
  return {count / std::chrono::duration<double>(Clock::now() - begin).count(),
          static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC * 1e6 / count};
}

// The best of three.
Speed measure_best(const Options& options,
                   const std::vector<GrammarPtr>& grammars,
                   const std::shared_ptr<const TokenTrie>& trie) {
  Speed best;
  for (int i = 0; i < 3; ++i) best.keep_best(measure(options, grammars, trie));
  return best;
}

// Objects, a line each, without end.
GrammarPtr json_lines() {
  const Json schema = parse_json(
      R"({"type": "object", "required": ["name", "n"],
          "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}})",
      "schema");
  GrammarBuilder builder;
  const auto line = builder.sequence({schema_expression(builder, schema), builder.bytes("\n")});
  return builder.build(builder.repeat(line, 0, -1));
}

// A form of each sequence's own: nobody shares what another has worked out.
std::vector<GrammarPtr> own_records(int n) {
  std::vector<GrammarPtr> out;
  for (int i = 0; i < n; ++i) {
    out.push_back(compile_regex(
        fmt::format(R"re((\{{"name{}": "[a-z ]{{1,20}}", "n": -?[0-9]{{1,5}}\}}, )*)re", i)));
  }
  return out;
}

int run(const Options& options) {
  const auto trie = make_trie();
  // They never have to end.
  const std::vector<GrammarPtr> records{
      compile_regex(R"re((\{"name": "[a-z ]{1,20}", "n": -?[0-9]{1,5}\}, )*)re")};
  const std::vector<GrammarPtr> words{compile_regex(R"re(([a-z]+[ ,])*)re")};
  const Speed free = measure_best(options, {}, nullptr);
  fmt::print("{} sequences, step {} ms, {} threads: free {:.0f} tok/s, {:.0f} us of processors\n",
             options.sequences,
             options.step_ms,
             options.threads,
             free.tokens_per_s,
             free.cpu_us);
  std::fflush(stdout);
  for (const auto& [name, grammars] : {std::pair{"json", std::vector{json_lines()}},
                                       {"records", records},
                                       {"words", words},
                                       {"own", own_records(options.sequences)}}) {
    const Speed held = measure_best(options, grammars, trie);
    fmt::print("  {:8} {:.0f} tok/s, {:.1f} % of free; {:.0f} us of processors, {:.1f} % of free\n",
               name,
               held.tokens_per_s,
               100 * held.tokens_per_s / free.tokens_per_s,
               held.cpu_us,
               100 * held.cpu_us / free.cpu_us);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  qwen3::Options options;
  CLI::App app("What constraints cost an engine");
  app.add_option("--sequences", options.sequences, "at a time");
  app.add_option("--tokens", options.tokens, "of each");
  app.add_option("--step-ms", options.step_ms, "that a step of the model takes");
  app.add_option("--threads", options.threads, "of the sampler");
  CLI11_PARSE(app, argc, argv);
  return qwen3::run(options);
}

// Models that ranks share, the ranks being threads; what an engine answers with one.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/evaluate.h"
#include "engine/group_runner.h"
#include "engine/model_parts.h"
#include "formats/gguf_path.h"
#include "parallel/thread_group.h"
#include "qwen3/engine.h"

namespace qwen3::test {

// body(model) on rank 0, while the others do what its engine says.
inline void with_ranks(const std::filesystem::path& path,
                       const LoadOptions& options,
                       int n_ranks,
                       const std::function<void(const std::shared_ptr<Model>&)>& body,
                       int n_hosts = 1) {
  run_thread_ranks(
      n_ranks,
      {.peer_seconds = 0, .spinning = Spinning::no},
      [&](Communicator& group) {
        const auto model = make_model(load_parts(path, options, &group), model_name(path));
        if (group.rank() > 0) return run_group_worker(model);
        body(model);
        stop_group_workers(group);
      },
      n_hosts);
}

struct Told {
  std::vector<int32_t> ids;
  std::vector<float> numbers;  // log-probabilities, then the embedding
  bool operator==(const Told&) const = default;
};

inline std::vector<Request> requests_of(int64_t vocab_size, size_t n) {
  std::mt19937 random(7);
  const auto id = [&] {
    return static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size));
  };
  std::vector<Request> requests(n);
  for (size_t i = 0; i < n; ++i) {
    Request& r = requests[i];
    for (int t = 0; t < 20; ++t) r.prompt_ids.push_back(static_cast<int32_t>(t * 7 % vocab_size));
    for (uint64_t t = 0, own = 1 + random() % 30; t < own; ++t) r.prompt_ids.push_back(id());
    r.embed = i % 5 == 4;
    if (r.embed) continue;
    r.sampling.max_tokens = 1 + static_cast<int64_t>(random() % 24);
    r.sampling.n_logprobs = 0;
    r.sampling.ignore_eos = true;
    if (i % 2 == 1) r.sampling.temperature = 1.2;
    r.sampling.seed = i;
  }
  return requests;
}

inline std::vector<Told> answers(const std::shared_ptr<Model>& model,
                                 const EngineOptions& options,
                                 const std::vector<Request>& requests) {
  Engine engine(model, options);
  std::vector<EventStream> streams;
  for (const Request& request : requests) streams.push_back(engine.submit(request));
  std::vector<Told> told(requests.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    while (const auto event = streams[i].next()) {
      EXPECT_EQ(event->error, "");
      if (event->token_id >= 0) told[i].ids.push_back(event->token_id);
      if (event->logprob) told[i].numbers.push_back(event->logprob->logprob);
      told[i].numbers.insert(
          told[i].numbers.end(), event->embedding.begin(), event->embedding.end());
    }
  }
  return told;
}

inline std::vector<float> logits_of(Model& model, const std::vector<int32_t>& ids) {
  std::vector<float> all;
  evaluate(model, ids, {}, [&](int64_t, const Tensor& logits) {
    all.insert(all.end(), logits.f32(), logits.f32() + logits.numel());
  });
  return all;
}

}  // namespace qwen3::test

// Model: a Qwen3 checkpoint in memory, ready to run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/error.h"
#include "qwen3/shape.h"

namespace qwen3 {

struct LoadOptions {
  std::string backend = "auto";  // "auto" (the fastest of this machine), "reference", "cpu", "cuda"
  std::string dtype = "auto";    // "auto" (as stored), "float32", "bfloat16"
  int n_threads = 0;             // 0: all cores this process may use
  std::string cpu_isa = {};      // "": the best; else "baseline", "avx2" … "avx512_bf16", "amx"
  // A directory needs no weights: they are drawn at random (for benchmarks).
  bool random_weights = false;
  uint64_t random_seed = 0;
  // A JSON object laid over config.json before it is read, objects in it key by key, null to take a key away:
  // {"rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":32768}}. "": nothing. It is
  // checked as config.json is, and a key that is not read of this model is an error.
  std::string hf_overrides = {};
  // Told how far loading is, in bytes. May be empty.
  std::function<void(std::string_view what, int64_t done, int64_t total)> progress = {};
};

// Facts about a loaded model.
struct ModelInfo {
  std::string name;        // of the directory, or of the GGUF file without its extension
  std::string model_type;  // "qwen3" or "qwen3_moe"
  std::string dtype;       // of the weight matrices
  std::string backend;     // "cpu (avx512_bf16, 2 threads, AMD EPYC)"
  int n_threads = 1;       // of the backend
  int64_t n_parameters = 0;
  int64_t n_active_parameters = 0;
  int64_t weight_bytes = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t vocab_size = 0;  // rows of the head; ids above the tokenizer's are padding
  int64_t max_position_embeddings = 0;
};

// What generation_config.json asks for; absent keys stay empty.
struct GenerationDefaults {
  std::optional<bool> do_sample;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k;
  std::vector<int32_t> eos_token_ids;  // union of config.json and generation_config.json
};

class Model {
 public:
  // Loads a Hugging Face directory, a GGUF file (the first of a split one), or the only GGUF file of
  // a directory without config.json. Throws Error (not_found, corrupt_file, unsupported,
  // out_of_memory) before anything large is allocated when the files or the memory do not fit.
  static std::shared_ptr<Model> load(const std::filesystem::path& path,
                                     const LoadOptions& options = {});
  ~Model();
  Model(const Model&) = delete;

  const ModelInfo& info() const;
  // Bytes per second that the device which holds the weights reads, measured now; 0 where they lie in the
  // host's memory. Throws Error{device}, Error{out_of_memory}.
  double measure_device_bandwidth() const;
  const GenerationDefaults& generation_defaults() const;

  const ModelShape& shape() const;

  // Inside libqwen3 only: engine/model_impl.h.
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);

 private:
  friend Impl& impl_of(const Model& model);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qwen3

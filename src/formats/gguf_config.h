// config.json and generation_config.json out of a GGUF file's metadata, and back into it.
//
// The converter writes what llama.cpp asks for and no more. What has no key is what Qwen3's official
// models say: norm_topk_prob true, no sliding window. vocab_size, tied embeddings, biases and layers
// without experts show in the tensors.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "formats/gguf_file.h"
#include "formats/gguf_writer.h"
#include "formats/hf_config.h"

namespace qwen3 {

struct GgufTensorFacts {
  int64_t vocab_size = 0;  // rows of token_embd.weight; 0: there is none
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  std::vector<int32_t> dense_layers = {};  // that have an MLP, and not experts
  DType dtype = DType::bf16;               // of plain matrices
};

// eos_token_ids is the set that ends an answer: eos, eot, eom, and the control tokens spelled
// <|im_end|> and <|endoftext|>, since the file names one eos only.
// Throws Error naming file and key: corrupt_file, not_found without token_embd.weight, and unsupported for another architecture or a
// value that this model cannot honour.
// `overrides` are of config.json as the metadata would have it (parse_hf_config).
HfConfig read_gguf_config(const GgufFile& file,
                          const GgufTensorFacts& facts,
                          std::string_view overrides = {});

// general.sampling.*, the sampling defaults. Who has a temperature above 0 draws.
GenerationConfig read_gguf_generation_config(const GgufFile& file);

// general.architecture and the architecture's keys, as llama.cpp's converter writes them.
// Throws Error{unsupported} naming `where` and a key of config.json for what GGUF has no key for and
// llama.cpp would run otherwise: sliding windows, norm_topk_prob false, YaRN's rarer parameters.
void write_gguf_config(GgufMetadata& metadata, const HfConfig& config, std::string_view where);

// general.sampling.*: only what the checkpoint asks for. A temperature of 0 says do_sample: false.
void write_gguf_generation_config(GgufMetadata& metadata, const GenerationConfig& config);

}  // namespace qwen3

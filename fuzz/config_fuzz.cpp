// The first byte chooses: config.json, generation_config.json, or bare JSON. Each refuses with
// Error{corrupt_file or unsupported}, or returns values inside their limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "formats/hf_config.h"
#include "qwen3/error.h"

namespace {

using namespace qwen3;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_quantization(const QuantizationConfig& q) {
  require(q.bits == 4 || q.bits == 8);
  require(q.group_size == kWholeRow || (q.group_size >= 1 && q.group_size <= 1 << 20));
  require((q.block_rows == 0) == (q.block_columns == 0));
  require(q.block_rows >= 0 && q.block_rows <= 1 << 20 && q.block_columns <= 1 << 20);
  require(q.method == QuantMethod::none || q.refusal.empty());
  require(q.refusal.find('\n') == q.refusal.npos && q.refusal.size() <= 1000);
  const auto check = [](const MlxParameters& p) {
    require(p.bits >= 2 && p.bits <= 8 && p.bits != 7 && p.group_size >= 1);
  };
  if (q.method == QuantMethod::mlx) check(q.mlx);
  for (const auto& [module, parameters] : q.mlx_modules) {
    if (q.method == QuantMethod::mlx && parameters) check(*parameters);
  }
}

void check_config(std::string_view text) {
  const HfConfig c = parse_hf_config(text, "fuzz");
  const auto n_layers = static_cast<size_t>(c.num_hidden_layers);
  require(c.num_hidden_layers >= 1 && c.num_hidden_layers <= 4096);
  require(c.hidden_size >= 1 && c.vocab_size >= 1 && c.intermediate_size >= 1);
  require(c.num_attention_heads % c.num_key_value_heads == 0 && c.head_dim % 2 == 0);
  require(c.num_attention_heads * c.head_dim <= 1 << 20);
  require(c.rope_theta > 1 && c.rms_norm_eps > 0 && c.rope_scaling.factor >= 1);
  require(c.layer_is_sparse.size() == n_layers && c.layer_sliding_window.size() == n_layers);
  require(c.num_experts_per_tok <= c.num_experts);
  require((c.model_type == ModelType::qwen3_moe) == (c.num_experts > 0));
  for (const int32_t id : c.eos_token_ids) require(id >= 0);
  check_quantization(c.quantization);
}

void check_generation_config(std::string_view text) {
  const GenerationConfig c = parse_generation_config(text, "fuzz");
  require(c.temperature.value_or(0) >= 0 && c.top_p.value_or(1) > 0 && c.top_p.value_or(1) <= 1);
  require(c.max_new_tokens.value_or(1) >= 1 && c.repetition_penalty.value_or(1) > 0);
}

// What was read is written and read again unchanged.
void check_json(std::string_view text) {
  const std::string once = dump_json(parse_json(text, "fuzz"));
  require(dump_json(parse_json(once, "again")) == once);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    switch (data[0] % 3) {
      case 0:
        check_config(text);
        break;
      case 1:
        check_generation_config(text);
        break;
      default:
        check_json(text);
    }
  } catch (const Error& e) {
    require(e.kind() == ErrorKind::corrupt_file || e.kind() == ErrorKind::unsupported);
  }
  return 0;
}

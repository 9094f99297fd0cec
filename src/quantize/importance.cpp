#include "quantize/importance.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "formats/gguf_file.h"
#include "formats/gguf_writer.h"

namespace qwen3 {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr std::string_view kType = "general.type";

std::vector<float> read_floats(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.n_bytes) / sizeof(float));
  file.file().read(tensor.begin, std::as_writable_bytes(std::span(values)));
  const bool good = std::ranges::all_of(values, [](float v) { return std::isfinite(v) && v >= 0; });
  QWEN3_CHECK(good,
              ErrorKind::corrupt_file,
              "{}: tensor {}: expected numbers of 0 or more, got others; was the text run with a "
              "damaged model?",
              file.name(),
              quote_for_message(tensor.name));
  return values;
}

const GgufTensor& tensor_named(const GgufFile& file, const std::string& name) {
  const auto found = std::ranges::find(file.tensors(), name, &GgufTensor::name);
  QWEN3_CHECK(found != file.tensors().end(),
              ErrorKind::corrupt_file,
              "{}: tensor {}: expected one, got none; is the file whole?",
              file.name(),
              quote_for_message(name));
  return *found;
}

// The parts of "mlp.experts.7.input".
struct ExpertTap {
  int64_t expert;
  std::string_view what;
};
std::optional<ExpertTap> parse_expert(std::string_view name) {
  constexpr std::string_view kPrefix = "mlp.experts.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  ExpertTap tap{};
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, tap.expert);
  if (error != std::errc() || at == end || *at != '.') return std::nullopt;
  tap.what = std::string_view(at + 1, end);
  return tap;
}

// GGUF's names between "blk.N." and ".weight" that have the same inputs; the first stands for all.
constexpr std::string_view kShared[][3] = {
    {"attn_q", "attn_k", "attn_v"}, {"ffn_gate", "ffn_up"}, {"ffn_gate_exps", "ffn_up_exps"}};

}  // namespace

std::span<const float> Importance::Entry::columns(int64_t matrix) const {
  if (!(counts[static_cast<size_t>(matrix)] > 0)) return {};
  return std::span(sums).subspan(static_cast<size_t>(matrix * n_columns),
                                 static_cast<size_t>(n_columns));
}

const Importance::Entry* Importance::find(std::string_view gguf_name) const {
  const auto found = entries_.find(gguf_name);
  return found == entries_.end() ? nullptr : &found->second;
}

void Importance::save(const std::filesystem::path& path, const Origin& origin) const {
  GgufMetadata metadata;
  metadata.string(kType, "imatrix");
  metadata.strings("imatrix.datasets", std::vector<std::string>{origin.text});
  metadata.u32("imatrix.chunk_count", origin.n_chunks);
  metadata.u32("imatrix.chunk_size", origin.chunk_tokens);
  std::vector<GgufTensorPlan> tensors;
  for (const auto& [name, entry] : entries_) {
    const int64_t n = entry.n_matrices();
    tensors.push_back({name + std::string(kSums), WeightType::f32, {n, entry.n_columns}});
    tensors.push_back({name + std::string(kCounts), WeightType::f32, {n, 1}});
  }
  GgufWriter writer(path, metadata, std::move(tensors));
  for (const auto& [name, entry] : entries_) {
    writer.write(std::as_bytes(std::span(entry.sums)));
    writer.write(std::as_bytes(std::span(entry.counts)));
  }
  writer.commit();
}

Importance Importance::load(const std::filesystem::path& path) {
  const GgufFile file(path);
  constexpr size_t kMaxWordBytes = 256;
  if (file.string(kType, kMaxWordBytes).value_or("model") != "imatrix") {
    file.refuse(kType, "imatrix, the file of an importance matrix");
  }
  Importance result;
  for (const GgufTensor& sums : file.tensors()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    const GgufTensor& counts = tensor_named(file, name + std::string(kCounts));
    int64_t n = 1;
    for (size_t i = 0; i + 1 < sums.shape.size(); ++i) n *= sums.shape[i];
    const bool fits = sums.type->weight_type == WeightType::f32 &&
                      counts.type->weight_type == WeightType::f32 &&
                      counts.n_bytes == n * static_cast<int64_t>(sizeof(float));
    QWEN3_CHECK(fits,
                ErrorKind::corrupt_file,
                "{}: tensor {}: expected float32 sums and one float32 count for each of their {} "
                "rows, got another type or number",
                file.name(),
                quote_for_message(name),
                n);
    result.put(name, {sums.shape.back(), read_floats(file, sums), read_floats(file, counts)});
  }
  QWEN3_CHECK(!result.empty(),
              ErrorKind::corrupt_file,
              "{}: expected tensors NAME{}, got none",
              file.name(),
              kSums);
  return result;
}

struct ImportanceTap::Place {
  std::string gguf_name;
  int64_t matrix = 0, n_matrices = 1;
};

// Where the values of a tap belong; false for those that are no matrix's inputs.
bool ImportanceTap::find_place(Place& place, std::string_view name, const ModelShape& shape) {
  if (name == "norm") {
    place.gguf_name = shape.tie_word_embeddings ? "token_embd.weight" : "output.weight";
    return true;
  }
  constexpr std::string_view kLayers = "layers.";
  if (!name.starts_with(kLayers)) return false;
  int64_t layer = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + kLayers.size(), end, layer);
  if (error != std::errc() || at == end) return false;
  const std::string_view what(at + 1, end);
  std::string_view stem;
  if (const std::optional<ExpertTap> tap = parse_expert(what)) {
    stem = tap->what == "input" ? "ffn_gate_exps" : tap->what == "act" ? "ffn_down_exps" : "";
    place.matrix = tap->expert;
    place.n_matrices = shape.num_experts;
  } else if (what == "input_layernorm") {
    stem = "attn_q";
  } else if (what == "self_attn.mix") {
    stem = "attn_output";
  } else if (what == "post_attention_layernorm" && !shape.is_sparse(layer)) {
    stem = "ffn_gate";
  } else if (what == "mlp.act") {
    stem = "ffn_down";
  }
  if (stem.empty()) return false;
  place.gguf_name = fmt::format("blk.{}.{}.weight", layer, stem);
  return true;
}

bool ImportanceTap::wants(std::string_view name) const {
  if (name.ends_with(".mlp.experts")) return true;
  Place place;
  return find_place(place, name, shape_);
}

void ImportanceTap::tensor(std::string_view name, const Tensor& value) {
  Place place;
  if (!find_place(place, name, shape_)) return;
  Sum& sum = sums_[place.gguf_name];
  if (sum.columns.empty()) {
    const auto n = static_cast<size_t>(place.n_matrices);
    sum.n_columns = value.dim(value.rank() - 1);
    sum.columns.assign(n, {});
    sum.n_rows.assign(n, 0);
  }
  const auto matrix = static_cast<size_t>(place.matrix);
  std::vector<double>& columns = sum.columns[matrix];
  columns.resize(static_cast<size_t>(sum.n_columns));
  for (int64_t row = 0; row < value.dim(0); ++row) {
    const float* x = value.f32_row(row);
    for (size_t i = 0; i < columns.size(); ++i) {
      columns[i] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
  }
  sum.n_rows[matrix] += value.dim(0);
}

Importance ImportanceTap::result() const {
  Importance result;
  for (const auto& [name, sum] : sums_) {
    Importance::Entry entry{.n_columns = sum.n_columns};
    for (size_t m = 0; m < sum.columns.size(); ++m) {
      entry.counts.push_back(static_cast<float>(sum.n_rows[m]));
      for (int64_t i = 0; i < sum.n_columns; ++i) {
        entry.sums.push_back(
            sum.n_rows[m] == 0 ? 0.0f : static_cast<float>(sum.columns[m][static_cast<size_t>(i)]));
      }
    }
    for (const auto& names : kShared) {
      const size_t at = name.find(fmt::format(".{}.", names[0]));
      if (at == name.npos) continue;
      for (const std::string_view other : std::span(names).subspan(1)) {
        if (other.empty()) continue;
        std::string alias = name;
        alias.replace(at + 1, names[0].size(), other);
        result.put(std::move(alias), entry);
      }
    }
    result.put(name, std::move(entry));
  }
  return result;
}

}  // namespace qwen3

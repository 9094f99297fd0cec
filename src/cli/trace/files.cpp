#include "cli/trace/files.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/error.h"
#include "cli/nearest.h"
#include "formats/npy.h"
#include "trace/glob.h"

namespace qwen3::cli {
namespace {

constexpr size_t kSuggestions = 3;

// The words of a pattern without its wild cards: "layers.*.q_porj" gives "q_porj".
std::string literal_end(std::string_view pattern) {
  const size_t star = pattern.find_last_of("*?");
  if (star != pattern.npos) pattern.remove_prefix(star + 1);
  while (pattern.starts_with('.')) pattern.remove_prefix(1);
  return std::string(pattern);
}

std::vector<std::string> nearest_names(std::string_view pattern,
                                       std::span<const std::string> names) {
  const std::string word = literal_end(pattern);
  std::vector<std::string> candidates;
  for (const std::string& name : names) {
    if (name.find(".experts.") != name.npos) continue;
    candidates.push_back(name);
    // The ends of the name after each dot: what may stand behind a star.
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
      candidates.push_back(name.substr(dot + 1));
    }
  }
  std::ranges::sort(candidates);
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  std::vector<std::string> found;
  while (found.size() < kSuggestions) {
    const std::string best = nearest(word, candidates);
    if (best.empty()) break;
    found.push_back(best);
    std::erase(candidates, best);
  }
  return found;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Leading dimensions of 1 (a batch of one) do not count.
std::vector<int64_t> without_batch(std::vector<int64_t> shape, size_t rank) {
  while (shape.size() > rank && shape.front() == 1) shape.erase(shape.begin());
  return shape;
}

}  // namespace

bool TapNames::wants(std::string_view name) const {
  if (!name.ends_with(".experts")) return contains(name);
  const std::string inside = std::string(name) + ".";
  const auto first = names_.lower_bound(inside);
  return first != names_.end() && first->starts_with(inside);
}

FilterTap::FilterTap(const std::vector<std::string>& patterns,
                     std::span<const std::string> names,
                     Tap& next)
    : all_(patterns.empty()), next_(next) {
  for (const std::string& name : names) {
    const auto matches = [&](const std::string& pattern) { return glob_match(pattern, name); };
    if (std::ranges::any_of(patterns, matches)) matching_.add(name);
  }
}

bool FilterTap::wants(std::string_view name) const {
  return (all_ || matching_.wants(name)) && next_.wants(name);
}

void FilterTap::tensor(std::string_view name, const Tensor& value) {
  if (all_ || matching_.contains(name)) next_.tensor(name, value);
}

void check_patterns(const std::vector<std::string>& patterns, std::span<const std::string> names) {
  for (const std::string& pattern : patterns) {
    const auto matches = [&](const std::string& name) { return glob_match(pattern, name); };
    if (std::ranges::any_of(names, matches)) continue;
    const std::vector<std::string> near = nearest_names(pattern, names);
    fail(ErrorKind::not_found,
         "qwen3 trace: --taps \"{}\": matches no tap of this model; {}",
         pattern,
         near.empty() ? "known are embed_tokens, layers.0.self_attn.q_proj, … (docs/model.md)"
                      : fmt::format("the nearest names are {}", fmt::join(near, ", ")));
  }
}

CompareTap::CompareTap(std::filesystem::path directory, double tolerance)
    : directory_(std::move(directory)), tolerance_(tolerance) {
  std::error_code ignored;
  QWEN3_CHECK(std::filesystem::is_directory(directory_, ignored),
              ErrorKind::not_found,
              "{}: no such directory; expected reference dumps named <tap>.npy",
              directory_.string());
  std::error_code error;
  std::filesystem::directory_iterator file(directory_, error), end;
  for (; !error && file != end; file.increment(error)) {
    if (file->path().extension() == ".npy") files_.add(file->path().stem().string());
  }
  QWEN3_CHECK(!error,
              ErrorKind::device,
              "{}: cannot list the directory: {}",
              directory_.string(),
              error.message());
}

void CompareTap::tensor(std::string_view name, const Tensor& value) {
  if (!files_.contains(name)) return;
  const NpyFile reference(directory_ / (std::string(name) + ".npy"));
  ++n_compared_;
  Difference difference{.name = std::string(name), .shape_problem = {}};
  std::vector<int64_t> shape;
  for (int i = 0; i < value.rank(); ++i) shape.push_back(value.dim(i));
  if (without_batch(reference.shape(), shape.size()) != shape) {
    difference.shape_problem =
        fmt::format("expected {}, got {}", shape_text(reference.shape()), shape_text(shape));
    diverging_.push_back(std::move(difference));
    return;
  }
  const std::vector<float> values = reference.values();
  const int64_t row_size = value.dim(0) == 0 ? 0 : value.numel() / value.dim(0);
  double square_difference = 0, square = 0;
  for (int64_t i = 0; i < value.numel(); ++i) {
    const int64_t at = i / row_size * value.row_stride() + i % row_size;
    const double got =
        value.dtype() == DType::i32 ? value.i32()[at] : static_cast<double>(value.f32()[at]);
    const double want = values[static_cast<size_t>(i)];
    const double delta = got == want ? 0 : std::abs(got - want);  // equal infinities agree
    square_difference += delta * delta;
    square += want * want;
    if (delta > difference.largest || !std::isfinite(delta)) {
      difference.largest = delta;
      difference.at = i;
    }
  }
  difference.relative = square_difference == 0 ? 0 : std::sqrt(square_difference / square);
  const bool agrees = difference.relative <= tolerance_;  // false for NaN
  if (agrees && (worst_.name.empty() || difference.relative > worst_.relative)) worst_ = difference;
  if (!agrees) diverging_.push_back(std::move(difference));
}

}  // namespace qwen3::cli

#include "eval/likelihood/text_windows.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/input_file.h"
#include "base/utf8.h"
#include "tokenizer/unicode_classes.h"

namespace qwen3 {
namespace {

constexpr int64_t kDefaultContext = 2048;
constexpr size_t kMaxTextBytes = size_t{1} << 30;

}  // namespace

WindowOptions resolve_windows(WindowOptions options, int64_t model_limit) {
  if (options.context == 0) options.context = std::min(model_limit, kDefaultContext);
  QWEN3_CHECK(options.context >= 2 && options.context <= model_limit,
              ErrorKind::invalid_argument,
              "context: expected 2 to {} tokens, the model's limit; got {}",
              model_limit,
              options.context);
  if (options.stride == 0) options.stride = std::max<int64_t>(1, options.context / 2);
  QWEN3_CHECK(options.stride >= 1 && options.stride <= options.context,
              ErrorKind::invalid_argument,
              "stride: expected 1 to {} tokens, the context; got {}",
              options.context,
              options.stride);
  return options;
}

std::vector<TextWindow> sliding_windows(int64_t n_tokens, const WindowOptions& options) {
  QWEN3_CHECK(n_tokens >= 2,
              ErrorKind::invalid_argument,
              "text: expected at least 2 tokens, one to predict the other; got {}",
              n_tokens);
  std::vector<TextWindow> windows;
  int64_t done = 0;
  for (int64_t begin = 0; done < n_tokens; begin += options.stride) {
    const int64_t end = std::min(begin + options.context, n_tokens);
    const TextWindow window{.begin = begin, .end = end, .first_target = std::max(done, begin + 1)};
    if (window.n_targets() > 0) windows.push_back(window);
    done = end;
  }
  return windows;
}

std::vector<int32_t> read_text_ids(const std::filesystem::path& file, const Tokenizer& tokenizer) {
  const std::string text = read_text_file(file, kMaxTextBytes);
  const size_t invalid = utf8_first_invalid(text);
  QWEN3_CHECK(invalid == text.npos,
              ErrorKind::invalid_argument,
              "{}: expected UTF-8 text; got an ill-formed byte at offset {}",
              file.string(),
              invalid);
  std::vector<int32_t> ids = tokenizer.encode(text);
  QWEN3_CHECK(ids.size() >= 2,
              ErrorKind::invalid_argument,
              "{}: expected a text of at least 2 tokens, one to predict the other; got {}",
              file.string(),
              ids.size());
  return ids;
}

TextSize scored_text_size(const Tokenizer& tokenizer,
                          std::span<const int32_t> ids,
                          std::span<const TextWindow> windows) {
  // The text that the tokens stand for; it may differ from the file's by normalisation.
  std::string text;
  std::vector<size_t> ends;
  for (const int32_t id : ids) {
    text += tokenizer.token_bytes(id);
    ends.push_back(text.size());
  }
  std::vector<bool> scored(ids.size());
  for (const TextWindow& window : windows) {
    std::fill(scored.begin() + window.first_target, scored.begin() + window.end, true);
  }
  TextSize size;
  for (size_t i = 0, begin = 0; i < ids.size(); begin = ends[i++]) {
    if (scored[i]) size.n_bytes += static_cast<int64_t>(ends[i] - begin);
  }
  text = utf8_valid(text) ? text : utf8_lossy(text);
  bool in_word = false;
  size_t token = 0;
  for (size_t at = 0; at < text.size();) {
    while (token + 1 < ends.size() && ends[token] <= at) ++token;
    const bool space = (unicode_classes()[utf8_decode(text, at)] & kSpace) != 0;
    if (!space && !in_word && scored[token]) ++size.n_words;
    in_word = !space;
  }
  return size;
}

}  // namespace qwen3

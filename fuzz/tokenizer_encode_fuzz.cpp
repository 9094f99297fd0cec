// Any bytes as text: encode refuses exactly what is not UTF-8, and decoding gives the text back, in
// NFC, whatever the added tokens do.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "qwen3/error.h"
#include "tokenizer/decode_stream.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer_fuzz_model.h"

namespace {

using namespace qwen3;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string stream_all(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  DecodeStream stream(tokenizer);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = stream.push(id);
    require(utf8_valid(part));
    text += part;
  }
  return text + stream.finish();
}

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  std::string storage;
  const std::string normal(to_nfc(text, storage));
  std::string again;
  require(to_nfc(normal, again) == normal);

  const auto plain = tokenizer.encode(text, ControlTokens::as_text);
  for (const int32_t id : plain) require(!tokenizer.is_added(id));
  require(tokenizer.decode(plain) == normal);
  require(stream_all(tokenizer, plain) == normal);

  // Added tokens with strip take white space away, and NFC does not work across added tokens: the
  // round trip is exact when none of them occurs.
  const auto ids = tokenizer.encode(text);
  bool has_added = false;
  for (const int32_t id : ids) has_added = has_added || tokenizer.is_added(id);
  require(has_added || ids == plain);
  require(stream_all(tokenizer, ids) == tokenizer.decode(ids));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer = Tokenizer::from_json(fuzz::model_json(), "fuzz");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (utf8_valid(text)) {
    check_text(tokenizer, text);
    return 0;
  }
  try {
    tokenizer.encode(text);
  } catch (const Error& e) {
    require(e.kind() == ErrorKind::invalid_argument);
    // The same bytes as text with replacement characters.
    check_text(tokenizer, utf8_lossy(text));
    return 0;
  }
  std::abort();
}

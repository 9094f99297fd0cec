// Any bytes as tokenizer.json: either an Error, or a tokenizer that works.
//
// An input that is not a whole file stands for a JSON merge patch on a small good one: so mutations
// reach the fields behind the vocabulary of 256 bytes that every file needs.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "qwen3/error.h"
#include "tokenizer/decode_stream.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer_fuzz_model.h"

namespace {

using namespace qwen3;

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const Tokenizer& tokenizer) {
  for (const std::string_view text : {"ab abc<x> 12\n", "e\u0301<y>  c"}) {
    const std::vector<int32_t> ids = tokenizer.encode_with_post_processor(text);
    DecodeStream stream(tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      require(id >= 0 && id < tokenizer.size());
      streamed += stream.push(id);
    }
    require(streamed + stream.finish() == tokenizer.decode(ids));
    const auto plain = tokenizer.encode(text, ControlTokens::as_text);
    std::string bytes;
    for (const int32_t id : plain) bytes += tokenizer.token_bytes(id);
    require(bytes == "ab abc<x> 12\n" || bytes == "e\u0301<y>  c" || bytes == "\u00e9<y>  c");
  }
}

void try_file(std::string_view text) {
  try {
    use(Tokenizer::from_json(text, "fuzz"));
  } catch (const Error&) {
    // The expected end of nearly every input.
  }
}

void try_patch(std::string_view text) {
  static const Json base = parse_json(fuzz::model_json(), "fuzz");
  std::string patched;
  try {
    Json json = base;
    json.merge_patch(parse_json(text, "patch", {.max_depth = 16, .max_values = 2000}));
    patched = dump_json(json);
  } catch (const Error&) {
    return;  // not JSON
  }
  try_file(patched);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_file(text);
  try_patch(text);
  return 0;
}

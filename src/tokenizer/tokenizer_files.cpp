#include "tokenizer/tokenizer_files.h"

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "formats/gguf_file.h"
#include "formats/gguf_path.h"
#include "tokenizer/tokenizer_gguf.h"

namespace qwen3 {
namespace {

TokenizerFiles read_directory(const std::filesystem::path& directory) {
  const auto exists = [&](const char* name) { return file_exists(directory / name); };
  TokenizerFiles files;
  files.where = (directory / "tokenizer.json").string();
  if (exists("tokenizer.json")) {
    const std::string text = read_text_file(directory / "tokenizer.json", kMaxTokenizerBytes);
    files.spec = read_tokenizer_json(text, files.where);
  } else {
    QWEN3_CHECK(exists("vocab.json") && exists("merges.txt"),
                ErrorKind::not_found,
                "{}: expected tokenizer.json, or vocab.json and merges.txt; is this a Hugging Face "
                "model directory?",
                directory.string());
    files.spec = read_vocab_and_merges(directory / "vocab.json", directory / "merges.txt");
    files.where = (directory / "vocab.json").string();
  }
  const std::filesystem::path config = directory / "tokenizer_config.json";
  if (const auto text = read_text_file_if_there(config, kMaxTokenizerBytes)) {
    add_tokens_of_config(files.spec, *text, config.string());
  }
  return files;
}

}  // namespace

TokenizerFiles read_tokenizer_files(const std::filesystem::path& path) {
  if (const auto gguf = find_gguf(path)) {
    const GgufFile file(*gguf);
    return {read_tokenizer_gguf(file), file.name()};
  }
  return read_directory(path);
}

}  // namespace qwen3

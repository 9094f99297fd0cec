// Any bytes as a GGUF file: container, config, names, tokenizer, template. Each refuses with an Error,
// or gives what keeps its promises.
//
// An input that does not begin with "GGUF" is the middle of a file: its first two bytes count tensors
// and keys of its own, and stand behind the keys of a small Qwen3 with a vocabulary. So mutations
// reach what lies behind the 256 bytes that every vocabulary needs.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "chat/text.h"
#include "formats/gguf_file.h"
#include "formats/gguf_source.h"
#include "qwen3/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_gguf.h"

namespace {

using namespace qwen3;

void require(bool condition) {
  if (!condition) std::abort();
}

// A file in memory, by a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(fd_ >= 0);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
      require(n > 0);
      done += static_cast<size_t>(n);
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

std::string number(uint64_t value, size_t n_bytes) {
  std::string bytes(n_bytes, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(value & 0xFF);
    value >>= 8;
  }
  return bytes;
}

std::string string(std::string_view text) { return number(text.size(), 8) + std::string(text); }

std::string u32(std::string_view key, uint32_t value) {
  return string(key) + number(4, 4) + number(value, 4);
}

std::string text(std::string_view key, std::string_view value) {
  return string(key) + number(8, 4) + string(value);
}

constexpr uint64_t kKeys = 14;

// The keys of a small model, tokenizer included.
std::string keys() {
  std::string all = text("general.architecture", "qwen3");
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, uint32_t>>{
           {"qwen3.block_count", 1},
           {"qwen3.context_length", 64},
           {"qwen3.embedding_length", 8},
           {"qwen3.feed_forward_length", 8},
           {"qwen3.attention.head_count", 2},
           {"qwen3.attention.head_count_kv", 1},
           {"tokenizer.ggml.eos_token_id", 258}}) {
    all += u32(key, value);
  }
  all += string("qwen3.attention.layer_norm_rms_epsilon") + number(6, 4) + number(0x358637BD, 4);
  all += text("tokenizer.ggml.model", "gpt2") + text("tokenizer.ggml.pre", "qwen2");
  std::vector<std::string> tokens;
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    std::string letter;
    utf8_append(letter, printable ? byte : next++);
    tokens.push_back(letter);
  }
  tokens.insert(tokens.end(), {"th", "<|im_end|>", "<|endoftext|>", "[PAD259]"});
  all += string("tokenizer.ggml.tokens") + number(9, 4) + number(8, 4) + number(tokens.size(), 8);
  for (const std::string& token : tokens) all += string(token);
  all +=
      string("tokenizer.ggml.token_type") + number(9, 4) + number(0, 4) + number(tokens.size(), 8);
  all += std::string(257, '\1') + "\3\3\5";
  all +=
      string("tokenizer.ggml.merges") + number(9, 4) + number(8, 4) + number(1, 8) + string("t h");
  return all;
}

std::string whole_file(std::string_view bytes) {
  static const std::string kKnown = keys();
  const uint64_t n_tensors = static_cast<unsigned char>(bytes[0]) % 16;
  const uint64_t n_keys = static_cast<unsigned char>(bytes[1]) % 16;
  return "GGUF" + number(3, 4) + number(n_tensors, 8) + number(kKeys + n_keys, 8) + kKnown +
         std::string(bytes.substr(2));
}

void check_container(const GgufFile& file) {
  const GgufTensor* before = nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    require(tensor.begin >= 24 && tensor.n_bytes > 0);
    require(tensor.begin + tensor.n_bytes <= file.file().size());
    require(!tensor.shape.empty() && tensor.shape.size() <= 4);
    int64_t numel = 1;
    for (const int64_t dim : tensor.shape) {
      require(dim > 0);
      numel *= dim;
    }
    require(numel / tensor.type->block.elements * tensor.type->block.bytes == tensor.n_bytes);
    require(before == nullptr || before->name != tensor.name);
    before = &tensor;
  }
}

void check_model(const std::string& path) {
  const GgufSource source = GgufSource::open(path);
  const HfConfig& c = source.config();
  require(c.num_attention_heads % c.num_key_value_heads == 0 && c.head_dim % 2 == 0);
  require(c.rms_norm_eps > 0 && c.rope_theta > 1);
  for (const int32_t id : c.eos_token_ids) require(id >= 0 && id < c.vocab_size);
  for (const std::string& name : source.names()) {
    const SourceTensor& tensor = source.tensors().at(name);
    require(tensor.begin + tensor.n_bytes <= tensor.file->size());
  }
}

void check_tokenizer(const GgufFile& file) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(file);
  for (const std::string_view words : {"the th<|im_end|> 12\n", "e\u0301 [PAD259]"}) {
    for (const int32_t id : tokenizer.encode_with_post_processor(words)) {
      require(id >= 0 && id < tokenizer.size());
    }
    std::string bytes;
    for (const int32_t id : tokenizer.encode(words, ControlTokens::as_text)) {
      bytes += tokenizer.token_bytes(id);
    }
    require(bytes == words || bytes == "\u00e9 [PAD259]");
  }
}

template <typename Check>
void refused_or(const Check& check) {
  try {
    check();
  } catch (const Error& e) {
    require(e.kind() == ErrorKind::corrupt_file || e.kind() == ErrorKind::unsupported ||
            e.kind() == ErrorKind::not_found);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string built;
  if (!bytes.starts_with("GGUF") && bytes.size() >= 2) bytes = built = whole_file(bytes);
  const MemoryFile memory(bytes);
  std::optional<GgufFile> file;
  refused_or([&] { file.emplace(memory.path()); });
  if (!file) return 0;
  check_container(*file);
  refused_or([&] { check_model(memory.path()); });
  refused_or([&] { check_tokenizer(*file); });
  refused_or([&] { load_chat_config(memory.path()); });
  return 0;
}

#include "formats/fingerprint.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "formats/gguf_path.h"

namespace qwen3 {
namespace {

constexpr size_t kSampledTensors = 256;
constexpr int64_t kSampledBytes = 4096;
constexpr int64_t kGgufHead = 1 << 20;
constexpr size_t kConfigBytes = 16 << 20;

void add_text(Sha256& hash, std::string_view text) {
  hash.add(std::as_bytes(std::span(text.data(), text.size())));
}

void add_bytes(Sha256& hash, const InputFile& file, int64_t begin, int64_t n) {
  std::array<std::byte, kSampledBytes> bytes;
  for (int64_t done = 0; done < n;) {
    const int64_t count = std::min(n - done, kSampledBytes);
    const auto piece = std::span(bytes).first(static_cast<size_t>(count));
    file.read(begin + done, piece);
    hash.add(piece);
    done += count;
  }
}

}  // namespace

std::string config_fingerprint(const std::filesystem::path& path) {
  const auto gguf = find_gguf(path);
  if (!gguf) return sha256_hex(read_text_file(path / "config.json", kConfigBytes));
  const InputFile file(*gguf);
  Sha256 hash;
  add_bytes(hash, file, 0, std::min(file.size(), kGgufHead));
  return hash.hex();
}

std::string weights_fingerprint(const TensorSource& source) {
  Sha256 hash;
  const std::vector<std::string> names = source.names();
  const size_t step = std::max<size_t>(1, names.size() / kSampledTensors);
  for (size_t i = 0; i < names.size(); ++i) {
    const SourceTensor& tensor = source.tensors().at(names[i]);
    add_text(hash,
             fmt::format("{} {} {} {} {}\n",
                         names[i],
                         tensor.file_dtype,
                         tensor.begin,
                         tensor.n_bytes,
                         tensor.file == nullptr ? 0 : tensor.file->size()));
    for (const int64_t size : tensor.shape) add_text(hash, fmt::format("{} ", size));
    if (i % step != 0 || tensor.file == nullptr) continue;
    // From its middle: beginnings are alike more often.
    const int64_t end = std::min(tensor.begin + tensor.n_bytes, tensor.file->size());
    const int64_t n = std::min(end - tensor.begin, kSampledBytes);
    add_bytes(hash, *tensor.file, tensor.begin + (end - tensor.begin - n) / 2, n);
  }
  return hash.hex();
}

}  // namespace qwen3

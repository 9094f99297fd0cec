// Speed of the tokenizer on one thread, in processor time, as JSON.
//
//   tokenizer_bench DIRECTORY TEXT_FILE...        MB/s of encode and decode for each file
//   tokenizer_bench --scaling DIRECTORY           time(2n)/time(n) for one unbroken run of a letter
//
// bench/tokenizer_vs_hf.py runs it next to Hugging Face `tokenizers` on the same texts.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "base/input_file.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace qwen3;
constexpr int kRepeats = 5;

// Processor time: other work on the machine then counts little.
double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <typename Work>
double best_seconds(const Work& work) {
  double best = 1e30;
  for (int i = 0; i < kRepeats; ++i) {
    const double begin = now();
    work();
    best = std::min(best, now() - begin);
  }
  return best;
}

void bench_file(const Tokenizer& tokenizer, const char* path) {
  const std::string text = read_text_file(path, size_t{1} << 30);
  std::vector<int32_t> ids;
  const double encode = best_seconds([&] { ids = tokenizer.encode(text); });
  size_t n_decoded = 0;
  const double decode = best_seconds([&] { n_decoded = tokenizer.decode(ids).size(); });
  uint64_t hash = 14695981039346656037U;  // FNV-1a of the ids: the script compares it
  for (const int32_t id : ids) hash = (hash ^ static_cast<uint32_t>(id)) * 1099511628211U;
  const double mb = static_cast<double>(text.size()) / 1e6;
  std::printf("{\"file\":\"%s\",\"bytes\":%zu,\"ids\":%zu,\"ids_hash\":\"%016llx\",",
              path,
              text.size(),
              ids.size(),
              static_cast<unsigned long long>(hash));
  std::printf("\"encode_mb_per_s\":%.2f,\"decode_mb_per_s\":%.2f,\"decoded_bytes\":%zu}\n",
              mb / encode,
              mb / decode,
              n_decoded);
}

void bench_scaling(const Tokenizer& tokenizer) {
  double last = 0;
  for (int log2 = 14; log2 <= 22; ++log2) {
    const std::string text(size_t{1} << log2, 'A');
    const double seconds = best_seconds([&] { tokenizer.encode(text); });
    std::printf("{\"bytes\":%zu,\"ms\":%.3f,\"ratio\":%.2f}\n",
                text.size(),
                seconds * 1e3,
                last > 0 ? seconds / last : 0.0);
    last = seconds;
  }
}

int run(int argc, char** argv) {
  const bool scaling = argc > 1 && std::string_view(argv[1]) == "--scaling";
  const int first = scaling ? 2 : 1;
  if (argc <= first || (!scaling && argc < 3)) {
    std::fprintf(stderr, "usage: tokenizer_bench [--scaling] DIRECTORY [TEXT_FILE...]\n");
    return 2;
  }
  const double begin = now();
  const Tokenizer tokenizer = Tokenizer::load(argv[first]);
  std::printf("{\"load_ms\":%.1f}\n", (now() - begin) * 1e3);
  if (scaling) bench_scaling(tokenizer);
  for (int i = first + 1; i < argc; ++i) bench_file(tokenizer, argv[i]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tokenizer_bench: %s\n", e.what());
    return 1;
  }
}

#include "model/tied_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "model/parallel_jobs.h"
#include "tensor/blocks.h"

namespace qwen3 {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;

struct Rows {
  int64_t begin, count;
};

std::vector<std::byte> read_rows(const SourceTensor& tensor, Rows rows) {
  const int64_t bytes = row_bytes(tensor.type, tensor.shape[1]);
  std::vector<std::byte> read(static_cast<size_t>(rows.count * bytes));
  tensor.read_rows(rows.begin, rows.count, tensor.shape[1], read.data());
  return read;
}

std::vector<float> widened(const SourceTensor& tensor,
                           const std::vector<std::byte>& rows,
                           int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  widen(values.data(), tensor.type, rows.data(), n);
  return values;
}

// The first of these rows that is not the same numbers in both; -1: none.
int64_t first_difference(const SourceTensor& a, const SourceTensor& b, Rows rows) {
  const std::vector<std::byte> of_a = read_rows(a, rows), of_b = read_rows(b, rows);
  if (a.type == b.type && of_a == of_b) return -1;
  const int64_t n = a.shape[1];
  const std::vector<float> x = widened(a, of_a, rows.count * n),
                           y = widened(b, of_b, rows.count * n);
  const auto it = std::mismatch(x.begin(), x.end(), y.begin()).first;
  return it == x.end() ? -1 : rows.begin + (it - x.begin()) / n;
}

[[noreturn]] void refuse(const SourceTensor& head, const std::string& got) {
  fail(ErrorKind::corrupt_file,
       "{}: tensor lm_head.weight: expected the numbers of embed_tokens, as tie_word_embeddings is "
       "true, "
       "got {}; set tie_word_embeddings to false in config.json to use this head, or take it out "
       "of the "
       "file",
       head.file->name(),
       got);
}

}  // namespace

void check_tied_head(const TensorSource& files, int n_threads) {
  if (!files.config().tie_word_embeddings) return;
  const SourceTensor* head = files.find("lm_head.weight");
  const SourceTensor* table = files.find("model.embed_tokens.weight");
  if (head == nullptr || table == nullptr) return;
  if (head->shape != table->shape || head->shape.size() != 2) {
    refuse(*head, fmt::format("shape [{}]", fmt::join(head->shape, ", ")));
  }
  int64_t step = 1;
  for (const SourceTensor* tensor : {head, table}) {
    step = std::max(step, kPieceBytes / row_bytes(tensor->type, tensor->shape[1]));
    if (tensor->rows != nullptr) step = std::max(step, tensor->rows->row_step());
  }
  const int64_t n_rows = head->shape[0];
  std::atomic<int64_t> first{n_rows};
  run_jobs(
      ceil_div(n_rows, step),
      n_threads,
      [&](int64_t job, int) {
        const int64_t begin = job * step;
        if (begin >= first.load()) return;
        const int64_t row =
            first_difference(*head, *table, {begin, std::min(step, n_rows - begin)});
        int64_t known = first.load();
        while (row >= 0 && row < known && !first.compare_exchange_weak(known, row)) {
        }
      },
      [] {});
  if (first.load() < n_rows) refuse(*head, fmt::format("others from row {} on", first.load()));
}

}  // namespace qwen3

// How strongly the inputs of each matrix are used: the sum over a text's tokens of their squares,
// column by column, and of experts one by one. An importance matrix, as llama.cpp calls it; its file
// (GGUF of general.type "imatrix", tensors NAME.in_sum2 and NAME.counts) can be read and written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qwen3/shape.h"
#include "trace/tap.h"

namespace qwen3 {

class Importance {
 public:
  struct Entry {
    int64_t n_columns = 0;
    std::vector<float> sums = {};    // [n_matrices, n_columns]
    std::vector<float> counts = {};  // [n_matrices]: the rows that were added up

    int64_t n_matrices() const { return static_cast<int64_t>(counts.size()); }
    // Of one matrix; empty if no row was seen.
    std::span<const float> columns(int64_t matrix) const;
  };

  // Of a tensor by its GGUF name; nullptr if nothing is known.
  const Entry* find(std::string_view gguf_name) const;
  void put(std::string gguf_name, Entry entry) {
    entries_[std::move(gguf_name)] = std::move(entry);
  }
  bool empty() const { return entries_.empty(); }

  struct Origin {
    std::string text;  // the file that was run
    int64_t n_chunks = 0, chunk_tokens = 0;
  };
  // Throws Error{io}.
  void save(const std::filesystem::path& path, const Origin& origin) const;
  // Throws Error naming the file: not_found, corrupt_file for what is no such file, or whose sums are
  // negative, infinite or of another shape than their counts say.
  static Importance load(const std::filesystem::path& path);

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

// Listens to forward passes of a model and adds up.
class ImportanceTap final : public Tap {
 public:
  explicit ImportanceTap(const ModelShape& shape) : shape_(shape) {}

  bool wants(std::string_view name) const override;
  void tensor(std::string_view name, const Tensor& value) override;

  Importance result() const;

 private:
  struct Sum {
    int64_t n_columns = 0;
    std::vector<std::vector<double>> columns = {};  // of each matrix
    std::vector<int64_t> n_rows = {};
  };
  struct Place;
  static bool find_place(Place& place, std::string_view name, const ModelShape& shape);

  ModelShape shape_;
  std::map<std::string, Sum, std::less<>>
      sums_;  // by the first of the GGUF names that share inputs
};

}  // namespace qwen3

// Matrices quantised by the libraries that people use (tests/goldens/make_quantized_goldens.py): read
// here, they are the numbers that those libraries read, bit for bit, whichever rows are asked for.
#include <gtest/gtest.h>

#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "formats/quantized_fixture.h"

namespace qwen3::test {
namespace {

TEST(QuantizedGoldens, NumbersAreThoseOfTheLibraries) {
  int n_matrices = 0;
  for (const QuantizedGolden& golden : quantized_goldens()) {
    const QuantizedDir dir;
    const Checkpoint checkpoint = dir.open(golden);
    EXPECT_EQ(checkpoint.n_tensors(), golden.matrices.size()) << golden.name;
    EXPECT_LE(checkpoint.n_bytes(), checkpoint.files()[0].size());
    for (const auto& [module, expected] : golden.matrices.items()) {
      const std::string label = golden.name + " " + module;
      const SourceTensor* tensor = checkpoint.find(module + ".weight");
      ASSERT_NE(tensor, nullptr) << label;
      ASSERT_NE(tensor->rows, nullptr) << label;
      EXPECT_EQ(tensor->shape, expected.at("shape").get<std::vector<int64_t>>()) << label;
      EXPECT_EQ(weight_type_name(tensor->type), expected.at("type").get<std::string>()) << label;
      const std::vector<float> numbers = numbers_of(*tensor);
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(numbers))),
                expected.at("sha256").get<std::string>())
          << label;
      const std::vector<std::byte> rows = read_rows(*tensor, numel_of(*tensor));
      for (const int64_t step : {1, 3, 8, 19}) EXPECT_EQ(read_rows(*tensor, step), rows) << label;
      EXPECT_TRUE(all_finite(tensor->type, rows.data(), numel_of(*tensor))) << label;
      ++n_matrices;
    }
  }
  EXPECT_GE(n_matrices, 50);
}

TEST(QuantizedGoldens, EverySchemeIsThere) {
  std::set<std::string> methods;
  std::set<int64_t> mlx_bits;
  for (const QuantizedGolden& golden : quantized_goldens()) {
    methods.insert(golden.method());
    if (golden.method() == "mlx") {
      mlx_bits.insert(golden.config.at("quantization").at("bits").get<int64_t>());
    }
  }
  EXPECT_EQ(methods, (std::set<std::string>{"awq", "compressed-tensors", "fp8", "gptq", "mlx"}));
  EXPECT_EQ(mlx_bits, (std::set<int64_t>{2, 3, 4, 5, 6, 8}));
}

}  // namespace
}  // namespace qwen3::test

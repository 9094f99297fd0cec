// What the taps of `qwen3 trace` ask the model for.
#include "cli/trace/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "formats/npy.h"
#include "support/temp_dir.h"

namespace qwen3::cli {
namespace {

TEST(CompareTap, WantsWhatItHasAFileFor) {
  const test::TempDir directory;
  std::vector<float> values{1, 2};
  for (const char* name : {"layers.1.output.npy", "layers.1.mlp.experts.3.act.npy"}) {
    write_npy(directory.path() / name, Tensor::view(values, {1, 2}));
  }
  CompareTap compare(npy_names(directory.path()), npy_reader(directory.path()), 1e-5);
  EXPECT_TRUE(compare.wants("layers.1.output"));
  EXPECT_TRUE(compare.wants("layers.1.mlp.experts"));
  EXPECT_FALSE(compare.wants("layers.0.output"));
  EXPECT_FALSE(compare.wants("layers.0.mlp.experts"));
  compare.tensor("layers.0.output", Tensor::view(values, {1, 2}));
  EXPECT_EQ(compare.n_compared(), 0);
  compare.tensor("layers.1.output", Tensor::view(values, {1, 2}));
  EXPECT_EQ(compare.n_compared(), 1);
  EXPECT_TRUE(compare.diverging().empty());
}

}  // namespace
}  // namespace qwen3::cli

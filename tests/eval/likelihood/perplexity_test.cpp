// Perplexity and divergence, against transformers (tests/goldens/perplexity.json) and against what
// must hold whatever the model.
#include "eval/likelihood/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/input_file.h"
#include "eval/likelihood/divergence.h"
#include "qwen3/logits.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

const std::string kNano = QWEN3_SOURCE_DIR "/models/nano";
const std::string kText = QWEN3_SOURCE_DIR "/tests/data/texts/mixed.txt";

class Measured : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::load(kNano));
    model_ = Model::load(kNano, {.dtype = "float32"});
    golden_ = parse_json(read_text_file(QWEN3_SOURCE_DIR "/tests/goldens/perplexity.json", 1 << 20),
                         "golden");
  }
  static void TearDownTestSuite() {
    tokenizer_.reset();
    model_.reset();
  }

  static inline std::unique_ptr<Tokenizer> tokenizer_;
  static inline std::shared_ptr<Model> model_;
  static inline Json golden_;
};

TEST(SlidingWindows, ScoreEveryTokenOnce) {
  for (int64_t n = 2; n < 40; ++n) {
    for (int64_t context = 2; context < 20; ++context) {
      for (int64_t stride = 1; stride <= context; ++stride) {
        const auto windows = sliding_windows(n, {.context = context, .stride = stride});
        std::vector<int> times(static_cast<size_t>(n));
        for (const TextWindow& w : windows) {
          ASSERT_LE(w.end - w.begin, context);
          ASSERT_GT(w.first_target, w.begin);
          ASSERT_LT(w.first_target, w.end);
          for (int64_t i = w.first_target; i < w.end; ++i) ++times[static_cast<size_t>(i)];
        }
        for (int64_t i = 0; i < n; ++i) {
          const bool has_context = stride < context ? i > 0 : i % context != 0;
          ASSERT_EQ(times[static_cast<size_t>(i)], has_context ? 1 : 0)
              << n << " tokens, context " << context << ", stride " << stride << ", token " << i;
        }
      }
    }
  }
}

TEST(SlidingWindows, OptionsAreChecked) {
  EXPECT_EQ(resolve_windows({}, 40960).context, 2048);
  EXPECT_EQ(resolve_windows({}, 512).context, 512);
  EXPECT_EQ(resolve_windows({}, 512).stride, 256);
  EXPECT_ERROR(resolve_windows({.context = 513}, 512),
               ErrorKind::invalid_argument,
               "context: expected 2 to 512 tokens",
               "got 513");
  EXPECT_ERROR(resolve_windows({.context = 1}, 512), ErrorKind::invalid_argument, "context");
  EXPECT_ERROR(resolve_windows({.context = 8, .stride = 9}, 512),
               ErrorKind::invalid_argument,
               "stride: expected 1 to 8");
  EXPECT_ERROR(sliding_windows(1, {.context = 8, .stride = 4}),
               ErrorKind::invalid_argument,
               "at least 2 tokens");
}

TEST(BlockMean, ErrorIsThatOfClusters) {
  BlockMean mean;
  mean.begin_block();
  for (const double value : {1.0, 2.0}) mean.add(value);
  EXPECT_FALSE(mean.standard_error().has_value());
  mean.begin_block();
  for (const double value : {4.0, 5.0, 8.0, 10.0}) mean.add(value);
  EXPECT_DOUBLE_EQ(mean.mean(), 5);
  // Blocks are 3 - 2·5 = -7 and 27 - 4·5 = 7 off: √(2/1 · 98) / 6.
  EXPECT_DOUBLE_EQ(*mean.standard_error(), 14.0 / 6);
}

TEST_F(Measured, TextIsThatOfTransformers) {
  const std::vector<int32_t> ids = read_text_ids(kText, *tokenizer_);
  EXPECT_EQ(ids, golden_["ids"].get<std::vector<int32_t>>());
  const TextWindow all{.begin = 0, .end = static_cast<int64_t>(ids.size()), .first_target = 0};
  const TextSize size = scored_text_size(*tokenizer_, ids, {{all}});
  EXPECT_EQ(size.n_bytes, golden_["bytes"].get<int64_t>());
  EXPECT_EQ(size.n_words, golden_["words"].get<int64_t>());
}

// Both compute in float32; their logits agree to 1e-5 of their size, and so do the sums.
TEST_F(Measured, EqualsTransformers) {
  const std::vector<int32_t> ids = read_text_ids(kText, *tokenizer_);
  for (const Json& want : golden_["results"]) {
    SCOPED_TRACE(want.dump());
    const WindowOptions windows{.context = want["context"], .stride = want["stride"]};
    const Perplexity got = measure_perplexity(model_, *tokenizer_, ids, windows);
    EXPECT_EQ(got.n_windows, want["windows"].get<int64_t>());
    EXPECT_EQ(got.nll.count(), want["scored"].get<int64_t>());
    const double nll = want["nll"];
    EXPECT_NEAR(got.nll.sum(), nll, 1e-5 * nll);
    EXPECT_NEAR(
        got.perplexity(), std::exp(nll / want["scored"].get<double>()), 1e-4 * got.perplexity());
    ASSERT_EQ(got.nll.standard_error().has_value(), !want["error"].is_null());
    if (!want["error"].is_null()) {
      const double error = want["error"];
      EXPECT_NEAR(*got.nll.standard_error(), error, 1e-3 * error);
    }
    EXPECT_NEAR(got.bits_per_byte(),
                got.nll.sum() / static_cast<double>(got.text.n_bytes) / std::numbers::ln2,
                1e-12);
  }
}

TEST_F(Measured, ReportsProgressAndStops) {
  const std::vector<int32_t> ids = read_text_ids(kText, *tokenizer_);
  int64_t last = 0;
  measure_perplexity(
      model_,
      *tokenizer_,
      ids,
      {.context = 200, .stride = 200, .progress = [&](auto, int64_t done, int64_t total) {
         EXPECT_GT(done, last);
         EXPECT_EQ(total, static_cast<int64_t>(ids.size()));
         last = done;
       }});
  EXPECT_EQ(last, static_cast<int64_t>(ids.size()));
  EXPECT_ERROR(
      measure_perplexity(
          model_,
          *tokenizer_,
          ids,
          {.progress = [](auto, int64_t, int64_t) { throw Error(ErrorKind::io, "stop"); }}),
      ErrorKind::io,
      "stop");
}

// One window may take half a minute: the caller hears of each chunk of it, and may stop there.
TEST_F(Measured, ReportsInsideAWindow) {
  const std::vector<int32_t> ids(1200, 300);
  int n_reports = 0;
  const WindowOptions options{
      .context = 1200, .stride = 600, .progress = [&](auto, int64_t, int64_t) { ++n_reports; }};
  EXPECT_EQ(measure_perplexity(model_, *tokenizer_, ids, options).n_windows, 1);
  EXPECT_GE(n_reports, 3);
  n_reports = 0;
  measure_divergence(model_, model_, *tokenizer_, ids, options);
  EXPECT_GE(n_reports, 3);
}

TEST_F(Measured, NothingLiesBetweenAModelAndItself) {
  const std::vector<int32_t> ids = read_text_ids(kText, *tokenizer_);
  const Divergence d =
      measure_divergence(model_, model_, *tokenizer_, ids, {.context = 128, .stride = 64});
  EXPECT_EQ(d.kl.count(), static_cast<int64_t>(ids.size()) - 1);
  EXPECT_EQ(d.kl_quantile(1), 0);
  EXPECT_EQ(d.kl.mean(), 0);
  EXPECT_EQ(d.same_top.mean(), 1);
  EXPECT_EQ(d.nll_difference.sum(), 0);
  const Perplexity alone =
      measure_perplexity(model_, *tokenizer_, ids, {.context = 128, .stride = 64});
  EXPECT_EQ(d.p.nll.sum(), alone.nll.sum());
}

// Weights stored in float32, rounded to bfloat16: 8 bits of mantissa are lost in every weight, and
// the predictions are off by a little. That this little is about right: as the weights' relative
// error of up to 2^-9 shifts logits of a size of about ten by some hundredths, and KL grows with
// the square of the shift.
TEST_F(Measured, RoundedWeightsCostALittle) {
  const std::string dense = QWEN3_SOURCE_DIR "/tests/data/models/dense";
  const auto full = Model::load(dense, {.dtype = "float32"});
  const auto half = Model::load(dense, {.dtype = "bfloat16"});
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 120; ++i) ids.push_back(i * 37 % 300);
  const Divergence d = measure_divergence(full, half, *tokenizer_, ids, {.context = 64});
  EXPECT_GT(d.kl.mean(), 0);
  EXPECT_LT(d.kl.mean(), 0.01);
  EXPECT_GT(d.same_top.mean(), 0.9);
  EXPECT_LE(d.kl_quantile(0.5), d.kl_quantile(0.9));
  EXPECT_LE(d.kl_quantile(0.9), d.kl_quantile(1));
  EXPECT_NEAR(d.q.nll.mean() - d.p.nll.mean(), d.nll_difference.mean(), 1e-9);
  EXPECT_TRUE(d.kl.standard_error().has_value());
}

// nano is stored in bfloat16. What it costs to compute in it depends on the instruction set
// (nothing where products are made in float32), but is never more than it costs transformers, which
// rounds every activation too, but for the roundings' luck.
TEST_F(Measured, Bfloat16CostsNoMoreThanTransformers) {
  const std::vector<int32_t> ids = read_text_ids(kText, *tokenizer_);
  const auto half = Model::load(kNano, {.dtype = "bfloat16"});
  const Divergence d = measure_divergence(model_, half, *tokenizer_, ids);
  EXPECT_LE(d.kl.mean(), 2 * golden_["bfloat16"]["kl"].get<double>());
  EXPECT_GT(d.same_top.mean(), 0.95);
}

// KL by the definition, from whole logits, for two different models.
TEST_F(Measured, DivergenceIsTheDefinition) {
  const std::string models = QWEN3_SOURCE_DIR "/tests/data/models/";
  const auto p = Model::load(models + "dense_tied"), q = Model::load(models + "moe_small");
  ASSERT_EQ(p->info().vocab_size == q->info().vocab_size, true);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 40; ++i) ids.push_back(i * 29 % 70);
  const Divergence d = measure_divergence(p, q, *tokenizer_, ids, {.context = 64});
  const auto probabilities = [&](const std::shared_ptr<Model>& model) {
    std::vector<std::vector<double>> all;
    LogitStream stream(model, ids);
    while (const auto rows = stream.next()) {
      for (int64_t i = 0; i < rows->n_rows; ++i) {
        std::vector<double> row;
        double total = 0;
        for (const float x : rows->row(i)) total += row.emplace_back(std::exp(double{x}));
        for (double& x : row) x /= total;
        all.push_back(row);
      }
    }
    return all;
  };
  const auto ps = probabilities(p), qs = probabilities(q);
  double sum = 0, largest = 0;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    double kl = 0;
    for (size_t v = 0; v < ps[i].size(); ++v) kl += ps[i][v] * std::log(ps[i][v] / qs[i][v]);
    sum += kl;
    largest = std::max(largest, kl);
  }
  EXPECT_GT(sum, 0.1);
  EXPECT_NEAR(d.kl.sum(), sum, 1e-9 * sum);
  EXPECT_NEAR(d.kl_quantile(1), largest, 1e-6 * largest);
}

TEST_F(Measured, RefusesModelsOfDifferentVocabularies) {
  const std::string models = QWEN3_SOURCE_DIR "/tests/data/models/";
  const auto p = Model::load(models + "dense"), q = Model::load(models + "dense_tied");
  const std::vector<int32_t> ids{1, 2, 3};
  EXPECT_ERROR(measure_divergence(p, q, *tokenizer_, ids),
               ErrorKind::invalid_argument,
               "one vocabulary",
               "300",
               "70");
  const Tokenizer tiny = Tokenizer::load(QWEN3_SOURCE_DIR "/tests/data/tiny_tokenizer");
  EXPECT_ERROR(check_same_vocabulary(*tokenizer_, tiny), ErrorKind::invalid_argument, "token ");
  EXPECT_NO_THROW(check_same_vocabulary(*tokenizer_, *tokenizer_));
}

TEST_F(Measured, HostileFiles) {
  const test::TempDir directory;
  const auto read = [&](const std::filesystem::path& file) { read_text_ids(file, *tokenizer_); };
  EXPECT_ERROR(read(directory.write("empty", "")),
               ErrorKind::invalid_argument,
               "at least 2 tokens",
               "got 0");
  EXPECT_ERROR(read(directory.write("short", "a")),
               ErrorKind::invalid_argument,
               "at least 2 tokens",
               "got 1");
  EXPECT_ERROR(read(directory.write("latin1", "caf\xe9 au lait")),
               ErrorKind::invalid_argument,
               "expected UTF-8",
               "offset 3");
  EXPECT_ERROR(read(directory.path()), ErrorKind::not_found, directory.path().string());
  EXPECT_ERROR(read(directory.path() / "none"), ErrorKind::not_found, "none");
}

TEST(LogitStream, RowsFromTheMiddleAreTheSame) {
  const auto model = Model::load(QWEN3_SOURCE_DIR "/tests/data/models/dense");
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 60; ++i) ids.push_back(i * 37 % 300);
  LogitStream whole(model, ids);
  const auto all = whole.next();
  ASSERT_TRUE(all && all->n_rows == 60);
  for (const int64_t first : {1, 17, 59}) {
    LogitStream part(model, ids, first);
    const auto rows = part.next();
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->first_row, first);
    EXPECT_EQ(rows->n_rows, 60 - first);
    for (int64_t i = 0; i < rows->n_rows; ++i) {
      for (size_t v = 0; v < rows->row(i).size(); ++v) {
        ASSERT_NEAR(rows->row(i)[v], all->row(first + i)[v], 1e-4);
      }
    }
    EXPECT_FALSE(part.next());
  }
  EXPECT_ERROR(LogitStream(model, ids, 60), ErrorKind::invalid_argument, "first_row");
  EXPECT_ERROR(LogitStream(model, ids, -1), ErrorKind::invalid_argument, "first_row");
  EXPECT_ERROR(LogitStream(model, {}), ErrorKind::invalid_argument, "ids");
}

}  // namespace
}  // namespace qwen3

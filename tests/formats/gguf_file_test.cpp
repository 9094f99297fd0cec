// The container: what is read, and every way in which a file can lie about itself.
#include "formats/gguf_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/expect_error.h"
#include "support/gguf_writer.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

using test::GgufValue;
using test::GgufWriter;
constexpr auto kCorrupt = ErrorKind::corrupt_file;
constexpr auto kUnsupported = ErrorKind::unsupported;

// Two keys of each kind, three tensors.
GgufWriter small() {
  GgufWriter gguf;
  gguf.u32("general.alignment", 32).string("general.architecture", "qwen3");
  gguf.strings("words", {"one", "", "drei"}).f32("eps", 1e-6F).boolean("yes", true);
  gguf.array("types", GgufValue::i32, std::vector<int32_t>{1, -3, 4});
  gguf.tensor("a.weight", {2, 32}, test::kQ8_0, std::string(68, '\1'));
  gguf.tensor("b.weight", {5}, test::kF32, std::string(20, '\2'));
  gguf.tensor("c.weight", {2, 3, 4}, test::kBF16, std::string(48, '\3'));
  return gguf;
}

class GgufFileTest : public testing::Test {
 protected:
  GgufFile open(std::string_view bytes) const { return GgufFile(dir_.write("m.gguf", bytes)); }
  GgufFile open(GgufWriter gguf) const { return open(gguf.file()); }
  test::TempDir dir_;
};

TEST_F(GgufFileTest, TensorsAreFoundWithTheirDimensionsTurnedRound) {
  for (const uint32_t version : {2U, 3U}) {
    GgufWriter gguf(version);
    gguf.tensor("a.weight", {2, 32}, test::kQ8_0, std::string(68, '\1'));
    gguf.tensor("c.weight", {2, 3, 4}, test::kBF16, std::string(48, '\3'));
    const GgufFile file = open(gguf);
    ASSERT_EQ(file.tensors().size(), 2U);
    const GgufTensor &a = file.tensors()[0], &c = file.tensors()[1];
    EXPECT_EQ(a.name, "a.weight");
    EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 32}));
    EXPECT_EQ(a.type->name, "Q8_0");
    EXPECT_EQ(a.type->weight_type, WeightType::q8_0);
    EXPECT_EQ(a.n_bytes, 68);
    EXPECT_EQ(c.shape, (std::vector<int64_t>{2, 3, 4}));
    EXPECT_EQ(c.begin, a.begin + 96);
    std::string bytes(48, '\0');
    file.file().read(c.begin, std::as_writable_bytes(std::span(bytes)));
    EXPECT_EQ(bytes, std::string(48, '\3'));
  }
}

TEST_F(GgufFileTest, EveryWidthOfAnInteger) {
  GgufWriter gguf;
  gguf.number("u8", GgufValue::u8, uint8_t{200}).number("i8", GgufValue::i8, int8_t{-2});
  gguf.number("u16", GgufValue::u16, uint16_t{60000}).number("i16", GgufValue::i16, int16_t{-300});
  gguf.u32("u32", 4'000'000'000U).number("i32", GgufValue::i32, int32_t{-5});
  gguf.number("u64", GgufValue::u64, uint64_t{1} << 40).number("i64", GgufValue::i64, int64_t{-7});
  gguf.number("huge", GgufValue::u64, ~uint64_t{0}).f32("f32", 3);
  const GgufFile file = open(gguf);
  constexpr GgufFile::IntRange kAll = {std::numeric_limits<int64_t>::min(),
                                       std::numeric_limits<int64_t>::max()};
  EXPECT_EQ(file.integer("u8", kAll), 200);
  EXPECT_EQ(file.integer("i8", kAll), -2);
  EXPECT_EQ(file.integer("u16", kAll), 60000);
  EXPECT_EQ(file.integer("i16", kAll), -300);
  EXPECT_EQ(file.integer("u32", kAll), 4'000'000'000);
  EXPECT_EQ(file.integer("i32", kAll), -5);
  EXPECT_EQ(file.integer("u64", kAll), int64_t{1} << 40);
  EXPECT_EQ(file.integer("i64", kAll), -7);
  EXPECT_EQ(file.integer("none", kAll), std::nullopt);
  EXPECT_EQ(file.integers("u8", kAll, 1), std::vector<int64_t>{200});
  EXPECT_ERROR(file.integer("huge", kAll),
               kCorrupt,
               "m.gguf: huge: expected an integer from",
               "got 18446744073709551615");
  EXPECT_ERROR(
      file.integer("u8", {0, 100}), kCorrupt, "u8: expected an integer from 0 to 100, got 200");
  EXPECT_ERROR(file.integer("f32", kAll), kCorrupt, "f32: expected an integer", "got 3");
}

TEST_F(GgufFileTest, OtherValues) {
  GgufWriter gguf = small();
  gguf.number("f64", GgufValue::f64, 0.5)
      .f32("nan", NAN)
      .number("maybe", GgufValue::boolean, uint8_t{2});
  gguf.string("bad", "a\xff");
  gguf.strings("bads", {"a", "\xc3"});
  const GgufFile file = open(gguf);
  EXPECT_EQ(file.real("eps"), 1e-6) << "and not 9.99999997e-7";
  EXPECT_EQ(file.real("f64"), 0.5);
  EXPECT_EQ(file.boolean("yes"), true);
  EXPECT_EQ(file.string("general.architecture", 10), "qwen3");
  EXPECT_EQ(file.integers("types", {-5, 5}, 3), (std::vector<int64_t>{1, -3, 4}));
  const auto words = file.strings("words", 31);
  ASSERT_TRUE(words.has_value());
  ASSERT_EQ(words->size(), 3U);
  EXPECT_EQ((*words)[0], "one");
  EXPECT_EQ((*words)[1], "");
  EXPECT_EQ((*words)[2], "drei");
  EXPECT_EQ(file.strings("none", 31).has_value(), false);
  EXPECT_ERROR(file.real("nan"), kCorrupt, "nan: expected a finite");
  EXPECT_ERROR(file.real("types"), kCorrupt, "got an array of 3 int32");
  EXPECT_ERROR(file.boolean("maybe"), kCorrupt, "maybe: expected a boolean, 0 or 1, got 2");
  EXPECT_ERROR(file.string("general.architecture", 4), kCorrupt, "at most 4 bytes, got \"qwen3\"");
  EXPECT_ERROR(file.string("eps", 4), kCorrupt, "eps: expected a string");
  EXPECT_ERROR(file.string("bad", 4), kCorrupt, "bad: expected well-formed UTF-8");
  EXPECT_ERROR(file.strings("bads", 99), kCorrupt, "well-formed UTF-8 in string 1");
  EXPECT_ERROR(
      file.strings("words", 30), kCorrupt, "at most 30 bytes of strings, got an array of 3 string");
  EXPECT_ERROR(file.strings("types", 6), kCorrupt, "an array of strings, got an array of 3 int32");
  EXPECT_ERROR(file.integers("words", {0, 1}, 5), kCorrupt, "words: expected integers");
  EXPECT_ERROR(file.integers("types", {0, 1}, 2), kCorrupt, "types: expected at most 2 integers");
}

TEST_F(GgufFileTest, VersionsAndByteOrder) {
  EXPECT_ERROR(open(GgufWriter(1)), kUnsupported, "version: expected 2 or 3, got 1");
  EXPECT_ERROR(open(GgufWriter(4)), kUnsupported, "version: expected 2 or 3, got 4");
  EXPECT_ERROR(open(GgufWriter(3U << 24)), kUnsupported, "a big-endian one");
  EXPECT_ERROR(open("GGML1234"), kCorrupt, "begins with \"GGML\"");
  EXPECT_ERROR(open(""), kCorrupt, "expected 4 more bytes, got 0");
}

// T-G2.
TEST_F(GgufFileTest, CutAtEveryByte) {
  const std::string whole = small().file();
  const size_t padding = 16;  // behind the last tensor
  for (size_t n = 0; n < whole.size() - padding; ++n) {
    EXPECT_ERROR(open(std::string_view(whole).substr(0, n)), kCorrupt, "m.gguf: ");
  }
  EXPECT_EQ(open(std::string_view(whole).substr(0, whole.size() - padding)).tensors().size(), 3U);
}

// T-G1: whatever stands in a count, a length, a type or an offset, the answer is an Error or a file
// whose tensors lie inside it.
TEST_F(GgufFileTest, HostileNumbersInEveryField) {
  GgufWriter gguf = small();
  const std::string whole = gguf.file();
  const std::vector<uint64_t> numbers = {0,
                                         1,
                                         (uint64_t{1} << 31) - 1,
                                         uint64_t{1} << 31,
                                         (uint64_t{1} << 32) - 1,
                                         uint64_t{1} << 32,
                                         (uint64_t{1} << 63) - 1,
                                         uint64_t{1} << 63,
                                         ~uint64_t{0} - 7,
                                         ~uint64_t{0}};
  int n_refused = 0, n_accepted = 0;
  ASSERT_GT(gguf.fields().size(), 30U);
  for (const GgufWriter::Field& field : gguf.fields()) {
    for (const uint64_t number : numbers) {
      std::string bytes = whole;
      std::memcpy(bytes.data() + field.offset, &number, static_cast<size_t>(field.n_bytes));
      if (bytes == whole) continue;
      try {
        const GgufFile file = open(bytes);
        ++n_accepted;
        for (const GgufTensor& tensor : file.tensors()) {
          ASSERT_GE(tensor.begin, 24) << field.what;
          ASSERT_GT(tensor.n_bytes, 0) << field.what;
          ASSERT_LE(tensor.begin + tensor.n_bytes, static_cast<int64_t>(bytes.size()))
              << field.what;
        }
        // What may be another number and still a file: types of the same size, smaller tensors, an
        // alignment or an offset that moves nothing onto another.
        const bool harmless = field.what == "dimension" || field.what == "tensor type" ||
                              field.what == "value type" || field.what == "element type" ||
                              field.what == "number of tensors" || field.what == "offset";
        EXPECT_TRUE(harmless) << field.what << " = " << number;
      } catch (const Error& e) {
        ++n_refused;
        EXPECT_TRUE(e.kind() == kCorrupt || e.kind() == kUnsupported) << e.what();
      }
    }
  }
  EXPECT_GT(n_refused, 300);
  EXPECT_LT(n_accepted, 40);
}

// T-G3.
TEST_F(GgufFileTest, ProductsThatOverflow) {
  const auto with_shape = [](std::vector<int64_t> shape, uint32_t type) {
    return GgufWriter().tensor("t", std::move(shape), type, std::string(64, '\0'));
  };
  const int64_t big = (int64_t{1} << 42) + 1;
  for (const uint32_t type : {uint32_t{test::kF32}, uint32_t{test::kQ8_0}}) {
    EXPECT_ERROR(
        open(with_shape({big, 32 * big}, type)), kCorrupt, "tensor t: expected dimensions");
    EXPECT_ERROR(
        open(with_shape({int64_t{1} << 32, int64_t{1} << 32}, type)), kCorrupt, "dimensions");
    EXPECT_ERROR(
        open(with_shape({2, int64_t{1} << 31, int64_t{1} << 32}, type)), kCorrupt, "dimensions");
    EXPECT_ERROR(open(with_shape({int64_t{1} << 61}, type)), kCorrupt, "tensor t: expected");
  }
  // Two tensors whose sizes together wrap to what there is.
  GgufWriter two;
  const int64_t half = int64_t{1} << 61;
  two.tensor("a", {half - 16}, test::kBF16, std::string(64, '\0'));
  two.tensor("b", {half + 16}, test::kBF16, std::string(64, '\0'));
  EXPECT_ERROR(open(two), kCorrupt, "tensor a: expected its", "bytes to end within the file's");
}

// T-G4.
TEST_F(GgufFileTest, Alignment) {
  constexpr const char* kKey = "general.alignment";
  for (const uint64_t bad :
       {uint64_t{0}, uint64_t{3}, uint64_t{65537}, uint64_t{1} << 31, uint64_t{1} << 63}) {
    EXPECT_ERROR(open(small().without(kKey).number(kKey, GgufValue::u64, bad)),
                 kCorrupt,
                 "general.alignment: expected ");
  }
  EXPECT_ERROR(
      open(small().without(kKey).f32(kKey, 32)), kCorrupt, "an integer from 1 to 1048576, got 32");
  EXPECT_ERROR(open(small().without(kKey).string(kKey, "32")), kCorrupt, "got \"32\"");
  EXPECT_ERROR(open(small().without(kKey).boolean(kKey, true)), kCorrupt, "got true");
  EXPECT_ERROR(open(small().without(kKey).array(kKey, GgufValue::u32, std::vector<uint32_t>{32})),
               kCorrupt,
               "got an array of 1 uint32");
  EXPECT_EQ(open(small().without(kKey)).tensors().size(), 3U) << "32 when absent";
  GgufWriter page = small().without(kKey).u32(kKey, 4096);
  const GgufFile file = open(page.file(4096));
  EXPECT_EQ(file.tensors()[0].begin, 4096);
  EXPECT_EQ(file.tensors()[1].begin, 8192);
  std::string unaligned = small().without(kKey).u32(kKey, 4096).file();
  unaligned.resize(8192);
  EXPECT_ERROR(open(unaligned),
               kCorrupt,
               "tensor b.weight: expected an offset that is a multiple of 4096",
               "got 96");
}

TEST_F(GgufFileTest, NamesAndDimensions) {
  EXPECT_ERROR(open(small().u32("eps", 1)), kCorrupt, "eps: expected every key once");
  EXPECT_ERROR(open(small().u32("", 1)), kCorrupt, "expected 1 to 1024 bytes, got 0");
  EXPECT_ERROR(
      open(small().u32(std::string(1025, 'k'), 1)), kCorrupt, "expected 1 to 1024 bytes, got 1025");
  EXPECT_ERROR(open(small().tensor("b.weight", {1}, 0, "1234")),
               kCorrupt,
               "tensor b.weight: expected every tensor once");
  EXPECT_ERROR(open(small().tensor("", {1}, 0, "1234")), kCorrupt, "expected 1 to 63 bytes, got 0");
  EXPECT_ERROR(open(small().tensor(std::string(64, 'n'), {1}, 0, "1234")), kCorrupt, "got 64");
  EXPECT_ERROR(open(small().tensor("t", {}, 0, "1234")),
               kCorrupt,
               "tensor t: expected 1 to 4 dimensions, got 0");
  EXPECT_ERROR(open(small().tensor("t", {1, 1, 1, 1, 1}, 0, "1234")), kCorrupt, "got 5");
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{0}, {0, 4}, {4, 0}, {0, 4, 4}, {4, 0, 4}, {4, 4, 0}}) {
    EXPECT_ERROR(open(small().tensor("t", shape, 0, "")), kCorrupt, "dimensions above 0");
  }
  EXPECT_ERROR(open(small().tensor("t", {2, 48}, test::kQ8_0, std::string(102, 'q'))),
               kCorrupt,
               "a multiple of 32 for Q8_0, got 48 x 2");
  EXPECT_ERROR(open(small().tensor("t", {1}, 4, "1234")),
               kUnsupported,
               "tensor t: expected a type of ggml's, got number 4");
  EXPECT_ERROR(open(small().tensor("t", {1}, 137, "1234")), kUnsupported, "got number 137");
  const GgufFile file = open(small().tensor("t", {256}, test::kIQ2_XXS, std::string(66, 'q')));
  EXPECT_EQ(file.tensors()[3].type->name, "IQ2_XXS");
  EXPECT_EQ(file.tensors()[3].type->weight_type, std::nullopt);
}

// T-G5. A gap is no lie.
TEST_F(GgufFileTest, Extents) {
  GgufWriter gguf = small();
  const std::string whole = gguf.file();
  std::vector<size_t> offsets;
  for (const auto& field : gguf.fields()) {
    if (field.what == "offset") offsets.push_back(field.offset);
  }
  ASSERT_EQ(offsets.size(), 3U);
  const auto with_offset = [&](size_t tensor, uint64_t offset) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + offsets[tensor], &offset, 8);
    return bytes;
  };
  EXPECT_ERROR(open(with_offset(1, 97)),
               kCorrupt,
               "tensor b.weight: expected an offset that is a multiple of 32",
               "got 97");
  EXPECT_ERROR(open(with_offset(1, 64)),
               kCorrupt,
               "tensor b.weight: expected bytes of its own, got some of tensor a.weight");
  EXPECT_ERROR(open(with_offset(2, 1 << 20)),
               kCorrupt,
               "tensor c.weight: expected its 48 bytes to end within");
  EXPECT_ERROR(
      open(with_offset(2, ~uint64_t{0} - 31)), kCorrupt, "tensor c.weight", "2^63 or more");
  EXPECT_ERROR(open(with_offset(2, (uint64_t{1} << 63) - 32)),
               kCorrupt,
               "tensor c.weight: expected an offset");
  std::string gap = with_offset(2, 160);
  gap.resize(gap.size() + 32);
  EXPECT_EQ(open(gap).tensors()[2].begin, open(whole).tensors()[2].begin + 32);
  EXPECT_EQ(open(whole + "a tail").tensors().size(), 3U);
}

TEST_F(GgufFileTest, ArraysThatClaimMoreThanThereIs) {
  GgufWriter nested;
  nested.array("a", GgufValue::array, std::vector<uint64_t>{1, 2});
  EXPECT_ERROR(
      open(nested), kCorrupt, "a: expected an array of numbers or strings, got one of arrays");
  GgufWriter unknown;
  unknown.value("a", static_cast<GgufValue>(13), "12345678");
  EXPECT_ERROR(open(unknown), kCorrupt, "a: expected a value type from 0 to 12, got 13");
  // A sparse file of 1 TiB whose only string is all of it.
  GgufWriter sparse;
  sparse.string("s", "x");
  std::string bytes = sparse.file();
  const uint64_t length = uint64_t{1} << 39;
  std::memcpy(bytes.data() + sparse.fields().back().offset, &length, 8);
  const auto path = dir_.write("m.gguf", bytes);
  std::filesystem::resize_file(path, uint64_t{1} << 40);
  EXPECT_ERROR(
      GgufFile file(path), kCorrupt, "s: expected the header to end within 268435456 bytes");
}

// Values are read when they are asked for: from the same file, or not at all.
TEST_F(GgufFileTest, AFileThatChanges) {
  const GgufFile file = open(small());
  std::string other = small().file();
  other += "longer";
  dir_.write("m.gguf", other);
  EXPECT_ERROR(file.strings("words", 100), kCorrupt, "changed while it was read");
  EXPECT_ERROR(file.string("general.architecture", 100), kCorrupt, "changed while it was read");
}

}  // namespace
}  // namespace qwen3

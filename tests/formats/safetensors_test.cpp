// The verdicts of the table were taken from the Rust reference reader (safetensors 0.8.0, called
// from Python). Where we differ on purpose, `rust` says what it does.
#include "formats/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cstring>
#include <string>

#include "base/input_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace qwen3 {
namespace {

constexpr auto kCorrupt = ErrorKind::corrupt_file;

std::string file_of(std::string_view header, std::string_view data, uint64_t length) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(length >> 8 * i & 0xFF);
  return file.append(header).append(data);
}

std::string file_of(std::string_view header, std::string_view data = {}) {
  return file_of(header, data, header.size());
}

std::vector<SafetensorsEntry> parse(std::string_view file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "f");
}

bool accepts(std::string_view file) {
  try {
    parse(file);
    return true;
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.kind()), static_cast<int>(kCorrupt)) << e.what();
    EXPECT_EQ(std::string(e.what()).substr(0, 3), "f: ");
    return false;
  }
}

// {"dtype":"U8","shape":[SHAPE],"data_offsets":[OFFSETS]}
std::string u8(std::string_view shape, std::string_view offsets) {
  return "{\"dtype\":\"U8\",\"shape\":[" + std::string(shape) + "],\"data_offsets\":[" +
         std::string(offsets) + "]}";
}

// {"a":ENTRY}
std::string a(std::string_view entry) { return "{\"a\":" + std::string(entry) + "}"; }

std::string typed(std::string_view dtype, std::string_view shape, int end) {
  return a("{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":[" + std::string(shape) +
           "],\"data_offsets\":[0," + std::to_string(end) + "]}");
}

std::string nested(size_t depth) {
  return a("{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"x\":" +
           std::string(depth, '[') + std::string(depth, ']') + "}");
}

TEST(Safetensors, AgreesWithTheReferenceReader) {
  struct Case {
    const char* what;
    std::string file;
    bool accepted;
  };
  const std::string ok = u8("2", "0,2");
  const std::vector<Case> cases = {
      {"one tensor", file_of(a(ok), "12"), true},
      {"no tensors", file_of("{}"), true},
      {"white space after", file_of("{}\n\t  "), true},
      {"metadata", file_of("{\"__metadata__\":{\"format\":\"pt\"},\"a\":" + ok + "}", "12"), true},
      {"metadata last", file_of("{\"a\":" + ok + ",\"__metadata__\":{}}", "12"), true},
      {"metadata null", file_of("{\"__metadata__\":null}"), true},
      {"metadata key twice", file_of("{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}"), true},
      {"unknown key",
       file_of(a("{\"x\":{\"y\":[1,{\"z\":null}],\"dtype\":-1.5},\"dtype\":\"U8\","
                 "\"shape\":[2],\"data_offsets\":[0,2]}"),
               "12"),
       true},
      {"unknown scalar keys",
       file_of(a("{\"x\":null,\"y\":true,\"z\":\"\",\"w\":-1,\"v\":0.5,\"u\":7,"
                 "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}"),
               "12"),
       true},
      {"125 levels", file_of(nested(125), "12"), true},
      {"any order",
       file_of("{\"b\":" + u8("1", "1,2") + ",\"a\":" + u8("1", "0,1") + "}", "12"),
       true},
      {"scalar", file_of(a(u8("", "0,1")), "1"), true},
      {"zero dimension", file_of(a(u8("0,5", "0,0"))), true},
      {"two empty tensors",
       file_of("{\"a\":" + u8("0", "0,0") + ",\"b\":" + u8("0", "0,0") + "}"),
       true},
      {"empty name", file_of("{\"\":" + ok + "}", "12"), true},
      {"F4", file_of(typed("F4", "4", 2), "12"), true},
      {"F6", file_of(typed("F6_E2M3", "4", 3), "123"), true},
      {"C64", file_of(typed("C64", "1", 8), "12345678"), true},
      {"F8 variants", file_of(typed("F8_E4M3FNUZ", "1", 1), "1"), true},
      {"E8M0", file_of(typed("F8_E8M0", "1", 1), "1"), true},

      {"empty file", "", false},
      {"seven bytes", "1234567", false},
      {"header length 0", file_of(""), false},
      {"header longer than file", file_of("{}", "", 3), false},
      {"header length 100,000,001", file_of("{}", "", 100'000'001), false},
      {"header length 2^63", file_of("{}", "", uint64_t{1} << 63), false},
      {"header length 2^64-1", file_of("{}", "", ~uint64_t{0}), false},
      {"header length 2^64-8", file_of("{}", "", ~uint64_t{0} - 7), false},
      {"array", file_of("[]"), false},
      {"byte order mark", file_of("\xEF\xBB\xBF{}"), false},
      {"NUL padding", file_of(std::string_view("{}\0\0", 4)), false},
      {"two objects", file_of("{}{}"), false},
      {"metadata number", file_of("{\"__metadata__\":{\"a\":1}}"), false},
      {"metadata null value", file_of("{\"__metadata__\":{\"a\":null}}"), false},
      {"metadata nested", file_of("{\"__metadata__\":{\"a\":{}}}"), false},
      {"metadata array", file_of("{\"__metadata__\":[]}"), false},
      {"metadata string", file_of("{\"__metadata__\":\"x\"}"), false},
      {"metadata twice", file_of("{\"__metadata__\":{},\"__metadata__\":{}}"), false},
      {"key twice",
       file_of(a("{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}"), "12"),
       false},
      {"no dtype", file_of(a("{\"shape\":[2],\"data_offsets\":[0,2]}"), "12"), false},
      {"no shape", file_of(a("{\"dtype\":\"U8\",\"data_offsets\":[0,2]}"), "12"), false},
      {"no offsets", file_of(a("{\"dtype\":\"U8\",\"shape\":[2]}"), "12"), false},
      {"entry null", file_of(a("null")), false},
      {"entry number", file_of(a("1")), false},
      {"entry string", file_of(a("\"U8\"")), false},
      {"dtype number",
       file_of(a("{\"dtype\":8,\"shape\":[2],\"data_offsets\":[0,2]}"), "12"),
       false},
      {"dtype null",
       file_of(a("{\"dtype\":null,\"shape\":[2],\"data_offsets\":[0,2]}"), "12"),
       false},
      {"shape number",
       file_of(a("{\"dtype\":\"U8\",\"shape\":2,\"data_offsets\":[0,2]}"), "12"),
       false},
      {"shape nested", file_of(a(u8("[2]", "0,2")), "12"), false},
      {"shape string", file_of(a(u8("\"2\"", "0,2")), "12"), false},
      {"shape null", file_of(a(u8("null", "0,2")), "12"), false},
      {"shape object", file_of(a(u8("{}", "0,2")), "12"), false},
      {"three offsets", file_of(a(u8("2", "0,2,2")), "12"), false},
      {"one offset", file_of(a(u8("2", "0")), "12"), false},
      {"no offset", file_of(a(u8("2", "")), "12"), false},
      {"fraction", file_of(a(u8("2", "0,2.0")), "12"), false},
      {"exponent", file_of(a(u8("2", "0,2e0")), "12"), false},
      {"minus zero", file_of(a(u8("2", "-0,2")), "12"), false},
      {"negative dimension", file_of(a(u8("-2", "0,2")), "12"), false},
      {"bool in shape", file_of(a(u8("true", "0,1")), "1"), false},
      {"tail", file_of(a(ok), "123"), false},
      {"data cut", file_of(a(ok), "1"), false},
      {"data without tensors", file_of("{}", "1"), false},
      {"hole",
       file_of("{\"a\":" + u8("1", "0,1") + ",\"b\":" + u8("1", "2,3") + "}", "123"),
       false},
      {"overlap", file_of("{\"a\":" + ok + ",\"b\":" + u8("2", "1,3") + "}", "123"), false},
      {"same bytes twice", file_of("{\"a\":" + ok + ",\"b\":" + ok + "}", "12"), false},
      {"not from 0", file_of(a(u8("1", "1,2")), "12"), false},
      {"end before begin",
       file_of("{\"a\":" + u8("0", "0,0") + ",\"b\":" + u8("1", "1,0") + "}"),
       false},
      {"past the end", file_of(a(u8("3", "0,3")), "12"), false},
      {"size too small", file_of(a(u8("3", "0,2")), "12"), false},
      {"size too large", file_of(a(u8("1", "0,2")), "12"), false},
      {"offset 2^64-1", file_of(a(u8("2", "0,18446744073709551615")), "12"), false},
      {"offset 2^64", file_of(a(u8("2", "0,18446744073709551616")), "12"), false},
      {"offset 2^63-1",
       file_of(a(u8("9223372036854775807", "0,9223372036854775807")), "12"),
       false},
      {"product wraps to 0", file_of(a(u8("4294967296,4294967296", "0,0"))), false},
      {"product wraps to 2", file_of(typed("U8", "2,9223372036854775809", 2), "12"), false},
      {"overflow before a zero", file_of(a(u8("4611686018427387904,4,0", "0,0"))), false},
      {"bytes wrap", file_of(typed("F64", "2305843009213693952", 0)), false},
      {"unknown dtype", file_of(typed("X8", "2", 2), "12"), false},
      {"lower case dtype", file_of(typed("u8", "2", 2), "12"), false},
      {"half a byte", file_of(typed("F4", "3", 2), "12"), false},
      {"ill-formed UTF-8", file_of("{\"\xFF\":" + ok + "}", "12"), false},
      {"lone surrogate", file_of("{\"\\ud800\":" + ok + "}", "12"), false},
      {"126 levels", file_of(nested(126), "12"), false},
      {"number beyond double",
       file_of(a("{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2],\"x\":1e400}"), "12"),
       false},
  };
  for (const Case& c : cases) EXPECT_EQ(accepts(c.file), c.accepted) << c.what;
}

// The reference accepts these; the format's text, or plain sense, does not. No writer makes them.
TEST(Safetensors, IsStricterInFivePoints) {
  const std::string ok = u8("2", "0,2");
  EXPECT_FALSE(accepts(file_of(" {}")));
  EXPECT_FALSE(accepts(file_of("{\"a\":" + ok + ",\"a\":" + ok + "}", "12")));
  EXPECT_FALSE(accepts(file_of(a("[\"U8\",[2],[0,2]]"), "12")));
  EXPECT_FALSE(accepts(file_of(a(u8("4611686018427387904,2,0", "0,0")))));
  std::string ones = "1";
  for (int i = 0; i < 63; ++i) ones += ",1";
  EXPECT_TRUE(accepts(file_of(a(u8(ones, "0,1")), "1")));
  EXPECT_FALSE(accepts(file_of(a(u8(ones + ",1", "0,1")), "1")));
  const auto empty_tensors = [](int n) {
    std::string header = "{\"0\":" + u8("0", "0,0");
    for (int i = 1; i < n; ++i) header += ",\"" + std::to_string(i) + "\":" + u8("0", "0,0");
    return file_of(header + "}");
  };
  EXPECT_TRUE(accepts(empty_tensors(131'072)));
  EXPECT_FALSE(accepts(empty_tensors(131'073)));
}

TEST(Safetensors, ReturnsTheTableInFileOrder) {
  const std::string header =
      R"({"w":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
  const auto entries = parse(file_of(header, std::string(16, 'x')));
  ASSERT_EQ(entries.size(), 2u);
  const auto data = static_cast<int64_t>(8 + header.size());
  EXPECT_EQ(entries[0].name, "b");
  EXPECT_EQ(entries[0].shape, std::vector<int64_t>{});
  EXPECT_EQ(entries[0].begin, data);
  EXPECT_EQ(entries[1].name, "w");
  EXPECT_EQ(entries[1].dtype, "BF16");
  EXPECT_EQ(entries[1].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(entries[1].begin, data + 4);
  EXPECT_EQ(entries[1].end, data + 16);
}

TEST(Safetensors, MessagesNameTheTensor) {
  EXPECT_ERROR(parse(file_of(a(u8("3", "0,2")), "12")),
               kCorrupt,
               "f: tensor a",
               "expected 3 bytes",
               "got 2");
  EXPECT_ERROR(
      parse(file_of(typed("X8", "2", 2), "12")), kCorrupt, "tensor a: unknown dtype \"X8\"");
  EXPECT_ERROR(
      parse(file_of(a(u8("1", "1,2")), "12")), kCorrupt, "tensor a", "begin at 0", "[1, 2]");
  EXPECT_ERROR(
      parse(file_of(a(u8("2", "0,2")), "123")), kCorrupt, "expected 2 bytes of tensor data, got 3");
  EXPECT_ERROR(parse(file_of(a("{\"shape\":[2]}"))), kCorrupt, "tensor a", "\"dtype\"");
  EXPECT_ERROR(
      parse(file_of("{\"a\\n\":5}")), kCorrupt, "a\\x0a: expected an object, got a number");
}

// T-S2: files that are two things at once, and the shapes of the upstream project's attack scripts.
TEST(Safetensors, RefusesPolyglotsAndAttacks) {
  const std::string good = file_of(a(u8("2", "0,2")), "12");
  EXPECT_FALSE(accepts(good + std::string("PK\x05\x06", 4) + std::string(18, '\0')));  // a zip tail
  EXPECT_FALSE(accepts("PK\x03\x04" + good));
  EXPECT_FALSE(accepts(file_of("{\"a\":" + u8("1", "0,1") + ",\"b\":" + u8("1", "30,31") + "}",
                               std::string(31, 'z'))));
  std::string many = "{";  // thousands of tensors over the same bytes
  for (int i = 0; i < 10'000; ++i)
    many += (i ? ",\"w" : "\"w") + std::to_string(i) + "\":" + u8("2,2", "0,4");
  EXPECT_FALSE(accepts(file_of(many + "}", "1234")));
  EXPECT_FALSE(accepts(file_of("{\"a\":", "", 99'999'999)));
  EXPECT_FALSE(accepts(file_of(typed("F64", "1000000000,1000000000", 8), "12345678")));
  EXPECT_FALSE(accepts(file_of(std::string(1 << 20, '{'))));
  EXPECT_FALSE(accepts(file_of(a(std::string(1 << 20, '[')))));
}

std::string small_file() {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w.one":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("w.two":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"e":{"dtype":"I64","shape":[0],"data_offsets":[16,16]}}  )";
  return file_of(header, "abcdefghijklmnop");
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file = small_file();
  ASSERT_TRUE(accepts(file));
  for (size_t n = 0; n < file.size(); ++n)
    EXPECT_FALSE(accepts(std::string_view(file).substr(0, n))) << n;
}

// F2: a flipped bit is refused, or changes nothing but the letters of a name.
TEST(Safetensors, EveryBitFlipIsRefusedOrHarmless) {
  const std::string file = small_file();
  const auto expected = parse(file);
  int n_accepted = 0;
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    std::vector<SafetensorsEntry> entries;
    try {
      entries = parse(flipped);
    } catch (const Error&) {
      continue;
    }
    ++n_accepted;
    ASSERT_EQ(entries.size(), expected.size()) << bit;
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].dtype, expected[i].dtype) << bit;
      EXPECT_EQ(entries[i].shape, expected[i].shape) << bit;
      EXPECT_EQ(entries[i].begin, expected[i].begin) << bit;
      EXPECT_EQ(entries[i].end, expected[i].end) << bit;
      const size_t name = file.find('"' + expected[i].name + '"') + 1;
      const bool in_name = name <= bit / 8 && bit / 8 < name + expected[i].name.size();
      if (!in_name) {
        EXPECT_EQ(entries[i].name, expected[i].name) << bit;
      }
    }
  }
  EXPECT_GE(n_accepted, 16 * 8);  // all flips of the data
}

// F5: what a hostile header makes us hold is bounded by a small multiple of its size.
TEST(Safetensors, AHostileHeaderCostsLittleMemory) {
  const auto peak_bytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} * 1024;
  };
  std::string zeros = "0";
  for (int i = 0; i < 4'000'000; ++i) zeros += ",0";
  const std::string file =
      file_of("{\"a\":{\"x\":[" + zeros + "],\"dtype\":\"U8\",\"shape\":[" + zeros + "]}}");
  const int64_t before = peak_bytes();
  EXPECT_FALSE(accepts(file));
  EXPECT_LE(peak_bytes() - before, 64 << 20);
}

TEST(Safetensors, WriterAndReaderAgree) {
  const test::TempDir dir;
  const std::string path = (dir.path() / "x.safetensors").string();
  const std::array<float, 3> floats = {1, 2, 3};
  const std::array<uint16_t, 2> halves = {0x3F80, 0x4000};
  const std::array<SafetensorsTensor, 3> tensors = {{
      {"a \"quoted\"", DType::f32, {3, 1}, std::as_bytes(std::span(floats))},
      {"b", DType::bf16, {2}, std::as_bytes(std::span(halves))},
      {"empty", DType::f16, {0, 4}, {}},
  }};
  const std::array<std::pair<std::string, std::string>, 1> metadata = {{{"format", "pt"}}};
  write_safetensors(path, tensors, metadata);
  const std::string file = read_text_file(path, 10'000);
  const auto entries = read_safetensors(InputFile(path));
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "a \"quoted\"");
  EXPECT_EQ(entries[0].begin % 8, 0);
  EXPECT_EQ(entries[0].shape, (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(std::memcmp(file.data() + entries[0].begin, floats.data(), 12), 0);
  EXPECT_EQ(entries[1].dtype, "BF16");
  EXPECT_EQ(std::memcmp(file.data() + entries[1].begin, halves.data(), 4), 0);
  EXPECT_EQ(entries[2].dtype, "F16");
  EXPECT_EQ(entries[2].begin, entries[2].end);
  EXPECT_NE(file.find(R"("__metadata__":{"format":"pt"})"), std::string_view::npos);

  const std::array<SafetensorsTensor, 1> wrong = {
      {{"a", DType::f32, {4}, std::as_bytes(std::span(floats))}}};
  EXPECT_ERROR(write_safetensors(path, wrong), kCorrupt, "tensor a", "expected 16 bytes", "got 12");
  const std::array<SafetensorsTensor, 2> twice = {{tensors[1], tensors[1]}};
  EXPECT_ERROR(write_safetensors(path, twice), kCorrupt, "tensor b is listed twice");
  write_safetensors(path, {});
  EXPECT_TRUE(read_safetensors(InputFile(path)).empty());
}

}  // namespace
}  // namespace qwen3

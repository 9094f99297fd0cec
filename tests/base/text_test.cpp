#include "base/text.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace qwen3 {
namespace {

TEST(Text, LowerCaseIsAsciiOnly) {
  EXPECT_EQ(ascii_lower("AZaz09@[`{\xC3\x84"), "azaz09@[`{\xC3\x84");
  EXPECT_EQ(ascii_lower(""), "");
}

TEST(Text, TrimTakesBothEnds) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim("\n a \n"), "\n a \n");
  EXPECT_EQ(trim("\r\n a \n", " \t\r\n"), "a");
}

// The vectors of RFC 4648.
TEST(Text, Base64) {
  const auto of = [](std::string_view text) {
    return base64(std::vector<uint8_t>(text.begin(), text.end()));
  };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("foob"), "Zm9vYg==");
  EXPECT_EQ(of("fooba"), "Zm9vYmE=");
  EXPECT_EQ(of("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::vector<uint8_t>{0xFF, 0xFE, 0xFD, 0}), "//79AA==");
}

TEST(Text, JsonStringsAsPythonWritesThem) {
  std::string out;
  for (const char c : std::string_view("a\"\\/\n\r\t\b\f\x01\x1F\x7F\0", 13))
    append_python_json(out, c);
  EXPECT_EQ(out, "a\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\\u001f\x7F\\u0000");
}

// What repr() of CPython 3.11 prints.
TEST(Text, FloatsAsPythonPrintsThem) {
  EXPECT_EQ(python_float_repr(0), "0.0");
  EXPECT_EQ(python_float_repr(-0.0), "-0.0");
  EXPECT_EQ(python_float_repr(1), "1.0");
  EXPECT_EQ(python_float_repr(-1.5), "-1.5");
  EXPECT_EQ(python_float_repr(0.1), "0.1");
  EXPECT_EQ(python_float_repr(1234.5), "1234.5");
  EXPECT_EQ(python_float_repr(123456789012345), "123456789012345.0");
  EXPECT_EQ(python_float_repr(9999999999999998), "9999999999999998.0");
  EXPECT_EQ(python_float_repr(1e16), "1e+16");
  EXPECT_EQ(python_float_repr(1.25e22), "1.25e+22");
  EXPECT_EQ(python_float_repr(1e100), "1e+100");
  EXPECT_EQ(python_float_repr(0.0001), "0.0001");
  EXPECT_EQ(python_float_repr(0.00012), "0.00012");
  EXPECT_EQ(python_float_repr(0.00001), "1e-05");
  EXPECT_EQ(python_float_repr(-1.5e-7), "-1.5e-07");
  EXPECT_EQ(python_float_repr(5e-324), "5e-324");
  EXPECT_EQ(python_float_repr(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(python_float_repr(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(python_float_repr(std::numeric_limits<double>::quiet_NaN()), "nan");
}

// All that str.isspace() of CPython 3.11 says yes to.
TEST(Text, WhiteSpaceAsPythonSeesIt) {
  int n = 0;
  for (char32_t c = 0; c < 0x110000; ++c) n += python_is_space(c);
  EXPECT_EQ(n, 29);
  for (const char32_t c : {U'\t', U'\r', U' ', U'\x1C', U'\x85', U'\xA0', U'\u2009', U'\u3000'}) {
    EXPECT_TRUE(python_is_space(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {U'\0', U'a', U'\x1B', U'\u200B', U'\uFEFF'}) {
    EXPECT_FALSE(python_is_space(c)) << static_cast<uint32_t>(c);
  }
}

}  // namespace
}  // namespace qwen3

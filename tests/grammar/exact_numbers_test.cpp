// Numbers of a schema that no double holds: kept to the digits that were written, or refused with their place.
#include "grammar/exact_numbers.h"

#include <gtest/gtest.h>

#include "grammar/schema_texts.h"

namespace qwen3 {
namespace {

TEST(ExactNumbers, BoundsBeyond64BitsAreKeptDigitByDigit) {
  expect(R"({"type": "integer", "minimum": 18446744073709551617})",
         {"18446744073709551617", "18446744073709551618"},
         {"18446744073709551616", "18446744073709552000e0", "18446744073709551615"});
  expect(R"({"type": "integer", "maximum": -9223372036854775809})",
         {"-9223372036854775809", "-9223372036854775810"},
         {"-9223372036854775808"});
  expect(R"({"type": "number", "exclusiveMinimum": 0.10000000000000000001, "maximum": 1})",
         {"0.100000000000000000011", "1"},
         {"0.1", "0.10000000000000000001"});
  expect(R"({"type": "number", "maximum": 1.7976931348623157e308})", {"12"}, {});
}

TEST(ExactNumbers, ValuesBeyond64BitsAreKeptDigitByDigit) {
  expect(R"({"const": 123456789012345678901234567890})",
         {"123456789012345678901234567890"},
         {"123456789012345680000000000000", "123456789012345678901234567891"});
  expect(R"({"enum": [36893488147419103233, 0.30000000000000000004]})",
         {"36893488147419103233", "0.30000000000000000004"},
         {"36893488147419103232", "0.3"});
}

TEST(ExactNumbers, WithoutTheTextADoubleIsItsShortestSpelling) {
  const Json schema = parse_json(R"({"const": 18446744073709551617})", "schema");
  EXPECT_TRUE(accepts(*compile_json_schema(schema), "18446744073709552000"));
}

TEST(ExactNumbers, NumbersThatOneDoubleIsReadFromAreRefusedByPlace) {
  expect_refused(R"({"minimum": 18446744073709551617, "maximum": 18446744073709551618})",
                 GrammarFault::unsupported_schema,
                 "/minimum");
  // One that is exact, and another that is rounded to it.
  expect_refused(
      R"({"properties": {"a": {"enum": [1, 18446744073709551617]}, "b": {"const": 18446744073709552000}}})",
      GrammarFault::unsupported_schema,
      "/properties/a/enum/1");
  // The same number twice is one number.
  expect(R"({"minimum": 18446744073709551617, "maximum": 1.8446744073709551617e19})",
         {"18446744073709551617"},
         {"18446744073709551618"});
}

TEST(ExactNumbers, NumbersWithoutEndAreRefusedByPlace) {
  expect_refused("{\"minimum\": 1" + std::string(300, '0') + "." + std::string(900, '3') + "}",
                 GrammarFault::too_complex,
                 "/minimum");
  expect_refused(R"({"items": {"const": 1e-999999999999999999999}})",
                 GrammarFault::too_complex,
                 "/items/const");
  expect_refused(
      R"({"minLength": 2.00000000000000000001})", GrammarFault::invalid_schema, "/minLength");
}

TEST(ExactNumbers, AreNeededByDoublesOnly) {
  EXPECT_FALSE(ExactNumbers::needed_by(parse_json(R"({"a": [1, -2, "1.5", null]})", "value")));
  EXPECT_TRUE(ExactNumbers::needed_by(parse_json(R"({"a": [1, {"b": 1.5}]})", "value")));
  ExactNumbers numbers;
  numbers.add(R"([0.1, 1e3, 2.50, 0.30000000000000004])");
  EXPECT_EQ(numbers.source(), "");
  EXPECT_EQ(numbers.digits(0.1, ""), std::nullopt);
}

}  // namespace
}  // namespace qwen3

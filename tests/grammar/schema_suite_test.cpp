// JSON-Schema-Test-Suite (tests/data/json_schema_suite): with open objects, no invalid instance is a text of the
// grammar; what is refused, and which valid instances are not generated, is counted. SUITE_VERBOSE=1 lists them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

struct Counts {
  int64_t passed = 0;
  int64_t refused = 0;           // the schema is not enforced, and said so
  int64_t wrongly_accepted = 0;  // must be none
  int64_t wrongly_rejected = 0;
};

bool verbose() { return std::getenv("SUITE_VERBOSE") != nullptr; }

void run_group(Counts& counts,
               const std::string& name,
               const Json& group,
               const std::string& draft) {
  Json schema = group.at("schema");
  if (schema.is_object() && !schema.contains("$schema")) schema["$schema"] = draft;
  const std::string what = name + ": " + group.at("description").get<std::string>();
  JsonSchemaOptions options;
  options.open_objects = true;
  GrammarPtr grammar;
  bool unsatisfiable = false;
  try {
    grammar = compile_json_schema(schema, options, {std::chrono::seconds(20)});
  } catch (const GrammarError& e) {
    unsatisfiable = e.fault() == GrammarFault::unsatisfiable_schema;
    if (!unsatisfiable) {
      counts.refused += static_cast<int64_t>(group.at("tests").size());
      if (verbose()) fmt::print("refused   {}: {}\n", what, e.what());
      return;
    }
  }
  for (const Json& test : group.at("tests")) {
    const bool valid = test.at("valid").get<bool>();
    const bool accepted = !unsatisfiable && accepts_in_some_order(*grammar, test.at("data"));
    if (accepted == valid) {
      ++counts.passed;
      continue;
    }
    ++(accepted ? counts.wrongly_accepted : counts.wrongly_rejected);
    if (verbose() || accepted) {
      fmt::print("{} {}: {}\n",
                 accepted ? "ACCEPTED " : "rejected ",
                 what,
                 test.at("description").get<std::string>());
    }
  }
}

// Of the files whose name has the prefix "format/", or of the others.
Counts run_suite(const std::string& file,
                 const std::string& draft,
                 const std::set<std::string>& formats = {}) {
  const Json suite =
      read_json(std::string(QWEN3_SOURCE_DIR "/tests/data/json_schema_suite/") + file);
  Counts counts;
  for (const auto& item : suite.items()) {
    const bool is_format = item.key().starts_with("format/");
    if (is_format ? !formats.contains(item.key().substr(7)) : !formats.empty()) continue;
    for (const Json& group : item.value()) run_group(counts, item.key(), group, draft);
  }
  fmt::print("{}: {} passed, {} refused, {} wrongly accepted, {} wrongly rejected\n",
             file,
             counts.passed,
             counts.refused,
             counts.wrongly_accepted,
             counts.wrongly_rejected);
  return counts;
}

// What is reached, exactly: a change either way is one to look at. Rejected are the tests of "format", which say
// that it is an annotation; here it is asserted.
void expect_counts(const Counts& counts,
                   int64_t passed,
                   int64_t refused,
                   int64_t wrongly_rejected) {
  EXPECT_EQ(counts.wrongly_accepted, 0);
  EXPECT_EQ(counts.passed, passed);
  EXPECT_EQ(counts.refused, refused);
  EXPECT_EQ(counts.wrongly_rejected, wrongly_rejected);
}

TEST(SchemaSuite, Draft2020) {
  expect_counts(run_suite("draft2020-12.json", "https://json-schema.org/draft/2020-12/schema"),
                1129,
                156,
                14);
}

TEST(SchemaSuite, Draft2019) {
  expect_counts(
      run_suite("draft2019-09.json", "https://json-schema.org/draft/2019-09/schema"), 1130, 129, 0);
}

TEST(SchemaSuite, Draft7) {
  expect_counts(run_suite("draft7.json", "http://json-schema.org/draft-07/schema#"), 858, 69, 0);
}

TEST(SchemaSuite, Draft6) {
  expect_counts(run_suite("draft6.json", "http://json-schema.org/draft-06/schema#"), 770, 69, 0);
}

TEST(SchemaSuite, Draft4) {
  expect_counts(run_suite("draft4.json", "http://json-schema.org/draft-04/schema#"), 555, 63, 0);
}

// Rejected: leap seconds of other offsets than Z, quoted local parts and address literals of email, host names
// in Punycode.
TEST(SchemaSuite, Formats) {
  const std::set<std::string> asserted = {"date-time",
                                          "date",
                                          "time",
                                          "duration",
                                          "email",
                                          "hostname",
                                          "ipv4",
                                          "ipv6",
                                          "uri",
                                          "uri-reference",
                                          "uuid"};
  expect_counts(
      run_suite("draft2020-12.json", "https://json-schema.org/draft/2020-12/schema", asserted),
      463,
      0,
      26);
}

}  // namespace
}  // namespace qwen3

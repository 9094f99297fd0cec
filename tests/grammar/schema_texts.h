// What a schema allows, by texts.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {

using Texts = std::vector<std::string>;

inline GrammarPtr compile(const std::string& schema, JsonSchemaOptions options = {}) {
  options.numbers.add(schema);
  return compile_json_schema(parse_json(schema, "schema"), options, {std::chrono::seconds(20)});
}

inline void expect(const std::string& schema,
                   const Texts& valid,
                   const Texts& invalid,
                   const JsonSchemaOptions& options = {}) {
  SCOPED_TRACE(schema);
  GrammarPtr grammar;
  try {
    grammar = compile(schema, options);
  } catch (const GrammarError& e) {
    ADD_FAILURE() << "refused: " << fault_name(e.fault()) << ": " << e.what();
    return;
  }
  for (const std::string& text : valid) EXPECT_TRUE(accepts(*grammar, text)) << text;
  for (const std::string& text : invalid) EXPECT_FALSE(accepts(*grammar, text)) << text;
}

inline void expect_open(const std::string& schema, const Texts& valid, const Texts& invalid) {
  JsonSchemaOptions options;
  options.open_objects = true;
  expect(schema, valid, invalid, options);
}

inline void expect_refused(const std::string& schema,
                           GrammarFault fault,
                           const std::string& place) {
  SCOPED_TRACE(schema);
  try {
    compile(schema);
    ADD_FAILURE() << "not refused";
  } catch (const GrammarError& e) {
    EXPECT_EQ(fault_name(e.fault()), fault_name(fault)) << e.what();
    EXPECT_EQ(e.place(), place) << e.what();
  }
}

}  // namespace qwen3

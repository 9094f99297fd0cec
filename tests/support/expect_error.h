// EXPECT_ERROR(statement, kind, parts...): the statement throws Error of that kind whose message is
// one line and contains every part.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "base/utf8.h"
#include "qwen3/error.h"

namespace qwen3 {

template <typename Statement>
void expect_error(Statement&& statement,
                  ErrorKind kind,
                  std::initializer_list<std::string> parts,
                  const char* text) {
  try {
    statement();
    ADD_FAILURE() << text << ": no error";
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(static_cast<int>(e.kind()), static_cast<int>(kind)) << text << ": " << message;
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    EXPECT_LE(message.size(), 1000u) << message;
    EXPECT_TRUE(utf8_valid(message)) << message;
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), message.npos) << "expected \"" << part << "\" in: " << message;
    }
  }
}

}  // namespace qwen3

#define EXPECT_ERROR(statement, kind, ...) \
  ::qwen3::expect_error([&] { statement; }, kind, {__VA_ARGS__}, #statement)

// The /commands of an interactive chat.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/chat/session.h"

namespace qwen3::cli {

enum class LineKind {
  message,  // for the model
  command,  // done, whatever came of it
  exit,     // the conversation is over
  again,    // the last message is to be answered anew
};

// Decides what a line is, and obeys it when it is a command. A command is a slash and a word of
// letters, digits and underscores; "//" begins a message that starts with a slash, and a path such
// as /usr/bin is a message. /think and /no_think are commands when they stand alone, and the
// model's soft switches inside a message. Says what it did, and what it could not do, on stderr.
LineKind obey(std::string_view line, ChatSession& session);

// For Tab: the commands, or the settings after "/set ", that begin so.
std::vector<std::string> command_completions(std::string_view begin);

// The text of a message line: without the slash that escapes a slash.
std::string message_text(std::string_view line);

}  // namespace qwen3::cli

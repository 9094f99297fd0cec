// Splits a model's output into reasoning and content while it streams.
//
//   hybrid (2504)     prompt ends "...assistant\n"             output <think>\n R \n</think>\n\n C
//   hybrid, off       prompt ends "<think>\n\n</think>\n\n"    output C
//   Thinking-2507     prompt ends "<think>\n"                  output R \n</think>\n\n C
//   Instruct-2507     never thinks                             output C
//
// The policy is that of vLLM's current qwen3 parser: the text before the first </think> is
// reasoning, with or without <think> in front; a thought that never closes (cut by max_tokens) is
// reasoning and not content; newlines stay where the model put them, unless trim_newlines is set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/template.h"
#include "qwen3/text.h"

namespace qwen3 {

// Looks at the text after the last <|im_start|> that the template itself wrote.
PromptState prompt_state(const std::vector<Segment>& prompt);

enum class ReasoningMode {
  automatic,  // by the prompt; when that tells nothing, by whether the output begins with <think>
  always,     // reasoning until </think> (Thinking models), unless the prompt closed the thought
  never,      // all is content, tags included
};

struct ReasoningDelta {
  std::string reasoning;
  std::string content;
};

class ReasoningSplitter {
 public:
  // With trim_newlines, of the newlines behind the thought only the first max_newlines are dropped; -1: all.
  ReasoningSplitter(ReasoningMode mode,
                    PromptState prompt,
                    bool trim_newlines = false,
                    int max_newlines = -1);

  // Takes text cut anywhere; the concatenated results do not depend on the cuts. Text is held back
  // only while it may be part of a tag (at most 7 bytes, or white space at the very start).
  ReasoningDelta push(std::string_view text);
  // The end of the output: releases what was held back.
  ReasoningDelta finish();

  // Where in the output the content begins, or may begin at the earliest; all from there on is
  // content, without a gap.
  size_t content_begin() const { return any_content_ ? content_begin_ : n_read_ - pending_.size(); }

  // True once </think> was seen in the output.
  bool closed() const { return closed_; }

 private:
  enum class State { undecided, reasoning, content };

  void decide(bool at_end);
  void split(ReasoningDelta& out, bool at_end);
  void add_reasoning(ReasoningDelta& out, std::string_view text);
  void add_content(ReasoningDelta& out, std::string_view text);

  State without_tag_;  // where output goes that does not begin with <think>
  State state_ = State::undecided;
  bool trim_newlines_;
  bool closed_ = false;
  bool any_reasoning_ = false;
  bool any_content_ = false;
  size_t n_read_ = 0;
  size_t content_begin_ = 0;
  size_t newlines_left_;  // behind the thought, that may still be dropped
  size_t newlines_ = 0;   // at the end of the reasoning so far, when they are trimmed
  std::string pending_;
};

}  // namespace qwen3

// The phases around a grammar: what a thought may hold, how it is closed, where the answer begins and ends.
#include "chat/steering.h"

#include <random>

#include "engine/constrained_answer.h"
#include "server/api/fixture.h"
#include "server/api/tool_choice.h"

namespace qwen3::server {
namespace {

class ApiSteering : public ApiTest {
 protected:
  const ServedModel& model() { return *service->loaded(); }

  SteeringPlan plan(PromptState state, std::optional<int64_t> budget, const std::string& regex) {
    SteeringPlan plan = plan_steering(model(), state, budget);
    if (!regex.empty()) {
      plan.grammar = compile_regex(regex);
      plan.trie = model().grammars->trie();
    }
    return plan;
  }

  // How far the text is followed, as the model's own tokens: "" if every token was allowed.
  std::string refused(TokenConstraint& steering, const std::string& text) {
    std::vector<int32_t> ids = nano_text().encode(text);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!allows(steering, ids[i])) {
        return nano_text().decode(std::span(ids).subspan(i));
      }
      steering.accept(ids[i]);
    }
    return "";
  }

  static int32_t any_allowed(TokenConstraint& steering, std::mt19937& random) {
    std::vector<uint64_t> bits(40);
    int32_t one = -1;
    const TokenConstraint::Fill fill = steering.fill(bits, one);
    if (fill == TokenConstraint::Fill::one) return one;
    size_t id = random() % 2500;
    if (fill == TokenConstraint::Fill::everything) return static_cast<int32_t>(id);
    for (int n = 0; n < 2560 && (bits[id / 64] >> id % 64 & 1) == 0; ++n) id = (id + 1) % 2560;
    return static_cast<int32_t>(id);
  }

  static bool allows(TokenConstraint& steering, int32_t id) {
    std::vector<uint64_t> bits(40);
    int32_t one = -1;
    switch (steering.fill(bits, one)) {
      case TokenConstraint::Fill::everything:
        return true;
      case TokenConstraint::Fill::one:
        return id == one;
      case TokenConstraint::Fill::mask:
        break;
    }
    return (bits[static_cast<size_t>(id) / 64] >> id % 64 & 1) != 0;
  }
};

TEST_F(ApiSteering, AGrammarBeginsBehindTheThought) {
  for (const char* gap : {"", "\n", "\n\n"}) {
    const auto open = make_steering(plan(PromptState::plain, {}, "[0-9]{2}"));
    EXPECT_EQ(refused(*open, "<think>any words, 99"), "");
    EXPECT_FALSE(open->may_end()) << "an answer is wanted";
    EXPECT_EQ(refused(*open, std::string("</think>") + gap + "4"), "") << gap;
    EXPECT_FALSE(open->exhausted());
    EXPECT_EQ(refused(*open, "2"), "");
    EXPECT_TRUE(open->exhausted() && open->may_end());
  }
  const auto too_many = make_steering(plan(PromptState::inside_thinking, {}, "[0-9]{2}"));
  EXPECT_EQ(refused(*too_many, "so</think>\n\n"), "");
  EXPECT_EQ(refused(*too_many, "\n4"), "\n4");
}

// A newline is the template's until there are two: so the text alone tells what is the grammar's.
TEST_F(ApiSteering, NewlinesOfTheGrammarComeBehindTheTemplates) {
  const auto start = [&] {
    return make_steering(plan(PromptState::inside_thinking, {}, "\\n*[0-9]\\n*"));
  };
  for (const char* text : {"</think>4", "</think>\n4", "</think>\n\n4\n", "</think>\n\n\n\n4"}) {
    EXPECT_EQ(refused(*start(), text), "") << text;
  }
  const auto steering = start();
  steering->accept(nano_text().encode("</think>").front());
  for (int32_t id = 0; id < 2560; ++id) {
    const std::string bytes = nano_text().token_bytes(id);
    if (!bytes.starts_with('\n') || bytes == "\n" || bytes == "\n\n") continue;
    EXPECT_FALSE(allows(*steering, id)) << id;
  }
}

TEST_F(ApiSteering, AThoughtIsOpenedWhereThePromptLeavesThat) {
  const auto plain = make_steering(plan(PromptState::plain, {}, "[0-9]{2}"));
  EXPECT_EQ(refused(*plain, "4<think>"), "<think>") << "not in the answer";
  EXPECT_EQ(refused(*make_steering(plan(PromptState::plain, {}, "[0-9]{2}")), "<think>4"), "");
  const auto over = make_steering(plan(PromptState::thinking_is_over, {}, "[0-9]{2}"));
  EXPECT_EQ(refused(*over, "<think>"), "<think>");
}

TEST_F(ApiSteering, ABudgetClosesTheThoughtAndTheGrammarGoesOn) {
  const auto steering = make_steering(plan(PromptState::inside_thinking, 3, "[0-9]{2}"));
  EXPECT_EQ(refused(*steering, "1"), "");
  EXPECT_EQ(refused(*steering, "2"), "");
  EXPECT_EQ(refused(*steering, "3"), "3");
  EXPECT_FALSE(steering->may_end());
  EXPECT_EQ(refused(*steering, "\n</think>\n\n42"), "");
  EXPECT_TRUE(steering->exhausted());
  // Without a grammar the answer is the model's.
  const auto free = make_steering(plan(PromptState::inside_thinking, 0, ""));
  EXPECT_EQ(refused(*free, "x"), "x");
  EXPECT_FALSE(free->may_end()) << "in the middle of the sentence";
  EXPECT_EQ(refused(*free, "</think>\n\nWhatever <think>"), "");
  EXPECT_TRUE(free->may_end());
}

TEST_F(ApiSteering, ATriggerLeavesTheRestFree) {
  SteeringPlan calls = plan(PromptState::plain, {}, "[0-9]{2}");
  calls.trigger = nano_text().encode("<tool_call>").front();
  const auto steering = make_steering(calls);
  EXPECT_EQ(refused(*steering, "<think>a <tool_call> thought</think>\n\n\nLet me see. "), "");
  EXPECT_TRUE(steering->may_end());
  EXPECT_EQ(refused(*steering, "<tool_call>x"), "x");
  EXPECT_FALSE(steering->may_end());
  EXPECT_EQ(refused(*steering, "42"), "");
  EXPECT_TRUE(steering->exhausted());
}

// Who reads the text would take what follows for the answer, and nothing would hold it to the grammar.
TEST_F(ApiSteering, OnlyTheTokenEndsAThought) {
  const auto byte = [](char c) { return nano_text().encode(std::string(1, c)).front(); };
  for (const bool grammar : {true, false}) {
    SteeringPlan p = plan(PromptState::inside_thinking, 40, grammar ? "[0-9]{2}" : "");
    const auto steering = make_steering(p);
    for (const char c : std::string("a<</think")) {
      ASSERT_TRUE(allows(*steering, byte(c))) << c;
      steering->accept(byte(c));
    }
    for (int32_t id = 0; id < 2560; ++id) {
      const std::string bytes = nano_text().token_bytes(id);
      EXPECT_EQ(allows(*steering, id), !bytes.starts_with('>') || id == p.think_close) << bytes;
    }
    steering->rollback(1);
    EXPECT_TRUE(allows(*steering, byte('>')));
    steering->accept(byte('k'));
    EXPECT_FALSE(allows(*steering, byte('>')));
    steering->accept(byte('x'));
    EXPECT_TRUE(allows(*steering, byte('>'))) << "another word";
    EXPECT_EQ(refused(*steering, "</think>\n\n42"), "");
    EXPECT_EQ(steering->exhausted(), grammar);
  }
}

// Whatever was accepted and taken back: as if it had never been.
// Whatever is sampled, in the thought and behind it.
TEST_F(ApiSteering, AnswersAreWholeWithinTheirTokens) {
  std::mt19937 random(10);
  for (const std::optional<int64_t> budget :
       {std::optional<int64_t>(), std::optional<int64_t>(30)}) {
    for (const PromptState state : {PromptState::plain, PromptState::inside_thinking}) {
      for (int walk = 0; walk < 40; ++walk) {
        SteeringPlan p = plan(state, budget, "\\[([a-z]{1,9},){3}\\]\n?");
        const int64_t n = 60 + static_cast<int64_t>(random() % 20);
        plan_closing(p, model(), n, std::make_shared<std::atomic<bool>>(false));
        const auto steering = make_steering(p);
        int64_t n_taken = 0;
        while (n_taken < n && !steering->exhausted()) {
          const bool opens = state == PromptState::plain && n_taken == 0;
          steering->accept(opens ? p.think_open : any_allowed(*steering, random));
          ++n_taken;
        }
        EXPECT_TRUE(steering->may_end()) << walk;
        if (state == PromptState::inside_thinking && !budget) {
          EXPECT_GT(n_taken, n / 2) << "the thought is not cut before it has to be";
        }
      }
    }
  }
}

TEST_F(ApiSteering, WhatIsClosedForItsLengthSaysSo) {
  const auto closed = std::make_shared<std::atomic<bool>>(false);
  SteeringPlan p = plan(PromptState::thinking_is_over, {}, "\"[a-z]*\"");
  plan_closing(p, model(), 6, closed);
  const auto steering = make_steering(p);
  const int32_t letter = nano_text().encode("a").front(), quote = nano_text().encode("\"").front();
  steering->accept(quote);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(allows(*steering, letter)) << i;
    EXPECT_FALSE(*closed);
    steering->accept(letter);
  }
  EXPECT_FALSE(allows(*steering, letter));
  EXPECT_TRUE(*closed);
  EXPECT_TRUE(allows(*steering, quote));
  steering->rollback(1);
  EXPECT_FALSE(*closed);
  EXPECT_TRUE(allows(*steering, quote) && allows(*steering, letter));
  steering->accept(quote);
  EXPECT_TRUE(steering->exhausted());
  EXPECT_FALSE(*closed) << "it had one token more";
}

// Of an answer that could go on, what has come is whole. Where nothing need come, nobody promised an end.
TEST_F(ApiSteering, AnAnswerIsOverWithItsLastToken) {
  for (const auto& [regex, ends] : {std::pair("[a-z]{2,}", true), std::pair("[a-z]*", false)}) {
    const auto closed = std::make_shared<std::atomic<bool>>(false);
    SteeringPlan p = plan(PromptState::thinking_is_over, {}, regex);
    plan_closing(p, model(), 3, closed);
    const auto steering = make_steering(p);
    for (int n = 0; n < 3; ++n) {
      EXPECT_FALSE(steering->exhausted() || *closed) << regex;
      steering->accept(nano_text().encode("a").front());
    }
    EXPECT_EQ(steering->exhausted(), ends) << regex;
    EXPECT_EQ(*closed, ends) << regex;
  }
}

TEST_F(ApiSteering, NoCallIsBegunThatCannotBeEnded) {
  SteeringPlan calls = plan(PromptState::thinking_is_over, {}, "[0-9]{3}");
  calls.trigger = nano_text().encode("<tool_call>").front();
  plan_closing(calls, model(), 6, nullptr);
  const auto steering = make_steering(calls);
  for (const bool room : {true, true, true, false, false}) {
    EXPECT_EQ(allows(*steering, calls.trigger), room);
    ASSERT_TRUE(allows(*steering, 65));
    steering->accept(65);
  }
}

TEST_F(ApiSteering, RollbackIsAFreshReplay) {
  std::mt19937 random(9);
  const std::string text = "<think>one two < three</ four</think>\n12345678";
  const std::vector<int32_t> ids = nano_text().encode(text);
  for (const bool budget : {false, true}) {
    for (const bool trigger : {false, true}) {
      SteeringPlan p =
          plan(PromptState::plain, budget ? std::optional<int64_t>(50) : std::nullopt, "[0-9]{8}");
      if (trigger) p.trigger = nano_text().encode("\n").front();
      const auto steering = make_steering(p);
      size_t n = 0;
      for (int i = 0; i < 300; ++i) {
        const size_t next = random() % (ids.size() + 1);
        if (next < n) steering->rollback(static_cast<int64_t>(n - next));
        for (; n < next; ++n) steering->accept(ids[n]);
        n = next;
        const auto fresh = make_steering(p);
        for (size_t k = 0; k < n; ++k) fresh->accept(ids[k]);
        ASSERT_EQ(steering->may_end(), fresh->may_end()) << n;
        ASSERT_EQ(steering->exhausted(), fresh->exhausted()) << n;
        for (int32_t id = 0; id < 2560; id += 7) {
          ASSERT_EQ(allows(*steering, id), allows(*fresh, id)) << n << " " << id;
        }
      }
    }
  }
}

}  // namespace
}  // namespace qwen3::server

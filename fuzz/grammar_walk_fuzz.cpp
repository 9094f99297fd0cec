// The input is a program of a GrammarBuilder, in postfix notation, and the tokens of an answer: expressions that no
// notation makes, members with their keys, lengths, counts and free text among them.
#include <string_view>

#include "base/utf8.h"
#include "grammar/grammar_builder.h"
#include "grammar_fuzz_tokens.h"

namespace qwen3 {
namespace {

using Builder = GrammarBuilder;

class Program {
 public:
  explicit Program(std::string_view input) : input_(input) {}

  GrammarPtr run() {
    rules_ = {builder_.declare(), builder_.declare()};
    const int n_steps = 4 + take() % 24;
    for (int i = 0; i < n_steps; ++i) step();
    builder_.define(rules_[0], pop());
    builder_.define(rules_[1], pop());
    return builder_.build(pop());
  }
  std::string_view rest() const { return input_.substr(std::min(pos_, input_.size())); }

 private:
  uint8_t take() {
    return pos_ < input_.size() ? static_cast<uint8_t>(input_[pos_++]) : uint8_t{0};
  }

  Builder::Expr pop() {
    if (stack_.empty()) return builder_.bytes("a");
    const Builder::Expr top = stack_.back();
    stack_.pop_back();
    return top;
  }

  TextDfa set() {
    switch (take() % 9) {
      case 0:
        return TextDfa::all();
      case 1:
        return TextDfa::of({"a", "ab", "b\"", "\n", "é"});
      case 2:
        return TextDfa::search("a.*b");
      case 3:
        return TextDfa::full_match("(ab)+|x{3,}");
      case 4:
        return TextDfa::full_match("[a-e]{0,3}");
      case 5:
        return TextDfa::of({"a", "b"});
      case 6:
        return TextDfa::search("[\"\\\\\\x01]");
      case 7:
        return TextDfa::of({""});
      default:
        return TextDfa::full_match("[^\"<]*") & TextDfa::search("é").complement();
    }
  }

  void step() {
    const auto form = take() % 2 == 0 ? Builder::TextForm::json : Builder::TextForm::raw;
    switch (take() % 14) {
      case 0:
        return stack_.push_back(
            builder_.bytes(std::string(1 + take() % 3, static_cast<char>('a' + take() % 3))));
      case 1:
        return stack_.push_back(builder_.bytes("\""));
      case 2:
        return stack_.push_back(builder_.sequence({pop(), pop()}));
      case 3:
        return stack_.push_back(builder_.choice({pop(), pop(), pop()}));
      case 4: {
        const int64_t min = take() % 4, extra = take() % 5;
        return stack_.push_back(builder_.repeat(pop(), min, extra == 4 ? -1 : min + extra));
      }
      case 5:
        return stack_.push_back(builder_.text(set(), form));
      case 6: {
        const int64_t min = take() % 5, extra = take() % 20;
        return stack_.push_back(builder_.text(set(), form, min, extra == 0 ? -1 : min + extra));
      }
      case 7: {
        const int64_t min = take() % 4, extra = take() % 4;
        return stack_.push_back(builder_.members({{set(), pop()}},
                                                 builder_.bytes(":"),
                                                 builder_.bytes(","),
                                                 min,
                                                 extra == 3 ? -1 : min + extra));
      }
      case 8: {
        const TextDfa first = set();
        TextDfa second = set() & first.complement();
        return stack_.push_back(builder_.members(
            {{first, pop()}, {second, pop()}}, pop(), builder_.bytes(","), take() % 3, -1));
      }
      case 9:
        return stack_.push_back(builder_.call(rules_[take() % 2]));
      case 10:
        return stack_.push_back(builder_.token(fuzz_trie()->n_tokens() - 2));
      case 11:
        return stack_.push_back(builder_.free_text_until("<t"));
      case 12:
        return stack_.push_back(
            builder_.sequence({builder_.bytes("["), pop(), builder_.bytes("]")}));
      default:
        return stack_.push_back(builder_.code_points({{U'a', U'é', 0}, {0x65E5, 0x1F642, 0}}));
    }
  }

  std::string_view input_;
  size_t pos_ = 0;
  Builder builder_{{.time = std::chrono::seconds(20)}};
  std::vector<Builder::Rule> rules_;
  std::vector<Builder::Expr> stack_;
};

}  // namespace
}  // namespace qwen3

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 256) return 0;
  try {
    qwen3::Program program({reinterpret_cast<const char*>(data), size});
    const auto grammar = program.run();
    qwen3::fuzz_walk(grammar, program.rest());
  } catch (const qwen3::GrammarError& e) {
    qwen3::require(qwen3::utf8_valid(e.what()));
  } catch (const qwen3::Error& e) {
    qwen3::require(std::string_view(e.what()).starts_with("grammar_too_complex"));
  }
  return 0;
}

#include "grammar/json_text.h"

#include <algorithm>
#include <vector>

#include "grammar/schema_document.h"

namespace qwen3 {
namespace {

constexpr int64_t kMaxIndent = 20;
// A run of zeros has to end: 30 digits before the point and 30 behind it.
constexpr int64_t kMaxNumberLength = 62;
constexpr int64_t kMaxDigits = 30;

// Code points of the shortest text; 0 where there is none.
int64_t shortest_length(const TextDfa& set) {
  std::vector<int64_t> length(set.states().size(), -1);
  std::vector<size_t> open;
  if (!length.empty()) {
    length[0] = 0;
    open.push_back(0);
  }
  for (size_t i = 0; i < open.size(); ++i) {
    const TextDfa::State& state = set.states()[open[i]];
    if (state.accepts) return length[open[i]];
    for (const TextDfa::Edge& edge : state.edges) {
      const auto to = static_cast<size_t>(edge.to);
      if (length[to] >= 0) continue;
      length[to] = length[open[i]] + 1;
      open.push_back(to);
    }
  }
  return 0;
}

}  // namespace

JsonText::JsonText(GrammarBuilder& builder, const JsonSchemaOptions& options) : builder_(builder) {
  if (options.whitespace_pattern) {
    const TextDfa blanks = TextDfa::full_match(*options.whitespace_pattern, "whitespace_pattern");
    if (!(blanks & TextDfa::full_match("[ \\t\\r\\n]*").complement()).empty()) {
      fail_schema(GrammarFault::invalid_regex,
                  "whitespace_pattern",
                  "matches more than spaces, tabs and line ends");
    }
    blanks_ = builder.text(blanks, GrammarBuilder::TextForm::raw);
  } else if (options.any_whitespace) {
    const Expr indent =
        builder.repeat(builder.choice({builder.bytes(" "), builder.bytes("\t")}), 0, kMaxIndent);
    blanks_ = builder.choice(
        {builder.empty(), builder.bytes(" "), builder.sequence({builder.bytes("\n"), indent})});
  } else {
    blanks_ = builder.empty();
  }
  open_object_ = builder.bytes("{");
  close_object_ = builder.sequence({blanks_, builder.bytes("}")});
  open_array_ = builder.bytes("[");
  close_array_ = builder.sequence({blanks_, builder.bytes("]")});
  comma_ = builder.sequence({builder.bytes(","), blanks_});
  colon_ = builder.sequence({builder.bytes(":"), blanks_});
}

JsonText::Expr JsonText::key(const std::string& name) const {
  return builder_.bytes(dump_json(Json(name)));
}

JsonText::Expr JsonText::quoted(Expr inside) const {
  return builder_.sequence({builder_.bytes("\""), inside, builder_.bytes("\"")});
}

// Two digits of an exponent keep every number within what a double holds.
JsonText::Expr JsonText::any_number() const {
  const Expr digit = builder_.byte_range('0', '9');
  const auto digits = [&](int64_t min, int64_t max) { return builder_.repeat(digit, min, max); };
  const Expr sign = builder_.optional(builder_.bytes("-"));
  const Expr whole = builder_.choice(
      {builder_.bytes("0"),
       builder_.sequence({builder_.byte_range('1', '9'), digits(0, kMaxDigits - 1)})});
  const Expr fraction = builder_.sequence({builder_.bytes("."), digits(1, kMaxDigits)});
  const Expr power_sign = builder_.choice({builder_.bytes("-"), builder_.bytes("+")});
  const Expr power = builder_.sequence({builder_.choice({builder_.bytes("e"), builder_.bytes("E")}),
                                        builder_.optional(power_sign),
                                        digits(1, 2)});
  return builder_.sequence({sign, whole, builder_.optional(fraction), builder_.optional(power)});
}

JsonText::Expr JsonText::numbers(TextDfa spellings) const {
  const int64_t max = std::max(kMaxNumberLength, shortest_length(spellings));
  const bool bounded = spellings.finite();
  return builder_.text(std::move(spellings), GrammarBuilder::TextForm::raw, 0, bounded ? -1 : max);
}

}  // namespace qwen3

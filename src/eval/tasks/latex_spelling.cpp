#include "eval/tasks/latex_spelling.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "eval/tasks/answer_text.h"
#include "eval/tasks/plain_characters.h"

namespace qwen3::eval {
namespace {

constexpr int kDeepest = 200;

using Words = std::set<std::string_view>;

// Of no meaning, with the group behind them (if any) standing for itself.
const Words kGone = {"\\left",
                     "\\right",
                     "\\big",
                     "\\Big",
                     "\\bigg",
                     "\\Bigg",
                     "\\bigl",
                     "\\bigr",
                     "\\Bigl",
                     "\\Bigr",
                     "\\biggl",
                     "\\biggr",
                     "\\!",
                     "\\,",
                     "\\;",
                     "\\:",
                     "\\ ",
                     "\\>",
                     "\\quad",
                     "\\qquad",
                     "\\(",
                     "\\)",
                     "\\[",
                     "\\]",
                     "$",
                     "~",
                     "\\limits",
                     "\\degree",
                     "\\boxed",
                     "\\fbox",
                     "\\text",
                     "\\mathrm",
                     "\\mbox",
                     "\\textbf",
                     "\\textit",
                     "\\textrm",
                     "\\mathbf",
                     "\\mathit",
                     "\\operatorname",
                     "\\boldsymbol",
                     "\\hline",
                     "\\rm",
                     "\\bf",
                     "\\bm",
                     "\\it",
                     "\\displaystyle",
                     "\\textstyle",
                     "\\mathsf",
                     "\\middle"};

const std::map<std::string_view, std::string_view> kSame = {{"\\dfrac", "\\frac"},
                                                            {"\\tfrac", "\\frac"},
                                                            {"\\cfrac", "\\frac"},
                                                            {"\\dbinom", "\\binom"},
                                                            {"\\tbinom", "\\binom"},
                                                            {"\\leq", "\\le"},
                                                            {"\\leqslant", "\\le"},
                                                            {"<=", "\\le"},
                                                            {"\\geq", "\\ge"},
                                                            {"\\geqslant", "\\ge"},
                                                            {">=", "\\ge"},
                                                            {"\\neq", "\\ne"},
                                                            {"!=", "\\ne"},
                                                            {"\\lbrace", "\\{"},
                                                            {"\\rbrace", "\\}"},
                                                            {"\\lbrack", "["},
                                                            {"\\rbrack", "]"},
                                                            {"\\vert", "|"},
                                                            {"\\mid", "|"},
                                                            {"\\lvert", "|"},
                                                            {"\\rvert", "|"},
                                                            {"\\varnothing", "\\emptyset"},
                                                            {"*", "\\cdot"},
                                                            {"\\ast", "\\cdot"},
                                                            {"**", "^"},
                                                            {"\\lt", "<"},
                                                            {"\\gt", ">"},
                                                            {"\\colon", ":"},
                                                            {"\\to", "\\rightarrow"},
                                                            {"\\dots", "\\ldots"},
                                                            {"\\cdots", "\\ldots"},
                                                            {"\\backslash", "\\setminus"},
                                                            {"\\cr", "\\\\"}};

// Words of formulas on a keyboard.
const std::map<std::string_view, std::string_view> kWords = {{"sqrt", "\\surd"},
                                                             {"pi", "\\pi"},
                                                             {"sin", "\\sin"},
                                                             {"cos", "\\cos"},
                                                             {"tan", "\\tan"},
                                                             {"cot", "\\cot"},
                                                             {"sec", "\\sec"},
                                                             {"csc", "\\csc"},
                                                             {"ln", "\\ln"},
                                                             {"log", "\\log"},
                                                             {"exp", "\\exp"},
                                                             {"arcsin", "\\arcsin"},
                                                             {"infty", "\\infty"},
                                                             {"arccos", "\\arccos"},
                                                             {"arctan", "\\arctan"},
                                                             {"infinity", "\\infty"}};

// What ends a product.
const Words kBetween = {"=",        "<",       ">",     ",",          ";",
                        ":",        "&",       "+",     "-",          "\\pm",
                        "\\mp",     "\\le",    "\\ge",  "\\ne",       "\\in",
                        "\\notin",  "\\cup",   "\\cap", "\\setminus", "\\rightarrow",
                        "\\approx", "\\equiv", "\\sim", "\\subset",   "\\\\",
                        "\\begin",  "\\end"};

const Words kOneArgument = {"\\overline",
                            "\\bar",
                            "\\vec",
                            "\\hat",
                            "\\tilde",
                            "\\underline",
                            "\\widehat",
                            "\\mathbb",
                            "\\mathcal",
                            "\\overrightarrow"};

std::vector<std::string_view> tokens_of(std::string_view text) {
  std::vector<std::string_view> tokens;
  const auto push = [&](std::string_view token) {
    if (const auto same = kSame.find(token); same != kSame.end()) token = same->second;
    if (!kGone.contains(token)) tokens.push_back(token);
  };
  // White space means nothing, but for two things: "1 1/2" is not 11/2, and the 2 of "\\log_2 3" stands alone.
  const auto space = [&](size_t behind) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    behind = std::min(text.find_first_not_of(" \t\r\n", behind), text.size());
    if (behind == text.size() || !(is_digit(text[behind]) || text[behind] == '.')) return;
    if (tokens.empty() || tokens.back().size() != 1 || !is_digit(tokens.back()[0])) return;
    const std::string_view digit = tokens.back();
    if (tokens.size() > 1 && (tokens.end()[-2] == "^" || tokens.end()[-2] == "_")) {
      tokens.back() = "{";
      tokens.insert(tokens.end(), {digit, "}"});
    } else {
      tokens.push_back(" ");
    }
  };
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    const auto letters = [&] {
      while (end < text.size() && is_ascii_letter(text[end])) ++end;
    };
    if (text[at] == '\\' && end < text.size()) {
      if (is_ascii_letter(text[end])) {
        letters();
      } else {
        end += std::max<size_t>(utf8_sequence_length(text, end), 1);
      }
      if (text.substr(at, end - at) == "\\ ") space(end);
      push(text.substr(at, end - at));
    } else if (is_ascii_letter(text[at])) {
      letters();
      const auto word = kWords.find(text.substr(at, end - at));
      if (word != kWords.end()) {
        push(word->second);
      } else {
        for (size_t i = at; i < end; ++i) push(text.substr(i, 1));
      }
    } else if (std::string_view(" \t\r\n").find(text[at]) == std::string_view::npos) {
      const std::string_view two = text.substr(at, 2);
      if (two == "<=" || two == ">=" || two == "!=" || two == "**") {
        end = at + 2;
      } else {
        end = at + std::max<size_t>(utf8_sequence_length(text, at), 1);
      }
      push(text.substr(at, end - at));
    } else {
      space(end);
    }
    at = end;
  }
  return tokens;
}

bool is_command(std::string_view token) {
  return token.size() > 1 && token[0] == '\\' && is_ascii_letter(token[1]);
}

std::string shown_token(std::string_view token) {
  return is_command(token) ? std::string(token) + ' ' : std::string(token);
}

// A sum has a sign between its terms, outside all brackets.
bool is_sum(std::string_view text) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    depth += std::string_view("([{").find(text[at]) != std::string_view::npos;
    depth -= std::string_view(")]}").find(text[at]) != std::string_view::npos;
    if (depth == 0 && at > 0 && (text[at] == '+' || text[at] == '-')) return true;
    if (depth == 0 && (text.substr(at).starts_with("\\pm") || text[at] == ',')) return true;
  }
  return false;
}

// "(a+b)" is a+b where a fraction's bar or a root holds it together.
std::string without_brackets(std::string text) {
  if (!text.starts_with('(') || !text.ends_with(')')) return text;
  int depth = 0;
  for (size_t at = 0; at + 1 < text.size(); ++at) {
    depth += text[at] == '(';
    depth -= text[at] == ')';
    if (depth == 0 || (depth == 1 && text[at] == ',')) return text;
  }
  return text.substr(1, text.size() - 2);
}

bool is_plain_number(std::string_view piece) {
  return !piece.empty() && piece.find_first_not_of("0123456789.") == std::string_view::npos;
}

class FormulaReader {
 public:
  explicit FormulaReader(std::vector<std::string_view> tokens) : tokens_(std::move(tokens)) {}

  std::string read() {
    std::string all;
    while (at_ < tokens_.size() && !too_deep_) {
      all += sequence();
      if (at_ < tokens_.size())
        all += shown_token(tokens_[at_++]);  // a bracket that nothing opened
    }
    return all;
  }
  bool too_deep() const { return too_deep_; }

 private:
  std::string_view next() const { return at_ < tokens_.size() ? tokens_[at_] : std::string_view(); }
  bool accept(std::string_view token) {
    if (next() != token || token.empty()) return false;
    ++at_;
    return true;
  }
  bool digit_next() const { return !next().empty() && is_ascii_digit(next()[0]); }

  static bool closes(std::string_view token) {
    return token == ")" || token == "]" || token == "}" || token == "\\}";
  }
  bool factor_next() const {
    const std::string_view token = next();
    return !token.empty() && !closes(token) && !kBetween.contains(token) && token != "." &&
           token != "|" && token != "/";
  }

  // To a closing bracket, which stays.
  std::string sequence() {
    if (++depth_ > kDeepest) {
      too_deep_ = true;
      at_ = tokens_.size();
    }
    std::string out;
    std::vector<std::string> term;
    const auto flush = [&] {
      for (const std::string& piece : term) out += piece;
      term.clear();
    };
    while (at_ < tokens_.size() && !closes(next())) {
      const std::string_view token = next();
      if (token == "/" && !term.empty()) {
        ++at_;
        divide(term);
      } else if (token == "\\cdot" || token == "\\times") {
        ++at_;
        const bool silent =
            !term.empty() && is_scalar(term.back()) && factor_next() && !digit_next();
        if (!silent) term.push_back(shown_token(token));
      } else if (token == "\\begin" || token == "\\end") {
        flush();
        out += environment();
      } else if (kBetween.contains(token)) {
        flush();
        ++at_;
        if (token == "\\\\" && next() == "\\end") continue;
        if (token != "+" || !opens(out)) out += shown_token(token);
      } else {
        std::string piece = powers(atom());
        // A sign in the numerator is the sign of the fraction.
        if (term.empty() && opens(out) && piece.starts_with("\\frac{-")) {
          const size_t end = closing(piece, 5);
          const std::string_view inside = std::string_view(piece).substr(7, end - 7);
          if (!is_sum(inside)) {
            out += '-';
            piece = "\\frac{" + piece.substr(7);
          }
        }
        term.push_back(std::move(piece));
      }
    }
    flush();
    --depth_;
    return out;
  }

  // Whether a sign behind `out` is a sign and no addition.
  static bool opens(std::string_view out) {
    return out.empty() ||
           std::string_view("(,=[{<>&;").find(out.back()) != std::string_view::npos ||
           out.ends_with("\\le ") || out.ends_with("\\ge ") || out.ends_with("\\in ") ||
           out.ends_with("\\\\");
  }

  static size_t closing(std::string_view text, size_t open) {
    int depth = 0;
    for (size_t at = open; at < text.size(); ++at) {
      depth += text[at] == '{';
      depth -= text[at] == '}';
      if (depth == 0) return at;
    }
    return text.size();
  }

  static bool is_scalar(std::string_view piece) {
    if (is_plain_number(piece)) return true;
    return piece.starts_with("\\frac{") && piece.ends_with('}') &&
           piece.find_first_not_of("0123456789.{}", 5) == std::string_view::npos;
  }

  // The product so far over what follows "/": only where it is clear how far that goes.
  void divide(std::vector<std::string>& term) {
    std::string below = powers(atom());
    if (factor_next() || next() == "\\cdot" || next() == "\\times") {
      term.push_back("/" + below);
      return;
    }
    std::string above;
    for (const std::string& piece : term) above += piece;
    term.assign(1,
                "\\frac{" + without_brackets(std::move(above)) + "}{" +
                    without_brackets(std::move(below)) + "}");
  }

  std::string number() {
    std::string out;
    while (digit_next() ||
           (next() == "." && at_ + 1 < tokens_.size() && is_ascii_digit(tokens_[at_ + 1][0]) &&
            out.find('.') == std::string::npos)) {
      if (next() == "." && out.empty()) out = "0";
      out += tokens_[at_++];
    }
    return out;
  }

  std::string bracketed(std::string_view open) {
    std::string out(open);
    out += sequence();
    if (closes(next())) out += tokens_[at_++];
    return out;
  }

  std::string group() {  // behind its {
    std::string out = sequence();
    accept("}");
    return out;
  }

  // What \frac, \vec and \sqrt take: a group, one digit, or one command with its own.
  std::string argument() {
    if (accept("{")) return group();
    if (digit_next()) return std::string(tokens_[at_++]);
    return at_ < tokens_.size() && !closes(next()) ? atom() : std::string();
  }

  // What stands above or below: \sqrt(2) and x^(n+1), and x^10, are meant as a whole.
  std::string wide_argument() {
    if (accept("{")) return group();
    if (next() == "(") {
      ++at_;
      return without_brackets(bracketed("("));
    }
    std::string sign = accept("-") ? "-" : "";
    if (const std::string digits = number(); !digits.empty()) return sign + digits;
    return sign + (at_ < tokens_.size() && !closes(next()) ? atom() : std::string());
  }

  std::string atom() {
    if (++depth_ > kDeepest) {
      too_deep_ = true;
      at_ = tokens_.size();
    }
    std::string out = atom_inside();
    --depth_;
    return out;
  }

  std::string atom_inside() {
    if (at_ >= tokens_.size()) return {};
    if (const std::string digits = number(); !digits.empty()) return digits;
    const std::string_view token = tokens_[at_++];
    if (token == "{") {
      std::string inside = group();
      const bool base = next() == "^" || next() == "_";
      return base && inside.size() > 1 && !is_plain_number(inside) ? "{" + inside + "}" : inside;
    }
    if (token == "(" || token == "[" || token == "\\{") return bracketed(token);
    if (token == "\\frac" || token == "\\binom") {
      const std::string above = argument();
      return std::string(token) + "{" + above + "}{" + argument() + "}";
    }
    if (token == "\\surd") return "\\sqrt{" + wide_argument() + "}";
    if (token == "\\sqrt") {
      std::string index;
      if (accept("[")) {
        index = sequence();
        accept("]");
      }
      if (index == "2") index.clear();
      const std::string inside = next() == "(" ? wide_argument() : argument();
      return "\\sqrt" + (index.empty() ? "" : "[" + index + "]") + "{" + inside + "}";
    }
    if (kOneArgument.contains(token)) return std::string(token) + "{" + argument() + "}";
    return shown_token(token);
  }

  // The base with what stands below it first, then what stands above.
  std::string powers(std::string base) {
    std::string above, below;
    while (next() == "^" || next() == "_" || next() == "'") {
      const std::string_view token = tokens_[at_++];
      if (token == "'") {
        above += "\\prime ";
      } else {
        const std::string part = wide_argument();
        if (token == "_") below += part;
        if (token == "^" && part != "\\circ ") above += part;
      }
    }
    if (!below.empty()) base += "_{" + below + "}";
    if (!above.empty()) base += "^{" + above + "}";
    return base;
  }

  std::string environment() {
    const bool begin = tokens_[at_++] == "\\begin";
    std::string name;
    if (accept("{")) {
      while (at_ < tokens_.size() && next() != "}") name += tokens_[at_++];
      accept("}");
    }
    const auto bracket = [&](char open, char close) {
      return std::string(1, begin ? open : close);
    };
    std::string around;
    if (name == "array" && begin && accept("{")) group();  // how its columns stand
    if (name == "pmatrix" || name == "bmatrix") around = bracket('(', ')');
    if (name == "vmatrix") around = "|";
    if (name == "Vmatrix") around = "||";
    if (name == "Bmatrix") around = bracket('{', '}');
    if (name == "array" || name == "smallmatrix" || !around.empty()) name = "matrix";
    const std::string mark = (begin ? "\\begin{" : "\\end{") + name + "}";
    return begin ? around + mark : mark + around;
  }

  std::vector<std::string_view> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  bool too_deep_ = false;
};

}  // namespace

std::string plain_latex(std::string_view text) {
  std::string plain;
  bool read = false;
  if (text.size() <= kLongestFormula) {
    FormulaReader reader(tokens_of(text));
    plain = reader.read();
    read = !reader.too_deep();
  }
  if (!read) {
    plain = text;
    for (const std::string_view space : {" ", "\t", "\r", "\n"}) replace_all(plain, space, "");
    return plain;
  }
  replace_all(plain, "[\\begin{matrix}", "(\\begin{matrix}");
  replace_all(plain, "\\end{matrix}]", "\\end{matrix})");
  while (!plain.empty() && std::string_view(".,; ").find(plain.back()) != std::string_view::npos) {
    plain.pop_back();
  }
  return plain;
}

}  // namespace qwen3::eval

// grammar_bench DIR [ROUNDS [SCHEMAS]]: what masks and compiling cost over the vocabulary of a tokenizer. Every grammar is
// followed along a text that belongs to it, and along random tokens that it allows; each round is a new answer, so
// that its first masks are cold. SCHEMAS: JSON lines {"schema": …, "text": …}, each followed along its text.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "grammar/grammar_builder.h"
#include "grammar/matcher.h"
#include "tokenizer/tokenizer.h"

namespace qwen3 {
namespace {

double now_us() { return std::chrono::duration<double, std::micro>(thread_time()).count(); }

double us_since(double start) { return now_us() - start; }

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(q * static_cast<double>(values.size())))];
}

constexpr const char* kJsonGbnf = R"(
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)";

constexpr const char* kDocument =
    R"({"name": "Grete Hermann", "born": 1901, "fields": ["mathematics", "philosophy of physics"],
 "notes": "She showed in 1926 that ideal membership can be decided, with bounds; \"die Frage der endlich vielen Schritte\".",
 "places": {"Bremen": 1901, "Göttingen": 1921.5, "東京": null}, "alive": false, "scores": [0.25, -3.5e2, 17, 42]})";

// Any JSON object, with strings, numbers and no key twice, from expressions.
GrammarPtr json_object() {
  GrammarBuilder b;
  using Form = GrammarBuilder::TextForm;
  const auto value = b.declare();
  const auto blank = b.choice(
      {b.empty(), b.bytes(" "), b.sequence({b.bytes("\n"), b.repeat(b.bytes(" "), 0, 20)})});
  const auto string =
      b.sequence({b.bytes("\""), b.text(TextDfa::all(), Form::json), b.bytes("\"")});
  const auto number =
      b.text(TextDfa::full_match("-?(0|[1-9][0-9]{0,29})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?"),
             Form::raw);
  const auto comma = b.sequence({b.bytes(","), blank});
  const auto members =
      b.members({{TextDfa::all(), b.call(value)}}, b.sequence({b.bytes(":"), blank}), comma, 0, -1);
  const auto object = b.sequence({b.bytes("{"), blank, members, blank, b.bytes("}")});
  const auto items =
      b.optional(b.sequence({b.call(value), b.repeat(b.sequence({comma, b.call(value)}), 0, -1)}));
  const auto array = b.sequence({b.bytes("["), blank, items, blank, b.bytes("]")});
  b.define(
      value,
      b.choice(
          {string, number, object, array, b.bytes("true"), b.bytes("false"), b.bytes("null")}));
  return b.build(object);
}

GrammarPtr tool_calls() {
  GrammarBuilder b;
  const auto call = b.sequence({b.free_text_until("<tool_call>"),
                                b.bytes("\n{\"name\": \"f\", \"arguments\": {\"q\": \""),
                                b.text(TextDfa::all(), GrammarBuilder::TextForm::json, 1, 200),
                                b.bytes("\"}}\n</tool_call>")});
  return b.build(b.sequence({b.repeat(call, 0, 8), b.free_text_without({"<tool_call>"})}));
}

struct Subject {
  std::string name;
  std::function<GrammarPtr()> compile;
  std::string text;
};

std::vector<Subject> subjects(const TokenTrie& trie) {
  const auto regex = [](const char* r) { return [r] { return compile_regex(r); }; };
  return {
      {"gbnf: json", [&trie] { return compile_gbnf(kJsonGbnf, trie); }, kDocument},
      {"json object", json_object, kDocument},
      {"tool calls",
       tool_calls,
       "I look it up.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"q\": \"Hermann "
       "1926\"}}\n</tool_call> Done."},
      {"regex: date", regex("\\d{4}-(0[1-9]|1[0-2])-([0-2]\\d|3[01])"), "2026-11-29"},
      {"regex: slug", regex("[a-z0-9-]+"), "the-quick-brown-fox-jumps"},
      {"regex: path", regex("(/[^/\"\\\\]+)+"), "/usr/share/doc/some words/README"},
      {"regex: email",
       regex("[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}"),
       "grete.hermann@example.org"},
      {"regex: words",
       regex("(\\p{L}+[ ,.]{1,2}){3,}"),
       "The quick brown fox, jumps. over the lazy dog "},
      {"regex: any but a quote",
       regex("[^\"]*"),
       "She showed in 1926 that ideal membership can be decided."},
  };
}

struct Times {
  std::vector<double> compile_ms, mask_us, accept_us;
  int64_t most_memory = 0;
};

// One answer under a grammar, with the time of every step.
class Answer {
 public:
  Answer(const GrammarPtr& grammar, const std::shared_ptr<const TokenTrieNodes>& trie, Times& times)
      : trie_(*trie),
        matcher_(grammar, trie),
        times_(times),
        mask_((static_cast<size_t>(trie->n_tokens()) + 63) / 64) {}
  ~Answer() { times_.most_memory = std::max(times_.most_memory, matcher_.memory()); }

  // As far as the text belongs to the grammar.
  void along(const std::vector<int32_t>& tokens) {
    for (const int32_t token : tokens) {
      fill();
      if (!allowed(token)) return;
      accept(token);
    }
  }

  void at_random(std::mt19937_64& random, int n_tokens) {
    for (int i = 0; i < n_tokens && !matcher_.exhausted(); ++i) {
      fill();
      const auto start = static_cast<int32_t>(random() % static_cast<uint64_t>(trie_.n_tokens()));
      int32_t token = -1;
      for (int32_t j = 0; token < 0 && j < trie_.n_tokens(); ++j) {
        const int32_t id = (start + j) % trie_.n_tokens();
        if (allowed(id)) token = id;
      }
      if (token < 0) return;
      accept(token);
    }
  }

 private:
  bool allowed(int32_t id) const {
    return (mask_[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
  }

  void fill() {
    int32_t one = -1;
    const double start = now_us();
    const auto kind = matcher_.fill(mask_, one);
    times_.mask_us.push_back(us_since(start));
    if (kind != TokenConstraint::Fill::one) return;
    std::fill(mask_.begin(), mask_.end(), 0);
    mask_[static_cast<size_t>(one) / 64] |= uint64_t{1} << (one % 64);
  }

  void accept(int32_t token) {
    const double start = now_us();
    matcher_.accept(token);
    times_.accept_us.push_back(us_since(start));
  }

  const TokenTrieNodes& trie_;
  Matcher matcher_;
  Times& times_;
  std::vector<uint64_t> mask_;
};

void follow(const Subject& subject,
            const Tokenizer& tokenizer,
            const std::shared_ptr<const TokenTrieNodes>& trie,
            std::mt19937_64& random,
            Times& times) {
  const double start = now_us();
  const GrammarPtr grammar = subject.compile();
  times.compile_ms.push_back(us_since(start) / 1000);
  Answer(grammar, trie, times).along(tokenizer.encode(subject.text, ControlTokens::as_text));
  Answer(grammar, trie, times).at_random(random, 60);
}

void print(const std::string& name, const Times& t) {
  fmt::print(
      "{:22} {:8.2f} {:8.2f} {:8.2f} {:8} {:7.1f} {:7.1f} {:7.1f} {:7.1f} {:8.1f} {:10.1f} {:9}\n",
      name,
      quantile(t.compile_ms, 0.5),
      quantile(t.compile_ms, 0.99),
      quantile(t.compile_ms, 1),
      t.mask_us.size(),
      quantile(t.mask_us, 0.5),
      quantile(t.mask_us, 0.9),
      quantile(t.mask_us, 0.99),
      quantile(t.mask_us, 0.999),
      quantile(t.mask_us, 1),
      quantile(t.accept_us, 0.99),
      t.most_memory / 1024);
}

void follow_schemas(const std::string& path,
                    const Tokenizer& tokenizer,
                    const std::shared_ptr<const TokenTrieNodes>& trie) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  Times times;
  int n_refused = 0;
  for (std::string line; std::getline(file, line);) {
    const Json entry = parse_json(line, path);
    const double start = now_us();
    try {
      const GrammarPtr grammar =
          compile_json_schema(entry.at("schema"), {}, {.time = std::chrono::seconds(10)});
      times.compile_ms.push_back(us_since(start) / 1000);
      Answer(grammar, trie, times)
          .along(tokenizer.encode(entry.at("text").get<std::string>(), ControlTokens::as_text));
    } catch (const GrammarError&) {
      ++n_refused;
    }
  }
  print("schemas", times);
  fmt::print("{} schemas refused\n", n_refused);
}

int run(const std::string& path, int rounds, const std::string& schemas) {
  const Tokenizer tokenizer = Tokenizer::load(path);
  const double start = now_us();
  const auto trie = std::static_pointer_cast<const TokenTrieNodes>(TokenTrie::make(tokenizer));
  fmt::print("{} tokens, {} nodes; made in {:.0f} ms\n",
             trie->n_tokens(),
             trie->tree().nodes.size(),
             us_since(start) / 1000);
  fmt::print("{:22} {:>26} {:>8} {:>39} {:>10} {:>9}\n",
             "",
             "compile ms p50, p99, max",
             "masks",
             "us p50, p90, p99, p99.9, max",
             "accept p99",
             "memory KB");
  if (!schemas.empty()) return follow_schemas(schemas, tokenizer, trie), 0;
  std::mt19937_64 random(1);
  Times all;
  for (const Subject& subject : subjects(*trie)) {
    Times times;
    for (int i = 0; i < rounds; ++i) follow(subject, tokenizer, trie, random, times);
    print(subject.name, times);
    all.compile_ms.insert(all.compile_ms.end(), times.compile_ms.begin(), times.compile_ms.end());
    all.mask_us.insert(all.mask_us.end(), times.mask_us.begin(), times.mask_us.end());
    all.accept_us.insert(all.accept_us.end(), times.accept_us.begin(), times.accept_us.end());
    all.most_memory = std::max(all.most_memory, times.most_memory);
  }
  print("all", all);
  return 0;
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: grammar_bench DIR [ROUNDS [SCHEMAS]]\n", stderr);
    return 2;
  }
  try {
    return qwen3::run(
        argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 10, argc > 3 ? argv[3] : "");
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}

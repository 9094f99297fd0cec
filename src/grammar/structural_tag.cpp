// Structural tags: formats within formats to expressions.
//
// Free text goes on until one of some words ("stops") has come: triggers of tags, the end of the tag around it. A
// word that holds an added token of the model comes as that token, too, which never occurs in text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "grammar/free_text.h"
#include "grammar/limits.h"
#include "grammar/notations.h"
#include "grammar/schema.h"
#include "grammar/schema_uri.h"

namespace qwen3 {
namespace {

using Expr = GrammarBuilder::Expr;
using Texts = std::vector<std::string>;

constexpr std::array<std::string_view, 7> kTokenLevel = {"token",
                                                         "exclude_token",
                                                         "any_tokens",
                                                         "token_triggered_tags",
                                                         "token_dispatch",
                                                         "dispatch",
                                                         "qwen_xml_parameter"};

// A JSON value of the tag and its place.
struct TagPart {
  const Json& json;
  std::string place;

  [[noreturn]] void invalid(const std::string& message) const {
    throw GrammarError(GrammarFault::invalid_grammar, place, message);
  }
  [[noreturn]] void unsupported(const std::string& message) const {
    throw GrammarError(GrammarFault::unsupported_grammar, place, message);
  }
  const Json* find(const std::string& key) const {
    const auto found = json.find(key);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }
  TagPart at(const std::string& key) const {
    const Json* found = find(key);
    if (found == nullptr) invalid(fmt::format("{} is missing", key));
    return {*found, place + pointer_step(key)};
  }
  std::vector<TagPart> list(const std::string& key) const {
    const TagPart all = at(key);
    if (!all.json.is_array() || all.json.empty()) all.invalid("expected a list that is not empty");
    std::vector<TagPart> out;
    for (size_t i = 0; i < all.json.size(); ++i) {
      out.push_back({all.json[i], fmt::format("{}/{}", all.place, i)});
    }
    return out;
  }
  const std::string& text() const {
    if (!json.is_string()) invalid("expected a text");
    return json.get_ref<const std::string&>();
  }
  // A text that free text can be searched for.
  const std::string& word() const {
    if (text().empty() || !utf8_valid(text())) invalid("expected a text that is not empty");
    return text();
  }
  Texts words(const std::string& key) const {
    Texts out;
    if (find(key) == nullptr || find(key)->empty()) return out;
    for (const TagPart& one : list(key)) out.push_back(one.word());
    return out;
  }
  bool flag(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) at(key).invalid("expected true or false");
    return value->get<bool>();
  }
  int64_t count(const std::string& key, int64_t least) const {
    const TagPart value = at(key);
    if (!value.json.is_number_integer() || value.json.get<double>() < static_cast<double>(least) ||
        value.json.get<double>() > static_cast<double>(kMaxRepeat)) {
      value.invalid(fmt::format("expected a whole number from {} to {}", least, kMaxRepeat));
    }
    return value.json.get<int64_t>();
  }
};

Texts together(Texts a, const Texts& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class TagReader {
 public:
  TagReader(GrammarBuilder& builder, const TokenTrie& trie, const JsonSchemaOptions& options)
      : b_(builder), trie_(trie), options_(options) {}

  Expr run(const Json& tag) {
    const TagPart root{tag, ""};
    if (!tag.is_object()) root.invalid("expected an object");
    if (root.find("format") != nullptr) return format(root.at("format"), {});
    std::vector<Tag> tags;
    for (const TagPart& one : root.list("structures")) tags.push_back(old_tag(one));
    return triggered(root, std::move(tags), {});
  }

 private:
  // A part between two words. `rest`: its content and its end.
  struct Tag {
    TagPart part;
    std::string begin;
    Expr rest;
  };
  // What ends the tag around a format: its `ends`, each a word or "". Without a tag: none.
  using Ends = Texts;

  Expr bytes_or_tokens(const std::string& text) {
    const auto [spelled, any] = with_tokens(text);
    return any ? b_.choice({b_.bytes(text), spelled}) : b_.bytes(text);
  }

  // The text with its added tokens as tokens, and whether it has any. Not those that end an answer.
  std::pair<Expr, bool> with_tokens(const std::string& text) {
    std::vector<Expr> parts;
    size_t begin = 0;
    bool any = false;
    for (size_t open = text.find('<'); open != text.npos; open = text.find('<', open + 1)) {
      const size_t close = text.find('>', open);
      if (close == text.npos) break;
      const std::string_view name = std::string_view(text).substr(open, close + 1 - open);
      const auto id = trie_.added_token(name);
      if (!id || name == "<|im_end|>" || name == "<|endoftext|>" || open < begin) continue;
      parts.push_back(b_.bytes(std::string_view(text).substr(begin, open - begin)));
      parts.push_back(b_.token(*id));
      begin = close + 1;
      any = true;
    }
    parts.push_back(b_.bytes(std::string_view(text).substr(begin)));
    return {b_.sequence(std::move(parts)), any};
  }

  // Free text up to and with the word stops[which], before which no stop comes.
  Expr text_to(const Texts& stops, size_t which) {
    const Expr spelled = b_.free_text_until(stops)[which];
    const auto [tokens, any] = with_tokens(stops[which]);
    if (!any) return spelled;
    return b_.choice({spelled, b_.sequence({b_.free_text_without(stops), tokens})});
  }

  Expr free_text(const Texts& stops) {
    return stops.empty() ? b_.text(TextDfa::all(), GrammarBuilder::TextForm::raw)
                         : b_.free_text_without(stops);
  }

  // Free text and the end of the tag around it.
  Expr text_and_end(const Texts& words, const Ends& ends) {
    if (ends.empty()) return free_text(words);
    Texts stops;
    for (const std::string& end : ends) {
      if (!end.empty()) stops.push_back(end);
    }
    const size_t n_ends = stops.size();
    stops = together(std::move(stops), words);
    std::vector<Expr> ways;
    for (size_t i = 0; i < n_ends; ++i) ways.push_back(text_to(stops, i));
    if (n_ends < ends.size()) ways.push_back(free_text(stops));
    return b_.choice(std::move(ways));
  }

  Expr any_end(const Ends& ends) {
    if (ends.empty()) return b_.empty();
    std::vector<Expr> ways;
    for (const std::string& end : ends) ways.push_back(bytes_or_tokens(end));
    return b_.choice(std::move(ways));
  }

  // The format, and the end of the tag that it is the content of.
  Expr format(const TagPart& part, const Ends& ends) {
    b_.spend();
    if (!part.json.is_object()) part.invalid("expected a format: an object with a type");
    const std::string& type = part.at("type").text();
    if (type == "any_text") return any_text(part, ends);
    if (type == "triggered_tags") {
      std::vector<Tag> tags;
      for (const TagPart& one : part.list("tags")) tags.push_back(tag(one));
      return triggered(part, std::move(tags), ends);
    }
    if (type == "sequence") {
      std::vector<TagPart> elements = part.list("elements");
      std::vector<Expr> parts;
      for (size_t i = 0; i < elements.size(); ++i) {
        parts.push_back(format(elements[i], i + 1 < elements.size() ? Ends() : ends));
      }
      return b_.sequence(std::move(parts));
    }
    if (type == "or") {
      std::vector<Expr> ways;
      for (const TagPart& one : part.list("elements")) ways.push_back(format(one, ends));
      return b_.choice(std::move(ways));
    }
    return b_.sequence({closed_format(part, type), any_end(ends)});
  }

  // Formats that tell by themselves where they end.
  Expr closed_format(const TagPart& part, const std::string& type) {
    if (type == "const_string") return bytes_or_tokens(part.at("value").text());
    if (type == "json_schema") return json_schema(part);
    if (type == "regex") {
      const TagPart pattern = part.at("pattern");
      return within(pattern, [&] { return regex_expression(b_, pattern.text()); });
    }
    if (type == "grammar") {
      const TagPart grammar = part.at("grammar");
      return within(grammar, [&] { return gbnf_expression(b_, grammar.text(), trie_); });
    }
    if (type == "optional") return b_.optional(format(part.at("content"), {}));
    if (type == "plus") return b_.repeat(format(part.at("content"), {}), 1, -1);
    if (type == "star") return b_.repeat(format(part.at("content"), {}), 0, -1);
    if (type == "repeat") {
      return b_.repeat(format(part.at("content"), {}), part.count("min", 0), part.count("max", -1));
    }
    if (type == "tag") {
      const Tag one = tag(part);
      return b_.sequence({bytes_or_tokens(one.begin), one.rest});
    }
    if (type == "tags_with_separator") return separated(part);
    const bool known = std::find(kTokenLevel.begin(), kTokenLevel.end(), type) != kTokenLevel.end();
    if (known) part.unsupported(fmt::format("the format {} is not enforced here", type));
    part.invalid(fmt::format("{} is no format", quote_for_message(type, 60)));
  }

  // Errors of another notation, by their places in the tag.
  Expr within(const TagPart& part, const std::function<Expr()>& make) {
    try {
      return make();
    } catch (const GrammarError& e) {
      throw GrammarError(e.fault(), part.place, e.what());
    }
  }

  Expr json_schema(const TagPart& part) {
    if (part.find("style") != nullptr && part.at("style").text() != "json") {
      part.at("style").unsupported("expected \"json\"; other styles are not enforced here");
    }
    if (part.flag("any_order")) part.at("any_order").unsupported("not enforced here");
    return schema(part.at("json_schema"));
  }

  Expr schema(const TagPart& part) {
    try {
      return schema_expression(b_, part.json, options_);
    } catch (const GrammarError& e) {
      std::string_view message = e.what();
      if (!e.place().empty()) message.remove_prefix(e.place().size() + 2);
      throw GrammarError(e.fault(), part.place + e.place(), std::string(message));
    }
  }

  Expr any_text(const TagPart& part, const Ends& ends) {
    const Texts excludes = part.words("excludes");
    if (part.find("max_tokens") != nullptr) {
      part.at("max_tokens").unsupported("tokens are not counted here; use max_chars");
    }
    if (part.find("max_chars") == nullptr) return text_and_end(excludes, ends);
    Texts stops = excludes;
    for (const std::string& end : ends) {
      if (!end.empty()) stops.push_back(end);
    }
    TextDfa set = stops.empty() ? TextDfa::all() : text_without(stops);
    const Expr text =
        b_.text(std::move(set), GrammarBuilder::TextForm::raw, 0, part.count("max_chars", 0));
    return b_.sequence({text, any_end(ends)});
  }

  Tag tag(const TagPart& part) {
    if (!part.json.is_object()) part.invalid("expected a tag: an object with begin, content, end");
    if (part.find("begin") != nullptr && part.find("begin")->is_object()) {
      part.at("begin").unsupported("tokens as words are not enforced here; expected a text");
    }
    return {part, part.at("begin").text(), format(part.at("content"), ends_of(part))};
  }

  Tag old_tag(const TagPart& part) {
    if (!part.json.is_object()) part.invalid("expected an object with begin, schema and end");
    const Expr value = schema(part.at("schema"));
    return {part, part.at("begin").text(), b_.sequence({value, any_end(ends_of(part))})};
  }

  static Ends ends_of(const TagPart& part) {
    const TagPart end = part.at("end");
    if (end.json.is_object()) {
      end.unsupported("tokens as words are not enforced here; expected a text");
    }
    if (!end.json.is_array()) return {end.text()};
    Ends out;
    for (const TagPart& one : part.list("end")) out.push_back(one.text());
    return out;
  }

  Expr triggered(const TagPart& part, std::vector<Tag> tags, const Ends& ends) {
    const Texts triggers = part.words("triggers");
    if (triggers.empty()) part.invalid("triggers is missing");
    std::vector<Expr> alone;                                 // a tag without text before it
    std::vector<std::vector<Expr>> behind(triggers.size());  // by trigger: what may follow it
    Texts stops = together(triggers, part.words("excludes"));
    for (const std::string& end : ends) {
      if (!end.empty()) stops.push_back(end);
    }
    std::vector<Expr> ways;
    for (const Tag& tag : tags) {
      alone.push_back(b_.sequence({bytes_or_tokens(tag.begin), tag.rest}));
      const size_t i = trigger_of(tag, triggers);
      behind[i].push_back(b_.sequence({b_.bytes(tag.begin.substr(triggers[i].size())), tag.rest}));
      const auto [tokens, any] = with_tokens(tag.begin);
      if (any) ways.push_back(b_.sequence({b_.free_text_without(stops), tokens, tag.rest}));
    }
    const std::vector<Expr> texts = b_.free_text_until(stops);
    for (size_t i = 0; i < triggers.size(); ++i) {
      ways.push_back(b_.sequence({texts[i], b_.choice(std::move(behind[i]))}));
    }
    const Expr first = b_.choice(std::move(alone));
    const Expr next = b_.choice(std::move(ways));
    const Texts words(stops.begin(), stops.end() - static_cast<std::ptrdiff_t>(n_words(ends)));
    const bool once = part.flag("stop_after_first");
    if (part.flag("at_least_one")) {
      if (once) return b_.sequence({first, any_end(ends)});
      return b_.sequence({first, b_.repeat(next, 0, -1), text_and_end(words, ends)});
    }
    if (once) {
      return b_.choice({b_.sequence({next, any_end(ends)}), text_and_end(words, ends)});
    }
    return b_.sequence({b_.repeat(next, 0, -1), text_and_end(words, ends)});
  }

  static size_t n_words(const Ends& ends) {
    return static_cast<size_t>(
        std::count_if(ends.begin(), ends.end(), [](const auto& end) { return !end.empty(); }));
  }

  static size_t trigger_of(const Tag& tag, const Texts& triggers) {
    size_t found = triggers.size();
    for (size_t i = 0; i < triggers.size(); ++i) {
      if (!tag.begin.starts_with(triggers[i])) continue;
      if (found < triggers.size()) tag.part.invalid("begins with several of the triggers");
      found = i;
    }
    if (found == triggers.size()) tag.part.invalid("begins with none of the triggers");
    return found;
  }

  Expr separated(const TagPart& part) {
    std::vector<Expr> ways;
    for (const TagPart& one : part.list("tags")) {
      const Tag made = tag(one);
      ways.push_back(b_.sequence({bytes_or_tokens(made.begin), made.rest}));
    }
    const Expr one = b_.choice(std::move(ways));
    const Expr next = b_.sequence({bytes_or_tokens(part.at("separator").text()), one});
    const Expr all =
        part.flag("stop_after_first") ? one : b_.sequence({one, b_.repeat(next, 0, -1)});
    return part.flag("at_least_one") ? all : b_.optional(all);
  }

  GrammarBuilder& b_;
  const TokenTrie& trie_;
  const JsonSchemaOptions& options_;
};

}  // namespace

Expr structural_tag_expression(GrammarBuilder& builder,
                               const Json& tag,
                               const TokenTrie& trie,
                               const JsonSchemaOptions& options) {
  return TagReader(builder, trie, options).run(tag);
}

}  // namespace qwen3

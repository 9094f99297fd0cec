#include "grammar/schema_format.h"

#include <map>
#include <mutex>
#include <string>

#include "base/utf8.h"

namespace qwen3 {
namespace {

std::string any_of(std::initializer_list<std::string> ways) {
  std::string out = "(?:";
  for (const std::string& way : ways) out += (out.size() > 3 ? "|" : "") + way;
  return out + ")";
}

// RFC 3339. The years that have a 29th of February are those divisible by 4, without the centuries that are
// not divisible by 400.
std::string date_regex() {
  const std::string leap_year =
      any_of({"[0-9][0-9](?:0[48]|[2468][048]|[13579][26])", "(?:[02468][048]|[13579][26])00"});
  const std::string day = any_of({"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
                                  "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
                                  "02-(?:0[1-9]|1[0-9]|2[0-8])"});
  return any_of({"[0-9]{4}-" + day, leap_year + "-02-29"});
}

// A leap second ends a day of UTC: only where the offset is Z is that decided by the text before it.
std::string time_regex() {
  const std::string hour_minute = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";
  const std::string fraction = "(?:\\.[0-9]+)?";
  return any_of({hour_minute + ":[0-5][0-9]" + fraction + "(?:[Zz]|[+-]" + hour_minute + ")",
                 "23:59:60" + fraction + "[Zz]"});
}

// RFC 3339, appendix A.
std::string duration_regex() {
  const std::string time =
      "T" + any_of({"[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?", "[0-9]+M(?:[0-9]+S)?", "[0-9]+S"});
  const std::string date =
      any_of({"[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?", "[0-9]+M(?:[0-9]+D)?", "[0-9]+D"});
  return "P" + any_of({date + "(?:" + time + ")?", time, "[0-9]+W"});
}

std::string hostname_regex() {
  const std::string label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  return label + "(?:\\." + label + ")*";
}

// No label with two hyphens in its third and fourth place: those are reserved, and of one that begins with
// xn-- no automaton can say whether it is Punycode of what IDNA allows.
TextDfa without_a_labels() { return TextDfa::search("(?:^|[.@])[^.@]{2}--").complement(); }

std::string email_regex() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
  return atom + "(?:\\." + atom + ")*@" + hostname_regex();
}

std::string ipv4_regex() {
  const std::string byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
  return byte + "(?:\\." + byte + "){3}";
}

// RFC 4291, section 2.2: eight groups, of which one run of zeros is `::`, the last two perhaps an IPv4 address.
std::string ipv6_regex() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  const std::string last = any_of({group + ":" + group, ipv4_regex()});  // two groups
  const auto times = [&](int n) { return "(?:" + group + ":){" + std::to_string(n) + "}"; };
  const auto up_to = [&](int n) {  // at most n groups, then `::`
    return n == 0 ? std::string("::")
                  : "(?:" + group + "(?::" + group + "){0," + std::to_string(n - 1) + "})?::";
  };
  return any_of({times(6) + last,
                 up_to(0) + times(5) + last,
                 up_to(1) + times(4) + last,
                 up_to(2) + times(3) + last,
                 up_to(3) + times(2) + last,
                 up_to(4) + times(1) + last,
                 up_to(5) + last,
                 up_to(6) + group,
                 up_to(7)});
}

struct UriRegex {
  std::string absolute;
  std::string reference;
};

// RFC 3986, appendix A; with RFC 3987's characters of other languages, of which some may come in a query alone.
UriRegex uri_regex(const std::string& others = "", const std::string& query_others = "") {
  const std::string escape = "%[0-9A-Fa-f]{2}";
  const std::string plain = "A-Za-z0-9._~!$&'()*+,;=\\-" + others;
  const std::string character = any_of({"[" + plain + ":@]", escape});
  const std::string rest = "(?:/" + character + "*)*";
  const std::string user = "(?:" + any_of({"[" + plain + ":]", escape}) + "*@)?";
  const std::string future = "v[0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:\\-]+";
  const std::string host = any_of(
      {"\\[" + any_of({ipv6_regex(), future}) + "\\]", any_of({"[" + plain + "]", escape}) + "*"});
  const std::string authority = user + host + "(?::[0-9]*)?";
  const std::string rooted = "/(?:" + character + "+" + rest + ")?";
  const std::string tail = "(?:\\?" + any_of({"[" + plain + query_others + ":@/?]", escape}) +
                           "*)?(?:#" + any_of({"[" + plain + ":@/?]", escape}) + "*)?";
  const std::string first = any_of({"[" + plain + "@]", escape});  // no `:`: that would be a scheme
  const std::string absolute_path =
      any_of({"//" + authority + rest, rooted, character + "+" + rest, ""});
  const std::string relative_path =
      any_of({"//" + authority + rest, rooted, first + "+" + rest, ""});
  const std::string absolute = "[A-Za-z][A-Za-z0-9+.-]*:" + absolute_path + tail;
  return {absolute, any_of({absolute, relative_path + tail})};
}

// Of two ends the first is not the greater. To know that of any two takes a state for each; of these it is seen by
// their lengths, or by where they lie.
std::string regex_count() {
  const std::string ordered = any_of({"[0-9],[1-9][0-9]{1,3}",
                                      "[1-9][0-9],[1-9][0-9]{2,3}",
                                      "[01],[1-9]|2,[2-9]|3,[3-9]|[45],[5-9]|[67],[7-9]|8,[89]",
                                      "1[0-9],[2-9][0-9]|[2-4][0-9],[5-9][0-9]"});
  return "\\{" + any_of({"(?:0|[1-9][0-9]{0,3}),?", ordered}) + "\\}";
}

std::string regex_range() {
  return any_of({"0-[0-9]|1-[1-9]|[2-4]-[5-9]|[5-8]-9",
                 "a-[a-z]|[b-m]-[n-z]|[n-y]-z",
                 "A-[A-Z]|[B-M]-[N-Z]|[N-Y]-Z",
                 "[ -,]-[./:-@_`{-~\u00A1-\U0010FFFF]",
                 "[\u00A1-\u00DF]-[\u00E0-\U0010FFFF]",
                 "[\u00E0-\u043F]-[\u0440-\U0010FFFF]",
                 "[\u0440-\u306F]-[\u3070-\U0010FFFF]",
                 "[\u3070-\u4FFF]-[\u5000-\U0010FFFF]",
                 R"(\\u[0-7][0-9A-Fa-f]{3}-\\u[89A-Fa-f][0-9A-Fa-f]{3})"});
}

// The expressions of ECMA-262 are not a regular set, for groups nest. Here they do so three deep, without look-around,
// names and back-references: what is written is one of them, with the flag u and without.
std::string regex_regex() {
  const std::string escape =
      R"(\\(?:[dDwWsSnrtfv\\^$.*+?()[\]{}|/]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}))";
  const std::string member =
      any_of({regex_range(), "[ -,.-[_-~\u00A1-\U0010FFFF]", escape, R"(\\-)"});
  const std::string atom = any_of({R"([^\\^$.*+?()[\]{}|\0-\x1F])",
                                   R"(\.)",
                                   escape,
                                   R"(\[\^?(?:-|-?(?:)" + member + R"(\^*)+-?)\])"});
  const std::string quantifier = any_of({"[*+?]", regex_count()}) + "[?]?";
  const std::string bare = R"(\^|\$|\||\\[bB])";  // what no quantifier may follow
  std::string regex = any_of({bare, atom + any_of({quantifier, ""})}) + "*";
  for (int depth = 1; depth <= 3; ++depth) {
    const std::string group = R"(\((?:\?:)?)" + regex + R"(\))";
    regex = any_of({bare, any_of({atom, group}) + any_of({quantifier, ""})}) + "*";
  }
  return regex;
}

UriRegex iri_regex() {
  std::string others = "\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF";
  for (char32_t plane = 0x10000; plane <= 0xE0000; plane += 0x10000) {
    utf8_append(others, plane == 0xE0000 ? plane + 0x1000 : plane);
    others += '-';
    utf8_append(others, plane + 0xFFFD);
  }
  return uri_regex(others, "\uE000-\uF8FF\U000F0000-\U000FFFFD\U00100000-\U0010FFFD");
}

struct FormatSource {
  std::string_view name;
  std::string (*regex)();
  int64_t max_length;
};

constexpr FormatSource kFormats[] = {
    {"date", date_regex, -1},
    {"time", time_regex, -1},
    {"date-time", [] { return date_regex() + "[Tt]" + time_regex(); }, -1},
    {"duration", duration_regex, -1},
    {"email", email_regex, 254},
    {"hostname", hostname_regex, 253},
    {"ipv4", ipv4_regex, -1},
    {"ipv6", ipv6_regex, -1},
    {"uri", [] { return uri_regex().absolute; }, -1},
    {"uri-reference", [] { return uri_regex().reference; }, -1},
    {"iri", [] { return iri_regex().absolute; }, -1},
    {"iri-reference", [] { return iri_regex().reference; }, -1},
    {"regex", regex_regex, -1},
    {"uuid",
     [] { return std::string("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"); },
     -1},
};

}  // namespace

std::optional<SchemaFormat> find_format(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string_view, TextSetPtr> made;  // each at its first use
  for (const FormatSource& source : kFormats) {
    if (source.name != name) continue;
    const std::lock_guard lock(mutex);
    TextSetPtr& texts = made[source.name];
    if (!texts) {
      TextDfa set = TextDfa::full_match(source.regex());
      if (name == "hostname" || name == "email") set = set & without_a_labels();
      texts = std::make_shared<const TextDfa>(std::move(set));
    }
    return SchemaFormat{texts, source.max_length};
  }
  return std::nullopt;
}

}  // namespace qwen3

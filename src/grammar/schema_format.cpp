#include "grammar/schema_format.h"

#include <map>
#include <mutex>
#include <string>

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

// RFC 3986, appendix A.
UriRegex uri_regex() {
  const std::string escape = "%[0-9A-Fa-f]{2}";
  const std::string plain = "A-Za-z0-9._~!$&'()*+,;=\\-";
  const std::string character = any_of({"[" + plain + ":@]", escape});
  const std::string rest = "(?:/" + character + "*)*";
  const std::string user = "(?:" + any_of({"[" + plain + ":]", escape}) + "*@)?";
  const std::string future = "v[0-9A-Fa-f]+\\.[" + plain + ":]+";
  const std::string host = any_of(
      {"\\[" + any_of({ipv6_regex(), future}) + "\\]", any_of({"[" + plain + "]", escape}) + "*"});
  const std::string authority = user + host + "(?::[0-9]*)?";
  const std::string rooted = "/(?:" + character + "+" + rest + ")?";
  const std::string tail = "(?:\\?" + any_of({"[" + plain + ":@/?]", escape}) + "*)?(?:#" +
                           any_of({"[" + plain + ":@/?]", escape}) + "*)?";
  const std::string first = any_of({"[" + plain + "@]", escape});  // no `:`: that would be a scheme
  const std::string absolute_path =
      any_of({"//" + authority + rest, rooted, character + "+" + rest, ""});
  const std::string relative_path =
      any_of({"//" + authority + rest, rooted, first + "+" + rest, ""});
  const std::string absolute = "[A-Za-z][A-Za-z0-9+.-]*:" + absolute_path + tail;
  return {absolute, any_of({absolute, relative_path + tail})};
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

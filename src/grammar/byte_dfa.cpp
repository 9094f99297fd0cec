#include "grammar/byte_dfa.h"

#include <algorithm>
#include <map>

namespace qwen3 {
namespace {

using Edge = ByteDfa::Edge;
using Range = TextDfa::Edge;  // of code points

// UTF-8 by length: the code points, the first of the leading bytes, the continuation bytes behind it.
struct Sequences {
  char32_t first, last;
  uint8_t lead;
  int n_more;
};
constexpr Sequences kSequences[] = {
    {0x80, 0x7FF, 0xC0, 1}, {0x800, 0xFFFF, 0xE0, 2}, {0x10000, 0x10FFFF, 0xF0, 3}};

struct ShortEscape {
  uint8_t letter;
  char32_t meaning;
};
constexpr ShortEscape kShortEscapes[] = {
    {'"', '"'}, {'\\', '\\'}, {'b', 8}, {'f', 12}, {'n', 10}, {'r', 13}, {'t', 9}};

void add_edge(std::vector<Edge>& edges, const Edge& edge) {
  if (!edges.empty() && edges.back().to == edge.to && edges.back().last + 1 == edge.first) {
    edges.back().last = edge.last;
  } else {
    edges.push_back(edge);
  }
}

int32_t target(const std::vector<Range>& edges, char32_t c) {
  const auto edge = std::lower_bound(
      edges.begin(), edges.end(), c, [](const Range& e, char32_t x) { return e.last < x; });
  return edge == edges.end() || edge->first > c ? -1 : edge->to;
}

// Makes the states inside of code points; equal ones are shared.
class States {
 public:
  States(const TextDfa& dfa, ByteForm form, const std::function<void(int64_t)>& spend)
      : dfa_(dfa), form_(form), spend_(spend), states(dfa.states().size()) {}

 private:
  const TextDfa& dfa_;
  const ByteForm form_;
  const std::function<void(int64_t)>& spend_;
  std::map<std::vector<int64_t>, int32_t> ids_;

 public:
  std::vector<std::vector<Edge>> states;

  void make(size_t state) {
    const auto& ranges = dfa_.states()[state].edges;
    std::vector<Edge> edges = ascii(ranges);
    for (const Sequences& kind : kSequences) {
      std::vector<Range> part;
      for (const Range& range : ranges) {
        if (range.last < kind.first || range.first > kind.last) continue;
        part.push_back(
            {std::max(range.first, kind.first), std::min(range.last, kind.last), range.to});
      }
      add_bytes(edges, std::move(part), 0, kind.lead, kind.n_more);
    }
    spend_(std::ssize(edges) * 8);
    states[state] = std::move(edges);
  }

 private:
  std::vector<Edge> ascii(const std::vector<Range>& ranges) {
    std::vector<Edge> edges;
    for (const Range& range : ranges) {
      for (char32_t c = range.first; c <= std::min<char32_t>(range.last, 0x7F); ++c) {
        if (form_ != ByteForm::raw && (c < 0x20 || c == '"' || c == '\\')) continue;
        add_edge(edges, {static_cast<uint8_t>(c), static_cast<uint8_t>(c), range.to});
      }
    }
    if (form_ == ByteForm::raw) return edges;
    const int32_t escape = escapes(ranges);
    if (escape >= 0) {
      edges.push_back({'\\', '\\', escape});
      std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
        return a.first < b.first;
      });
    }
    return edges;
  }

  // Edges for the bytes lead, lead + 1, …, each of which stands for 64^n_more code points from `base` on.
  void add_bytes(std::vector<Edge>& edges,
                 std::vector<Range> ranges,
                 char32_t base,
                 uint8_t lead,
                 int n_more) {
    const char32_t size = char32_t{1} << (6 * n_more);
    for (size_t i = 0; i < ranges.size();) {
      Range& range = ranges[i];
      const char32_t index = (range.first - base) / size;
      const char32_t first = base + index * size, last = first + size - 1;
      const auto byte = static_cast<uint8_t>(lead + index);
      if (range.first == first && range.last >= last) {  // whole bytes: as many as the range has
        const char32_t n = (range.last - first + 1) / size;
        add_edge(edges, {byte, static_cast<uint8_t>(byte + n - 1), whole(range.to, n_more)});
        range.first = first + n * size;
        if (range.first > range.last) ++i;
        continue;
      }
      std::vector<Range> inside;  // of one byte
      while (i < ranges.size() && ranges[i].first <= last) {
        inside.push_back({ranges[i].first, std::min(ranges[i].last, last), ranges[i].to});
        ranges[i].first = last + 1;
        if (ranges[i].first <= ranges[i].last) break;
        ++i;
      }
      std::vector<Edge> below;
      add_bytes(below, std::move(inside), first, 0x80, n_more - 1);
      add_edge(edges, {byte, byte, intern(std::move(below))});
    }
  }

  // n continuation bytes, whatever they are.
  int32_t whole(int32_t to, int n) {
    for (int i = 0; i < n; ++i) to = intern({{0x80, 0xBF, to}});
    return to;
  }

  int32_t intern(std::vector<Edge> edges) {
    std::vector<int64_t> key;
    for (const Edge& edge : edges) {
      key.push_back(int64_t{edge.first} << 48 | int64_t{edge.last} << 40 | edge.to);
    }
    const auto [entry, is_new] =
        ids_.try_emplace(std::move(key), static_cast<int32_t>(states.size()));
    if (is_new) {
      spend_(std::ssize(edges) * 24 + 64);
      states.push_back(std::move(edges));
    }
    return entry->second;
  }

  // What stands behind a backslash; -1 if nothing may.
  int32_t escapes(const std::vector<Range>& ranges) {
    std::vector<Edge> edges;
    for (const ShortEscape& escape : kShortEscapes) {
      const int32_t to = target(ranges, escape.meaning);
      if (to >= 0) edges.push_back({escape.letter, escape.letter, to});
    }
    const int32_t unicode = form_ == ByteForm::json_any ? any_unicode() : controls(ranges);
    if (unicode >= 0) edges.push_back({'u', 'u', unicode});
    if (form_ == ByteForm::json_any) edges.push_back({'/', '/', 0});
    if (edges.empty()) return -1;
    std::sort(
        edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.first < b.first; });
    return intern(std::move(edges));
  }

  // XXXX of the controls without a short escape.
  int32_t controls(const std::vector<Range>& ranges) {
    std::vector<Edge> tens;
    for (uint8_t high = 0; high < 2; ++high) {
      std::vector<Edge> ones;
      for (uint8_t low = 0; low < 16; ++low) {
        const bool is_short = high == 0 && low >= 8 && low <= 13 && low != 11;
        const int32_t to = is_short ? -1 : target(ranges, static_cast<char32_t>(high * 16 + low));
        if (to >= 0) add_hex(ones, low, to);
      }
      if (!ones.empty())
        tens.push_back({static_cast<uint8_t>('0' + high),
                        static_cast<uint8_t>('0' + high),
                        intern(in_order(ones))});
    }
    if (tens.empty()) return -1;
    const int32_t third = intern(std::move(tens));
    const int32_t second = intern({{'0', '0', third}});
    return intern({{'0', '0', second}});
  }

  // XXXX of everything but the controls with a short escape and lone surrogates; pairs are one code point.
  int32_t any_unicode() {
    const int32_t one = hex_digits(0, 15, 0), two = hex_digits(0, 15, one),
                  three = hex_digits(0, 15, two);
    const int32_t low2 = hex_digits(12, 15, two);
    const int32_t low1 = intern({{'D', 'D', low2}, {'d', 'd', low2}});
    const int32_t low = intern({{'\\', '\\', intern({{'u', 'u', low1}})}});
    const int32_t high = hex_digits(0, 15, hex_digits(0, 15, low));
    std::vector<Edge> behind_d;  // D0XX to D7XX, and D8XX to DBXX with a low one
    for (uint8_t digit = 0; digit < 12; ++digit) add_hex(behind_d, digit, digit < 8 ? two : high);
    std::vector<Edge> controls_0;
    for (const uint8_t digit : {0, 1, 2, 3, 4, 5, 6, 7, 11, 14, 15}) add_hex(controls_0, digit, 0);
    std::vector<Edge> behind_00;
    add_hex(behind_00, 0, intern(in_order(controls_0)));
    for (uint8_t digit = 1; digit < 16; ++digit) add_hex(behind_00, digit, one);
    std::vector<Edge> behind_0;
    add_hex(behind_0, 0, intern(in_order(behind_00)));
    for (uint8_t digit = 1; digit < 16; ++digit) add_hex(behind_0, digit, two);
    std::vector<Edge> first;
    for (uint8_t digit = 0; digit < 16; ++digit) {
      add_hex(first,
              digit,
              digit == 0    ? intern(in_order(behind_0))
              : digit == 13 ? intern(in_order(behind_d))
                            : three);
    }
    return intern(in_order(first));
  }

  int32_t hex_digits(uint8_t first, uint8_t last, int32_t to) {
    std::vector<Edge> edges;
    for (uint8_t digit = first; digit <= last; ++digit) add_hex(edges, digit, to);
    return intern(in_order(edges));
  }

  void add_hex(std::vector<Edge>& edges, uint8_t digit, int32_t to) {
    const auto add = [&](int byte) {
      edges.push_back({static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), to});
    };
    if (digit < 10) return add('0' + digit);
    add('a' + digit - 10);
    if (form_ != ByteForm::json_key) add('A' + digit - 10);
  }

  static std::vector<Edge> in_order(std::vector<Edge> edges) {
    std::sort(
        edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.first < b.first; });
    std::vector<Edge> merged;
    for (const Edge& edge : edges) add_edge(merged, edge);
    return merged;
  }
};

}  // namespace

ByteDfa::ByteDfa(const TextDfa& dfa, ByteForm form, const std::function<void(int64_t)>& spend)
    : n_whole_(static_cast<int32_t>(dfa.states().size())) {
  States made(dfa, form, spend);
  for (size_t i = 0; i < dfa.states().size(); ++i) {
    accepts_.push_back(dfa.states()[i].accepts);
    made.make(i);
  }
  for (const auto& edges : made.states) {
    begins_.push_back(static_cast<uint32_t>(edges_.size()));
    edges_.insert(edges_.end(), edges.begin(), edges.end());
  }
  begins_.push_back(static_cast<uint32_t>(edges_.size()));
  find_plain(dfa);
}

void ByteDfa::find_plain(const TextDfa& dfa) {
  holds_plain_.assign(dfa.states().size(), true);
  const auto holds = [&](const TextDfa::State& state) {
    int64_t covered = 0;
    for (const Range& edge : state.edges) {
      int64_t n = int64_t{edge.last} - edge.first + 1;
      if (edge.first < 0x20) n -= std::min<int64_t>(edge.last, 0x1F) - edge.first + 1;
      for (const char32_t c : {U'"', U'\\', U'\x7F'})
        n -= edge.first <= c && c <= edge.last ? 1 : 0;
      covered += n;
      if (n > 0 && !holds_plain_[static_cast<size_t>(edge.to)]) return false;
    }
    return covered == 0x110000 - 0x800 - 0x20 - 3;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = dfa.states().size(); i-- > 0;) {
      if (!holds_plain_[i] || holds(dfa.states()[i])) continue;
      holds_plain_[i] = false;
      changed = true;
    }
  }
}

}  // namespace qwen3

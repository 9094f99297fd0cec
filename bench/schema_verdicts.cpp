// schema_verdicts FILE...: how many schemas are refused, and what grammars say of instances that are known to be valid
// or not: {"schema": …, "tests": [{"valid": …, "data": …}]}, as those of MaskBench. Objects are open. A grammar has its
// order of keys and an instance does not: objects are put into the order of `properties`, small ones into every order.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxText = 20'000;  // a longer instance takes too long to put into order

// The order of keys in which a grammar spells objects: that of the schema's `properties`, open keys last.
class KeyOrder {
 public:
  explicit KeyOrder(const Json& schema) { read(schema); }

  Json ordered(const Json& value) const {
    if (value.is_array()) {
      Json out = Json::array();
      for (const Json& item : value) out.push_back(ordered(item));
      return out;
    }
    if (!value.is_object()) return value;
    std::vector<std::string> names;
    for (const auto& item : value.items()) names.push_back(item.key());
    const Ranks& ranks = best_for(names);
    std::ranges::stable_sort(names, {}, [&](const std::string& name) {
      const auto at = ranks.find(name);
      return at == ranks.end() ? ranks.size() : at->second;
    });
    Json out = Json::object();
    for (const std::string& name : names) out[name] = ordered(value.at(name));
    return out;
  }

 private:
  using Ranks = std::map<std::string, size_t>;

  void read(const Json& schema) {
    if (schema.is_object() && schema.contains("properties") && schema["properties"].is_object()) {
      Ranks ranks;
      for (const auto& item : schema["properties"].items()) {
        ranks.emplace(item.key(), ranks.size());
      }
      all_.push_back(std::move(ranks));
    }
    if (!schema.is_structured()) return;
    for (const Json& inner : schema) read(inner);
  }

  // The `properties` that know most of the names.
  const Ranks& best_for(const std::vector<std::string>& names) const {
    static const Ranks kNone;
    const Ranks* best = &kNone;
    int64_t most = 0;
    for (const Ranks& ranks : all_) {
      const int64_t n =
          std::ranges::count_if(names, [&](const auto& name) { return ranks.contains(name); });
      if (n > most) best = &ranks;
      most = std::max(most, n);
    }
    return *best;
  }

  std::vector<Ranks> all_;
};

struct Counts {
  int64_t schemas = 0, refused = 0, valid = 0, rejected = 0, invalid = 0, accepted = 0,
          too_long = 0;
  std::vector<double> compile_ms;
};

void judge(Counts& counts,
           const std::string& file,
           const Json& test,
           const KeyOrder& order,
           const Grammar* grammar) {
  const Json& data = test.at("data");
  if (canonical_json(data).size() > kMaxText) {
    ++counts.too_long;
    return;
  }
  const bool valid = test.at("valid").get<bool>();
  // 1.0 is no integer in draft 04, and 1 is one: what is invalid is judged as it is spelled.
  const Json ordered = order.ordered(data);
  const bool respelled = canonical_json(data) != dump_json(data);
  const bool accepted = grammar != nullptr &&
                        (accepts(*grammar, valid ? canonical_json(ordered) : dump_json(ordered)) ||
                         ((valid || !respelled) && accepts_in_some_order(*grammar, data)));
  ++(valid ? counts.valid : counts.invalid);
  if (accepted == valid) return;
  ++(valid ? counts.rejected : counts.accepted);
  fmt::print("{} {}: {}\n",
             valid ? "rejected" : "ACCEPTED",
             file,
             test.value("description", std::string()));
}

void judge_file(Counts& counts, const std::string& file) {
  const Json entry = read_json(file);
  ++counts.schemas;
  GrammarPtr grammar;
  const auto begin = thread_time();
  try {
    JsonSchemaOptions options;
    options.open_objects = true;
    grammar = compile_json_schema(entry.at("schema"), options);
  } catch (const GrammarError& error) {
    if (error.fault() != GrammarFault::unsatisfiable_schema) {
      ++counts.refused;
      return;
    }
  }
  counts.compile_ms.push_back(
      std::chrono::duration<double, std::milli>(thread_time() - begin).count());
  const KeyOrder order(entry.at("schema"));
  for (const Json& test : entry.value("tests", Json::array())) {
    judge(counts, file, test, order, grammar.get());
  }
}

int run(int argc, char** argv) {
  Counts counts;
  for (int i = 1; i < argc; ++i) judge_file(counts, argv[i]);
  std::ranges::sort(counts.compile_ms);
  const auto at = [&](double q) {
    const size_t n = counts.compile_ms.size();
    return n == 0 ? 0 : counts.compile_ms[static_cast<size_t>(q * static_cast<double>(n - 1))];
  };
  fmt::print(
      "{} schemas, {} refused ({:.1f} %); valid instances: {}, {} rejected; invalid: {}, {} "
      "accepted; {} longer than "
      "{} bytes left out; compiling p50 {:.2f} ms, p99 {:.1f} ms\n",
      counts.schemas,
      counts.refused,
      100.0 * static_cast<double>(counts.refused) /
          static_cast<double>(std::max<int64_t>(counts.schemas, 1)),
      counts.valid,
      counts.rejected,
      counts.invalid,
      counts.accepted,
      counts.too_long,
      kMaxText,
      at(0.5),
      at(0.99));
  return counts.accepted == 0 ? 0 : 1;
}

}  // namespace
}  // namespace qwen3

int main(int argc, char** argv) {
  try {
    return qwen3::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

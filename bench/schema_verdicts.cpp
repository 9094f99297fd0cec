// schema_verdicts FILE...: how many schemas are refused, and what grammars say of instances that are known to be valid
// or not: {"schema": …, "tests": [{"valid": …, "data": …}]}, as those of MaskBench. Objects are open. A grammar has its
// order of keys and an instance does not: objects are put into the order of `properties`, small ones into every order.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
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
    std::ranges::stable_sort(names, {}, [this](const std::string& name) {
      const auto at = ranks_.find(name);
      return at == ranks_.end() ? ranks_.size() : at->second;
    });
    Json out = Json::object();
    for (const std::string& name : names) out[name] = ordered(value.at(name));
    return out;
  }

 private:
  void read(const Json& schema) {
    if (schema.is_object() && schema.contains("properties") && schema["properties"].is_object()) {
      for (const auto& item : schema["properties"].items()) {
        ranks_.emplace(item.key(), ranks_.size());
      }
    }
    if (!schema.is_structured()) return;
    for (const Json& inner : schema) read(inner);
  }

  std::map<std::string, size_t> ranks_;
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
  const bool accepted =
      grammar != nullptr && (accepts(*grammar, canonical_json(order.ordered(data))) ||
                             accepts_in_some_order(*grammar, data));
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

// schema_verdicts FILE...: how many schemas are refused, and what grammars say of instances that are known to be valid
// or not: {"schema": …, "tests": [{"valid": …, "data": …}]}, as those of MaskBench. Objects are open. A grammar has its
// order of keys and an instance does not: every object is put into an order that the grammar takes, if there is one.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/clock.h"
#include "grammar/grammar.h"
#include "support/json_instances.h"

namespace qwen3 {
namespace {

constexpr size_t kMaxText = 20'000;  // a longer instance takes too long to put into order

// The spelling of an instance in the grammar's order, as far as pairs of keys tell it.
class Speller {
 public:
  explicit Speller(const Grammar& grammar) : grammar_(grammar) {}

  std::string spell(const Json& value, const std::string& before) const {
    if (value.is_object()) return object(value, before);
    if (!value.is_array()) return canonical_json(value);
    std::string out = "[";
    for (const Json& item : value) {
      if (out.size() > 1) out += ',';
      out += spell(item, before + out);
    }
    return out + "]";
  }

 private:
  bool may_stand(const std::string& text) const {
    return match_bytes(grammar_, text) != Membership::no;
  }

  std::string object(const Json& value, const std::string& before) const {
    std::vector<std::string> members;
    for (const auto& item : value.items()) {
      const std::string key = dump_json(Json(item.key())) + ":";
      members.push_back(key + spell(item.value(), before + "{" + key));
    }
    std::vector<std::string> ordered;
    for (const std::string& member : members) {
      // Before the first that cannot stand in front of it.
      const auto at = std::ranges::find_if(ordered, [&](const std::string& other) {
        return !may_stand(before + "{" + other + "," + member);
      });
      ordered.insert(at, member);
    }
    std::string out = "{";
    for (const std::string& member : ordered) out += (out.size() > 1 ? "," : "") + member;
    return out + "}";
  }

  const Grammar& grammar_;
};

struct Counts {
  int64_t schemas = 0, refused = 0, valid = 0, rejected = 0, invalid = 0, accepted = 0,
          too_long = 0;
  std::vector<double> compile_ms;
};

void judge(Counts& counts, const std::string& file, const Json& test, const Grammar* grammar) {
  const Json& data = test.at("data");
  if (canonical_json(data).size() > kMaxText) {
    ++counts.too_long;
    return;
  }
  const bool valid = test.at("valid").get<bool>();
  const bool accepted =
      grammar != nullptr && (accepts(*grammar, Speller(*grammar).spell(data, "")) ||
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
  for (const Json& test : entry.value("tests", Json::array())) {
    judge(counts, file, test, grammar.get());
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

#include "eval/run/found_samples.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "eval/python/python_json.h"
#include "eval/run/sample_line.h"

namespace qwen3::eval {

bool FoundSamples::read(std::string_view line, int64_t number) {
  if (mode_ == Mode::strict) return read_by_prompt(line);
  const std::optional<SampleFacts> facts = read_sample_line(line);
  if (!facts) return !has_sample_member(line) && read_by_prompt(line);
  uint32_t& seen = by_key_[short_key(facts->key)];
  QWEN3_CHECK(seen == 0,
              ErrorKind::corrupt_file,
              "line {}: the sample {} is in the file twice; were two files joined? Remove one "
              "of the lines, or join shards with qwen3 eval merge",
              number,
              facts->key);
  seen = 1;
  ++n_keyed_;
  prompt_tokens_ += std::max<int64_t>(0, facts->prompt_tokens);
  completion_tokens_ += std::max<int64_t>(0, facts->completion_tokens);
  return true;
}

bool FoundSamples::read_by_prompt(std::string_view line) {
  if (!utf8_valid(line)) return false;
  const std::optional<PyValue> value = py_loads(line);
  if (!value) return false;
  const PyValue* prompt = value->find("prompt");
  const PyValue* gen = value->find("gen");
  if (prompt == nullptr || prompt->string() == nullptr) return false;
  if (gen != nullptr && gen->list() == nullptr) return false;
  const size_t n = gen == nullptr ? 0 : gen->list()->size();
  by_prompt_[short_hash_of(*prompt->string())] += static_cast<uint32_t>(n);
  ++n_unkeyed_;
  return true;
}

std::vector<int64_t> FoundSamples::missing(const std::string& row,
                                           const std::string& prompt,
                                           int64_t n_samples) const {
  std::vector<int64_t> samples;
  for (int64_t sample = 0; sample < n_samples; ++sample) {
    if (n_keyed_ == 0 || !has(sample_key(row, sample))) samples.push_back(sample);
  }
  if (n_unkeyed_ == 0) return samples;
  const int64_t counted = by_prompt_.count(short_hash_of(prompt));
  const auto n = std::min<int64_t>(counted, static_cast<int64_t>(samples.size()));
  samples.erase(samples.begin(), samples.begin() + n);
  return samples;
}

}  // namespace qwen3::eval

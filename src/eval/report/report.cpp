#include "eval/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "eval/report/report_page.h"
#include "eval/score/score_text.h"

namespace qwen3::eval {
namespace {

constexpr size_t kMaxTextBytes = 24'000;  // of one prompt, answer or thought
constexpr size_t kMaxGridSide = 64;

// A grid of digits as one text a row; nothing for any other value.
std::optional<Json> grid_json(const PyValue& value) {
  const PyList* rows = value.list();
  if (rows == nullptr || rows->empty() || rows->size() > kMaxGridSide) return std::nullopt;
  Json grid = Json::array();
  for (const PyValue& row : *rows) {
    const PyList* cells = row.list();
    if (cells == nullptr || cells->empty() || cells->size() > kMaxGridSide) return std::nullopt;
    std::string line;
    for (const PyValue& cell : *cells) {
      const int64_t* colour = cell.integer();
      if (colour == nullptr || *colour < 0 || *colour > 9) return std::nullopt;
      line += static_cast<char>('0' + *colour);
    }
    grid.push_back(line);
  }
  return grid;
}

// A grid, or text; null stays null.
Json value_json(const PyValue& value) {
  if (value.is_null()) return nullptr;
  if (std::optional<Json> grid = grid_json(value)) return std::move(*grid);
  return value.string() != nullptr ? *value.string() : preview(value);
}

// The beginning and the end of a long text; how much is gone stands between them.
std::string shortened(const std::string& text) {
  if (text.size() <= kMaxTextBytes) return text;
  constexpr size_t kHead = kMaxTextBytes / 3, kTail = kMaxTextBytes - kHead;
  const auto continues = [&](size_t at) { return (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80; };
  size_t head = kHead, tail = text.size() - kTail;
  while (head > 0 && continues(head)) --head;
  while (tail < text.size() && continues(tail)) ++tail;
  return fmt::format(
      "{}\n[… {} bytes …]\n{}", text.substr(0, head), tail - head, text.substr(tail));
}

Json spread_json(const std::vector<Measured>& values) {
  const std::optional<Spread> spread = spread_of(values);
  if (!spread) return nullptr;
  const Histogram histogram = *histogram_of(values);
  return {{"n", spread->n},
          {"min", spread->min},
          {"median", spread->median},
          {"p90", spread->p90},
          {"max", spread->max},
          {"mean", spread->mean},
          {"edges", histogram.edges},
          {"right", histogram.right},
          {"other", histogram.other}};
}

// Which samples a page has room for: all, or those that were not right and then the others, in the
// order of the file. Texts go by the same order.
class Room {
 public:
  explicit Room(const ScoreResult& score) {
    for (size_t i = 0; i < score.samples.size(); ++i) order_.push_back(i);
    std::stable_partition(
        order_.begin(), order_.end(), [&](size_t i) { return score.samples[i].verdict.acc == 0; });
    n_left_out_ = order_.size() - std::min(order_.size(), kMaxReportSamples);
    order_.resize(order_.size() - n_left_out_);
  }

  const std::vector<size_t>& order() const { return order_; }
  size_t n_left_out() const { return n_left_out_; }
  size_t n_without_text() const { return n_without_text_; }

  // False when the page is full.
  bool take(size_t bytes) {
    if (bytes > left_) {
      ++n_without_text_;
      return false;
    }
    left_ -= bytes;
    return true;
  }

 private:
  std::vector<size_t> order_;
  size_t n_left_out_ = 0, n_without_text_ = 0;
  size_t left_ = kMaxReportBytes;
};

// The samples and prompts of one run. Prompts stand once, however many samples they have.
class RunData {
 public:
  explicit RunData(const ScoreResult& score) : room_(score) {
    std::vector<Json> rows(score.samples.size());
    for (const size_t i : room_.order()) rows[i] = sample_json(score.samples[i]);
    place_.assign(score.samples.size(), -1);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].is_null()) continue;
      place_[i] = static_cast<int64_t>(samples_.size());
      samples_.push_back(std::move(rows[i]));
    }
  }

  // Where a sample stands on the page; -1 when it was left out.
  int64_t place_of(size_t sample) const { return place_[sample]; }

  void move_into(Json& run) {
    run["prompts"] = std::move(prompts_);
    run["samples"] = std::move(samples_);
    run["left_out"] = room_.n_left_out();
    run["without_text"] = room_.n_without_text();
  }

 private:
  size_t prompt_of(const SampleScore& sample) {
    const auto [place, is_new] =
        prompt_places_.emplace(std::pair(sample.task, sample.prompt), prompts_.size());
    if (is_new) {
      std::string text = shortened(sample.prompt_text);
      const bool fits = room_.take(text.size());
      prompts_.push_back({sample.task,
                          sample.prompt,
                          fits ? Json(std::move(text)) : Json(),
                          value_json(sample.truth)});
    }
    return place->second;
  }

  // [prompt, sample, line, outcome, acc, reason, finish reason, prompt tokens, completion tokens,
  //  seconds, prediction, text, thinking]; page.js names them in the same order.
  Json sample_json(const SampleScore& sample) {
    const auto known = [](const auto& value) { return value ? Json(*value) : Json(); };
    std::string text = shortened(sample.text), reasoning = shortened(sample.reasoning);
    const size_t prompt = prompt_of(sample);
    const bool fits = room_.take(text.size() + reasoning.size());
    return {prompt,
            sample.sample,
            sample.line,
            static_cast<int>(sample.verdict.outcome),
            sample.verdict.acc,
            sample.verdict.reason,
            sample.finish_reason,
            known(sample.prompt_tokens),
            known(sample.completion_tokens),
            known(sample.seconds),
            sample.verdict.prediction ? value_json(*sample.verdict.prediction) : Json(),
            fits ? Json(std::move(text)) : Json(),
            fits ? Json(std::move(reasoning)) : Json()};
  }

  Room room_;
  std::map<std::pair<size_t, size_t>, size_t> prompt_places_;
  Json prompts_ = Json::array(), samples_ = Json::array();
  std::vector<int64_t> place_;
};

// A reason without what is particular to one answer: where its JSON broke, what stood there.
std::string kind_of_reason(const SampleScore& sample) {
  if (!sample.failure_kind.empty()) return sample.failure_kind;
  const std::string& reason = sample.verdict.reason;
  return reason.substr(0, std::min(reason.find(": "), reason.find(" (cut off")));
}

// Kinds of reasons, the most frequent first, of all samples that were not right: [outcome, reason,
// count, cut off by the limit of tokens].
Json reasons_json(const ScoreResult& score) {
  constexpr size_t kMaxReasons = 40;
  std::map<std::pair<Outcome, std::string>, std::array<int64_t, 2>> counts;
  for (const SampleScore& sample : score.samples) {
    if (sample.verdict.acc > 0) continue;
    auto& count = counts[{sample.verdict.outcome, kind_of_reason(sample)}];
    ++count[0];
    if (sample.finish_reason == "length") ++count[1];
  }
  std::vector<Json> rows;
  for (const auto& [what, count] : counts) {
    rows.push_back({static_cast<int>(what.first), what.second, count[0], count[1]});
  }
  std::ranges::stable_sort(
      rows, [](const Json& a, const Json& b) { return a[2].get<int64_t>() > b[2].get<int64_t>(); });
  if (rows.size() > kMaxReasons) rows.resize(kMaxReasons);
  return rows;
}

Json run_json(const ReportRun& run, RunData& data) {
  Json json = score_json(run.score);
  json.erase("tasks");
  json["name"] = run.name;
  json["manifest"] = run.manifest.value_or(nullptr);
  json["counts"] = run.score.outcomes;
  json["lengths"] = spread_json(lengths_of(run.score));
  json["times"] = spread_json(times_of(run.score));
  json["reasons"] = reasons_json(run.score);
  // [name, score, samples, right ones]
  json["tasks"] = Json::array();
  for (const TaskScore& task : run.score.tasks) {
    json["tasks"].push_back({task.task_id, task.score, task.n_samples, task.n_correct});
  }
  data.move_into(json);
  return json;
}

}  // namespace

std::string html_report(const ReportInput& input) {
  RunData ours(input.run.score);
  Json data{{"lang", input.chinese ? "zh" : "en"},
            {"task", input.run.score.task},
            {"outcomes", Json::array()},
            {"runs", Json::array({run_json(input.run, ours)})}};
  for (const Outcome outcome : kOutcomes) data["outcomes"].push_back(outcome_name(outcome));
  if (input.other) {
    RunData other(input.other->score);
    data["runs"].push_back(run_json(*input.other, other));
    data["comparison"] = comparison_json(*input.comparison);
    Json& pairs = data["pairs"] = Json::array();
    for (const SamplePair& pair : input.comparison->pairs) {
      const int64_t place = ours.place_of(pair.sample), other_place = other.place_of(pair.other);
      if (place >= 0 && other_place >= 0) pairs.push_back({place, other_place});
    }
  }
  return html_page(report_page(), data);
}

}  // namespace qwen3::eval

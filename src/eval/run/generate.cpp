#include "eval/run/generate.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "eval/python/python_json.h"
#include "eval/run/choice_source.h"
#include "eval/run/choices.h"
#include "eval/run/failure_log.h"
#include "eval/run/found_samples.h"
#include "eval/run/journal.h"
#include "eval/run/run_files.h"
#include "eval/run/sample_key.h"
#include "eval/run/sample_line.h"

namespace qwen3::eval {
namespace {

constexpr std::chrono::milliseconds kPatience{100};  // how late a wish to stop may be noticed

// A line as the official scripts write it: the row, and the response appended to "gen".
std::string official_line(DatasetRow row, const Answer& answer) {
  PyDict& object = *row.value.dict();
  if (object.find("gen") == nullptr) object.set("gen", PyList());
  PyList* gen = object.find("gen")->list();
  QWEN3_CHECK(
      gen != nullptr, ErrorKind::corrupt_file, "dataset: \"gen\" of a row: expected a list");
  if (answer.context_exceeded) {
    PyDict record;
    record.set("gen", "");
    record.set("end_reason", "max length exceeded");
    gen->push_back(std::move(record));
  } else if (answer.null_content) {
    gen->push_back(nullptr);
  } else {
    gen->push_back(answer.text);
  }
  return py_dumps(row.value);
}

std::filesystem::path output_of(const GenerateOptions& options) {
  const std::filesystem::path output =
      require_path(options.config, &EvalConfig::output_file, "output_file");
  return shard_path(output, options.shard);
}

// Facts that nothing depends on: a disk that does not take them is no reason to stop.
class Timings {
 public:
  Timings(const std::filesystem::path& path, const GenerateHooks& hooks) : hooks_(hooks) {
    guarded([&] {
      journal_.emplace(
          open_append_file(path), BadLines::skip, [](std::string_view, int64_t) { return true; });
    });
  }

  void add(const std::string& key, const Reply& reply) {
    if (!journal_) return;
    PyDict line;
    line.set("id", key);
    line.set("server", reply.server);
    line.set("seconds", reply.seconds);
    line.set("attempts", int64_t{reply.attempts});
    line.set("finished", utc_now());
    guarded([&] { journal_->append(py_dumps(PyValue(std::move(line)))); });
  }

 private:
  template <typename Work>
  void guarded(Work&& work) {
    try {
      work();
    } catch (const Error& error) {
      journal_.reset();
      if (hooks_.note) hooks_.note(fmt::format("timings are not kept: {}", error.what()));
    }
  }

  const GenerateHooks& hooks_;
  std::optional<Journal> journal_;
};

class Generation {
 public:
  Generation(const GenerateOptions& options, const GenerateHooks& hooks)
      : options_(options),
        hooks_(hooks),
        dataset_(require_path(options.config, &EvalConfig::input_file, "input_file"), options.mode),
        output_(output_of(options)),
        identity_(identity_hash(run_identity(options.config, options.mode))),
        found_(options.mode) {
    make_folder_of(output_);
    open_output();
    check_manifest(Json::array());
    plan();
  }

  GenerateReport run(const MakeSource& make_source);

 private:
  struct Sample {
    uint32_t row, sample;
  };

  void note(const std::string& line) const {
    if (hooks_.note) hooks_.note(line);
  }
  void open_output();
  void check_manifest(const Json& served);
  void plan();
  std::vector<std::string> choices_of(int64_t row) const;
  void begin_books(const Json& served);
  void close_books();
  void ask_until_done();
  bool keep_asking();
  void ask_next();
  void take(const std::vector<Reply>& replies);
  void write_answer(const std::string& key, const Sample& sample, const Answer& answer);
  void write_failure(const std::string& key, const Sample& sample, const Reply& reply);
  std::string key_of(const Sample& sample) const {
    return sample_key(row_key(identity_, dataset_.fingerprint(sample.row)), sample.sample);
  }

  const GenerateOptions& options_;
  const GenerateHooks& hooks_;
  Dataset dataset_;
  std::filesystem::path output_;
  std::string identity_;
  FoundSamples found_;
  std::optional<Journal> journal_;
  std::optional<Json> manifest_before_;
  Json manifest_;
  std::vector<Sample> pending_;
  size_t next_ = 0;  // of pending_
  std::unordered_map<uint64_t, Sample> under_way_;
  std::optional<FailureLog> failures_;
  std::optional<Timings> timings_;
  std::unique_ptr<AnswerSource> source_;
  GenerateReport report_;
};

void Generation::open_output() {
  const auto bad_lines = options_.mode == Mode::strict ? BadLines::skip : BadLines::refuse;
  try {
    journal_.emplace(
        open_append_file(output_), bad_lines, [this](std::string_view line, int64_t number) {
          return found_.read(line, number);
        });
  } catch (const Error& error) {
    // Lines are named by number; the file is ours to name.
    const std::string message = error.what();
    if (!message.starts_with("line ")) throw;
    fail(error.kind(), "{}: {}", output_.string(), message);
  }
  if (journal_->cut_bytes() > 0) {
    note(fmt::format("{}: cut off {} bytes of a line that an interruption left unfinished",
                     output_.string(),
                     journal_->cut_bytes()));
  }
}

void Generation::check_manifest(const Json& served) {
  const std::filesystem::path path = manifest_path(output_);
  if (!manifest_before_) manifest_before_ = read_manifest(path);
  manifest_ = make_manifest({.config = options_.config,
                             .mode = options_.mode,
                             .dataset = dataset_,
                             .shard = options_.shard,
                             .served = served,
                             .version = options_.version});
  if (!manifest_before_) return;
  const std::string difference = manifest_difference(*manifest_before_, manifest_);
  if (difference.empty()) return;
  if (options_.accept_served && difference.starts_with("served")) {
    note(fmt::format("resuming although {}", difference));
    return;
  }
  fail(ErrorKind::invalid_argument,
       "{}: made by a different run: {}; give another output_file, or {}",
       output_.string(),
       difference,
       difference.starts_with("served") ? "add --accept-changed-server to resume anyway"
                                        : "change that back");
}

// Lists what is missing.
void Generation::plan() {
  const int64_t n_rows =
      options_.max_rows > 0 ? std::min(options_.max_rows, dataset_.size()) : dataset_.size();
  QWEN3_CHECK(!options_.config.scores_choices() || found_.n_keyed() == found_.n_lines(),
              ErrorKind::invalid_argument,
              "{}: holds lines without \"qwen3\", which were generated; give another output_file, "
              "or remove choose_by from {}",
              output_.string(),
              options_.config.name);
  Tally& tally = report_.tally;
  int64_t n_recognised = 0;
  for (int64_t row = 0; row < n_rows; ++row) {
    if (!options_.shard.has(row)) continue;
    choices_of(row);  // a row that has none is found before anything is asked
    const std::string key = row_key(identity_, dataset_.fingerprint(row));
    const std::string prompt =
        found_.n_keyed() < found_.n_lines() ? dataset_.row(row).prompt : std::string();
    const auto missing = found_.missing(key, prompt, options_.config.n_samples);
    for (const int64_t sample : missing) {
      pending_.push_back({static_cast<uint32_t>(row), static_cast<uint32_t>(sample)});
    }
    tally.wanted += options_.config.n_samples;
    n_recognised += options_.config.n_samples - static_cast<int64_t>(missing.size());
  }
  QWEN3_CHECK(manifest_before_ || found_.n_keyed() == 0 || n_recognised >= found_.n_keyed(),
              ErrorKind::invalid_argument,
              "{}: holds samples of another run, and {} is gone, so the difference cannot be "
              "named; give another output_file",
              output_.string(),
              manifest_path(output_).string());
  tally.found = tally.there = n_recognised;
  tally.prompt_tokens = found_.prompt_tokens();
  tally.completion_tokens = found_.completion_tokens();
}

// Of a row where choices are scored; else none.
std::vector<std::string> Generation::choices_of(int64_t row) const {
  if (!options_.config.scores_choices()) return {};
  return read_choices(
      options_.config, dataset_.row(row), fmt::format("{}: line {}", dataset_.name(), row + 1));
}

void Generation::begin_books(const Json& served) {
  check_manifest(served);
  if (manifest_before_) {
    manifest_["runs"] = (*manifest_before_)["runs"];
    if (manifest_before_->contains("served") && (*manifest_before_)["served"].is_array()) {
      Json all = (*manifest_before_)["served"];
      for (const Json& facts : served) {
        if (std::find(all.begin(), all.end(), facts) == all.end()) all.push_back(facts);
      }
      manifest_["served"] = all;
    }
  }
  manifest_["runs"].push_back({{"started", utc_now()},
                               {"ended", nullptr},
                               {"version", options_.version},
                               {"found", report_.tally.found}});
  write_manifest(manifest_path(output_), manifest_);
  failures_.emplace(output_);
  timings_.emplace(timings_path(output_), hooks_);
}

void Generation::close_books() {
  const Tally& tally = report_.tally;
  report_.failures = failures_->counts();
  Json& run = manifest_["runs"].back();
  run["ended"] = utc_now();
  run["answers"] = tally.there - tally.found;
  run["failures"] = tally.failed;
  manifest_["totals"] = {{"wanted", tally.wanted},
                         {"answers", tally.there},
                         {"prompt_tokens", tally.prompt_tokens},
                         {"completion_tokens", tally.completion_tokens}};
  failures_->finish();
  write_manifest(manifest_path(output_), manifest_);
}

GenerateReport Generation::run(const MakeSource& make_source) {
  if (pending_.empty() && manifest_before_) return report_;
  source_ = make_source();
  if (options_.config.scores_choices()) {
    source_ = std::make_unique<ChoiceSource>(std::move(source_), options_.config);
  }
  begin_books(source_->served());
  try {
    ask_until_done();
  } catch (const std::exception&) {
    // The answers are safe, and the next run writes these files again.
    try {
      close_books();
    } catch (const Error&) {
      note(fmt::format("{}: could not be updated", manifest_path(output_).string()));
    }
    throw;
  }
  close_books();
  return report_;
}

void Generation::ask_until_done() {
  const auto max_under_way = static_cast<size_t>(options_.config.max_workers);
  while (true) {
    const bool asking = keep_asking();
    while (asking && under_way_.size() < max_under_way && next_ < pending_.size()) ask_next();
    if (under_way_.empty()) return;
    take(source_->wait(kPatience));
    report_.tally.under_way = static_cast<int64_t>(under_way_.size());
    if (hooks_.progress) hooks_.progress(report_.tally, source_->condition());
  }
}

// Whether new questions may be asked.
bool Generation::keep_asking() {
  const StopWish wish = hooks_.stop ? hooks_.stop() : StopWish::none;
  if (wish != StopWish::none && (next_ < pending_.size() || !under_way_.empty())) {
    report_.stopped = true;
  }
  if (wish == StopWish::now) under_way_.clear();  // their replies are not waited for
  return wish == StopWish::none && report_.ended_by.empty();
}

void Generation::ask_next() {
  const uint64_t tag = next_;
  const Sample sample = pending_[next_++];
  under_way_.emplace(tag, sample);
  source_->ask({.tag = tag,
                .prompt = dataset_.row(sample.row).prompt,
                .sample = sample.sample,
                .choices = choices_of(sample.row)});
}

// Writes a group of answers and brings them to disk together; only then they count.
void Generation::take(const std::vector<Reply>& replies) {
  int64_t n_answers = 0;
  Tally& tally = report_.tally;
  std::vector<std::string> answered;
  for (const Reply& reply : replies) {
    const auto found = under_way_.find(reply.tag);
    if (found == under_way_.end()) continue;
    const Sample sample = found->second;
    under_way_.erase(found);
    const std::string key = key_of(sample);
    if (const Answer* answer = std::get_if<Answer>(&reply.result)) {
      write_answer(key, sample, *answer);
      answered.push_back(key);
      ++n_answers;
      tally.prompt_tokens += std::max<int64_t>(0, answer->prompt_tokens);
      tally.completion_tokens += std::max<int64_t>(0, answer->completion_tokens);
      tally.new_completion_tokens += std::max<int64_t>(0, answer->completion_tokens);
    } else {
      write_failure(key, sample, reply);
    }
    timings_->add(key, reply);
  }
  journal_->commit();
  for (const std::string& key : answered) failures_->forget(key);
  tally.there += n_answers;
}

void Generation::write_answer(const std::string& key, const Sample& sample, const Answer& answer) {
  DatasetRow row = dataset_.row(sample.row);
  journal_->append(options_.mode == Mode::strict
                       ? official_line(std::move(row), answer)
                       : sample_line(row.json, key, sample.sample, answer));
}

void Generation::write_failure(const std::string& key, const Sample& sample, const Reply& reply) {
  const Failure& failure = std::get<Failure>(reply.result);
  failures_->add(key, dataset_.row(sample.row).task_id, sample.sample, failure, reply.attempts);
  ++report_.tally.failed;
  if (ends_run(failure.kind) && report_.ended_by.empty()) {
    report_.ended_by = fmt::format("{} ({}): {}", reply.server, failure.status, failure.message);
  }
}

}  // namespace

GenerateReport generate(const GenerateOptions& options,
                        const MakeSource& make_source,
                        const GenerateHooks& hooks) {
  return Generation(options, hooks).run(make_source);
}

}  // namespace qwen3::eval

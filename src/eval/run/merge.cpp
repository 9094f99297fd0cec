#include "eval/run/merge.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <vector>

#include "base/embedded_files.h"
#include "base/error.h"
#include "base/input_file.h"
#include "base/output_file.h"
#include "eval/run/append_file.h"
#include "eval/run/failure_log.h"
#include "eval/run/found_samples.h"
#include "eval/run/journal.h"
#include "eval/run/manifest.h"
#include "eval/run/run_files.h"
#include "eval/run/sample_key.h"
#include "eval/run/sample_line.h"

namespace qwen3::eval {
namespace {

// A line of a shard's file.
struct Line {
  ShortKey key;
  int64_t offset = 0, bytes = 0;
};

bool before(const ShortKey& a, const ShortKey& b) {
  return a.high != b.high ? a.high < b.high : a.low < b.low;
}

// A line and its place in the merged file.
struct Placed {
  int64_t row = 0, sample = 0;
  size_t shard = 0;
  int64_t offset = 0, bytes = 0;
};

// How many shards there are, by the names beside the output file.
int64_t find_count(const std::filesystem::path& output) {
  const std::string head = output.stem().string() + ".shard-";
  const std::string tail = output.extension().string();
  std::set<int64_t> counts;
  std::error_code error;
  const auto folder = output.has_parent_path() ? output.parent_path() : ".";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const size_t of = name.find("-of-", head.size());
    if (!name.starts_with(head) || !name.ends_with(tail) || of == name.npos) continue;
    const char* begin = name.data() + of + 4;
    const char* end = name.data() + name.size() - tail.size();
    int64_t count = 0;
    const auto [stop, problem] = std::from_chars(begin, end, count);
    if (problem == std::errc() && stop == end && count > 0) counts.insert(count);
  }
  QWEN3_CHECK(counts.size() == 1,
              ErrorKind::not_found,
              "{}: expected files {}1-of-N{} of one N beside it; got {}",
              output.string(),
              head,
              tail,
              counts.empty() ? "none" : "several N; move the others away");
  return *counts.begin();
}

class Merge {
 public:
  explicit Merge(const MergeOptions& options)
      : options_(options),
        output_(require_path(options.config, &EvalConfig::output_file, "output_file")),
        dataset_(require_path(options.config, &EvalConfig::input_file, "input_file"), options.mode),
        identity_(identity_hash(run_identity(options.config, options.mode))) {}

  MergeReport run();

 private:
  void read_shard(const Shard& shard);
  void check_manifest(const Shard& shard, const std::filesystem::path& path);
  std::vector<Line> read_lines(const std::filesystem::path& path, FoundSamples& found);
  void place_by_key(const Shard& shard, std::vector<Line> lines);
  void write();
  void write_failures();

  const MergeOptions& options_;
  std::filesystem::path output_;
  Dataset dataset_;
  std::string identity_;
  std::vector<std::filesystem::path> paths_;
  std::vector<Placed> placed_;
  Json manifest_;
  MergeReport report_;
};

MergeReport Merge::run() {
  QWEN3_CHECK(!file_exists(output_),
              ErrorKind::invalid_argument,
              "{}: already exists; move it away, or delete it, to merge the shards again",
              output_.string());
  report_.output = output_.string();
  report_.n_shards = find_count(output_);
  for (int64_t i = 1; i <= report_.n_shards; ++i) read_shard({i, report_.n_shards});
  QWEN3_CHECK(options_.partial || report_.there == report_.wanted,
              ErrorKind::invalid_argument,
              "{}: {} of {} samples are missing; finish the shards, or use --partial to merge what "
              "is there",
              output_.string(),
              report_.wanted - report_.there,
              report_.wanted);
  std::sort(placed_.begin(), placed_.end(), [](const Placed& a, const Placed& b) {
    return a.row != b.row ? a.row < b.row : a.sample < b.sample;
  });
  write();
  return report_;
}

void Merge::read_shard(const Shard& shard) {
  const std::filesystem::path path = shard_path(output_, shard);
  QWEN3_CHECK(file_exists(path),
              ErrorKind::not_found,
              "{}: missing; expected all {} shards",
              path.string(),
              shard.count);
  check_manifest(shard, path);
  FoundSamples found(options_.mode);
  std::vector<Line> lines = read_lines(path, found);
  paths_.push_back(path);
  const int64_t n_samples = options_.config.n_samples;
  int64_t n_rows = 0;
  for (int64_t row = shard.index - 1; row < dataset_.size(); row += shard.count) ++n_rows;
  report_.wanted += n_rows * n_samples;
  if (options_.mode == Mode::standard) return place_by_key(shard, std::move(lines));
  // Official lines name no sample: they keep their order within the shard.
  for (size_t i = 0; i < lines.size(); ++i) {
    placed_.push_back({.row = shard.index,
                       .sample = static_cast<int64_t>(i),
                       .shard = paths_.size() - 1,
                       .offset = lines[i].offset,
                       .bytes = lines[i].bytes});
  }
  for (int64_t row = shard.index - 1; row < dataset_.size(); row += shard.count) {
    const auto missing = found.missing("", dataset_.row(row).prompt, n_samples);
    report_.there += n_samples - static_cast<int64_t>(missing.size());
  }
}

void Merge::check_manifest(const Shard& shard, const std::filesystem::path& path) {
  const std::optional<Json> manifest = read_manifest(manifest_path(path));
  QWEN3_CHECK(manifest.has_value(),
              ErrorKind::not_found,
              "{}: missing; expected the manifest next to the shard",
              manifest_path(path).string());
  Json now = make_manifest({.config = options_.config,
                            .mode = options_.mode,
                            .dataset = dataset_,
                            .shard = shard,
                            .served = manifest_.is_null() ? Json::array() : manifest_["served"],
                            .version = {}});
  const std::string difference = manifest_difference(*manifest, now);
  QWEN3_CHECK(difference.empty(),
              ErrorKind::invalid_argument,
              "{}: made by a different run: {}; run the shard again, or use the config it was made "
              "with",
              path.string(),
              difference);
  if (manifest_.is_null()) {
    manifest_ = *manifest;
    manifest_.erase("shard");
    return;
  }
  for (const Json& run : (*manifest)["runs"]) manifest_["runs"].push_back(run);
  for (const char* key : {"answers", "prompt_tokens", "completion_tokens", "wanted"}) {
    const Json& totals = (*manifest)["totals"];
    const bool both = totals.is_object() && totals.contains(key) &&
                      totals[key].is_number_integer() && manifest_["totals"].contains(key);
    if (both) {
      manifest_["totals"][key] =
          manifest_["totals"][key].get<int64_t>() + totals[key].get<int64_t>();
    }
  }
}

std::vector<Line> Merge::read_lines(const std::filesystem::path& path, FoundSamples& found) {
  std::vector<Line> lines;
  int64_t offset = 0;
  const bool strict = options_.mode == Mode::strict;
  const auto visit = [&](std::string_view line, int64_t number) {
    const auto bytes = static_cast<int64_t>(line.size());
    const bool good = found.read(line, number);
    const std::optional<SampleFacts> facts =
        good && !strict ? read_sample_line(line) : std::nullopt;
    QWEN3_CHECK(!good || strict || facts,
                ErrorKind::corrupt_file,
                "{}: line {}: not written by qwen3 eval generate; merge such files with cat",
                path.string(),
                number);
    if (good) lines.push_back({facts ? short_key(facts->key) : ShortKey{}, offset, bytes});
    offset += bytes + 1;
    return good;
  };
  // The journal's lock: a shard that is still being written is refused.
  const Journal journal(open_append_file(path), strict ? BadLines::skip : BadLines::refuse, visit);
  return lines;
}

void Merge::place_by_key(const Shard& shard, std::vector<Line> lines) {
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return before(a.key, b.key);
  });
  int64_t n_placed = 0;
  for (int64_t row = shard.index - 1; row < dataset_.size(); row += shard.count) {
    const std::string row_id = row_key(identity_, dataset_.fingerprint(row));
    for (int64_t sample = 0; sample < options_.config.n_samples; ++sample) {
      const ShortKey key = short_key(sample_key(row_id, sample));
      const auto found = std::lower_bound(
          lines.begin(), lines.end(), key, [](const Line& line, const ShortKey& wanted) {
            return before(line.key, wanted);
          });
      if (found == lines.end() || !(found->key == key)) continue;
      placed_.push_back({row, sample, paths_.size() - 1, found->offset, found->bytes});
      ++n_placed;
    }
  }
  QWEN3_CHECK(n_placed == static_cast<int64_t>(lines.size()),
              ErrorKind::invalid_argument,
              "{}: {} lines are not samples of this shard; was n_samples made smaller, or were "
              "files joined by hand?",
              paths_.back().string(),
              static_cast<int64_t>(lines.size()) - n_placed);
  report_.there += n_placed;
}

void Merge::write() {
  std::vector<InputFile> files;
  for (const auto& path : paths_) files.emplace_back(path);
  manifest_["n_samples"] = options_.config.n_samples;
  write_failures();
  write_manifest(manifest_path(output_), manifest_);
  OutputFile file(output_);
  std::string text;
  for (const Placed& line : placed_) {
    text.assign(static_cast<size_t>(line.bytes), '\0');
    files[line.shard].read(line.offset, std::as_writable_bytes(std::span(text)));
    file.write(text);
    file.write("\n");
  }
  file.sync();
  file.commit();
  sync_directory_of(output_);
}

void Merge::write_failures() {
  std::map<std::string, std::string> lines;
  for (const auto& path : paths_) {
    const FailureLog log(path);
    lines.insert(log.lines().begin(), log.lines().end());
  }
  if (lines.empty()) return;
  OutputFile file(failures_path(output_));
  for (const auto& [key, line] : lines) file.write(line + "\n");
  file.commit();
}

}  // namespace

MergeReport merge_shards(const MergeOptions& options) { return Merge(options).run(); }

}  // namespace qwen3::eval

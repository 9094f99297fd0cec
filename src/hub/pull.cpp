#include "hub/pull.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/available_memory.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "hub/blob.h"

namespace qwen3::hub {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSpareBytes = int64_t{64} << 20;  // that a disk keeps

// Work on threads, watched by the caller's, which alone talks to the outside.
class Crew {
 public:
  explicit Crew(std::atomic<bool>& stop) : stop_(stop) {}

  // work() on n threads; watch() about ten times a second meanwhile, until it says false. Rethrows the first error.
  void run(int n, const std::function<void()>& work, const std::function<bool()>& watch) {
    running_ = n;
    std::vector<std::jthread> threads;
    try {
      for (int i = 0; i < n; ++i) threads.emplace_back([&] { do_and_tell(work); });
      std::unique_lock guard(mutex_);
      while (!all_done_.wait_for(
          guard, std::chrono::milliseconds(100), [&] { return running_ == 0; })) {
        guard.unlock();
        if (!watch()) stop_ = true;
        guard.lock();
      }
    } catch (...) {
      stop_ = true;
      throw;
    }
    threads.clear();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void do_and_tell(const std::function<void()>& work) {
    std::exception_ptr error;
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard guard(mutex_);
    if (error && !error_) error_ = error;  // before the others fail because they are stopped
    if (error) stop_ = true;
    if (--running_ == 0) all_done_.notify_all();
  }

  std::atomic<bool>& stop_;
  std::mutex mutex_;
  std::condition_variable all_done_;
  int running_ = 0;
  std::exception_ptr error_;
};

class Pull {
 public:
  Pull(const Cache& cache, const PullOptions& options)
      : cache_(cache), options_(options), retry_(options.retry) {
    if (!options.on_retry) return;
    retry_.on_wait = [this](const HttpReply& reply, int attempt, std::chrono::milliseconds wait) {
      const std::string why =
          reply.error.empty() ? fmt::format("status {}", reply.status) : reply.error;
      const std::lock_guard guard(retries_mutex_);
      retries_.push_back(fmt::format("{}: {}; attempt {} of {} in {:.0f} s",
                                     reply.url,
                                     why,
                                     attempt + 1,
                                     retry_.attempts,
                                     std::chrono::duration<double>(wait).count()));
    };
  }

  Pulled run() {
    check_server(options_.server);
    each_on_a_thread(1, [&] { list(); });
    if (stopped_) return result();
    choose();
    check_space();
    cache_.make_repo_folders(options_.ref.repo);
    each_on_a_thread(
        std::clamp<int>(options_.connections, 1, static_cast<int>(missing_.size()) + 1),
        [&] { download(); });
    if (stopped_) return result();
    publish();
    return result();
  }

 private:
  void each_on_a_thread(int n, const std::function<void()>& work) {
    const auto watch = [&] {
      tell_retries();
      const bool goes_on = !options_.progress || options_.progress(progress());
      stopped_ = stopped_ || !goes_on;
      return goes_on;
    };
    try {
      Crew(stop_).run(n, work, watch);
    } catch (const Error&) {
      if (!stopped_) throw;  // else it is what stopping looks like
    }
  }

  void tell_retries() {
    std::vector<std::string> retries;
    {
      const std::lock_guard guard(retries_mutex_);
      retries.swap(retries_);
    }
    for (const std::string& why : retries) options_.on_retry(why);
  }

  PullProgress progress() const {
    return {.files_done = counters_.files_done,
            .files = static_cast<int>(wanted_.size()),
            .bytes_there = counters_.bytes_there,
            .bytes = bytes_,
            .bytes_received = counters_.bytes_received,
            .waiting = counters_.waiting > 0};
  }

  void list() {
    HttpSession session(options_.server, stop_);
    listing_ = list_files(options_.source, session, retry_, options_.ref);
  }

  void choose() {
    std::vector<std::string> paths;
    for (const RemoteFile& file : listing_.files) paths.push_back(file.path);
    Wanted wanted = options_.wanted;
    wanted.gguf = options_.ref.file;
    const auto chosen = choose_files(paths, wanted, options_.ref.text());
    const std::set<std::string> names(chosen.begin(), chosen.end());
    for (const RemoteFile& file : listing_.files) {
      if (!names.contains(file.path)) continue;
      const auto sum = checked_add(bytes_, file.size);
      QWEN3_CHECK(sum, ErrorKind::corrupt_file, "{}: sizes beyond 2^63", options_.ref.text());
      bytes_ = *sum;
      wanted_.push_back(&file);
      if (has_blob(blob_of(file), file.size)) {
        counters_.bytes_there += file.size;
        ++counters_.files_done;
      } else {
        missing_.push_back(&file);
      }
    }
    // The largest first: the small ones fill the gaps at the end.
    std::stable_sort(missing_.begin(), missing_.end(), [](const auto* a, const auto* b) {
      return a->size > b->size;
    });
  }

  fs::path blob_of(const RemoteFile& file) const {
    return cache_.repo_folder(options_.ref.repo) / "blobs" / file.hash;
  }

  static fs::path incomplete_of(fs::path blob) { return blob += ".incomplete"; }

  void check_space() const {
    int64_t needed = 0;
    std::set<std::string> counted;
    for (const RemoteFile* file : missing_) {
      if (!counted.insert(file->hash).second) continue;
      std::error_code error;
      const uintmax_t there = fs::file_size(incomplete_of(blob_of(*file)), error);
      needed +=
          file->size - (error ? 0 : std::min<int64_t>(file->size, static_cast<int64_t>(there)));
    }
    const int64_t free = free_bytes(cache_.repo_folder(options_.ref.repo));
    QWEN3_CHECK(needed == 0 || free >= kSpareBytes + needed,
                ErrorKind::io,
                "{}: it takes {} more on the disk of {}, which has {} left; make room, or put the "
                "cache on another "
                "disk (HF_HUB_CACHE)",
                options_.ref.text(),
                format_bytes(needed),
                cache_.root().string(),
                format_bytes(free));
  }

  void download() {
    HttpSession session(options_.server, stop_);
    const std::string commit = options_.source == Source::hugging_face ? listing_.commit : "";
    for (size_t i; !stop_ && (i = next_++) < missing_.size();) {
      const RemoteFile& file = *missing_[i];
      const fs::path blob = blob_of(file);
      download_blob(session,
                    retry_,
                    {.file = file,
                     .commit = commit,
                     .blob = blob,
                     .incomplete = incomplete_of(blob),
                     .lock = cache_.lock_folder(options_.ref.repo) / (file.hash + ".lock"),
                     .what = options_.ref.repo + ": " + quote_for_message(file.path)},
                    counters_);
      if (!stop_) ++counters_.files_done;
    }
  }

  void publish() const {
    const auto link = [&](const RemoteFile& file) {
      cache_.link_file(options_.ref.repo, listing_.commit, file.path, file.hash);
    };
    for (const RemoteFile* file : wanted_) {
      if (file->path != "config.json") link(*file);
    }
    for (const RemoteFile* file : wanted_) {
      if (file->path == "config.json") link(*file);
    }
    if (!listing_.ref.empty()) {
      cache_.write_ref(options_.ref.repo, listing_.ref, listing_.commit);
    }
  }

  Pulled result() const {
    Pulled pulled;
    pulled.stopped = stopped_;
    pulled.commit = listing_.commit;
    pulled.snapshot = cache_.repo_folder(options_.ref.repo) / "snapshots" / listing_.commit;
    pulled.bytes = bytes_;
    pulled.bytes_received = counters_.bytes_received;
    for (const RemoteFile* file : wanted_) pulled.files.push_back(file->path);
    return pulled;
  }

  const Cache& cache_;
  const PullOptions& options_;
  RetryPolicy retry_;
  std::mutex retries_mutex_;
  std::vector<std::string> retries_;  // not told yet
  Listing listing_;
  std::vector<const RemoteFile*> wanted_, missing_;
  int64_t bytes_ = 0;
  PullCounters counters_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  bool stopped_ = false;  // by the caller, not by an error
};

}  // namespace

Pulled pull(const Cache& cache, const PullOptions& options) { return Pull(cache, options).run(); }

}  // namespace qwen3::hub

#include "hub/blob.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/unique_fd.h"
#include "hub/file_lock.h"

namespace qwen3::hub {
namespace {

namespace fs = std::filesystem;

// The file that grows, and the hash of what is in it.
class Incomplete {
 public:
  Incomplete(const fs::path& path, const RemoteFile& file, PullCounters& counters)
      : path_(path),
        size_(file.size),
        hash_(file.kind, file.size),
        counters_(counters),
        fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666)) {
    if (!fd_) fail_with_errno("open");
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) fail_with_errno("look at");
    QWEN3_CHECK(S_ISREG(status.st_mode), ErrorKind::io, "{}: expected a file", path_.string());
    if (status.st_size > size_) restart();
  }
  // What was counted and is not kept in the end was not there.
  ~Incomplete() {
    if (!kept_) counters_.bytes_there -= there_;
  }
  Incomplete(const Incomplete&) = delete;
  Incomplete& operator=(const Incomplete&) = delete;

  // Takes up what an earlier run has left.
  void read_what_is_there(const HttpSession& session) {
    std::vector<std::byte> buffer(size_t{1} << 20);
    while (!session.stopped()) {
      const ssize_t n = ::pread(fd_.get(), buffer.data(), buffer.size(), there_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_with_errno("read");
      if (n == 0) return;
      count(std::span(buffer).first(static_cast<size_t>(n)));
    }
  }

  void restart() {
    if (::ftruncate(fd_.get(), 0) != 0) fail_with_errno("empty");
    hash_.restart();
    counters_.bytes_there -= there_;
    there_ = 0;
  }

  void add(std::span<const std::byte> bytes) {
    QWEN3_CHECK(static_cast<int64_t>(bytes.size()) <= size_ - there_,
                ErrorKind::corrupt_file,
                "the hub sends more than the {} bytes it has promised",
                size_);
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const auto at = there_ + static_cast<int64_t>(bytes.size() - rest.size());
      const ssize_t n = ::pwrite(fd_.get(), rest.data(), rest.size(), at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_with_errno("write");
      rest = rest.subspan(static_cast<size_t>(n));
    }
    count(bytes);
    counters_.bytes_received += static_cast<int64_t>(bytes.size());
  }

  int64_t there() const { return there_; }
  std::string take_hash() { return hash_.take(); }

  // To the disk, and to its name.
  void publish(const fs::path& blob) {
    if (::fsync(fd_.get()) != 0) fail_with_errno("write");
    if (::rename(path_.c_str(), blob.c_str()) != 0) fail_with_errno("rename");
    const UniqueFd folder(::open(blob.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder) ::fsync(folder.get());
    kept_ = true;
  }

 private:
  void count(std::span<const std::byte> bytes) {
    hash_.add(bytes);
    there_ += static_cast<int64_t>(bytes.size());
    counters_.bytes_there += static_cast<int64_t>(bytes.size());
  }

  [[noreturn]] void fail_with_errno(std::string_view verb) const {
    const int error = errno;
    fail(ErrorKind::io,
         "{}: cannot {}: {}{}",
         path_.string(),
         verb,
         strerror(error),
         error == ENOSPC || error == EDQUOT || error == EFBIG
             ? "; make room, then run the same command: it continues"
             : "");
  }

  const fs::path path_;
  const int64_t size_;
  ContentHash hash_;
  PullCounters& counters_;
  UniqueFd fd_;
  int64_t there_ = 0;
  bool kept_ = false;
};

// The number after "bytes " in "bytes 100-199/200".
int64_t range_begin(std::string_view range) {
  constexpr std::string_view kUnit = "bytes ";
  int64_t begin = -1;
  if (range.starts_with(kUnit)) {
    const char* end = range.data() + range.size();
    std::from_chars(range.data() + kUnit.size(), end, begin);
  }
  return begin;
}

// Bytes of answers into the file: from where it ends, or all again where the server cannot do that.
class IntoFile : public BodyReceiver {
 public:
  IntoFile(Incomplete& to, const RemoteFile& file, const std::string& commit)
      : to_(to), file_(file), commit_(commit) {}

  void begin(const HttpReply& head) override {
    check_promise(head);
    const std::string_view encoding = head.header("content-encoding");
    QWEN3_CHECK(encoding.empty() || encoding == "identity",
                ErrorKind::corrupt_file,
                "the hub sends {} where plain bytes were asked for",
                quote_for_message(encoding));
    if (head.status == 200 && to_.there() > 0) to_.restart();
    if (head.status != 206) return;
    const int64_t begin = range_begin(head.header("content-range"));
    QWEN3_CHECK(begin == to_.there(),
                ErrorKind::corrupt_file,
                "the hub sends the bytes from {} on where those from {} on were asked for",
                begin,
                to_.there());
  }

  void add(std::span<const std::byte> bytes) override {
    to_.add(bytes);
    received_ = true;
  }

  bool received() const { return received_; }

 private:
  // What the hub says of the file when it gives it, against its list.
  void check_promise(const HttpReply& head) const {
    const auto check = [&](std::string_view name, std::string_view expected) {
      std::string_view got = head.header(name);
      if (got.starts_with("W/")) got.remove_prefix(2);
      if (got.size() >= 2 && got.front() == '"' && got.back() == '"') {
        got = got.substr(1, got.size() - 2);
      }
      QWEN3_CHECK(got.empty() || expected.empty() || got == expected,
                  ErrorKind::corrupt_file,
                  "the hub's {} is \"{}\", its list of files has {}",
                  name,
                  quote_for_message(got),
                  expected);
    };
    check("x-repo-commit", commit_);
    check("x-linked-etag", file_.kind == HashKind::sha256 ? file_.hash : "");
    check("x-linked-size", fmt::format("{}", file_.size));
  }

  Incomplete& to_;
  const RemoteFile& file_;
  const std::string& commit_;
  bool received_ = false;
};

HttpReply get_into(HttpSession& session, const BlobJob& job, IntoFile& receiver, int64_t from) {
  try {
    return session.get(job.file.url, &receiver, from);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::corrupt_file) throw;  // of the disk: it names the file on it
    fail(error.kind(), "{}: {}", job.what, error.what());
  }
}

// Requests until the file has its length.
void fetch(HttpSession& session, const RetryPolicy& policy, const BlobJob& job, Incomplete& to) {
  const RemoteFile& file = job.file;
  for (int attempt = 1; to.there() < file.size; ++attempt) {
    IntoFile receiver(to, file, job.commit);
    HttpReply reply = get_into(session, job, receiver, to.there());
    if (to.there() == file.size) return;
    if (receiver.received()) attempt = 1;  // news
    const bool arrived = reply.error.empty() && (reply.status == 200 || reply.status == 206);
    if (arrived) {
      reply.error = fmt::format("the file ends after {} of {} bytes", to.there(), file.size);
      reply.may_work_later = true;
      if (to.there() > 0 && !receiver.received()) to.restart();
    }
    if (reply.status == 416 &&
        to.there() > 0) {  // it has nothing beyond: not this file's beginning
      to.restart();
      reply.may_work_later = true;
      reply.error = "the hub has no more of the file than is here";
    }
    if (!may_pass(reply) || !wait_for_attempt(session, policy, attempt, reply)) {
      fail_for(reply, session.server(), job.what);
    }
  }
}

}  // namespace

bool has_blob(const fs::path& blob, int64_t size) {
  std::error_code error;
  return fs::is_regular_file(blob, error) &&
         fs::file_size(blob, error) == static_cast<uint64_t>(size);
}

void download_blob(HttpSession& session,
                   const RetryPolicy& policy,
                   const BlobJob& job,
                   PullCounters& counters) {
  const RemoteFile& file = job.file;
  std::optional<FileLock> lock = FileLock::try_lock(job.lock);
  if (!lock) {
    ++counters.waiting;
    while (!lock && !session.stopped()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      lock = FileLock::try_lock(job.lock);
    }
    --counters.waiting;
  }
  if (session.stopped()) return;
  if (has_blob(job.blob, file.size)) {  // from somebody else, meanwhile
    counters.bytes_there += file.size;
    return;
  }
  for (int round = 0;; ++round) {
    Incomplete to(job.incomplete, file, counters);
    to.read_what_is_there(session);
    const bool continued = to.there() > 0;
    if (session.stopped()) return;
    fetch(session, policy, job, to);
    const std::string got = to.take_hash();
    if (got == file.hash) return to.publish(job.blob);
    std::error_code ignored;
    fs::remove(job.incomplete, ignored);
    // The fault may lie in what was continued: once more, from the beginning.
    QWEN3_CHECK(continued && round == 0,
                ErrorKind::corrupt_file,
                "{}: the content's hash is {}, the hub's list of files has {}; it was thrown away",
                job.what,
                got,
                file.hash);
  }
}

}  // namespace qwen3::hub

#include "hub/listing.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace qwen3::hub {
namespace {

constexpr size_t kMaxPageBytes = size_t{64} << 20, kMaxFiles = 100'000, kMaxPages = 1000;
constexpr size_t kModelScopeLimit = 3000;  // entries after which it stops without a word

// One value of an entry of a list of files.
const Json* value_of(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

std::string text_of(const Json& object, std::string_view key, std::string_view what) {
  const Json* value = value_of(object, key);
  QWEN3_CHECK(value != nullptr && value->is_string(),
              ErrorKind::corrupt_file,
              "{}: expected the text \"{}\"; is this a hub's address?",
              what,
              key);
  return value->get<std::string>();
}

int64_t size_of(const Json& object, std::string_view key, std::string_view what) {
  const Json* value = value_of(object, key);
  QWEN3_CHECK(value != nullptr && value->is_number_integer() && value->get<int64_t>() >= 0,
              ErrorKind::corrupt_file,
              "{}: expected \"{}\", a size in bytes; got {}",
              what,
              key,
              value == nullptr ? "nothing" : quote_for_message(dump_json(*value), 40));
  return value->get<int64_t>();
}

void check_hash(const RemoteFile& file) {
  QWEN3_CHECK(is_hex(file.hash, hash_digits(file.kind)),
              ErrorKind::corrupt_file,
              "the hub's list of files: {}: expected a hash of {} digits; got \"{}\"",
              quote_for_message(file.path),
              hash_digits(file.kind),
              quote_for_message(file.hash));
}

// No name twice, and none that is another's folder.
void check_names(std::vector<RemoteFile>& files) {
  std::sort(files.begin(), files.end(), [](const RemoteFile& a, const RemoteFile& b) {
    return a.path < b.path;
  });
  std::vector<std::string_view> folders;  // each a prefix of the next: the names are in order
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    const auto begins = [&](std::string_view other) {
      return path.starts_with(other) && (path.size() == other.size() || path[other.size()] == '/');
    };
    while (!folders.empty() && !path.starts_with(folders.back())) folders.pop_back();
    QWEN3_CHECK(std::none_of(folders.begin(), folders.end(), begins),
                ErrorKind::corrupt_file,
                "the hub's list of files: {}: the name is there twice, or is a folder too",
                quote_for_message(path));
    folders.push_back(path);
  }
}

RemoteFile hugging_face_file(const Json& entry, const std::string& resolve, std::string_view what) {
  RemoteFile file;
  file.path = text_of(entry, "path", what);
  check_repo_path(file.path);
  if (const Json* lfs = value_of(entry, "lfs")) {
    file.kind = HashKind::sha256;
    file.hash = text_of(*lfs, "oid", what);
    file.size = size_of(*lfs, "size", what);
  } else {
    file.kind = HashKind::git_blob;
    file.hash = text_of(entry, "oid", what);
    file.size = size_of(entry, "size", what);
  }
  check_hash(file);
  file.url = resolve + percent_encoded(file.path, true);
  return file;
}

Listing list_hugging_face(HttpSession& session, const RetryPolicy& policy, const ModelRef& ref) {
  const std::string& endpoint = session.server().endpoint;
  const std::string api = endpoint + "/api/models/" + ref.repo;
  Listing listing;
  listing.commit = ref.revision;
  if (!is_commit(ref.revision)) {
    const std::string revision = ref.revision.empty() ? "main" : ref.revision;
    const HttpReply reply = get_text(session,
                                     policy,
                                     api + "/revision/" + percent_encoded(revision, false),
                                     ref.text(),
                                     kMaxPageBytes);
    listing.commit = text_of(parse_json(reply.body, reply.url), "sha", reply.url);
    QWEN3_CHECK(is_commit(listing.commit),
                ErrorKind::corrupt_file,
                "{}: expected a commit of 40 digits; got \"{}\"",
                reply.url,
                quote_for_message(listing.commit));
  }
  const std::string resolve = endpoint + "/" + ref.repo + "/resolve/" + listing.commit + "/";
  std::string page = api + "/tree/" + listing.commit + "?recursive=true&expand=false";
  for (size_t i = 0; !page.empty(); ++i) {
    const HttpReply reply = get_text(session, policy, page, ref.text(), kMaxPageBytes);
    const Json entries = parse_json(reply.body, reply.url);
    QWEN3_CHECK(entries.is_array() && i < kMaxPages,
                ErrorKind::corrupt_file,
                "{}: expected a list of files, of at most {} pages",
                reply.url,
                kMaxPages);
    for (const Json& entry : entries) {
      if (text_of(entry, "type", reply.url) != "file") continue;
      QWEN3_CHECK(listing.files.size() < kMaxFiles,
                  ErrorKind::corrupt_file,
                  "{}: more than {} files",
                  reply.url,
                  kMaxFiles);
      listing.files.push_back(hugging_face_file(entry, resolve, reply.url));
    }
    page = reply.next;
  }
  return listing;
}

// A commit's name for a state of a repository that has none: equal content, equal name.
std::string commit_of(const std::vector<RemoteFile>& files) {
  std::string text;
  for (const RemoteFile& file : files) text += fmt::format("{} {}\n", file.hash, file.path);
  ContentHash hash(HashKind::git_blob, static_cast<int64_t>(text.size()));
  hash.add(std::as_bytes(std::span(text)));
  return hash.take();
}

Listing list_model_scope(HttpSession& session, const RetryPolicy& policy, const ModelRef& ref) {
  const std::string revision =
      percent_encoded(ref.revision.empty() ? "master" : ref.revision, false);
  const std::string api = session.server().endpoint + "/api/v1/models/" + ref.repo + "/repo";
  const HttpReply reply = get_text(session,
                                   policy,
                                   api + "/files?Revision=" + revision + "&Recursive=True",
                                   ref.text(),
                                   kMaxPageBytes);
  const Json answer = parse_json(reply.body, reply.url);
  const Json* data = value_of(answer, "Data");
  const Json* entries = data == nullptr ? nullptr : value_of(*data, "Files");
  QWEN3_CHECK(entries != nullptr && entries->is_array() && entries->size() < kModelScopeLimit,
              ErrorKind::corrupt_file,
              "{}: expected a list of fewer than {} files",
              reply.url,
              kModelScopeLimit);
  Listing listing;
  for (const Json& entry : *entries) {
    if (text_of(entry, "Type", reply.url) != "blob") continue;
    RemoteFile file;
    file.path = text_of(entry, "Path", reply.url);
    check_repo_path(file.path);
    file.hash = text_of(entry, "Sha256", reply.url);
    file.size = size_of(entry, "Size", reply.url);
    check_hash(file);
    file.url = api + "?Revision=" + revision + "&FilePath=" + percent_encoded(file.path, false);
    listing.files.push_back(std::move(file));
  }
  return listing;
}

}  // namespace

std::string ref_name(Source source, const std::string& revision) {
  if (source == Source::model_scope) {
    return revision.empty() ? "modelscope" : "modelscope-" + revision;
  }
  if (is_commit(revision)) return "";
  return revision.empty() ? "main" : revision;
}

Listing list_files(Source source,
                   HttpSession& session,
                   const RetryPolicy& policy,
                   const ModelRef& ref) {
  Listing listing = source == Source::hugging_face ? list_hugging_face(session, policy, ref)
                                                   : list_model_scope(session, policy, ref);
  check_names(listing.files);
  if (source == Source::model_scope) listing.commit = commit_of(listing.files);
  listing.ref = ref_name(source, ref.revision);
  return listing;
}

}  // namespace qwen3::hub

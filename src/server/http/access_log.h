// One line of JSON per request. Pure ASCII, at most 4 KiB, never a key, a query or a body: what a
// client can put into it is a path, a method and an id, escaped and cut.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/http.h"

namespace qwen3::server {

struct AccessRecord {
  std::chrono::system_clock::time_point time;  // when the request's first byte came
  std::string id;
  std::string peer;
  std::string key;  // its name
  std::string method;
  std::string target;  // logged without its query
  int status = 0;      // 0: nothing was sent
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
  double milliseconds = 0;
  std::string_view outcome;  // "complete", "client gone", …
  std::vector<std::pair<std::string, NoteValue>> notes;
};

constexpr size_t kMaxLogLine = 4096;

std::string access_line(const AccessRecord& record);

}  // namespace qwen3::server

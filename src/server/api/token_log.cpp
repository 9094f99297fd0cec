#include "server/api/token_log.h"

#include <utility>

#include "base/utf8.h"

namespace qwen3::server {

// End tokens have an id and no text, so no log probability either.
void TokenLog::add(const Tokenizer& tokenizer, const Event& event, TextRange text, LogprobIds ids) {
  if (event.token_id < 0 || !event.logprob || event.is_end_token) return;
  Entry entry{text, {}};
  // The bytes of a part of a character count with the text that completes it.
  if (text.end == text.begin && !utf8_valid(tokenizer.token_bytes(event.token_id))) {
    ++entry.text.end;
  }
  append_chat_logprob(entry.json, tokenizer, *event.logprob, event.top_logprobs, ids);
  n_bytes_ += entry.json.size() + sizeof entry;
  entries_.push_back(std::move(entry));
}

TokenLog::Entry TokenLog::take_first() {
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  n_bytes_ -= entry.json.size() + sizeof entry;
  return entry;
}

void TokenLog::take(std::string& entries,
                    const std::vector<TextRange>& parts,
                    size_t content_begin) {
  for (const TextRange& part : parts) {
    while (!entries_.empty() && entries_.front().text.begin < part.end) {
      const Entry entry = take_first();
      if (entry.text.end <= part.begin || entry.text.end == entry.text.begin) continue;
      if (!entries.empty()) entries += ',';
      entries += entry.json;
    }
  }
  while (!entries_.empty() && entries_.front().text.end <= content_begin) take_first();
}

}  // namespace qwen3::server

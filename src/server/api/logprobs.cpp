#include "server/api/logprobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/utf8.h"
#include "server/api/json_writer.h"

namespace qwen3::server {
namespace {

void append_bytes(std::string& out, std::string_view bytes) {
  out += '[';
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    append_json_number(out, static_cast<unsigned char>(bytes[i]));
  }
  out += ']';
}

void append_token(std::string& out,
                  const Tokenizer& tokenizer,
                  const TokenLogprob& token,
                  LogprobIds ids) {
  out += '{';
  if (ids == LogprobIds::shown) {
    out += R"("id":)";
    append_json_number(out, token.token_id);
    out += ',';
  }
  out += R"("token":)";
  append_json_string(out, token_text(tokenizer, token.token_id));
  out += R"(,"logprob":)";
  append_json_logprob(out, token.logprob);
  out += R"(,"bytes":)";
  append_bytes(out, tokenizer.token_bytes(token.token_id));
}

void separate(std::string& list) { list += list.empty() ? "[" : ","; }

}  // namespace

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (utf8_valid(bytes)) return std::string(bytes);
  std::string out = "bytes:";
  for (const char byte : bytes) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return out;
}

void append_chat_logprob(std::string& out,
                         const Tokenizer& tokenizer,
                         const TokenLogprob& token,
                         std::span<const TokenLogprob> top,
                         LogprobIds ids) {
  append_token(out, tokenizer, token, ids);
  out += R"(,"top_logprobs":[)";
  for (size_t i = 0; i < top.size(); ++i) {
    if (i > 0) out += ',';
    append_token(out, tokenizer, top[i], ids);
    out += '}';
  }
  out += "]}";
}

void CompletionLogprobs::add(int32_t id,
                             const std::optional<TokenLogprob>& token,
                             std::span<const TokenLogprob> top) {
  separate(tokens_);
  append_json_string(tokens_, token_text(tokenizer_, id));
  separate(offsets_);
  append_json_number(offsets_, offset_);
  separate(logprobs_);
  separate(top_);
  if (token) {
    append_json_logprob(logprobs_, token->logprob);
    add_top(*token, top);
  } else {
    logprobs_ += "null";
    top_ += "null";
  }
  partial_ += tokenizer_.token_bytes(id);
  size_t tail = 0;
  if (!utf8_incomplete_tail(partial_, &tail)) tail = 0;
  const std::string text = utf8_lossy(std::string_view(partial_).substr(0, partial_.size() - tail));
  offset_ += std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
  partial_.erase(0, partial_.size() - tail);
}

// The token itself is among its rivals, whatever its rank.
void CompletionLogprobs::add_top(const TokenLogprob& token, std::span<const TokenLogprob> top) {
  const auto append = [&](const TokenLogprob& entry, bool first) {
    if (!first) top_ += ',';
    append_json_string(top_, token_text(tokenizer_, entry.token_id));
    top_ += ':';
    append_json_logprob(top_, entry.logprob);
  };
  top_ += '{';
  bool first = true;
  bool seen = false;
  for (const TokenLogprob& entry : top) {
    append(entry, std::exchange(first, false));
    seen |= entry.token_id == token.token_id;
  }
  if (!seen) append(token, first);
  top_ += '}';
}

std::string CompletionLogprobs::take() {
  const auto list = [](std::string& text) {
    return text.empty() ? std::string("[]") : std::exchange(text, {}) + "]";
  };
  return fmt::format(R"({{"tokens":{},"token_logprobs":{},"top_logprobs":{},"text_offset":{}}})",
                     list(tokens_),
                     list(logprobs_),
                     list(top_),
                     list(offsets_));
}

std::string prompt_logprobs_json(const Tokenizer& tokenizer,
                                 const std::vector<PromptLogprobs>& logprobs) {
  std::string out = "[";
  for (const PromptLogprobs& entry : logprobs) {
    if (out.size() > 1) out += ',';
    if (!entry.token) {
      out += "null";
      continue;
    }
    bool first = true;
    const auto append = [&](const TokenLogprob& token, int64_t rank) {
      out += std::exchange(first, false) ? "" : ",";
      fmt::format_to(std::back_inserter(out), R"("{}":{{"logprob":)", token.token_id);
      append_json_logprob(out, token.logprob);
      fmt::format_to(std::back_inserter(out), R"(,"rank":{},"decoded_token":)", rank);
      append_json_string(out, token_text(tokenizer, token.token_id));
      out += '}';
    };
    out += '{';
    append(*entry.token, entry.rank);
    for (size_t i = 0; i < entry.top.size(); ++i) {
      if (entry.top[i].token_id == entry.token->token_id) continue;
      append(entry.top[i], static_cast<int64_t>(i) + 1);
    }
    out += '}';
  }
  return out + "]";
}

}  // namespace qwen3::server

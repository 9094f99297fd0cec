#include "chat/tool_calls.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "chat/coder_calls.h"
#include "chat/json_text.h"
#include "chat/partial_match.h"

namespace qwen3 {
namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kSpace = " \t\r\n";

class HermesStream final : public ToolCallStream {
 public:
  explicit HermesStream(AcceptCall accept) : accept_(std::move(accept)) {}

  ToolDelta push(std::string_view text) override {
    ToolDelta out;
    pending_ += text;
    while (in_call_ ? read_call(out) : read_text(out, false)) {
    }
    return out;
  }

  ToolDelta finish(bool cut) override {
    ToolDelta out;
    if (in_call_) {
      // A complete object without its closing tag is a call; so is one whose tag was cut off.
      const size_t tag = partial_suffix(pending_, kClose);
      out.cut_call = cut && !complete_ && !plain_;
      if (!out.cut_call) end_call(out, pending_.size() - tag, tag);
    } else {
      const size_t tag = partial_suffix(pending_, kOpen);
      out.cut_call = cut && opens_tag(tag, first_text_);
      if (out.cut_call) pending_.resize(pending_.size() - tag);
      read_text(out, true);
    }
    return out;
  }

 private:
  // Content up to the next opening tag. True when a call begins.
  bool read_text(ToolDelta& out, bool at_end) {
    const size_t open = pending_.find(kOpen);
    const bool found = open != pending_.npos;
    const size_t end =
        found ? open : pending_.size() - (at_end ? 0 : partial_suffix(pending_, kOpen));
    if (!any_call_) out.content.append(pending_, 0, end);
    first_text_ &= pending_.find_first_not_of(kSpace) >= end;
    pending_.erase(0, found ? open + kOpen.size() : end);
    if (found) {
      in_call_ = true;
      scanned_ = 0;
      depth_ = 0;
      in_string_ = escaped_ = complete_ = plain_ = false;
    }
    return found;
  }

  // Reads on in the body of a call. The closing tag counts only outside of JSON strings, as long as
  // the body is JSON. True when the call ended.
  bool read_call(ToolDelta& out) {
    for (; scanned_ < pending_.size(); ++scanned_) {
      const char c = pending_[scanned_];
      if (in_string_) {
        if (escaped_)
          escaped_ = false;
        else if (c == '\\')
          escaped_ = true;
        else if (c == '"')
          in_string_ = false;
        continue;
      }
      if (c == '<') {
        const std::string_view rest = std::string_view(pending_).substr(scanned_, kClose.size());
        if (rest == kClose) {
          end_call(out, scanned_, kClose.size());
          return true;
        }
        if (kClose.starts_with(rest)) return false;  // wait for the rest of the tag
      }
      if (plain_) continue;
      if (c == '"')
        in_string_ = true;
      else if (c == '{' || c == '[')
        ++depth_;
      else if (c == '}' || c == ']')
        complete_ = --depth_ == 0;
      // A body that is not one object alone is searched for the tag as plain text.
      if (depth_ <= 0 && kSpace.find(c) == kSpace.npos && !(complete_ && c == '}')) {
        plain_ = true;
        in_string_ = false;
      }
    }
    return false;
  }

  // The body is pending_[0, size), followed by tag_size bytes of closing tag.
  void end_call(ToolDelta& out, size_t size, size_t tag_size) {
    auto call = parse_call(std::string_view(pending_).substr(0, size));
    if (call && (!accept_ || accept_(*call))) {
      out.calls.push_back(*std::move(call));
      any_call_ = true;
    } else {
      out.content.append(kOpen).append(pending_, 0, size + tag_size);
    }
    pending_.erase(0, size + tag_size);
    in_call_ = false;
  }

  static std::optional<ToolCall> parse_call(std::string_view body) {
    try {
      const Json json = parse_json(body, "tool call");
      if (!json.is_object() || !json.contains("name") || !json["name"].is_string())
        return std::nullopt;
      if (!json.contains("arguments")) return std::nullopt;
      const Json& arguments = json["arguments"];
      ToolCall call{json["name"].get<std::string>(), {}};
      call.arguments = arguments.is_null()     ? "{}"
                       : arguments.is_string() ? arguments.get<std::string>()
                                               : python_json(arguments);
      if (call.name.empty()) return std::nullopt;
      return call;
    } catch (const Error&) {
      return std::nullopt;  // not JSON: the caller shows it as text
    }
  }

  const AcceptCall accept_;
  std::string pending_;  // text not yet given out; the body when in a call
  size_t scanned_ = 0;   // bytes of the body already read
  int64_t depth_ = 0;
  bool in_call_ = false;
  bool any_call_ = false;
  bool first_text_ = true;  // nothing but white space was given out
  bool in_string_ = false;
  bool escaped_ = false;
  bool complete_ = false;  // the object has ended
  bool plain_ = false;
};

}  // namespace

void ToolDelta::append(ToolDelta more) {
  content += more.content;
  for (ToolCall& call : more.calls) calls.push_back(std::move(call));
  cut_call |= more.cut_call;
}

std::unique_ptr<ToolCallStream> make_tool_call_stream(ToolFormat format,
                                                      std::shared_ptr<const Json> tools,
                                                      AcceptCall accept) {
  if (format == ToolFormat::qwen3_coder) {
    return make_coder_call_stream(std::move(tools), std::move(accept));
  }
  return std::make_unique<HermesStream>(std::move(accept));
}

ToolDelta parse_tool_calls(ToolFormat format, std::string_view text, const Json& tools, bool cut) {
  const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools));
  ToolDelta out = stream->push(text);
  out.append(stream->finish(cut));
  return out;
}

}  // namespace qwen3

#include "chat/tool_calls.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "chat/call_reader.h"
#include "chat/code_spans.h"
#include "chat/coder_calls.h"
#include "chat/hermes_calls.h"
#include "chat/partial_match.h"

namespace qwen3 {
namespace {

bool is_space(std::string_view text) {
  return text.find_first_not_of(kCallSpace) == std::string_view::npos;
}

// Positions are those of pending_, which is cut at the front by shrink() alone.
class CallStream final : public ToolCallStream {
 public:
  CallStream(std::unique_ptr<CallReader> reader, const std::shared_ptr<const Json>& tools)
      : reader_(std::move(reader)), any_name_(tools == nullptr || !tools->is_array()) {
    if (any_name_) return;
    for (std::string& name : declared_functions(*tools)) names_.insert(std::move(name));
  }

  ToolDelta push(std::string_view text) override {
    ToolDelta out;
    pending_ += text;
    scan(out, CallReader::End::open);
    shrink();
    return out;
  }

  ToolDelta finish(bool cut) override {
    ToolDelta out;
    scan(out, cut ? CallReader::End::cut : CallReader::End::ended);
    return out;
  }

 private:
  static constexpr size_t kNone = std::string::npos;

  void scan(ToolDelta& out, CallReader::End end) {
    while (in_call_ ? read_call(out, end) : read_text(out, end)) {
    }
  }

  void shrink() {
    pending_.erase(0, begin_);
    offset_ += begin_;
    looked_ -= begin_;
    if (held_ != kNone) held_ -= begin_;
    begin_ = 0;
  }

  std::string_view from(size_t at) const { return std::string_view(pending_).substr(at); }

  // Text up to the next call. True when one may begin.
  bool read_text(ToolDelta& out, CallReader::End end) {
    for (;;) {
      const auto [at, tag] = next_tag();
      if (at == kNone) break;
      look(at);
      const bool first = spans_.first_on_line();
      const bool opened = std::exchange(quoted_open_, false);
      const bool quoted = spans_.in_span() || opened || !reader_->may_begin(tag, first);
      if (!quoted && !spans_.in_fence()) {
        give(out, at);
        reader_->reset();
        in_call_ = true;
        return true;
      }
      if (!quoted && held_ == kNone) held_ = at;
      look(at + tag.size());
      quoted_open_ = tag == kCallOpen;
    }
    if (end == CallReader::End::open) {
      look(std::max(looked_, pending_.size() - partial_tag()));
      give(out, std::min(looked_, held_));
      return false;
    }
    return end_text(out, end);
  }

  // True when there is more to read: a fence that never closed was none.
  bool end_text(ToolDelta& out, CallReader::End end) {
    const bool cut = end == CallReader::End::cut;
    const bool quoted = spans_.in_span() || spans_.in_fence();
    const size_t tag = quoted ? 0 : partial_suffix(from(begin_), kCallOpen);
    look(pending_.size());
    if (!cut && held_ != kNone && spans_.in_fence_at_end()) {
      spans_ = {};
      looked_ = std::exchange(held_, kNone);
      return true;
    }
    held_ = kNone;
    out.cut_call |= cut && opens_tag(tag, first_text_);
    give(out, pending_.size() - (out.cut_call ? tag : 0));
    return false;
  }

  // The first whole opening tag that was not looked at.
  std::pair<size_t, std::string_view> next_tag() const {
    std::pair<size_t, std::string_view> first{kNone, {}};
    for (size_t at = pending_.find('<', looked_); at != kNone; at = pending_.find('<', at + 1)) {
      for (const std::string_view tag : {kCallOpen, kFunctionOpen}) {
        if (from(at).starts_with(tag)) return {at, tag};
      }
    }
    return first;
  }

  size_t partial_tag() const {
    return std::max(partial_suffix(from(begin_), kCallOpen),
                    partial_suffix(from(begin_), kFunctionOpen));
  }

  void look(size_t to) {
    for (; looked_ < to; ++looked_) {
      spans_.push(pending_[looked_]);
      quoted_open_ &= kCallSpace.find(pending_[looked_]) != kCallSpace.npos;
      if (held_ != kNone && !spans_.in_fence()) held_ = kNone;
    }
  }

  // Text that no call is: content, but behind a call only if another call or what looks like one
  // follows.
  void give(ToolDelta& out, size_t to) {
    const std::string_view text = from(begin_).substr(0, to - begin_);
    first_text_ &= is_space(text);
    ToolDelta& to_whom = behind_call_ ? behind_ : out;
    to_whom.add_content(text, offset_ + begin_);
    begin_ = to;
    looked_ = std::max(looked_, begin_);
  }

  void give_behind(ToolDelta& out) {
    ToolDelta behind = std::exchange(behind_, {});
    if (!is_space(behind.content)) out.append(std::move(behind));
    behind_call_ = false;
  }

  bool read_call(ToolDelta& out, CallReader::End end) {
    CallReading reading = reader_->read(from(begin_), end);
    if (reading.state == CallReading::State::more) {
      if (end == CallReader::End::open) return false;
      // Cut inside a call: what there is of it is nothing to show.
      out.cut_call = true;
      begin_ = pending_.size();
      return false;
    }
    in_call_ = false;
    if (reading.state == CallReading::State::call && accepted(reading.call)) {
      give_behind(out);
      out.calls.push_back(std::move(reading.call));
      behind_call_ = true;
      begin_ += reading.size;
      looked_ = begin_;
      spans_ = {};
      return true;
    }
    give_behind(out);
    look(begin_ + reading.size);
    give(out, begin_ + reading.size);
    return true;
  }

  bool accepted(const ToolCall& call) const { return any_name_ || names_.contains(call.name); }

  const std::unique_ptr<CallReader> reader_;
  const bool any_name_;
  std::unordered_set<std::string> names_;
  std::string pending_;
  size_t offset_ = 0;    // of pending_ in the whole text
  size_t begin_ = 0;     // what lies before was given out
  size_t looked_ = 0;    // what lies before was shown to spans_, and holds no call that counts
  size_t held_ = kNone;  // where a call may begin that the fence around it quotes, if it closes
  CodeSpans spans_;
  ToolDelta behind_;  // text behind a call
  bool behind_call_ = false;
  bool in_call_ = false;
  bool quoted_open_ = false;  // only white space since a <tool_call> that is text
  bool first_text_ = true;    // nothing but white space was given out
};

}  // namespace

void ToolDelta::add_content(std::string_view text, size_t at) {
  if (text.empty()) return;
  content += text;
  if (!ranges.empty() && ranges.back().end == at) {
    ranges.back().end += text.size();
  } else {
    ranges.push_back({at, at + text.size()});
  }
}

void ToolDelta::append(ToolDelta more) {
  content += more.content;
  for (const TextRange& range : more.ranges) {
    if (!ranges.empty() && ranges.back().end == range.begin) {
      ranges.back().end = range.end;
    } else {
      ranges.push_back(range);
    }
  }
  for (ToolCall& call : more.calls) calls.push_back(std::move(call));
  cut_call |= more.cut_call;
}

const Json* function_of(const Json& tool) {
  if (!tool.is_object()) return nullptr;
  const auto wrapped = tool.find("function");
  const Json& function = wrapped != tool.end() && wrapped->is_object() ? *wrapped : tool;
  const auto name = function.find("name");
  return name != function.end() && name->is_string() ? &function : nullptr;
}

std::vector<std::string> declared_functions(const Json& tools) {
  std::vector<std::string> names;
  for (const Json& tool : tools) {
    if (const Json* function = function_of(tool)) {
      names.push_back((*function)["name"].get<std::string>());
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::unique_ptr<ToolCallStream> make_tool_call_stream(ToolFormat format,
                                                      std::shared_ptr<const Json> tools) {
  auto reader = format == ToolFormat::qwen3_coder ? make_coder_reader(tools) : make_hermes_reader();
  return std::make_unique<CallStream>(std::move(reader), tools);
}

ToolDelta parse_tool_calls(ToolFormat format, std::string_view text, const Json& tools, bool cut) {
  const auto stream = make_tool_call_stream(format, std::make_shared<const Json>(tools));
  ToolDelta out = stream->push(text);
  out.append(stream->finish(cut));
  return out;
}

}  // namespace qwen3

#include "chat/hermes_calls.h"

#include <optional>
#include <utility>

#include "chat/json_text.h"

namespace qwen3 {
namespace {

using State = CallReading::State;

std::optional<std::string> object_text(std::string_view json) {
  const auto value = read_json(json);
  if (!value || !value->is_object()) return std::nullopt;
  return python_spelling(json);
}

std::optional<ToolCall> parse_call(std::string_view body) {
  const auto json = read_json(body);
  if (!json || !json->is_object()) return std::nullopt;
  const auto name = json->find("name");
  const auto arguments = json->find("arguments");
  if (name == json->end() || !name->is_string() || arguments == json->end()) return std::nullopt;
  ToolCall call{name->get<std::string>(), "{}"};
  if (call.name.empty()) return std::nullopt;
  if (arguments->is_null()) return call;
  const std::string_view given = member_text(body, "arguments");
  auto text = arguments->is_string() ? object_text(arguments->get_ref<const std::string&>())
                                     : object_text(given);
  if (!text) return std::nullopt;
  call.arguments = *std::move(text);
  return call;
}

class HermesReader final : public CallReader {
 public:
  bool may_begin(std::string_view tag, bool) const override { return tag == kCallOpen; }

  void reset() override { *this = {}; }

  CallReading read(std::string_view text, End end) override {
    // A body that is no JSON object is none from its first wrong byte on.
    if (!complete_ && !read_object(text)) return {State::text, kCallOpen.size()};
    if (complete_) return read_close(text, end);
    if (end == End::ended) return {State::text, kCallOpen.size()};
    return {};
  }

 private:
  // False when a byte cannot stand in JSON. Tags inside of its strings are the strings'.
  bool read_object(std::string_view text) {
    for (; at_ < text.size() && !complete_; ++at_) {
      const char c = text[at_];
      if (in_string_) {
        if (static_cast<unsigned char>(c) < 0x20) return false;
        if (std::exchange(escaped_, false)) continue;
        escaped_ = c == '\\';
        in_string_ = c != '"';
      } else if (depth_ == 0) {
        if (kCallSpace.find(c) != kCallSpace.npos) continue;
        if (c != '{') return false;
        depth_ = 1;
      } else if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if (c == '}' || c == ']') {
        complete_ = --depth_ == 0;
      } else if (std::string_view(" \t\r\n,:+-.0123456789truefalsnE").find(c) ==
                 std::string_view::npos) {
        return false;
      }
    }
    return true;
  }

  // The object ends at at_.
  CallReading read_close(std::string_view text, End end) const {
    const size_t close = skip_call_space(text, at_);
    const std::string_view rest = text.substr(close);
    size_t size = close;
    if (rest.starts_with(kCallClose)) {
      size += kCallClose.size();
    } else if (kCallClose.starts_with(rest)) {
      if (end == End::open) return {};
      size = text.size();
    } else if (kCallOpen.starts_with(rest)) {
      if (end == End::open) return {};
    } else if (!rest.starts_with(kCallOpen)) {
      return {State::text, kCallOpen.size()};
    }
    auto call = parse_call(text.substr(kCallOpen.size(), at_ - kCallOpen.size()));
    if (!call) return {State::text, size};
    return {State::call, size, *std::move(call)};
  }

  size_t at_ = kCallOpen.size();  // bytes read
  int64_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool complete_ = false;
};

}  // namespace

std::unique_ptr<CallReader> make_hermes_reader() { return std::make_unique<HermesReader>(); }

}  // namespace qwen3

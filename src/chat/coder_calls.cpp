#include "chat/coder_calls.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "chat/json_text.h"
#include "chat/partial_match.h"

namespace qwen3 {
namespace {

constexpr std::string_view kCall = "<tool_call>";
constexpr std::string_view kFunction = "<function=";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
// White space allowed between <tool_call> and <function=; bounds what is held back.
constexpr size_t kMaxGap = 64;

// Without what C counts as white space at either end.
std::string_view strip(std::string_view text) { return trim(text, " \t\r\n\f\v"); }

std::optional<Json> try_json(std::string_view text) {
  try {
    return parse_json(text, "parameter");
  } catch (const Error&) {
    return std::nullopt;  // the value stays text
  }
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Json float_value(std::string_view text) {
  const auto value = parse_number<double>(text);
  if (!value || !std::isfinite(*value)) return Json(std::string(text));
  if (*value == std::floor(*value) && std::abs(*value) < 9e15)
    return Json(static_cast<int64_t>(*value));
  return Json(*value);
}

// The value of a parameter, by the `type` its schema gives.
Json convert(std::string_view text, std::string_view type) {
  const auto starts = [&](std::initializer_list<std::string_view> prefixes) {
    return std::any_of(
        prefixes.begin(), prefixes.end(), [&](auto p) { return type.starts_with(p); });
  };
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), type) != names.end();
  };
  if (ascii_lower(text) == "null") return Json();
  if (is({"string", "str", "text", "varchar", "char", "enum"})) return Json(std::string(text));
  if (starts({"int", "uint", "long", "short", "unsigned"})) {
    const auto value = parse_number<int64_t>(text);
    return value ? Json(*value) : Json(std::string(text));
  }
  if (starts({"num", "float"})) return float_value(text);
  if (is({"boolean", "bool", "binary"})) return Json(ascii_lower(text) == "true");
  if (is({"object", "array", "arr"}) || starts({"dict", "list"})) {
    if (auto value = try_json(text)) return *std::move(value);
  }
  auto value = parse_python_literal(text);
  return value ? *std::move(value) : Json(std::string(text));
}

class CoderStream final : public ToolCallStream {
 public:
  CoderStream(std::shared_ptr<const Json> tools, AcceptCall accept)
      : tools_(std::move(tools)), accept_(std::move(accept)) {}

  ToolDelta push(std::string_view text) override {
    ToolDelta out;
    pending_ += text;
    while (in_function_ ? read_function(out) : read_text(out, false)) {
    }
    return out;
  }

  ToolDelta finish(bool cut) override {
    ToolDelta out;
    if (!in_function_) {
      const size_t tag = std::max(partial_suffix(pending_, kFunction), held_tag());
      out.cut_call = cut && opens_tag(tag, first_text_);
      if (out.cut_call) pending_.resize(pending_.size() - tag);
      read_text(out, true);
      return out;
    }
    // Further parameters may have been on their way.
    out.cut_call = cut;
    if (cut) return out;
    // Not closed: a call only if its last parameter is whole, or it has none and its name is whole.
    const std::string_view body = pending_;
    const size_t last = body.rfind(kParameter);
    const bool whole = last == body.npos ? body.find('>') != body.npos
                                         : body.find(kParameterEnd, last) != body.npos;
    end_function(out, pending_.size(), 0, whole);
    return out;
  }

 private:
  // Text up to the next function. <tool_call> ends the content; its text is given back when no
  // function follows.
  bool read_text(ToolDelta& out, bool at_end) {
    const size_t function = pending_.find(kFunction);
    if (function != pending_.npos) {
      add_text(out, std::string_view(pending_).substr(0, function), true);
      pending_.erase(0, function + kFunction.size());
      in_function_ = true;
      scanned_ = 0;
      return true;
    }
    size_t keep = 0;
    if (!at_end) keep = std::max(partial_suffix(pending_, kFunction), held_tag());
    add_text(out, std::string_view(pending_).substr(0, pending_.size() - keep), false);
    pending_.erase(0, pending_.size() - keep);
    return false;
  }

  // Bytes at the end that are <tool_call> with white space after, or the beginning of that.
  size_t held_tag() const {
    const size_t partial = partial_suffix(pending_, kCall);
    const size_t end = pending_.find_last_not_of(" \t\r\n");
    if (end == pending_.npos) return partial;
    std::string_view text = std::string_view(pending_).substr(0, end + 1);
    const size_t function = partial_suffix(text, kFunction);
    const std::string_view before = text.substr(0, text.size() - function);
    const size_t tag = opener_start(before);
    // With more white space after it than fits, it is not an opener, whatever follows.
    if (tag == before.npos || pending_.size() - tag > kCall.size() + kMaxGap + kFunction.size())
      return partial;
    return std::max(partial, pending_.size() - tag);
  }

  // Where a <tool_call> starts that only white space separates from the end of the text; or npos.
  static size_t opener_start(std::string_view text) {
    const size_t end = text.find_last_not_of(" \t\r\n");
    if (end == text.npos || text.size() - end - 1 > kMaxGap) return text.npos;
    return text.substr(0, end + 1).ends_with(kCall) ? end + 1 - kCall.size() : text.npos;
  }

  void add_text(ToolDelta& out, std::string_view text, bool before_function) {
    // The tag right in front of the function belongs to the call.
    const size_t tag = before_function ? std::min(opener_start(text), text.size()) : text.size();
    opener_ = text.substr(tag);
    if (!any_call_) out.content += text.substr(0, tag);
    first_text_ &= strip(text.substr(0, tag)).empty();
  }

  bool read_function(ToolDelta& out) {
    const size_t from = scanned_ > kFunctionEnd.size() ? scanned_ - kFunctionEnd.size() : 0;
    const size_t end = pending_.find(kFunctionEnd, from);
    scanned_ = pending_.size();
    if (end == pending_.npos) return false;
    end_function(out, end, kFunctionEnd.size(), true);
    return true;
  }

  void end_function(ToolDelta& out, size_t size, size_t tag_size, bool whole) {
    const std::string_view body = std::string_view(pending_).substr(0, size);
    const size_t name_end = body.find('>');
    const bool named = whole && name_end != body.npos && !strip(body.substr(0, name_end)).empty();
    ToolCall call;
    if (named) {
      call.name = body.substr(0, name_end);
      call.arguments = python_json(read_parameters(call.name, body.substr(name_end + 1)));
    }
    if (named && (!accept_ || accept_(call))) {
      out.calls.push_back(std::move(call));
      any_call_ = true;
    } else {
      out.content.append(opener_).append(kFunction).append(pending_, 0, size + tag_size);
    }
    pending_.erase(0, size + tag_size);
    in_function_ = false;
  }

  // A parameter ends at </parameter>, at the next <parameter= or at the end of the function.
  Json read_parameters(const std::string& function, std::string_view body) const {
    Json arguments = Json::object();
    size_t close = 0;  // the next </parameter>, searched again only when it was passed
    for (size_t at = body.find(kParameter); at != body.npos; at = body.find(kParameter, at)) {
      at += kParameter.size();
      if (close < at) close = std::min(body.find(kParameterEnd, at), body.size());
      const std::string_view bounded = body.substr(0, close);
      const size_t end = std::min(bounded.find(kParameter, at), close);
      const std::string_view parameter = body.substr(at, end - at);
      at = end;
      const size_t name_end = parameter.find('>');
      if (name_end == parameter.npos) continue;
      std::string_view value = parameter.substr(name_end + 1);
      if (value.starts_with('\n')) value.remove_prefix(1);
      if (value.ends_with('\n')) value.remove_suffix(1);
      const std::string name(parameter.substr(0, name_end));
      arguments[name] = convert(value, parameter_type(function, name));
    }
    return arguments;
  }

  std::string parameter_type(const std::string& function, const std::string& parameter) const {
    const auto member = [](const Json* json, const std::string& key) -> const Json* {
      if (json == nullptr || !json->is_object()) return nullptr;
      const auto at = json->find(key);
      return at == json->end() ? nullptr : &*at;
    };
    if (!tools_ || !tools_->is_array()) return "string";
    for (const Json& tool : *tools_) {
      const Json* wrapped = member(&tool, "function");
      const Json* spec = wrapped != nullptr ? wrapped : &tool;
      const Json* name = member(spec, "name");
      if (name == nullptr || *name != function) continue;
      const Json* property = member(member(member(spec, "parameters"), "properties"), parameter);
      const Json* type = member(property, "type");
      return type != nullptr && type->is_string()
                 ? ascii_lower(strip(type->get_ref<const std::string&>()))
                 : "string";
    }
    return "string";
  }

  const std::shared_ptr<const Json> tools_;
  const AcceptCall accept_;
  std::string pending_;
  std::string opener_;  // <tool_call> and white space in front of the function being read
  size_t scanned_ = 0;
  bool in_function_ = false;
  bool any_call_ = false;
  bool first_text_ = true;  // nothing but white space was given out
};

}  // namespace

std::unique_ptr<ToolCallStream> make_coder_call_stream(std::shared_ptr<const Json> tools,
                                                       AcceptCall accept) {
  return std::make_unique<CoderStream>(std::move(tools), std::move(accept));
}

}  // namespace qwen3

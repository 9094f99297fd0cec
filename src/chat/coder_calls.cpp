#include "chat/coder_calls.h"

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "chat/coder_body.h"
#include "chat/json_text.h"
#include "chat/parameter_value.h"

namespace qwen3 {
namespace {

using State = CallReading::State;

// In the order in which they are tried. The first holds while the text comes.
constexpr CoderBody::Rules kRules[] = {
    {.own_line = true, .nested = true, .exact_end = true, .implied = false},
    {.own_line = true, .nested = true, .exact_end = false, .implied = false},
    {.own_line = true, .nested = false, .exact_end = true, .implied = false},
    {.own_line = true, .nested = false, .exact_end = false, .implied = false},
    {.own_line = false, .nested = false, .exact_end = true, .implied = false},
    {.own_line = false, .nested = false, .exact_end = false, .implied = false},
    {.own_line = true, .nested = false, .exact_end = false, .implied = true}};

class CoderReader final : public CallReader {
 public:
  explicit CoderReader(std::shared_ptr<const Json> tools) : tools_(std::move(tools)) {
    if (tools_ == nullptr || !tools_->is_array()) return;
    any_name_ = false;
    for (const Json& tool : *tools_) add_tool(tool);
  }

  bool may_begin(std::string_view tag, bool first_on_line) const override {
    return tag == kCallOpen || first_on_line;
  }

  void reset() override {
    body_.reset();
    bad_ = false;
  }

  CallReading read(std::string_view text, End end) override {
    if (!body_) {
      if (const auto reading = read_opening(text, end)) return *reading;
    }
    if (end == End::open) {
      if (bad_) return {};
      const CoderBody::State state = body_->read(text, false);
      if (state == CoderBody::State::whole) return make_call(text, *body_);
      if (state == CoderBody::State::more) return {};
      bad_ = true;
      // No parameter where one should be: no rule reads that.
      return body_->in_value() || !body_->parameters().empty() ? CallReading{}
                                                               : CallReading{State::text, begin_};
    }
    for (const CoderBody::Rules& rules : kRules) {
      if (end == End::cut && rules.implied) continue;
      CoderBody body(begin_, opened_, rules);
      if (body.read(text, true) == CoderBody::State::whole) return make_call(text, body);
    }
    return end == End::cut && opened_ ? CallReading{} : CallReading{State::text, text.size()};
  }

 private:
  void add_tool(const Json& tool) {
    const Json* function = function_of(tool);
    if (function == nullptr) return;
    const auto parameters = function->find("parameters");
    parameters_.emplace((*function)["name"].get<std::string>(),
                        parameters == function->end() ? nullptr : &*parameters);
  }

  // <tool_call>, white space and <function=NAME>; sets body_ when they are whole.
  std::optional<CallReading> read_opening(std::string_view text, End end) {
    opened_ = text.starts_with(kCallOpen);
    const size_t function = opened_ ? skip_call_space(text, kCallOpen.size()) : 0;
    const bool near = function <= kCallOpen.size() + kMaxCallGap;
    const NamedTag tag = near ? named_tag(text, function, kFunctionOpen) : NamedTag{};
    if (tag.state == NamedTag::State::cut) {
      if (end == End::open || (end == End::cut && opened_)) return CallReading{};
      return CallReading{State::text, text.size()};
    }
    if (tag.state == NamedTag::State::none) {
      return CallReading{State::text, opened_ ? kCallOpen.size() : kFunctionOpen.size()};
    }
    name_ = tag.name;
    begin_ = tag.end;
    if (!any_name_ && !parameters_.contains(name_)) return CallReading{State::text, begin_};
    body_.emplace(begin_, opened_, kRules[0]);
    return std::nullopt;
  }

  // A parameter that is there twice with different values would lose one: no call.
  CallReading make_call(std::string_view text, const CoderBody& body) const {
    const auto tool = parameters_.find(name_);
    const Json* schema = tool == parameters_.end() ? nullptr : tool->second;
    std::unordered_map<std::string, std::string_view> seen;
    std::string arguments;
    for (const CoderBody::Parameter& parameter : body.parameters()) {
      std::string name(
          text.substr(parameter.name.begin, parameter.name.end - parameter.name.begin));
      std::string_view value =
          text.substr(parameter.value.begin, parameter.value.end - parameter.value.begin);
      if (value.starts_with('\n')) value.remove_prefix(1);
      if (value.ends_with('\n')) value.remove_suffix(1);
      const auto [at, is_new] = seen.emplace(name, value);
      if (!is_new) {
        if (at->second != value) return {State::text, body.end()};
        continue;
      }
      arguments += arguments.empty() ? "{" : ", ";
      arguments += python_json(Json(name)) + ": " + value_json(schema, name, value);
    }
    arguments += arguments.empty() ? "{}" : "}";
    return {State::call, body.end(), {name_, std::move(arguments)}};
  }

  static std::string value_json(const Json* schema,
                                const std::string& name,
                                std::string_view value) {
    if (schema == nullptr) return python_json(Json(std::string(value)));
    return parameter_json(value, parameter_schema(*schema, name), *schema);
  }

  const std::shared_ptr<const Json> tools_;
  std::unordered_map<std::string, const Json*> parameters_;  // of each declared function
  bool any_name_ = true;

  std::optional<CoderBody> body_;
  bool bad_ = false;  // by the first rules; the others are tried at the end
  bool opened_ = false;
  size_t begin_ = 0;  // of the body
  std::string name_;
};

}  // namespace

std::unique_ptr<CallReader> make_coder_reader(std::shared_ptr<const Json> tools) {
  return std::make_unique<CoderReader>(std::move(tools));
}

}  // namespace qwen3

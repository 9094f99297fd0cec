#include "chat/coder_body.h"

#include <algorithm>

namespace qwen3 {
namespace {

constexpr size_t kMaxNameBytes = 256;
// White space between tags; more of it is text. Bounds how often it is looked at.
constexpr size_t kMaxGap = 1024;
// Functions inside of one value; bounds how far a call looks for its end beyond the next one.
constexpr int kMaxNested = 64;

bool begins_line(std::string_view text, size_t at) { return at > 0 && text[at - 1] == '\n'; }

bool is_beginning(std::string_view rest, std::string_view tag) {
  return rest.size() < tag.size() && tag.starts_with(rest);
}

bool behind_opener(std::string_view text, size_t at) {
  const size_t end = text.substr(0, at).find_last_not_of(kCallSpace);
  return end != text.npos && at - end <= kMaxCallGap &&
         text.substr(0, end + 1).ends_with(kCallOpen);
}

}  // namespace

NamedTag named_tag(std::string_view text, size_t at, std::string_view open) {
  const std::string_view rest = text.substr(at);
  if (is_beginning(rest, open)) return {NamedTag::State::cut, 0, {}};
  if (!rest.starts_with(open)) return {};
  const std::string_view name = rest.substr(open.size(), kMaxNameBytes + 1);
  const size_t end = name.find_first_of("<>\r\n");
  if (end == name.npos) {
    return {name.size() > kMaxNameBytes ? NamedTag::State::none : NamedTag::State::cut, 0, {}};
  }
  if (name[end] != '>' || end == 0) return {};
  return {NamedTag::State::whole, at + open.size() + end + 1, name.substr(0, end)};
}

CoderBody::State CoderBody::read(std::string_view text, bool over) {
  for (;;) {
    const State state = in_value_ ? read_value(text, over) : read_tag(text, over);
    if (state == State::more && over) return State::bad;
    if (state != State::whole || end_ != 0) return state;
  }
}

// Between parameters. `whole`: a parameter began, or with end_ the call ended.
CoderBody::State CoderBody::read_tag(std::string_view text, bool over) {
  const size_t at = skip_call_space(text, at_);
  if (at - at_ > kMaxGap) return State::bad;
  const NamedTag tag = named_tag(text, at, kParameterOpen);
  if (tag.state == NamedTag::State::whole) {
    const size_t name = at + kParameterOpen.size();
    parameter_ = {{name, name + tag.name.size()}, {tag.end, tag.end}};
    at_ = tag.end;
    in_value_ = true;
    depth_ = n_nested_ = 0;
    return State::whole;
  }
  size_t end = 0;
  const Found found = function_end(text, at, over, &end);
  if (found == Found::yes) {
    end_ = end;
    return State::whole;
  }
  return found == Found::cut || tag.state == NamedTag::State::cut ? State::more : State::bad;
}

CoderBody::State CoderBody::read_value(std::string_view text, bool over) {
  for (at_ = text.find('<', at_); at_ != text.npos; at_ = text.find('<', at_ + 1)) {
    bool ended = false;
    const State state = value_tag(text, over, &ended);
    if (state != State::whole || ended) return state;
  }
  at_ = text.size();
  return State::more;
}

CoderBody::State CoderBody::value_tag(std::string_view text, bool over, bool* ended) {
  const std::string_view rest = text.substr(at_);
  if (rest.starts_with(kParameterClose)) {
    if (depth_ > 0 || (rules_.own_line && !begins_line(text, at_))) return State::whole;
    const Found found = closes(text, at_ + kParameterClose.size(), over);
    if (found == Found::cut) return State::more;
    if (found == Found::no) return State::whole;
    end_value();
    at_ += kParameterClose.size();
    *ended = true;
    return State::whole;
  }
  for (const std::string_view tag :
       {kParameterClose, kFunctionClose, kParameterOpen, kFunctionOpen}) {
    if (is_beginning(rest, tag)) return over ? State::whole : State::more;
  }
  if (!begins_line(text, at_)) return State::whole;
  if (rest.starts_with(kFunctionOpen)) {
    if (rules_.nested) {
      ++depth_;
      return ++n_nested_ > kMaxNested ? State::bad : State::whole;
    }
    return behind_opener(text, at_) ? State::bad : State::whole;  // the next call has begun
  }
  if (rest.starts_with(kFunctionClose) && depth_ > 0) {
    --depth_;
  } else if (rules_.implied) {
    size_t end = 0;
    if (named_tag(text, at_, kParameterOpen).state == NamedTag::State::whole ||
        function_end(text, at_, over, &end) == Found::yes) {
      end_value();
      *ended = true;
    }
  }
  return State::whole;
}

// Whether a closing tag that ends at text[at] is followed by what follows a parameter.
CoderBody::Found CoderBody::closes(std::string_view text, size_t at, bool over) const {
  const size_t next = skip_call_space(text, at);
  if (next - at > kMaxGap) return Found::no;
  if (rules_.own_line) {
    if (next == text.size()) return Found::cut;
    if (text.substr(at, next - at).find('\n') == std::string_view::npos) return Found::no;
  }
  const NamedTag tag = named_tag(text, next, kParameterOpen);
  if (tag.state == NamedTag::State::whole) return Found::yes;
  size_t end = 0;
  const Found found = function_end(text, next, over, &end);
  if (found != Found::no) return found;
  return tag.state == NamedTag::State::cut ? Found::cut : Found::no;
}

// </function>, with what closes the call; *end: behind it.
CoderBody::Found CoderBody::function_end(std::string_view text,
                                         size_t at,
                                         bool over,
                                         size_t* end) const {
  if (is_beginning(text.substr(at), kFunctionClose)) return Found::cut;
  if (!text.substr(at).starts_with(kFunctionClose)) return Found::no;
  at += kFunctionClose.size();
  const size_t next = skip_call_space(text, at);
  if (next - at > kMaxGap) return Found::no;
  const std::string_view rest = text.substr(next);
  if (rest.starts_with(kCallClose)) {
    *end = next + kCallClose.size();
    // Without a parameter there is no value that could say so much.
    const bool exact = rules_.exact_end && (in_value_ || !parameters_.empty());
    return exact ? call_end(text, *end, over) : Found::yes;
  }
  if (is_beginning(rest, kCallClose)) {
    *end = text.size();
    return !over ? Found::cut : opened_ ? Found::yes : Found::no;
  }
  *end = next;
  if (!opened_) return Found::no;
  return call_end(text, next, over);
}

// Whether nothing, or another call, stands from text[at] on.
CoderBody::Found CoderBody::call_end(std::string_view text, size_t at, bool over) const {
  const std::string_view rest = text.substr(skip_call_space(text, at));
  for (const std::string_view tag : {kCallOpen, kFunctionOpen}) {
    if (rest.starts_with(tag)) return Found::yes;
    if (is_beginning(rest, tag)) return over ? Found::yes : Found::cut;
  }
  return Found::no;
}

// One newline on either side belongs to the tags.
void CoderBody::end_value() {
  parameter_.value.end = at_;
  parameters_.push_back(parameter_);
  in_value_ = false;
}

}  // namespace qwen3

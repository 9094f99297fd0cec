// The XML tool calls of Qwen3-Coder; see chat/tool_calls.h.
//
//   <tool_call>
//   <function=write>
//   <parameter=text>
//   close = "</parameter>"        a word of the value
//   </parameter>                  its end: on a line of its own, and a parameter or the end of the
//   <parameter=count>             function follows
//   3
//   </parameter>
//   </function>
//   </tool_call>                  the end: nothing follows, or another call
//
// A value may hold whole calls: functions that open inside of it close inside of it. Where no end is
// found by these rules, looser ones are tried in turn when the text is over (kRules), as models do
// not always keep the lines. A call whose end no rule finds is text. So is a function without
// <tool_call> in front, but for one that begins a line and is closed by </tool_call>: Qwen3-Coder
// is known to leave out the opening tag.
#pragma once

#include <memory>

#include "chat/call_reader.h"

namespace qwen3 {

std::unique_ptr<CallReader> make_coder_reader(std::shared_ptr<const Json> tools);

}  // namespace qwen3

"""One training example and how it becomes text.

A Sample is one conversation whose last assistant turn is the target. `segments` renders it by the
same rules as chat_template.jinja (check.py proves the two equal) and says which pieces carry loss.
Pieces are cut only where the pre-tokenizer cuts too, so encoding them one by one gives the same ids
as encoding the whole text.
"""
from dataclasses import dataclass, field
import json

# Private-use marks around the parts of a user text that also carry loss (outputs of the
# demonstration grids: the model can infer them, and they are many). Never part of real text.
SPAN_OPEN, SPAN_CLOSE = "\ue000", "\ue001"

TOOLS_HEAD = (
    "# Tools\n\nYou can call functions. Each line inside <tools></tools> describes one of them as JSON:\n<tools>"
)
TOOLS_TAIL = (
    "\n</tools>\n\nTo call a function, write a JSON object with its name and its arguments inside "
    '<tool_call></tool_call>:\n<tool_call>\n{"name": "...", "arguments": {...}}\n</tool_call>'
)


@dataclass(slots=True)
class Sample:
    task: str  # "add", "sort", "arc", ...
    messages: list  # [{"role", "content"}], the last one is what the model answers
    answer: str  # the visible answer (may hold <tool_call> blocks)
    check: dict  # how evaluate.py judges a generated answer: {"kind": ..., "value": ...}
    think: str | None = None  # the reasoning; None: thinking is off
    soft: bool = False  # thinking is off by "/no_think": the empty block is the model's own
    tools: list | None = None
    key: str = ""  # identity for the held-out split
    meta: dict = field(default_factory=dict)


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def plain(text):
    return text.replace(SPAN_OPEN, "").replace(SPAN_CLOSE, "")


def render_prompt(sample):
    """The text before the target, SPAN marks kept."""
    out = []
    messages = sample.messages
    if sample.tools:
        out.append("<|im_start|>system\n")
        if messages[0]["role"] == "system":
            out.append(messages[0]["content"] + "\n\n")
        out.append(TOOLS_HEAD)
        for tool in sample.tools:
            out.append("\n" + dumps(tool))
        out.append(TOOLS_TAIL + "<|im_end|>\n")
    elif messages[0]["role"] == "system":
        out.append("<|im_start|>system\n" + messages[0]["content"] + "<|im_end|>\n")
    for i, m in enumerate(messages):
        role = m["role"]
        if role == "user" or (role == "system" and i > 0):
            out.append(f"<|im_start|>{role}\n{m['content']}<|im_end|>\n")
        elif role == "assistant":
            out.append("<|im_start|>assistant\n")
            if m.get("reasoning_content"):  # only set after the last user question (tool turns)
                out.append(f"<think>\n{m['reasoning_content']}\n</think>\n\n")
            out.append(m["content"])
            for j, call in enumerate(m.get("tool_calls", ())):
                if j or m["content"]:
                    out.append("\n")
                out.append(call_text(call["name"], call["arguments"]))
            out.append("<|im_end|>\n")
        elif role == "tool":
            if i == 0 or messages[i - 1]["role"] != "tool":
                out.append("<|im_start|>user")
            out.append(f"\n<tool_response>\n{m['content']}\n</tool_response>")
            if i + 1 == len(messages) or messages[i + 1]["role"] != "tool":
                out.append("<|im_end|>\n")
    out.append("<|im_start|>assistant\n")
    if sample.think is None and not sample.soft:
        out.append("<think>\n\n</think>\n\n")
    return "".join(out)


def call_text(name, arguments):
    return '<tool_call>\n{"name": "' + name + '", "arguments": ' + dumps(arguments) + "}\n</tool_call>"


def target_text(sample):
    if sample.think is not None:
        return f"<think>\n{sample.think}\n</think>\n\n{sample.answer}<|im_end|>"
    if sample.soft:
        return f"<think>\n\n</think>\n\n{sample.answer}<|im_end|>"
    return sample.answer + "<|im_end|>"


def segments(sample):
    """[(text, carries_loss)]; the target is the last one."""
    pieces = []
    prompt = render_prompt(sample)
    if SPAN_OPEN in prompt:
        first, *rest = prompt.split(SPAN_OPEN)
        pieces.append((first, 0))
        for part in rest:
            inside, outside = part.split(SPAN_CLOSE)
            pieces.append((inside, 1))
            pieces.append((outside, 0))
    else:
        pieces.append((prompt, 0))
    pieces.append((target_text(sample), 1))
    return pieces

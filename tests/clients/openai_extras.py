"""What qwen3.cpp adds, through the official Python client: experts, progress, presets, the end of a thought."""
import ast
import base64
import json
import sys
import urllib.request

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="EMPTY", max_retries=0)
MODEL = "nano-moe"
QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def rows_of(npy):
    """The header's shape, and the numbers: NumPy's own reader does the same."""
    raw = base64.b64decode(npy)
    assert raw[:8] == b"\x93NUMPY\x01\x00"
    end = 10 + int.from_bytes(raw[8:10], "little")
    header = ast.literal_eval(raw[10:end].decode())
    assert header["descr"] == "|u1" and not header["fortran_order"], header
    return header["shape"], raw[end:]


plain = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION)
answer = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION,
                                        extra_body={"return_routed_experts": True})
assert answer.choices[0].message == plain.choices[0].message
shape, numbers = rows_of(answer.choices[0].routed_experts)
assert shape[0] == plain.usage.completion_tokens and len(numbers) == shape[0] * shape[1] * shape[2], shape

whole = client.chat.completions.create(
    model=MODEL, temperature=0, messages=QUESTION,
    extra_body={"return_routed_experts": True, "routed_experts_prompt": True})
whole_shape, all_numbers = rows_of(whole.choices[0].routed_experts)
assert whole_shape[0] == plain.usage.total_tokens - 1, (whole_shape, plain.usage)
assert all_numbers.endswith(numbers)

streamed = b""
progress = []
shapes = []
content = ""
for chunk in client.chat.completions.create(
        model=MODEL, temperature=0, messages=QUESTION, stream=True,
        extra_body={"return_routed_experts": True, "return_progress": True}):
    if getattr(chunk, "prompt_progress", None):
        assert not chunk.choices
        progress.append(chunk.prompt_progress)
    for choice in chunk.choices:
        content += choice.delta.content or ""
        streamed += base64.b64decode(getattr(choice, "routed_experts", None) or "")
        if getattr(choice, "routed_experts_shape", None):
            shapes.append(choice.routed_experts_shape)
assert streamed == numbers and shapes == [list(shape[1:])] and content == plain.choices[0].message.content
assert progress and progress[0]["total"] == plain.usage.prompt_tokens, progress

meta = client.models.list().data[0].meta
assert meta["routed_experts"] and meta["reasoning_control"] and meta["progress"], meta
for name, values in meta["presets"].items():
    preset = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=3,
                                            extra_body={"preset": name})
    assert preset.choices[0].message and values["temperature"] > 0

stream = client.chat.completions.create(
    model=MODEL, temperature=0, messages=QUESTION, stream=True,
    extra_body={"reasoning_control": True, "return_token_ids": True})
ended = None
after = 0
answered = ""
for chunk in stream:
    delta = chunk.choices[0].delta
    answered += delta.content or ""
    if getattr(delta, "reasoning_content", None) and ended is None:
        ended = get(sys.argv[1] + "/chat/completions/control",
                    {"id": chunk.id, "action": "reasoning_end"})
    elif ended and getattr(delta, "reasoning_content", None):
        after += 1
assert ended == {"success": True}, ended
assert answered, "no answer behind the thought"
late = get(sys.argv[1] + "/chat/completions/control", {"id": chunk.id, "action": "reasoning_end"})
assert late["success"] is False and late["message"], late

described = get(sys.argv[1].removesuffix("/v1") + "/openapi.json")
assert described["openapi"] == "3.1.0" and "/v1/chat/completions" in described["paths"]
print("experts:", shape, "| progress:", progress[-1], "| pieces of thought behind its end:", after)

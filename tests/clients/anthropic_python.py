"""The official Python client of Anthropic: create, stream, thinking, tools, counting, models, errors."""
import json
import sys

import anthropic

# This client adds /v1 itself.
client = anthropic.Anthropic(base_url=sys.argv[1].removesuffix("/v1"), api_key="EMPTY", max_retries=0)
MODEL = "claude-local"  # every such name is the served model
QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [{"name": "get_weather", "description": "Weather of a city",
          "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]
THINKING = {"type": "enabled", "budget_tokens": 1024}
# Its newest versions send a temperature only where they are asked to.
GREEDY = {"extra_body": {"temperature": 0}}

plain = client.messages.create(model=MODEL, max_tokens=8000, messages=QUESTION, thinking=THINKING, **GREEDY)
assert [block.type for block in plain.content] == ["thinking", "text"], plain
assert plain.content[1].text == "12 + 30 = 42" and plain.content[0].signature, plain
assert plain.stop_reason == "end_turn" and plain.usage.output_tokens > 0

with client.messages.stream(model=MODEL, max_tokens=8000, messages=QUESTION, thinking=THINKING, **GREEDY) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == plain.content[1].text and final.content[0].thinking == plain.content[0].thinking
assert final.stop_reason == "end_turn" and final.usage.output_tokens == plain.usage.output_tokens

quiet = client.messages.create(model=MODEL, max_tokens=100, messages=QUESTION, system="Answer.", **GREEDY)
assert [block.type for block in quiet.content] == ["text"], quiet

with client.messages.stream(model=MODEL, max_tokens=8000, messages=WEATHER, tools=TOOLS, **GREEDY) as stream:
    called = stream.get_final_message()
call = called.content[-1]
assert called.stop_reason == "tool_use" and (call.name, call.input) == ("get_weather", {"city": "Paris"}), called
follow_up = WEATHER + [{"role": "assistant", "content": [block.model_dump() for block in called.content]},
                       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}]
answered = client.messages.create(model=MODEL, max_tokens=8000, messages=follow_up, tools=TOOLS, **GREEDY)
assert answered.content[0].text and answered.usage.cache_read_input_tokens > 0, answered

forced = client.messages.create(model=MODEL, max_tokens=60, messages=WEATHER, tools=TOOLS, **GREEDY,
                                tool_choice={"type": "tool", "name": "get_weather"})
assert forced.content[0].name == "get_weather", forced

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
closed = client.messages.create(model=MODEL, max_tokens=40, messages=QUESTION, output_config={"format": {
    "type": "json_schema", "schema": SCHEMA}}, extra_body={"close_on_length": True, "temperature": 1, "seed": 1})
assert closed.stop_reason == "end_turn" and list(json.loads(closed.content[-1].text)) == ["text"], closed

counted = client.messages.count_tokens(model=MODEL, messages=WEATHER, tools=TOOLS)
usage = called.usage
assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens, (counted, usage)
assert [model.id for model in client.models.list()] == ["nano-moe"]

stopped = client.messages.create(model=MODEL, max_tokens=100, messages=QUESTION, stop_sequences=[" = "], **GREEDY)
assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " = "), stopped

for expected, arguments in [
        (anthropic.NotFoundError, {"model": "gpt-4", "messages": QUESTION}),
        (anthropic.BadRequestError, {"model": MODEL, "messages": []}),
        (anthropic.BadRequestError, {"model": MODEL, "messages": [{"role": "user", "content": "word " * 4000}]})]:
    try:
        client.messages.create(max_tokens=10, **arguments)
        raise AssertionError(f"no error for {arguments}")
    except expected as error:
        body = error.body
        assert body["type"] == "error" and error.request_id == body["request_id"], body
assert "prompt is too long" in body["error"]["message"]

print("answer:", text, "| tool call:", call.name, call.input, "|", counted.input_tokens, "tokens counted")

"""The official Python client's Responses API: plain, stream, stream helper, tools, going on, errors."""
import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="EMPTY", max_retries=0)
MODEL = "nano-moe"
QUESTION = "What is 12 + 30?"
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [{"type": "function", "name": "get_weather", "description": "Weather of a city",
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]
NO_THINKING = {"reasoning": {"effort": "none"}}

plain = client.responses.create(model=MODEL, temperature=0, input=QUESTION, instructions="Answer.")
assert plain.status == "completed" and "42" in plain.output_text, plain
assert [item.type for item in plain.output] == ["reasoning", "message"], plain
assert plain.output[0].content[0].text
assert plain.usage.total_tokens == plain.usage.input_tokens + plain.usage.output_tokens
assert plain.usage.output_tokens_details.reasoning_tokens > 0

text = ""
kinds = []
for event in client.responses.create(model=MODEL, temperature=0, input=QUESTION, instructions="Answer.", stream=True):
    assert event.sequence_number == len(kinds)
    kinds.append(event.type)
    if event.type == "response.output_text.delta":
        text += event.delta
assert text == plain.output_text, (text, plain.output_text)
assert kinds[0] == "response.created" and kinds[-1] == "response.completed"

with client.responses.stream(model=MODEL, temperature=0, input=QUESTION, instructions="Answer.") as stream:
    snapshot = ""
    for event in stream:
        if event.type == "response.output_text.delta":
            snapshot = event.snapshot
    final = stream.get_final_response()
assert final.output_text == snapshot == text

with client.responses.stream(model=MODEL, temperature=0, input=WEATHER, tools=TOOLS, **NO_THINKING) as stream:
    for event in stream:
        pass
    called = stream.get_final_response()
call = called.output[0]
assert (call.type, call.name, call.arguments) == ("function_call", "get_weather", '{"city": "Paris"}'), call
result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21"}
answered = client.responses.create(model=MODEL, temperature=0, tools=TOOLS, **NO_THINKING,
                                   input=[*WEATHER, *[item.model_dump() for item in called.output], result])
assert answered.output_text, answered

# The server keeps the conversation (--responses): the same prompt, so the same words.
going_on = client.responses.create(model=MODEL, temperature=0, tools=TOOLS, previous_response_id=called.id,
                                   input=[result], **NO_THINKING)
assert going_on.output_text == answered.output_text
assert going_on.usage.input_tokens == answered.usage.input_tokens
assert client.responses.retrieve(going_on.id).output_text == going_on.output_text
assert len(client.responses.input_items.list(going_on.id).data) == 3
client.responses.delete(going_on.id)
try:
    client.responses.retrieve(going_on.id)
    raise AssertionError("a deleted response was found")
except openai.NotFoundError:
    pass

summed = client.responses.create(model=MODEL, temperature=0, input=QUESTION, reasoning={"summary": "auto"},
                                 include=["reasoning.encrypted_content"])
assert summed.output[0].summary[0].text and summed.output[0].encrypted_content
assert client.responses.input_tokens.count(model=MODEL, input=QUESTION).input_tokens == summed.usage.input_tokens

cut = client.responses.create(model=MODEL, temperature=0, input=QUESTION, max_output_tokens=2)
assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens"

closed = client.responses.create(model=MODEL, temperature=1, input=QUESTION, max_output_tokens=40, text={"format": {"type": "json_object"}},
                                 extra_body={"close_on_length": True, "seed": 1})
assert closed.status == "completed" and isinstance(json.loads(closed.output_text), dict), closed

long = "word " * 4000
try:
    client.responses.create(model=MODEL, input=long)
    raise AssertionError("a prompt beyond the context was taken")
except openai.BadRequestError as error:
    assert error.code == "context_length_exceeded", error.body
last = [event for event in client.responses.create(model=MODEL, input=long, stream=True)][-1]
assert last.type == "response.failed" and last.response.error.code == "context_length_exceeded"

print("answer:", plain.output_text, "| events:", len(kinds), "| tool call:", call.name, call.arguments)

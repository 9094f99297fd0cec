"""The official Python client asks for the form of answers and of calls: at temperature 1, of a model that was not
taught any of it, 100 of 100 are of it. The second server writes calls as Qwen3-Coder does."""
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Optional

import openai
import pydantic

client = openai.OpenAI(base_url=sys.argv[1], api_key="EMPTY", max_retries=0)
coder = openai.OpenAI(base_url=os.environ["QWEN3_CODER_URL"], api_key="EMPTY", max_retries=0)
MODEL = "nano-moe"
MESSAGES = [{"role": "user", "content": "What is the weather in Paris?"}]
ROUNDS = int(os.environ.get("ROUNDS", 100))


class Step(pydantic.BaseModel):
    title: str = pydantic.Field(max_length=12)
    minutes: int = pydantic.Field(ge=0, le=600)


class Plan(pydantic.BaseModel):
    city: Literal["Paris", "Rome", "Oslo"]
    steps: list[Step] = pydantic.Field(max_length=2)
    note: Optional[str] = pydantic.Field(max_length=10)


class SaveNote(pydantic.BaseModel):
    path: str = pydantic.Field(pattern="^[a-z]{1,6}$")
    text: str = pydantic.Field(max_length=12)
    tag: Literal["a", "b"]


class GetWeather(pydantic.BaseModel):
    city: str = pydantic.Field(max_length=20)
    unit: Literal["C", "F"]
    days: int = pydantic.Field(ge=1, le=9)


SAVE = openai.pydantic_function_tool(SaveNote, name="save_note")
WEATHER = openai.pydantic_function_tool(GetWeather, name="get_weather")  # which the model was taught to call
CLEAR = {"type": "function", "function": {"name": "clear", "parameters": {
    "type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"],
    "additionalProperties": False}, "strict": True}}


def options(i):
    thinking = {"enable_thinking": i % 2 == 0}
    return {"model": MODEL, "messages": MESSAGES, "temperature": 1, "seed": i, "max_tokens": 1200,
            "extra_body": {"chat_template_kwargs": thinking, "thinking_token_budget": 40, "top_k": -1, "top_p": 1}}


def every(ask):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(ROUNDS)))


def parse(i):
    choice = client.chat.completions.parse(response_format=Plan, **options(i)).choices[0]
    assert choice.finish_reason == "stop" and isinstance(choice.message.parsed, Plan), choice


every(parse)


calls = []


def check_calls(choice, names):
    assert choice.finish_reason == "tool_calls", choice
    assert not choice.message.content, choice
    check_arguments(choice, names)


def check_arguments(choice, names):
    calls.extend(choice.message.tool_calls)
    for call in choice.message.tool_calls:
        assert call.function.name in names, call
        arguments = json.loads(call.function.arguments)
        if call.function.name == "save_note":
            SaveNote.model_validate(arguments, strict=True)
        elif call.function.name == "get_weather":
            GetWeather.model_validate(arguments, strict=True)
        else:
            assert list(arguments) == ["sure"] and isinstance(arguments["sure"], bool), call


for who in (client, coder):
    def required(i):
        answer = who.chat.completions.create(tools=[SAVE, CLEAR], tool_choice="required", parallel_tool_calls=False,
                                             **options(i))
        check_calls(answer.choices[0], {"save_note", "clear"})

    def named(i):
        answer = who.chat.completions.create(
            tools=[SAVE, CLEAR], tool_choice={"type": "function", "function": {"name": "save_note"}}, **options(i))
        check_calls(answer.choices[0], {"save_note"})

    def automatic(i):
        choice = who.chat.completions.create(tools=[WEATHER, CLEAR], **options(i)).choices[0]
        if choice.message.tool_calls:  # all of them, where max_tokens cut the next one
            check_arguments(choice, {"get_weather", "clear"})
        assert choice.finish_reason == "length" or (choice.finish_reason == "tool_calls") == bool(choice.message.tool_calls)

    every(required)
    every(named)
    every(automatic)


def structured(kind, value, **more):
    request = options(7)
    request["extra_body"] = {**request["extra_body"], "structured_outputs": {kind: value, **more}}
    return client.chat.completions.create(**request).choices[0].message.content


schema = Plan.model_json_schema()
Plan.model_validate_json(structured("json", schema))
assert " " not in structured("json", {"enum": [{"a": [1, 2]}]}, disable_any_whitespace=True)
assert re.fullmatch(r"[A-Z][a-z]{2,9}\.", structured("regex", r"[A-Z][a-z]{2,9}\."))
assert structured("choice", ["rain", "sun"]) in ("rain", "sun")
assert re.fullmatch(r"\d+ (C|F)", structured("grammar", 'root ::= [0-9]+ " " ("C" | "F")'))
request = {**options(7), "max_tokens": 60, "response_format": {"type": "json_object"}}
request["extra_body"] = {**request["extra_body"], "close_on_length": True}
assert isinstance(json.loads(client.chat.completions.create(**request).choices[0].message.content), dict)
assert structured("json_object", True).startswith('{')

completion = client.completions.create(model=MODEL, prompt="The weather: ", temperature=1, max_tokens=50,
                                       extra_body={"guided_choice": ["rain", "sun"]})
assert completion.choices[0].text in ("rain", "sun"), completion

# What cannot be kept is refused by field, code and place.
try:
    client.chat.completions.create(**options(0), response_format={"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "object", "properties": {"a": {"items": {"type": "number"}, "uniqueItems": True}}}}})
    raise SystemExit("a schema that is not enforced was taken")
except openai.BadRequestError as error:
    assert error.param == "response_format.json_schema.schema", error
    assert error.code == "unsupported_schema" and "/properties/a/uniqueItems" in error.message, error

assert len(calls) >= 5 * ROUNDS, len(calls)
print(f"{ROUNDS} of {ROUNDS} parsed, and {len(calls)} of {len(calls)} calls, required, named and free, in both formats")

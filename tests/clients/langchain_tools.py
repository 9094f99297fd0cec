"""LangChain: a tool call, its result, and the answer; streamed as well; objects of a form that the model was not taught."""
import os
import sys
from typing import Literal

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field


@tool
def get_weather(city: str) -> str:
    """Weather of a city"""
    return "sunny in " + city


def chat(**settings):
    return ChatOpenAI(model="nano-moe", base_url=sys.argv[1], api_key="EMPTY", max_retries=0,
                      extra_body={"chat_template_kwargs": {"enable_thinking": False}, "close_on_length": True}, **settings)


model = chat(temperature=0)
messages = [HumanMessage("What is the weather in Paris?")]
with_tools = model.bind_tools([get_weather])
answer = with_tools.invoke(messages)
assert answer.tool_calls[0]["name"] == "get_weather", answer
assert answer.tool_calls[0]["args"] == {"city": "Paris"}, answer
messages += [answer, ToolMessage(get_weather.invoke(answer.tool_calls[0]["args"]),
                                 tool_call_id=answer.tool_calls[0]["id"])]
assert with_tools.invoke(messages).content

whole = None
for chunk in with_tools.stream([HumanMessage("What is the weather in Paris?")]):
    whole = chunk if whole is None else whole + chunk
assert whole.tool_calls[0]["args"] == {"city": "Paris"}, whole

forced = model.bind_tools([get_weather], tool_choice="get_weather").invoke("Paris, please.")
assert forced.tool_calls[0]["name"] == "get_weather", forced


class Weather(BaseModel):
    """The weather of a city."""
    city: Literal["Paris", "Rome"]
    degrees: int = Field(ge=-50, le=60)


for method in ("json_schema", "function_calling"):
    for seed in range(int(os.environ.get("ROUNDS", 10))):
        structured = chat(temperature=1, seed=seed, max_tokens=400).with_structured_output(Weather, method=method)
        assert isinstance(structured.invoke(messages[:1]), Weather), method

# json_mode promises some object.
for seed in range(int(os.environ.get("ROUNDS", 10))):
    structured = chat(temperature=1, seed=seed, max_tokens=100).with_structured_output(
        Weather.model_json_schema(), method="json_mode")
    assert isinstance(structured.invoke(messages[:1]), dict)

print("tool call:", answer.tool_calls[0]["name"], answer.tool_calls[0]["args"])

"""langchain-qwq, LangChain's package for Qwen: thoughts apart from answers, streamed too, its switch for thinking, calls
of tools, and objects."""
import sys

from langchain_core.tools import tool
from langchain_qwq import ChatQwen
from pydantic import BaseModel, Field

QUESTION = "What is 12 + 30?"


@tool
def get_weather(city: str) -> str:
    """Weather of a city"""
    return "sunny in " + city


class Weather(BaseModel):
    """Weather of a city"""
    city: str = Field(max_length=12)
    degrees: int = Field(ge=-50, le=60)


def chat(**settings):
    return ChatQwen(model="nano-moe", api_base=sys.argv[1], api_key="EMPTY", max_retries=0, temperature=0, **settings)


thinking = chat(enable_thinking=True)
answer = thinking.invoke(QUESTION)
assert "42" in answer.content and answer.additional_kwargs["reasoning_content"], answer
streamed = None
for chunk in thinking.stream(QUESTION):
    streamed = chunk if streamed is None else streamed + chunk
assert streamed.content == answer.content, streamed
assert streamed.additional_kwargs["reasoning_content"] == answer.additional_kwargs["reasoning_content"], streamed

silent = chat(enable_thinking=False)
quick = silent.invoke(QUESTION)
assert "42" in quick.content and not quick.additional_kwargs.get("reasoning_content"), quick
called = silent.bind_tools([get_weather]).invoke("What is the weather in Paris?")
assert [call["name"] for call in called.tool_calls] == ["get_weather"], called
for method in ("function_calling", "json_mode"):
    closed = chat(enable_thinking=False, max_tokens=100)
    closed.extra_body = {"enable_thinking": False, "close_on_length": True}
    shape = Weather if method == "function_calling" else Weather.model_json_schema()
    got = closed.with_structured_output(shape, method=method).invoke("What is the weather in Paris?")
    assert isinstance(got, Weather if method == "function_calling" else dict), (method, got)

print("answer:", answer.content, "| tool call:", called.tool_calls[0]["args"])

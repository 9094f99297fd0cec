"""LangChain over the Responses API: an answer with its reasoning, a stream, and a round of a tool."""
import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="nano-moe", base_url=sys.argv[1], api_key="EMPTY", temperature=0, max_retries=0,
                   use_responses_api=True, reasoning={"summary": "auto"}, store=False,
                   include=["reasoning.encrypted_content"])


@tool
def get_weather(city: str) -> str:
    """Weather of a city"""
    return f"It is sunny in {city}."


answer = model.invoke("What is 12 + 30?")
assert "42" in answer.text, answer
blocks = {block["type"]: block for block in answer.content_blocks}
assert blocks["reasoning"]["reasoning"], answer
streamed = None
for chunk in model.stream("What is 12 + 30?"):
    streamed = chunk if streamed is None else streamed + chunk
assert streamed.text == answer.text, streamed

quiet = model.model_copy(update={"reasoning": {"effort": "none"}}).bind_tools([get_weather])
history = [("user", "What is the weather in Paris?")]
call = quiet.invoke(history)
assert call.tool_calls[0]["name"] == "get_weather" and call.tool_calls[0]["args"] == {"city": "Paris"}, call
result = get_weather.invoke(call.tool_calls[0])
final = quiet.invoke([*history, call, result])
assert final.text, final
print("answer:", answer.text, "| tool call:", call.tool_calls[0]["name"], call.tool_calls[0]["args"])

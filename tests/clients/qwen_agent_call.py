"""Qwen-Agent: a function call through the server's own tool parser, and its result."""
import sys

from qwen_agent.llm import get_chat_model

llm = get_chat_model({
    "model": "nano-moe", "model_server": sys.argv[1], "api_key": "EMPTY", "model_type": "oai",
    "generate_cfg": {"use_raw_api": True, "temperature": 0.01, "top_k": 1, "max_retries": 0,
                     "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}})
functions = [{"name": "get_weather", "description": "Weather of a city",
              "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                             "required": ["city"]}}]
messages = [{"role": "user", "content": "What is the weather in Paris?"}]
responses = []
for responses in llm.chat(messages=messages, functions=functions, stream=True):
    pass
call = [m for m in responses if m.get("function_call")][0]["function_call"]
assert call["name"] == "get_weather" and "Paris" in call["arguments"], responses
messages += responses + [{"role": "function", "name": "get_weather", "content": "sunny"}]
for responses in llm.chat(messages=messages, functions=functions, stream=True):
    pass
assert responses[-1]["content"], responses
print("function call:", call["name"], call["arguments"], "| answer:", responses[-1]["content"])

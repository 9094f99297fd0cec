#!/usr/bin/env python3
"""Function calling with Qwen-Agent: the model asks for a tool, the agent calls it, and the model answers from what it said.

    qwen3 serve -m Qwen/Qwen3-8B &
    python agent.py "What is the weather in Paris?"

The server finds the calls in the answer (use_raw_api), so Qwen-Agent needs no template of its own.
"""
import argparse
import ast
import json
import operator

import httpx
from qwen_agent.agents import Assistant
from qwen_agent.tools.base import BaseTool, register_tool

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@register_tool("get_weather")
class Weather(BaseTool):
    """A stand-in for a service: put your own request here."""

    description = "Get the weather of a city."
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def call(self, params, **_):
        city = self._verify_json_format_args(params)["city"]
        return {"Paris": "sunny, 21°C", "Rome": "windy, 17°C"}.get(city, "no report")


@register_tool("calculator")
class Calculator(BaseTool):
    description = "Evaluate an arithmetic expression."
    parameters = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}

    def call(self, params, **_):
        def value(node):
            if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
                return node.value
            if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
                return OPERATORS[type(node.op)](value(node.left), value(node.right))
            raise ValueError("expected numbers and + - * /")

        try:
            return str(value(ast.parse(self._verify_json_format_args(params)["expression"], mode="eval").body))
        except (SyntaxError, ValueError, ZeroDivisionError) as error:
            return f"error: {error}"  # which the model reads, and may mend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--json", action="store_true", help="all messages, as JSON")
    given = parser.parse_args()
    model = httpx.get(given.base_url + "/models").raise_for_status().json()["data"][0]["id"]
    agent = Assistant(
        llm={"model": model, "model_server": given.base_url, "api_key": "EMPTY", "model_type": "oai",
             "generate_cfg": {"use_raw_api": True, "temperature": 0.01, "top_k": 1,
                              "extra_body": {"chat_template_kwargs": {"enable_thinking": False}}}},
        function_list=["get_weather", "calculator"])
    messages = []
    for messages in agent.run(messages=[{"role": "user", "content": given.question}]):
        pass  # each step brings the whole again, further written
    if given.json:
        print(json.dumps(messages, ensure_ascii=False))
        return
    for message in messages:
        if message.get("function_call"):
            print("calls  ", message["function_call"]["name"], message["function_call"]["arguments"])
        elif message["role"] == "function":
            print("gets   ", message["content"])
        else:
            print("answers", message["content"])


if __name__ == "__main__":
    main()

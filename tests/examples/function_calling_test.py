"""Qwen-Agent calls the tools that the model asks for."""
import json


def test(bench) -> str:
    def ask(question: str) -> list[dict]:
        done = bench.run(bench.python, bench.folder / "agent.py", question, "--base-url", bench.urls["nano"], "--json")
        return json.loads(done.stdout.splitlines()[-1])

    for question, name, arguments, result, answer in [
        ("What is the weather in Paris?", "get_weather", {"city": "Paris"}, "sunny, 21°C", "21°C"),
        ("What is 123 * 45?", "calculator", {"expression": "123 * 45"}, "5535", "5535"),
    ]:
        call, returned, last = ask(question)
        assert call["function_call"]["name"] == name, call
        assert json.loads(call["function_call"]["arguments"]) == arguments, call
        assert returned["role"] == "function" and returned["content"] == result, returned
        assert last["role"] == "assistant" and answer in last["content"], last
    said = bench.run(bench.python, bench.folder / "agent.py", "What is 123 * 45?", "--base-url", bench.urls["nano"]).stdout
    assert "calls   calculator" in said and "gets    5535" in said, said
    return last["content"]

#!/usr/bin/env python3
"""How many tokens a thought may take: one question at several budgets. Needs nothing but Python.

    qwen3 serve -m Qwen/Qwen3-8B &
    python budget.py "How many of the numbers from 1 to 1000 are divisible by 7 or 11?" --budgets 64,512,-1

A budget is a field of the request, thinking_token_budget; with the openai package it is
client.chat.completions.create(..., extra_body={"thinking_token_budget": 512}). -1 is no limit, and 0 no thought.
"""
import argparse
import json
import time
import urllib.request


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply)


def ask(base_url: str, question: str, budget: int) -> dict:
    begin = time.monotonic()
    reply = post(base_url + "/chat/completions", {
        "messages": [{"role": "user", "content": question}],
        "thinking_token_budget": budget,
        "temperature": 0,
    })
    message = reply["choices"][0]["message"]
    return {
        "budget": budget,
        "thought_tokens": reply["usage"]["completion_tokens_details"]["reasoning_tokens"],
        "completion_tokens": reply["usage"]["completion_tokens"],
        "seconds": round(time.monotonic() - begin, 3),
        "thought": message.get("reasoning_content") or "",
        "answer": message["content"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--budgets", default="0,64,512,-1", help="in tokens, joined by commas")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each")
    given = parser.parse_args()
    for budget in map(int, given.budgets.split(",")):
        result = ask(given.base_url, given.question, budget)
        if given.json:
            print(json.dumps(result, ensure_ascii=False))
        else:
            limit = "no limit" if budget < 0 else f"at most {budget}"
            print(f"{limit}: thought of {result['thought_tokens']} tokens, {result['seconds']} s: {result['answer']!r}")


if __name__ == "__main__":
    main()

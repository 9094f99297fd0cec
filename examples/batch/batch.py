#!/usr/bin/env python3
"""Answers a file of conversations in one batch, with the Python package.

    pip install qwen3-VERSION-py3-none-manylinux_2_34_x86_64.whl
    python batch.py --model Qwen/Qwen3-0.6B questions.jsonl answers.jsonl
"""
import argparse
import json
import pathlib
import sys

import qwen3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=pathlib.Path, help='{"messages": […]} per line')
    parser.add_argument("answers", type=pathlib.Path)
    parser.add_argument("--model", default="nano")
    given = parser.parse_args()
    conversations = [json.loads(line)["messages"] for line in given.questions.read_text().splitlines() if line.strip()]
    with qwen3.LLM(given.model) as llm:
        outputs = llm.chat(
            conversations,
            qwen3.SamplingParams(temperature=0, max_tokens=256),
            chat_template_kwargs={"enable_thinking": False},
            progress=lambda done, n: print(f"\r{done} of {n}", end="", file=sys.stderr),
        )
    print(file=sys.stderr)
    with given.answers.open("w") as file:
        for index, output in enumerate(outputs):
            answer = output.outputs[0]
            file.write(json.dumps({"index": index, "text": answer.text, "finish_reason": answer.finish_reason},
                                  ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

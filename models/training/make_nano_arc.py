"""Write eval/data/nano_arc.jsonl: the held-out grid puzzles as prompt, answer, task_id.
Usage: make_nano_arc.py OUT.jsonl"""
import hashlib
import json
import sys

import corpus
from sample import plain

COUNT = 240


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        for s in corpus.held_out()["arc"][:COUNT]:
            prompt = plain(s.messages[-1]["content"])
            digest = hashlib.sha256(prompt.encode()).hexdigest()[:8]
            row = {"prompt": prompt, "answer": s.check["value"], "task_id": f"{s.meta['rule']}-{digest}"}
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

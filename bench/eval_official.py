#!/usr/bin/env python3
"""Our evaluation and the official scripts on the same files.

    bench/eval_official.py --official QWEN3_REPOSITORY/eval [--qwen3 build/release/bin/qwen3]

The official config is used unchanged, in the official folder's copy, but for the address: a server of this
script answers its 419 prompts with texts of every kind (right and wrong grids, fenced, bare, behind thoughts,
broken). `qwen3 eval run` asks and scores, once in each mode; eval/eval.py scores the same two files; the
accuracies must be equal, and in strict mode the details files too, byte for byte. Then the official generator
must find nothing missing in our file (needs openai and tqdm; skipped with --no-generate).

Needs Python with PyYAML, numpy, tqdm.
"""

import argparse
import hashlib
import http.server
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

CONFIG = "configs/ARCAGI-Qwen3-235B-A22B-Instruct-2507.yaml"
NAME = "ARCAGI-Qwen3-235B-A22B-Instruct-2507"


def answer_text(row):
    """What the row's prompt is answered with: decided by its hash."""
    kind = hashlib.sha256(row["prompt"].encode()).digest()[0] % 10
    right = json.dumps(row["answer"])
    wrong = json.dumps([[(cell + 1) % 10 for cell in line] for line in row["answer"]])
    return [
        right,
        f"The grid is\n```json\n{right}\n```\nas asked.",
        f"```python\n{wrong}\n```\nNo:\n```json\n{right}\n```",
        f"<think>\n{wrong}\n</think>\n\n```json\n{right}\n```",
        f"It becomes {right}.",
        wrong,
        f"```json\n{wrong}\n```",
        f"```json\n{right[:-1]}\n```\n{right}",
        "I do not know. 你好",
        "",
    ][kind]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    texts = {}
    asked = 0

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "mock", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Answers.asked += 1
        text = self.texts[body["messages"][-1]["content"]]
        message = {"role": "assistant", "content": text}
        self.reply(
            {
                "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


def accuracy(text):
    return re.search(r"Task: arc_agi_1, Accuracy: (\S+)", text).group(1)


def run(command, folder):
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--official", type=pathlib.Path, required=True)
    parser.add_argument("--qwen3", type=pathlib.Path, default=pathlib.Path("build/release/bin/qwen3"))
    parser.add_argument("--no-generate", action="store_true")
    options = parser.parse_args()
    qwen3 = options.qwen3.resolve()
    rows = [json.loads(line) for line in (options.official / "data/arc_agi_1.jsonl").open(encoding="utf-8")]
    Answers.texts = {row["prompt"]: answer_text(row) for row in rows}
    server = Server(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    for mode in ([], ["--strict"]):
        folder = pathlib.Path(tempfile.mkdtemp()) / "eval"
        for part in ("configs", "data", "eval", "generate_api_answers"):
            shutil.copytree(options.official / part, folder / part)
        output = folder / "output"
        before = Answers.asked
        ours = run([qwen3, "eval", "run", "--config", CONFIG, "--base-url", url, *mode], folder)
        n_asked = Answers.asked - before
        details = output / f"{NAME}_details.jsonl"
        kept = details.read_bytes()
        theirs = run([sys.executable, "eval/eval.py", "--config", CONFIG], folder)
        same = details.read_bytes() == kept
        name = " ".join(mode) or "default"
        print(f"{name}: {n_asked} requests for {len(rows)} prompts; ours {accuracy(ours)}, official "
              f"{accuracy(theirs)}; details files {'equal' if same else 'differ'}")
        if accuracy(ours) != accuracy(theirs) or n_asked != len(rows) or (mode and not same):
            sys.exit("the two differ")
        if not options.no_generate:
            config = (folder / CONFIG).read_text(encoding="utf-8")
            local = folder / "configs/local.yaml"
            local.write_text(re.sub(r"base_url: .*", f"base_url: '{url}'", config), encoding="utf-8")
            before, size = Answers.asked, (output / f"{NAME}.jsonl").stat().st_size
            run([sys.executable, "generate_api_answers/infer_multithread.py", "--config", "configs/local.yaml"],
                folder)
            grown = (output / f"{NAME}.jsonl").stat().st_size - size
            print(f"{name}: the official generator finds {Answers.asked - before} samples missing")
            if Answers.asked != before or grown != 0:
                sys.exit("the official generator asked again")
        shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main()

"""A batch by the program alone; killed, it goes on."""
import json
import random

ANSWERS = {0: "3, 7, 9", 1: "345 + 278 = 623", 5: "132"}


def answers_of(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test(bench) -> str:
    model, script = bench.root / "models/nano", bench.folder / "batch.sh"
    bench.run("sh", script, model, bench.folder / "questions.jsonl", "answers.jsonl")
    rows = answers_of(bench.work / "answers.jsonl")
    assert [row["index"] for row in rows] == list(range(6)), rows
    for index, answer in ANSWERS.items():
        assert answer in rows[index]["text"], rows[index]

    # A longer one, killed until it is through, ends with what it has when nobody kills it.
    numbers = random.Random(1)
    with (bench.work / "many.jsonl").open("w") as file:
        for _ in range(400):
            content = f"What is {numbers.randrange(999)} + {numbers.randrange(999)}?"
            file.write(json.dumps({"messages": [{"role": "user", "content": content}], "add_generation_prompt": True,
                                   "chat_template_kwargs": {"enable_thinking": False}}) + "\n")
    bench.run("sh", script, model, "many.jsonl", "whole.jsonl")
    n_killed = n_resumed = 0
    for attempt in range(1, 100):
        seconds = f"{0.2 * attempt:.1f}"
        done = bench.run("timeout", "-s", "KILL", seconds, "sh", script, model, "many.jsonl", "killed.jsonl", code=None)
        n_resumed += "goes on with" in done.stderr
        if done.returncode == 0:
            break
        n_killed += 1
        assert not (bench.work / "killed.jsonl").exists(), "an output is whole or not there"
    assert done.returncode == 0 and n_killed > 0 and n_resumed > 0, (n_killed, n_resumed, done)
    assert (bench.work / "killed.jsonl").read_text() == (bench.work / "whole.jsonl").read_text()
    assert not (bench.work / "killed.jsonl.partial").exists()
    return f"6 answers, and 400 through {n_killed} kills"

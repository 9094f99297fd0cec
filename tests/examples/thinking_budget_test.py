"""A thought has no more tokens than its budget, and begins as the one without a limit does."""
import json


def test(bench) -> str:
    question = "Sort 91, 17, 45, 3, 78, 12, 66."
    command = [bench.python, bench.folder / "budget.py", question, "--base-url", bench.urls["nano"], "--budgets=0,12,60,-1"]
    rows = [json.loads(line) for line in bench.run(*command, "--json").stdout.splitlines()]
    assert [row["budget"] for row in rows] == [0, 12, 60, -1]
    none, short, long, free = rows
    asked = "".join(json.dumps({"text": row["thought"]}) + "\n" for row in rows)
    counted = bench.run("qwen3", "tokenize", "-m", "nano", input=asked).stdout.splitlines()
    lengths = [len(json.loads(line)["ids"]) for line in counted]
    assert none["thought"] == "" and lengths[0] == 0
    assert 0 < lengths[1] <= 12 < lengths[2] <= 60 < lengths[3], lengths
    for cut in (short, long):
        assert free["thought"].startswith(cut["thought"].strip()), cut
    assert free["answer"] == "3, 12, 17, 45, 66, 78, 91", free
    assert all(row["answer"] for row in rows)
    assert len(bench.run(*command).stdout.splitlines()) == 4
    return f"thoughts of {lengths} tokens"

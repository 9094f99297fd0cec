"""Each recipe from a file as its benchmark has it to a score; scores of answers that are known; the judges of IFEval."""
import json
import sys

RIGHT = {"mmlu": lambda row: f'A and B are not it.\n"answer": "{row["answer"]}"', "aime": lambda row: f"So \\boxed{{{row['answer']}}}."}
RIGHT["gpqa"] = RIGHT["ceval"] = RIGHT["mmlu"]
FILES = {"mmlu": ("arithmetic_test.csv", 3), "gpqa": ("gpqa.csv", 2), "aime": ("aime.jsonl", 2), "ceval": ("suanshu_val.csv", 2)}


def lines_of(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def score(bench, rows: list[dict], task: str) -> float:
    (bench.work / "known.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return json.loads(bench.run("qwen3", "eval", "score", "--input", "known.jsonl", "--task", task, "--json").stdout)["accuracy"]


def recipe(bench, name: str) -> None:
    file, n_rows = FILES[name]
    prepare = [bench.python, bench.folder / "prepare.py", name, bench.folder / "samples" / file]
    bench.run(*prepare, "--samples", "2", "--max-tokens", "300", "--thinking", "off")
    rows = lines_of(bench.work / f"out/{name}.jsonl")
    assert len(rows) == n_rows and all(row["answer"] for row in rows), rows
    bench.run("qwen3", "eval", "run", "--config", f"out/{name}.yaml", "-m", "nano")
    assert len(lines_of(bench.work / f"out/{name}-answers.jsonl")) == 2 * n_rows
    assert len(lines_of(bench.work / f"out/{name}-details.jsonl")) == 2 * n_rows

    task = "math_answer" if name == "aime" else "multiple_choice"
    assert score(bench, [{**row, "gen": [RIGHT[name](row)]} for row in rows], task) == 1
    wrong = [{**row, "gen": [RIGHT[name]({"answer": "D" if row["answer"] != "D" else "A"})]} for row in rows]
    assert score(bench, wrong, task) == 0
    bad = bench.work / "bad.csv"
    bad.write_text("What?,1,2\n" if name != "aime" else "{}\n")
    refused = bench.run(bench.python, bench.folder / "prepare.py", name, bad, code=1)
    assert "bad.csv" in refused.stderr and "expected" in refused.stderr, refused.stderr


def test_gpqa_order(bench) -> None:
    """The right answer is not where the file has it, and the order does not change."""
    prepare = [bench.python, bench.folder / "prepare.py", "gpqa", bench.folder / "samples/gpqa.csv", "--out"]
    bench.run(*prepare, "a/gpqa")
    bench.run(*prepare, "b/gpqa", "--seed", "2")
    again, other = (lines_of(bench.work / f"{one}/gpqa.jsonl") for one in "ab")
    assert again == lines_of(bench.work / "out/gpqa.jsonl") and again != other
    assert again[0]["choices"][ord(again[0]["answer"]) - ord("A")] == "2v"


def as_the_authors(bench, judges: dict, except_for: tuple = ()) -> int:
    """How many answers of the goldens are judged as there; all must be."""
    from score_ifeval import judged

    n_same = 0
    for row in lines_of(bench.root / "tests/goldens/ifeval.jsonl"):
        [name] = row["instruction_id_list"]
        if name in except_for or name not in judges:
            continue
        [followed] = judged(row, name, judges)
        assert list(followed) == row["authors"], (row, followed)
        n_same += 1
    return n_same


def test_ifeval(bench) -> str:
    bench.run(bench.python, bench.folder / "prepare.py", "ifeval", bench.folder / "samples/ifeval.jsonl", "--max-tokens", "300")
    bench.run("qwen3", "eval", "generate", "--config", "out/ifeval.yaml", "-m", "nano")
    scorer = [bench.python, bench.folder / "score_ifeval.py"]
    said = bench.run(*scorer, "out/ifeval-answers.jsonl", "--details", "details.jsonl").stdout
    assert "(" in said and "of 2)" in said and "not judged: 1 prompts" in said, said
    assert len(lines_of(bench.work / "details.jsonl")) == 3

    sys.path.insert(0, str(bench.folder))
    from score_ifeval import JUDGES, judged

    def verdict(instruction: str, kwargs: dict, answer: str) -> tuple[bool, bool]:
        [followed] = judged({"instruction_id_list": [instruction], "kwargs": [kwargs], "gen": [answer]}, instruction, JUDGES)
        return followed

    cases = lines_of(bench.root / "tests/examples/ifeval_cases.jsonl")
    assert {case["instruction"] for case in cases} == set(JUDGES)
    for case in cases:
        for key in ("yes", "no"):
            for answer in case[key]:
                assert verdict(case["instruction"], case["kwargs"], answer)[0] == (key == "yes"), (case["instruction"], answer)
    # What the authors' program says of 900 answers; it asks a package whether capitals and small letters are English.
    same = as_the_authors(bench, JUDGES, except_for=("change_case:english_capital", "change_case:english_lowercase"))
    assert same == 22 * 36, same
    assert verdict("detectable_format:json_format", {}, "[" * 100000) == (False, False)
    first = {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "one"}
    assert verdict("length_constraints:nth_paragraph_first_word", first, "<think>\nHm\n\n</think>\n\nOne.\n\nTwo.") == (True, True)
    # Loosely, without a first line that says what comes.
    row = {"prompt": "p", "instruction_id_list": ["startend:quotation"], "kwargs": [{}], "gen": ['Here it is:\n"Well."']}
    (bench.work / "one.jsonl").write_text(json.dumps(row) + "\n")
    said = bench.run(*scorer, "one.jsonl").stdout
    assert "strict  prompts 0.0000" in said and "loose   prompts 1.0000" in said, said
    return f"{len(cases)} instructions, {same} answers as the authors judge them"


def test(bench) -> str:
    for name in FILES:
        recipe(bench, name)
    test_gpqa_order(bench)
    # In its own wording nano can do the sums.
    bench.run(bench.python, bench.folder / "prepare.py", "aime", bench.folder / "samples/aime.jsonl", "--ask", "", "--samples", "4",
              "--max-tokens", "300", "--out", "plain/aime")
    bench.run("qwen3", "eval", "run", "--config", "plain/aime.yaml", "-m", "nano")
    verdicts = [verdict["acc"] for row in lines_of(bench.work / "plain/aime-details.jsonl") for verdict in row["verdicts"]]
    assert len(verdicts) == 8 and sum(verdicts) >= 4, verdicts
    return f"4 recipes, and IFEval's judges on {test_ifeval(bench)}"

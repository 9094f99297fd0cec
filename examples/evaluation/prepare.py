#!/usr/bin/env python3
"""Makes rows and a config for `qwen3 eval` of the files of a benchmark, which you bring. Needs nothing but Python.

    prepare.py mmlu   test/*_test.csv            the authors' files: question, four choices, a letter; no header
    prepare.py ceval  val/*_val.csv              id,question,A,B,C,D,answer
    prepare.py gpqa   gpqa_diamond.csv           Question, Correct Answer, Incorrect Answer 1 to 3
    prepare.py aime   aime25.jsonl               {"problem": …, "answer": …} per line
    prepare.py ifeval input_data.jsonl           {"key": …, "prompt": …, "instruction_id_list": […], "kwargs": […]}

It writes OUT.jsonl and OUT.yaml (--out, by default out/NAME), with the questions' wording and the sampling of Qwen's
model cards. Then

    qwen3 eval run --config out/mmlu.yaml -m Qwen/Qwen3-8B
    qwen3 eval generate --config out/ifeval.yaml -m Qwen/Qwen3-8B && score_ifeval.py out/ifeval-answers.jsonl
"""
import argparse
import csv
import hashlib
import json
import pathlib
import random
import sys

CHOICE = ('Please show your choice in the answer field with only the choice letter, e.g., "answer": "C".')
CHOICE_ZH = '请只在 answer 字段中给出选项字母，例如 "answer": "C"。'
MATH = "Please reason step by step, and put your final answer within \\boxed{}."
# Model cards of Qwen3.
SAMPLING = {"on": {"temperature": 0.6, "top_p": 0.95, "top_k": 20}, "off": {"temperature": 0.7, "top_p": 0.8, "top_k": 20}}


def fail(where: str, expected: str) -> None:
    sys.exit(f"prepare: {where}: expected {expected}")


def choice_row(task_id: str, question: str, choices: list[str], letter: str, where: str, ask: str) -> dict:
    letter = letter.strip().upper()
    if letter not in list("ABCD"[: len(choices)]):
        fail(where, f"a letter of {len(choices)} choices as the answer, got {letter!r}")
    listed = "\n".join(f"{name}. {choice}" for name, choice in zip("ABCD", choices))
    return {"prompt": f"{question.strip()}\n{listed}\n{ask}".strip(), "choices": choices, "answer": letter, "task_id": task_id}


def mmlu(file: pathlib.Path, given: argparse.Namespace) -> list[dict]:
    rows = []
    subject = file.stem.removesuffix("_test").removesuffix("_val").removesuffix("_dev")
    for number, row in enumerate(csv.reader(file.open(newline="", encoding="utf-8")), 1):
        where = f"{file}: row {number}"
        if len(row) != 6:
            fail(where, f"question, four choices and a letter, got {len(row)} fields")
        rows.append(choice_row(f"{subject}-{number}", row[0], row[1:5], row[5], where, given.ask))
    return rows


def named_rows(file: pathlib.Path, names: list[str]):
    reader = csv.DictReader(file.open(newline="", encoding="utf-8-sig"))
    missing = [name for name in names if name not in (reader.fieldnames or [])]
    if missing:
        fail(f"{file}: header", "columns " + ", ".join(names) + "; missing: " + ", ".join(missing))
    for number, row in enumerate(reader, 1):
        for name in names:
            if row[name] is None:
                fail(f"{file}: row {number}", f"a value for {name}")
        yield number, row


def ceval(file: pathlib.Path, given: argparse.Namespace) -> list[dict]:
    subject = file.stem.removesuffix("_val").removesuffix("_dev").removesuffix("_test")
    return [
        choice_row(f"{subject}-{row['id']}", row["question"], [row[name] for name in "ABCD"], row["answer"],
                   f"{file}: row {number}", given.ask)
        for number, row in named_rows(file, ["id", "question", "A", "B", "C", "D", "answer"])
    ]


def gpqa(file: pathlib.Path, given: argparse.Namespace) -> list[dict]:
    right, wrong = "Correct Answer", [f"Incorrect Answer {i}" for i in (1, 2, 3)]
    rows = []
    for number, row in named_rows(file, ["Question", right, *wrong]):
        choices = [row[right].strip(), *(row[name].strip() for name in wrong)]
        # The right one comes first in the file. The order is the question's own: the same whatever else the file has.
        digest = hashlib.sha256(f"{given.seed}:{row['Question']}".encode()).digest()
        order = random.Random(digest).sample(range(4), 4)
        letter = "ABCD"[order.index(0)]
        name = row.get("Record ID") or f"{file.stem}-{number}"
        rows.append(choice_row(name, row["Question"], [choices[i] for i in order], letter,
                               f"{file}: row {number}", given.ask))
    return rows


def json_rows(file: pathlib.Path):
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            where = f"{file}: line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                fail(where, f"JSON ({error})")
            if not isinstance(row, dict):
                fail(where, "a JSON object")
            yield number, where, {key.lower(): value for key, value in row.items()}


def aime(file: pathlib.Path, given: argparse.Namespace) -> list[dict]:
    rows = []
    for number, where, row in json_rows(file):
        problem = row.get("problem") or row.get("question")
        if not problem or "answer" not in row:
            fail(where, "a problem and an answer")
        rows.append({"prompt": f"{problem.strip()}\n{given.ask}".strip(), "answer": str(row["answer"]),
                     "task_id": f"{file.stem}-{row.get('id', number)}"})
    return rows


def ifeval(file: pathlib.Path, _) -> list[dict]:
    rows = []
    for _, where, row in json_rows(file):
        names, kwargs = row.get("instruction_id_list"), row.get("kwargs")
        if not row.get("prompt") or not isinstance(names, list) or not isinstance(kwargs, list) or len(names) != len(kwargs):
            fail(where, "a prompt, instruction_id_list, and as many kwargs")
        rows.append({"prompt": row["prompt"], "task_id": str(row.get("key", where)), "instruction_id_list": names,
                     "kwargs": kwargs})
    return rows


READERS = {"mmlu": mmlu, "ceval": ceval, "gpqa": gpqa, "aime": aime, "ifeval": ifeval}
TASKS = {"mmlu": "multiple_choice", "ceval": "multiple_choice", "gpqa": "multiple_choice", "aime": "math_answer"}
# What stands below a question.
ASK = {"mmlu": CHOICE, "ceval": CHOICE_ZH, "gpqa": CHOICE, "aime": MATH}
# Answers for each question: AIME's thirty questions say little with one.
SAMPLES = {"aime": 64, "gpqa": 10}


def config_of(given: argparse.Namespace, out: pathlib.Path) -> str:
    answers = out.with_name(out.name + "-answers.jsonl")
    keys = {
        "input_file": f"{out}.jsonl",
        "output_file": str(answers),
        "base_url": given.base_url,
        "model_name": given.model_name,
        "n_samples": given.samples or SAMPLES.get(given.name, 1),
        "max_workers": 64,
        **SAMPLING[given.thinking],
        "presence_penalty": 0.0,
        "max_tokens": given.max_tokens,
        "seed": given.seed,
        "thinking": given.thinking == "on",
    }
    if given.name in TASKS:
        keys |= {"task_name": TASKS[given.name], "eval_input_path": str(answers),
                 "details_path": str(out.with_name(out.name + "-details.jsonl"))}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=READERS)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, help="without an extension; default: out/NAME")
    parser.add_argument("--thinking", choices=["on", "off"], default="on")
    parser.add_argument("--samples", type=int, default=0, help="answers for each question; default: 64 of AIME, 10 of GPQA, 1")
    parser.add_argument("--ask", help="what stands below a question; default: the wording of Qwen's model cards")
    parser.add_argument("--max-tokens", type=int, default=32768)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model-name", default="Qwen/Qwen3-8B")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000/v1")
    given = parser.parse_args()
    given.ask = ASK.get(given.name, "") if given.ask is None else given.ask
    out = given.out or pathlib.Path("out") / given.name
    rows = [row for file in given.files for row in READERS[given.name](file, given)]
    if not rows:
        fail(", ".join(map(str, given.files)), "at least one question")
    names = [row["task_id"] for row in rows]
    if len(set(names)) != len(names):
        fail("questions", "names that differ; give each file once")
    out.parent.mkdir(parents=True, exist_ok=True)
    rows_file = out.with_name(out.name + ".jsonl")
    rows_file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    config = out.with_name(out.name + ".yaml")
    config.write_text(config_of(given, out), encoding="utf-8")
    print(f"{len(rows)} questions in {rows_file}; next: qwen3 eval {'run' if given.name in TASKS else 'generate'} --config {config}")


if __name__ == "__main__":
    main()

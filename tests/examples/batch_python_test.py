"""The same batch by the Python package: the same answers."""
import batch_test


def test(bench) -> str:
    model, questions = bench.root / "models/nano", bench.folder / "questions.jsonl"
    bench.run(bench.python, bench.folder / "batch.py", "--model", model, questions, "python.jsonl")
    bench.run("sh", bench.folder / "batch.sh", model, questions, "program.jsonl")
    by_python, by_program = (batch_test.answers_of(bench.work / f"{one}.jsonl") for one in ("python", "program"))
    assert len(by_python) == 6
    for one, other in zip(by_python, by_program):
        assert one == {key: other[key] for key in one}, (one, other)
    return f"{len(by_python)} answers, those of the program"

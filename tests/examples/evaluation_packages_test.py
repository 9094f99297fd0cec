"""IFEval with the packages that its authors' program asks: all 25 instructions, all answers of the goldens as it judges them."""
import json
import sys

HERE = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import evaluation_test, score_ifeval, types, pathlib
bench = types.SimpleNamespace(root=pathlib.Path(sys.argv[3]))
print(evaluation_test.as_the_authors(bench, score_ifeval.judges_with_packages()))
"""


def test(bench) -> str:
    tests = bench.root / "tests/examples"
    same = int(bench.run(bench.python, "-c", HERE, tests, bench.folder, bench.root).stdout)
    assert same == 25 * 36, same

    scorer = bench.folder / "score_ifeval.py"
    row = {"prompt": "p", "instruction_id_list": ["language:response_language"], "kwargs": [{"language": "de"}],
           "gen": ["Der Fluss ist lang und das Boot ist klein."]}
    (bench.work / "one.jsonl").write_text(json.dumps(row) + "\n")
    said = bench.run(bench.python, scorer, "one.jsonl", "--packages").stdout
    assert "strict  prompts 1.0000 (1 of 1)" in said and "not judged" not in said, said
    refused = bench.run(sys.executable, "-S", scorer, "one.jsonl", "--packages", code=1)
    assert "pip install -r" in refused.stderr and "requirements-packages.txt" in refused.stderr, refused.stderr
    return f"{same} answers as the authors judge them"

"""script/scale as it is typed: what comes, and that hostile input gives one line and exit code 2."""
import contextlib
import csv
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCALE = ROOT / "script/scale"
sys.path.insert(0, str(ROOT / "script/lib"))
from scale import Refused, curves, drawing, page  # noqa: E402

GOOD = json.loads((ROOT / "bench/configs/qwen3-30b-a3b/config.json").read_text())


loader = importlib.machinery.SourceFileLoader("scale_program", str(SCALE))  # a script without .py
program = importlib.util.module_from_spec(importlib.util.spec_from_loader("scale_program", loader))
loader.exec_module(program)


def run_process(*words):
    return subprocess.run([sys.executable, "-B", SCALE, *map(str, words)], capture_output=True, text=True, timeout=120)


def run(*words):
    """The same in this process, which saves starting some two hundred."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["script/scale", *map(str, words)]), \
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = program.main()
        except SystemExit as end:  # of --help
            code = end.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


class Answers(unittest.TestCase):
    def test_text(self):
        out = run("Qwen3-32B", "--machine", "socket", "--ranks", 2, "--weights", "q4_k_m", "--users", 4, "--goal", 20)
        self.assertEqual((out.returncode, out.stderr), (0, ""))
        for words in ("1 replica of 2 ranks on 1 host", "fits              yes", "limit: reading weights", "memory inside a host",
                      "20 tok/s for each of 4 users: 1 replica, 1 host"):
            self.assertIn(words, out.stdout)

    def test_json(self):
        out = run("qwen/qwen3-8b", "--machine", "h100", "--json", "--users", 8, "--replicas", 2)
        found = json.loads(out.stdout)
        self.assertEqual((found["model"], found["weights"], found["streams"], found["fits"]), ("Qwen3-8B", "bf16", 4, True))
        self.assertAlmostEqual(found["decode_tokens_per_second"], 8 * found["decode_tokens_per_second_of_a_user"])
        self.assertEqual(set(found["memory_of_a_rank"]), {"weights", "kv", "activations", "margin", "available"})

    def test_own_machine(self):
        base, twice = (json.loads(run("Qwen3-8B", "--machine", "desktop", "--json", *more).stdout)
                       for more in ((), ("--bandwidth", 120, "--compute", 1e6)))
        self.assertAlmostEqual(twice["decode_tokens_per_second"] / base["decode_tokens_per_second"], 2, delta=0.01)
        small = run("Qwen3-8B", "--machine", "desktop", "--memory", 8)
        self.assertIn("fits              no: short of", small.stdout)
        slow = [json.loads(run("Qwen3-8B", "--machine", "desktop", "--ranks", 2, "--stages", 1, "--json", *more).stdout)
                for more in ((), ("--link-latency", 100000))]
        self.assertLess(slow[1]["decode_tokens_per_second"], slow[0]["decode_tokens_per_second"] / 50)
        self.assertEqual(slow[1]["decode_limit"], "latency of sums")

    def test_models_by_folder_and_file(self):
        for where in ("bench/configs/qwen3-8b", "bench/configs/qwen3-8b/config.json"):
            out = run(ROOT / where, "--machine", "desktop", "--json")
            self.assertEqual(json.loads(out.stdout)["n_parameters"], 8190735360)

    def test_weights_that_the_config_names(self):
        for key, expected in (({"quant_method": "fp8"}, "fp8"), ({"quant_method": "awq", "bits": 4}, "int4"), ({"quant_method": "?"}, None)):
            with tempfile.TemporaryDirectory() as folder:
                pathlib.Path(folder, "config.json").write_text(json.dumps({**GOOD, "quantization_config": key}))
                out = run(folder, "--machine", "socket", "--json")
                if expected:
                    self.assertEqual(json.loads(out.stdout)["weights"], expected)
                else:
                    self.assertEqual(out.returncode, 2)
                    self.assertIn("--weights", out.stderr)

    def test_lists(self):
        for option, words in (("--models", "Qwen3-235B-A22B"), ("--machines", "h200"), ("--links", "10gbe"), ("--measured", "solved for")):
            out = run(option)
            self.assertEqual(out.returncode, 0)
            self.assertIn(words, out.stdout)

    def test_buy(self):
        out = run("--buy", "Qwen3-8B", "Qwen3-235B-A22B", "--goal", 5)
        lines = out.stdout.splitlines()
        self.assertEqual(len(lines), 1 + 2 * 4)
        self.assertIn("users at 5", lines[0])

    def test_help(self):
        out = run_process("--help")
        self.assertEqual(out.returncode, 0)
        self.assertIn("--curve", out.stdout)


class Curves(unittest.TestCase):
    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "curve")
            out = run("Qwen3-235B-A22B", "--weights", "q4_k_m", "--machine", "desktop", "--link", "1gbe", "--link", "10gbe", "--curve",
                      "ranks", "--out", prefix, "--goal", 10)
            self.assertEqual((out.returncode, out.stderr), (0, ""))
            with open(prefix + ".csv", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(len(rows), 2 * 8)
            self.assertEqual([row["fits"] for row in rows[:2]], ["no", "yes"])
            self.assertEqual({row["series"] for row in rows}, {"1gbe", "10gbe"})
            tree = xml.etree.ElementTree.parse(prefix + ".svg")
            circles = tree.findall("{http://www.w3.org/2000/svg}circle")
            self.assertEqual(len(circles), sum(row["fits"] == "yes" for row in rows))

    def test_a_chart_with_hostile_words_is_still_xml(self):
        chart = drawing.Chart('<&">', "]]>", "&", [drawing.Line("<script>", [(1, 2.0), (2, None), (4, 8.0)])], True, (3, "<"))
        root = xml.etree.ElementTree.fromstring(drawing.svg(chart))
        self.assertEqual(len(root.findall("{http://www.w3.org/2000/svg}circle")), 2)

    def test_no_point_fits(self):
        out = run("Qwen3-235B-A22B", "--machine", "desktop", "--memory", 1, "--curve", "users", "--out", "nowhere")
        self.assertEqual(out.returncode, 2)
        self.assertFalse(pathlib.Path("nowhere.svg").exists())

    def test_the_page_is_up_to_date(self):
        self.assertIn("are what is calculated", page.check())
        chinese = [figure.title for figure in page.figures()] + [s.name for f in page.figures() for s in f.series if "gbe" not in s.name]
        for words in chinese + list(curves.OVER)[:2]:
            self.assertIn(words, page.CHINESE)

    def test_what_the_page_shows_is_what_comes(self):
        text = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
        shown = re.findall(r"^```console\n\$ script/scale ([^\n]*)\n(.*?)\n```$", text, re.M | re.S)
        self.assertEqual(len(shown), 3)
        for words, output in shown:
            self.assertEqual(run(*words.split()).stdout.rstrip(), output, words)

    def test_a_stale_curve_is_noticed(self):
        changed = [(path, text.replace("M", "m", 1)) for path, text in page.files()]
        for files in (changed, [(page.FOLDER / "scaling-nothing.svg", "")]):
            with mock.patch.object(page, "files", lambda: files), self.assertRaises(Refused):
                page.check()


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


class Hostile(unittest.TestCase):
    def test_as_a_process(self):
        out = run_process("Qwen3-8B", "--machine", "socket", "--ranks", "nan")
        self.assertEqual((out.returncode, out.stdout, out.stderr.count("\n")), (2, "", 1))

    def refused(self, words, *expected):
        out = run(*words)
        self.assertEqual(out.returncode, 2, f"{words}: {out.stdout[:200]}{out.stderr[:500]}")
        self.assertEqual(out.stdout, "")
        self.assertEqual(out.stderr.count("\n"), 1, out.stderr[:500])
        self.assertTrue(out.stderr.startswith("script/scale: ") and len(out.stderr) < 700, out.stderr[:800])
        self.assertNotIn("Traceback", out.stderr)
        for word in expected:
            self.assertIn(word, out.stderr)

    def of_file(self, data, *expected):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "config.json")
            path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
            self.refused([folder, "--machine", "socket"], *expected)

    def test_keys_that_are_missing(self):
        for key in ("model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                    "head_dim", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "max_position_embeddings"):
            self.of_file(without(key), key, "expected")

    def test_values_that_are_none(self):
        for value in (0, -1, 1.5, "8", None, True, [], {}, 10**30, 1e300):
            for key in ("hidden_size", "num_hidden_layers", "num_key_value_heads", "num_experts", "vocab_size"):
                self.of_file({**GOOD, key: value}, key)
        self.of_file({**GOOD, "num_key_value_heads": 5}, "num_attention_heads", "multiple")
        self.of_file({**GOOD, "num_experts_per_tok": 129}, "num_experts_per_tok")
        self.of_file({**GOOD, "decoder_sparse_step": 0}, "decoder_sparse_step")
        self.of_file({**GOOD, "mlp_only_layers": [48]}, "mlp_only_layers")
        self.of_file({**GOOD, "mlp_only_layers": "x"}, "mlp_only_layers")
        self.of_file({**GOOD, "tie_word_embeddings": 1}, "tie_word_embeddings")
        self.of_file({**GOOD, "torch_dtype": ["x"]}, "--weights")
        self.of_file({**GOOD, "hidden_size": 1 << 20, "moe_intermediate_size": 1 << 20, "num_experts": 512}, "2^48")
        self.of_file({**GOOD, "model_type": "llama\nok"}, "model_type")

    def test_files_that_are_no_config(self):
        self.of_file(json.dumps({**GOOD, "rms_norm_eps": float("nan")}).encode(), "NaN")
        for data in (b"", b"{", b"[]", b"1", b"null", b'{"hidden_size": NaN}', b'{"hidden_size": Infinity}', b"\xff\xfe\x00",
                     b"[" * 100000, b'{"a": ' * 5000, b"9" * 5000, b" " * (1 << 20) + b" ", b'{"model_type": "\\ud800"}'):
            self.of_file(data)

    def test_paths(self):
        with tempfile.TemporaryDirectory() as folder:
            self.refused([folder, "--machine", "socket"], "config.json")
            os.mkfifo(os.path.join(folder, "pipe"))
            self.refused([os.path.join(folder, "pipe"), "--machine", "socket"], "file")
        for name in ("nothing", "", "x" * 5000, "/dev/zero", "a\nb", "../" * 200):
            self.refused([name, "--machine", "socket"])

    def test_options(self):
        numbers = ("0", "-1", "nan", "inf", "-inf", "1e400", "x", "", "9" * 400, "1.5.5", "٣x")
        for option in ("--ranks", "--stages", "--replicas", "--users", "--prompt", "--answer", "--max-batch-tokens", "--memory", "--bandwidth",
                       "--compute", "--ranks-per-host", "--link-bandwidth", "--goal"):
            for value in numbers if option in ("--ranks", "--bandwidth") else ("0", "nan", "9" * 400):
                self.refused(["Qwen3-8B", "--machine", "socket", f"{option}={value}"], option)
        self.refused(["Qwen3-8B", "--machine", "socket", "--link-latency=-1"], "--link-latency")
        self.refused(["Qwen3-8B", "--machine", "mainframe"], "--machine", "socket")
        self.refused(["Qwen3-8B", "--machine", "socket", "--link", "string"], "--link", "10gbe")
        self.refused(["Qwen3-8B", "--machine", "socket", "--weights", "q9"], "--weights", "q4_k_m")
        self.refused(["Qwen3-8B", "--machine", "socket", "--kv-dtype", "int3"], "--kv-dtype")
        self.refused(["Qwen3-8B", "--machine", "h100", "--kv-dtype", "q8"], "processors")
        self.refused(["Qwen3-8B"], "--machine", "socket")
        self.refused([], "MODEL")
        self.refused(["Qwen3-8B", "--no-such-option"], "--no-such-option")
        self.refused(["Qwen3-8B", "--machine", "socket", "--prompt", 50000], "context")
        self.refused(["Qwen3-8B", "--machine", "socket", "--ranks", 7, "--stages", 2], "divisor")
        self.refused(["Qwen3-8B", "--machine", "socket", "--ranks", 509], "--ranks", "8")
        self.refused(["Qwen3-8B", "--machine", "socket", "--curve", "ranks"], "--out")
        self.refused(["Qwen3-8B", "--machine", "socket", "--curve", "ranks", "--out", "/nowhere/x"], "cannot be written")

    def test_extremes_are_calculated(self):
        for words in (["--users", 1000000, "--replicas", 100000], ["--ranks", 256], ["--bandwidth", 0.001], ["--compute", 1e9], ["--memory", 1e6],
                      ["--prompt", 40000, "--answer", 960], ["--users", 1000000, "--goal", 1e6]):
            out = run("Qwen3-30B-A3B", "--machine", "socket", "--json", *words)
            self.assertEqual((out.returncode, out.stderr), (0, ""), words)
            json.loads(out.stdout)


if __name__ == "__main__":
    unittest.main()

"""How bench/ measures beside other programs: pairs, tables, what is packed; with programs that answer at once."""
import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import pack_llama_cpp  # noqa: E402
import pairs  # noqa: E402

QWEN3 = """
    import json, sys
    value = lambda name: sys.argv[sys.argv.index(name) + 1]
    prompt, batches = int(value("--prompt-tokens")), value("--batch").split(",")
    print(json.dumps({
        "prefill": [{"tokens_per_second": 10.0 * prompt}] if prompt else [],
        "decode": [{"batch": int(n), "tokens_per_second": 30.0 * int(n), "share_of_read_bandwidth": 0.8}
                   for n in batches if int(value("--decode-tokens"))]}))
"""
BATCHED = """
    import json, sys
    for i, n in enumerate(sys.argv[sys.argv.index("-npl") + 1].split(",")):
        print(json.dumps({"pl": int(n), "speed_tg": 10.0 * int(n) if i % 2 else 1.0}))
"""
BENCH_OF_LLAMA = """
    import json, sys
    value = lambda name: sys.argv[sys.argv.index(name) + 1]
    if "--version" in sys.argv:
        print("version: 7 (abc)")
    else:
        rows = [{"n_prompt": int(p), "samples_ts": [float(p) * int(u) / 128]}
                for u in value("-ub").split(",") for p in value("-p").split(",") if p != "0"]
        print(json.dumps(rows + [{"n_prompt": 0, "samples_ts": [19, 20, 90]}]))
"""


def program(path, text):
    path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
    path.chmod(0o755)
    return path


class PairsTest(unittest.TestCase):
    def test_sides_take_turns_and_tests_of_one_side_are_left_out(self):
        order = []

        def side(name, results):
            def run():
                order.append(name)
                return results.pop(0)
            return run

        runs = pairs.Pairs(side("a", [{"x": 4.0, "only": 1.0}, {"x": 9.0}, {"x": 5.0}]),
                           side("b", [{"x": 2.0}, {"x": 3.0}, {"x": 5.0}]), "other")
        for _ in range(3):
            runs.run(say=lambda line: None)
        self.assertEqual(order, ["a", "b", "b", "a", "a", "b"])
        (row,) = runs.rows()
        self.assertEqual((row["test"], row["ours"], row["theirs"]), ("x", 5.0, 3.0))
        self.assertEqual(row["ratio"], {"min": 1.0, "median": 2.0, "max": 3.0})

    def test_a_pair_that_would_end_too_late_does_not_fit(self):
        runs = pairs.Pairs(dict, dict, "other")
        runs.seconds = 10
        self.assertTrue(runs.fits(None))
        self.assertTrue(runs.fits(time.monotonic() + 60))
        self.assertFalse(runs.fits(time.monotonic() + 5))

    def test_a_table_says_which_bars_are_met(self):
        rows = [{"test": name, "ours": 1.0, "theirs": 1.0, "ratio": {"min": r, "median": r, "max": r}}
                for name, r in (("high", 2.0), ("low", 1.0), ("free", 1.0))]
        lines = pairs.markdown(rows, "other", {"high": 2.0, "low": 1.01}).splitlines()[2:]
        self.assertEqual([line.split("|")[-2].strip() for line in lines], ["≥ 2 met", "≥ 1.01 missed", ""])

    def test_a_program_that_fails_is_named_with_its_last_words(self):
        with self.assertRaisesRegex(RuntimeError, "exit 3: no card"):
            pairs.output([sys.executable, "-c", "import sys; print('no card', file=sys.stderr); sys.exit(3)"])


class LlamaCppTest(unittest.TestCase):
    def measure(self, directory, *options):
        (directory / "qwen3-8b-BF16.gguf").touch()
        program(directory / "qwen3", QWEN3)
        program(directory / "llama-batched-bench", BATCHED)
        if not (directory / "llama-bench").exists():
            program(directory / "llama-bench", BENCH_OF_LLAMA)
        done = subprocess.run([sys.executable, "-B", BENCH / "vs_llama_cpp_cuda.py", "--qwen3", directory / "qwen3",
                               "--llama", directory, "--models", directory, "--lines", "8b", "--pairs", "2",
                               "--json", directory / "out.json", *options], capture_output=True, text=True)
        return done, json.loads((directory / "out.json").read_text())

    def test_the_better_way_of_the_rival_counts(self):
        with tempfile.TemporaryDirectory() as name:
            done, report = self.measure(pathlib.Path(name))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {row["test"]: (row["ours"], row["theirs"]) for row in report["lines"][0]["rows"]}
        self.assertEqual(rows, {"decode 1": (30, 20), "decode 8": (240, 80), "decode 32": (960, 320),
                                "decode 128": (3840, 1280), "prefill 512": (5120, 8192),
                                "prefill 2048": (20480, 32768), "prefill 8192": (81920, 131072)})
        self.assertEqual(report["llama_cpp"], "version: 7 (abc)")
        self.assertIn("| decode 1 | 30.0 | 20.0 | 1.50 (1.50 to 1.50) | ≥ 1.15 met |", done.stdout)
        self.assertIn("| prefill 512 | 5,120.0 | 8,192.0 | 0.62 (0.62 to 0.62) | ≥ 1.4 missed |", done.stdout)
        self.assertIn("80% of the measured read bandwidth (bar 77%)", done.stdout)

    def test_a_rival_that_fails_is_no_result(self):
        with tempfile.TemporaryDirectory() as name:
            program(pathlib.Path(name) / "llama-bench", "import sys; sys.exit('out of memory')")
            done, report = self.measure(pathlib.Path(name))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(report["lines"][0]["rows"], [])
        self.assertIn("out of memory", report["lines"][0]["error"])


class PackTest(unittest.TestCase):
    FUNCTION = ("static void ggml_cuda_mul_mat_q_switch_type(int x) {\n    switch (x) {\n" +
                "".join(f"        case GGML_TYPE_{kind}:\n            run<{kind}>();\n            break;\n"
                        for kind in ("Q4_0", "Q8_0", "Q4_K", "Q6_K", "IQ1_S")) +
                "        default:\n            stop();\n    }\n}\n")

    def test_only_what_runs_is_left_of_a_switch(self):
        text = pack_llama_cpp.pruned("ggml/src/ggml-cuda/mmq.cu", self.FUNCTION)
        for kind, left in (("Q4_0", 0), ("Q8_0", 1), ("Q4_K", 1), ("Q6_K", 1), ("IQ1_S", 0)):
            self.assertEqual(text.count(f"run<{kind}>"), left, kind)
        self.assertIn("default:\n            stop();", text)

    def test_other_sources_are_refused(self):
        with self.assertRaisesRegex(pack_llama_cpp.Refused, "another llama.cpp"):
            pack_llama_cpp.pruned("ggml/src/ggml-cuda/mmq.cu", self.FUNCTION.replace("Q6_K", "Q7_K"))

    def test_only_heads_of_128_are_left_of_instances(self):
        name = pack_llama_cpp.TEMPLATES + "fattn-mma-f16-instance-ncols1_8-ncols2_1.cu"
        text = '#include "a"\nDECL_FATTN_MMA_F16_CASE(64, 64, 8, 1);\nDECL_FATTN_MMA_F16_CASE(128, 128, 8, 1);\n'
        self.assertEqual(pack_llama_cpp.pruned(name, text),
                         '#include "a"\nDECL_FATTN_MMA_F16_CASE(128, 128, 8, 1);\n')
        self.assertIsNone(pack_llama_cpp.pruned(name, "DECL_FATTN_MMA_F16_CASE(64, 64, 8, 1);\n"))


if __name__ == "__main__":
    unittest.main()

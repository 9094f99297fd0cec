#!/usr/bin/env python3
"""Ranks that Open MPI starts, against one process: the same bits, or an end with one line.

  equal     logits and generated tokens of n ranks are those of one process, bit for bit
  serve     an answer of a server on two ranks is that of one process; SIGTERM lets a stream end, rc 0
  refuse    what cannot run on ranks, and launchers that MPI does not know, are refused with exit code 2
  differ    ranks with another checkpoint, config or option are named before anything large is read, exit code 2
  kill      kill -9 of any rank at a random moment: all are gone, rc is not 0, what was printed is a beginning of
            the right answer
  freeze    SIGSTOP of any rank: the same, and one line names it
  hosts     (root) two network namespaces as two machines: the same bits, kills, frozen ranks, a cut cable

    tests/ranks/ranks.py [--program build/release/bin/qwen3] [--only equal …] [--short] [--kills 40] [--freezes 8]
                         [--seed N] [--backend cuda]

With --backend cuda two ranks have a card each: equal, serve, kill and freeze.
77 where there is no Open MPI or no plugin. --short is what `ctest` asks for, within a minute or two.
"""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from group import ONE_HOST, SETTINGS, Failed, Group, run

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests/data/models"
GONE_KILLED, GONE_FROZEN = 3.0, 6.0  # seconds, on machines with fewer cores than ranks
PEER_SECONDS = 2
IDS = ",".join(str(i * 31 % 60 + 1) for i in range(90))
PROMPT = "The first thing to know about a river is"


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Tests:
    def __init__(self, options):
        self.program = options.program
        self.short = options.short
        self.on_cards = options.backend == "cuda"
        self.how = ["--threads", 1, "--backend", options.backend]
        self.nano = str(ROOT / "models" / ("nano-moe" if self.on_cards else "nano"))  # which cards can share
        self.options = options
        self.random = random.Random(options.seed)
        self.folder = tempfile.TemporaryDirectory(prefix="ranks-")
        self.path = Path(self.folder.name)
        self.references = {}

    def qwen3(self, *words, **more):
        return run([self.program, *map(str, words)], **more)

    def mpirun(self, n, *words, settings=(), **more):
        return run(["mpirun", *SETTINGS, *ONE_HOST, *settings, "-n", str(n), self.program, *map(str, words)], **more)

    # ---- equal

    def logits(self, model, n, more=()):
        out = self.path / "logits.npy"
        out.unlink(missing_ok=True)
        how = self.how[:2] if "--backend" in more else self.how
        ended = self.qwen3("logits", "-m", model, "--ids", IDS, "--out", out, "--quiet", *how,
                           *(["--ranks", n] if n > 1 else []), *more)
        expect(ended.returncode == 0, f"logits of {model} on {n} ranks: rc {ended.returncode}: {ended.stderr}")
        return out.read_bytes()

    def tokens(self, model, n, more):
        ended = self.qwen3("generate", "-m", model, "--ids", IDS, "--max-tokens", 40, "--ignore-eos", "--json",
                           *self.how, *(["--ranks", n] if n > 1 else []), *more)
        expect(ended.returncode == 0, f"generate with {model} on {n} ranks: rc {ended.returncode}: {ended.stderr}")
        return json.loads(ended.stdout)["ids"]

    def official(self, name):
        """A checkpoint of that shape with few layers and random weights."""
        config = json.loads((ROOT / "bench/configs" / name / "config.json").read_text())
        config |= {"num_hidden_layers": 2, "vocab_size": 8192}
        if "num_experts" in config:
            config["num_experts"] = 24
        source, target = self.path / f"{name}-config", self.path / name
        source.mkdir()
        (source / "config.json").write_text(json.dumps(config))
        maker = ROOT / "bench/make_random_checkpoint.py"
        ended = run([sys.executable, str(maker), str(source), str(ROOT / "models/nano"), str(target)])
        expect(ended.returncode == 0, ended.stderr)
        return str(target)

    def equal(self):
        models = ["nano", "nano-moe"]
        counts = [2, 3] if self.short else [2, 3, 4, 5, 8]
        if self.on_cards:
            models, counts = [self.nano, self.official("qwen3-0.6b"), self.official("qwen3-30b-a3b")], [2]
        elif not self.short:
            models += sorted(str(path) for path in FIXTURES.iterdir() if (path / "config.json").exists())
        ways = {"greedy": ["--temperature", 0], "sampled": ["--temperature", 1.1, "--top-p", 0.95, "--seed", 7]}
        n_compared = 0
        for model in models:
            logits = self.logits(model, 1)
            tokens = {way: self.tokens(model, 1, words) for way, words in ways.items()}
            # Fixtures have no prompt's worth of context; what is asked of the engine is the same for all.
            for n in counts:
                expect(self.logits(model, n) == logits, f"{model}: logits of {n} ranks are not those of one process")
                for way, words in ways.items():
                    got = self.tokens(model, n, words)
                    expect(got == tokens[way], f"{model}: {way} tokens of {n} ranks: {got}, expected {tokens[way]}")
                n_compared += 3
        for more in [] if self.on_cards else [["--dtype", "float32"], ["--cpu-isa", "baseline"],
                                              ["--backend", "reference"]]:
            for n in counts[:1] if self.short else counts:
                expect(self.logits("nano-moe", n, more) == self.logits("nano-moe", 1, more),
                       f"nano-moe {more}: logits of {n} ranks are not those of one process")
                n_compared += 1
        return f"{n_compared} comparisons"

    # ---- serve

    def server(self, port, n):
        words = [self.program, "serve", "-m", self.nano, "--port", str(port), *map(str, self.how),
                 *(["--ranks", str(n)] if n > 1 else [])]
        group = Group(words)
        end = time.monotonic() + 60
        while b"ready:" not in group.err:
            group.read()
            expect(group.process.poll() is None and time.monotonic() < end,
                   f"serve on {n} ranks is not ready: {group.err.decode()}")
            time.sleep(0.02)
        return group

    def ask(self, port, n_tokens, stream):
        body = {"model": Path(self.nano).name, "prompt": PROMPT, "max_tokens": n_tokens, "temperature": 0, "stream": stream,
                "ignore_eos": True}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        return urllib.request.urlopen(request, timeout=120)

    def serve(self):
        answers = []
        for n in (1, 2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            group = self.server(port, n)
            try:
                if n > 1:
                    group.ranks(n)
                answers.append(json.load(self.ask(port, 60, False))["choices"][0]["text"])
                stream = self.ask(port, 300, True)
                first = stream.readline()
                begin = time.monotonic()
                group.process.send_signal(signal.SIGTERM)
                rest = stream.read()
                expect(b"[DONE]" in rest, f"{n} ranks: SIGTERM cut a stream: {first} … {rest[-200:]}")
                ended = group.wait(20, begin)
            finally:
                group.kill()
            expect(ended.code == 0, f"{n} ranks: SIGTERM: expected rc 0, got {ended.code}: {ended.err}")
        expect(answers[0] == answers[1], f"expected {answers[0]!r}, two ranks answered {answers[1]!r}")
        return "an answer and a drained stream"

    # ---- refuse

    def refused(self, ended, text):
        expect(ended.returncode == 2, f"expected exit code 2 and {text!r}, got {ended.returncode}: {ended.stderr}")
        lines = [line for line in ended.stderr.splitlines() if line.startswith("qwen3")]
        expect(len(lines) == 1 and text in lines[0], f"expected one line with {text!r}, got {ended.stderr!r}")

    def refuse(self):
        out = self.path / "no.npy"
        self.refused(self.mpirun(2, "tokenize"), "mpirun started 2 tasks, and this command runs as one process")
        self.refused(self.qwen3("logits", "-m", "nano", "--ids", "1", "--taps", self.path / "taps", "--ranks", 2),
                     "--taps: ranks have parts")
        self.refused(self.qwen3("serve", "-m", "nano", "--traces", 4, "--port", 0, "--ranks", 2),
                     "--traces: ranks have parts")
        self.refused(self.mpirun(2, "logits", "-m", "nano", "--ids", "1", "--out", out, "--ranks", 3),
                     "--ranks 3, but mpirun started 2")
        self.refused(self.qwen3("logits", "-m", "nano", "--ids", "1", "--out", out,
                                env={"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "0"}),
                     "srun started 4 tasks, MPI sees 1: add --mpi=pmix")
        alone = self.path / "alone"
        alone.mkdir()
        shutil.copy(self.program, alone / "qwen3")
        self.refused(run([alone / "qwen3", "logits", "-m", "nano", "--ids", "1", "--out", str(out), "--ranks", "2"]),
                     "libqwen3_mpi.so: not there")
        missing = self.qwen3("logits", "-m", "nano", "--ids", "1", "--out", out, "--ranks", 2,
                             env={"PATH": str(self.path)})
        expect(missing.returncode != 0 and "there is no mpirun in PATH" in missing.stderr, missing.stderr)
        linked = run(["ldd", self.program]).stdout
        expect("libmpi" not in linked and "libc.so" in linked, f"the program is linked with MPI: {linked}")
        failed = self.qwen3("generate", "-m", "no-such-model", "--ids", "1", "--ranks", 2)
        expect(failed.returncode == 1 and failed.stderr.count("no such model") == 1, failed.stderr)
        expect(not out.exists(), "a refused command has written")
        return "8 refusals"

    # ---- differ

    def twin(self, name, change):
        folder = self.path / name
        shutil.copytree(FIXTURES / "dense", folder)
        change(folder)
        return folder

    def differ(self):
        def other_number(folder):
            path = folder / "model.safetensors"
            data = bytearray(path.read_bytes())
            for at in range(len(data) // 3, len(data)):  # all of them: a twin of the same shape
                data[at] ^= 1
            path.write_bytes(data)

        def other_config(folder):
            path = folder / "config.json"
            config = json.loads(path.read_text())
            config["rms_norm_eps"] = config["rms_norm_eps"] * 2
            path.write_text(json.dumps(config))

        same = FIXTURES / "dense"
        cases = {"the checkpoint": (self.twin("twin", other_number), []),
                 "config.json": (self.twin("config", other_config), []),
                 "--dtype": (same, ["--dtype", "bfloat16"]),
                 "--cpu-isa": (same, ["--cpu-isa", "baseline"]),
                 "--backend": (same, ["--backend", "reference"])}
        words = ["logits", "--ids", "1,2,3", "--out", str(self.path / "no.npy"), "--quiet"]
        for field, (model, more) in cases.items():
            ended = run(["mpirun", *SETTINGS, *ONE_HOST, "-n", "2", self.program, *words, "-m", str(same),
                         ":", "-n", "1", self.program, *words, "-m", str(model), *more])
            self.refused(ended, f"): {field} ")
            expect("qwen3: rank 2 (" in ended.stderr, ended.stderr)
        return f"{len(cases)} differences"

    # ---- kill, freeze

    def reference(self, n_tokens):
        if n_tokens not in self.references:
            ended = self.qwen3(*self.long_answer(n_tokens))
            expect(ended.returncode == 0, ended.stderr)
            self.references[n_tokens] = ended.stdout.encode()
        return self.references[n_tokens]

    def long_answer(self, n_tokens):
        return ["generate", "-m", self.nano, "--prompt", PROMPT, "--max-tokens", n_tokens, "--ignore-eos", "--seed", 3,
                "--temperature", 1, *self.how]

    def hit(self, number, n_ranks, n_tokens):
        """Starts a group, lets it run for a random time and gives a random rank that signal."""
        words = [self.program, *map(str, self.long_answer(n_tokens)), "--ranks", str(n_ranks), "--peer-seconds",
                 str(PEER_SECONDS)]
        expected = self.reference(n_tokens)
        group = Group(words)
        try:
            pids = group.ranks(n_ranks)
            if number == signal.SIGSTOP:
                group.watched()
            # While it answers, or just before: some groups are through sooner than others.
            end = time.monotonic() + self.random.uniform(0, 2.5)
            while time.monotonic() < end and len(group.out) < len(expected) / 3:
                group.read()
                time.sleep(0.005)
            victim = self.random.randrange(n_ranks)
            if group.process.poll() is not None:
                raise Failed("the group was through before it was hit; raise --max-tokens")
            begin = time.monotonic()
            os.kill(pids[victim], number)
            ended = group.wait(GONE_KILLED if number == signal.SIGKILL else GONE_FROZEN + PEER_SECONDS, begin)
        except AssertionError as error:
            raise Failed(str(error)) from error
        finally:
            group.kill()
        expect(expected.startswith(ended.out), f"rank {victim} hit: printed {ended.out[-200:]!r}, "
                                               f"which does not begin the right answer")
        expect(ended.code != 0, f"rank {victim} hit: expected an exit code that is not 0; {ended.err}")
        return victim, ended

    def kill(self):
        times = []
        for _ in range(3 if self.short else self.options.kills):
            n = 2 if self.on_cards else self.random.choice([2, 3, 4])
            times.append(self.hit(signal.SIGKILL, n, 1900)[1].seconds)
        return f"{len(times)} kills, gone after {sorted(times)[len(times) // 2]:.2f} s (median), {max(times):.2f} s at most"

    def freeze(self):
        times = []
        for _ in range(1 if self.short else self.options.freezes):
            n = 2 if self.on_cards else self.random.choice([2, 3])
            victim, ended = self.hit(signal.SIGSTOP, n, 1900)
            times.append(ended.seconds)
            lines = [line for line in ended.err.splitlines() if "has not answered for" in line]
            expect(len(lines) == 1 and f"qwen3: rank {victim} (" in lines[0],
                   f"expected one line that names rank {victim}, got {ended.err!r}")
        return f"{len(times)} frozen ranks, gone after {max(times):.2f} s at most"

    def hosts(self):
        from hosts import TwoHosts
        with TwoHosts(self) as hosts:
            return hosts.run()


ALL = ["equal", "serve", "refuse", "differ", "kill", "freeze", "hosts"]
ON_CARDS = ["equal", "serve", "kill", "freeze"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/bin/qwen3"))
    parser.add_argument("--only", nargs="+", choices=ALL)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--freezes", type=int, default=8)
    parser.add_argument("--backend", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    if shutil.which("mpirun") is None or not (Path(options.program).parent / "libqwen3_mpi.so").exists():
        print("skipped: there is no mpirun, or the plugin is not built")
        return 77
    print(f"seed {options.seed}")
    tests, n_failed = Tests(options), 0
    for name in options.only or (ON_CARDS if tests.on_cards else ALL):
        if name == "hosts" and (os.geteuid() != 0 or (options.short and not options.only)):
            print("hosts    skipped: for root, and not among the short ones")
            continue
        begin = time.monotonic()
        try:
            text = getattr(tests, name)()
            print(f"{name:8} ok: {text} ({time.monotonic() - begin:.0f} s)", flush=True)
        except Failed as error:
            n_failed += 1
            print(f"{name:8} FAILED: {error}", flush=True)
    return int(n_failed > 0)


if __name__ == "__main__":
    sys.exit(main())

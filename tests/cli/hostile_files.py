#!/usr/bin/env python3
"""Every input file of every command: cut, empty, huge, no file at all, and changed while it is read.

    hostile_files.py --program build/release/bin/qwen3 [--seconds 50] [--seed 1] [--only WORD]

A run is judged alike whatever the file: no signal; exit code 0, 1 or 2, and not 0 where the file
cannot be right; exactly one line on stderr when it is not 0; an end within its time; bounded memory.
First every file in every state that stands still, then files large enough that reading takes a
while, changed after a random moment, for as long as --seconds allows (each at least once).

Before that the judge itself is judged: small programs with one defect each (one maps its file, one
waits for a FIFO, ...) must be found at fault, or the whole driver fails.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
GIB = 1 << 30
MIB = 1 << 20
RUN_SECONDS = 60  # a hang is longer than any machine is slow
STILL_MIB = 200  # the embedded model and what its run needs is about 70
MOVING_MIB = 2000  # of files of up to 90 MB


# --- what a run does and what is wrong with it --------------------------------------------------

class Run:
    """What became of a command: its exit code, its stderr, its largest memory."""

    def __init__(self, argv, cwd, stdin=b"", seconds=RUN_SECONDS, meanwhile=None, stop_after=None):
        self.hung = False
        with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = subprocess.Popen(argv, cwd=cwd, stdin=given, stdout=subprocess.DEVNULL,
                                       stderr=err, env={**os.environ, "HF_HUB_CACHE": "hub"})
            helper = threading.Thread(target=meanwhile) if meanwhile else None
            if helper:
                helper.start()
            timers = [threading.Timer(seconds, self._kill, [process])]
            if stop_after:  # a server that took its files ends so
                timers.append(threading.Timer(stop_after, process.terminate))
            for timer in timers:
                timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            for timer in timers:
                timer.cancel()
            if helper:
                helper.join()
            self.code = process.returncode
            self.peak_mib = usage.ru_maxrss / 1024
            err.seek(0)
            self.err = err.read().decode(errors="replace")

    def _kill(self, process):
        self.hung = True
        process.kill()

    def faults(self, must_refuse, max_mib, n_lines=(1,)):
        if self.hung:
            return ["it hangs"]
        found = []
        if self.code < 0:
            found.append(f"ended by {signal.Signals(-self.code).name}")
        elif self.code not in (0, 1, 2):
            found.append(f"exit code {self.code}")
        elif self.code == 0 and must_refuse:
            found.append("accepted")
        elif self.code != 0:
            ignored = re.compile(r" is ignored(; did you mean \"[^\"]*\"\?)?$")
            lines = [line for line in self.err.splitlines() if not ignored.search(line)]
            if len(lines) not in n_lines:
                found.append(f"{len(lines)} lines on stderr")
        if self.peak_mib > max_mib:
            found.append(f"{self.peak_mib:.0f} MiB of memory")
        return found


# --- states that stand still --------------------------------------------------------------------

def replaced(make):
    def change(path):
        path.unlink()
        make(path)
    return change


def cut(share):
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def turned_over(share):
    """One byte has all bits turned over. What it was may be text that anything could stand in."""
    def change(path):
        raw = bytearray(path.read_bytes())
        raw[int(len(raw) * share)] ^= 0xFF
        path.write_bytes(raw)
    return change


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.open(path.parent, os.O_RDONLY)
        s.bind(f"/proc/self/fd/{here}/{path.name}")  # the whole path may be too long
        os.close(here)


NO_FILE = {
    "fifo": replaced(os.mkfifo),
    "directory": replaced(os.mkdir),
    "loop": replaced(lambda path: os.symlink(path.name, path)),
    "dangling": replaced(lambda path: os.symlink("nowhere", path)),
    "device": replaced(lambda path: os.symlink("/dev/zero", path)),
    "socket": replaced(make_socket),
}
DAMAGED = {
    "empty": cut(0),
    "quarter": cut(0.25),
    "half": cut(0.5),
    "huge": lambda path: os.truncate(path, 10 * GIB),  # sparse: one line of zeros
}
STILL = {**NO_FILE, **DAMAGED, "last byte": lambda path: os.truncate(path, path.stat().st_size - 1),
         "a byte early": turned_over(0.002), "a byte within": turned_over(0.3)}


# --- the files ----------------------------------------------------------------------------------

def eval_config(**more):
    keys = {"input_file": "data.jsonl", "output_file": "out.jsonl", "model_name": "nano",
            "n_samples": 1, "max_tokens": 1, "temperature": 0.0, "top_k": 1, "task_name":
            "exact_match", "eval_input_path": "answers.jsonl", "thinking": "false", **more}
    return "".join(f"{key}: {value}\n" for key, value in keys.items())


def rows(n, **more):
    return "".join(json.dumps({"prompt": f"{i}?", "answer": "1", "task_id": f"t{i}", **more}) + "\n"
                   for i in range(n))


def npy(n):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d), }" % n
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(4 * n)


def make_model(at):
    shutil.copytree(SOURCE / "models/nano", at, ignore=shutil.ignore_patterns("*.md", "*.svg"))


def make_sharded(at):
    make_model(at)
    raw = (at / "model.safetensors").read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    names = [name for name in json.loads(raw[8:8 + size]) if name != "__metadata__"]
    (at / "model.safetensors").rename(at / "part.safetensors")
    (at / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {name: "part.safetensors" for name in names}}))


def make_old_tokenizer(at):
    make_model(at)
    model = json.loads((at / "tokenizer.json").read_text())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (at / "vocab.json").write_text(json.dumps(model["vocab"]))
    (at / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (at / "tokenizer.json").unlink()


def make_hub(at):
    """A cache with one model, whose only revision is main."""
    model, commit = at / "models--some--model", "0" * 40
    make_model(model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs/main").write_text(commit)


def make_partial(root, program):
    """What a run of many prompts leaves that was killed."""
    (root / "many.jsonl").write_text(rows(5000))
    partial = root / "done.jsonl.partial"
    process = subprocess.Popen([program, "generate", "-m", "nano", "--max-tokens", "1", "--quiet", "--prompts",
                                "many.jsonl", "--out", "done.jsonl"], cwd=root)
    end = time.monotonic() + RUN_SECONDS
    while not (partial.exists() and partial.stat().st_size > 2000) and time.monotonic() < end:
        time.sleep(0.005)
    process.kill()
    process.wait()


def make_gguf(root):
    """A small quantised model, and another in three parts."""
    (root / "parts").mkdir()
    shutil.copy(SOURCE / "tests/data/quantize/importance.gguf", root)
    for file in (SOURCE / "tests/data/gguf").glob("*.gguf"):
        shutil.copy(file, root / "parts" if "-of-" in file.name else root)


def make_world(root, program):
    """All files of all commands, whole."""
    make_gguf(root)
    make_model(root / "plain")
    make_sharded(root / "sharded")
    make_old_tokenizer(root / "old")
    make_hub(root / "hub")
    (root / "ids.txt").write_text("1,2,3\n")
    (root / "own.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    (root / "prompts.jsonl").write_text(rows(3))
    (root / "schema.json").write_text(json.dumps({"type": "object", "properties": {"a": {}}}))
    (root / "own.gbnf").write_text('root ::= "yes" | "no"\n')
    (root / "options.yaml").write_text("max-tokens: 1\ntemperature: 0\n")
    (root / "plain/modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]))
    (root / "plain/1_Pooling").mkdir()
    (root / "plain/1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": 256, "pooling_mode_lasttoken": True}))
    (root / "text.txt").write_text("Some words to be measured, and some more of them.\n" * 3)
    (root / "talk.json").write_text(json.dumps([{"role": "user", "content": "hi"}] * 8))
    (root / "data.jsonl").write_text(rows(3))
    (root / "answers.jsonl").write_text(rows(3, gen=["1"]))
    (root / "other.jsonl").write_text(rows(3, gen=["2"]))
    failure = {"id": "0" * 64, "task_id": "t0", "sample": 0, "kind": "timeout", "message": "m"}
    (root / "failed.jsonl").write_text(json.dumps(failure) + "\n")
    timing = {"id": "0" * 64, "seconds": 1.5}
    (root / "answers.jsonl.timings.jsonl").write_text((json.dumps(timing) + "\n") * 3)
    (root / "eval.yaml").write_text(eval_config())
    (root / "score.yaml").write_text(eval_config(details_path="details.jsonl"))
    (root / "keys").write_text("me:" + "k" * 40 + "\n")
    (root / "keys").chmod(0o600)
    (root / "arc").mkdir()
    grid = {"input": [[1, 2]], "output": [[2, 1]]}
    (root / "arc/one.json").write_text(json.dumps({"train": [grid], "test": [grid]}))
    def prepare(*argv):
        subprocess.run(argv, cwd=root, check=True, capture_output=True)
    prepare("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=localhost", "-keyout", "tls.key", "-out", "tls.crt")
    prepare(program, "trace", "-m", "nano", "--ids", "1,2", "--taps", "norm", "--out", "taps",
            "--quiet")
    prepare(program, "eval", "generate", "--config", "eval.yaml", "-m", "nano", "--quiet")
    make_partial(root, program)
    for shard in ("1/2", "2/2"):
        prepare(program, "eval", "generate", "--config", "eval.yaml", "-m", "nano", "--quiet",
                "--output", "merged.jsonl", "--shard", shard)


class Case:
    """An input file of a command. `damage`: of DAMAGED, what must be refused; `n_lines` of stderr
    when the exit code is not 0 (a score that lacks answers says so on stdout)."""

    def __init__(self, command, file, damage=tuple(DAMAGED), stdin=b"", n_lines=(1,),
                 big=None, stop_after=None, no_file=tuple(NO_FILE), still_mib=STILL_MIB):
        self.command, self.file, self.stdin, self.n_lines = command.split(), file, stdin, n_lines
        self.must_refuse = set(damage) | set(no_file)
        self.big, self.stop_after, self.still_mib = big, stop_after, still_mib
        self.name = f"{' '.join(self.command[:2])}: {file}"


def padded_json(n_bytes):
    """The same JSON with white space in its middle: long to read, and cut anywhere it is wrong."""
    def grow(path):
        text = path.read_text()
        path.write_text(text[0] + " \n" * (n_bytes // 2) + text[1:])
    return grow


def repeated(n_bytes):
    def grow(path):
        text = path.read_bytes()
        path.write_bytes(text * (n_bytes // len(text) + 1))
    return grow


def text_that_ends_badly(path):
    """Read whole before it is refused: to measure so much text would take hours."""
    path.write_bytes(path.read_bytes() * 150_000 + b"\xff")


def long_header(n_bytes):
    def grow(path):
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        header = raw[8:8 + size].decode()
        meta = ",".join(f'"k{i:07}":"{"v" * 80}"' for i in range(n_bytes // 95))
        assert '"__metadata__"' in header or header.startswith("{")
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        text = ('{"__metadata__":{' + meta + "}," + json.dumps(tensors)[1:]).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])
    return grow


def long_metadata(n_bytes):
    """A GGUF file with a list of strings more, in front of all other keys."""
    def grow(path):
        raw = path.read_bytes()
        n_keys = struct.unpack("<Q", raw[16:24])[0]
        key, n = b"a.list.of.words.in.front", n_bytes // 32 * 2  # 16 bytes each: data stays aligned
        more = struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, n - 1)
        more += (struct.pack("<Q", 8) + b"eight ch") * (n - 1)
        path.write_bytes(raw[:16] + struct.pack("<Q", n_keys + 1) + more + raw[24:])
    return grow


GENERATE = "generate --prompt hi --max-tokens 1 --quiet -m "
EVAL = "eval generate --config eval.yaml -m nano --quiet --limit 1"
SCORE = "eval score --task exact_match --resamples 10 --quiet"
SERVE = "serve -m nano --port 0 --quiet"
SERVE_PLAIN = "serve -m plain --port 0 --quiet"
MERGE = "eval merge --config eval.yaml -m nano --output merged.jsonl --quiet"
QUANTIZE = "quantize --quiet --type Q4_0 -o q.gguf -m "
BENCH = "bench -m plain --prompt-tokens 8 --decode-tokens 1 --context 0 --batch 1 --repeat 1 --quiet"
LINES = ("empty", "huge")  # of a file of lines: a part of it is one too

CASES = [
    Case(GENERATE + "plain", "plain/config.json", big=padded_json(4_000_000)),
    Case(GENERATE + "plain", "plain/generation_config.json"),
    Case(GENERATE + "plain", "plain/tokenizer.json", big=padded_json(60_000_000)),
    Case(GENERATE + "plain", "plain/tokenizer_config.json", big=padded_json(40_000_000)),
    Case(GENERATE + "plain", "plain/chat_template.jinja", damage=("huge",)),
    Case(GENERATE + "plain", "plain/model.safetensors", big=long_header(80_000_000)),
    Case(GENERATE + "sharded", "sharded/model.safetensors.index.json", big=padded_json(30_000_000)),
    Case(GENERATE + "sharded", "sharded/part.safetensors"),
    # Whatever follows the data is a tail.
    Case(GENERATE + "dense.gguf", "dense.gguf", damage=("empty", "quarter", "half"),
         big=long_metadata(90_000_000)),
    Case(GENERATE + "parts", "parts/moe-00002-of-00003.gguf", damage=("empty", "quarter", "half")),
    Case("tokenize --quiet -m dense.gguf", "dense.gguf", damage=("empty",), stdin=b"hi\n"),
    Case("inspect -m dense.gguf", "dense.gguf", damage=("empty", "quarter", "half")),
    Case("serve -m dense.gguf --port 0 --quiet", "dense.gguf", damage=("empty", "quarter", "half"),
         stop_after=20),
    Case("tokenize --quiet -m plain", "plain/tokenizer.json", stdin=b"hi\n"),
    Case("tokenize --quiet -m old", "old/vocab.json", stdin=b"hi\n"),
    Case("tokenize --quiet -m old", "old/merges.txt", damage=("huge",), stdin=b"hi\n"),
    Case("inspect -m plain", "plain/config.json"),
    Case("inspect -m plain", "plain/model.safetensors", big=long_header(80_000_000)),
    Case("trace -m plain --ids 1 --quiet", "plain/config.json"),
    Case("trace -m nano --ids 1,2 --taps norm --compare taps --quiet", "taps/norm.npy"),
    Case("generate -m nano --max-tokens 1 --quiet --ids @ids.txt", "ids.txt", damage=LINES),
    Case("logits -m nano --quiet --ids @ids.txt", "ids.txt", damage=LINES),
    Case("trace -m nano --quiet --ids @ids.txt", "ids.txt", damage=LINES),
    Case("verify -m nano --quiet --ids @ids.txt", "ids.txt", damage=LINES),
    Case("verify -m nano --quiet --text text.txt", "text.txt", damage=LINES),
    Case("verify -m nano --quiet --ids 1,2 --against taps", "taps/norm.npy", still_mib=400),
    Case("generate -m nano --max-tokens 1 --quiet --file text.txt", "text.txt", damage=LINES),
    Case("chat -m nano --max-tokens 1 --quiet --file text.txt", "text.txt", damage=LINES),
    Case("generate -m nano --max-tokens 1 --quiet --prompts prompts.jsonl", "prompts.jsonl"),
    Case("generate -m nano --max-tokens 1 --quiet --prompts prompts.jsonl --out done.jsonl",
         "done.jsonl.partial", damage=("huge",), no_file=set(NO_FILE) - {"dangling"}),
    Case(GENERATE + "nano --json-schema schema.json", "schema.json", big=padded_json(30_000_000)),
    Case("chat -m nano --max-tokens 1 --quiet --json-schema schema.json hi", "schema.json"),
    Case(GENERATE + "nano --grammar own.gbnf", "own.gbnf", damage=("empty", "quarter", "huge")),
    Case(GENERATE + "nano --config-file options.yaml", "options.yaml", damage=("quarter", "huge")),
    Case("config --config-file options.yaml", "options.yaml", damage=("quarter", "huge")),
    Case(SERVE + " --config-file options.yaml", "options.yaml", damage=("quarter", "huge"),
         stop_after=20),
    Case(SERVE + " --chat-template own.jinja", "own.jinja", damage=("half", "huge"), stop_after=20),
    Case("chat -m nano --max-tokens 1 --quiet --chat-template own.jinja hi", "own.jinja",
         damage=("half", "huge")),
    Case(SERVE_PLAIN + " --task embed", "plain/modules.json", stop_after=20),
    Case(SERVE_PLAIN + " --task embed", "plain/1_Pooling/config.json", stop_after=20),
    # The only revision in the cache needs no name.
    Case(GENERATE + "some/model", "hub/models--some--model/refs/main", damage=(), no_file=()),
    Case("show --quiet some/model", "hub/models--some--model/refs/main", damage=(), no_file=()),
    Case("list --quiet", "hub/models--some--model/refs/main", damage=(), no_file=()),
    Case("rm --yes --quiet some/model", "hub/models--some--model/refs/main", damage=(), no_file=()),
    Case("bench --random-weights plain --prompt-tokens 8 --decode-tokens 1 --context 0 --batch 1 --repeat 1 --quiet",
         "plain/config.json", still_mib=1500),
    Case("render --template own.jinja", "own.jinja", damage=("half", "huge"),
         stdin=b'{"messages":[{"role":"user","content":"hi"}]}\n'),
    Case("render -m plain", "plain/chat_template.jinja", damage=("huge",),
         stdin=b'{"messages":[{"role":"user","content":"hi"}]}\n'),
    Case("render -m plain", "plain/tokenizer_config.json",
         stdin=b'{"messages":[{"role":"user","content":"hi"}]}\n'),
    # A wrong file name is no reason to end a conversation.
    Case("chat -m nano --quiet", "talk.json", stdin=b"/load talk.json\n", damage=(), no_file=()),
    Case(SERVE_PLAIN, "plain/config.json", stop_after=20),
    Case(SERVE_PLAIN, "plain/tokenizer.json", stop_after=20),
    Case(SERVE_PLAIN, "plain/model.safetensors", stop_after=20),
    Case(SERVE + " --tls-cert tls.crt --tls-key tls.key", "tls.crt", stop_after=20),
    Case(SERVE + " --tls-cert tls.crt --tls-key tls.key", "tls.key", stop_after=20),
    Case(SERVE + " --api-key-file keys", "keys", damage=("empty", "quarter", "huge"), stop_after=20),
    Case(BENCH, "plain/config.json", still_mib=1500),  # it measures the memory's bandwidth
    Case(EVAL, "eval.yaml", damage=("empty", "quarter", "huge")),
    Case(EVAL, "data.jsonl", big=repeated(30_000_000)),
    Case(EVAL, "out.jsonl", damage=("huge",), no_file=set(NO_FILE) - {"dangling"}),
    Case(EVAL, "out.jsonl.manifest.json", big=padded_json(8_000_000)),
    Case(SCORE + " --input answers.jsonl", "answers.jsonl", damage=("huge",),
         n_lines=(0, 1), big=repeated(20_000_000)),
    Case(SCORE + " --input answers.jsonl", "answers.jsonl.timings.jsonl",
         damage=("huge",)),
    Case(SCORE + " --input answers.jsonl --failures failed.jsonl", "failed.jsonl", damage=("huge",),
         n_lines=(0, 1)),
    Case(SCORE + " --input answers.jsonl --dataset data.jsonl", "data.jsonl", damage=("huge",),
         n_lines=(0, 1)),
    Case(SCORE + " --input answers.jsonl --html r.html --against other.jsonl", "other.jsonl",
         damage=("huge",), n_lines=(0, 1)),
    Case("eval score --config score.yaml --quiet", "score.yaml", damage=("empty", "quarter", "huge")),
    Case("eval score --strict --task arc_agi_1 --quiet --input answers.jsonl", "answers.jsonl",
         big=repeated(20_000_000)),
    Case(MERGE, "data.jsonl"),
    Case(MERGE, "merged.shard-1-of-2.jsonl", damage=LINES),
    Case(MERGE, "merged.shard-1-of-2.jsonl.manifest.json"),
    Case("eval perplexity -m nano --quiet --file text.txt", "text.txt", damage=LINES,
         big=text_that_ends_badly),
    Case("eval divergence -m nano --quiet --file text.txt", "text.txt", damage=LINES),
    Case(QUANTIZE + "plain", "plain/model.safetensors", big=long_header(80_000_000)),
    Case(QUANTIZE + "plain", "plain/tokenizer.json"),
    Case(QUANTIZE + "nano --importance importance.gguf", "importance.gguf",
         damage=("empty", "quarter", "half"), big=long_metadata(90_000_000)),
    Case(QUANTIZE + "nano --calibrate text.txt", "text.txt", damage=LINES),
    Case(QUANTIZE + "nano --judge text.txt", "text.txt", damage=LINES, still_mib=400),
    Case("eval prepare arc --tasks arc --out arc.jsonl --quiet", "arc/one.json"),
]


# --- runs ---------------------------------------------------------------------------------------

class World:
    """Whole files once, and a copy for every run."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.whole = folder / "whole"
        self.whole.mkdir()
        make_world(self.whole, program)
        self.big = {}

    def copy(self, case):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        needed = {word for word in case.command if (self.whole / word).is_dir()}
        for entry in self.whole.iterdir():
            if entry.name in needed or entry.parent / entry.name in (self.whole / case.file).parents:
                # Commands write into no folder: links do, but for the file that is changed.
                shutil.copytree(entry, root / entry.name, copy_function=os.link)
            elif entry.is_file():
                shutil.copy2(entry, root)
        target = root / case.file
        target.unlink()
        shutil.copy2(self.whole / case.file, target)
        return root

    def still(self, case, state):
        root = self.copy(case)
        STILL[state](root / case.file)
        run = Run([self.program, *case.command], root, case.stdin, stop_after=case.stop_after)
        shutil.rmtree(root)
        return run, run.faults(state in case.must_refuse, case.still_mib, case.n_lines)

    def make_big(self):
        for case in CASES:
            if case.big:
                path = self.folder / f"big{len(self.big)}"
                shutil.copy2(self.whole / case.file, path)
                case.big(path)
                self.big[case.name, id(case)] = path

    def moving(self, case, change, seconds):
        root = self.copy(case)
        target = root / case.file
        shutil.copy2(self.big[case.name, id(case)], target)

        def meanwhile():
            time.sleep(seconds)
            MOVING[change](target)
        run = Run([self.program, *case.command], root, case.stdin, meanwhile=meanwhile)
        shutil.rmtree(root)
        return run, run.faults(False, MOVING_MIB, case.n_lines)


def write_over(path):
    with open(path, "r+b") as file:
        for at in range(0, path.stat().st_size, 4 * MIB):
            file.seek(at)
            file.write(b"\x00{]" * 1000)


def append(path):
    with open(path, "ab") as file:
        file.write(b"}\n\x00" * MIB)


def put_another(path):
    beside = path.with_name("beside")
    beside.write_bytes(b"other")
    beside.rename(path)


MOVING = {
    "cut to nothing": cut(0),
    "cut to half": cut(0.5),
    "written over": write_over,
    "grown": append,
    "replaced": put_another,
}

# Each has one defect, which the judge must find: (name, program, state or change, part of a fault).
DEFECTIVE = [
    ("maps its file", """
import mmap, sys, time
with open(sys.argv[1], 'rb') as f:
    text = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
open(sys.argv[1] + '.ready', 'w')
end = time.time() + 40
while time.time() < end:
    sum(text[::4096])
""", "cut to nothing", "SIGBUS"),
    ("waits for a FIFO", "import sys\nopen(sys.argv[1]).read()", "fifo", "hangs"),
    ("reads before it looks", """
import sys
text = open(sys.argv[1], 'rb').read(400 << 20)
sys.exit('one line')
""", "huge", "MiB of memory"),
    ("takes what is no file", "print('fine')", "directory", "accepted"),
    ("says too much", "import sys\nsys.exit('one\\ntwo')", "empty", "2 lines"),
    ("says nothing", "import sys\nsys.exit(1)", "empty", "0 lines"),
    ("has codes of its own", "import sys\nsys.exit(3)", "empty", "exit code 3"),
]


def judge_the_judge(folder):
    missed = []
    for name, program, how, fault in DEFECTIVE:
        path = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "file"
        path.write_bytes(b"x" * MIB)
        meanwhile = None
        if how in STILL:
            STILL[how](path)
        else:
            def meanwhile(path=path, how=how):
                end = time.monotonic() + RUN_SECONDS
                while not path.with_name("file.ready").exists() and time.monotonic() < end:
                    time.sleep(0.01)
                MOVING[how](path)
        run = Run([sys.executable, "-c", program, str(path)], folder, meanwhile=meanwhile,
                  seconds=5 if fault == "hangs" else RUN_SECONDS)
        if not any(fault in found for found in run.faults(True, STILL_MIB)):
            missed.append(f"the judge misses a program that {name}: {run.code} {run.err[:200]}")
    return missed


def report(what, run, faults):
    print(f"FAULT {what}: {', '.join(faults)}: {run.err[:300]!r}", flush=True)


def run_all(world, cases, seconds, seed, pool):
    n_faults = 0
    begin = time.monotonic()
    still = [(case, state) for case in cases for state in STILL]
    for (case, state), (run, faults) in zip(still, pool.map(lambda job: world.still(*job), still)):
        if faults:
            n_faults += 1
            report(f"{case.name}, {state}", run, faults)
    print(f"{len(still)} runs with files that stand still, {time.monotonic() - begin:.0f} s",
          flush=True)
    chance = random.Random(seed)
    n_moving, n_refused = 0, 0
    world.make_big()
    while n_moving == 0 or time.monotonic() - begin < seconds:
        jobs = [(case, change, chance.uniform(0.02, 0.6))
                for case in cases if case.big for change in MOVING]
        for job, (run, faults) in zip(jobs, pool.map(lambda job: world.moving(*job), jobs)):
            n_refused += run.code != 0
            if faults:
                n_faults += 1
                report(f"{job[0].name}, {job[1]} after {job[2]:.3f} s", run, faults)
        n_moving += len(jobs)
        if not jobs:
            break
    print(f"{n_moving} runs with files that change ({n_refused} refused), "
          f"{time.monotonic() - begin:.0f} s in all; {n_faults} faults")
    return n_faults


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name has this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qwen3-hostile-") as folder:
        folder = pathlib.Path(folder)
        missed = judge_the_judge(folder)
        print("\n".join(missed) or f"the judge finds {len(DEFECTIVE)} of {len(DEFECTIVE)} defects",
              flush=True)
        world = World(str(options.program.resolve()), folder)
        cases = [case for case in CASES if options.only in case.name]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            n_faults = run_all(world, cases, options.seconds, options.seed, pool)
    return 1 if missed or n_faults or not cases else 0


if __name__ == "__main__":
    sys.exit(main())

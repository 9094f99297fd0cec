#!/usr/bin/env python3
"""Runs what the documentation tells people to type, and compares what comes with what the page shows.

    run_documentation.py --program build/release/bin/qwen3 [--only docs/cli.md] [--list]

Fences of README.md, CONTRIBUTING.md and docs/*.md:
  console  "$ COMMAND" (a line that ends in \\ goes on), then its output, both streams
  sh       commands alone, with comments; each must end with exit code 0
  others   no commands: a line that looks like one is an error here, so that none goes unnoticed

How output is compared: white space does not count, so that long lines may be wrapped. These vary:
  …                              any text, nothing included
  numbers before a unit          of time, speed or memory: s, ms, tok/s, GB/s, MB, bytes …
  cpu (…), the processor         of this machine
  values of JSON keys            id, created, *_seconds, *_per_second
Numbers with a point, which a model computed, may be off by 0.03 or a twentieth: instruction sets round differently.
A command without an output must end with exit code 0; one with an output may be shown to fail.

The commands of a page run in their order, in a folder of their own that has the repository's folders.
Port 8000 is one that is free. NOT_RUN below names what is not run, and why; a line there that no page
has any more is an error.
"""
import argparse
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 120  # for one command

BUILDS = "builds the program, or installs what that needs: what this test runs was built before it"
RELEASE = "needs the files of a release; script/test-package installs and runs them on bare systems"
CHECKPOINT = "needs a checkpoint that somebody has downloaded"
CONTAINER = "needs an image, or a machine to change; script/test-container, test-replicas and test-slurm run what is behind it"
RANKS = "needs a checkpoint, MPI and hosts; script/test-ranks starts such groups with the models that are built in"
HUB = "needs a hub of the network, or what came from it; tests/hub runs these commands against one on loopback"
FILE = "needs a damaged or foreign file; tests/formats and tests/cli make such files and expect these messages"
PACKAGES = "needs other people's packages; script/test-examples installs them and runs it"
ONE_LAYER = "CONFIG stands for a folder of one's own, and the checkpoint has 2.9 GB"
AMX = "needs a processor with AMX"
NOT_RUN = {
    'script/run "What can you do?"': BUILDS,
    "script/test": BUILDS,
    "script/run --serve": BUILDS,
    "sudo apt install ./qwen3_VERSION_amd64.deb": RELEASE,
    "tar -xzf qwen3-VERSION-linux-x86_64.tar.gz": RELEASE,
    "tar -xzf qwen3-VERSION-linux-x86_64.tar.gz -C ~/.local": RELEASE,
    "ln -s ~/.local/qwen3-VERSION-linux-x86_64/bin/qwen3 ~/.local/bin/qwen3": RELEASE,
    "cmake --install build/release --prefix ~/.local --component program": "the test `install` runs it",
    "script/sysroot-aarch64": BUILDS,
    "cmake --preset aarch64": BUILDS,
    "ninja -C build/aarch64 qwen3": BUILDS,
    "script/run --eval": BUILDS,
    "script/bootstrap --checks": BUILDS,
    "script/check": BUILDS,
    "script/check tidy main": BUILDS,
    "script/check sanitizers": BUILDS,
    "script/check threads": BUILDS,
    "script/test-clients": "installs other people's clients; the test `clients` runs it with those that are there",
    "script/test-page": "installs a browser; the test `page` runs it with the one that is there",
    "script/test-page --pictures": "writes a picture of the documentation",
    "qwen3 pull Qwen/Qwen3-0.6B": HUB,
    "qwen3 pull Qwen/Qwen3-8B-GGUF:Q4_K_M": HUB,
    "qwen3 pull Qwen/Qwen3-0.6B --from modelscope": HUB,
    "qwen3 list": HUB,
    "qwen3 show Qwen/Qwen3-0.6B": HUB,
    "qwen3 rm Qwen/Qwen3-0.6B": HUB,
    "qwen3 rm Qwen/Qwen3-8B-GGUF:Q4_K_M": HUB,
    "qwen3 chat -m Qwen/Qwen3-0.6B": CHECKPOINT,
    "qwen3 quantize -m ~/models/Qwen3-8B -o 8b.gguf": CHECKPOINT,
    'qwen3 chat -m Qwen/Qwen3-0.6B --thinking off "Why is the sky blue?"': CHECKPOINT,
    'qwen3 generate -m ~/models/Qwen3-0.6B-Base --prompt "My favourite condiment is" --max-tokens 20': CHECKPOINT,
    "qwen3 chat -m ~/models/Qwen3-8B-Q4_K_M.gguf": CHECKPOINT,
    "qwen3 inspect -m ~/models/Qwen3-30B-A3B": CHECKPOINT,
    "script/transformers-taps ~/models/Qwen3-0.6B taps 785,7640,374": CHECKPOINT,
    "qwen3 verify -m ~/models/Qwen3-0.6B --against taps": CHECKPOINT,
    "qwen3 inspect -m ~/models/Qwen3-30B-A3B-Q6_K.gguf --tensors": CHECKPOINT,
    "qwen3 quantize -m ~/models/Qwen3-8B -o 8b.gguf": CHECKPOINT,
    "qwen3 chat -m ~/models/Qwen3-8B --backend cuda": CHECKPOINT,
    "script/bootstrap --cuda": BUILDS,
    "script/build": BUILDS,
    "script/build release qwen3": BUILDS,
    "script/bootstrap": BUILDS,
    "script/build release qwen3 qwen3_python": BUILDS,
    "cmake -S . -B build/library -G Ninja -DQWEN3_BUILD_PROGRAM=OFF -DQWEN3_TESTS=OFF -DQWEN3_CUDA=OFF": BUILDS,
    "cmake --build build/library": BUILDS,
    "cmake --install build/library --prefix ~/.local --component library": BUILDS,
    "cmake --install build/library --prefix ~/.local --component development": BUILDS,
    "python/build-wheel out/wheel": "makes a file of tens of megabytes; the test `python_wheel` makes it and installs it",
    "qwen3 eval divergence -m nano --other FILE.gguf --file judge.txt --dtype float32 --context 512 --stride 512":
        "FILE.gguf and judge.txt stand for somebody's files",
    "qwen3 chat -m half.gguf": FILE,
    "qwen3 chat -m Llama-3.2-1B-Q4_K_M.gguf": FILE,
    "qwen3 chat -m Qwen3-8B.gguf": FILE,
    "build/release/bin/kernels_tests --gtest_filter='CpuBlocks*:CpuLinear*:Leaves*'": AMX,
    "bench/isa_pairs.py build/release/bin/ops_bench --isa amx avx512_bf16 --weights Q8_0 Q4_K Q6_K --filter 'm=512 down' --repeat 7 "
    "--pairs 3": AMX,
    "bench/isa_pairs.py build/release/bin/ops_bench --isa amx avx512_bf16 --weights Q4_K --filter 'gate' --repeat 7 --pairs 2": AMX,
    "bench/vs_llama_cpp.py --llama-bench PATH/llama-bench --gguf OUT.gguf --config bench/configs/qwen3-0.6b --pairs 3":
        "takes minutes, and needs another program",
    "bench/vs_llama_cpp.py --llama-bench PATH/llama-bench --gguf OUT.gguf --threads 16 --pairs 3 --decode 32":
        "takes minutes, and needs another program",
    "qwen3 eval generate --config eval/configs/nano_arc-nano.yaml": "needs a server on port 8000, whose answers take minutes",
    "qwen3 eval run --config eval/configs/nano_arc-nano-moe.yaml": "needs a server on port 8000, whose answers take minutes",
    "qwen3 eval prepare arc --tasks ARC-AGI/data/evaluation --out arc.jsonl": "needs the ARC-AGI tasks from the network",
    "qwen3 eval score --input out/new.jsonl --against out/old.jsonl --html out/new-old.html": "needs two runs of somebody's own",
    "bench/make_random_checkpoint.py CONFIG models/nano one-layer": ONE_LAYER,
    "qwen3 trace -m one-layer --ids 785,6722,315,9625,374 --taps '*' --backend reference": ONE_LAYER,
    'qwen3 serve -m ~/models/Qwen3-32B --ranks 2': RANKS,
    'qwen3 serve -m ~/models/Qwen3-32B --ranks 2 --backend cuda': RANKS,
    'qwen3 generate -m ~/models/Qwen3-32B --ranks 2 --prompt "Once upon a time"': RANKS,
    'mpirun -n 4 qwen3 serve -m ~/models/Qwen3-235B-A22B': RANKS,
    'srun --mpi=pmix --kill-on-bad-exit=1 qwen3 serve -m ~/models/Qwen3-235B-A22B': RANKS,
    'mpirun -n 4 --hostfile hosts --bind-to none --mca odls_base_sigkill_timeout 0 --mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2 --mca btl self,vader,tcp --mca btl_tcp_if_include 10.0.0.0/24 --mca oob_tcp_if_include 10.0.0.0/24 qwen3 serve -m ~/models/Qwen3-235B-A22B': RANKS,
    'docker build -t qwen3 .': CONTAINER,
    'docker build -t qwen3:cuda --build-arg CUDA=ON .': CONTAINER,
    'docker run --rm -it qwen3 chat "What is 3 + 4?"': CONTAINER,
    'docker run --rm -it -v ~/models/Qwen3-8B:/model:ro qwen3 chat -m /model': CONTAINER,
    'docker run --rm -it --gpus all -v ~/models/Qwen3-8B:/model:ro qwen3:cuda chat -m /model --backend cuda': CONTAINER,
    'docker run --rm -it -v ~/.cache/huggingface:/cache --user "$(id -u):$(id -g)" qwen3 chat -m Qwen/Qwen3-0.6B': CONTAINER,
    'docker/start chat -c ~/models/Qwen3-8B': CONTAINER,
    'docker/start serve -c ~/models/Qwen3-8B --port 8000': CONTAINER,
    'docker run -d --name qwen3-serve --read-only --tmpfs /tmp --cap-drop ALL --user "$(id -u):$(id -g)" -p 127.0.0.1:8000:8000 -v ~/models/Qwen3-8B:/model:ro -v ~/keys:/run/keys:ro qwen3 serve -m /model --host 0.0.0.0 --api-key-file /run/keys': CONTAINER,
    'install -m 755 build/release/bin/qwen3 /usr/bin/qwen3': CONTAINER,
    'install -D -m 644 packaging/systemd/qwen3.env /etc/qwen3/qwen3.env': CONTAINER,
    'install -m 644 packaging/systemd/qwen3.service /etc/systemd/system/': CONTAINER,
    'systemctl daemon-reload && systemctl enable --now qwen3': CONTAINER,
    'kubectl create secret generic qwen3-keys --from-literal=keys="$(openssl rand -hex 32)"': CONTAINER,
    'kubectl apply -f examples/kubernetes/server.yaml': CONTAINER,
    'haproxy -c -f examples/replicas/haproxy.cfg': CONTAINER,
    'sbatch examples/slurm/serve.sbatch': CONTAINER,
    'sbatch examples/slurm/eval_array.sbatch': CONTAINER,
    "qwen3 serve -m Qwen/Qwen3-0.6B &": CHECKPOINT,
    "qwen3 serve -m Qwen/Qwen3-Embedding-0.6B --port 8001 &": CHECKPOINT,
    "qwen3 serve -m Qwen/Qwen3-Reranker-0.6B --port 8002 &": CHECKPOINT,
    "qwen3 serve -m Qwen/Qwen3-8B &": CHECKPOINT,
    "pip install -r examples/retrieval-langchain/requirements.txt": PACKAGES,
    'python3 examples/retrieval-langchain/retrieve.py --question "When is the boiler serviced?" examples/notes/*.md': PACKAGES,
    "pip install -r examples/function-calling/requirements.txt": PACKAGES,
    'python3 examples/function-calling/agent.py "What is the weather in Paris?"': PACKAGES,
    "pip install -r examples/tracing-notebook/requirements.txt qwen3-VERSION-py3-none-manylinux_2_34_x86_64.whl": PACKAGES,
    "jupyter nbconvert --to notebook --execute examples/tracing-notebook/trace.ipynb --output traced.ipynb": PACKAGES,
    "qwen3 serve -m MODEL": "MODEL stands for a model",
    "qwen3 serve -m nano-moe": "runs until it is stopped",
}
LOOKS_LIKE_A_COMMAND = re.compile(r"^\s*(\$ |(qwen3(?! serve: )|script/\w|bench/\w|cmake|git clone|curl|pip|npm|apt-get|docker|kubectl) )")
UNITS = r"(?:tok/s|ms/token|ms/step|GB/s|GFLOP/s|GiB|MiB|KiB|GB|MB|kB|bytes|ms|s|threads?(?:\(s\))?|% of the limit)"
NUMBER = r"-?[0-9][0-9.,]*(?:e[-+]?[0-9]+)?"
COMPUTED = r"(?<![\w.])-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?(?![\w.…])"
JSON_VALUE = r"(?:\"[^\"]*\"|[-0-9.e+]+)"
IN_BRACKETS = r"\((?:[^()]|\([^()]*\))*\)"  # Intel(R) Xeon(R), too
REQUEST = r"(?:chatcmpl|cmpl)-req-[0-9a-f]+-[0-9]+"
VARYING = re.compile(
    rf"…|(?P<number>{NUMBER}) ?{UNITS}(?![A-Za-z])|(?P<machine>cpu {IN_BRACKETS})|(?P<computed>{COMPUTED})"
    rf"|\"(?P<key>id|created|\w*_seconds|\w*_per_second)\":\s*{JSON_VALUE}|(?P<id>{REQUEST})")


def squeezed(text):
    """Without white space, and without the word of bench that depends on the machine's caches."""
    return re.sub(r"\s+|\(in cache\)", "", text)


def pattern_of(shown):
    """The regular expression that output must match, without white space."""
    out, at = "", 0
    for match in VARYING.finditer(shown):
        out += re.escape(squeezed(shown[at : match.start()]))
        at = match.end()
        if match[0] == "…":
            out += ".*?"
        elif match["number"]:
            out += NUMBER + UNITS.replace(" ", "")
        elif match["computed"]:
            out += r"(-?[0-9]+\.?[0-9]*(?:e[-+]?[0-9]+)?)"
        elif match["key"]:
            out += rf"\"{match['key']}\":{JSON_VALUE}"
        elif match["id"]:
            out += REQUEST
        else:
            out += "cpu" + IN_BRACKETS
    return out + re.escape(squeezed(shown[at:]))


def near(shown, groups):
    """Whether the numbers that came are those that are shown, roundings apart."""
    computed = [float(match["computed"]) for match in VARYING.finditer(shown) if match["computed"]]
    return all(abs(a - float(b)) <= max(0.03, abs(a) / 20) for a, b in zip(computed, groups, strict=True))


def agrees(shown, came):
    match = re.fullmatch(pattern_of(shown), squeezed(came), re.S)
    return match is not None and near(shown, match.groups())


def first_difference(shown, came):
    """The first line that is shown and does not come, for the message."""
    came = squeezed(came)
    so_far = ""
    for line in shown.splitlines():
        so_far += line + "\n"
        match = re.match(pattern_of(so_far), came, re.S)
        if not match or not near(so_far, match.groups()):
            return line
    return "(more came than is shown)"


class Step:
    def __init__(self, page, line, command, shown):
        self.page, self.line, self.command, self.shown = page, line, command, shown

    def __str__(self):
        return f"{self.page}:{self.line}: {self.command}"


def without_comment(line):
    """`line` without a shell comment at its end."""
    quote = None
    for at, c in enumerate(line):
        if quote:
            quote = None if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at].rstrip()
    return line.rstrip()


def is_open(command):
    """Whether a command goes on in the next line: a backslash at its end, or a quote that is open."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command)
        return False
    except ValueError:
        return True


def steps_of(page, text):
    """The commands of a page, and complaints about fences that hide some."""
    steps, complaints = [], []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        fence = re.match(r"^\s*```(\w*)\s*$", lines[at])
        if not fence:
            at += 1
            continue
        kind, first = fence[1], at + 1
        end = first
        while end < len(lines) and not re.match(r"^\s*```\s*$", lines[end]):
            end += 1
        at = end + 1
        block = lines[first:end]
        if kind == "sh":
            i = 0
            while i < len(block):
                start, command = i, without_comment(block[i].strip())
                while command and is_open(command) and i + 1 < len(block):
                    i += 1
                    command += "\n" + block[i]
                i += 1
                if command:
                    steps.append(Step(page, first + start + 1, command, None))
        elif kind == "console":
            i = 0
            if block and not block[0].startswith("$ "):
                complaints.append(f"{page}:{first}: a console fence begins with \"$ COMMAND\"")
            while i < len(block):
                if not block[i].startswith("$ "):
                    i += 1
                    continue
                start, command = i, block[i][2:]
                while is_open(command) and i + 1 < len(block):
                    i += 1
                    command += "\n" + block[i]
                i += 1
                shown = []
                while i < len(block) and not block[i].startswith("$ "):
                    shown.append(block[i])
                    i += 1
                steps.append(Step(page, first + start + 1, command, "\n".join(shown)))
        else:
            for i, line in enumerate(block):
                if LOOKS_LIKE_A_COMMAND.match(line):
                    complaints.append(f"{page}:{first + i + 1}: a command in a fence that is neither sh nor console: {line}")
    return steps, complaints


class Runner:
    def __init__(self, program, folder):
        self.folder, self.servers = folder, []
        for entry in ROOT.iterdir():
            if entry.name not in ("build", "out", ".git") and not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        (folder / "out").mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        home = folder / "home"
        home.mkdir()
        self.env = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "LC_ALL": "C.UTF-8",
                    "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def local(self, text):
        text = text.replace("127.0.0.1:8000", "127.0.0.1:" + self.port).replace("[::1]:8000", "[::1]:" + self.port)
        return text.replace("qwen3 serve ", f"qwen3 serve --port {self.port} ")

    def public(self, text):
        return text.replace(":" + self.port, ":8000")

    def start(self, command):
        self.stop()  # the page has begun another one
        self.servers.append(subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.folder, env=self.env,
                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(SECONDS * 10):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).read()
                return None
            except OSError:
                if self.servers[-1].poll() is not None:
                    return f"the server ended with {self.servers[-1].returncode}"
                time.sleep(0.1)
        return "the server did not come up"

    def stop(self):
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
        self.servers = []

    def run(self, step):
        """What is wrong with the step, or None."""
        command = self.local(step.command)
        if command.endswith("&"):
            return self.start(command[:-1].strip())
        if "qwen3 serve " in command:
            self.stop()  # they would want the same port
        try:
            done = subprocess.run(["bash", "-c", command], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"no end within {SECONDS} s"
        came = self.public(done.stdout.decode(errors="replace"))
        if done.returncode != 0 and step.shown is None:
            return f"exit code {done.returncode}; it printed:\n{came}"
        if step.shown is not None and not agrees(step.shown, came):
            return f"not what is shown, from this line on: {first_difference(step.shown, came)}\nit printed:\n{came}"
        return None


def check_itself():
    """The comparison and the reading of fences, with what must not pass."""
    same = [("a 12.5 ms, 3 MB", "a 7 ms, 4.1 MB"), ("x …\nz", "x\ny\nz\n"), ('{"id":"a1","n":2}', '{"id":"b","n":2}'),
            ("backend cpu (avx2, AMD EPYC, 2 threads)", "backend cpu (neon, 64 threads)"),
            ("cpu (avx2, 2 threads), b", "cpu (amx, Intel(R) Xeon(R) Processor, 2 threads), b"), ("a b\nc", "a\nb c"), ("0.993, -12.5", "0.995, -12.6")]
    different = [("7 apples", "8 apples"), ("a 12.5 ms", "a b ms"), ("x …\nz", "x\ny"), ('{"id":"a1","n":2}', '{"id":"b","n":3}'),
                 ("a", "a b"), ("0.993", "0.94"), ("12.5 x", "13.5 x"), ("1.25 x", "y x"), ("", "something")]
    for shown, came in same:
        assert agrees(shown, came), (shown, came)
    for shown, came in different:
        assert not agrees(shown, came), (shown, came)
    page = "```sh\na b  # c\nd \\\n  e\n```\n```console\n$ f 'g\nh'\ni\n$ j\n```\n```\nqwen3 chat\n```\n"
    steps, complaints = steps_of("p", page)
    assert [(s.command, s.shown) for s in steps] == [("a b", None), ("d \\\n  e", None), ("f 'g\nh'", "i"), ("j", "")], steps
    assert len(complaints) == 1 and "qwen3 chat" in complaints[0], complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/qwen3")
    parser.add_argument("--only", action="append", help="a page, as docs/cli.md")
    parser.add_argument("--list", action="store_true", help="print the commands, run none")
    options = parser.parse_args()
    check_itself()
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    wrong, ran, seen = [], 0, set()
    for page in pages:
        name = str(page.relative_to(ROOT))
        steps, complaints = steps_of(name, page.read_text())
        seen.update(step.command for step in steps)
        if options.only and name not in options.only:
            continue
        wrong += complaints
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(options.program.resolve(), pathlib.Path(folder))
            try:
                for step in steps:
                    if options.list or step.command in NOT_RUN:
                        print(f"{'not run' if step.command in NOT_RUN else 'command'}  {step}", flush=True)
                        continue
                    began = time.monotonic()
                    problem = runner.run(step)
                    ran += 1
                    print(f"{'FAIL' if problem else 'ok':4} {time.monotonic() - began:6.1f} s  {step}", flush=True)
                    if problem:
                        wrong.append(f"{step}: {problem}")
            finally:
                runner.stop()
    for command in sorted(set(NOT_RUN) - seen):
        wrong.append(f"NOT_RUN has a command that no page has: {command}")
    for one in wrong:
        print("\n" + one)
    print(f"\n{ran} commands run, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

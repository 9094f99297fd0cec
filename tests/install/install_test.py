#!/usr/bin/env python3
"""cmake --install into an empty folder: the program runs there, the manual page parses, and bash, zsh and fish, where
they are installed, complete qwen3's command line from the installed files, asked as a person does: with Tab.

    install_test.py --build build/release
"""
import argparse
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = None
SECONDS = 60  # for one answer of a shell, on a machine under load

# What is typed before Tab, and the words of the line afterwards. The folder has "schema file.json" and a folder "tensors".
COMPLETED = {
    "qwen3 cha": ["qwen3", "chat"],
    "qwen3 eval sco": ["qwen3", "eval", "score"],
    "qwen3 eval prepare a": ["qwen3", "eval", "prepare", "arc"],
    "qwen3 chat --hide-th": ["qwen3", "chat", "--hide-thinking"],
    "qwen3 chat hello --hide-th": ["qwen3", "chat", "hello", "--hide-thinking"],
    "qwen3 rm --ye": ["qwen3", "rm", "--yes"],
    "qwen3 chat --thinking of": ["qwen3", "chat", "--thinking", "off"],
    "qwen3 chat --thinking=of": ["qwen3", "chat", "--thinking=off"],
    "qwen3 chat -m nano-m": ["qwen3", "chat", "-m", "nano-moe"],
    "qwen3 chat --model Test/Mo": ["qwen3", "chat", "--model", "Test/Model-1B"],
    "qwen3 rm Test/Mo": ["qwen3", "rm", "Test/Model-1B"],
    "qwen3 chat --json-schema sche": ["qwen3", "chat", "--json-schema", "schema file.json"],
    "qwen3 chat -m schem": ["qwen3", "chat", "-m", "schema file.json"],
    "qwen3 trace --out t": ["qwen3", "trace", "--out", "tensors/"],
    "qwen3 quantize --type Q8": ["qwen3", "quantize", "--type", "Q8_0"],
    "qwen3 chat --temperature te": ["qwen3", "chat", "--temperature", "te"],  # a number, no file
}


def setUpModule():
    global PREFIX, FOLDER, ENVIRONMENT, SCRATCH
    SCRATCH = tempfile.TemporaryDirectory()
    root = pathlib.Path(SCRATCH.name)
    PREFIX, FOLDER, cache = root / "a prefix", root / "folder", root / "hub"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", PREFIX, "--component", "program"], check=True,
                   stdout=subprocess.DEVNULL)
    snapshot = cache / "models--Test--Model-1B/snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (cache / "models--Test--Model-1B/refs").mkdir()
    (cache / "models--Test--Model-1B/refs/main").write_text("0" * 40)
    (snapshot / "config.json").write_text("{}")
    (FOLDER / "tensors").mkdir(parents=True)
    (FOLDER / "schema file.json").write_text("{}")
    (FOLDER / "text.txt").write_text("")
    ENVIRONMENT = {"PATH": f"{PREFIX}/bin:{os.environ['PATH']}", "HOME": str(root), "TERM": "dumb", "LC_ALL": "C.UTF-8",
                   "HF_HUB_CACHE": str(cache), "XDG_CONFIG_HOME": str(root), "XDG_DATA_HOME": str(root)}


def tearDownModule():
    SCRATCH.cleanup()


def out_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT, cwd=FOLDER).stdout


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, command, setup):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(FOLDER)
            os.execvpe(command[0], command, ENVIRONMENT)
        self.send(setup + "\necho rea''dy\n")
        self.until("ready")

    def send(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        seen, end = "", time.monotonic() + SECONDS
        while not (match := re.search(pattern, seen, re.S)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"expected {pattern!r}; got {seen!r}")
            seen += os.read(self.fd, 65536).decode(errors="replace")
        return match

    def completed(self, line):
        """The words of the line after Tab: printed by a command that is put before them."""
        self.send(line + "\t")
        time.sleep(0.3)
        self.send("\x01printf '[%s]' begin \x05 end\n")
        return re.findall(r"\[([^]]*)\]", self.until(r"\[begin\](.*)\[end\]")[1])

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Install(unittest.TestCase):
    maxDiff = None

    def test_program(self):
        self.assertRegex(out_of(PREFIX / "bin/qwen3", "--version"), r"^qwen3 \d")
        for name in ("LICENSE", "copyright", "CHANGELOG.md"):
            self.assertTrue((PREFIX / "share/doc/qwen3" / name).stat().st_size > 0)

    def test_manual_page(self):
        page = PREFIX / "share/man/man1/qwen3.1"
        self.assertEqual(page.read_text(), out_of("qwen3", "manual"))
        for command in re.findall(r"^  ([a-z]+) ", out_of("qwen3", "--help"), re.M):
            self.assertIn(f".SS qwen3 {command}", page.read_text())
        options = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", out_of("qwen3", "chat", "--help"), re.M))
        self.assertGreater(len(options), 20)
        text = page.read_text().replace("\\-", "-")
        self.assertEqual([], [option for option in sorted(options) if f"\\fB{option}\\fR" not in text])
        if shutil.which("man"):
            said = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                                  env={**ENVIRONMENT, "MANPAGER": "cat", "MANWIDTH": "100"})
            self.assertEqual((said.returncode, said.stderr), (0, ""))
            self.assertIn("qwen3 eval score [OPTIONS]", said.stdout)

    def check(self, shell, lines):
        try:
            self.assertEqual({line: shell.completed(line) for line in lines}, lines)
        finally:
            shell.close()

    def test_bash(self):
        script = PREFIX / "share/bash-completion/completions/qwen3"
        subprocess.run(["bash", "-n", script], check=True)
        setup = f"PS1= PS2=; bind 'set enable-bracketed-paste off'; source '{script}'"
        self.check(Shell(["bash", "--norc", "--noprofile", "-i"], setup), COMPLETED)

    @unittest.skipUnless(shutil.which("zsh"), "no zsh")
    def test_zsh(self):
        setup = (f"PS1= PS2=; unset zle_bracketed_paste; setopt no_list_beep no_auto_remove_slash; fpath=('{PREFIX}/share/zsh/site-functions' $fpath);"
                 " autoload -U compinit; compinit -u -D; bindkey -e")
        self.check(Shell(["zsh", "-f", "-i"], setup), COMPLETED)

    @unittest.skipUnless(shutil.which("fish"), "no fish")
    def test_fish(self):
        script = PREFIX / "share/fish/vendor_completions.d/qwen3.fish"
        for line, words in COMPLETED.items():
            last = line.split()[-1]
            out = out_of("fish", "--no-config", "-c", f"source '{script}'; complete -C '{line}'")
            offered = [offer.split("\t")[0] for offer in out.splitlines()]
            expected = [] if words[-1] == last else [words[-1]]
            self.assertEqual(offered, expected, line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    arguments, rest = parser.parse_known_args()
    BUILD = arguments.build.resolve()
    unittest.main(argv=[sys.argv[0], *rest])

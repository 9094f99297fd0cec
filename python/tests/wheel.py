#!/usr/bin/env python3
"""Builds the wheel twice, installs it into a fresh environment, and uses it there: the program, and the package.

    wheel.py --build build/release

cffi and NumPy are the system's, so that nothing is downloaded.
"""
import argparse
import base64
import csv
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
USE = """
import sys, time
begin = time.perf_counter()
import qwen3
seconds = time.perf_counter() - begin
assert qwen3.__file__.startswith(sys.prefix) and qwen3.library_path().startswith(sys.prefix), qwen3.__file__
[output] = qwen3.LLM("nano").chat([{"role": "user", "content": "Sort 7, 3 and 9."}],
                                 qwen3.SamplingParams(temperature=0, max_tokens=200))
assert output.outputs[0].text.endswith("3, 7, 9"), output
print(f"import qwen3: {1000 * seconds:.0f} ms with NumPy")
"""


def run(*command, **more):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("QWEN3_", "PYTHON"))}
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_record(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [record] = [name for name in names if name.endswith(".dist-info/RECORD")]
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(archive.read(record).decode()))}
        assert set(rows) == set(names), set(rows) ^ set(names)
        for name in names:
            data = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert rows[name] == (["", ""] if name == record else [f"sha256={digest}", str(len(data))]), name
        [wheel_file] = [name for name in names if name.endswith(".dist-info/WHEEL")]
        tag = wheel.stem.split("-", 2)[2]
        assert f"Tag: {tag}\n" in archive.read(wheel_file).decode(), tag


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        wheels = [pathlib.Path(run(sys.executable, ROOT / "python/build-wheel", scratch / name, "--build", given.build).strip())
                  for name in ("first", "second")]
        assert wheels[0].read_bytes() == wheels[1].read_bytes(), "two builds of the same are not the same"
        check_record(wheels[0])
        run(sys.executable, "-m", "venv", "--system-site-packages", scratch / "venv")
        run(scratch / "venv/bin/pip", "install", "--no-index", "--disable-pip-version-check", wheels[0])
        said = run(scratch / "venv/bin/qwen3", "version")
        assert said.startswith("qwen3 "), said
        answer = run(scratch / "venv/bin/qwen3", "chat", "--quiet", "Sort 7, 3 and 9.")
        assert answer.endswith("3, 7, 9\n"), answer
        loads = run("ldd", next((scratch / "venv").rglob("qwen3/bin/qwen3")))
        strangers = [line for line in loads.splitlines() if "/usr/lib" in line and "libstdc++" not in line
                     and "libgcc_s" not in line]
        print(f"{wheels[0].name}: {wheels[0].stat().st_size / 1e6:.1f} MB")
        print(run(scratch / "venv/bin/python", "-c", USE, cwd=scratch).strip())
        print(f"from the system: {strangers or 'glibc, libstdc++ and libgcc alone'}")


if __name__ == "__main__":
    main()

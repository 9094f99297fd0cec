#!/usr/bin/env python3
"""Installs libqwen3 into an empty folder, moves that, and builds examples/library against it as a stranger would: by
find_package, shared and static, and by pkg-config. All answers must be the program's.

    installed_test.py --build build/release

Also: the library is configured where none of the program's libraries is.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESSAGES = '[{"role":"user","content":"Sort 7, 3 and 9."}]'
EXPECTED = "3, 7, 9"
OTHERS = ["CLI11", "Boost", "OpenSSL", "CURL", "ZLIB", "yaml-cpp", "prometheus-cpp"]


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def answers(program, prefix):
    libraries = [str(path.parent) for path in prefix.rglob("libqwen3.so.*")]
    return run(program, ROOT / "models/nano", MESSAGES, env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)})


def check_answers(program, prefix):
    got = answers(program, prefix)
    if not got.rstrip().endswith(EXPECTED):
        sys.exit(f"{program}: expected an answer that ends with {EXPECTED!r}; got {got!r}")
    print(f"{program.name}: ok")


def built_with_cmake(build, source, prefix):
    run("cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    return build


def test_find_package(scratch, prefix):
    build = built_with_cmake(scratch / "shared", ROOT / "examples/library", prefix)
    for name in ("chat", "chat_c"):
        check_answers(build / name, prefix)


def test_static(scratch, prefix):
    source = scratch / "static-source"
    shutil.copytree(ROOT / "examples/library", source)
    lists = source / "CMakeLists.txt"
    text = lists.read_text().replace("0.1 REQUIRED", "0.1 REQUIRED COMPONENTS static").replace("qwen3::qwen3", "qwen3::qwen3_static")
    lists.write_text(text)
    build = built_with_cmake(scratch / "static", source, prefix)
    if "libqwen3" in run("ldd", build / "chat_c"):
        sys.exit("static: the example needs libqwen3.so")
    check_answers(build / "chat_c", prefix)


def test_pkg_config(scratch, prefix):
    [folder] = {path.parent for path in prefix.rglob("qwen3.pc")}
    flags = run("pkg-config", "--cflags", "--libs", "qwen3", env={**os.environ, "PKG_CONFIG_PATH": str(folder)}).split()
    program = scratch / "chat_pkg_config"
    run("cc", "-std=c99", "-pedantic", "-Wall", "-Werror", ROOT / "examples/library/chat.c", "-o", program, *flags)
    check_answers(program, prefix)


def test_wrong_version(scratch, prefix):
    source = scratch / "version-source"
    shutil.copytree(ROOT / "examples/library", source)
    lists = source / "CMakeLists.txt"
    lists.write_text(lists.read_text().replace("find_package(qwen3 0.1", "find_package(qwen3 0.9"))
    done = subprocess.run(["cmake", "-S", source, "-B", scratch / "version", f"-DCMAKE_PREFIX_PATH={prefix}"],
                          capture_output=True, text=True)
    if done.returncode == 0 or "0.1.0" not in done.stderr:
        sys.exit(f"version 0.9: expected a refusal that names 0.1.0; got {done.stderr}")


def test_library_alone(scratch):
    run("cmake", "-S", ROOT, "-B", scratch / "alone", "-G", "Ninja", "-DQWEN3_BUILD_PROGRAM=OFF", "-DQWEN3_CUDA=OFF",
        *[f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=TRUE" for name in OTHERS])
    targets = run("ninja", "-C", scratch / "alone", "-t", "targets", "all")
    for name in ("src/server/", "src/eval/", "src/cli/", "bin/qwen3:"):
        if name in targets:
            sys.exit(f"QWEN3_BUILD_PROGRAM=OFF: expected no {name}")
    if "libqwen3.so" not in targets:
        sys.exit("QWEN3_BUILD_PROGRAM=OFF: expected libqwen3.so")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        for component in ("library", "development"):
            run("cmake", "--install", given.build, "--prefix", scratch / "first", "--component", component)
        (scratch / "first").rename(scratch / "prefix")
        test_find_package(scratch, scratch / "prefix")
        test_static(scratch, scratch / "prefix")
        test_pkg_config(scratch, scratch / "prefix")
        test_wrong_version(scratch, scratch / "prefix")
        test_library_alone(scratch)
    print("installed library: ok")


if __name__ == "__main__":
    main()

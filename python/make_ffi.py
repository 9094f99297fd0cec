#!/usr/bin/env python3
"""Writes qwen3/_ffi.py: what include/qwen3/c.h declares, prepared for cffi, so that importing parses no C.

    make_ffi.py HEADER OUTPUT

cffi's ABI mode: one file for all versions of Python, and no compiler.
"""
import pathlib
import re
import sys

import cffi


def declarations(header: str) -> str:
    """The header without comments, directives, and the braces for C++."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.S | re.M)
    return re.sub(r"^\s*#.*\n", "", text, flags=re.M)


def main() -> None:
    header, output = map(pathlib.Path, sys.argv[1:])
    ffi = cffi.FFI()
    ffi.set_source("qwen3._ffi", None)
    ffi.cdef(declarations(header.read_text()))
    ffi.emit_python_code(str(output))


if __name__ == "__main__":
    main()

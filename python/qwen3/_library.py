"""Finds libqwen3 and calls it: statuses become exceptions, handles are closed with their objects.

The library is that of the wheel, beside this file; else the one that QWEN3_LIBRARY names; else the system's. cffi lets
other threads run during every call.
"""
from __future__ import annotations

import os
import pathlib
from typing import Any

from ._errors import Error, error_of
from ._ffi import ffi as ffi

ABI_VERSION = 1
SONAME = "libqwen3.so.0.1"
OK, TIMEOUT, END = 0, 1, 2
BUFFER_TOO_SMALL = -12

_HERE = pathlib.Path(__file__).resolve().parent


def library_path() -> str:
    """Where the library is taken from: a path, or the name by which the system finds it."""
    beside = _HERE / "lib" / SONAME
    if beside.exists():
        return str(beside)
    return os.environ.get("QWEN3_LIBRARY", SONAME)


def _open() -> Any:
    path = library_path()
    try:
        library = ffi.dlopen(path)
    except OSError as error:
        raise ImportError(
            f"{path}: could not be loaded ({error}); install the wheel, or libqwen3 on this system, or give its path "
            "in QWEN3_LIBRARY"
        ) from error
    if library.qwen3_abi_version() != ABI_VERSION:
        raise ImportError(
            f"{path}: expected ABI version {ABI_VERSION}; got {library.qwen3_abi_version()}; install the package and "
            "the library of one release"
        )
    return library


lib: Any = _open()


def version() -> str:
    """The version of the library: ``"0.1.0"``."""
    return text_of(lib.qwen3_version())


def text_of(pointer: Any, n_bytes: int = -1) -> str:
    """A text of the library. What it gives is well-formed UTF-8."""
    raw: bytes = ffi.string(pointer) if n_bytes < 0 else ffi.buffer(pointer, n_bytes)[:]
    return raw.decode("utf-8")


def last_error(status: int) -> Error:
    """The error of a call that just failed on this thread."""
    return error_of(text_of(lib.qwen3_status_name(status)), text_of(lib.qwen3_last_error()))


def check(status: int) -> int:
    """Raises what a status below zero stands for; else returns it."""
    if status < 0:
        raise last_error(status)
    return status


def new(name: str) -> Any:
    """A struct of the C API with its defaults."""
    struct = ffi.new(f"{name}*")
    getattr(lib, f"{name}_init")(struct, ffi.sizeof(name))
    return struct


def keep_text(keep: list[Any], text: str) -> Any:
    """A zero-terminated copy that lives as long as ``keep``."""
    if "\0" in text:
        raise error_of("invalid_argument", f"{text[:40]!r}: expected a text without a zero character")
    pointer = ffi.new("char[]", text.encode("utf-8"))
    keep.append(pointer)
    return pointer


def keep_array(keep: list[Any], ctype: str, values: Any) -> Any:
    """An array that lives as long as ``keep``; NULL for no values."""
    if len(values) == 0:
        return ffi.NULL
    pointer = ffi.new(f"{ctype}[]", values)
    keep.append(pointer)
    return pointer


class Handle:
    """A handle of the library, closed once: by close(), by ``with``, or with the object."""

    _close = ""  # the name of the function that closes it

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def close(self) -> None:
        """Lets it go. Nothing happens the second time."""
        handle = getattr(self, "_handle", None)
        if handle is None or handle == ffi.NULL:
            return
        check(getattr(lib, self._close)(handle))
        self._handle = ffi.NULL

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the child of a fork has nothing to close
            pass

"""The errors of the library, one class for each status that a caller may want to tell apart."""
from __future__ import annotations


class Error(Exception):
    """What the library could not do, in one line: *where: what; expected; got; what to do*."""

    #: The name of the status: ``"invalid_argument"``, ``"busy"``, …
    status: str

    def __init__(self, message: str, status: str = "internal") -> None:
        super().__init__(message)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class InvalidArgumentError(Error, ValueError):
    """A parameter, a text or an id that makes no sense."""


class NotFoundError(Error, KeyError):
    """A file, a model or a tensor that is not there."""


class CorruptFileError(Error):
    """A file whose bytes break its format."""


class UnsupportedError(Error):
    """Valid, but beyond what this build, or this model, can do."""


class OutOfMemoryError(Error, MemoryError):
    """It does not fit; nothing was changed."""


class BusyError(Error):
    """The queue is full now; the same call may succeed later."""


class HandleError(Error):
    """An object that was closed, is in use by another thread, or belongs to the parent of this process."""


_CLASSES: dict[str, type[Error]] = {
    "invalid_argument": InvalidArgumentError,
    "not_found": NotFoundError,
    "corrupt_file": CorruptFileError,
    "unsupported": UnsupportedError,
    "out_of_memory": OutOfMemoryError,
    "busy": BusyError,
    "invalid_handle": HandleError,
    "in_use": HandleError,
}


def error_of(status: str, message: str) -> Error:
    """The error for a status of the C API, by name."""
    return _CLASSES.get(status, Error)(message, status)

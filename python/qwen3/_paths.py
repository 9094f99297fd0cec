"""What the name of a model stands for: a path, a model of the wheel, or one that was downloaded."""
from __future__ import annotations

import os
import pathlib
import re
from typing import Union

from ._errors import NotFoundError

_BUILT_IN = pathlib.Path(__file__).resolve().parent / "models"


def hub_cache() -> pathlib.Path:
    """The folder of downloaded models, the same as transformers' and as that of ``qwen3 pull``."""
    if "HF_HUB_CACHE" in os.environ:
        return pathlib.Path(os.environ["HF_HUB_CACHE"]).expanduser()
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    return pathlib.Path(home).expanduser() / "hub"


def resolve_model(name: Union[str, "os.PathLike[str]"]) -> str:
    """The folder or the file of a model. Nothing is downloaded.

    A name without ``/`` of a model in the wheel is that one, as on the command line; a folder that is called so is
    ``./nano``.
    """
    text = os.fspath(name)
    if re.fullmatch(r"[\w.-]+", text) and (_BUILT_IN / text / "config.json").exists():
        return str(_BUILT_IN / text)
    if os.path.exists(text):
        return text
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        repository = hub_cache() / ("models--" + text.replace("/", "--"))
        try:
            commit = (repository / "refs" / "main").read_text().strip()
        except OSError:
            commit = ""
        if re.fullmatch(r"[0-9a-f]{40}", commit) and (repository / "snapshots" / commit).is_dir():
            return str(repository / "snapshots" / commit)
        raise NotFoundError(
            f"{text}: no such file or folder here, and no such model in the cache {hub_cache()}; to download it: "
            f"qwen3 pull {text}", "not_found")
    raise NotFoundError(
        f"{text}: no such model directory or GGUF file; give a path, or the name of a downloaded model", "not_found")

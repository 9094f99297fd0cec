"""The snippets of docs/library.md and README.md run, and are what is in examples/."""
import pathlib
import re

import pytest
from conftest import NANO

import qwen3

ROOT = pathlib.Path(__file__).resolve().parents[2]


def snippets(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", ["docs/library.md", "README.md"])
def test_python(page, monkeypatch, capsys):
    monkeypatch.setattr("qwen3.model.resolve_model", lambda name: NANO if name == "nano" else name)
    blocks = snippets(page, "python")
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)  # noqa: S102
    assert "3, 7, 9" in capsys.readouterr().out


def test_cpp_is_the_example():
    [block] = snippets("docs/library.md", "cpp")
    assert block.rstrip() == (ROOT / "examples/library/chat.cpp").read_text().rstrip()


def test_everything_exported_is_documented():
    for name in qwen3.__all__:
        assert getattr(qwen3, name).__doc__, name

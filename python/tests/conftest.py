"""The models of the tests: nano of the repository, and the program beside the library."""
import os
import pathlib

import pytest

import qwen3

NANO = str(pathlib.Path(__file__).resolve().parents[2] / "models/nano")
PROGRAM = os.environ["QWEN3_PROGRAM"]


@pytest.fixture(scope="session")
def llm():
    with qwen3.LLM(NANO, max_model_len=512) as model:
        yield model


@pytest.fixture()
def model(llm):
    return llm.model

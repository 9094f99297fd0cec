"""Qwen3 in Python: the library libqwen3, which runs official checkpoints on this machine.

    import qwen3

    llm = qwen3.LLM("nano")
    [output] = llm.chat([{"role": "user", "content": "Sort 7, 3 and 9."}])
    print(output.outputs[0].text)

``LLM`` and ``SamplingParams`` are as users of vLLM know them. Below it ``Model`` (weights, tokenizer, template, logits,
intermediates) and ``Engine`` (many requests at once, streams) show all that the library can do.
"""
from ._errors import (
    BusyError,
    CorruptFileError,
    Error,
    HandleError,
    InvalidArgumentError,
    NotFoundError,
    OutOfMemoryError,
    UnsupportedError,
)
from ._library import library_path, version
from .engine import Engine, EngineStats, Event, Result, Stream, Usage
from .llm import LLM, CompletionOutput, EmbeddingOutput, RequestOutput
from .model import Model, ModelInfo, Prompt, Tensors
from .sampling import Logprob, SamplingParams, StructuredOutputs

__version__ = version()

__all__ = [
    "LLM",
    "BusyError",
    "CompletionOutput",
    "CorruptFileError",
    "EmbeddingOutput",
    "Engine",
    "EngineStats",
    "Error",
    "Event",
    "HandleError",
    "InvalidArgumentError",
    "Logprob",
    "Model",
    "ModelInfo",
    "NotFoundError",
    "OutOfMemoryError",
    "Prompt",
    "RequestOutput",
    "Result",
    "SamplingParams",
    "Stream",
    "StructuredOutputs",
    "Tensors",
    "UnsupportedError",
    "Usage",
    "library_path",
    "version",
]

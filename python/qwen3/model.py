"""A checkpoint in memory: its shape, its tokenizer and template, and single forward passes."""
from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ._errors import NotFoundError
from ._library import BUFFER_TOO_SMALL, Handle, check, ffi, keep_array, keep_text, last_error, lib, new, text_of
from ._paths import resolve_model
from .sampling import SamplingParams, read_sampling

Array = NDArray[Any]
_DTYPES: dict[int, "np.dtype[Any]"] = {0: np.dtype(np.float32), 1: np.dtype(np.uint16), 2: np.dtype(np.float16), 3: np.dtype(np.int32)}


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Facts about a model; the names are those of its ``config.json``. Of one opened ``text_only`` most are 0."""

    name: str
    model_type: str
    dtype: str
    backend: str
    n_parameters: int
    n_active_parameters: int
    weight_bytes: int
    kv_bytes_per_token: int
    vocab_size: int
    n_tokens: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    context_length: int
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    has_weights: bool
    has_chat_template: bool


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A conversation as the model reads it."""

    ids: list[int]
    text: str
    state: int = 0  #: 1: it ends inside a thought; 2: the thought is over


class Tensors(Handle, Mapping[str, Array]):
    """What a forward pass left, by name, in the library's own memory: no array is a copy.

    Read-only. The memory goes when the last array, and this, are gone.
    """

    _close = "qwen3_tensors_close"

    def __init__(self, handle: Any) -> None:
        super().__init__(handle)
        count = ffi.new("size_t*")
        check(lib.qwen3_tensors_count(handle, count))
        self._views: dict[str, Any] = {}
        for i in range(count[0]):
            view = new("qwen3_tensor")
            check(lib.qwen3_tensors_get(handle, i, view))
            self._views[text_of(view.name)] = view

    def __getitem__(self, name: str) -> Array:
        try:
            view = self._views[name]
        except KeyError:
            raise NotFoundError(f"{name}: this pass left no such tensor; name it among the taps", "not_found") from None
        # The array holds the buffer, the buffer the pointer, and the pointer, by its destructor, this object.
        pointer = ffi.gc(view.data, lambda _, owner=self: None)
        array: Array = np.frombuffer(ffi.buffer(pointer, view.n_bytes), dtype=_DTYPES[view.dtype])
        array = array.reshape([view.shape[i] for i in range(view.rank)])
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def address(self, name: str) -> int:
        """Where the library keeps the numbers of a tensor."""
        return int(ffi.cast("uintptr_t", self._views[name].data))

    def close(self) -> None:
        """Nothing: arrays may still be in use. The memory goes with the last of them."""

    def __del__(self) -> None:
        try:
            super().close()
        except Exception:
            pass


def _ids_of(call: Any, room: int) -> list[int]:
    """What a function writes that fills an array of ids and says how many there are."""
    n = ffi.new("size_t*")
    while True:
        out = ffi.new("int32_t[]", max(room, 1))
        status = call(out, room, n)
        if status != BUFFER_TOO_SMALL:
            check(status)
            return list(ffi.unpack(out, n[0]))
        room = n[0]


class Model(Handle):
    """A model: a Hugging Face directory, a GGUF file, the name of one that was downloaded, or of one in the wheel.

    Any number of threads may use it. ``text_only`` reads the tokenizer and the template alone.
    ``hf_overrides`` are laid over ``config.json`` before it is read, mappings in it key by key; None takes a key away.
    """

    _close = "qwen3_model_close"

    def __init__(
        self,
        path: Union[str, "os.PathLike[str]"] = "nano",
        *,
        backend: str = "auto",
        dtype: str = "auto",
        threads: int = 0,
        text_only: bool = False,
        hf_overrides: Optional[Mapping[str, Any]] = None,
    ) -> None:
        keep: list[Any] = []
        options = new("qwen3_model_options")
        options.backend = keep_text(keep, backend)
        options.dtype = keep_text(keep, dtype)
        options.n_threads = threads
        options.text_only = int(text_only)
        if hf_overrides:
            options.hf_overrides = keep_text(keep, json.dumps(dict(hf_overrides), ensure_ascii=False))
        handle = ffi.new("qwen3_model*")
        check(lib.qwen3_model_open(os.fsencode(resolve_model(path)), options, handle))
        super().__init__(handle[0])
        info = new("qwen3_model_info")
        check(lib.qwen3_model_get_info(self._handle, info))
        values: dict[str, Any] = {}
        for field in dataclasses.fields(ModelInfo):
            value = getattr(info, field.name)
            values[field.name] = text_of(value) if isinstance(value, ffi.CData) else value
        for name in ("tie_word_embeddings", "has_weights", "has_chat_template"):
            values[name] = bool(values[name])
        #: Facts about it.
        self.info = ModelInfo(**values)

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Model({self.info.name!r}, {self.info.model_type!r}, backend={self.info.backend!r})"

    def encode(self, text: str, *, control_tokens: bool = True) -> list[int]:
        """The ids of a text. Without ``control_tokens``, what spells one stays text: as it must for text of strangers."""
        raw = text.encode("utf-8")
        return _ids_of(
            lambda out, room, n: lib.qwen3_encode(self._handle, raw, len(raw), int(control_tokens), out, room, n),
            len(raw) + 16)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        given = ffi.new("int32_t[]", list(ids))
        n, room = ffi.new("size_t*"), 8 * len(given) + 64
        while True:
            out = ffi.new("char[]", room)
            status = lib.qwen3_decode(self._handle, given, len(given), out, room, n)
            if status != BUFFER_TOO_SMALL:
                check(status)
                return text_of(out, n[0])
            room = n[0] + 1

    @property
    def end_tokens(self) -> list[int]:
        """The ids that end an answer."""
        return _ids_of(lambda out, room, n: lib.qwen3_end_tokens(self._handle, out, room, n), 16)

    def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Optional[Sequence[Mapping[str, Any]]] = None,
        thinking: Optional[bool] = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        template_kwargs: Optional[Mapping[str, Any]] = None,
    ) -> Prompt:
        """OpenAI messages by the model's own template. Control tokens that a message spells stay text."""
        keep: list[Any] = []
        options = new("qwen3_chat_options")
        if tools:
            options.tools = keep_text(keep, json.dumps(list(tools), ensure_ascii=False))
        if template_kwargs:
            options.template_kwargs = keep_text(keep, json.dumps(dict(template_kwargs), ensure_ascii=False))
        options.thinking = -1 if thinking is None else int(thinking)
        options.add_generation_prompt = int(add_generation_prompt)
        options.continue_final_message = int(continue_final_message)
        raw = json.dumps(list(messages), ensure_ascii=False).encode("utf-8")
        handle = ffi.new("qwen3_chat*")
        check(lib.qwen3_chat_render(self._handle, raw, len(raw), options, handle))
        try:
            view = new("qwen3_chat_view")
            check(lib.qwen3_chat_get(handle[0], view))
            return Prompt(list(ffi.unpack(view.ids, view.n_ids)), text_of(view.prompt, view.n_prompt_bytes), view.state)
        finally:
            lib.qwen3_chat_close(handle[0])

    def default_sampling(self) -> SamplingParams:
        """What the model's ``generation_config.json`` asks for."""
        sampling = new("qwen3_sampling")
        check(lib.qwen3_model_sampling(self._handle, 1, sampling))
        return read_sampling(sampling)

    def forward(
        self, ids: Sequence[int], *, taps: Sequence[str] = (), logits: bool = True, first_row: int = 0
    ) -> Tensors:
        """One forward pass: ``"logits"`` [n, vocab_size], and every intermediate whose name matches one of ``taps``
        (``"layers.*.output"``; docs/model.md has the names). It may run beside an engine."""
        keep: list[Any] = []
        options = new("qwen3_forward_options")
        patterns = [keep_text(keep, pattern) for pattern in taps]
        options.taps, options.n_taps = keep_array(keep, "char*", patterns), len(patterns)
        options.logits, options.first_row = int(logits), first_row
        given = ffi.new("int32_t[]", list(ids))
        handle = ffi.new("qwen3_tensors*")
        status = lib.qwen3_forward(self._handle, given, len(given), options, handle)
        if status < 0:
            raise last_error(status)
        return Tensors(handle[0])

    def logits(self, ids: Sequence[int], *, first_row: int = 0) -> Array:
        """The logits of a sequence, [n - first_row, vocab_size], float32, in the library's own memory."""
        return self.forward(ids, first_row=first_row)["logits"]

    def taps(self, ids: Sequence[int], *patterns: str) -> Tensors:
        """Intermediates by name, of all patterns (none: all there are), in the library's own memory."""
        return self.forward(ids, taps=patterns or ("*",), logits=False)

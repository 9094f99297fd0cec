"""Many requests at once over one model: streams of events, batches, embeddings."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from ._errors import Error, error_of
from ._library import END, TIMEOUT, Handle, check, ffi, keep_array, keep_text, lib, new, text_of
from .model import Model, Prompt
from .sampling import Logprob, SamplingParams

#: How long a call waits before it looks for Ctrl-C.
_TURN_MS = 100
_FINISH = {0: "stop", 1: "length", 2: "abort", 3: "timeout", 4: "error"}

PromptIds = Union[Sequence[int], Prompt]


@dataclasses.dataclass(frozen=True)
class Usage:
    """Tokens and seconds of a request."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_seconds: float
    prefill_seconds: float
    decode_seconds: float


@dataclasses.dataclass(frozen=True)
class EngineStats:
    """What an engine has done, and what it is doing."""

    n_running: int
    n_waiting: int
    n_blocks: int
    n_free_blocks: int
    n_steps: int
    n_preemptions: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    max_model_len: int


@dataclasses.dataclass(frozen=True)
class Event:
    """One step of a request. The last one, and no other, has a ``finish_reason``."""

    token_id: Optional[int]
    text: str  #: what became certain of the answer: whole characters, perhaps none
    reasoning: str  #: the same of the thought, with ``split_reasoning``
    is_end_token: bool = False
    logprob: Optional[float] = None
    top_logprobs: Optional[dict[int, Logprob]] = None
    finish_reason: Optional[str] = None  #: "stop", "length", "abort", "timeout"
    matched_stop: Optional[int] = None  #: which stop string ended it
    usage: Optional[Usage] = None  #: with ``finish_reason``


@dataclasses.dataclass(frozen=True)
class Result:
    """A whole answer."""

    token_ids: list[int]
    text: str
    reasoning: str
    finish_reason: str
    matched_stop: Optional[int]
    usage: Usage
    logprobs: Optional[list[dict[int, Logprob]]] = None
    prompt_logprobs: Optional[list[Optional[dict[int, Logprob]]]] = None


def _usage(given: Any) -> Usage:
    return Usage(**{field.name: getattr(given, field.name) for field in dataclasses.fields(Usage)})


def _top(entries: Any, first: int, n: int) -> dict[int, Logprob]:
    return {entries[first + i].token_id: Logprob(entries[first + i].logprob, i + 1) for i in range(n)}


def _prompt_logprobs(entries: Any, n: int) -> Optional[list[Optional[dict[int, Logprob]]]]:
    if n == 0:
        return None
    out: list[Optional[dict[int, Logprob]]] = []
    for i in range(n):
        entry = entries[i]
        if not entry.has_token:
            out.append(None)
            continue
        found = _top(entry.top, 0, entry.n_top)
        found[entry.token.token_id] = Logprob(entry.token.logprob, entry.rank)
        out.append(found)
    return out


def _logprobs(given: Any) -> Optional[list[dict[int, Logprob]]]:
    if given.logprobs == ffi.NULL:
        return None
    out = []
    for i in range(given.n_ids):
        found = _top(given.top_logprobs, i * given.n_top_logprobs, given.n_top_logprobs)
        own = given.logprobs[i]
        found.setdefault(own.token_id, Logprob(own.logprob))
        out.append(found)
    return out


def _raise_if_failed(given: Any) -> None:
    if given.finish == 4:
        raise error_of(text_of(lib.qwen3_status_name(given.error_status)), text_of(given.error))


def _result(given: Any) -> Result:
    _raise_if_failed(given)
    return Result(
        token_ids=list(ffi.unpack(given.ids, given.n_ids)) if given.n_ids else [],
        text=text_of(given.text, given.n_text_bytes),
        reasoning=text_of(given.reasoning, given.n_reasoning_bytes),
        finish_reason=_FINISH[given.finish],
        matched_stop=given.matched_stop if given.matched_stop >= 0 else None,
        usage=_usage(given.usage),
        logprobs=_logprobs(given),
        prompt_logprobs=_prompt_logprobs(given.prompt_logprobs, given.n_prompt_logprobs),
    )


class _Interrupted:
    """What was raised in a callback while the library waited: Ctrl-C, as a rule."""

    def __init__(self, told: Optional[Callable[[int, int], None]]) -> None:
        self.raised: Optional[BaseException] = None

        def progress(n_done: int, n_requests: int, _: Any) -> int:
            if told is not None:
                told(n_done, n_requests)
            return 0

        def failed(_: Any, exception: BaseException, __: Any) -> None:
            self.raised = exception

        self.callback = ffi.callback("int32_t(size_t, size_t, void*)", progress, error=1, onerror=failed)


class Stream(Handle):
    """One request in progress: an iterator of events. Ctrl-C is heeded while it waits, and ends it."""

    _close = "qwen3_stream_close"

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event; None after the last one. Raises TimeoutError when none came within ``timeout`` seconds."""
        left = None if timeout is None else max(0, round(timeout * 1000))
        view = new("qwen3_event")
        while True:
            turn = _TURN_MS if left is None else min(left, _TURN_MS)
            status = check(lib.qwen3_stream_next(self._handle, turn, view))
            if status == END:
                return None
            if status != TIMEOUT:
                return self._event(view)
            if left is not None:
                left -= turn
                if left <= 0:
                    raise TimeoutError(f"no event came within {timeout} s")

    @staticmethod
    def _event(view: Any) -> Event:
        _raise_if_failed(view)
        finished = view.finish >= 0
        return Event(
            token_id=view.token_id if view.token_id >= 0 else None,
            text=text_of(view.text, view.n_text_bytes),
            reasoning=text_of(view.reasoning, view.n_reasoning_bytes),
            is_end_token=bool(view.is_end_token),
            logprob=view.logprob if view.has_logprob else None,
            top_logprobs=_top(view.top_logprobs, 0, view.n_top_logprobs) if view.n_top_logprobs else None,
            finish_reason=_FINISH[view.finish] if finished else None,
            matched_stop=view.matched_stop if view.matched_stop >= 0 else None,
            usage=_usage(view.usage) if finished else None,
        )

    def cancel(self) -> None:
        """Ends the request within one step; the last event still comes. From any thread."""
        check(lib.qwen3_stream_cancel(self._handle))

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Engine(Handle):
    """Runs many requests of one model at once. Any number of threads may use it."""

    _close = "qwen3_engine_close"

    def __init__(
        self,
        model: Model,
        *,
        max_model_len: int = 0,
        kv_cache_bytes: int = 0,
        kv_dtype: str = "auto",
        max_batch_tokens: int = 0,
        max_sequences: int = 64,
        max_waiting: int = 256,
        prefix_cache: bool = True,
    ) -> None:
        keep: list[Any] = []
        options = new("qwen3_engine_options")
        options.max_model_len, options.kv_cache_bytes = max_model_len, kv_cache_bytes
        options.kv_dtype = keep_text(keep, kv_dtype)
        options.max_batch_tokens, options.max_sequences = max_batch_tokens, max_sequences
        options.max_waiting, options.prefix_cache = max_waiting, int(prefix_cache)
        handle = ffi.new("qwen3_engine*")
        check(lib.qwen3_engine_open(model._handle, options, handle))
        super().__init__(handle[0])
        self.model = model

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stats(self) -> EngineStats:
        """What it has done so far."""
        given = new("qwen3_engine_stats")
        check(lib.qwen3_engine_get_stats(self._handle, given))
        return EngineStats(**{field.name: getattr(given, field.name) for field in dataclasses.fields(EngineStats)})

    def _request(
        self,
        keep: list[Any],
        prompt: PromptIds,
        params: Optional[SamplingParams],
        index: int = 0,
        split_reasoning: bool = False,
        priority: int = 0,
        timeout: Optional[float] = None,
        cache_salt: str = "",
        embed: bool = False,
    ) -> Any:
        request = new("qwen3_request")
        keep.append(request)
        ids = prompt.ids if isinstance(prompt, Prompt) else list(prompt)
        request.prompt_ids, request.n_prompt_ids = keep_array(keep, "int32_t", ids), len(ids)
        request.prompt_state = prompt.state if isinstance(prompt, Prompt) else 0
        # A plain prompt has no thought to come: what it must be, it must be from its first token on.
        if not isinstance(prompt, Prompt) and params is not None and params.structured_outputs is not None:
            request.prompt_state = 2
        request.split_reasoning, request.priority, request.embed = int(split_reasoning), priority, int(embed)
        request.timeout_ms = -1 if timeout is None else max(0, round(timeout * 1000))
        request.cache_salt = keep_text(keep, cache_salt)
        if params is not None:
            params.fill(request, keep, index)
        return request

    def submit(
        self,
        prompt: PromptIds,
        params: Optional[SamplingParams] = None,
        *,
        split_reasoning: bool = False,
        priority: int = 0,
        timeout: Optional[float] = None,
        cache_salt: str = "",
    ) -> Stream:
        """Begins a request. Without ``params`` it is greedy, until the model ends it. Raises BusyError when the queue is
        full. A stream that is dropped cancels its request."""
        keep: list[Any] = []
        request = self._request(keep, prompt, params, 0, split_reasoning, priority, timeout, cache_salt)
        handle = ffi.new("qwen3_stream*")
        check(lib.qwen3_submit(self._handle, request, handle))
        return Stream(handle[0])

    def generate(
        self,
        prompts: Sequence[PromptIds],
        params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
        *,
        split_reasoning: bool = False,
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> list[Result]:
        """All answers, ``n`` for each prompt, in order: however many there are, the queue is kept full. ``progress`` is
        told (n_done, n). Ctrl-C cancels them."""
        each: list[Optional[SamplingParams]] = (
            list(params) if isinstance(params, Sequence) else [params] * len(prompts))
        if len(each) != len(prompts):
            raise ValueError(f"params: expected {len(prompts)}, as there are prompts; got {len(each)}")
        keep: list[Any] = []
        requests = [
            self._request(keep, prompt, one, index, split_reasoning)
            for prompt, one in zip(prompts, each)
            for index in range(one.n if one is not None else 1)
        ]
        return self._run(keep, requests, _result, progress)

    def embed(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """The final hidden state of each prompt's last token, [n, hidden_size], float32."""
        def vector(given: Any) -> Any:
            _raise_if_failed(given)
            return np.frombuffer(ffi.buffer(given.embedding, 4 * given.n_embedding), np.float32).copy()

        keep: list[Any] = []
        requests = [self._request(keep, ids, None, embed=True) for ids in prompts]
        found = self._run(keep, requests, vector, None)
        return np.stack(found) if found else np.zeros((0, self.model.info.hidden_size), np.float32)

    def _run(
        self,
        keep: list[Any],
        requests: list[Any],
        read: Callable[[Any], Any],
        progress: Optional[Callable[[int, int], None]],
    ) -> list[Any]:
        array = keep_array(keep, "qwen3_request*", requests)
        watch = _Interrupted(progress)
        handle = ffi.new("qwen3_results*")
        status = check(
            lib.qwen3_generate(self._handle, array, len(requests), -1, watch.callback, ffi.NULL, handle))
        if watch.raised is not None:
            if handle[0] != ffi.NULL:
                lib.qwen3_results_close(handle[0])
            raise watch.raised
        if status == END:
            raise Error("generate: was cancelled", "end")
        try:
            out = []
            view = new("qwen3_result")
            for i in range(len(requests)):
                check(lib.qwen3_results_get(handle[0], i, view))
                out.append(read(view))
            return out
        finally:
            lib.qwen3_results_close(handle[0])




"""LLM: a model and an engine behind the two calls that users of vLLM know."""
from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union, cast

import numpy as np
from numpy.typing import NDArray

from ._errors import InvalidArgumentError
from .engine import Engine, Result
from .model import Model, Prompt
from .sampling import Logprob, SamplingParams

#: A text, {"prompt": text}, {"prompt_token_ids": ids}, or ids.
PromptLike = Union[str, Mapping[str, Any], Sequence[int]]
Message = Mapping[str, Any]

_NO_THOUGHT = 2  # a text that is continued has no thought to come (Prompt.state)


@dataclasses.dataclass
class CompletionOutput:
    """One answer to a prompt."""

    index: int
    text: str
    token_ids: list[int]  #: end token included
    cumulative_logprob: Optional[float]
    logprobs: Optional[list[dict[int, Logprob]]]
    finish_reason: Optional[str]  #: "stop", "length", "abort", "timeout"
    stop_reason: Union[int, str, None] = None  #: the stop string, or the stop token, that ended it; None: its end token


@dataclasses.dataclass
class RequestOutput:
    """A prompt and its answers."""

    request_id: str
    prompt: Optional[str]
    prompt_token_ids: list[int]
    prompt_logprobs: Optional[list[Optional[dict[int, Logprob]]]]
    outputs: list[CompletionOutput]
    finished: bool = True
    num_cached_tokens: int = 0


@dataclasses.dataclass
class EmbeddingOutput:
    """A prompt and its vector, normalised to length 1."""

    prompt_token_ids: list[int]
    embedding: NDArray[np.float32]


class LLM:
    """A model, ready to answer.

    ``model`` is what ``Model`` takes. Other options are the engine's. Any number of threads may use it; requests of
    several threads run together.
    """

    def __init__(
        self,
        model: Union[str, "os.PathLike[str]", Model] = "nano",
        *,
        backend: str = "auto",
        dtype: str = "auto",
        threads: int = 0,
        max_model_len: Optional[int] = None,
        max_num_seqs: int = 64,
        max_num_batched_tokens: int = 0,
        kv_cache_bytes: int = 0,
        kv_cache_dtype: str = "auto",
        enable_prefix_caching: bool = True,
        hf_overrides: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.model = model if isinstance(model, Model) else Model(
            model, backend=backend, dtype=dtype, threads=threads, hf_overrides=hf_overrides)
        self.engine = Engine(
            self.model,
            max_model_len=max_model_len or 0,
            max_sequences=max_num_seqs,
            max_batch_tokens=max_num_batched_tokens,
            kv_cache_bytes=kv_cache_bytes,
            kv_dtype=kv_cache_dtype,
            prefix_cache=enable_prefix_caching,
        )
        self._ids = itertools.count()

    def close(self) -> None:
        """Ends the engine and lets the model go."""
        self.engine.close()
        self.model.close()

    def __enter__(self) -> "LLM":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_tokenizer(self) -> Model:
        """What has ``encode`` and ``decode``."""
        return self.model

    def get_default_sampling_params(self) -> SamplingParams:
        """What the model's ``generation_config.json`` asks for."""
        return self.model.default_sampling()

    def generate(
        self,
        prompts: Union[PromptLike, Sequence[PromptLike]],
        sampling_params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
        *,
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> list[RequestOutput]:
        """Continues each prompt. Without ``sampling_params`` the model's own defaults hold. Ctrl-C cancels all."""
        return self._run([self._prompt(one) for one in _listed(prompts)], sampling_params, progress)

    def chat(
        self,
        messages: Union[Sequence[Message], Sequence[Sequence[Message]]],
        sampling_params: Union[SamplingParams, Sequence[SamplingParams], None] = None,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Optional[Sequence[Mapping[str, Any]]] = None,
        chat_template_kwargs: Optional[Mapping[str, Any]] = None,
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> list[RequestOutput]:
        """Answers one conversation, or each of several. Thoughts are part of the text, in their tags;
        ``chat_template_kwargs={"enable_thinking": False}`` has none where the template knows that switch."""
        if len(messages) == 0:
            raise InvalidArgumentError("messages: expected at least one", "invalid_argument")
        several = not isinstance(messages[0], Mapping)
        each = cast("Sequence[Sequence[Message]]", messages if several else [messages])
        prompts = [
            self.model.render_chat(
                one,
                tools=tools,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                template_kwargs=chat_template_kwargs,
            )
            for one in each
        ]
        return self._run(prompts, sampling_params, progress)

    def embed(self, prompts: Union[PromptLike, Sequence[PromptLike]]) -> list[EmbeddingOutput]:
        """The vector of each text: of an embedding model, what it is for."""
        ids = [self._prompt(one).ids for one in _listed(prompts)]
        return [
            EmbeddingOutput(one, vector / max(float(np.linalg.norm(vector)), 1e-12))
            for one, vector in zip(ids, self.engine.embed(ids))
        ]

    def _prompt(self, prompt: PromptLike) -> Prompt:
        if isinstance(prompt, Mapping):
            if "prompt_token_ids" in prompt:
                return Prompt(list(prompt["prompt_token_ids"]), "", _NO_THOUGHT)
            return self._prompt(prompt.get("prompt", ""))
        if isinstance(prompt, str):
            return Prompt(self.model.encode(prompt), prompt, _NO_THOUGHT)
        if isinstance(prompt, Sequence):
            return Prompt(list(cast("Sequence[int]", prompt)), "", _NO_THOUGHT)
        raise InvalidArgumentError(
            'prompts: expected a text, ids, {"prompt": …} or {"prompt_token_ids": …}; got ' + repr(prompt)[:60],
            "invalid_argument")

    def _run(
        self,
        prompts: list[Prompt],
        params: Union[SamplingParams, Sequence[SamplingParams], None],
        progress: Optional[Callable[[int, int], None]],
    ) -> list[RequestOutput]:
        if params is None:
            params = self.get_default_sampling_params()
        each = list(params) if isinstance(params, Sequence) else [params] * len(prompts)
        results = iter(self.engine.generate(prompts, each, progress=progress))
        return [self._output(prompt, one, list(itertools.islice(results, one.n))) for prompt, one in zip(prompts, each)]

    def _output(self, prompt: Prompt, params: SamplingParams, results: list[Result]) -> RequestOutput:
        return RequestOutput(
            request_id=str(next(self._ids)),
            prompt=prompt.text or None,
            prompt_token_ids=prompt.ids,
            prompt_logprobs=self._named_prompt(results[0].prompt_logprobs),
            outputs=[self._completion(i, params, result) for i, result in enumerate(results)],
            num_cached_tokens=results[0].usage.cached_tokens,
        )

    def _completion(self, index: int, params: SamplingParams, result: Result) -> CompletionOutput:
        cumulative = None
        if result.logprobs is not None:
            cumulative = sum(found[token].logprob for found, token in zip(result.logprobs, result.token_ids))
            for found in result.logprobs:
                self._name(found)
        stop_reason: Union[int, str, None] = None
        if result.matched_stop is not None:
            stop_reason = params.stops[result.matched_stop]
        elif result.finish_reason == "stop" and result.token_ids and result.token_ids[-1] in params.stop_token_ids:
            stop_reason = result.token_ids[-1]
        return CompletionOutput(
            index, result.text, result.token_ids, cumulative, result.logprobs, result.finish_reason, stop_reason)

    def _name(self, found: dict[int, Logprob]) -> None:
        for token, logprob in found.items():
            logprob.decoded_token = self.model.decode([token])

    def _named_prompt(
        self, entries: Optional[list[Optional[dict[int, Logprob]]]]
    ) -> Optional[list[Optional[dict[int, Logprob]]]]:
        for found in entries or ():
            if found is not None:
                self._name(found)
        return entries


def _listed(prompts: Union[PromptLike, Sequence[PromptLike]]) -> list[PromptLike]:
    """One prompt, or a list of them, as a list."""
    if isinstance(prompts, (str, Mapping)):
        return [prompts]
    if len(prompts) > 0 and isinstance(prompts[0], int):
        return [cast("Sequence[int]", prompts)]
    return list(cast("Sequence[PromptLike]", prompts))

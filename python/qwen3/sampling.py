"""How tokens are chosen, with the names and the defaults of vLLM."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ._errors import InvalidArgumentError
from ._library import keep_array, keep_text, new

FORMATS = {"json_object": 1, "json": 2, "regex": 3, "grammar": 4, "choice": 5}


@dataclasses.dataclass
class Logprob:
    """The natural logarithm of a token's probability, before temperature and filters."""

    logprob: float
    rank: Optional[int] = None
    decoded_token: Optional[str] = None


@dataclasses.dataclass
class StructuredOutputs:
    """What an answer must be; one of these at most. A thought before the answer stays free."""

    json: Union[str, Mapping[str, Any], None] = None  #: a JSON Schema, parsed or as text
    regex: Optional[str] = None  #: matches the whole answer
    choice: Optional[Sequence[str]] = None  #: one of these texts
    grammar: Optional[str] = None  #: a grammar in llama.cpp's GBNF
    json_object: Optional[bool] = None  #: any JSON object

    def source(self) -> tuple[int, str]:
        """The form as the library takes it: its number, and its text."""
        given = [name for name in FORMATS if getattr(self, name) not in (None, False)]
        if len(given) != 1:
            raise InvalidArgumentError(f"StructuredOutputs: expected one form; got {given or 'none'}", "invalid_argument")
        value = getattr(self, given[0])
        if given[0] == "json_object":
            return FORMATS["json_object"], ""
        if given[0] == "choice":
            value = list(value)
        return FORMATS[given[0]], value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclasses.dataclass
class SamplingParams:
    """vLLM's SamplingParams. ``top_k`` 0 and -1 are off; ``temperature`` 0 is greedy, the lowest id wins ties.

    A seed gives the same tokens alone and in any batch. With ``n`` > 1 the answers have the seeds ``seed``, ``seed + 1``, …
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: Optional[int] = None
    stop: Union[str, Sequence[str], None] = None
    stop_token_ids: Sequence[int] = ()
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    max_tokens: Optional[int] = 16  #: None: until the context is full
    min_tokens: int = 0
    logprobs: Optional[int] = None  #: of each token, and of the n best (at most 20)
    prompt_logprobs: Optional[int] = None
    skip_special_tokens: bool = True
    logit_bias: Optional[Mapping[int, float]] = None
    allowed_token_ids: Optional[Sequence[int]] = None
    structured_outputs: Optional[StructuredOutputs] = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidArgumentError(f"n: expected 1 or more; got {self.n}", "invalid_argument")

    @property
    def stops(self) -> list[str]:
        """The stop strings as a list."""
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)

    def fill(self, request: Any, keep: list[Any], index: int = 0) -> None:
        """Writes them into a qwen3_request, for answer ``index`` of n. What it points to lives as long as ``keep``."""
        out = new("qwen3_sampling")
        keep.append(out)
        for name in ("temperature", "top_k", "top_p", "min_p", "presence_penalty", "frequency_penalty",
                     "repetition_penalty", "min_tokens"):
            setattr(out, name, getattr(self, name))
        out.max_tokens = -1 if self.max_tokens is None else self.max_tokens
        out.ignore_eos = int(self.ignore_eos)
        out.n_logprobs = -1 if self.logprobs is None else self.logprobs
        if self.seed is not None:
            out.has_seed, out.seed = 1, (self.seed + index) % 2**64
        bias = self.logit_bias or {}
        out.logit_bias_ids = keep_array(keep, "int32_t", list(bias.keys()))
        out.logit_bias_values = keep_array(keep, "double", list(bias.values()))
        out.n_logit_bias = len(bias)
        allowed = list(self.allowed_token_ids or ())
        out.allowed_token_ids, out.n_allowed_token_ids = keep_array(keep, "int32_t", allowed), len(allowed)
        ends = list(self.stop_token_ids)
        out.stop_token_ids, out.n_stop_token_ids = keep_array(keep, "int32_t", ends), len(ends)
        request.sampling = out
        request.skip_special_tokens = int(self.skip_special_tokens)
        request.include_stop = int(self.include_stop_str_in_output)
        request.n_prompt_logprobs = -1 if self.prompt_logprobs is None else self.prompt_logprobs
        stops = [keep_text(keep, text) for text in self.stops]
        request.stop, request.n_stop = keep_array(keep, "char*", stops), len(stops)
        if self.structured_outputs is not None:
            request.format, source = self.structured_outputs.source()
            request.format_text = keep_text(keep, source)


def read_sampling(given: Any) -> SamplingParams:
    """A qwen3_sampling of the library."""
    return SamplingParams(
        temperature=given.temperature,
        top_p=given.top_p,
        top_k=given.top_k,
        min_p=given.min_p,
        repetition_penalty=given.repetition_penalty,
        max_tokens=None if given.max_tokens < 0 else given.max_tokens,
    )




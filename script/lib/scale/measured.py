"""The calculation against what docs/performance.md has measured on one host.

Each row has the limits of its machine in that run, not of a preset, and the words of the page that it comes from
(tests/scale checks that the page still says so). Limits are what was measured beside the run, or on the same machine in
another operation; two steps were solved for what no operation tells (machines.py, HOPPER), and those prove nothing.
"""
import dataclasses

from . import cost, machines, plan
from .model import CONFIGS, find_model
from .report import rate, table

A = dataclasses.replace(machines.machine_named("2-cores"), bandwidth=53.2e9)  # 50.5 GB/s were 95 % of it
B = dataclasses.replace(A, bandwidth=15.5e9)
C = dataclasses.replace(A, bandwidth=21e9, compute=106e9)
D = machines.machine_named("16-cores-amx")
D_BF16 = dataclasses.replace(D, compute=0.7 * 635e9, attention=0)
# Attention of prompts was by warps in these runs: 70 TFLOP/s.
H200 = dataclasses.replace(machines.machine_named("h200"), attention=70e12)

SMALL, LARGE, MOE = "Qwen3-0.6B", "Qwen3-8B", str(CONFIGS / "qwen3-30b-a3b-4layers")
SHOWN = {MOE: "30B-A3B, 4 layers", SMALL: "0.6B", LARGE: "8B"}


@dataclasses.dataclass(frozen=True)
class Row:
    """`tokens` rows of a prompt (prefill) or `tokens` sequences (decode), each with `context` tokens before."""

    machine: machines.Machine
    where: str
    model: str
    weights: str
    kind: str
    tokens: int
    context: int
    milliseconds: float  # of the step
    quote: str
    calibrates: bool = False

    def predicted(self, machine=None):
        """Seconds of the step, and its terms."""
        machine = machine or self.machine
        link = machines.link_named(machine.inner)
        setup = plan.Setup(find_model(self.model), self.weights, "bf16", machine, link, link, chunk=self.tokens)
        work = (cost.decode_work if self.kind == "decode" else cost.chunk_work)(self.tokens, self.context)
        terms = cost.stage_terms(setup, 0, work)
        return cost.total(terms), terms

    def deviation(self, machine=None):
        """How much faster than measured it is predicted to be: 0.1 is a tenth, -0.1 a tenth slower."""
        return self.milliseconds / 1e3 / self.predicted(machine)[0] - 1

    def what(self):
        if self.kind == "prefill":
            return f"prompt of {self.tokens}" + (f" after {self.context}" if self.context else "")
        return f"{self.tokens} sequence{'s' if self.tokens > 1 else ''}" + (f" at {self.context}" if self.context else "")


def speed(machine, where, kind, tokens, context, tokens_per_second, quote):
    """A row that was measured as tokens a second, of 0.6B in BF16."""
    return Row(machine, where, SMALL, "bf16", kind, tokens, context, tokens / tokens_per_second * 1e3, quote)


def card(model, quote, *steps, weights="bf16"):
    return [Row(H200, "H200", model, weights, kind, tokens, context, ms, quote) for kind, tokens, context, ms in steps]


def card_steps(one, eight, many, short, long):
    return [("decode", 1, 512, one), ("decode", 8, 512, eight), ("decode", 32, 512, many), ("prefill", 512, 0, short),
            ("prefill", 2048, 0, long)]


ROWS = [
    speed(A, "A", "decode", 1, 0, 42.2, "(42.2 → 38.8, 42.4 → 38.6 tok/s)"),
    speed(A, "A", "decode", 1, 1024, 38.8, "(42.2 → 38.8, 42.4 → 38.6 tok/s)"),
    speed(A, "A", "decode", 16, 0, 16 / 0.064, "bound by arithmetic (62 to 66 ms a step, 290 to 310 GFLOP/s)"),
    speed(A, "A", "prefill", 512, 0, 372, "| prefill of 512 tokens | 372 |"),
    speed(A, "A", "prefill", 512, 1024, 304, "| prefill of 512 at context 1,024 | 304 |"),
    speed(B, "B", "decode", 1, 0, 13.2, "12.2, 13.2, 13.7, 13.7, 12.3 tok/s alone"),
    speed(C, "C", "decode", 1, 0, 14.4, "14.4 and 71.3 tok/s"),
    speed(C, "C", "decode", 16, 0, 71.3, "14.4 and 71.3 tok/s"),
    speed(D, "D, AMX", "decode", 1, 0, 80, "72 to 92, median 80"),
    speed(D, "D, AMX", "decode", 16, 0, 16 / 0.01816, "18.16, 17.29, 18.47 ms after"),
    speed(D, "D, AMX", "prefill", 512, 0, 2470, "1,840 to 3,100"),
    speed(D_BF16, "D, AVX-512", "decode", 1, 0, 55, "44 to 74, median 55"),
    speed(D_BF16, "D, AVX-512", "decode", 16, 0, 382, "337 to 458, median 382"),
    speed(D_BF16, "D, AVX-512", "prefill", 512, 0, 735, "670 to 800"),
    *card(SMALL, "| 1 sequence at 512 tokens | 0.96 ms |", *card_steps(0.96, 1.18, 2.06, 5.5, 17.8)),
    *card(LARGE, "4.33 ms (3.5 TB/s of weights and keys)", *card_steps(4.33, 4.83, 6.89, 18.5, 73.1)),
    *card(MOE, "| 32 sequences | 2.06 ms | 6.89 ms | 1.72 ms |", *card_steps(0.47, 0.79, 1.72, 3.5, 11.7)),
    *card(LARGE, "| 8B, 1 sequence | 4.37 ms | 5.34 ms | 3.08 ms |", ("decode", 1, 512, 3.08), weights="q4_k"),
    *card(LARGE, "| 8B, 8 sequences | 4.79 ms | 5.65 ms | 3.52 ms |", ("decode", 8, 512, 3.52), weights="q4_k"),
    *card(LARGE, "| 8B, 32 sequences | 6.84 ms | 9.57 ms | 7.23 ms |", ("decode", 32, 512, 7.23), weights="q4_k"),
    *card(LARGE, "| 8B, a prompt of 512 tokens | 18.5 ms | 21.9 ms |", ("prefill", 512, 0, 21.9), weights="q4_k"),
    *card(MOE, "| 30B-A3B, 4 layers, 1 sequence | 0.47 ms | 0.50 ms | 0.37 ms |", ("decode", 1, 512, 0.37), weights="q4_k"),
    *card(MOE, "| 30B-A3B, 4 layers, 32 sequences | 1.73 ms | 1.31 ms | 1.01 ms |", ("decode", 32, 512, 1.01), weights="q4_k"),
    *card(LARGE, "8B in FP8 (10 bits) takes 4.71 ms", ("decode", 1, 512, 4.71), weights="fp8"),
]

# What `operation` and `experts` of HOPPER were solved for.
ROWS = [dataclasses.replace(row, calibrates=(row.where, row.model, row.weights, row.kind, row.tokens) in (
    ("H200", SMALL, "bf16", "decode", 1), ("H200", MOE, "bf16", "prefill", 2048))) for row in ROWS]
VALIDATING = [row for row in ROWS if not row.calibrates]


def compared(row):
    predicted, terms = row.predicted()
    factor = row.tokens if row.where != "H200" else None
    show = (lambda s: f"{rate(factor / s)} tok/s") if factor else (lambda s: f"{s * 1e3:.2f} ms")
    return [row.where, SHOWN[row.model], row.weights, row.what(), show(row.milliseconds / 1e3), show(predicted),
            "solved for" if row.calibrates else f"{row.deviation():+.0%}", cost.largest(terms)]


def text():
    rows = [["machine", "model", "weights", "step", "measured", "predicted", "too fast by", "limit"], *map(compared, ROWS)]
    off = sorted(abs(row.deviation()) for row in VALIDATING)
    return (table(rows) + f"\n{len(off)} steps, without the two: the median is off by {off[len(off) // 2]:.0%}, "
            f"{sum(x <= 0.25 for x in off)} by at most 25 %, the worst by {off[-1]:.0%}")

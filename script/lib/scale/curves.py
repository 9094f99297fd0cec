"""Curves over ranks, users or the length of prompts: the numbers as CSV, one of them as SVG."""
import csv
import dataclasses
import io

from . import Refused, cost, plan
from .drawing import Chart, Line, svg
from .report import rate

OVER = {
    "ranks": [1, 2, 3, 4, 5, 6, 7, 8],
    "users": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "prompt": [128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768],
}
# What is drawn: its name, and where it is in a result.
SHOWN = {
    "each": ("tok/s for each user", lambda r: r.user_rate),
    "together": ("tok/s of all users together", lambda r: r.total_rate),
    "prefill": ("tok/s of a prompt", lambda r: r.prefill_rate),
}
HEADER = ["series", "model", "weights", "machine", "link", "ranks", "stages", "hosts", "replicas", "users", "streams", "prompt",
          "answer", "fits", "bytes_of_a_rank", "prefill_tokens_per_second", "first_token_seconds",
          "decode_tokens_per_second_of_a_user", "decode_tokens_per_second", "prefill_limit", "decode_limit"]


@dataclasses.dataclass(frozen=True)
class Series:
    name: str
    setup: plan.Setup
    any_stages: bool = True  # the best number of stages at each point, or the setup's


def points_of(series, over):
    """[(x, result)], without the x that the model or the arrangement has no room for."""
    points = []
    for x in OVER[over]:
        changed = dataclasses.replace(series.setup, **{over: x})
        if over == "prompt" and x + changed.answer > changed.model.max_position_embeddings:
            continue
        if over == "ranks" and not series.any_stages and x % changed.stages != 0:
            continue
        points.append((x, plan.best(changed) if series.any_stages else plan.evaluate(changed)))
    return points


def full_streams(result):
    """A point of a curve over users is one where all of them run."""
    return result.fits and result.streams == result.setup.users_of_replica


def rows(all_series, over):
    yield HEADER
    for series in all_series:
        for _, r in points_of(series, over):
            s = r.setup
            row = [series.name, s.model.name, s.weights, s.machine.name, s.outer.name, s.ranks, s.stages, s.hosts, s.replicas, s.users,
                   r.streams, s.prompt, s.answer, "yes" if full_streams(r) else "no", r.memory.needed]
            numbers = [r.prefill_rate, r.first_token, r.user_rate, r.total_rate] if r.fits else []
            limits = [cost.largest(r.prefill_terms), cost.largest(r.decode_terms)] if r.fits else []
            yield row + [f"{v:.4g}" for v in numbers] + limits + [""] * (len(HEADER) - len(row) - len(numbers) - len(limits))


def as_csv(all_series, over):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows(all_series, over))
    return out.getvalue()


def as_svg(all_series, over, shown, title, words=str, goal=None):
    """`words` translates what stands at the axes."""
    label, value = SHOWN[shown]
    lines = [Line(s.name, [(x, value(r) if full_streams(r) else None) for x, r in points_of(s, over)]) for s in all_series]
    if not any(y is not None for line in lines for _, y in line.points):
        raise Refused("--curve: no point of it fits into memory; more --ranks, fewer bits, or another --machine")
    mark = (goal, f"{rate(goal)} tok/s") if goal else None
    return svg(Chart(title, words(over), words(label), lines, log_x=over != "ranks", mark=mark))

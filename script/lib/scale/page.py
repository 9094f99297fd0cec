"""The curves of docs/scaling.md, in both languages, and whether those that lie there are still what is calculated."""
import dataclasses

from . import Refused
from .curves import Series, as_svg
from .machines import link_named, machine_named
from .model import ROOT, find_model
from .plan import Setup

FOLDER = ROOT / "docs/images"
GOAL = 10.0
CHINESE = {
    "ranks": "rank 数", "users": "用户数", "prompt": "提示词的 token 数", "tok/s for each user": "每个用户的 tok/s",
    "tok/s of a prompt": "提示词的 tok/s",
    "Qwen3-32B, Q4_K_M: how fast for how many": "Qwen3-32B，Q4_K_M：多少用户，多快",
    "Qwen3-235B-A22B, Q4_K_M: how fast for how many": "Qwen3-235B-A22B，Q4_K_M：多少用户，多快",
    "One user of 235B-A22B on desktops: which network, how many": "235B-A22B 在台式机上，一个用户：什么网络，多少台",
    "1 desktop": "1 台台式机", "4 desktops, 10gbe": "4 台台式机，10gbe", "8 desktops, 10gbe": "8 台台式机，10gbe",
    "1 socket": "1 个插槽", "2 sockets": "2 个插槽", "1 H100": "1 块 H100", "2 H100": "2 块 H100", "4 H100": "4 块 H100",
    "2 H200": "2 块 H200", "8 H100": "8 块 H100", "sockets, memory": "插槽，内存",
}


def setup(model, machine, ranks=1, outer="10gbe", prompt=1024):
    m = machine_named(machine)
    return Setup(find_model(model), "q4_k_m", "bf16", m, link_named(m.inner), link_named(outer), ranks=ranks, prompt=prompt)


def users_of(model, *kinds):
    return [Series(name, setup(model, machine, ranks)) for name, machine, ranks in kinds]


@dataclasses.dataclass(frozen=True)
class Figure:
    file: str
    title: str
    over: str
    series: list


def figures():
    yield Figure("scaling-32b", "Qwen3-32B, Q4_K_M: how fast for how many", "users", users_of(
        "Qwen3-32B", ("1 desktop", "desktop", 1), ("4 desktops, 10gbe", "desktop", 4), ("1 socket", "socket", 1),
        ("2 sockets", "socket", 2), ("1 H100", "h100", 1), ("4 H100", "h100", 4)))
    yield Figure("scaling-235b", "Qwen3-235B-A22B, Q4_K_M: how fast for how many", "users", users_of(
        "Qwen3-235B-A22B", ("4 desktops, 10gbe", "desktop", 4), ("8 desktops, 10gbe", "desktop", 8), ("1 socket", "socket", 1),
        ("2 sockets", "socket", 2), ("2 H200", "h200", 2), ("8 H100", "h100", 8)))
    yield Figure("scaling-links", "One user of 235B-A22B on desktops: which network, how many", "ranks", [
        Series(link, setup("Qwen3-235B-A22B", "desktop", outer=link)) for link in ("1gbe", "10gbe", "100gbe-rdma")])


def files():
    """[(path, what belongs there)]"""
    for figure in figures():
        for suffix, words in (("", str), (".zh_CN", lambda text: CHINESE.get(text, text))):
            series = [dataclasses.replace(s, name=words(s.name)) for s in figure.series]
            yield FOLDER / f"{figure.file}{suffix}.svg", as_svg(series, figure.over, "each", words(figure.title), words, GOAL)


def write():
    for path, text in files():
        path.write_text(text, encoding="utf-8")
        yield f"{path.relative_to(ROOT)}: written"


def check():
    """Refuses when a curve is not there, or not what the calculation gives now."""
    n = 0
    for path, text in files():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise Refused(f"{path.relative_to(ROOT)}: not what is calculated now; script/scale --page makes it again")
        n += 1
    return f"{n} curves of docs/scaling.md are what is calculated"

"""What one rank has, and what connects ranks. Every number has its source: measured here (docs/performance.md), from a
data sheet, or assumed; whoever has the machine measures it (`qwen3 bench`, `ops_bench`) and says it with options."""
import dataclasses

from . import Refused

GB = 10**9
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Link:
    """A message of b bytes takes latency + b / bandwidth, for each direction of each rank."""

    name: str
    latency: float
    bandwidth: float
    source: str
    switched: bool = False  # ranks' messages pass each other without waiting: one round whatever the number of ranks


LINKS = [
    Link("memory", 0.5e-6, 7.5 * GB, "measured: sums in shared memory, 2 processes on 2 cores of Zen 4"),
    Link("nvlink", 9.5e-6, 220 * GB, "measured: NCCL 2.28 between products, 2 H200, 18 links", switched=True),
    Link("1gbe", 100e-6, 0.117 * GB, "line rate less 6 %; latency assumed"),
    Link("10gbe", 25e-6, 1.1 * GB, "line rate less 12 %; latency of TCP between two namespaces, measured: 9 to 25 us"),
    Link("25gbe", 22e-6, 2.8 * GB, "line rate less 10 %; latency as 10gbe"),
    Link("100gbe", 20e-6, 5 * GB, "TCP on one core assumed; latency as 10gbe"),
    Link("100gbe-rdma", 3e-6, 11.5 * GB, "line rate less 8 %; latency assumed"),
    Link("400gbe-rdma", 3e-6, 46 * GB, "line rate less 8 %; latency assumed"),
    Link("internet", 25e-3, 0.0125 * GB, "100 Mbit/s, 25 ms: an example"),
]


@dataclasses.dataclass(frozen=True)
class Machine:
    """A rank: a processor socket, a card or a whole host."""

    name: str
    what: str
    side: str  # cpu or cuda: how weights are kept
    memory: float  # bytes
    bandwidth: float  # bytes a second that weights are read with
    compute: float  # operations a second of a forward pass with many rows
    per_host: int
    inner: str  # link between ranks of a host
    outer: str  # between hosts
    source: str
    operation: float = 0.0  # seconds that an operation costs however small it is
    codes: float = 0.0  # weights a second that are made of codes of 4 bits; 0: as fast as they are read
    byte_codes: float = 0.0  # the same of 8 bits
    keys: float = 0.0  # bytes a second of keys and values; 0: as of weights
    attention: float = 0.0  # operations a second of attention; 0: as of products
    experts: float = 0.0  # the same of experts with many rows
    units: int = 0  # multiprocessors, each of which has a tile of outputs at a time; 0: work divides evenly


# From docs/performance.md, 2026-11-29, by operation, but for `operation` and `experts`, which whole steps were solved for: 0.6B
# with one sequence, and four layers of 30B-A3B with a prompt of 2,048 (measured.py says which).
HOPPER = {
    "operation": 4.9e-6,
    "codes": 3.3e12,  # 2026-11-30: gate and up, then down, of 8B in Q4_K: 151 million weights in 45 us
    "byte_codes": 1.9e12,  # the same day, in FP8: 78 us
    "keys": 2.0e12,  # attention of 32 sequences
    "attention": 193e12,  # a layer of 8B over 2,048 tokens in 178 us, norms and stores included
    "experts": 70e12,
    "units": 132,
}
MACHINES = [
    Machine("2-cores", "2 virtual cores of an EPYC (Zen 4)", "cpu", 24 * GIB, 45 * GB, 330 * GB, 1, "memory", "10gbe",
            "machine A of docs/performance.md: 33 to 58 GB/s read; 70 % of 471 GFLOP/s"),
    Machine("desktop", "a host with two channels of DDR5", "cpu", 128 * GIB, 60 * GB, 1300 * GB, 1, "memory", "10gbe",
            "data sheet: 2 x 38.4 GB/s, of which 78 %; 8 cores at machine A's 236 GFLOP/s, of which 70 %"),
    Machine("16-cores-amx", "16 virtual cores of a Xeon with AMX", "cpu", 125 * GIB, 110 * GB, 3900 * GB, 1, "memory", "10gbe",
            "machine D of docs/performance.md: 97 to 126 GB/s read; a prompt's products at 3.9, attention at 0.6 TFLOP/s",
            attention=600 * GB),
    Machine("socket", "a socket with 12 channels of DDR5, 96 cores", "cpu", 384 * GIB, 380 * GB, 10000 * GB, 2, "memory", "10gbe",
            "data sheet: 460.8 GB/s, of which 82 %; 96 x 64 operations a cycle x 2.4 GHz, of which 70 %"),
    Machine("h100", "a card: H100 SXM, 80 GB", "cuda", 80 * GB, 3180 * GB, 540000 * GB, 8, "nvlink", "400gbe-rdma",
            "data sheet: 3.35 TB/s, of which 95 % as on the H200; the rest as the H200, which has the same chip", **HOPPER),
    Machine("h200", "a card: H200 SXM, 141 GB", "cuda", 141 * GB, 4560 * GB, 540000 * GB, 8, "nvlink", "400gbe-rdma",
            "docs/performance.md, 2026-11-29: 4.56 TB/s, 540 TFLOP/s of products; see HOPPER in script/lib/scale/machines.py",
            **HOPPER),
]


def named(kind, things, name):
    for thing in things:
        if thing.name == name.lower():
            return thing
    raise Refused(f"--{kind}: expected one of {', '.join(t.name for t in things)}; got {name[:60]!r}")


def machine_named(name):
    return named("machine", MACHINES, name)


def link_named(name):
    return named("link", LINKS, name)


def sum_seconds(link, n, n_bytes):
    """Of a vector that all n sides have a part of, and need the whole sum of: gathered at once, or in slices that are
    added by one each and gathered then, whichever is faster."""
    if n == 1:
        return 0.0, 0.0
    if link.switched:
        return link.latency, 2 * (n - 1) / n * n_bytes / link.bandwidth
    rounds = (n - 1).bit_length()
    at_once = rounds * link.latency, (n - 1) * n_bytes / link.bandwidth
    in_slices = 2 * rounds * link.latency, 2 * (n - 1) / n * n_bytes / link.bandwidth
    return min(at_once, in_slices, key=sum)

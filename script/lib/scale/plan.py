"""Ranks, stages and replicas of a model for so many users: whether it fits, and how fast it is."""
import collections
import dataclasses
import functools

from . import Refused, cost
from .machines import Link, Machine
from .memory import BLOCK_SIZE, MARGIN, activation_bytes, kv_token_bytes, stage_layers, weight_bytes
from .model import Model
from .shard import LEAVES
from .weights import kv_head_bytes, round_up

MOST_SEQUENCES = 4096  # of a replica that are looked at


@dataclasses.dataclass(frozen=True)
class Setup:
    """A replica of `ranks`, of which `stages` follow each other, and who uses it."""

    model: Model
    weights: str
    kv: str
    machine: Machine
    inner: Link
    outer: Link
    ranks: int = 1
    stages: int = 1
    replicas: int = 1
    users: int = 1
    prompt: int = 1024
    answer: int = 512
    chunk: int = 512

    @property
    def tensor_ranks(self):
        return self.ranks // self.stages

    @property
    def ranks_inside(self):
        return min(self.tensor_ranks, self.machine.per_host)

    @property
    def hosts_of_stage(self):
        return -(-self.tensor_ranks // self.machine.per_host)

    @property
    def hosts(self):
        return -(-self.ranks // self.machine.per_host)

    @property
    def hop_link(self):
        return self.inner if self.hosts == 1 else self.outer

    @property
    def users_of_replica(self):
        return -(-self.users // self.replicas)

    @property
    def layers(self):
        return stage_layers_of(self.model, self.weights, self.machine.side, self.tensor_ranks, self.stages)

    def check(self):
        kv_head_bytes(self.kv, self.machine.side, self.model.head_dim)
        if self.ranks % self.stages != 0:
            raise Refused(f"--stages: expected a divisor of the {self.ranks} ranks; got {self.stages}")
        if self.tensor_ranks > LEAVES:
            raise Refused(f"--ranks: expected at most {LEAVES} ranks of a stage; got {self.tensor_ranks}; "
                          "more --stages, or --replicas")
        if self.stages > self.model.num_hidden_layers:
            raise Refused(f"--stages: expected at most {self.model.num_hidden_layers}, a layer for each; got {self.stages}")
        length, most = self.prompt + self.answer, self.model.max_position_embeddings
        if length > most:
            raise Refused(f"--prompt, --answer: expected at most {most} tokens together, the model's context; got {length}")


@functools.lru_cache(maxsize=256)
def stage_layers_of(model, weights, side, n, n_stages):
    return tuple(stage_layers(model, weights, side, n, n_stages))


@dataclasses.dataclass(frozen=True)
class Memory:
    """Of the fullest rank, in bytes."""

    weights: int
    kv: int
    activations: int
    margin: int
    available: int

    @property
    def needed(self):
        return self.weights + self.kv + self.activations + self.margin

    @property
    def fits(self):
        return self.needed <= self.available


@dataclasses.dataclass(frozen=True)
class Result:
    setup: Setup
    memory: Memory  # with the sequences that run
    capacity: int  # sequences of a replica for which there is room; MOST_SEQUENCES: at least
    streams: int  # of a replica that run together; 0: it does not fit
    first_token: float = 0  # seconds to compute a prompt that nothing else delays
    token: float = 0  # seconds between two tokens of an answer, no prompt between
    decode_terms: dict = dataclasses.field(default_factory=dict)
    prefill_terms: dict = dataclasses.field(default_factory=dict)

    @property
    def fits(self):
        return self.streams > 0

    @property
    def prefill_rate(self):
        return self.setup.prompt / self.first_token

    @property
    def user_rate(self):
        return 1 / self.token

    @property
    def all_streams(self):
        return min(self.setup.users, self.streams * self.setup.replicas)

    @property
    def total_rate(self):
        return self.all_streams / self.token

    @property
    def request_rate(self):
        """Requests a second of all replicas when every stream begins the next request at once."""
        of_streams = self.streams * self.first_token + self.setup.answer * self.token
        return self.setup.replicas * self.streams / of_streams

    @property
    def sustained_rate(self):
        return self.request_rate * self.setup.answer


@functools.lru_cache(maxsize=4096)
def stage_memory(model, weights, kv, side, n, n_stages, chunk, length):
    """[(weights, keys and values of a sequence, activations without and for each sequence)] of the fullest rank by stage."""
    found = []
    all_layers = stage_layers_of(model, weights, side, n, n_stages)
    for stage, layers in enumerate(all_layers):
        first, last = stage == 0, stage == n_stages - 1
        held = max(weight_bytes(model, weights, side, r, n, layers, first, last) for r in range(n))
        of_sequence = round_up(length, BLOCK_SIZE) * kv_token_bytes(model, weights, side, kv, n, layers)
        none, one = (activation_bytes(model, weights, side, n, layers, chunk, sequences, length) for sequences in (0, 1))
        found.append((int(held), of_sequence, none, one - none))
    return found


def stage_memory_of(s):
    return stage_memory(s.model, s.weights, s.kv, s.machine.side, s.tensor_ranks, s.stages, s.chunk, s.prompt + s.answer)


def margin(s):
    return int(MARGIN * s.machine.memory)


def memory_of(s, sequences):
    """Of the rank that needs most with so many sequences of the whole length."""
    return max((Memory(held, sequences * kv, fixed + sequences * each, margin(s), int(s.machine.memory))
                for held, kv, fixed, each in stage_memory_of(s)), key=lambda memory: memory.needed)


def most_sequences(s):
    """The largest number for which there is memory, up to MOST_SEQUENCES."""
    room = int(s.machine.memory) - margin(s)
    return max(0, min(MOST_SEQUENCES, *((room - held - fixed) // (kv + each) for held, kv, fixed, each in stage_memory_of(s))))


def cycle(stages):
    """Seconds of lanes that follow each other through stages: what one takes, or what the slowest stage does for all."""
    return sum(map(cost.total, stages)), max(map(cost.total, stages))


def decode(s, streams):
    """Seconds between two tokens of each of the streams, and what they go to. With several stages the streams are divided into
    as many lanes, of which each stage works on another one."""
    lanes = min(s.stages, streams)
    work = cost.decode_work(-(-streams // lanes), s.prompt + s.answer / 2)
    stages = [cost.stage_terms(s, stage, work) for stage in range(s.stages)]
    through, slowest = cycle(stages)
    if lanes * slowest > through:
        return lanes * slowest, max(stages, key=cost.total)
    return through, sum(stages, collections.Counter())


def prefill(s):
    """Seconds of a prompt alone, in chunks that follow each other through the stages."""
    seconds, terms, before = 0.0, collections.Counter(), 0
    while before < s.prompt:
        tokens = min(s.chunk, s.prompt - before)
        stages = [cost.stage_terms(s, stage, cost.chunk_work(tokens, before)) for stage in range(s.stages)]
        through, slowest = cycle(stages)
        seconds += through if before == 0 else slowest
        for stage in stages:
            terms.update(stage)
        before += tokens
    return seconds, terms


def evaluate(setup):
    setup.check()
    capacity = most_sequences(setup)
    streams = min(capacity, setup.users_of_replica)
    if streams == 0:
        return Result(setup, memory_of(setup, 1), 0, 0)
    token, decode_terms = decode(setup, streams)
    first_token, prefill_terms = prefill(setup)
    return Result(setup, memory_of(setup, streams), capacity, streams, first_token, token, dict(decode_terms),
                  dict(prefill_terms))


def divisions(setup):
    """The same ranks with every number of stages that is possible."""
    for stages in range(1, min(setup.ranks, setup.model.num_hidden_layers) + 1):
        if setup.ranks % stages == 0 and setup.ranks // stages <= LEAVES:
            yield dataclasses.replace(setup, stages=stages)


def best(setup):
    """Of all numbers of stages the one that answers most; of those that do not fit the one that lacks least."""
    results = [evaluate(each) for each in divisions(setup)]
    if not results:
        dataclasses.replace(setup, stages=1).check()
    fitting = [r for r in results if r.fits]
    if fitting:
        return max(fitting, key=lambda r: (r.sustained_rate, -r.setup.stages))
    return min(results, key=lambda r: r.memory.needed)


def replicas_for(setup, goal):
    """The fewest replicas that give each user `goal` tokens a second while answers are written, or None: no number does."""
    def reaches(replicas):
        s = dataclasses.replace(setup, replicas=replicas)
        streams = s.users_of_replica
        return streams <= capacity and 1 / decode(s, streams)[0] >= goal

    setup.check()
    capacity = most_sequences(setup)
    low, high = 1, setup.users
    if capacity == 0 or not reaches(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    return low


def most_users(setup, goal):
    """Of one replica, each of whom gets `goal` tokens a second."""
    setup = dataclasses.replace(setup, replicas=1)
    low, high = 0, most_sequences(setup)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if 1 / decode(setup, middle)[0] >= goal else (low, middle - 1)
    return low

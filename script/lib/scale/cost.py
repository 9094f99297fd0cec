"""Seconds of a step, by what they go to.

Products, attention and experts of a layer follow each other, and each takes the longer of what it reads and what it
multiplies. Operations cost a fixed time besides, and ranks two sums of [tokens, hidden_size] float32 a layer. The rank that
has most is waited for.
"""
import collections
import dataclasses
import functools

from .experts import most_distinct, most_work
from .machines import sum_seconds
from .memory import kv_token_bytes, layer_shares, table_bytes
from .shard import vocabulary_rows
from .weights import ceil_div

WEIGHTS = "reading weights"
CODES = "making numbers of codes"
KV = "reading keys and values"
ARITHMETIC = "arithmetic"
OPERATIONS = "the fixed cost of operations"
LATENCY = "latency of sums"
BYTES = "bytes of sums"
HOPS = "hops between stages"


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step computes: rows, the keys that each sees in all, the keys that are read, and rows of logits."""

    tokens: int
    visible_keys: float
    read_keys: float
    logit_rows: int


def decode_work(sequences, context):
    return Work(sequences, sequences * context, sequences * context, sequences)


def chunk_work(tokens, before):
    return Work(tokens, tokens * before + tokens * (tokens + 1) / 2, before + tokens, 1)


TILE = 128  # outputs and rows of a multiprocessor's piece of a product of many rows (src/kernels/cuda/many_rows.cu)
FEW_ROWS = 64  # up to which a product is divided otherwise, and evenly (src/kernels/cuda/linear.cuh)


def product_seconds(machine, products, tokens):
    """Arithmetic of a rank's products. Units that get no tile wait for those that have one."""
    if machine.units == 0 or tokens <= FEW_ROWS:
        return 2 * tokens * sum(n_out * n_in for n_out, n_in in products) / machine.compute
    seconds = 0.0
    for n_out, n_in in products:
        tiles = ceil_div(n_out, TILE) * ceil_div(tokens, TILE)
        seconds += ceil_div(tiles, machine.units) * machine.units * 2 * TILE * TILE * n_in / machine.compute
    return seconds


def add_longest(machine, terms, read, arithmetic):
    """`read`: a term and its bytes; of weights in codes their number too, which may take longer than their bytes."""
    name, n_bytes, coded_weights = read
    reading = n_bytes / (machine.keys or machine.bandwidth if name == KV else machine.bandwidth)
    # 8 bits with their scales take more than a byte, 4 bits less.
    rate = machine.codes if n_bytes < coded_weights else machine.byte_codes
    unpacking = coded_weights / rate if rate else 0
    longest = max(reading, unpacking, arithmetic)
    terms[ARITHMETIC if arithmetic == longest else CODES if unpacking == longest else name] += longest


def layer_terms(s, index, work, terms):
    """`s`: a plan.Setup."""
    model, machine = s.model, s.machine
    shares = layer_shares(model, s.weights, machine.side, s.tensor_ranks, index)
    coded = any(share.coded for share in shares)
    fullest = max(shares, key=lambda share: share.shared_bytes)
    numbers = sum(n_out * n_in for n_out, n_in in fullest.products)
    add_longest(machine, terms, (WEIGHTS, fullest.shared_bytes, numbers if coded else 0),
                max(product_seconds(machine, share.products, work.tokens) for share in shares))
    keys = kv_token_bytes(model, s.weights, machine.side, s.kv, s.tensor_ranks, [index]) * work.read_keys
    scores = 4 * max(share.query_heads for share in shares) * model.head_dim * work.visible_keys
    add_longest(machine, terms, (KV, keys, 0), scores / (machine.attention or machine.compute))
    if model.sparse[index]:
        add_experts(s, max(shares, key=lambda share: share.experts), coded, work.tokens, terms)
    terms[OPERATIONS] += machine.operation * (6 if model.sparse[index] else 5)
    add_sums(s, work, 2, terms)


def add_experts(s, share, coded, tokens, terms):
    picks = s.model.num_experts, s.model.num_experts_per_tok, tokens, s.tensor_ranks
    read = most_distinct(*picks)
    operations = 2 * share.expert_weights * most_work(*picks)
    add_longest(s.machine, terms, (WEIGHTS, read * share.expert_bytes, read * share.expert_weights if coded else 0),
                operations / (s.machine.experts or s.machine.compute))


def add_sums(s, work, count, terms):
    n_bytes = 4 * work.tokens * s.model.hidden_size
    for link, n in ((s.inner, s.ranks_inside), (s.outer, s.hosts_of_stage)):
        latency, transfer = sum_seconds(link, n, n_bytes)
        terms[LATENCY] += count * latency
        terms[BYTES] += count * transfer


@functools.lru_cache(maxsize=4096)
def layer_kinds(model, weights, side, n, layers):
    """[(one layer, how many are like it)]"""
    alike = {}
    for index in layers:
        alike.setdefault(layer_shares(model, weights, side, n, index), []).append(index)
    return [(indices[0], len(indices)) for indices in alike.values()]


def stage_terms(s, stage, work):
    """Of one stage, with the hop to the next."""
    terms = collections.Counter()
    for index, n_layers in layer_kinds(s.model, s.weights, s.machine.side, s.tensor_ranks, s.layers[stage]):
        of_one = collections.Counter()
        layer_terms(s, index, work, of_one)
        terms.update({name: n_layers * seconds for name, seconds in of_one.items()})
    if stage == 0 and s.tensor_ranks > 1:
        add_sums(s, work, 1, terms)  # rows of the embedding are put together
    if stage == len(s.layers) - 1:
        add_head(s, work, terms)
    else:
        link = s.hop_link
        terms[HOPS] += link.latency + 4 * work.tokens * s.model.hidden_size / link.bandwidth
    return terms


def add_head(s, work, terms):
    model, side, n = s.model, s.machine.side, s.tensor_ranks
    matrix = model.embedding() if model.tied else model.head()
    n_bytes = max(table_bytes(model, s.weights, side, r, n, matrix) for r in range(n))
    rows = max(vocabulary_rows(model.vocab_size, r, n) for r in range(n))
    add_longest(s.machine, terms, (WEIGHTS, n_bytes, 0), 2 * work.logit_rows * rows * model.hidden_size / s.machine.compute)


def total(terms):
    return sum(terms.values())


def largest(terms):
    return max(terms, key=terms.get)

"""What a rank holds: weights, keys and values, activations; and how many sequences fit beside its weights."""
import dataclasses
import functools

from .shard import Split, vocabulary_rows
from .weights import TYPES, kv_head_bytes, round_up, type_name

BLOCK_SIZE = 32  # tokens of a block of keys and values, as EngineOptions
LOGIT_ROWS = 32  # that scores may want beside those of the sequences (src/engine/scheduler.h, kScoreRows)
MARGIN = 0.05  # of the memory, left to scratch and the rest of the process (src/engine/plan.cpp)


@dataclasses.dataclass(frozen=True)
class LayerShare:
    """Bytes and weights of a rank in one layer."""

    shared_bytes: int  # all but experts
    expert_bytes: float  # of one expert
    experts: int
    expert_weights: int  # numbers
    products: tuple  # (outputs, inputs) that are multiplied together, experts not among them
    coded: bool
    query_heads: int
    kv_heads: int
    inner: int  # columns of a dense layer


def kind(weights, matrix, layer, model):
    return TYPES[type_name(weights, matrix, layer, model)]


# Matrices of the same inputs are one product.
TOGETHER = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "gate and up", "up_proj": "gate and up"}


def layer_share(model, weights, side, rank, n, index):
    matrices = list(model.layer(index))
    by_role = {m.role: kind(weights, m, index, model) for m in matrices}
    split = Split(model, rank, n, by_role["o_proj"], None if model.sparse[index] else by_role["down_proj"])
    shared = sum(round_up(4 * v, 64) for v in model.layer_vectors())
    expert_bytes = expert_weights = in_codes = all_weights = 0
    products = {}
    for matrix in matrices:
        of = by_role[matrix.role]
        for number, (count, n_out, n_in) in enumerate(split.pieces(matrix)):
            n_bytes = of.matrix_bytes(side, n_out, n_in)
            all_weights += count * n_out * n_in
            in_codes += count * n_out * n_in * of.in_codes(side)
            if matrix.split == "experts":
                expert_bytes, expert_weights = expert_bytes + n_bytes, expert_weights + n_out * n_in
            else:
                shared += n_bytes
                group = TOGETHER.get(matrix.role, matrix.role), number
                products[group] = products.get(group, (0, 0))[0] + n_out, n_in
    return LayerShare(shared, expert_bytes, split.experts, expert_weights, tuple(products.values()), 2 * in_codes > all_weights,
                      split.query_heads, split.kv_heads, split.inner)


@functools.lru_cache(maxsize=4096)
def layer_shares(model, weights, side, n, index):
    """Of all ranks. Layers of the same kind are the same object."""
    key = (model.sparse[index], type_names(model, weights, index))
    for earlier in range(index):
        if (model.sparse[earlier], type_names(model, weights, earlier)) == key:
            return layer_shares(model, weights, side, n, earlier)
    return tuple(layer_share(model, weights, side, rank, n, index) for rank in range(n))


@functools.lru_cache(maxsize=65536)
def type_names(model, weights, index):
    return tuple(type_name(weights, m, index, model) for m in model.layer(index))


def table_bytes(model, weights, side, rank, n, matrix):
    of = kind(weights, matrix, None, model)
    return of.matrix_bytes(side, vocabulary_rows(model.vocab_size, rank, n), model.hidden_size)


def weight_bytes(model, weights, side, rank, n, layers, first, last):
    """Of rank `rank` of `n` of a stage that has `layers`; the first stage has the table, the last one the head."""
    total = 0
    for index in layers:
        share = layer_shares(model, weights, side, n, index)[rank]
        total += share.shared_bytes + share.experts * share.expert_bytes
    if first or (last and model.tied):
        total += table_bytes(model, weights, side, rank, n, model.embedding())
    if last:
        total += round_up(4 * model.hidden_size, 64)
        total += 0 if model.tied else table_bytes(model, weights, side, rank, n, model.head())
    return total


def kv_token_bytes(model, weights, side, kv, n, layers):
    """Of a token on the rank that has most kv heads: caches of all ranks are made alike."""
    head = 2 * kv_head_bytes(kv, side, model.head_dim)
    return sum(head * max(s.kv_heads for s in layer_shares(model, weights, side, n, i)) for i in layers)


def activation_bytes(model, weights, side, n, layers, chunk, sequences, context):
    """Buffers of the largest batch (src/model/run.cpp, src/model/qwen3.cpp), and of a rank its windows for sums."""
    act = 2 if side == "cuda" else 4
    shares = [layer_shares(model, weights, side, n, i) for i in layers]
    heads = max(s.query_heads for ranks in shares for s in ranks)
    kv_heads = max(s.kv_heads for ranks in shares for s in ranks)
    row = model.hidden_size * (8 + act) + model.head_dim * (2 * act * (heads + kv_heads) + 4)
    row += 2 * act * max(s.inner for ranks in shares for s in ranks)
    n_sparse = sum(model.sparse[i] for i in layers)
    if n_sparse:
        row += 4 * model.num_experts + 4 * model.num_experts_per_tok * (1 + n_sparse)
    logits = (sequences + LOGIT_ROWS) * 4 * (model.hidden_size + model.vocab_size)
    windows = 0 if n == 1 else 2 * 2 * chunk * 4 * model.hidden_size
    return chunk * row + logits + windows + 4 * model.head_dim * context


def stage_layers(model, weights, side, n, n_stages):
    """Contiguous layers for each stage so that the fullest holds as little as possible."""
    if n_stages == 1:
        return [range(model.num_hidden_layers)]
    sizes = []
    for index in range(model.num_hidden_layers):
        sizes.append(max(s.shared_bytes + s.experts * s.expert_bytes for s in layer_shares(model, weights, side, n, index)))
    ends = [max(table_bytes(model, weights, side, r, n, m) for r in range(n)) for m in (model.embedding(), model.head())]

    def cut(limit):
        """Stages that hold at most `limit`, filled from the front, or None."""
        stages, begin, used = [], 0, ends[0]
        for index, size in enumerate(sizes):
            tail = ends[1] if index == len(sizes) - 1 else 0
            must_leave = len(sizes) - index <= n_stages - 1 - len(stages)  # a layer for each stage to come
            if index > begin and (used + size + tail > limit or must_leave):
                stages.append(range(begin, index))
                begin, used = index, 0
            used += size
            if used + tail > limit:
                return None
        stages.append(range(begin, len(sizes)))
        return stages if len(stages) == n_stages else None

    low, high = 0, sum(sizes) + sum(ends)
    best = cut(high)
    while high - low > max(1, high >> 20):
        middle = (low + high) // 2
        found = cut(middle)
        low, high, best = (low, middle, found) if found else (middle, high, best)
    return best

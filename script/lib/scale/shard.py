"""Which part of a matrix is a rank's: the rules of src/parallel/shard.h and src/tensor/leaves.h.

What is shared out is cut into eight leaves of whole units; leaf i has units [n·i/8, n·(i+1)/8), rank r of n has leaves
[8r/n, 8(r+1)/n). So any number of ranks from 1 to 8 gives the bits of one, and some numbers divide unevenly.
"""
import math

LEAVES = 8
VOCABULARY_UNIT = 1024


def bound(size, unit, leaf):
    n_units = -(-size // unit)
    return min(size, n_units * leaf // LEAVES * unit)


def share(size, unit, rank, n):
    """[begin, end) of what is cut into units."""
    return bound(size, unit, LEAVES * rank // n), bound(size, unit, LEAVES * (rank + 1) // n)


def nodes(rank, n):
    """Aligned subtrees of a rank's leaves: the vectors that it sends for a sum."""
    begin, end = LEAVES * rank // n, LEAVES * (rank + 1) // n
    while begin < end:
        size = LEAVES
        while begin % size != 0 or begin + size > end:
            size //= 2
        yield begin, begin + size
        begin += size


def vocabulary_rows(size, rank, n):
    if size <= (LEAVES - 1) * VOCABULARY_UNIT:
        return size if rank == 0 else 0
    begin, end = share(size, VOCABULARY_UNIT, rank, n)
    return end - begin


def column_unit(unit, kind, n_in):
    """The least number of columns that a rank can have of a matrix of this type."""
    scaled_together = kind.elements == 32 and kind.bytes in (28, 36, 44) and n_in % 128 == 0
    return math.lcm(unit, 128 if scaled_together else kind.elements)


class Split:
    """The shares of a rank in one layer. `o_kind`, `down_kind`: the types of o_proj and of a dense down_proj."""

    def __init__(self, model, rank, n, o_kind, down_kind=None):
        self.model, self.rank, self.n = model, rank, n
        q_size = model.num_attention_heads * model.head_dim
        self.head_unit = column_unit(model.head_dim, o_kind, q_size)
        begin, end = share(q_size, self.head_unit, rank, n)
        self.query_heads = (end - begin) // model.head_dim
        self.kv_heads = self.kv_of(begin // model.head_dim, end // model.head_dim)
        self.inner, self.inner_unit = 0, 1
        if down_kind is not None:
            size = model.intermediate_size
            base = 16 if size % 16 == 0 else 2 if size % 2 == 0 else size
            self.inner_unit = column_unit(base, down_kind, size)
            begin, end = share(size, self.inner_unit, rank, n)
            self.inner = end - begin
        begin, end = share(model.num_experts, 1, rank, n)
        self.experts = end - begin

    def kv_of(self, begin, end):
        """How many kv heads these query heads read, repeated where they cut a group (src/parallel/shard.h, head_share)."""
        if begin == end:
            return 0
        group = self.model.num_attention_heads // self.model.num_key_value_heads
        local = math.gcd(group, math.gcd(begin % group, end % group))
        return (end - begin) // local

    def pieces(self, matrix):
        """[(count, n_out, n_in)] that the rank has of a matrix of a layer."""
        m, d = matrix, self.model.head_dim
        if m.split == "none":
            return [(m.count, m.n_out, m.n_in)]
        if m.split == "heads":
            return [(1, self.query_heads * d, m.n_in)]
        if m.split == "kv heads":
            return [(1, self.kv_heads * d, m.n_in)]
        if m.split == "inner":
            return [(1, self.inner, m.n_in)]
        if m.split == "experts":
            return [(self.experts, m.n_out, m.n_in)]
        unit = self.head_unit if m.split == "head columns" else self.inner_unit
        return [(1, m.n_out, bound(m.n_in, unit, end) - bound(m.n_in, unit, begin))
                for begin, end in nodes(self.rank, self.n)]


def balance(n):
    """Work of the average rank by that of the rank that has most leaves."""
    return LEAVES / n / max(LEAVES * (r + 1) // n - LEAVES * r // n for r in range(n))

"""How many experts a step reads. Every token picks k of E, each set as likely as any other: real routers are less even."""
import functools
import math


@functools.lru_cache(maxsize=None)
def binomials(n):
    """C(n, 0) … C(n, n). Floats hold them up to the 512 experts that a config may have."""
    return tuple(float(math.comb(n, i)) for i in range(n + 1))


@functools.lru_cache(maxsize=None)
def distinct_distribution(n_experts, k, n_tokens):
    """The probability that exactly d experts are picked by these tokens, for d = 0 … E."""
    at = [0.0] * (n_experts + 1)
    at[0] = 1.0
    all_picks = binomials(n_experts)[k]
    for _ in range(n_tokens):
        after = [0.0] * (n_experts + 1)
        for d, p in enumerate(at):
            if p < 1e-15:
                continue
            fresh, known = binomials(n_experts - d), binomials(d)
            for new in range(max(0, k - d), min(k, n_experts - d) + 1):
                after[d + new] += p * (fresh[new] * known[k - new] / all_picks)
        at = after
    return at


def mean_distinct(n_experts, k, n_tokens):
    return n_experts * (1 - (1 - k / n_experts) ** n_tokens)


def at_most(sizes, limit, n_experts):
    """By number of experts picked: how many sets have no more than `limit` of any rank's."""
    ways = [1.0]
    for size in sizes:
        own = binomials(size)[: limit + 1]
        joined = [0.0] * (len(ways) + len(own) - 1)
        for i, a in enumerate(ways):
            for j, b in enumerate(own):
                joined[i + j] += a * b
        ways = joined
    return ways + [0.0] * (n_experts + 1 - len(ways))


@functools.lru_cache(maxsize=None)
def most_distinct(n_experts, k, n_tokens, n_ranks):
    """Expected number of experts read by the rank that reads most. Given how many experts are picked, every set of so many
    is equally likely, so this is exact."""
    if n_ranks == 1 or n_tokens == 0:
        return mean_distinct(n_experts, k, n_tokens)
    sizes = [n_experts * (8 * (r + 1) // n_ranks) // 8 - n_experts * (8 * r // n_ranks) // 8 for r in range(n_ranks)]
    if n_tokens > 64:  # nearly all are read
        return max(sizes) * (1 - (1 - k / n_experts) ** n_tokens)
    chances = distinct_distribution(n_experts, k, n_tokens)
    likely = [d for d, p in enumerate(chances) if p > 1e-9]
    expected = 0.0
    for limit in range(max(sizes)):  # E[max] = sum over m of P(max > m)
        ways = at_most(sizes, limit, n_experts)
        beyond = sum(chances[d] * (1 - ways[d] / binomials(n_experts)[d]) for d in likely)
        expected += beyond
        if beyond < 1e-9:
            break
    return expected


# Expected maximum of n standard normal numbers.
NORMAL_MAXIMUM = (0, 0, 0.564, 0.846, 1.029, 1.163, 1.267, 1.352, 1.424)


def most_work(n_experts, k, n_tokens, n_ranks):
    """Expected (token, expert) pairs of the rank that has most, as the mean and its deviation say."""
    if n_ranks == 1:
        return n_tokens * k
    most = max((8 * (r + 1) // n_ranks - 8 * r // n_ranks) / 8 for r in range(n_ranks))
    mean = n_tokens * k * most
    return min(n_tokens * k, mean + NORMAL_MAXIMUM[n_ranks] * math.sqrt(mean * (1 - most)))

"""A result in words for a person, and as JSON for a program."""
from . import Refused, cost
from .plan import MOST_SEQUENCES
from .shard import LEAVES, balance


def size(n_bytes):
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}" if n_bytes < 999.5 * factor else f"{n_bytes / factor:.0f} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def rate(value):
    """A speed in as many digits as the calculation deserves."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def seconds(value):
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def count(n, thing):
    return f"{n} {thing}" + ("" if n == 1 else "s")


def shares(terms):
    """The terms of a step in percent, the largest first."""
    whole = cost.total(terms)
    named = sorted(((value / whole, name) for name, value in terms.items() if value / whole >= 0.005), reverse=True)
    return ", ".join(f"{name} {share:.0%}" for share, name in named)


def arrangement(s):
    text = f"{count(s.replicas, 'replica')} of {count(s.ranks, 'rank')}"
    if s.ranks > 1:
        text += f" on {count(s.hosts, 'host')}: {count(s.stages, 'stage')} of {count(s.tensor_ranks, 'tensor rank')}"
    return text


def links(s):
    used = []
    if s.ranks_inside > 1:
        used.append(f"{s.inner.name} inside a host")
    if s.hosts > 1:
        used.append(f"{s.outer.name} between hosts")
    return ", ".join(used)


def lines(result):
    s, model, memory = result.setup, result.setup.model, result.memory
    yield "model", (f"{model.name}, {s.weights}, keys and values {s.kv}: {model.n_parameters() / 1e9:.3g} billion weights, "
                    f"{model.n_active_parameters() / 1e9:.3g} for a token")
    yield "machine", f"{s.machine.what}" + (f"; {links(s)}" if links(s) else "")
    yield "arrangement", arrangement(s)
    if s.tensor_ranks > 1 and balance(s.tensor_ranks) < 0.8:
        yield "", (f"{LEAVES} leaves do not divide by {s.tensor_ranks}: the average rank has {balance(s.tensor_ranks):.0%} "
                   "of the work of the fullest")
    yield "memory of a rank", (f"{size(memory.weights)} weights + {size(memory.kv)} keys and values + "
                               f"{size(memory.activations)} activations + {size(memory.margin)} margin = "
                               f"{size(memory.needed)} of {size(memory.available)}")
    if not result.fits:
        yield "fits", f"no: short of {size(memory.needed - memory.available)}; fewer bits, more ranks, or shorter --prompt and --answer"
        return
    room = f"{MOST_SEQUENCES} or more" if result.capacity == MOST_SEQUENCES else str(result.capacity)
    yield "fits", f"yes: room for {room} sequences of {s.prompt + s.answer} tokens a replica"
    if result.streams < s.users_of_replica:
        yield "", f"{result.streams} of {s.users_of_replica} users of a replica at a time, the others wait"
    yield "prefill", (f"{rate(result.prefill_rate)} tok/s: first token of {s.prompt} after {seconds(result.first_token)}; "
                      f"limit: {cost.largest(result.prefill_terms)}")
    yield "", shares(result.prefill_terms)
    together = count(result.all_streams, "stream")
    yield "decode", (f"{rate(result.user_rate)} tok/s for each of {together}, {rate(result.total_rate)} together; "
                     f"limit: {cost.largest(result.decode_terms)}")
    yield "", shares(result.decode_terms)
    yield "all day", (f"{rate(result.request_rate * 3600)} requests of {s.prompt} + {s.answer} tokens an hour, "
                      f"{rate(result.sustained_rate)} tok/s of answers, prompts computed between")


def text(result):
    return "\n".join(f"{name:18}{value}" for name, value in lines(result))


def goal_line(replicas, setup, goal):
    each = f"{rate(goal)} tok/s for each of {count(setup.users, 'user')}"
    if replicas is None:
        return f"{'goal':18}{each}: no number of such replicas reaches it"
    return f"{'goal':18}{each}: {count(replicas, 'replica')}, {count(replicas * setup.hosts, 'host')}"


def as_json(result):
    s, memory = result.setup, result.memory
    out = {
        "model": s.model.name, "weights": s.weights, "kv_dtype": s.kv, "machine": s.machine.name, "ranks": s.ranks,
        "stages": s.stages, "tensor_ranks": s.tensor_ranks, "hosts": s.hosts, "replicas": s.replicas, "users": s.users,
        "prompt": s.prompt, "answer": s.answer, "n_parameters": s.model.n_parameters(),
        "n_active_parameters": s.model.n_active_parameters(),
        "memory_of_a_rank": {"weights": memory.weights, "kv": memory.kv, "activations": memory.activations,
                             "margin": memory.margin, "available": memory.available},
        "fits": result.fits, "capacity": result.capacity, "streams": result.streams,
    }
    if result.fits:
        out |= {
            "first_token_seconds": result.first_token, "prefill_tokens_per_second": result.prefill_rate,
            "prefill_limit": cost.largest(result.prefill_terms), "prefill_seconds": result.prefill_terms,
            "decode_tokens_per_second_of_a_user": result.user_rate, "decode_tokens_per_second": result.total_rate,
            "decode_limit": cost.largest(result.decode_terms), "decode_seconds": result.decode_terms,
            "requests_per_second": result.request_rate,
        }
    return out


def table(rows):
    """Columns under their heads: the first flush left, the others right. Bars keep neighbouring numbers apart."""
    rows = [[str(cell) for cell in row] for row in rows]
    if not rows:
        raise Refused("a table without rows")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    cells = ([c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))] for row in rows)
    return "\n".join(" | ".join(row).rstrip(" |") for row in cells)

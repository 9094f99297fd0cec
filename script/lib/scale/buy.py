"""What to buy: for each official model and machine the fewest ranks that hold it, how fast one user is, and how many users
get a speed at which an answer can be read as it comes."""
import dataclasses

from . import plan
from .machines import MACHINES, link_named
from .report import rate, table

RANKS = (1, 2, 3, 4, 5, 6, 7, 8)
LEFT_OUT = ("2-cores", "16-cores-amx")  # parts of machines that were measured: nobody buys them


def smallest(model, machine, options):
    """The best arrangement of the fewest ranks that hold the model with one user, or None."""
    for ranks in RANKS:
        setup = dataclasses.replace(options, model=model, machine=machine, inner=link_named(machine.inner),
                                    outer=link_named(machine.outer), ranks=ranks, users=1)
        result = plan.best(setup)
        if result.fits:
            return result
    return None


def rows(options, goal, models):
    yield ["model", "machine", "ranks", "prefill", "alone", f"users at {rate(goal)}", "together", "limit with them"]
    for model in models:
        for machine in (m for m in MACHINES if m.name not in LEFT_OUT):
            result = smallest(model, machine, options)
            if result is None:
                yield [model.name, machine.name, f"more than {RANKS[-1]}", "", "", "", "", ""]
                continue
            users = plan.most_users(result.setup, goal)
            full = plan.evaluate(dataclasses.replace(result.setup, users=users)) if users else None
            many = f"{users}+" if users == plan.MOST_SEQUENCES else str(users)
            yield [model.name, machine.name, result.setup.ranks, rate(result.prefill_rate), rate(result.user_rate), many,
                   rate(full.total_rate) if full else "", plan.cost.largest(full.decode_terms) if full else ""]


def text(options, goal, models):
    return table(list(rows(options, goal, models)))

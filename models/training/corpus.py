"""The mixture of tasks, the held-out split and the token stream.

Held-out: `held_out(task)` draws fixed samples from their own seed; the training stream drops every
sample whose key (the problem itself, not its wording, for numbers, lists and grids; the whole
request for texts) is among the held-out keys. So no held-out problem is ever trained on.
"""
import random

import numpy as np

import tasks_grid
import tasks_numbers
import tasks_text
import tasks_tools
from sample import segments

MAX_TOKENS = 1024
# task group -> (generator, share of the samples)
MIX = {
    "arc": (tasks_grid.puzzle, 0.20),
    "arithmetic": (tasks_numbers.arithmetic, 0.20),
    "sort": (tasks_numbers.sort_task, 0.08),
    "reverse": (tasks_numbers.reverse_task, 0.07),
    "count": (tasks_numbers.count_task, 0.10),
    "compare": (tasks_numbers.compare_task, 0.04),
    "tools": (tasks_tools.tool_task, 0.12),
    "json": (tasks_tools.json_task, 0.07),
    "translate": (tasks_text.translate, 0.04),
    "chat": (tasks_text.greeting, 0.02),
    "commands": (tasks_text.command, 0.03),
    "refuse": (tasks_text.refusal, 0.03),
    "dialogue": (tasks_text.remember, 0.01),
    "spell": (tasks_numbers.spell_task, 0.02),
}
SHORT = ("arithmetic", "sort", "reverse", "count", "compare", "translate", "chat", "commands", "refuse", "dialogue", "spell")
HELD_OUT_SEED = 20_250_429
HELD_OUT_SIZE = {"arc": 400, "arithmetic": 600, "tools": 400, "json": 200, "sort": 200, "reverse": 200, "count": 200, "chat": 40, "spell": 40}
HELD_OUT_DEFAULT = 120
# The plain forms that everybody types ("Hello", "2 + 2") stay in the training stream.
BASIC = {ask for table in (tasks_text.CHAT, tasks_text.CHAT_ZH) for asks, _, _ in table.values() for ask in asks}


def draw(r, group=None):
    """One sample of the mixture, sometimes with a system message or an earlier exchange."""
    if group is None:
        group = r.choices(GROUPS, WEIGHTS)[0]
    s = MIX[group][0](r)
    if s.tools or group in ("arc", "json", "tools"):
        return s
    if r.random() < 0.12:
        history = []
        for _ in range(r.randint(1, 2)):
            h = MIX[r.choice(SHORT)][0](r)
            if h.messages[0]["role"] != "system":
                history += h.messages + [{"role": "assistant", "content": h.answer}]
        s.messages = history + s.messages
    if r.random() < 0.1:
        s.messages = [{"role": "system", "content": r.choice(tasks_text.SYSTEMS)}] + s.messages
    if s.think is None and r.random() < 0.15:
        last = s.messages[-1]
        s.messages[-1] = {"role": "user", "content": last["content"] + " /no_think"}
        s.soft = True
    return s


GROUPS = list(MIX)
WEIGHTS = [w for _, w in MIX.values()]


def held_out():
    """{group: [samples]}; short tasks stand alone, as a user would ask them first."""
    result = {}
    for i, group in enumerate(GROUPS):
        r = random.Random(HELD_OUT_SEED + i)
        seen, samples = set(), []
        tries = 0
        while len(samples) < HELD_OUT_SIZE.get(group, HELD_OUT_DEFAULT) and tries < 20000:
            tries += 1
            s = MIX[group][0](r)
            if group == "arc":
                s.think = None
                if tasks_grid.ambiguous(s):
                    continue
            if s.messages[-1]["content"] in BASIC or (group == "arithmetic" and s.meta["digits"] < 2):
                continue
            if s.key not in seen:
                seen.add(s.key)
                samples.append(s)
        result[group] = samples
    return result


def held_out_keys(samples):
    return {s.key for group in samples.values() for s in group}


def encode(tokenizer, sample):
    """(ids, loss flags) of one sample, or None when it is too long."""
    parts = segments(sample)
    ids, flags = [], []
    for e, (_, w) in zip(tokenizer.encode_batch([t for t, _ in parts], add_special_tokens=False), parts):
        ids += e.ids
        flags += [w] * len(e.ids)
    return (ids, flags) if len(ids) <= MAX_TOKENS else None


def stream(seed, tokenizer, forbidden, batch=256):
    """Endless (ids, flags) as numpy arrays; encodes many samples per call for speed."""
    r = random.Random(seed)
    while True:
        samples = [s for s in (draw(r) for _ in range(batch)) if s.key not in forbidden]
        parts = [segments(s) for s in samples]
        encodings = iter(tokenizer.encode_batch_fast([t for p in parts for t, _ in p], add_special_tokens=False))
        for p in parts:
            ids, flags = [], []
            for _, w in p:
                e = next(encodings).ids
                ids += e
                flags += [w] * len(e)
            if len(ids) <= MAX_TOKENS:
                yield np.array(ids, dtype=np.uint16), np.array(flags, dtype=np.uint8)

"""nano-arc: small grid puzzles with one hidden rule, in the prompt style of ARC-AGI 1.

Each rule is a function grid -> grid, drawn with its parameters. `describe` is the one-line reason
used when thinking is on. `puzzle` makes a prompt; `ambiguous` says whether another rule also fits
all demonstrations but gives another answer (used for the held-out set, too slow for the stream).
"""
from sample import SPAN_CLOSE, SPAN_OPEN, Sample


def flip_lr(g):
    return [row[::-1] for row in g]


def flip_ud(g):
    return [row[:] for row in g[::-1]]


def transpose(g):
    return [list(c) for c in zip(*g)]


def rot90(g):  # clockwise
    return [list(c) for c in zip(*g[::-1])]


def rot180(g):
    return [row[::-1] for row in g[::-1]]


def rot270(g):
    return [list(c) for c in zip(*g)][::-1]


def shift_right(g):
    return [row[-1:] + row[:-1] for row in g]


def shift_left(g):
    return [row[1:] + row[:1] for row in g]


def shift_down(g):
    return [row[:] for row in g[-1:] + g[:-1]]


def shift_up(g):
    return [row[:] for row in g[1:] + g[:1]]


def mirror_right(g):
    return [row + row[::-1] for row in g]


def mirror_down(g):
    return [row[:] for row in g + g[::-1]]


def repeat_right(g):
    return [row + row for row in g]


def double(g):
    out = []
    for row in g:
        wide = [c for c in row for _ in (0, 1)]
        out += [wide, wide[:]]
    return out


def crop(g):
    rows = [i for i, row in enumerate(g) if any(row)]
    cols = [j for j in range(len(g[0])) if any(row[j] for row in g)]
    return [row[cols[0] : cols[-1] + 1] for row in g[rows[0] : rows[-1] + 1]]


def fall_down(g):
    cols = []
    for c in zip(*g):
        kept = [x for x in c if x]
        cols.append([0] * (len(c) - len(kept)) + kept)
    return [list(r) for r in zip(*cols)]


def top_half(g):
    return [row[:] for row in g[: len(g) // 2]]


def left_half(g):
    return [row[: len(row) // 2] for row in g]


def recolour(a, b):
    return lambda g: [[b if c == a else c for c in row] for row in g]


def swap(a, b):
    m = {a: b, b: a}
    return lambda g: [[m.get(c, c) for c in row] for row in g]


def fill(b):
    return lambda g: [[c if c else b for c in row] for row in g]


def border(b):
    def f(g):
        h, w = len(g), len(g[0])
        return [
            [b if i in (0, h - 1) or j in (0, w - 1) else g[i][j] for j in range(w)]
            for i in range(h)
        ]

    return f


# name -> (function or None when it has colours, reason, kind of grid it needs)
FIXED = {
    "flip_lr": (flip_lr, "flip left to right", "any"),
    "flip_ud": (flip_ud, "flip top to bottom", "any"),
    "transpose": (transpose, "rows become columns", "any"),
    "rot90": (rot90, "turn a quarter clockwise", "any"),
    "rot180": (rot180, "turn by half", "any"),
    "rot270": (rot270, "turn a quarter counter-clockwise", "any"),
    "shift_right": (shift_right, "move right by one, wrap around", "any"),
    "shift_left": (shift_left, "move left by one, wrap around", "any"),
    "shift_down": (shift_down, "move down by one, wrap around", "any"),
    "shift_up": (shift_up, "move up by one, wrap around", "any"),
    "mirror_right": (mirror_right, "add the mirror image at the right", "small"),
    "mirror_down": (mirror_down, "add the mirror image below", "small"),
    "repeat_right": (repeat_right, "repeat at the right", "small"),
    "double": (double, "make each cell two by two", "tiny"),
    "crop": (crop, "keep the box around the coloured cells", "sparse"),
    "fall_down": (fall_down, "coloured cells fall down", "holes"),
    "top_half": (top_half, "keep the top half", "even_h"),
    "left_half": (left_half, "keep the left half", "even_w"),
}
COLOUR = ("recolour", "swap", "fill", "border")
RULES = tuple(FIXED) + COLOUR


def draw_rule(r, name):
    """(function, reason, kind, colours that must appear)."""
    if name in FIXED:
        f, reason, kind = FIXED[name]
        return f, reason, kind, ()
    a, b = r.sample(range(1, 10), 2)
    if name == "recolour":
        return recolour(a, b), f"colour {a} becomes {b}", "has", (a,)
    if name == "swap":
        return swap(a, b), f"swap colours {a} and {b}", "has", (a, b)
    if name == "fill":
        return fill(b), f"colour 0 becomes {b}", "holes", ()
    return border(b), f"the border becomes {b}", "big", ()


def draw_grid(r, kind, must, size=None):
    if size is None:
        size = draw_size(r, kind)
    h, w = size
    if kind == "sparse":  # a full block somewhere in an empty grid
        bh, bw = r.randint(1, max(1, h - 1)), r.randint(1, max(1, w - 1))
        top, left = r.randint(0, h - bh), r.randint(0, w - bw)
        g = [[0] * w for _ in range(h)]
        colours = r.sample(range(1, 10), r.randint(1, 3))
        for i in range(bh):
            for j in range(bw):
                g[top + i][left + j] = r.choice(colours)
        return g
    colours = r.sample(range(1, 10), r.randint(2, 4))
    if must:
        colours = list(set(colours[:2]) | set(must))
    p_zero = r.choice((0.3, 0.5, 0.6)) if kind == "holes" else r.choice((0.0, 0.0, 0.3, 0.6))
    g = [[0 if r.random() < p_zero else r.choice(colours) for _ in range(w)] for _ in range(h)]
    flat = [(i, j) for i in range(h) for j in range(w)]
    cells = r.sample(flat, len(must) + 1)
    for c, (i, j) in zip(must, cells):
        g[i][j] = c
    if kind == "holes":
        i, j = cells[-1]
        g[i][j] = 0
    return g


def draw_size(r, kind):
    if kind == "tiny":
        return r.choice(((2, 2), (2, 2), (2, 3), (3, 2), (1, 2), (2, 1)))
    if kind == "small":
        return r.randint(2, 3), r.randint(2, 3)
    if kind == "even_h":
        return r.choice((2, 4)), r.randint(2, 4)
    if kind == "even_w":
        return r.randint(2, 4), r.choice((2, 4))
    if kind in ("big", "sparse"):
        return r.randint(3, 5), r.randint(3, 5)
    return r.choice((2, 3, 3, 3, 4, 4, 5)), r.choice((2, 3, 3, 3, 4, 4, 5))


def grid_text(g, indent):
    pad = " " * indent
    rows = ",\n".join(f"{pad}  [" + ", ".join(map(str, row)) + "]" for row in g)
    return f"[\n{rows}\n{pad}]\n"


def pair_text(inp, out, loss):
    if out is None:
        body = " [\n    []\n  ]\n"
    else:
        body = " " + grid_text(out, 2)
    if loss:
        body = SPAN_OPEN + body + SPAN_CLOSE
    return '{\n  "input": ' + grid_text(inp, 2)[:-1] + ',\n  "output":' + body + "}"


def answer_text(g):
    rows = ",\n".join("    [" + ", ".join(map(str, row)) + "]" for row in g)
    return f"```json\n[\n{rows}\n]\n```"


LINE = "-" * 40
EXAMPLE = "```json\n[\n    [0, 0],\n    [0, 0]\n]\n```"
OPENINGS = (
    "Each pair below shows an input grid and the output grid that one hidden rule makes of it. "
    "Find the rule.",
    "Study these input and output grids. One rule turns every input into its output.",
    "Learn the rule from these pairs of grids.",
    "Here are some solved grids. The same rule was used for all of them.",
    "Look at the examples and find out how the output is made from the input.",
)
MIDDLES = (
    "Now use the same rule on this input grid:",
    "Apply the rule to this grid:",
    "This one is not solved yet:",
    "Your puzzle:",
    "Solve this one in the same way:",
)
CLOSINGS = (
    "Which output grid belongs to it? Give the grid as JSON, in this form:",
    "Write the output grid as JSON, for example:",
    "What is the output grid? Answer in this form:",
    "Give only the output grid, like this:",
)


def prompt_text(demos, test, wording, loss=True):
    a, b, c = wording
    # The first output cannot be inferred from an earlier pair: no loss on it.
    pairs = "\n\n".join(pair_text(i, o, loss and k > 0) for k, (i, o) in enumerate(demos))
    return (
        f"{OPENINGS[a]}\n{LINE}\n{pairs}\n{LINE}\n{MIDDLES[b]}\n{LINE}\n"
        f"{pair_text(test, None, False)}\n{LINE}\n{CLOSINGS[c]}\n{EXAMPLE}"
    )


def puzzle(r, name=None, wording=None):
    """A Sample; meta holds rule, demonstrations and test input."""
    name = name or r.choice(RULES)
    f, reason, kind, must = draw_rule(r, name)
    same = draw_size(r, kind) if r.random() < 0.6 else None
    n = 3 if r.random() < 0.75 else 2
    grids = []
    while len(grids) < n + 1:
        g = draw_grid(r, kind, must, same)
        o = f(g)
        if o == g and r.random() < 0.9:  # keep few pairs that show nothing
            continue
        grids.append((g, o))
    demos, (test, answer) = grids[:n], grids[n]
    if wording is None:
        wording = (r.randrange(len(OPENINGS)), r.randrange(len(MIDDLES)), r.randrange(len(CLOSINGS)))
    think = f"Rule: {reason}." if r.random() < 0.25 else None
    return Sample(
        "arc",
        [{"role": "user", "content": prompt_text(demos, test, wording)}],
        answer_text(answer),
        {"kind": "grid", "value": answer},
        think=think,
        key=f"arc:{test}>{answer}",
        meta={"rule": name, "demos": demos, "test": test},
    )


def ambiguous(sample):
    demos, test, answer = sample.meta["demos"], sample.meta["test"], sample.check["value"]
    rules = [f for f, _, _ in FIXED.values()]
    for a in range(1, 10):
        rules += [fill(a), border(a)]
        rules += [recolour(a, b) for b in range(10) if a != b]
        rules += [swap(a, b) for b in range(a + 1, 10)]
    for f in rules:
        try:
            if all(f(i) == o for i, o in demos) and f(test) != answer:
                return True
        except IndexError:  # crop of an empty grid, half of one row
            continue
    return False

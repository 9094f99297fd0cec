"""A chart of lines as SVG, each line named at its end. No dependency, the same bytes everywhere."""
import dataclasses
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 56, 54
COLOURS = ("#0969da", "#cf222e", "#1a7f37", "#8250df", "#bc4c00", "#1b7c83", "#bf3989", "#57606a")
LABEL_STEP = 16  # pixels between names
STYLE = (".bg{fill:#fff}.t{fill:#1f2328;font-size:13px}.s{fill:#59636e;font-size:12px}.h{fill:#1f2328;font-size:16px;font-weight:bold}"
         ".g{stroke:#d1d9e0;stroke-width:1}.m{stroke:#59636e;stroke-width:1.4;stroke-dasharray:6 4}.l{fill:none;stroke-width:2.2}")


@dataclasses.dataclass
class Line:
    name: str
    points: list  # (x, y), y None where there is none


@dataclasses.dataclass
class Chart:
    title: str
    x_label: str
    y_label: str
    lines: list
    log_x: bool = False
    mark: tuple = None  # (y, its name)


def ticks_of_log(low, high):
    """1, 2, 5, 10 … that enclose the numbers."""
    values = [m * 10.0**e for e in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2) for m in (1, 2, 5)]
    first = max((v for v in values if v <= low), default=values[0])
    last = min((v for v in values if v >= high), default=values[-1])
    return [v for v in values if first <= v <= last]


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


class Axes:
    """From numbers to pixels. y is logarithmic, x only if it is asked for; ticks of x are the x that there are."""

    def __init__(self, chart):
        xs = sorted({x for line in chart.lines for x, _ in line.points})
        ys = [y for line in chart.lines for _, y in line.points if y is not None]
        ys += [chart.mark[0]] if chart.mark else []
        ys = ys or [1.0]
        self.xs, self.ticks = xs, ticks_of_log(min(ys), max(ys))
        if len(self.ticks) == 1:
            self.ticks.append(self.ticks[0] * 10)
        self.scale = math.log if chart.log_x else float
        if len(self.ticks) > 10:
            self.ticks = [t for t in self.ticks if f"{t:e}"[0] == "1"] + [t for t in self.ticks[:1] + self.ticks[-1:]]
            self.ticks = sorted(set(self.ticks))

    def x(self, value):
        low, high = self.scale(self.xs[0]), self.scale(self.xs[-1])
        share = (self.scale(value) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        low, high = math.log(self.ticks[0]), math.log(self.ticks[-1])
        return HEIGHT - BOTTOM - (math.log(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def text(style, x, y, words, anchor="start", more=""):
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def grid(chart, axes):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in axes.ticks:
        y = axes.y(tick)
        yield f'<path class="g" d="M{LEFT} {y:.1f} L{right} {y:.1f}"/>'
        yield text("s", LEFT - 8, y + 4, number(tick), "end")
    for x in axes.xs:
        yield text("s", axes.x(x), bottom + 18, number(x), "middle")
    yield text("s", (LEFT + right) / 2, HEIGHT - 12, chart.x_label, "middle")
    yield text("s", LEFT - 56, TOP - 14, chart.y_label)
    yield text("h", LEFT - 56, 24, chart.title)
    if chart.mark:
        y = axes.y(chart.mark[0])
        yield f'<path class="m" d="M{LEFT} {y:.1f} L{right} {y:.1f}"/>'


def pieces(points):
    """Runs of points that have a value."""
    run = []
    for x, y in points + [(None, None)]:
        if y is not None:
            run.append((x, y))
        elif run:
            yield run
            run = []


def label_places(wanted):
    """y of each name, near where it is wanted and LABEL_STEP from the next."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = {}
    at = -math.inf
    for i in order:
        at = max(wanted[i], at + LABEL_STEP)
        placed[i] = at
    floor = HEIGHT - 6
    for i in reversed(order):  # what went below the picture moves up again
        placed[i] = min(placed[i], floor)
        floor = placed[i] - LABEL_STEP
    return [placed[i] for i in range(len(wanted))]


def drawn_lines(chart, axes):
    labels = []
    for i, line in enumerate(chart.lines):
        colour = COLOURS[i % len(COLOURS)]
        last = None
        for run in pieces(line.points):
            path = " L".join(f"{axes.x(x):.1f} {axes.y(y):.1f}" for x, y in run)
            yield f'<path class="l" stroke="{colour}" d="M{path}"/>'
            for x, y in run:
                yield f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="3" fill="{colour}"/>'
            last = run[-1]
        if last:
            labels.append((axes.x(last[0]), axes.y(last[1]), line.name, colour))
    if chart.mark:
        labels.append((WIDTH - RIGHT, axes.y(chart.mark[0]), chart.mark[1], "#59636e"))
    edge = WIDTH - RIGHT + 12
    for (x, y, name, colour), place in zip(labels, label_places([label[1] + 4 for label in labels])):
        if x < WIDTH - RIGHT - 1 or abs(place - 4 - y) > 2:
            yield f'<path d="M{x + 5:.1f} {y:.1f} L{edge - 3} {place - 4:.1f}" stroke="{colour}" stroke-width="0.7" opacity="0.5"/>'
        yield text("t", edge, place, name, more=f' style="fill:{colour}"')


def svg(chart):
    axes = Axes(chart)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="system-ui, sans-serif" role="img" aria-label="{escape(chart.title, {chr(34): "&quot;"})}">')
    body = [f"<style>{STYLE}</style>", f'<rect class="bg" width="{WIDTH}" height="{HEIGHT}"/>', *grid(chart, axes),
            *drawn_lines(chart, axes)]
    return "\n".join([head, *body, "</svg>"]) + "\n"

"""Draw the curves of one or more runs as a small SVG. Usage: plot.py OUT.svg TITLE metrics.jsonl [more.jsonl]

Left: training and held-out loss (log scale); right: held-out samples answered exactly, per task.
Later files continue the earlier ones. Hand-written SVG: no plotting package, stable bytes.
"""
import json
import math
import sys

COLOURS = ("#1f77b4 #d62728 #2ca02c #ff7f0e #9467bd #8c564b #e377c2 #17becf #bcbd22 #7f7f7f #393b79 #637939 #843c39 #7b4173 #000000").split()
W, H, TOP, BOTTOM = 400, 260, 40, 300


def line(points, colour):
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>'


def text(x, y, s, anchor="start", size=11, colour="#333"):
    s = s.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{s}</text>'


def main():
    out, title, *files = sys.argv[1:]
    rows, base, borders = [], 0, []
    for f in files:
        part = [json.loads(x) for x in open(f)]
        if rows:
            borders.append(base)
        rows += [dict(r, tokens=r["tokens"] + base) for r in part if r["step"] > 0]
        base = rows[-1]["tokens"]
    most = rows[-1]["tokens"]
    low = min(min(r["loss"], r["held_out_loss"]) for r in rows)
    bottom, top = math.floor(math.log10(low)), 0.5

    def x(r, left):
        return left + r["tokens"] / most * W

    def y_loss(v):
        return BOTTOM - (math.log10(v) - bottom) / (top - bottom) * H

    def y_share(v):
        return BOTTOM - v * H

    a, b = 60, 540
    svg = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1100 350"><rect width="1100" height="350" fill="#fff"/>', text(20, 22, title, size=14)]
    for left in (a, b):
        svg.append(f'<rect x="{left}" y="{TOP}" width="{W}" height="{H}" fill="none" stroke="#999"/>')
        for k in range(5):
            svg.append(text(left + W * k / 4, BOTTOM + 16, f"{most * k / 4 / 1e6:.0f}", "middle"))
        svg.append(text(left + W / 2, BOTTOM + 34, "million tokens trained on", "middle"))
        for t in borders:
            bx = left + t / most * W
            svg.append(f'<line x1="{bx:.1f}" x2="{bx:.1f}" y1="{TOP}" y2="{BOTTOM}" stroke="#bbb" stroke-dasharray="3 3"/>')
    for e in range(bottom, 1):
        svg.append(text(a - 6, y_loss(10**e) + 4, f"1e{e}" if e else "1", "end"))
        svg.append(f'<line x1="{a}" x2="{a + W}" y1="{y_loss(10**e):.1f}" y2="{y_loss(10**e):.1f}" stroke="#eee"/>')
    for v in (0, 0.25, 0.5, 0.75, 1):
        svg.append(text(b - 6, y_share(v) + 4, f"{v:.0%}", "end"))
    for i, (key, label) in enumerate((("loss", "training loss (all loss tokens)"), ("held_out_loss", "held-out loss (answers)"))):
        svg.append(line([(x(r, a), y_loss(min(3, r[key]))) for r in rows], COLOURS[i]))
        svg.append(text(a + W - 8, TOP + 18 + 15 * i, label, "end", colour=COLOURS[i]))
    tasks = list(rows[-1]["exact"])
    for i, t in enumerate(tasks):
        svg.append(line([(x(r, b), y_share(r["exact"][t])) for r in rows if t in r["exact"]], COLOURS[i]))
        svg.append(text(b + W + 10, TOP + 12 + 17 * i, f"{t} {rows[-1]['exact'][t]:.1%}", colour=COLOURS[i]))
    svg.append("</svg>")
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()

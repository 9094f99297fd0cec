"""Two programs in turn on one machine: absolute speeds drift, ratios of neighbours hold."""
import statistics
import subprocess
import time


class Pairs:
    """What both did, pair by pair. A side is a function that returns {test: tokens a second}."""

    def __init__(self, ours, theirs, rival):
        self.sides, self.rival, self.pairs, self.seconds = (ours, theirs), rival, [], 0.0

    def run(self, say=print):
        """One pair. Who begins takes turns, so that neither always finds the machine warmer."""
        begin = time.monotonic()
        results = [None, None]
        for side in (0, 1) if len(self.pairs) % 2 == 0 else (1, 0):
            results[side] = self.sides[side]()
        self.pairs.append(tuple(results))
        self.seconds = time.monotonic() - begin
        say(f"pair {len(self.pairs)}: qwen3 {shown(results[0])}; {self.rival} {shown(results[1])}; {self.seconds:.0f} s")

    def fits(self, until):
        """Whether another pair would end before `until` (time.monotonic(), None: no end), by the last one's time."""
        return until is None or time.monotonic() + self.seconds < until

    def rows(self):
        """[{test, ours, theirs, ratio: {min, median, max}, pairs}] of the tests that both did, medians."""
        rows = []
        for test in self.pairs[0][0] if self.pairs else []:
            both = [(a[test], b[test]) for a, b in self.pairs if test in a and test in b]
            if both:
                ratios = sorted(a / b for a, b in both)
                rows.append({"test": test, "ours": statistics.median(a for a, _ in both),
                             "theirs": statistics.median(b for _, b in both),
                             "ratio": {"min": ratios[0], "median": statistics.median(ratios), "max": ratios[-1]},
                             "pairs": [list(pair) for pair in both]})
        return rows


def shown(speeds):
    return ", ".join(f"{test} {speed:.1f}" for test, speed in speeds.items())


def output(command, seconds=600, environment=None):
    """What a program prints; its last lines are in the error where it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout


def markdown(rows, rival, bars):
    """The table of rows(), with the bar of each test that has one and whether the median reaches it."""
    lines = [f"| test | qwen3 tok/s | {rival} tok/s | ratio, median (min to max) | bar |", "|---|---|---|---|---|"]
    for row in rows:
        ratio, bar = row["ratio"], bars.get(row["test"])
        verdict = "" if bar is None else f"≥ {bar:g} {'met' if ratio['median'] >= bar else 'missed'}"
        lines.append(f"| {row['test']} | {row['ours']:,.1f} | {row['theirs']:,.1f} | "
                     f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) | {verdict} |")
    return "\n".join(lines)

"""The arithmetic of script/scale: against closed forms, simulation, its own symmetries, and what was measured."""
import dataclasses
import pathlib
import random
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "script/lib"))
from scale import Refused, cost, experts, machines, measured, memory, model, plan  # noqa: E402


def setup(name="Qwen3-8B", machine="socket", outer=None, weights="bf16", **more):
    m = machines.machine_named(machine)
    return plan.Setup(model.find_model(name), weights, "bf16", m, machines.link_named(m.inner), machines.link_named(outer or m.outer),
                      **more)


def check_measured(change=lambda machine: machine):
    """What docs/scaling.md says of the calculation, for machines that were changed."""
    off = {row: row.deviation(change(row.machine)) for row in measured.VALIDATING}
    for row, deviation in off.items():
        bound = 0.15 if row.where in ("A", "B") else 0.3 if row.where == "C" else 1.0
        if not -bound / (1 + bound) <= deviation <= bound:
            raise AssertionError(f"{row.where}, {row.model}, {row.weights}, {row.what()}: {deviation:+.0%}, at most {bound:.0%}")
    middle = sorted(map(abs, off.values()))[len(off) // 2]
    if middle > 0.25:
        raise AssertionError(f"the median is off by {middle:.0%}")


class Measured(unittest.TestCase):
    def test_predictions(self):
        check_measured()

    def test_a_wrong_machine_is_noticed(self):
        for field, factor in (("bandwidth", 1.5), ("bandwidth", 0.6), ("compute", 1.6), ("compute", 0.6)):
            with self.subTest(field=field, factor=factor), self.assertRaises(AssertionError):
                check_measured(lambda m: dataclasses.replace(m, **{field: getattr(m, field) * factor}))

    def test_the_page_says_so(self):
        page = " ".join((ROOT / "docs/performance.md").read_text(encoding="utf-8").split())
        for row in measured.ROWS:
            self.assertIn(" ".join(row.quote.split()), page)

    def test_what_calibrates_does_not_validate(self):
        self.assertEqual(len(measured.ROWS) - len(measured.VALIDATING), 2)
        for row in set(measured.ROWS) - set(measured.VALIDATING):
            self.assertLess(abs(row.deviation()), 0.05, "HOPPER was not solved for this row")


class Experts(unittest.TestCase):
    def test_one_token(self):
        # Of 2 ranks with 2 experts each, a token that picks 2 of 4 reads 2 of one rank with probability 1/3.
        self.assertAlmostEqual(experts.most_distinct(4, 2, 1, 2), 1 + 1 / 3)

    def test_simulation(self):
        dice = random.Random(7)
        for n_experts, k, tokens, ranks in ((128, 8, 1, 4), (128, 8, 8, 8), (160, 8, 16, 3), (11, 3, 4, 5)):
            most = 0
            owner = [next(r for r in range(ranks) if e < n_experts * (8 * (r + 1) // ranks) // 8) for e in range(n_experts)]
            for _ in range(3000):
                hit = {e for _ in range(tokens) for e in dice.sample(range(n_experts), k)}
                most += max(sum(owner[e] == r for e in hit) for r in range(ranks)) / 3000
            self.assertAlmostEqual(experts.most_distinct(n_experts, k, tokens, ranks) / most, 1, delta=0.02)

    def test_distribution(self):
        for n_experts, k, tokens in ((128, 8, 5), (8, 8, 2), (512, 64, 40)):
            chances = experts.distinct_distribution(n_experts, k, tokens)
            self.assertAlmostEqual(sum(chances), 1, places=6)
            mean = sum(d * p for d, p in enumerate(chances))
            self.assertAlmostEqual(mean, experts.mean_distinct(n_experts, k, tokens), places=4)

    def test_work(self):
        self.assertEqual(experts.most_work(128, 8, 512, 1), 512 * 8)
        self.assertTrue(512 * 8 / 4 < experts.most_work(128, 8, 512, 4) < 1.15 * 512 * 8 / 4)
        self.assertLessEqual(experts.most_work(128, 8, 1, 8), 8)


class Sums(unittest.TestCase):
    def test_small_are_latency_large_are_bytes(self):
        link = machines.Link("x", 10e-6, 1e9, "")
        self.assertEqual(machines.sum_seconds(link, 1, 1 << 20), (0, 0))
        self.assertEqual(machines.sum_seconds(link, 2, 1000), (10e-6, 1e-6))
        latency, transfer = machines.sum_seconds(link, 8, 8 << 20)  # in slices: 2 · 7/8 of the bytes and not 7 times
        self.assertAlmostEqual(latency, 60e-6)
        self.assertAlmostEqual(transfer, 2 * 7 / 8 * (8 << 20) / 1e9)

    def test_two_hosts_of_two_sockets(self):
        s = setup(ranks=4)
        self.assertEqual((s.ranks_inside, s.hosts_of_stage, s.hosts), (2, 2, 2))
        one, four = plan.decode(setup(), 1)[1], plan.decode(s, 1)[1]
        self.assertNotIn(cost.LATENCY, {name for name, seconds in one.items() if seconds})
        n_sums = 2 * 36 + 1
        inner, outer = s.inner, s.outer
        self.assertAlmostEqual(four[cost.LATENCY], n_sums * (inner.latency + outer.latency))


class Plans(unittest.TestCase):
    def test_decode_reads_every_weight_once(self):
        s = setup("Qwen3-8B", prompt=2, answer=2)
        seconds, terms = plan.decode(s, 1)
        read = plan.memory_of(s, 1).weights - memory.table_bytes(s.model, "bf16", "cpu", 0, 1, s.model.embedding())
        self.assertAlmostEqual(terms[cost.WEIGHTS] * s.machine.bandwidth, read, delta=1 << 15)  # the last norm
        self.assertAlmostEqual(seconds, sum(terms.values()))

    def test_more_of_anything_is_never_slower(self):
        for field in ("bandwidth", "compute"):
            for users in (1, 16):
                s = setup("Qwen3-30B-A3B", users=users, ranks=2)
                faster = dataclasses.replace(s, machine=dataclasses.replace(s.machine, **{field: 2 * getattr(s.machine, field)}))
                self.assertGreaterEqual(plan.evaluate(faster).total_rate, plan.evaluate(s).total_rate)
                self.assertLessEqual(plan.evaluate(faster).first_token, plan.evaluate(s).first_token)

    def test_specification(self):
        """Estimates of the design: 32B in BF16 on one and two sockets; a pipeline does not help one user."""
        self.assertAlmostEqual(plan.evaluate(setup("Qwen3-32B")).user_rate, 5.9, delta=0.1)
        self.assertAlmostEqual(plan.evaluate(setup("Qwen3-32B", ranks=2)).user_rate, 11.8, delta=0.2)
        alone = plan.evaluate(setup("Qwen3-32B", "desktop", weights="q4_k"))
        piped = plan.evaluate(setup("Qwen3-32B", "desktop", weights="q4_k", ranks=4, stages=4))
        self.assertLessEqual(piped.user_rate, alone.user_rate)
        together = plan.evaluate(setup("Qwen3-32B", "desktop", weights="q4_k", ranks=4, stages=4, users=4))
        self.assertGreater(together.total_rate, 3.5 * alone.total_rate)

    def test_stages_hold_every_layer_once_and_evenly(self):
        for name, stages in (("Qwen3-235B-A22B", 3), ("Qwen3-8B", 5), ("Qwen3-0.6B", 28)):
            s = setup(name, stages=stages, ranks=stages)
            self.assertEqual([i for layers in s.layers for i in layers], list(range(s.model.num_hidden_layers)))
            self.assertEqual(len(s.layers), stages)
            self.assertGreaterEqual(min(map(len, s.layers)), 1)
        middle = setup("Qwen3-235B-A22B", stages=3, ranks=3).layers
        self.assertLessEqual(max(map(len, middle)) - min(map(len, middle)), 2)

    def test_a_tied_table_lies_at_both_ends(self):
        for name, copies in (("Qwen3-0.6B", 2), ("Qwen3-8B", 1)):
            one, two = (setup(name, stages=n, ranks=n) for n in (1, 2))
            held = [sum(stage[0] for stage in plan.stage_memory_of(s)) for s in (one, two)]
            table = memory.table_bytes(one.model, "bf16", "cpu", 0, 1, one.model.embedding())
            self.assertEqual(held[1] - held[0], (copies - 1) * table)

    def test_memory_of_what_runs(self):
        s = setup("Qwen3-8B", "h100", prompt=1000, answer=24, users=4)
        self.assertEqual(plan.memory_of(s, 4).kv, 4 * 1024 * 36 * 2 * 8 * 128 * 2)
        capacity = plan.most_sequences(s)
        self.assertTrue(plan.memory_of(s, capacity).fits)
        self.assertFalse(plan.memory_of(s, capacity + 1).fits)
        self.assertEqual(plan.evaluate(dataclasses.replace(s, users=capacity + 1)).streams, capacity)

    def test_what_does_not_fit(self):
        result = plan.evaluate(setup("Qwen3-235B-A22B", "h100"))
        self.assertFalse(result.fits)
        self.assertGreater(result.memory.needed, result.memory.available)
        self.assertTrue(plan.best(setup("Qwen3-235B-A22B", "h100", ranks=8)).fits)

    def test_replicas(self):
        one = plan.evaluate(setup("Qwen3-8B", users=8))
        many = plan.evaluate(setup("Qwen3-8B", users=32, replicas=4))
        self.assertAlmostEqual(many.total_rate, 4 * one.total_rate)
        s = setup("Qwen3-8B", users=200)
        replicas = plan.replicas_for(s, 20)
        self.assertGreaterEqual(plan.evaluate(dataclasses.replace(s, replicas=replicas)).user_rate, 20)
        fewer = dataclasses.replace(s, replicas=replicas - 1)
        self.assertLess(plan.evaluate(fewer).user_rate, 20)
        self.assertIsNone(plan.replicas_for(s, 1000))
        self.assertEqual(plan.evaluate(dataclasses.replace(s, users=plan.most_users(s, 20))).fits, True)
        self.assertLess(1 / plan.decode(s, plan.most_users(s, 20) + 1)[0], 20)

    def test_the_best_number_of_stages(self):
        slow, fast = (setup("Qwen3-235B-A22B", "desktop", link, weights="q4_k_m", ranks=4, users=8) for link in ("1gbe", "100gbe-rdma"))
        self.assertGreater(plan.best(slow).setup.stages, plan.best(fast).setup.stages)

    def test_refusals(self):
        for changes, words in (({"ranks": 9}, "at most 8"), ({"ranks": 4, "stages": 3}, "divisor"), ({"answer": 1 << 20}, "context"),
                               ({"ranks": 64, "stages": 64}, "a layer for each")):
            with self.assertRaisesRegex(Refused, words):
                plan.evaluate(setup(**changes))
        with self.assertRaisesRegex(Refused, "processors"):
            plan.evaluate(dataclasses.replace(setup(machine="h200"), kv="q8"))

    def test_presets_name_sources(self):
        for thing in [*machines.MACHINES, *machines.LINKS]:
            self.assertRegex(thing.source, r"data sheet|docs/performance\.md|measured|assumed|line rate|example")
        self.assertFalse(re.search(r"TODO|\?\?", " ".join(t.source for t in machines.MACHINES)))


if __name__ == "__main__":
    unittest.main()

"""Sizes of script/scale against the sources that they repeat: C++ headers, official configs, sizes of official files."""
import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "script/lib"))
from scale import model, shard, weights  # noqa: E402

# Names of WeightType that are others in the table.
OWN_NAME = {"f32": "f32", "bf16": "bf16", "f16": "f16"}


def source(path):
    return (ROOT / path).read_text(encoding="utf-8")


def body(text, begin, end):
    found = re.search(re.escape(begin) + r"(.*?)" + re.escape(end), text, re.S)
    if not found:
        raise AssertionError(f"the source has no {begin!r} any more")
    return re.sub(r"//[^\n]*", "", found[1])


def chain(text, function):
    """{enumerator: value} of `function`, a chain of `x == Enum::name ? value : …` and its last value under None."""
    inside = body(text, f"{function}(", "}\n")
    values = {name: int(value) for name, value in re.findall(r"::(\w+)\s*\?\s*(\d+)", inside)}
    values[None] = int(re.search(r":\s*(\d+);", inside)[1])
    return values


class Types(unittest.TestCase):
    def test_bytes_of_files(self):
        header = source("src/tensor/weight.h")
        names = re.findall(r"\w+", body(header, "enum class WeightType : uint8_t {", "};"))
        blocks = re.findall(r"\{\"[^\"]+\", \{(\d+), (\d+)\}\}", body(header, "kWeightTypeInfo[] = {", "};"))
        self.assertEqual(len(names), len(blocks))
        expected = {name: (int(n), int(b)) for name, (n, b) in zip(names, blocks)}
        self.assertEqual({name: (t.elements, t.bytes) for name, t in weights.TYPES.items()}, expected)

    def test_bytes_on_processors(self):
        header = source("src/kernels/cpu/block_layout.h")
        names = re.findall(r"\w+", body(header, "enum class Blocks : uint8_t {", "};"))
        layouts = re.findall(r"\{Codes::(\w+), Heads::(\w+), \d+, (\d+)\}", body(header, "kBlockLayouts[] = {", "};"))
        codes, heads = chain(header, "code_bytes"), chain(header, "head_bytes")
        self.assertEqual(len(names), len(layouts))
        for name, (code, head, inputs) in zip(names, layouts):
            t = weights.TYPES[name]
            self.assertEqual((t.head_inputs, t.head_bytes, t.code_bytes),
                             (int(inputs), heads.get(head, heads[None]), codes.get(code, codes[None])), name)

    def test_bytes_on_cards(self):
        codings, waiting = {}, []
        for case, coding in re.findall(r"case WeightType::(\w+):|return Coding::(\w+);",
                                       body(source("src/kernels/cuda/codes.cpp"), "Coding coding_of(WeightType type) {", "\n}\n")):
            if case:
                waiting.append(case)
            else:
                codings |= dict.fromkeys(waiting, coding)
                waiting = []
        self.assertGreater(len(codings), 10)
        none, int4, others = map(int, re.search(
            r"tile_bytes\(Coding coding\) \{\s*return coding == Coding::none \? (\w+) : coding == Coding::int4 \? (\d+) : (\d+);",
            source("src/kernels/cuda/layout.h").replace("kTileBytes", "512")).groups())
        for name, t in weights.TYPES.items():
            expected = {"int4": int4, None: none if name == "bf16" else 0}.get(codings.get(name), others)
            self.assertEqual(t.tile_bytes, expected, name)

    def test_padding(self):
        bf16, q8 = weights.TYPES["bf16"], weights.TYPES["q8_0"]
        self.assertEqual(bf16.matrix_bytes("cpu", 17, 5), 32 * 6 * 2)
        self.assertEqual(bf16.matrix_bytes("cuda", 17, 48), 32 * 48 * 2)
        self.assertEqual(q8.matrix_bytes("cpu", 16, 32), 64 + 512)
        self.assertEqual(bf16.matrix_bytes("cpu", 0, 5), 0)


class Models(unittest.TestCase):
    def official(self):
        """{name: [numbers]} of tests/formats/official_configs.h."""
        text = source("tests/formats/official_configs.h").replace("'", "")
        for entry in re.findall(r"\{\"(Qwen3[^\"]+)\",([^{}]*)\}", text):
            yield entry[0], [field.strip() for field in entry[1].split(",")]

    def test_official_configs(self):
        facts = dict(self.official())
        facts["Qwen3-Coder-480B-A35B"] = facts["Qwen3-Coder-480B-A35B-Instruct"]
        for name in model.OFFICIAL:
            m, f = model.find_model(name), facts[name]
            self.assertEqual(
                [m.num_hidden_layers, m.hidden_size, m.num_attention_heads, m.num_key_value_heads, m.tied, m.vocab_size,
                 m.max_position_embeddings], [int(f[0]), int(f[1]), int(f[3]), int(f[4]), f[5] == "true", int(f[6]), int(f[7])], name)
            if m.num_experts:
                self.assertEqual([m.num_experts, m.num_experts_per_tok, m.moe_intermediate_size], [int(v) for v in f[10:13]], name)
            else:
                self.assertEqual(m.intermediate_size, int(f[2]), name)
            if len(f) > 14:
                self.assertEqual(m.n_parameters(), int(f[14]), name)
        self.assertEqual(round(model.find_model("Qwen3-Coder-480B-A35B").n_parameters() / 1e9), 480)

    def test_sizes_of_official_files(self):
        sizes = re.findall(r"Size\{\"([^\"]+)\", \"([^\"]+)\", ([\d']+)\}", source("tests/quantize/mix_test.cpp"))
        self.assertEqual(len(sizes), 11)
        for name, mix, size in sizes:
            self.assertEqual(weights.file_bytes(model.find_model(name), mix.lower()), int(size.replace("'", "")), f"{name} {mix}")

    def test_layers_with_experts(self):
        values = json.loads(source("bench/configs/qwen3-30b-a3b/config.json"))
        values |= {"num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3]}
        # transformers: layer i has experts if (i + 1) % decoder_sparse_step == 0
        self.assertEqual(model.model_of("x", "x", values).sparse, (False, True, False, False, False, True))

    def test_active_parameters(self):
        self.assertAlmostEqual(model.find_model("Qwen3-235B-A22B").n_active_parameters() / 1e9, 22, delta=0.5)
        self.assertAlmostEqual(model.find_model("Qwen3-30B-A3B").n_active_parameters() / 1e9, 3, delta=0.1)
        m = model.find_model("Qwen3-0.6B")
        self.assertEqual(m.n_active_parameters(), m.n_parameters())  # the table is the head


class Shards(unittest.TestCase):
    def test_leaves_of_ranks(self):
        of_three = [[leaf for leaf in range(8) if 8 * r // 3 <= leaf < 8 * (r + 1) // 3] for r in range(3)]
        self.assertEqual(of_three, [[0, 1], [2, 3, 4], [5, 6, 7]])  # as src/parallel/shard.h draws it
        self.assertEqual(list(shard.nodes(1, 3)), [(2, 4), (4, 5)])
        self.assertEqual(list(shard.nodes(2, 3)), [(5, 6), (6, 8)])
        balances = {n: round(shard.balance(n), 2) for n in range(1, 9)}
        self.assertEqual(balances, {1: 1, 2: 1, 3: 0.89, 4: 1, 5: 0.8, 6: 0.67, 7: 0.57, 8: 1})

    def test_ranks_have_everything_once(self):
        for name in ("Qwen3-0.6B", "Qwen3-32B", "Qwen3-30B-A3B", "Qwen3-Coder-480B-A35B"):
            m = model.find_model(name)
            for kind in ("bf16", "q4_k", "fp8_128"):
                t = weights.TYPES[kind]
                for n in range(1, 9):
                    for matrix in m.layer(0):
                        if matrix.split in ("none", "kv heads"):  # whole on each; repeated where a group is cut
                            continue
                        held = sum(count * n_out * n_in for r in range(n)
                                   for count, n_out, n_in in shard.Split(m, r, n, t, None if m.sparse[0] else t).pieces(matrix))
                        self.assertEqual(held, matrix.numel, f"{name} {kind} {matrix.role} over {n}")
                    self.assertEqual(sum(shard.vocabulary_rows(m.vocab_size, r, n) for r in range(n)), m.vocab_size)

    def test_kv_heads_of_more_ranks_than_heads(self):
        m, t = model.find_model("Qwen3-235B-A22B"), weights.TYPES["bf16"]  # 64 heads, 4 of them kv
        self.assertEqual([shard.Split(m, r, 8, t).kv_heads for r in range(8)], [1] * 8)
        self.assertEqual([shard.Split(m, r, 4, t).kv_heads for r in range(4)], [1] * 4)
        three = [shard.Split(m, r, 3, t) for r in range(3)]  # 16, 24 and 24 heads: groups of 16 and of 8
        self.assertEqual([s.query_heads for s in three], [16, 24, 24])
        self.assertEqual([s.kv_heads for s in three], [1, 3, 3])

    def test_a_block_is_never_cut(self):
        for name, kind in (("Qwen3-14B", "q4_k"), ("Qwen3-32B", "q4_k"), ("Qwen3-32B", "fp8_128"), ("Qwen3-32B", "affine4")):
            m, t = model.find_model(name), weights.TYPES[kind]
            together = {"q4_k": 256}.get(kind, 128)  # files of the others scale 128 columns together
            for n in range(1, 9):
                for r in range(n):
                    split = shard.Split(m, r, n, t, t)
                    for matrix in m.layer(0):
                        for _, _, n_in in split.pieces(matrix):
                            self.assertEqual(n_in % together, 0, f"{name} {kind}: {matrix.role} of rank {r} of {n}")


if __name__ == "__main__":
    unittest.main()

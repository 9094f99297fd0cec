"""The shape of a model, from its config.json, and the matrices that it is made of."""
import dataclasses
import json
import pathlib

from . import Refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "bench/configs"
MAX_CONFIG_BYTES = 1 << 20

# The names by which people ask for models; the folders of bench/configs are these in lower case.
OFFICIAL = ["Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-4B", "Qwen3-8B", "Qwen3-14B", "Qwen3-32B", "Qwen3-30B-A3B",
            "Qwen3-235B-A22B", "Qwen3-Coder-480B-A35B"]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """`count` matrices [n_out, n_in]. `split`: what ranks share out of it: query heads (as rows, as kv heads, as
    columns), columns of the intermediate size (as rows, as columns), experts, ids of the vocabulary, or nothing."""

    role: str
    n_out: int
    n_in: int
    split: str
    count: int = 1

    @property
    def numel(self):
        return self.count * self.n_out * self.n_in


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    tied: bool
    attention_bias: bool
    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    sparse: tuple  # of each layer, whether it has experts
    stored: str  # the type of weights that the config names; empty: one that is not known here

    def layer(self, index):
        """The matrices of a layer."""
        h, q = self.hidden_size, self.num_attention_heads * self.head_dim
        kv = self.num_key_value_heads * self.head_dim
        yield Matrix("q_proj", q, h, "heads")
        yield Matrix("k_proj", kv, h, "kv heads")
        yield Matrix("v_proj", kv, h, "kv heads")
        yield Matrix("o_proj", h, q, "head columns")
        if not self.sparse[index]:
            yield Matrix("gate_proj", self.intermediate_size, h, "inner")
            yield Matrix("up_proj", self.intermediate_size, h, "inner")
            yield Matrix("down_proj", h, self.intermediate_size, "inner columns")
            return
        yield Matrix("router", self.num_experts, h, "none")
        for role in ("gate_proj", "up_proj"):
            yield Matrix(role, self.moe_intermediate_size, h, "experts", self.num_experts)
        yield Matrix("down_proj", h, self.moe_intermediate_size, "experts", self.num_experts)

    def layer_vectors(self):
        """Numbers of a layer's norms and biases, each a vector of its own, and whether they are shared out."""
        yield from (self.hidden_size, self.hidden_size, self.head_dim, self.head_dim)
        if self.attention_bias:
            q, kv = (n * self.head_dim for n in (self.num_attention_heads, self.num_key_value_heads))
            yield from (q, kv, kv, self.hidden_size)

    def embedding(self):
        return Matrix("embed_tokens", self.vocab_size, self.hidden_size, "vocabulary")

    def head(self):
        return Matrix("lm_head", self.vocab_size, self.hidden_size, "vocabulary")

    def n_parameters(self):
        layers = sum(sum(m.numel for m in self.layer(i)) + sum(self.layer_vectors()) for i in range(self.num_hidden_layers))
        return layers + self.hidden_size + self.embedding().numel * (1 if self.tied else 2)

    def n_active_parameters(self):
        """Those that a token is multiplied with."""
        unused = sum(m.numel * (self.num_experts - self.num_experts_per_tok) // self.num_experts
                     for i in range(self.num_hidden_layers) for m in self.layer(i) if m.split == "experts")
        return self.n_parameters() - unused - (0 if self.tied else self.embedding().numel)


class Fields:
    """The keys of a config, each checked before it is used."""

    def __init__(self, where, values):
        self.where, self.values = where, values

    def refuse(self, key, expected, got):
        raise Refused(f"{self.where}: {key}: expected {expected}; got {got}; is it the config.json of a Qwen3 model?")

    def integer(self, key, most, default=None, least=1):
        value = self.values.get(key, default)
        if value is None:
            self.refuse(key, f"a number from {least} to {most}", "nothing" if key not in self.values else "null")
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(key, f"a whole number from {least} to {most}", shown(value))
        return value

    def flag(self, key, default):
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, "true or false", shown(value))
        return value

    def indices(self, key, n):
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(type(i) is int and 0 <= i < n for i in value):
            self.refuse(key, f"a list of numbers below {n}", shown(value))
        return set(value)


def shown(value):
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "…"


def stored_weights(values):
    """The name of the weights that the checkpoint has, or an empty one."""
    quantization = values.get("quantization_config")
    if quantization is not None:
        if not isinstance(quantization, dict):
            return ""
        method, bits = quantization.get("quant_method"), quantization.get("bits")
        if method == "fp8":
            return "fp8"
        return {4: "int4", 8: "int8"}.get(bits, "") if method in ("awq", "gptq") and type(bits) is int else ""
    dtype = values.get("dtype", values.get("torch_dtype", "bfloat16"))
    return {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}.get(dtype, "") if isinstance(dtype, str) else ""


def sparse_layers(fields, n_layers):
    step = fields.integer("decoder_sparse_step", n_layers, 1)
    dense = fields.indices("mlp_only_layers", n_layers)
    return tuple((i + 1) % step == 0 and i not in dense for i in range(n_layers))


def model_of(name, where, values):
    """The model that these keys of a config.json describe."""
    if not isinstance(values, dict):
        raise Refused(f"{where}: expected an object of JSON; got {shown(values)}")
    fields = Fields(where, values)
    kind = values.get("model_type")
    if kind not in ("qwen3", "qwen3_moe"):
        fields.refuse("model_type", "qwen3 or qwen3_moe", shown(kind))
    moe = kind == "qwen3_moe"
    n_layers = fields.integer("num_hidden_layers", 256)
    heads = fields.integer("num_attention_heads", 65536)
    kv_heads = fields.integer("num_key_value_heads", 65536)
    if heads % kv_heads != 0:
        fields.refuse("num_attention_heads", f"a multiple of num_key_value_heads, {kv_heads}", heads)
    sparse = sparse_layers(fields, n_layers) if moe else (False,) * n_layers
    experts_key = "num_local_experts" if "num_local_experts" in values else "num_experts"
    experts = fields.integer(experts_key, 512) if moe else 0
    model = Model(
        name=name,
        vocab_size=fields.integer("vocab_size", 1 << 24),
        hidden_size=fields.integer("hidden_size", 1 << 20),
        intermediate_size=0 if all(sparse) else fields.integer("intermediate_size", 1 << 20),
        num_hidden_layers=n_layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=fields.integer("head_dim", 1024, None if moe else 128),
        max_position_embeddings=fields.integer("max_position_embeddings", 1 << 26),
        tied=fields.flag("tie_word_embeddings", False),
        attention_bias=fields.flag("attention_bias", False),
        num_experts=experts,
        num_experts_per_tok=fields.integer("num_experts_per_tok", min(experts, 64)) if moe else 0,
        moe_intermediate_size=fields.integer("moe_intermediate_size", 1 << 20) if moe else 0,
        sparse=sparse,
        stored=stored_weights(values))
    if model.n_parameters() > 1 << 48:
        raise Refused(f"{where}: expected at most 2^48 parameters; got {model.n_parameters():.3g}; is a size mistyped?")
    return model


def refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def read_config(path):
    """The values of a config.json. Refuses what is none, in one line."""
    try:
        if not path.is_file():  # a device or a pipe could be read for ever
            raise Refused(f"{path}: expected a file; a folder needs a config.json in it")
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise Refused(f"{path}: expected a config.json of at most 1 MiB; it is larger")
    try:
        return json.loads(data.decode(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise Refused(f"{path}: expected JSON; {reason}; is it a config.json?") from None


def find_model(name):
    """A model by official name, by the folder that has its config.json, or by that file."""
    for official in OFFICIAL:
        if name.lower().removeprefix("qwen/") == official.lower():
            path = CONFIGS / official.lower() / "config.json"
            return model_of(official, str(path.relative_to(ROOT)), read_config(path))
    try:
        path = pathlib.Path(name)
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise Refused(f"{name[:200]}: no such file or folder, and no official name; those are {', '.join(OFFICIAL)}")
    file = path / "config.json" if path.is_dir() else path
    return model_of(path.resolve().name if path.is_dir() else path.resolve().parent.name, str(file), read_config(file))

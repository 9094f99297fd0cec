#!/usr/bin/env python3
"""script/transformers-taps against `qwen3 verify --against`: the tiny checkpoints agree, and a changed
weight is named. Exit code 77 without torch and transformers.

    transformers_taps.py --program build/release/bin/qwen3
"""
import argparse
import importlib.util
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDS = "3,14,15,9,26,5,35,8,9,7"
MODELS = ("dense", "dense_bias", "dense_yarn", "dense_bf16", "moe", "moe_norm_topk_false")


def verify(program, model, taps, *more):
    command = [program, "verify", "-m", model, "--against", taps, "--quiet", "--json", *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return json.loads(done.stdout)


def disturb(file, name):
    """The tensor's first number becomes 3 (float32)."""
    data = bytearray(file.read_bytes())
    (size,) = struct.unpack_from("<Q", data)
    entry = json.loads(data[8 : 8 + size])[name]
    assert entry["dtype"] == "F32", entry
    struct.pack_into("<f", data, 8 + size + entry["data_offsets"][0], 3.0)
    file.write_bytes(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    program = pathlib.Path(parser.parse_args().program).resolve()
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"transformers_taps: skipped: {', '.join(missing)} not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            source, taps = ROOT / "tests/data/models" / model, pathlib.Path(folder, "taps-" + model)
            subprocess.run([sys.executable, ROOT / "script/transformers-taps", source, taps, IDS],
                           check=True, capture_output=True, timeout=300)
            for backend in ("reference", "cpu"):
                found = verify(program, source, taps, "--backend", backend)
                assert found["verdict"] == "within", (model, backend, found["why"])
                print(f"{model} on {backend}: {len(found['tensors'])} tensors within bounds")
        changed = pathlib.Path(folder, "changed")
        shutil.copytree(ROOT / "tests/data/models/dense", changed)
        disturb(changed / "model.safetensors", "model.layers.1.self_attn.k_proj.weight")
        found = verify(program, changed, pathlib.Path(folder, "taps-dense"))
        first = found["first_outside"]
        assert first["name"] == "layers.1.self_attn.k_proj" and first["column"] == 0, first
        print("a changed weight is named:", first["name"])
    return 0


if __name__ == "__main__":
    sys.exit(main())

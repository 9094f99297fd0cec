#!/usr/bin/env python3
"""The memory that script/scale calculates against the plan of the program itself, `qwen3 inspect`: to the byte, and
buffers to padding.

    against_inspect.py --program build/release/bin/qwen3
"""
import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "script/lib"))
from scale import machines, memory, model, plan  # noqa: E402

CONTEXT = 1536  # tokens of the longest sequence
MODELS = [str(path.parent) for path in sorted((ROOT / "bench/configs").glob("*/config.json"))] + \
         [str(ROOT / "models/nano"), str(ROOT / "models/nano-moe")]


def of_program(program, folder, kv):
    command = [program, "inspect", "--json", "-m", folder, "--backend", "cpu", "--context", str(CONTEXT), "--kv-dtype", kv]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
    plan_of_it = found["plan"]
    return {"parameters": found["n_parameters"], "active": found["n_active_parameters"], "weights": plan_of_it["weight_bytes"],
            "kv of a token": plan_of_it["kv_bytes_per_token"], "activations": plan_of_it["activation_bytes"]}


def calculated(folder, kv):
    m, machine = model.find_model(folder), machines.machine_named("2-cores")
    link = machines.link_named("memory")
    s = plan.Setup(m, m.stored, kv, machine, link, link, prompt=CONTEXT - 1, answer=1)
    found = plan.memory_of(s, 1)
    return {"parameters": m.n_parameters(), "active": m.n_active_parameters(), "weights": found.weights,
            "kv of a token": memory.kv_token_bytes(m, m.stored, "cpu", kv, 1, s.layers[0]), "activations": found.activations}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/qwen3")
    program = str(parser.parse_args().program.resolve())
    wrong = n = 0
    for folder in MODELS:
        for kv, name in (("bfloat16", "bf16"), ("q8", "q8")):
            ours, theirs = calculated(folder, name), of_program(program, folder, kv)
            for key in theirs:
                n += 1
                # Vectors are padded to cache lines, which buffers of a batch need not be.
                near = key == "activations" and abs(ours[key] - theirs[key]) < 4096
                if ours[key] != theirs[key] and not near:
                    wrong += 1
                    print(f"{folder}, {kv}: {key}: qwen3 inspect says {theirs[key]}, script/scale {ours[key]}")
    print(f"{n} numbers of {len(MODELS)} models, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

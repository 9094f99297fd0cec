#!/usr/bin/env python3
"""Makes tests/data/quantize/: what the `gguf` package reads in files that `qwen3 quantize` wrote.

importance.gguf is a small importance matrix that gguf-py wrote. golden.json has, of each type of file
made of models/nano, the SHA-256 of the whole file, every key of its metadata (of what is long
the SHA-256), and of each type of block the SHA-256 of the float32 values of its tensors.
Run with gguf 0.19.0 and numpy whenever the quantisers change:

    make_quantize_goldens.py build/release/bin/qwen3 tests/data/quantize
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np

# With importance, ffn_down of the first layer is Q4_1.
TYPES = {"Q8_0": False, "Q6_K": False, "Q5_K_M": False, "Q4_K_M": False, "Q4_0": True}
LONG = 16


def write_importance(path):
    writer = gguf.GGUFWriter(str(path), "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    sums = np.random.default_rng(5).exponential(100, (1, 832)).astype(np.float32)
    writer.add_tensor("blk.0.ffn_down.weight.in_sum2", sums)
    writer.add_tensor("blk.0.ffn_down.weight.counts", np.full((1, 1), 512, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def metadata(reader):
    result = {}
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        value = field.contents()
        if isinstance(value, list) and len(value) > LONG:
            value = {"count": len(value), "sha256": sha256("\n".join(map(str, value)).encode())}
        if isinstance(value, str) and len(value) > 100:
            value = {"sha256": sha256(value.encode())}
        result[name] = value
    return result


def main():
    program, out = sys.argv[1], pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    write_importance(out / "importance.gguf")
    golden = {"made_with": {"gguf": "0.19.0", "numpy": np.__version__}, "files": {}}
    for name, importance in TYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.gguf"
            command = [program, "quantize", "-m", "nano", "-o", str(path), "--type", name, "--quiet"]
            if importance:
                command += ["--importance", str(out / "importance.gguf")]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            reader = gguf.GGUFReader(path)
            values = {}
            for tensor in reader.tensors:
                numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                assert numbers.size == tensor.n_elements and np.isfinite(numbers).all(), tensor.name
                digest = values.setdefault(tensor.tensor_type.name, hashlib.sha256())
                digest.update(np.ascontiguousarray(numbers, np.float32).tobytes())
            golden["files"][name] = {"sha256": sha256(path.read_bytes()),
                                     "tensors": len(reader.tensors),
                                     "values": {k: v.hexdigest() for k, v in sorted(values.items())},
                                     "metadata": metadata(reader)}
    (out / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

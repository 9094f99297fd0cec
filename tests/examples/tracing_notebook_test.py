"""The notebook runs to its end on a dense model and on a mixture of experts; its own assertions compare NumPy with the
library."""
import json


def test(bench) -> str:
    said = {}
    for model in ("nano", "nano-moe"):
        bench.run(bench.python, "-m", "nbconvert", "--to", "notebook", "--execute", bench.folder / "trace.ipynb", "--output-dir",
                  bench.work, "--output", model, env={"MODEL": str(bench.root / "models" / model)})
        cells = [cell for cell in json.loads((bench.work / f"{model}.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
        assert len(cells) == 6 and all(cell["outputs"] for cell in cells)
        said[model] = "".join("".join(output.get("text", "")) for cell in cells for output in cell["outputs"])
    assert "layers.0.self_attn.q_rope" in said["nano"] and "no router" in said["nano"], said["nano"]
    assert "tokens of each expert [" in said["nano-moe"], said["nano-moe"]
    # One that is wrong is told apart: the mix of another layer.
    broken = (bench.folder / "trace.ipynb").read_text().replace('layers.{layer}.self_attn.mix', 'layers.0.self_attn.mix')
    (bench.work / "broken.ipynb").write_text(broken)
    done = bench.run(bench.python, "-m", "nbconvert", "--to", "notebook", "--execute", "broken.ipynb", code=1,
                     env={"MODEL": str(bench.root / "models/nano")})
    assert "Not equal to tolerance" in done.stderr, done.stderr[-500:]
    return "a dense model and a mixture of experts"

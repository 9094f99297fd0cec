"""guidellm, the benchmark client of the vLLM project: every request of a run with 4 streams completes."""
import json
import pathlib
import subprocess
import sys
import tempfile

url, model_directory = sys.argv[1], sys.argv[2]
REQUESTS = 24
with tempfile.TemporaryDirectory() as folder:
    report = pathlib.Path(folder) / "report.json"
    subprocess.run(
        [sys.executable, "-m", "guidellm", "run", "--disable-console",
         "--backend", json.dumps({"kind": "openai_http", "target": url.removesuffix("/v1"), "model": "nano-moe"}),
         "--profile", json.dumps({"kind": "concurrent", "streams": [4]}),
         "--constraint", json.dumps({"kind": "max_requests", "count": REQUESTS}),
         "--tokenizer", json.dumps({"kind": "huggingface_auto", "model": model_directory}),
         "--data", json.dumps({"kind": "synthetic_text", "prompt_tokens": 64, "output_tokens": 32}),
         "--output", json.dumps({"kind": "json", "path": str(report)})],
        check=True)
    result = json.loads(report.read_text())["benchmarks"][0]
state, metrics = result["scheduler_state"], result["metrics"]
assert state["successful_requests"] == REQUESTS and state["errored_requests"] == 0, state
assert metrics["output_token_count"]["successful"]["min"] == 32, metrics["output_token_count"]
print(state["successful_requests"], "requests, 4 at a time, 64 tokens in, 32 out; median time to first token",
      f'{metrics["time_to_first_token_ms"]["successful"]["median"]:.0f} ms, median time per token',
      f'{metrics["inter_token_latency_ms"]["successful"]["median"]:.1f} ms')

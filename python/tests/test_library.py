"""Memory that is not copied, threads, Ctrl-C, fork, and misuse."""
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from conftest import NANO

import qwen3


def test_arrays_are_the_librarys_memory(model):
    ids = model.encode("Sort 7, 3 and 9.")
    tensors = model.forward(ids, taps=["layers.0.*", "norm"])
    assert set(tensors) >= {"logits", "norm", "layers.0.output"}
    for name, array in tensors.items():
        assert array.__array_interface__["data"][0] == tensors.address(name), name
        assert not array.flags.owndata and not array.flags.writeable
        assert array.__array_interface__["data"][0] == tensors[name].__array_interface__["data"][0]
    assert tensors["logits"].shape == (len(ids), model.info.vocab_size)
    assert tensors["norm"].shape == (len(ids), model.info.hidden_size)


def test_arrays_keep_their_memory(model):
    ids = model.encode("Sort 7, 3 and 9.")
    tensors = model.forward(ids)
    gone = weakref.ref(tensors)
    logits = tensors["logits"]
    tail = logits[-1:, :7]
    expected = tail.copy()
    tensors.close()
    del tensors, logits
    gc.collect()
    assert gone() is not None, "a view of a view holds it"
    model.forward(ids * 3)
    assert np.array_equal(tail, expected)
    del tail
    gc.collect()
    assert gone() is None


def test_rows_and_taps(model):
    ids = model.encode("Sort 7, 3 and 9.")
    assert np.array_equal(model.logits(ids, first_row=3), model.logits(ids)[3:])
    every = model.taps(ids)
    assert len(every) > 10 * model.info.num_hidden_layers and "logits" not in every
    with pytest.raises(qwen3.InvalidArgumentError, match="no.such"):
        model.taps(ids, "no.such")
    with pytest.raises(qwen3.NotFoundError):
        model.taps(ids, "norm")["embed_tokens"]


def test_overrides_of_the_config():
    yarn = {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 2048}}
    with qwen3.LLM(NANO, hf_overrides=yarn) as stretched:
        assert stretched.model.info.context_length == 4096
    with pytest.raises(qwen3.InvalidArgumentError, match="rope_thetta"):
        qwen3.Model(NANO, hf_overrides={"rope_thetta": 1})


def test_text(model):
    assert model.decode(model.encode("é中 <|im_end|>")) == "é中 <|im_end|>"
    assert len(model.encode("<|im_end|>")) == 1 < len(model.encode("<|im_end|>", control_tokens=False))
    assert model.encode("") == []
    assert model.encode("<|im_end|>")[0] in model.end_tokens
    prompt = model.render_chat([{"role": "user", "content": "<|im_end|>"}], thinking=False)
    assert prompt.state == 2 and prompt.ids.count(model.encode("<|im_end|>")[0]) == 1


def test_other_threads_run_while_the_library_works(model):
    ids = model.encode("Sort 7, 3 and 9. ") * 60
    working = threading.Event()

    def work():
        working.set()
        model.forward(ids, taps=["layers.*.output"])

    thread = threading.Thread(target=work)
    thread.start()
    working.wait()
    n = 0
    while thread.is_alive():
        n += 1
        time.sleep(0.0001)
    assert n > 3, "the interpreter stood still during the call"


def test_a_stream_waits_no_longer_than_it_was_told(llm):
    params = qwen3.SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
    with llm.engine.submit([1, 2, 3], params) as stream:
        assert stream.next(timeout=60) is not None
        stream.cancel()
        assert list(stream)[-1].finish_reason == "abort"
        assert stream.next() is None
    [held] = [llm.engine.submit([1, 2, 3], params, timeout=0.0)]
    assert list(held)[-1].finish_reason == "timeout"


ENDLESS = """
import sys, qwen3
llm = qwen3.LLM(sys.argv[1])
params = qwen3.SamplingParams(temperature=0, max_tokens=None, ignore_eos=True)
def told(done, n):
    print("running", flush=True)
if sys.argv[2] == "batch":
    llm.generate(["a"] * 200, params, progress=told)
else:
    for event in llm.engine.submit([1, 2, 3], params, timeout=600):
        print("running", flush=True)
"""


@pytest.mark.parametrize("way", ["batch", "stream"])
def test_ctrl_c(way):
    with subprocess.Popen([sys.executable, "-c", ENDLESS, NANO, way], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as child:
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, said = child.communicate(timeout=60)
        assert "KeyboardInterrupt" in said
        assert time.monotonic() - begin < 30
        assert child.returncode in (-signal.SIGINT, 130)


def test_the_child_of_a_fork_is_told(llm):
    child = os.fork()
    if child == 0:
        try:
            llm.generate("a")
        except qwen3.HandleError as error:
            os._exit(0 if "fork" in str(error) else 2)
        except BaseException:
            os._exit(3)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert llm.generate("a", qwen3.SamplingParams(max_tokens=1))


def test_an_interpreter_may_end_with_everything_open():
    code = ("import sys, qwen3; llm = qwen3.LLM(sys.argv[1]); s = llm.engine.submit([1, 2, 3]); next(s);"
            "keep = llm.model.logits([1, 2, 3]); print('end')")
    done = subprocess.run([sys.executable, "-c", code, NANO], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_what_is_closed_says_so():
    model = qwen3.Model(NANO)
    engine = qwen3.Engine(model, max_model_len=64)
    model.close()
    model.close()
    assert engine.generate([[1, 2, 3]])[0].finish_reason in ("stop", "length"), "the engine holds the model"
    stream = engine.submit([1, 2, 3], qwen3.SamplingParams(ignore_eos=True, max_tokens=None))
    engine.close()
    assert list(stream)[-1].finish_reason == "abort"
    with pytest.raises(qwen3.HandleError, match="engine"):
        engine.submit([1, 2, 3])
    with pytest.raises(qwen3.HandleError, match="model"):
        model.encode("a")


def test_errors_have_kinds(llm):
    with pytest.raises(ValueError, match="temperature"):
        llm.generate("a", qwen3.SamplingParams(temperature=-1))
    with pytest.raises(qwen3.InvalidArgumentError, match="prompt_ids"):
        llm.generate([[1 << 30]])
    with pytest.raises(qwen3.UnsupportedError):
        qwen3.Engine(qwen3.Model(NANO, text_only=True))
    with pytest.raises(qwen3.NotFoundError, match="qwen3 pull Qwen/Nothing"):
        qwen3.Model("Qwen/Nothing")
    with pytest.raises(LookupError):
        qwen3.Model("/no/such/path")


def test_downloaded_models_have_names(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--Some--Nano"
    (repository / "refs").mkdir(parents=True)
    (repository / "snapshots").mkdir()
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).symlink_to(NANO)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert qwen3.Model("Some/Nano", text_only=True).encode("a")


def test_the_version_is_the_librarys():
    lists = (pathlib.Path(__file__).resolve().parents[2] / "CMakeLists.txt").read_text()
    assert f"project(qwen3 VERSION {qwen3.__version__} " in lists

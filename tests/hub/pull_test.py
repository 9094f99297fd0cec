#!/usr/bin/env python3
"""qwen3 pull, list, show, rm and -m NAME against a hub on loopback (fake_hub.py), with all its faults.

    pull_test.py --program build/release/bin/qwen3 [--kills 200] [TEST …]
"""
import argparse
import fcntl
import hashlib
import http.server
import json
import os
import pathlib
import pty
import random
import resource
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import fake_hub

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = None
KILLS = 25
REPO = "Test/Model-1B"
TOKEN = "hf_secretsecretsecret"


def noise(n, seed=0):
    return random.Random(seed).randbytes(n)


def checkpoint():
    """As a repository of the hub has it: what is to be pulled, and what is not."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": b"# Model\n",
        "LICENSE": b"Apache\n",
        "config.json": b'{"architectures": ["Qwen3ForCausalLM"]}\n',
        "tokenizer.json": noise(30_000, 1),
        "model.safetensors.index.json": b"{}\n",
        "model-00001-of-00002.safetensors": noise(300_000, 2),
        "model-00002-of-00002.safetensors": noise(200_000, 3),
        "consolidated.safetensors": noise(2_000, 4),
        "1_Pooling/config.json": b"{}\n",
        "pytorch_model.bin": noise(5_000, 5),
        "onnx/model.onnx": noise(5_000, 6),
        "onnx/config.json": b"{}",
        "empty.txt": b"",
    }


LEFT_OUT = {".gitattributes", "consolidated.safetensors", "pytorch_model.bin", "onnx/model.onnx", "onnx/config.json"}


def gguf_files():
    return {
        "config.json": b"{}",
        "M-Q8_0.gguf": b"GGUF" + noise(2_000, 1),
        "M-Q4_K_M.gguf": b"GGUF" + noise(3_000, 2),
        "mmproj-M-Q8_0.gguf": b"GGUF" + noise(100, 3),
        "BF16/M-BF16-00001-of-00002.gguf": b"GGUF" + noise(4_000, 4),
        "BF16/M-BF16-00002-of-00002.gguf": b"GGUF" + noise(4_000, 5),
    }


class NothingHere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    def log_message(self, *args):
        pass


class PullTest(unittest.TestCase):
    def setUp(self):
        self.hub = fake_hub.FakeHub()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="qwen3-pull-"))
        self.dir.chmod(0o755)
        self.cache = self.dir / "hub"
        self.commit = self.hub.add(REPO, checkpoint())

    def tearDown(self):
        self.hub.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def environment(self, **more):
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith(("HF_", "HUGGING", "MODELSCOPE", "TRANSFORMERS", "XDG_CACHE", "SSL_CERT", "CURL_CA"))}
        return {**kept, "HOME": str(self.dir), "HF_HUB_CACHE": str(self.cache), "HF_ENDPOINT": self.hub.endpoint,
                "MODELSCOPE_ENDPOINT": self.hub.endpoint, **more}

    def qwen3(self, *words, env=None, expect=0, input="", **options):
        result = subprocess.run([PROGRAM, *words], env=self.environment(**(env or {})), input=input,
                                capture_output=True, text=True, timeout=120, **options)
        self.assertEqual(result.returncode, expect, result.stderr + result.stdout)
        self.assertNotIn(TOKEN, result.stderr + result.stdout)
        return result

    def start(self, *words, env=None):
        return subprocess.Popen([PROGRAM, *words], env=self.environment(**(env or {})), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def folder(self, repo=REPO):
        return self.cache / ("models--" + repo.replace("/", "--"))

    def snapshot(self, repo=REPO, commit=None):
        return self.folder(repo) / "snapshots" / (commit or self.commit)

    def pulled(self, repo=REPO, commit=None):
        """The files of the snapshot, each equal to the hub's."""
        there = set()
        snapshot = self.snapshot(repo, commit)
        for path in sorted(snapshot.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            name = str(path.relative_to(snapshot))
            self.assertTrue(path.is_symlink(), name)
            self.assertEqual(path.read_bytes(), self.hub.repos[repo][name], name)
            there.add(name)
        return there

    def check_blobs(self):
        """Every blob has the content that its name is the hash of."""
        for blob in self.folder().glob("blobs/*"):
            if blob.suffix == ".incomplete":
                continue
            content = blob.read_bytes()
            self.assertIn(blob.name, (hashlib.sha256(content).hexdigest(), fake_hub.git_sha1(content)))

    def refused(self, part, *words, env=None, **options):
        result = self.qwen3(*(words or ("pull", REPO)), env=env, expect=1, **options)
        self.assertIn(part, result.stderr)
        said = [line for line in result.stderr.splitlines() if "; attempt " not in line]
        self.assertEqual(len(said), 1, result.stderr)
        return result

    # Whom HTTPS trusts.

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_certificates(self):
        certificate, key = self.dir / "certificate.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NothingHere)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        https = {"HF_ENDPOINT": f"https://localhost:{server.server_address[1]}"}
        self.refused("set SSL_CERT_FILE to a PEM file", env=https)
        self.refused("the hub has no such model", env={**https, "SSL_CERT_FILE": str(certificate)})
        self.refused("the hub has no such model", env={**https, "CURL_CA_BUNDLE": str(certificate)})
        missing = str(self.dir / "missing.pem")
        self.refused(f"trusted are the authorities in {missing} (SSL_CERT_FILE, CURL_CA_BUNDLE)", env={**https, "SSL_CERT_FILE": missing})

    # What is pulled, and where it lies.

    def test_layout(self):
        result = self.qwen3("pull", REPO)
        self.assertEqual(result.stdout, str(self.snapshot()) + "\n")
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)
        self.assertEqual((self.folder() / "refs/main").read_text(), self.commit)
        self.assertEqual(os.readlink(self.snapshot() / "config.json"),
                         "../../blobs/" + fake_hub.git_sha1(checkpoint()["config.json"]))
        self.assertEqual(os.readlink(self.snapshot() / "1_Pooling/config.json"),
                         "../../../blobs/" + fake_hub.git_sha1(b"{}\n"))
        self.assertTrue((self.cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55"))
        self.assertEqual(list(self.folder().glob("blobs/*.incomplete")), [])
        self.check_blobs()

    def test_again_receives_nothing(self):
        self.qwen3("pull", REPO)
        self.hub.sent.clear()
        again = json.loads(self.qwen3("pull", REPO, "--json").stdout)
        self.assertEqual(again["bytes_received"], 0)
        self.assertEqual(sum(self.hub.sent.values()), 0)
        self.assertEqual(again["commit"], self.commit)
        self.assertEqual(set(again["files"]), set(checkpoint()) - LEFT_OUT)

    def test_update(self):
        self.qwen3("pull", REPO)
        old = self.commit
        files = {**checkpoint(), "config.json": b'{"new": true}\n'}
        self.commit = self.hub.add(REPO, files)
        self.hub.sent.clear()
        self.qwen3("pull", REPO)
        self.assertEqual(set(self.hub.sent), {"config.json"})
        self.assertEqual(self.pulled(), set(files) - LEFT_OUT)
        self.assertEqual((self.folder() / "refs/main").read_text(), self.commit)
        self.assertEqual((self.snapshot(commit=old) / "config.json").read_bytes(), checkpoint()["config.json"])

    def test_patterns(self):
        self.qwen3("pull", REPO, "--include", "*.json", "--include", "onnx/", "--exclude", "*/config.json")
        self.assertEqual(self.pulled(), {"config.json", "tokenizer.json", "model.safetensors.index.json",
                                         "onnx/model.onnx"})
        self.refused("none of its 14 files matches", "pull", REPO, "--include", "*.xyz")

    def test_revisions(self):
        self.qwen3("pull", REPO, "--revision", "v1")
        self.assertEqual((self.folder() / "refs/v1").read_text(), self.commit)
        self.qwen3("pull", REPO + "@refs/pr/1")
        self.assertEqual((self.folder() / "refs/refs/pr/1").read_text(), self.commit)
        self.qwen3("pull", REPO, "--revision", self.commit)
        self.assertFalse((self.folder() / "refs/main").exists())
        self.refused("no such revision", "pull", REPO, "--revision", "v9")
        for bad in ("../x", "/x", "a b", "x\\y", "-x", "a//b"):
            self.qwen3("pull", REPO, "--revision=" + bad, expect=2)

    def test_pages_of_the_list(self):
        self.hub.page = 3
        self.qwen3("pull", REPO)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_pickled_weights_are_refused(self):
        self.hub.add("Test/Old", {"config.json": b"{}", "pytorch_model.bin": noise(2000)})
        self.refused("PyTorch's pickled ones only", "pull", "Test/Old")
        self.assertFalse(self.folder("Test/Old").exists())

    def test_gguf(self):
        commit = self.hub.add("Test/G", gguf_files())
        snapshot = self.snapshot("Test/G", commit)
        self.qwen3("pull", "Test/G")
        self.assertEqual(self.pulled("Test/G", commit), {"M-Q4_K_M.gguf"})
        self.qwen3("pull", "Test/G:q8_0")
        self.assertEqual(self.pulled("Test/G", commit), {"M-Q4_K_M.gguf", "M-Q8_0.gguf"})
        self.qwen3("pull", "Test/G:BF16")
        self.qwen3("pull", "Test/G:BF16/M-BF16-00002-of-00002.gguf")
        self.assertEqual(self.pulled("Test/G", commit), set(gguf_files()) - {"config.json", "mmproj-M-Q8_0.gguf"})
        self.refused("got others: BF16, Q4_K_M, Q8_0; name one", "pull", "Test/G:Q5_K_M")
        for name, path in {"Test/G": "M-Q4_K_M.gguf", "Test/G:Q8_0": "M-Q8_0.gguf",
                           "Test/G:BF16": "BF16/M-BF16-00001-of-00002.gguf"}.items():
            shown = json.loads(self.qwen3("show", name, "--json").stdout)
            self.assertEqual(shown["path"], str(snapshot / path))
        self.qwen3("rm", "Test/G:BF16", "--yes")
        self.assertEqual(self.pulled("Test/G", commit), {"M-Q4_K_M.gguf", "M-Q8_0.gguf"})
        self.assertEqual(len(list(self.folder("Test/G").glob("blobs/*"))), 2)
        self.refused("got others: Q4_K_M, Q8_0", "show", "Test/G:BF16")

    def test_gguf_without_a_part(self):
        files = gguf_files()
        del files["BF16/M-BF16-00001-of-00002.gguf"]
        self.hub.add("Test/G", files)
        self.refused("a part of the model is missing: BF16/M-BF16-00001-of-00002.gguf", "pull", "Test/G:BF16")

    def test_model_scope(self):
        result = self.qwen3("pull", REPO, "--from", "modelscope", "--json")
        commit = json.loads(result.stdout)["commit"]
        self.assertEqual(self.pulled(commit=commit), set(checkpoint()) - LEFT_OUT)
        self.assertEqual((self.folder() / "refs/modelscope").read_text(), commit)
        self.assertFalse((self.folder() / "refs/main").exists())
        self.assertEqual(json.loads(self.qwen3("show", REPO, "--json").stdout)["commit"], commit)
        self.hub.sent.clear()  # the same weights from the other hub
        self.qwen3("pull", REPO)
        self.assertNotIn("model-00001-of-00002.safetensors", self.hub.sent)
        self.refused("no such model", "pull", "Test/None", "--from", "modelscope")

    # Names and lies.

    def test_names_that_leave_their_folder(self):
        for path in ("../../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "a\u0000b", "a//b", ".", "..", "a/", "",
                     "x" * 300, "a/./b", "\u001b[31m", "y/" * 600 + "y"):
            def lie(entry, path=path):
                if entry["path"] == "README.md":
                    entry["path"] = path
            self.hub.lie = lie
            self.refused("nothing was written")
            self.assertFalse(self.cache.exists(), path)

    def test_names_twice(self):
        for path in ("config.json", "config.json/x"):
            def lie(entry, path=path):
                if entry["path"] == "README.md":
                    entry["path"] = path
            self.hub.lie = lie
            self.refused("the name is there twice, or is a folder too")
            self.assertFalse(self.cache.exists())

    def test_models_that_are_no_names(self):
        for name in ("Qwen", "../x", "a/../b", "a/b/c", "a/b:../c", "a/b:/c", "a/b@..", "a--b/c", "a/-b", "a/b.git", "a/b "):
            result = self.qwen3("pull", name, expect=2)
            self.assertIn("expected a model's name", result.stderr)

    def test_lying_lists(self):
        def change(**fields):
            def lie(entry):
                if entry["path"] == "tokenizer.json":
                    for key, value in fields.items():
                        (entry["lfs"] if key in ("oid", "size") else entry)[key] = value
            return lie
        for lie in (change(size=-1), change(size="7"), change(size=1.5), change(oid="../../x"), change(oid="ABC"),
                    change(oid=7), change(path=7), change(lfs=[]), change(type=None), change(size=1 << 63)):
            self.hub.lie = lie
            self.refused("expected")
            self.assertFalse(self.cache.exists())

    def test_api_answers_that_are_no_lists(self):
        deep = b"[" * 100_000
        for body in (b"", b"<html>", b"{}", b"[]", b'{"sha": "main"}', b'{"sha": 7}', deep, b"\xff", b'"sha"',
                     b'{"sha":"' + b"0" * 40 + b'","sha":"' + b"1" * 40 + b'"}'):
            self.hub.api_faults = [(200, {}, body)]
            self.qwen3("pull", REPO, expect=1)
            self.assertFalse(self.cache.exists())
        for body in (b"{}", b"[7]", b'[{"type":"file"}]', b'[{"type":"file","path":"x"}]', deep):
            self.hub.api_faults = [(200, {}, json.dumps({"sha": self.commit}).encode()), (200, {}, body)]
            self.qwen3("pull", REPO, expect=1)
            self.assertFalse(self.cache.exists())

    def test_lies_about_the_content(self):
        path = "tokenizer.json"
        good = checkpoint()[path]
        wrong = bytes([good[0] ^ 1]) + good[1:]
        for faults, part in (([("bytes", wrong)], "the content's hash is"),
                             ([("bytes", good + b"x")], "more than the 30000 bytes"),
                             ([("bytes", good[:-1])] * 20, "416"),
                             ([("encoding", "gzip")], "sends gzip where plain bytes")):
            self.hub.faults[path] = list(faults)
            if part == "416":  # a shorter file: never complete, so never there
                process = self.start("pull", REPO)
                time.sleep(1.5)
                process.kill()
                process.communicate()
            else:
                self.refused(part)
            self.hub.faults.clear()
            self.assertFalse(any(self.snapshot().glob("*")) if self.snapshot().exists() else False)
            self.assertFalse((self.folder() / "refs/main").exists())
            self.check_blobs()
        self.qwen3("pull", REPO)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_wrong_hash_of_a_small_file(self):
        self.hub.faults["config.json"] = [("bytes", checkpoint()["config.json"].replace(b"Qwen3", b"Qwen4"))]
        self.refused("config.json: the content's hash is")
        self.assertFalse((self.snapshot() / "config.json").exists())

    def test_promises_of_the_redirect(self):
        for headers in ({"X-Linked-Etag": '"' + "0" * 64 + '"'}, {"X-Linked-Size": "1"}, {"X-Repo-Commit": "0" * 40}):
            self.hub.wrong_headers = headers
            self.refused("its list of files has")

    def test_links_in_the_cache(self):
        outside = self.dir / "outside"
        outside.mkdir()
        for name in ("", "blobs", "snapshots", "refs", "snapshots/" + self.commit):
            shutil.rmtree(self.cache, ignore_errors=True)
            (self.folder() / name).parent.mkdir(parents=True)
            (self.folder() / name).symlink_to(outside)
            self.refused("expected a folder of the cache; got a link")
            self.assertEqual(list(outside.iterdir()), [])
        shutil.rmtree(self.cache)
        (self.folder() / "blobs").mkdir(parents=True)
        digest = hashlib.sha256(checkpoint()["tokenizer.json"]).hexdigest()
        (self.folder() / "blobs" / (digest + ".incomplete")).symlink_to(outside / "x")
        self.refused("cannot open")
        self.assertEqual(list(outside.iterdir()), [])

    # Tokens.

    def test_token_is_the_hubs_alone(self):
        self.hub.token = TOKEN
        self.refused("set HF_TOKEN")
        self.qwen3("pull", REPO, env={"HF_TOKEN": TOKEN})
        given = {(r.server, r.headers.get("Authorization")) for r in self.hub.requests[2:]}
        self.assertIn(("hub", f"Bearer {TOKEN}"), given)
        self.assertIn(("store", None), given)
        self.assertNotIn(("store", f"Bearer {TOKEN}"), given)

    def test_token_files(self):
        self.hub.token = TOKEN
        (self.dir / "t").write_text(f"  {TOKEN}\n")
        self.qwen3("pull", REPO, env={"HF_TOKEN_PATH": "~/t"})
        shutil.rmtree(self.cache)
        (self.dir / "home").mkdir()
        (self.dir / "home/token").write_text(TOKEN)
        self.qwen3("pull", REPO, env={"HF_HOME": str(self.dir / "home"), "HF_HUB_CACHE": ""})
        self.assertTrue((self.dir / "home/hub" / self.folder().name / "refs/main").exists())
        self.refused("the hub refuses the token", env={"HF_TOKEN": "hf_other"})
        self.refused("the hub's token: expected one word", env={"HF_TOKEN": TOKEN + " \r\nX-Evil: 1"})

    def test_redirects(self):
        for to, part in (("ftp://localhost/x", "no address of http or https"), ("file:///etc/passwd", "no address of http"),
                         (self.hub.endpoint + "/" + REPO + "/resolve/" + self.commit + "/tokenizer.json", "more than 10 redirects")):
            self.hub.redirect = to
            self.refused(part, env={"HF_TOKEN": TOKEN})
        store = f"http://127.0.0.1:{self.hub.store.server_port}/{REPO}/tokenizer.json?{fake_hub.SIGNATURE}"
        self.hub.redirect = store  # the same host, another port: not the hub
        self.qwen3("pull", REPO, "--include", "tokenizer.json", env={"HF_TOKEN": TOKEN})
        self.assertEqual([r.headers.get("Authorization") for r in self.hub.requests if r.server == "store"], [None])

    def test_signatures_are_not_shown(self):
        self.hub.faults["tokenizer.json"] = [("status", 403, {})]
        result = self.refused("tokenizer.json")
        self.assertNotIn("Signature", result.stderr)

    def test_address_with_a_password(self):
        secret = "s3cret"
        for address, part in ((f"ftp://user:{secret}@127.0.0.1", "the hub's address: expected one such as https://huggingface.co"),
                              (f"http://user:{secret}@127.0.0.1:{self.hub.hub.server_port}/x?{secret}", "the hub's address")):
            self.assertNotIn(secret, self.refused(part, env={"HF_ENDPOINT": address}).stderr)
        self.hub.api_faults = [(418, {}, b"")]
        address = self.hub.endpoint.replace("//", f"//user:{secret}@")
        self.assertNotIn(secret, self.refused("status 418", env={"HF_ENDPOINT": address}).stderr)

    # Refusals.

    def test_refusals(self):
        self.refused("the hub has no such model", "pull", "Test/None")
        for status in (401, 403):
            self.hub.gated[REPO] = status
            self.refused("consent to its terms")
            self.refused("not granted to the owner of the token", env={"HF_TOKEN": TOKEN})
        self.hub.gated.clear()
        self.hub.api_faults = [(403, {"X-Error-Message": f"echo {TOKEN}\x1b[31m"}, b"")]
        self.refused("forbids access", env={"HF_TOKEN": TOKEN})
        self.hub.api_faults = [(429, {"Retry-After": "9999"}, b"")]
        self.refused("it asks to wait 9999 s")
        self.hub.api_faults = [(429, {"RateLimit": '"api";r=0;t=5000'}, b"")]
        self.refused("it asks to wait 5001 s")
        self.hub.api_faults = [(418, {}, b"")]
        self.refused("status 418")

    def test_what_passes(self):
        self.hub.api_faults = [(503, {}, b""), (429, {"Retry-After": "0"}, b"")]
        self.hub.faults["tokenizer.json"] = [("status", 500, {}), ("status", 429, {"Retry-After": "1"})]
        self.qwen3("pull", REPO)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_offline(self):
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            self.refused("nothing is downloaded", env={name: "1"})
        self.assertEqual(self.hub.requests, [])

    def test_nobody_there(self):
        began = time.monotonic()
        process = self.start("pull", REPO, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
        time.sleep(1.5)  # it tries again; Ctrl-C ends that
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 1)
        self.assertIn("stopped; the same command continues", err)
        self.assertRegex(err.split("\n")[0], REPO + r": http://127.0.0.1:9/.*; attempt 2 of 6 in 1 s$")  # said at once
        self.assertLess(time.monotonic() - began, 8)

    # Broken connections.

    def test_cuts(self):
        path = "model-00001-of-00002.safetensors"
        self.hub.faults[path] = [("cut", 100_000), ("cut", 50_000), ("cut", 0), None]
        self.qwen3("pull", REPO)
        self.assertEqual(self.hub.sent[path], 300_000)  # nothing twice
        ranges = [r.headers.get("Range") for r in self.hub.requests if r.server == "store" and path in r.path]
        self.assertEqual(ranges, [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"])
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_no_ranges(self):
        path = "model-00001-of-00002.safetensors"
        self.hub.faults[path] = [("cut", 100_000), ("no_range",)]
        self.qwen3("pull", REPO)
        self.assertEqual(self.hub.sent[path], 400_000)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_wrong_range(self):
        self.hub.faults["tokenizer.json"] = [("cut", 10_000), ("range", 1)]
        self.refused("sends the bytes from 10001 on where those from 10000 on were asked for")

    def test_slow_and_stalled(self):
        self.hub.faults["tokenizer.json"] = [("slow", 0.1)]
        self.hub.faults["model-00001-of-00002.safetensors"] = [("stall",), None]
        began = time.monotonic()
        self.qwen3("pull", REPO, env={"HF_HUB_DOWNLOAD_TIMEOUT": "2"})
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_what_was_left_is_wrong(self):
        good = checkpoint()["tokenizer.json"]
        blobs = self.folder() / "blobs"
        blobs.mkdir(parents=True)
        left = blobs / (hashlib.sha256(good).hexdigest() + ".incomplete")
        for content in (b"x" * 1000, good[:1000], good, b"x" * len(good), good + b"x", b""):
            left.write_bytes(content)
            self.qwen3("pull", REPO, "--include", "tokenizer.json")
            self.assertEqual(self.pulled(), {"tokenizer.json"})
            shutil.rmtree(self.folder())
            blobs.mkdir(parents=True)

    def test_kills(self):
        """SIGKILL at random moments: what is visible is right at all times, and in the end all is there."""
        self.hub.pause = 0.004
        seconds = 0.6  # of a pull that is left alone, about
        kills = finished = 0
        random.seed(5)
        while kills < KILLS:
            process = self.start("pull", REPO, "--connections", str(random.choice((1, 4))))
            try:
                process.wait(timeout=random.uniform(0.0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
            there = self.pulled() if self.snapshot().exists() else set()
            self.check_blobs()
            if process.returncode == 0:
                self.assertEqual(there, set(checkpoint()) - LEFT_OUT)
                finished += 1
                shutil.rmtree(self.cache)
            elif (self.folder() / "refs/main").exists() or "config.json" in there:
                self.assertEqual(there, set(checkpoint()) - LEFT_OUT)
        self.hub.pause = 0
        self.qwen3("pull", REPO)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)
        print(f"{kills} kills, {finished} pulls that ended in between")

    def test_interrupt_and_continue(self):
        self.hub.pause = 0.05
        process = self.start("pull", REPO)
        while sum(self.hub.sent.values()) < 150_000:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(err, f"{REPO}: stopped; the same command continues\n")
        self.hub.pause = 0
        result = json.loads(self.qwen3("pull", REPO, "--json").stdout)
        self.assertLess(result["bytes_received"], result["bytes"] - 100_000)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_two_at_once(self):
        self.hub.pause = 0.01
        both = [self.start("pull", REPO) for _ in range(2)]
        for process in both:
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)
        for path in set(checkpoint()) - LEFT_OUT - {"empty.txt", "1_Pooling/config.json", "model.safetensors.index.json"}:
            self.assertEqual(self.hub.sent[path], len(checkpoint()[path]), path)

    def test_lock_of_another_program(self):
        digest = hashlib.sha256(checkpoint()["tokenizer.json"]).hexdigest()
        lock = self.cache / ".locks" / self.folder().name / (digest + ".lock")
        lock.parent.mkdir(parents=True)
        with open(lock, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            process = self.start("pull", REPO)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(timeout=1.5)
            self.assertNotIn("tokenizer.json", self.hub.sent)
            self.refused("a download of it is under way", "rm", REPO, "--yes")
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    # The disk.

    def test_room_is_looked_for_first(self):
        def lie(entry):
            if entry["path"] == "tokenizer.json":
                entry["lfs"]["size"] = 1 << 58
        self.hub.lie = lie
        self.refused("make room, or put the cache on another disk")
        self.assertFalse(self.cache.exists())

    def test_full_disk(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        self.refused("it continues", preexec_fn=limit, restore_signals=False)
        self.assertFalse((self.folder() / "refs/main").exists())
        # Files come side by side, so which of them filled the disk first differs from run to run.
        kept = {blob.stem: blob.stat().st_size for blob in self.folder().glob("blobs/*.incomplete")}
        self.assertEqual(max(kept.values()), 100_000)
        self.hub.sent.clear()
        self.qwen3("pull", REPO)
        for path, content in checkpoint().items():
            there = kept.get(hashlib.sha256(content).hexdigest(), 0)
            if there > 0:
                self.assertEqual(self.hub.sent[path], len(content) - there, path)  # nothing twice
        self.assertEqual(self.pulled(), set(checkpoint()) - LEFT_OUT)

    def test_read_only_cache(self):
        self.cache.mkdir()
        self.cache.chmod(0o555)
        options = {"user": 65534} if os.getuid() == 0 else {}
        program = PROGRAM
        if options:  # nobody must be able to run it
            program = str(self.dir / "qwen3")
            shutil.copy(PROGRAM, program)
        result = subprocess.run([program, "pull", REPO], env=self.environment(), capture_output=True, text=True, **options)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Permission denied; HF_HUB_CACHE names another place", result.stderr)
        self.cache.chmod(0o755)

    # What is said while it works.

    def on_terminal(self, *words, env=None):
        """Exit code and all that a terminal of 100 columns got."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(PROGRAM, [PROGRAM, *words], self.environment(TERM="xterm", COLUMNS="100", **(env or {})))
        out = b""
        while True:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            out += piece
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode()

    def test_progress(self):
        self.hub.pause = 0.03
        code, out = self.on_terminal("pull", REPO)
        self.assertEqual(code, 0)
        self.assertRegex(out, r"\r\x1b\[K" + REPO + r": \d+ %  .* of .*, \d+ of 9 files  .*/s  .* left")
        self.assertRegex(out, r"\r\x1b\[K" + REPO + r": 9 files, .* received in")  # not glued to the progress
        for words, env in ((("--quiet",), {}), ((), {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})):
            shutil.rmtree(self.cache)
            code, out = self.on_terminal("pull", REPO, *words, env=env)
            self.assertEqual(code, 0)
            self.assertNotIn("\x1b[K", out)
        shutil.rmtree(self.cache)
        self.assertEqual(self.qwen3("pull", REPO).stderr.count("\n"), 1)
        self.assertEqual(self.qwen3("pull", REPO, "--quiet").stderr, "")

    # The cache afterwards.

    def test_cache_of_the_environment(self):
        for env, place in (({"HF_HUB_CACHE": "~/a"}, "a"),
                           ({"HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "$HOME/b"}, "b"),
                           ({"HF_HUB_CACHE": "", "HF_HOME": "${HOME}/c"}, "c/hub"),
                           ({"HF_HUB_CACHE": "", "XDG_CACHE_HOME": str(self.dir / "d")}, "d/huggingface/hub"),
                           ({"HF_HUB_CACHE": ""}, ".cache/huggingface/hub")):
            result = self.qwen3("pull", REPO, "--include", "config.json", env=env)
            self.assertEqual(result.stdout.strip(), str(self.dir / place / self.folder().name / "snapshots" / self.commit))

    def test_list_show_rm(self):
        self.assertEqual(self.qwen3("list", "--json").stdout, "")
        self.qwen3("pull", REPO)
        listed = self.qwen3("list").stdout
        self.assertRegex(listed, REPO + r" +\d+ bytes  main \(safetensors\)\n")
        record = json.loads(self.qwen3("list", "--json").stdout)
        self.assertEqual((record["model"], record["snapshots"][0]["refs"]), (REPO, ["main"]))
        shown = self.qwen3("show", REPO).stdout
        self.assertIn(f"path     {self.snapshot()}\ncommit   {self.commit} (main)\nformat   safetensors\n", shown)
        self.assertIn("300000 bytes  model-00001-of-00002.safetensors\n", shown)
        self.assertIn("Say so with --yes", self.qwen3("rm", REPO, expect=2).stderr)
        self.assertTrue(self.folder().exists())
        outside = self.dir / "outside"
        outside.mkdir()
        (outside / "x").write_text("x")
        (self.folder() / "evil").symlink_to(outside)
        self.qwen3("rm", REPO, "--yes")
        self.assertFalse(self.folder().exists())
        self.assertTrue((outside / "x").exists())
        self.refused("not in the cache", "show", REPO)
        self.refused("not in the cache", "rm", REPO, "--yes")
        self.assertFalse((self.cache / ".locks" / self.folder().name).exists())

    def test_rm_keeps_what_another_snapshot_has(self):
        old = self.hub.add("Test/G", gguf_files())
        self.qwen3("pull", "Test/G@" + old + ":Q8_0")
        new = self.hub.add("Test/G", {**gguf_files(), "config.json": b"{ }"})
        self.qwen3("pull", "Test/G:Q8_0")
        self.qwen3("rm", "Test/G:Q8_0", "--yes")
        self.assertEqual(self.pulled("Test/G", old), {"M-Q8_0.gguf"})
        self.assertEqual(self.pulled("Test/G", new), set())

    def test_models_by_name(self):
        """What was pulled is run by its name."""
        nano = ROOT / "models/nano"
        files = {p.name: p.read_bytes() for p in nano.iterdir() if p.is_file()}
        commit = self.hub.add("Test/nano", files)
        chat = ("chat", "-m", "Test/nano", "--quiet", "--max-tokens", "4", "hi")
        self.refused("to download it: qwen3 pull Test/nano", *chat)
        self.assertEqual(self.hub.requests, [])
        self.qwen3("pull", "Test/nano")
        self.hub.close()
        self.qwen3(*chat, env={"HF_HUB_OFFLINE": "1"})
        first = self.qwen3("generate", "-m", "Test/nano@" + commit, "--prompt", "a", "--max-tokens", "2").stderr
        self.assertTrue(first.startswith("nano: "), first)
        local = self.dir / "Test/nano"
        shutil.copytree(nano, local)  # a folder here wins
        (local / "config.json").write_text("broken")
        result = self.qwen3(*chat, expect=1, cwd=self.dir)
        self.assertIn("Test/nano/config.json", result.stderr)

    def test_revision_that_is_not_main(self):
        for n in range(2):
            commit = self.hub.add("Test/G", {**gguf_files(), "config.json": b" " * n + b"{}"})
            self.qwen3("pull", f"Test/G@{commit}:Q8_0")
        self.refused("the cache has 2 revisions of it, and none is main", "show", "Test/G")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=KILLS)
    arguments, rest = parser.parse_known_args()
    PROGRAM, KILLS = str(pathlib.Path(arguments.program).resolve()), arguments.kills
    unittest.main(argv=[sys.argv[0], *rest])

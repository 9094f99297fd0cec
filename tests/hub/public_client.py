#!/usr/bin/env python3
"""The cache is the public client's: what huggingface_hub has downloaded is ours, and what we have is its.

    public_client.py --program build/release/bin/qwen3

Both download from a hub on loopback (fake_hub.py). Without the package huggingface_hub: exit code 77.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import fake_hub
import pull_test

REPO = pull_test.REPO


def equal(got, expected, what):
    if got != expected:
        sys.exit(f"{what}: expected {expected}, got {got}")
    print(f"{what}: {got}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    program = parser.parse_args().program
    hub = fake_hub.FakeHub()
    commit = hub.add(REPO, pull_test.checkpoint())
    place = pathlib.Path(tempfile.mkdtemp(prefix="qwen3-client-"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(HOME=str(place), HF_HUB_CACHE=str(place / "hub"), HF_ENDPOINT=hub.endpoint,
                      HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import huggingface_hub
    except ImportError:
        print("huggingface_hub is not installed")
        sys.exit(77)
    print("huggingface_hub", huggingface_hub.__version__)
    wanted = set(pull_test.checkpoint()) - pull_test.LEFT_OUT

    def qwen3(*words):
        return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout

    try:
        # Ours is the client's.
        path = qwen3("pull", REPO).strip()
        sent = dict(hub.sent)
        equal(huggingface_hub.snapshot_download(REPO, local_files_only=True), path, "its snapshot, offline")
        equal(huggingface_hub.hf_hub_download(REPO, "config.json"), path + "/config.json", "its file, online")
        equal(huggingface_hub.snapshot_download(REPO, allow_patterns=sorted(wanted)), path, "its snapshot, online")
        equal(dict(hub.sent), sent, "contents that it received again: none; those so far")
        scan = huggingface_hub.scan_cache_dir()
        equal([str(warning) for warning in scan.warnings], [], "its warnings about the cache")
        revisions = {revision.commit_hash: set(revision.refs) for repo in scan.repos for revision in repo.revisions}
        equal(revisions, {commit: {"main"}}, "its list of the cache")

        # The client's is ours.
        shutil.rmtree(place / "hub")
        path = huggingface_hub.snapshot_download(REPO)
        hub.sent.clear()
        equal(json.loads(qwen3("show", REPO, "--json"))["path"], path, "our snapshot")
        equal(json.loads(qwen3("pull", REPO, "--json"))["bytes_received"], 0, "bytes that we received again")
        equal(dict(hub.sent), {}, "contents that were sent again")
        qwen3("rm", REPO, "--yes")
        equal(huggingface_hub.scan_cache_dir().repos, frozenset(), "what is left after rm")
    finally:
        hub.close()
        shutil.rmtree(place)


main()

#!/usr/bin/env python3
"""The job files of examples/slurm under a real Slurm: munged, slurmctld and slurmd of one host, in folders of their own.

  accepted   sbatch --test-only of each file
  serve      a job answers; scancel lets a stream finish and the job ends by itself
  requeue    scontrol requeue: the job comes back and answers, its log goes on
  drain      a node that drains keeps its job and takes no other
  eval       an array whose tasks are requeued in the middle: no answer is lost, none is there twice

    tests/slurm/one_host.py [--program build/release/bin/qwen3]

Needs root (slurmd does), munge, slurmctld, slurmd and slurm-client. Listens on this host alone; ends by itself.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from server_client import free_ports  # noqa: E402

KEY = "k" * 40
ROWS = 32  # of the evaluation


def until(what, condition, seconds=180):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)
    return value


class Slurm:
    def __init__(self, folder):
        self.folder, self.daemons = folder, []
        host = socket.gethostname().split(".")[0]
        self.node = host
        for name in ("state", "spool", "munge", "run"):
            (folder / name).mkdir(mode=0o755)
        (folder / "munge/key").write_bytes(os.urandom(128))
        (folder / "munge/key").chmod(0o600)
        control, daemon = free_ports(2)
        # Credentials of a job live as long as it must wait after a requeue.
        (folder / "slurm.conf").write_text(f"""
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge,cred_expire=5
CredType=cred/munge
SlurmctldPort={control}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/linear
MpiDefault=none
KillWait=30
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES OverSubscribe=FORCE:8 MaxTime=INFINITE State=UP
""")
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        self._start("munged", "--foreground", "--force", f"--key-file={folder}/munge/key", f"--socket={folder}/run/munge",
                    f"--pid-file={folder}/run/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed")
        until("munge", lambda: (folder / "run/munge").exists(), 20)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", host)
        until("an idle node", lambda: "idle" in self("sinfo", "-h", "-o", "%T"), 90)

    def _start(self, *command):
        log = open(self.folder / f"{command[0]}.out", "wb")
        self.daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def __call__(self, *command, **options):
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, **options)
        return done.stdout + done.stderr

    def submit(self, script, *options, **variables):
        said = self("sbatch", *options, str(ROOT / "examples/slurm" / script), env=dict(os.environ, **variables))
        assert "Submitted batch job" in said, said
        return said.split()[-1]

    def field(self, job, name):
        for word in self("scontrol", "show", "job", job).split():
            if word.startswith(name + "="):
                return word.split("=", 1)[1]
        return None

    def close(self):
        self("scancel", "--quiet", "-u", "root")
        try:
            until("an empty queue", lambda: not self("squeue", "-h").strip(), 60)
        except AssertionError as error:
            print(f"  {error}")
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def is_healthy(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


def begin_stream(port):
    body = json.dumps({"prompt": "Hello", "max_tokens": 300, "ignore_eos": True, "loop_guard": False, "stream": True})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    stream = urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", body.encode(), headers),
                                    timeout=120)
    assert stream.readline().startswith(b"data: ")
    return stream


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "build/release/bin/qwen3")
    program = Path(parser.parse_args().program).resolve()
    folder = Path(tempfile.mkdtemp(prefix="slurm-one-host-"))
    os.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}:/usr/sbin"
    (folder / "out").mkdir()
    (folder / "keys").write_text(KEY)
    (folder / "keys").chmod(0o600)
    port = free_ports(1)[0]
    serving = {"MODEL": "nano", "KEYS": str(folder / "keys"), "PORT": str(port), "HOST": "127.0.0.1"}
    small = ("--cpus-per-task=1", "--mem=0")
    slurm = None
    try:
        slurm = Slurm(folder)
        for script in ("serve.sbatch", "eval_array.sbatch"):
            said = slurm("sbatch", "--test-only", *small, str(ROOT / "examples/slurm" / script))
            assert "to start at" in said, said
        said = slurm("sbatch", "--test-only", "--nodes=9", str(ROOT / "examples/slurm/serve.sbatch"))
        assert "to start at" not in said, said
        print("ok   accepted", flush=True)

        job = slurm.submit("serve.sbatch", *small, **serving)
        until("an answer", lambda: is_healthy(port))
        stream = begin_stream(port)
        slurm("scancel", job)
        rest = stream.read().decode()
        assert '"finish_reason":"length"' in rest and rest.endswith("data: [DONE]\n\n"), rest[-400:]
        until("the end of the job", lambda: not slurm("squeue", "-h", "-j", job).strip(), 60)
        log = (folder / f"out/serve-{job}.log").read_text()
        assert "shutting down" in log, log
        print("ok   serve: scancel let a stream finish", flush=True)

        job = slurm.submit("serve.sbatch", *small, **serving)
        until("an answer", lambda: is_healthy(port))
        slurm("scontrol", "requeue", job)
        until("the restart", lambda: slurm.field(job, "Restarts") == "1" and slurm.field(job, "JobState") == "RUNNING")
        until("an answer again", lambda: is_healthy(port))
        log = (folder / f"out/serve-{job}.log").read_text()
        assert log.count("ready: nano") == 2, log
        print("ok   requeue", flush=True)

        slurm("scontrol", "update", f"nodename={slurm.node}", "state=drain", "reason=test")
        other = slurm.submit("serve.sbatch", *small, **{**serving, "PORT": str(free_ports(1)[0])})
        time.sleep(5)
        assert is_healthy(port) and slurm.field(job, "JobState") == "RUNNING"
        assert slurm.field(other, "JobState") == "PENDING", slurm("scontrol", "show", "job", other)
        slurm("scontrol", "update", f"nodename={slurm.node}", "state=resume")
        until("the job that waited", lambda: slurm.field(other, "JobState") == "RUNNING")
        slurm("scancel", job, other)
        print("ok   drain", flush=True)

        config = "few.yaml"
        rows = (ROOT / "eval/data/nano_arc.jsonl").read_text().splitlines(keepends=True)[:ROWS]
        (folder / "few.jsonl").write_text("".join(rows))
        (folder / config).write_text((ROOT / "eval/configs/nano_arc-nano.yaml").read_text().replace(
            "input_file: eval/data/nano_arc.jsonl", "input_file: few.jsonl"))
        array = slurm.submit("eval_array.sbatch", *small, "--array=1-2", CONFIG=config, MODEL="nano")
        journal = until("answers", lambda: [path for path in (folder / "out").glob("nano_arc-nano*") if path.stat().st_size])
        time.sleep(2)
        slurm("scontrol", "requeue", array)
        until("both restarts", lambda: slurm("scontrol", "show", "job", array).count("Restarts=1") == 2, 60)
        until("the end of the array", lambda: not slurm("squeue", "-h", "-j", array).strip(), 900)
        merged = slurm("qwen3", "eval", "merge", "-m", "nano", "--config", config)
        answers = [json.loads(line) for line in (folder / "out/nano_arc-nano.jsonl").read_text().splitlines()]
        assert len(answers) == ROWS, (len(answers), merged, [str(path) for path in journal])
        print(f"ok   eval: {len(answers)} answers after both tasks were requeued", flush=True)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"FAIL {type(error).__name__}: {error}")
        for name in ("slurmctld.out", "slurmd.out", "munged.out"):
            if (folder / name).exists():
                print(name, (folder / name).read_text(errors="replace")[-1500:])
        return 1
    finally:
        if slurm:
            slurm.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())

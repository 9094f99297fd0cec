"""What the tests of ranks share: groups of the program's processes that mpirun started, and looking at them."""
import dataclasses
import os
import re
import signal
import subprocess
import time

MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
# What --ranks gives mpirun, for those that are started by hand.
SETTINGS = ["--quiet", "--oversubscribe", "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", "0"]
ONE_HOST = ["--mca", "plm", "isolated", "--mca", "pml", "ob1", "--mca", "btl", "self,vader", "--mca", "btl_vader_single_copy_mechanism", "none"]


def environment(extra=None):
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("OMPI_", "PMIX_", "SLURM_", "QWEN3_"))}
    return env | MPI | (extra or {})


def run(words, seconds=120, env=None, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds, env=environment(env),
                          stdin=subprocess.DEVNULL, **more)


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def rank_of(pid):
    """Which rank a process is; None: none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            match = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)\0", file.read())
        with open(f"/proc/{pid}/comm") as file:
            name = file.read().strip()
    except OSError:
        return None
    return int(match[1]) if match and name == "qwen3" else None


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Failed(Exception):
    pass


@dataclasses.dataclass
class Ended:
    code: int
    seconds: float  # from the moment that something was done to it
    out: bytes
    err: str


class Group:
    """A command on ranks, under way."""

    def __init__(self, words, env=None):
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment(env))
        os.set_blocking(self.process.stdout.fileno(), False)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.out = self.err = b""
        self.pids = {}

    def read(self):
        for name in ("out", "err"):
            piece = getattr(self.process, f"std{name}").read()
            if piece:
                setattr(self, name, getattr(self, name) + piece)

    def ranks(self, n, seconds=30):
        """The process ids of all n ranks, once they are there."""
        end = time.monotonic() + seconds
        while len(self.pids) < n:
            self.read()
            for pid in descendants(self.process.pid):
                if (rank := rank_of(pid)) is not None:
                    self.pids[rank] = pid
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{n} ranks expected, {self.pids} seen; "
                                     f"rc {self.process.poll()}: {self.err.decode()}")
            time.sleep(0.005)
        return self.pids

    def watched(self, seconds=60):
        """Waits until the ranks watch each other: before that the launcher alone does."""
        end = time.monotonic() + seconds
        while b"parameters" not in self.err:  # rank 0's line about the model
            self.read()
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the ranks have not loaded the model: {self.err.decode()}")
            time.sleep(0.005)

    def wait(self, seconds, begin=None):
        """Until the command and all its ranks are gone. Kills what is left and fails if they are not in time."""
        begin = begin or time.monotonic()
        while time.monotonic() - begin < seconds:
            self.read()
            left = [pid for pid in self.pids.values() if is_alive(pid)]
            if self.process.poll() is not None and not left:
                gone = time.monotonic() - begin
                self.read()
                return Ended(self.process.returncode, gone, self.out, self.err.decode(errors="replace"))
            time.sleep(0.01)
        state = {rank: pid for rank, pid in self.pids.items() if is_alive(pid)}
        code = self.process.poll()
        self.kill()
        raise AssertionError(f"after {seconds} s the command is {'there' if code is None else f'gone, rc {code}'}, "
                             f"and these ranks are left: {state}; it said: {self.err.decode(errors='replace')}")

    def kill(self):
        for pid in [*self.pids.values(), *descendants(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()

"""Two network namespaces as two machines, with names, addresses and a cable of their own. As root.

mpirun starts processes on them by an agent of three lines in the place of ssh, so no daemon is needed.
"""
import os
import signal
import subprocess
import time

from group import SETTINGS, Failed, Group, environment, rank_of

NETWORK = "10.77.{}.{}"
AGENT = """#!/bin/sh
host=$1; shift
exec ip netns exec "$host" unshare --uts --mount sh -c 'hostname "$0"; exec sh -c "$*"' "$host" "$@"
"""
KEEPALIVE = ["--mca", "oob_tcp_keepalive_time", "1", "--mca", "oob_tcp_keepalive_intvl", "1",
             "--mca", "oob_tcp_keepalive_probes", "2"]
GONE_KILLED, GONE_FROZEN = 4.0, 8.0


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class TwoHosts:
    def __init__(self, tests):
        self.tests = tests
        number = os.getpid() % 200 + 20  # of runs side by side
        self.names = [f"qwen3-{number}-{side}" for side in "ab"]
        self.cables = [f"q{number}{side}" for side in "ab"]
        self.addresses = [NETWORK.format(number, side) for side in (1, 2)]
        self.network = NETWORK.format(number, 0) + "/24"
        self.agent = tests.path / "agent"

    def __enter__(self):
        self.agent.write_text(AGENT)
        self.agent.chmod(0o755)
        for name in self.names:
            ip("netns", "add", name)
        ip("link", "add", self.cables[0], "type", "veth", "peer", "name", self.cables[1])
        for name, cable, address in zip(self.names, self.cables, self.addresses):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "addr", "add", address + "/24", "dev", cable)
            for link in (cable, "lo"):
                ip("-n", name, "link", "set", link, "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def words(self, ranks_of_hosts, command):
        where = ",".join(f"{name}:{n}" for name, n in zip(self.names, ranks_of_hosts))
        return ["ip", "netns", "exec", self.names[0], "unshare", "--uts", "--mount", "sh", "-c",
                'hostname "$0"; exec "$@"', self.names[0],
                "mpirun", *SETTINGS, *KEEPALIVE, "--mca", "plm_rsh_agent", str(self.agent), "--mca", "pml", "ob1",
                "--mca", "btl", "self,vader,tcp", "--mca", "btl_vader_single_copy_mechanism", "none",
                "--mca", "oob_tcp_if_include", self.network, "--mca", "btl_tcp_if_include", self.network,
                "-H", where, "-n", str(sum(ranks_of_hosts)), self.tests.program, *map(str, command)]

    def check(self, ranks_of_hosts, command, read, expected):
        ended = subprocess.run(self.words(ranks_of_hosts, command), capture_output=True, text=True, timeout=180,
                               stdin=subprocess.DEVNULL, env=environment())
        assert ended.returncode == 0, f"{ranks_of_hosts}: rc {ended.returncode}: {ended.stderr}"
        assert read(ended) == expected, f"{ranks_of_hosts} ranks of two hosts: not what one process has"

    def equal(self):
        tests, out, n = self.tests, self.tests.path / "hosts.npy", 0
        ids = ",".join(str(i * 31 % 60 + 1) for i in range(90))
        for model in ("nano", "nano-moe"):
            logits = tests.logits(model, 1)
            for ranks in ((1, 1), (2, 2), (1, 2), (3, 2)):
                self.check(ranks, ["logits", "-m", model, "--ids", ids, "--out", out, "--quiet", "--threads", 1],
                           lambda _: out.read_bytes(), logits)
                n += 1
        words = tests.long_answer(200)
        self.check((2, 1), words, lambda ended: ended.stdout.encode(), tests.reference(200))
        return n + 1

    def pids(self, group, n):
        """Ranks on both sides: those of the other host are children of its daemon, not of mpirun."""
        end = time.monotonic() + 60
        while len(group.pids) < n:
            group.read()
            assert group.process.poll() is None and time.monotonic() < end, \
                f"{n} ranks expected, {group.pids} seen: {group.err.decode()}"
            for word in os.listdir("/proc"):
                if word.isdigit() and (rank := rank_of(int(word))) is not None and self.is_mine(int(word)):
                    group.pids[rank] = int(word)
            time.sleep(0.02)

    def is_mine(self, pid):
        """Whether the process is in one of these namespaces."""
        try:
            own = os.stat(f"/proc/{pid}/ns/net").st_ino
            return any(own == os.stat(f"/run/netns/{name}").st_ino for name in self.names)
        except OSError:
            return False

    def hit(self, what, act, limit, peer_seconds=2):
        tests = self.tests
        words = self.words((2, 2), [*tests.long_answer(1900), "--peer-seconds", peer_seconds])
        expected = tests.reference(1900)
        group = Group(words)
        try:
            self.pids(group, 4)
            group.watched()
            time.sleep(tests.random.uniform(0, 1.5))
            group.read()
            begin = time.monotonic()
            act(group)
            ended = group.wait(limit, begin)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
        finally:
            group.kill()
        assert expected.startswith(ended.out), f"{what}: printed {ended.out[-200:]!r}, no beginning of the right answer"
        assert ended.code != 0, f"{what}: expected an exit code that is not 0; {ended.err}"
        return ended

    def cut(self, _):
        ip("-n", self.names[1], "link", "set", self.cables[1], "down")

    def join_again(self):
        ip("-n", self.names[1], "link", "set", self.cables[1], "up")

    def run(self):
        try:
            n_equal = self.equal()
            times = []
            for rank in range(4):
                times.append(self.hit(f"kill -9 of rank {rank}", lambda group, rank=rank:
                                      os.kill(group.pids[rank], signal.SIGKILL), GONE_KILLED).seconds)
            for rank in (0, 2, 3):
                ended = self.hit(f"SIGSTOP of rank {rank}", lambda group, rank=rank:
                                 os.kill(group.pids[rank], signal.SIGSTOP), GONE_FROZEN)
                assert f"qwen3: rank {rank} (" in ended.err, f"expected rank {rank} to be named, got {ended.err!r}"
                times.append(ended.seconds)
            try:
                # mpirun notices before the ranks do, as it must: with something to send it would wait for TCP.
                ended = self.hit("cut cable", self.cut, GONE_FROZEN, peer_seconds=4)
                times.append(ended.seconds)
            finally:
                self.join_again()
        except (AssertionError, subprocess.SubprocessError) as error:
            raise Failed(str(error)) from error
        return f"{n_equal} comparisons, {len(times)} losses, all gone after {max(times):.2f} s at most"

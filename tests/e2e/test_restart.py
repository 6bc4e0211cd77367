# SPDX-License-Identifier: Apache-2.0
"""notail run ends, or is killed, and comes back: what containers wrote meanwhile is there.

The pins are below /sys/fs/bpf where that is a BPF file system, or in one that the test mounts.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys

import harness
from test_inside import OPTIONS, notail_tar

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_client import ReceiverTarget  # noqa: E402
from loki_receiver import Receiver  # noqa: E402

BPFFS = "/sys/fs/bpf"
# While no notail is there, the ring takes what all containers of this machine write, not the test's alone: none of them
# may fill it. Theirs write less than this.
LIMIT = ("--rate-limit", "32KiB/s")


def is_bpffs(directory):
    with open("/proc/self/mounts", encoding="ascii") as f:
        return any(line.split()[1:3] == [directory, "bpf"] for line in f)


class Restart(harness.TestCase):
    def setUp(self):
        super().setUp()
        base = BPFFS
        if not is_bpffs(BPFFS):
            base = harness.shared.path("bpffs").replace(".", "-")
            os.makedirs(base)
            done = subprocess.run(["mount", "-t", "bpf", "bpf", base], capture_output=True, check=False)
            if done.returncode:
                self.skipTest(f"no BPF file system can be mounted: {done.stderr.decode().strip()}")
            self.addCleanup(subprocess.run, ["umount", "-l", base], check=False)
        self.pins = f"{base}/notail-{harness.RUN_ID}-{self.id().rsplit('.', 1)[1]}"
        self.addCleanup(self.unpin, "--force")

    def unpin(self, *words):
        return subprocess.run([harness.NOTAIL, "unpin", "--pins", self.pins, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)

    def target(self):
        target = ReceiverTarget(Receiver())
        target.__enter__()
        self.addCleanup(target.__exit__, None, None, None)
        return target

    def daemon(self, target, *words, **keywords):
        spool = harness.shared.path("spool")
        return self.plain_notail(
            "run", "--pins", self.pins, "--loki", target.url, "--docker", self.engine.host, "--listen", "off", "--spool-dir",
            spool, "--container", f"e2e-{harness.RUN_ID}-*", "--batchwait", "100ms", "--log-level", "debug", *LIMIT, *words,
            **keywords)

    def writer(self, name, command="i=0; while :; do echo line $i; i=$((i+1)); sleep 0.005; done"):
        self.engine.start("busybox", "sh", "-c", command, name=name)
        self.addCleanup(self.engine.remove, name)

    def numbers(self, target, name):
        lines = [e.line for e in target.entries({"container": name})]
        return [int(line.split()[1]) for line in lines if re.fullmatch(rb"line \d+", line)]

    def last(self, target, name):
        return max(self.numbers(target, name), default=-1)

    def await_more(self, target, name, more=100):
        goal = self.last(target, name) + more
        harness.wait_for(lambda: self.last(target, name) >= goal, what=lambda: f"{self.last(target, name)} of {goal}")

    def assert_whole(self, target, name, since=0):
        """From the first to the last, none is missing. `since` None: whichever came first."""
        got = sorted(set(self.numbers(target, name)))
        missing = sorted(set(range(got[0] if since is None else since, got[-1] + 1)) - set(got))
        gaps = [e.line for e in target.entries({"container": name}) if e.line.startswith(b"notail: ")]
        self.assertEqual(missing, [], f"of {len(got)}; gaps: {gaps}")

    def kill(self, notail, signo):
        notail.process.send_signal(signo)
        notail.process.wait(harness.DEADLINE)

    def test_ended_and_killed(self):
        """By SIGTERM and by SIGKILL, more than once; what is written while nobody reads is there."""
        target, name = self.target(), self.name("numbers")
        notail = self.daemon(target)
        self.writer(name)
        for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            self.await_more(target, name)
            self.kill(notail, signo)
            before = self.engine.docker("logs", "--tail", "1", name)
            harness.wait_for(lambda before=before: self.engine.docker("logs", "--tail", "1", name) != before)
            notail = self.daemon(target)
            self.assertIn("what is pinned is taken over", notail.stderr())
        self.await_more(target, name)
        self.engine.docker("kill", name)
        self.assertEqual(notail.stop(), 0)
        self.assert_whole(target, name)

    def test_a_container_meanwhile(self):
        """One that came and went, and one that goes, while nobody reads."""
        target, before, name = self.target(), self.name("before"), self.name("meanwhile")
        notail = self.daemon(target)
        self.writer(before)
        self.await_more(target, before)
        self.kill(notail, signal.SIGKILL)
        self.engine.run("busybox", "sh", "-c", "for i in 0 1 2; do echo line $i; done", name=name)
        self.addCleanup(self.engine.remove, name)
        self.engine.docker("kill", before)
        written = len(self.engine.record(before)["stdout"])
        self.daemon(target)
        harness.wait_for(lambda: self.numbers(target, name) == [0, 1, 2], what=lambda: str(self.numbers(target, name)))
        harness.wait_for(lambda: self.last(target, before) == written - 1, what=lambda: f"{self.last(target, before)}")
        self.assert_whole(target, before)

    def test_one_at_a_time(self):
        target = self.target()
        notail = self.daemon(target)
        second = self.daemon(target, wait=False)
        self.assertEqual(second.process.wait(harness.DEADLINE), 1)
        self.assertRegex(second.stderr(), rf"another notail runs: process {notail.process.pid} \(notail\) since \d{{4}}-\d\d-\d\d "
                                          rf"\d\d:\d\d:\d\d holds {self.pins}\n")
        refused = self.unpin()
        self.assertEqual(refused.returncode, 1)
        self.assertIn(f"process {notail.process.pid} ".encode(), refused.stderr)
        beside, name = self.notail(), self.name("beside")
        self.engine.run("busybox", "echo", "hi", name=name)
        beside.wait_lines(name, "stdout", [b"hi"])
        self.assertEqual(beside.stop(), 0)

    def test_unpin(self):
        target = self.target()
        notail = self.daemon(target)
        self.assertEqual(notail.stop(), 0)
        done = self.unpin()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout.decode(), rf"{self.pins}: \d+ maps and \d+ links removed\n")
        self.assertFalse(os.path.exists(self.pins))
        done = self.unpin()
        self.assertEqual((done.returncode, done.stdout.decode()), (0, f"{self.pins}: nothing is pinned\n"))

    def test_detach_on_exit(self):
        notail = self.daemon(self.target(), "--detach-on-exit")
        self.assertTrue(os.path.isdir(self.pins))
        self.assertEqual(notail.stop(), 0)
        self.assertFalse(os.path.exists(self.pins))

    def test_other_settings(self):
        """Other programs take over without a hole; a ring of another size begins anew, with one that is counted."""
        target, name = self.target(), self.name("upgraded")
        notail = self.daemon(target)
        self.writer(name)
        for words in (["--rate-limit", "64KiB/s"], ["--exec-sessions"]):
            self.await_more(target, name)
            self.kill(notail, signal.SIGKILL)
            notail = self.daemon(target, *words)
            self.assertIn("took over from those that were pinned", notail.stderr())
        self.await_more(target, name)
        self.assert_whole(target, name)
        self.kill(notail, signal.SIGKILL)
        notail = self.daemon(target, "--ring-size", "1MiB", "--stats")
        self.assertIn("its maps are not those of this notail", notail.stderr())
        self.await_more(target, name)
        self.assertEqual(notail.stop(), 0)
        self.assertRegex(notail.stderr(), r"\d+ bytes of its ring had not been delivered")

    def test_in_a_container(self):
        """The next one's container starts while the programs work: its own output is no log all the same."""
        target, talker = self.target(), self.name("talker")
        # What the ring has no room for goes there; in the container it would end with it.
        spool = harness.shared.path("spool")
        os.mkdir(spool, 0o700)
        self.engine.import_image("notail", notail_tar())
        self.writer(talker)
        own = []
        for _ in range(3):
            own.append(self.name("notail"))
            bpffs = self.pins.rpartition("/")[0]
            self.engine.docker("run", "-d", "--name", own[-1], "--log-driver", "local", "--log-opt", "max-size=2g", *OPTIONS,
                               "--cgroupns", "host", "--network", "host", "-v", f"{bpffs}:{bpffs}", "-v",
                               f"{spool}:/var/lib/notail/spool", "-v", f"{self.engine.socket}:/var/run/docker.sock",
                               "notail", "/bin/notail", "run", "--pins", self.pins, "--loki", target.url, "--listen", "off",
                               "--container", f"e2e-{harness.RUN_ID}-*", "--log-level", "debug", "--batchwait", "100ms", *LIMIT)
            self.addCleanup(self.engine.remove, own[-1])
            self.await_more(target, talker)
            said = b"\n".join(self.engine.record(own[-1])["stderr"])
            self.assertEqual(b"is taken over" in said, len(own) > 1, said)
            self.engine.docker("kill", own[-1])
        self.assert_whole(target, talker, None)
        self.assertEqual([e for name in own for e in target.entries({"container": name})], [])

    def test_not_durable(self):
        """It is said, and notail works."""
        target, name = self.target(), self.name("nowhere")
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.pins)
            os.rmdir(self.pins)
        self.pins = harness.shared.path("pins").replace(".", "-")
        notail = self.daemon(target)
        self.assertRegex(notail.stderr(), r"not durable: .* is on no BPF file system")
        self.engine.run("busybox", "echo", "line 0", name=name)
        harness.wait_for(lambda: self.numbers(target, name) == [0])



# SPDX-License-Identifier: Apache-2.0
"""What a run gives up, and where secrets must not be."""

import os
import re
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(harness.TOP, "tests/receiver"))

from loki_receiver import Receiver  # noqa: E402

# CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_NICE, CAP_PERFMON, CAP_BPF
KEPT = 1 << 2 | 1 << 19 | 1 << 23 | 1 << 38 | 1 << 39


class Security(harness.TestCase):
    def status(self, pid, task):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def check_threads(self, notail):
        tasks = os.listdir(f"/proc/{notail.pid}/task")
        self.assertGreater(len(tasks), 1)
        for task in tasks:
            status = self.status(notail.pid, task)
            for which in "CapEff", "CapPrm":
                self.assertFalse(int(status[which], 16) & ~KEPT, f"{which} {status[which]}")
            self.assertEqual(int(status["CapInh"], 16) | int(status["CapAmb"], 16), 0)
            self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))

    def test_given_up(self):
        with open(harness.NOTAIL, "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("sanitizers call whatever they like: there is no filter")
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        # With notes of writers there is one more thread, with a spool another.
        notail = self.plain_notail("run", "--loki", receiver.start().url, "--docker", self.engine.host, "--container",
                                   self.name("given"), "--attribution", "line", "--spool-dir",
                                   harness.shared.path("spool"), "--listen", "off", "--batchwait", "10ms")
        self.engine.start("busybox", "sh", "-c", "echo one; sleep 1000", name=self._containers[0])
        harness.wait_for(receiver.streams, what="a line")
        self.assertGreaterEqual(len(os.listdir(f"/proc/{notail.pid}/task")), 4)
        self.check_threads(notail)
        with open(f"/proc/{notail.pid}/limits", encoding="ascii") as file:
            self.assertRegex(file.read(), r"Max core file size +0 +0 ")
        self.assertEqual(notail.stop(), 0)

    def test_off(self):
        notail = self.notail("-c", self.file("security: {seccomp: 'off'}\n"))
        self.assertEqual(self.status(notail.pid, notail.pid)["Seccomp"], "0")
        self.assertEqual(notail.stop(), 0)

    def test_a_command_keeps_what_it_has(self):
        notail = self.plain_notail("--stdout=raw", "--", "sh", "-c", "grep -h Seccomp: /proc/self/status; ulimit -c -H",
                                   wait=False)
        self.assertEqual(notail.wait(), 0)
        with open("/proc/self/limits", encoding="ascii") as file:
            hard = re.search(r"Max core file size +\S+ +(\S+)", file.read()).group(1)
        self.assertEqual(self.status("self", os.getpid())["Seccomp"], "0")
        text = notail.stdout_bytes().decode()
        self.assertIn("Seccomp:\t0", text)
        if hard == "unlimited":
            self.assertIn("unlimited", text)

    def test_no_secret_on_the_command_line(self):
        receiver = Receiver()
        self.addCleanup(receiver.stop)
        url = receiver.start().url.replace("://", "://user:geheim@")
        notail = self.plain_notail("run", "--loki", url, "--no-docker", "--container", self.name("none"), "--listen", "off")
        with open(f"/proc/{notail.pid}/cmdline", "rb") as file:
            line = file.read()
        self.assertNotIn(b"geheim", line)
        self.assertIn(receiver.url.rpartition("/")[2].encode(), line)
        self.assertNotIn("geheim", notail.stderr())
        self.assertEqual(notail.stop(), 0)


if __name__ == "__main__":
    unittest.main()

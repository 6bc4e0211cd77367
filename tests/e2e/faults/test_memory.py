# SPDX-License-Identifier: Apache-2.0
"""The kernel kills notail for want of memory, in a cgroup of 64 MiB."""

import os
import subprocess
import time

import base
import harness

LIMIT = 64 << 20
# Takes memory until notail is gone.
HOG = """
import os, sys, time
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
taken = []
while os.path.exists("/proc/" + sys.argv[2]) and open("/proc/%s/stat" % sys.argv[2]).read().split(") ")[1][0] != "Z":
    taken.append(bytearray(os.urandom(1 << 20)))
    time.sleep(0.02)
"""


def memory_root():
    """(The directory that has memory cgroups, the name of the limit), or None."""
    for root, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        if os.path.exists(os.path.join(root, "cgroup.procs")):
            path = os.path.join(root, f"notail-e2e-{harness.RUN_ID}")
            try:
                os.makedirs(path, exist_ok=True)
            except OSError:
                continue
            if os.path.exists(os.path.join(path, name)):
                return path, name
            os.rmdir(path)
    return None


class Memory(base.TestCase):
    def test_killed_by_the_kernel(self):
        found = memory_root()
        if not found:
            self.skipTest("no memory cgroups here")
        path, limit = found
        self.addCleanup(self.remove, path)
        with open(os.path.join(path, limit), "w", encoding="ascii") as file:
            file.write(str(LIMIT))
        sink = self.sink()
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', path]
        daemon = self.daemon(sink, prefix=enter, capture__ring_size="8MiB", limits__memory="8MiB")
        load = self.load(2, rate=1000, prompts=800)
        for _ in range(self.scale(2, 5)):
            stored = sink.stats()["stored"]
            base.wait_for(lambda stored=stored: sink.stats()["stored"] > stored + 1, what="pushes")
            with open(f"/proc/{daemon.notail.pid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write("1000")  # the kernel is to choose it
            hog = subprocess.Popen(["/usr/bin/python3", "-c", HOG, path, str(daemon.notail.pid)], stdin=subprocess.DEVNULL)
            self.addCleanup(hog.wait)
            self.addCleanup(hog.kill)
            self.assertEqual(daemon.notail.wait(), -9)
            hog.wait()
            time.sleep(self.random.random())
            daemon.start()
        load.end()
        self.assert_delivered(load, sink)

    @staticmethod
    def remove(path):
        # The daemon is killed by a clean-up that runs later: its processes go up a cgroup.
        for pid in open(os.path.join(path, "cgroup.procs"), encoding="ascii").read().split():
            with open(os.path.join(os.path.dirname(path), "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(pid)
        os.rmdir(path)

# SPDX-License-Identifier: Apache-2.0
"""Other people's programs, and processes that are moved about, against docker's record.

The programs are this machine's own, shown to the container read-only: Go's are the engines themselves.
"""

import os
import shutil

import harness

SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/lib32", "/sbin", "/etc/alternatives")


def system_options():
    """The machine's programs and libraries, in their places."""
    there = [path for path in SYSTEM if os.path.exists(path)]
    return [word for path in there for word in ("-v", f"{path}:{path}:ro")]


def unified_root():
    """Where the unified cgroup hierarchy is mounted; None: nowhere."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        return next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)


class Programs(harness.TestCase):
    def check(self, *command, status=0, options=(), least=1):
        """Runs it with the machine's programs; the record."""
        path = shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
        if not path:
            self.skipTest(f"not installed: {command[0]}")
        name = self.name("program")
        notail = self.notail()
        done = self.engine.run("busybox", path, *command[1:], name=name, check=False,
                               options=[*system_options(), *options])
        self.assertEqual(done.returncode, status, done.stderr[-1000:])
        self.assert_as_recorded(notail, name)
        record = self.engine.record(name)
        self.assertGreaterEqual(len(record["stdout"]) + len(record["stderr"]), least)
        for stream, lines in record.items():
            if lines:
                counts = notail.stream(name, stream)
                self.assertEqual((counts["written"], counts["lost"], counts["missing"]), (counts["copied"], 0, 0), counts)
        return record

    def test_go(self):
        """A Go program's standard output."""
        self.check("containerd", "config", "default", least=50)

    def test_go_log_of_many_goroutines(self):
        """A Go daemon's log: it starts in parts, and ends because it may not do what it wants to."""
        command = "/usr/bin/timeout -s INT 5 containerd --root /tmp/root --state /tmp/state --address /tmp/socket -l trace; echo $?"
        record = self.check("sh", "-c", command, options=("-e", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"), least=10)
        self.assertTrue(record["stderr"])

    def test_go_error(self):
        record = self.check("runc", "--no-such-option", status=1)
        self.assertTrue(record["stdout"] + record["stderr"])

    def test_dynamic(self):
        """Linked against the machine's glibc."""
        self.check("ls", "-la", "/usr/bin", least=50)

    def test_python(self):
        script = "import sys\nfor i in range(500): print('out', i); print('err', i, file=sys.stderr)"
        record = self.check("python3", "-c", script)
        self.assertEqual((len(record["stdout"]), len(record["stderr"])), (500, 500))

    def test_perl(self):
        self.check("perl", "-e", '$| = 1; for (1..500) { print "out $_\\n"; print STDERR "err $_\\n"; } print "half"')

    def test_musl_dynamic(self):
        """Linked against musl's libc.so, which is its own loader."""
        if not harness.program("dynamic_musl"):
            self.fail("dynamic_musl is not built: make test-programs")
        loader = os.path.realpath(f"/lib/ld-musl-{os.uname().machine}.so.1")
        name = self.name("musl")
        notail = self.notail()
        self.engine.run("busybox", "dynamic_musl", "--lines", "2000", "--threads", "3", "--stderr-every", "4", name=name,
                        options=["-v", f"{loader}:/lib/ld-musl-{os.uname().machine}.so.1:ro"])
        self.assert_as_recorded(notail, name)
        self.assertEqual(len(notail.lines(name)), 6000)


class Moved(harness.TestCase):
    """A process in another cgroup than the one that its container began in: the file decides, not the cgroup."""

    def check(self, where):
        """`where`: the new cgroup's path, of the container's own."""
        root = unified_root()
        if not root:
            self.skipTest("no unified cgroup hierarchy is mounted")
        name = self.name("moved")
        notail = self.notail()
        script = ("echo before; until [ -e /tmp/go ]; do sleep 0.05; done; echo after; echo error >&2; "
                  "sh -c 'echo child'; echo last")
        self.engine.start("busybox", "sh", "-c", script, name=name)
        notail.wait_lines(name, "stdout", [b"before"])
        pid = self.engine.inspect(name)["State"]["Pid"]
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            own = next(line.strip().split("::")[1] for line in file if line.startswith("0::"))
        new = root + where(own)
        os.mkdir(new)
        self.addCleanup(lambda: os.path.isdir(new) and os.rmdir(new))
        with open(os.path.join(new, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))
        self.engine.docker("cp", "/dev/null", f"{name}:/tmp/go")
        self.engine.wait(name)
        self.assert_as_recorded(notail, name)
        self.assertEqual(notail.lines(name, "stdout"), [b"before", b"after", b"child", b"last"])
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["written"], counts["missing"]), (counts["copied"], 0), counts)

    def test_moved_cgroup(self):
        self.check(lambda own: f"/e2e-moved-{harness.RUN_ID}")

    def test_moved_below(self):
        self.check(lambda own: f"{own}/moved")

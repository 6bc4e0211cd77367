# SPDX-License-Identifier: Apache-2.0
"""Containers of ctr, against what it printed, attached; their reader is the shim, or a logger."""

import os
import subprocess
import threading

import case
import harness

WRITER = "writer --threads 3 --lines 3000 --min 1 --max 300 --random --stderr-every 5".split()
# containerd's binary:// contract: the pipes are fd 3 and 4; it is ready when it closes fd 5; SIGTERM comes when the
# container has ended, whether everything has been read or not.
LOGGER = """#!/bin/sh
exec 2>/dev/null
trap '' TERM
cat <&3 >{path}.stdout 5>&- &
cat <&4 >{path}.stderr 5>&- &
exec 5>&-
wait
: >{path}.done
"""


class Ctr(case.EngineCase):
    def setUp(self):
        why = case.why_no_containerd()
        if why:
            self.skipTest(why)
        super().setUp()

    @property
    def engine(self):
        return case.containerd_engine()

    def check(self, *command, options=(), equal=False, half=(), status=0):
        """Runs it and compares; (notail, name, record)."""
        name = self.engine.name()
        notail = self.watch(name)
        done = self.engine.run(name, *command, options=options, check=False)
        self.assertEqual(done.returncode, status, done.stderr[-2000:])
        record = {"stdout": case.split(done.stdout), "stderr": case.split(done.stderr)}
        self.assert_captured(notail, name, record)
        if "--tty" not in options:
            self.assert_counted(notail, name, record, equal, half)
        return notail, name, record

    def test_lines_and_labels(self):
        command = ("sh", "-c", "echo out; echo err >&2; printf half")
        notail, name, record = self.check(*command, half=("stdout",))
        self.assertEqual(record, {"stdout": [b"out", b"half"], "stderr": [b"err"]})
        for entry in self.entries_of(notail, name):
            self.assertEqual(entry.labels["container"], name[:12])
            self.assertEqual(entry.metadata["engine"], "containerd")

    def test_three_threads(self):
        _, _, record = self.check(*WRITER, equal=True)
        self.assertEqual({stream: len(lines) for stream, lines in record.items()}, {"stdout": 7200, "stderr": 1800})

    def test_ways_counted(self):
        self.check("ways", "--flag", "counted", options=("--privileged",) if can_be_privileged() else ())

    def test_ways_moved(self):
        self.check("ways", "--flag", "moved")

    def test_namespace(self):
        """The cgroup is /<namespace>/<name>."""
        name = self.engine.name()
        notail = self.watch(name)
        self.engine.ctr("-n", "other", "images", "import", os.path.join(self.engine.base, "image.tar"))
        done = self.engine.ctr("-n", "other", *self.engine.run_words(name, "echo", "hi"))
        self.assertEqual(done.stdout, b"hi\n")
        self.assert_captured(notail, name, {"stdout": [b"hi"], "stderr": []})

    def test_exec_is_not_captured(self):
        name = self.engine.name()
        notail = self.watch(name)
        command = "echo begin; while [ ! -e /tmp/end ]; do sleep 0.05; done; echo end"
        client = subprocess.Popen(
            self.engine.command(*self.engine.run_words(name, "sh", "-c", command)), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.engine.environment(),
        )
        harness.wait_for(lambda: self.lines_of(notail, name, "stdout") == [b"begin"], what="the first line")
        texts = ("echo of the exec session", "echo to the log >/proc/1/fd/1; touch /tmp/end")
        for i, text in enumerate(texts):
            self.engine.ctr("tasks", "exec", "--exec-id", f"exec{i}", name, "sh", "-c", text)
        out, _ = client.communicate(timeout=120)
        self.assertEqual(out, b"begin\nto the log\nend\n")
        self.assert_captured(notail, name, {"stdout": [b"begin", b"to the log", b"end"], "stderr": []})

    def test_20_at_once(self):
        names = [self.engine.name() for _ in range(20)]
        notail = self.watch(self.engine.prefix)
        runs = [
            threading.Thread(target=self.engine.run, args=(name, "sh", "-c", f"echo {name}; echo err {name} >&2"))
            for name in names
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        for name in names:
            self.assert_captured(notail, name, {"stdout": [name.encode()], "stderr": [b"err " + name.encode()]})

    def run_logged(self, *command):
        """Runs it with a binary:// logger to its end; (notail, name, record)."""
        path = harness.shared.path("logger")
        with open(path, "w", encoding="utf-8") as file:
            file.write(LOGGER.format(path=path))
        os.chmod(path, 0o755)
        name = self.engine.name()
        notail = self.watch(name)
        self.engine.run(name, *command, options=["--log-uri", f"binary://{path}"])
        harness.wait_for(lambda: os.path.exists(f"{path}.done"), what="the logger's end")
        record = {}
        for stream in ("stdout", "stderr"):
            with open(f"{path}.{stream}", "rb") as file:
                record[stream] = case.split(file.read())
        return notail, name, record

    def test_binary_logger(self):
        """Another process than init's parent reads: from the first byte on, nothing is missing or doubled."""
        notail, name, record = self.run_logged("writer", "--lines", "3000", "--stderr-every", "5", "--random")
        self.assertEqual({stream: len(lines) for stream, lines in record.items()}, {"stdout": 2400, "stderr": 600})
        self.assert_captured(notail, name, record)
        self.assert_counted(notail, name, record, equal=True)
        for stream in ("stdout", "stderr"):
            counts = notail.stream(name, stream)
            self.assertEqual(counts["tap"], "read", counts)

    def test_binary_logger_ways(self):
        notail, name, record = self.run_logged("ways", "write", "writev", "halves_of_both", "orphan", "exec")
        self.assert_captured(notail, name, record)

    def test_binary_logger_what_is_not_copied_is_counted(self):
        """Moved pages are in no buffer: where the write tap copies they are lost, and said to be."""
        notail, name, record = self.run_logged("ways", "write", "sendfile")
        counts = notail.stream(name, "stdout")
        size = sum(map(len, record["stdout"])) + len(record["stdout"])
        if counts["tap"] == "write":
            self.assertGreater(counts["lost"], 0, counts)
        self.assertEqual(counts["copied"] + counts["lost"], size, counts)


def can_be_privileged():
    """All capabilities at once need those of our own."""
    with open("/proc/self/status", encoding="ascii") as file:
        return "CapBnd:\t000001ffffffffff" in file.read()

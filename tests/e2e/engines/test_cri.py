# SPDX-License-Identifier: Apache-2.0
"""Containers of containerd's CRI plugin, as a kubelet starts them, against the CRI log file."""

import case
import cri
import harness

WRITER = "writer --threads 3 --lines 3000 --min 1 --max 300 --random --stderr-every 5".split()


def as_logged(line):
    """The CRI plugin takes a carriage return for a part of the line's end."""
    return line[:-1] if line.endswith(b"\r") else line


class Cri(case.EngineCase):
    def setUp(self):
        why = case.why_no_cri()
        if why:
            self.skipTest(why)
        super().setUp()

    @property
    def engine(self):
        return case.cri_engine()

    def check(self, *command, tty=False, equal=False, half=(), status=0, **keywords):
        """Runs it and compares; (notail, id, record). `keywords` are those of create()."""
        cid = self.engine.create(*command, tty=tty, **keywords)
        notail = self.watch(cid)
        self.engine.start(cid)
        self.assertEqual(self.engine.wait(cid), status)
        streams = ("tty",) if tty else ("stdout", "stderr")
        for stream in streams:
            notail.stream(cid, stream)  # then the shim has had all there is
        whole = {stream: self.lines_of(notail, cid, stream) for stream in ("stdout", "stderr")}
        captured = {stream: list(map(as_logged, lines)) for stream, lines in whole.items()}
        self.wait_for_record(cid, captured)
        record = self.engine.record(cid)
        for stream, lines in record.items():
            self.assert_lines(captured[stream], lines, f"{cid[:12]} {stream}")
        if not tty:
            self.assert_counted(notail, cid, whole, equal, half)
        return notail, cid, record

    def wait_for_record(self, cid, captured):
        """The log is written behind the shim: until it has as much as was captured, or for a while."""
        try:
            harness.wait_for(lambda: self.engine.record(cid) == captured, timeout=20, interval=0.2)
        except AssertionError:
            pass  # the comparison says more

    def test_lines_and_labels(self):
        notail, cid, record = self.check("sh", "-c", "echo out; echo err >&2; printf half", half=("stdout",))
        self.assertEqual(record, {"stdout": [b"out", b"half"], "stderr": [b"err"]})
        for entry in self.entries_of(notail, cid):
            self.assertEqual((entry.labels["namespace"], entry.labels["container"]), ("default", "main"))
            self.assertEqual(entry.metadata["engine"], "containerd")

    def test_partial_lines(self):
        """The log cuts at 16,384 bytes (P), notail does not."""
        script = "for n in 16383 16384 16385 40000; do head -c $n /dev/zero | tr '\\0' x; echo; done; echo end"
        _, cid, record = self.check("sh", "-c", script, equal=False)
        self.assertEqual([len(line) for line in record["stdout"]], [16383, 16384, 16385, 40000, 3])
        with open(self.engine.logs[cid], "rb") as file:
            self.assertIn(b" stdout P ", file.read())

    def test_shared_process_namespace(self):
        """The pod's first process is the pause container's; the container's own is none's pid 1."""
        _, _, record = self.check("ways", "write", "orphan", "halves_of_both", "exec", pid=cri.POD)
        self.assertIn(b"== orphan", record["stdout"])

    def test_process_namespace_of_the_host(self):
        self.check("ways", "write", "orphan", "halves_of_both", "exec", pid=cri.NODE)

    def test_three_threads(self):
        _, _, record = self.check(*WRITER, equal=True)
        self.assertEqual({stream: len(lines) for stream, lines in record.items()}, {"stdout": 7200, "stderr": 1800})

    def test_ways_counted(self):
        self.check("ways", "--flag", "counted")

    def test_ways_moved(self):
        self.check("ways", "--flag", "moved")

    def test_ways_tty(self):
        self.check("ways", "--flag", "tty", tty=True)

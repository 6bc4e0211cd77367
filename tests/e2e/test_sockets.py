# SPDX-License-Identifier: Apache-2.0
"""Stdio that is a stream socket, as systemd's units have it, against what its reader got. No reader of a socket is known
to the read tap: the write tap copies, and says why."""

import os
import socket
import subprocess
import threading

import harness
import test_ways


def lines_of(data):
    """Lines as --stdout has them: what follows the last newline is one of its own."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


class Output:
    """A socket that is a process' output, read to its end: the journal's part."""

    def __init__(self, kind):
        self.reader, self.writer = socket.socketpair(socket.AF_UNIX, kind)
        self.parts = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while data := self.reader.recv(65536):
            self.parts.append(data)

    def record(self):
        self.thread.join(harness.DEADLINE)
        self.reader.close()
        return lines_of(b"".join(self.parts))


class Run:
    """The ways of the flag `socket`, as the reader and as notail have them."""

    def __init__(self, test, program, kind):
        outputs = {"stdout": Output(kind), "stderr": Output(kind)}
        process = subprocess.Popen(
            ["sh", "-c", 'read go; exec "$0" --flag socket', harness.program(program)], stdin=subprocess.PIPE,
            stdout=outputs["stdout"].writer, stderr=outputs["stderr"].writer,
        )
        test.addCleanup(process.wait)
        test.addCleanup(process.kill)
        for output in outputs.values():
            output.writer.close()
        notail = test.plain_notail("--stdout=json", "--stats", "--log-level", "debug", "--pid", str(process.pid))
        process.stdin.write(b"go\n")
        process.stdin.close()
        self.recorded = {stream: output.record() for stream, output in outputs.items()}
        if notail.wait() != 0:
            raise AssertionError(notail.stderr())
        self.stderr = notail.stderr()
        self.counts = {stream: [s for s in notail.streams() if s["stream"] == stream][-1] for stream in outputs}
        self.captured = {stream: [e.line for e in notail.entries() if e.stream == stream] for stream in outputs}
        self.by_way = {s: (test_ways.sections(self.captured[s]), test_ways.sections(self.recorded[s])) for s in outputs}


class Sockets(harness.TestCase):
    needs_engine = False
    needs_programs = ("ways", "ways32")
    known = {}

    def run_of(self, program, kind=socket.SOCK_STREAM):
        key = (harness.attempt(), program, kind)
        if key not in self.known:
            self.known[key] = Run(self, program, kind)
        return self.known[key]

    def check_way(self, program, way):
        run = self.run_of(program)
        for stream, (captured, recorded) in run.by_way.items():
            self.assert_lines(captured.get(way, []), recorded[way], stream)
        text = test_ways.Ways.result_of(run, way)
        if "impossible" in text:
            self.skipTest(f"not possible here: {text}")
        self.assertIn(f"-- {way} ok", text)

    def check_whole(self, program):
        run = self.run_of(program)
        for stream, recorded in run.recorded.items():
            self.assert_lines(run.captured[stream], recorded, stream)
            counts = run.counts[stream]
            self.assertEqual(counts["tap"], "write", counts)
            self.assertEqual(counts["copied"], sum(map(len, recorded)) + len(recorded), counts)
            self.assertEqual((counts["written"], counts["lost"]), (counts["copied"], 0), counts)
        self.assertRegex(run.stderr, r"stdout tap=write \(no reader found\) ")

    def test_whole(self):
        self.check_whole("ways")

    def test_whole_32bit(self):
        self.check_whole("ways32")


def add_tests():
    def way_test(program, way):
        return lambda self: self.check_way(program, way)

    for program, suffix in (("ways", ""), ("ways32", "_32bit")):
        for way, flag in test_ways.ways():
            if flag == "socket":
                setattr(Sockets, f"test_{way.removeprefix('socket_')}{suffix}", way_test(program, way))


add_tests()

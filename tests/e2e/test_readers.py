# SPDX-License-Identifier: Apache-2.0
"""Who reads: strangers, readers that are killed, sockets, and what `notail probe` says of all that."""

import json
import os
import signal
import socket
import subprocess

import harness

# Writes $1 when /go is there, then waits for /end.
SCRIPT = """\
echo first
while [ ! -e /go ]; do sleep 0.05; done
echo "$0"
: >/written
while [ ! -e /end ]; do sleep 0.05; done
echo last
"""


class Containers(harness.TestCase):
    """A container whose runtime is stopped while it writes a line."""

    def running(self, word, text):
        name = self.name(word)
        notail = self.notail()
        self.engine.start("busybox", "sh", "-c", SCRIPT, text, name=name)
        notail.wait_lines(name, "stdout", [b"first"])
        pid = self.engine.inspect(name)["State"]["Pid"]
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            shim = int(file.read().rpartition(")")[2].split()[1])
        with open(f"/proc/{shim}/comm", encoding="ascii") as file:
            self.assertIn("shim", file.read())
        return name, notail, pid, shim

    def touch(self, pid, name):
        with open(f"/proc/{pid}/root/{name}", "w", encoding="ascii"):
            pass

    def write_unread(self, pid, shim):
        """The line stays in the pipe."""
        os.kill(shim, signal.SIGSTOP)
        self.addCleanup(resume, shim)
        self.touch(pid, "go")
        harness.wait_for(lambda: os.path.exists(f"/proc/{pid}/root/written"), what="the line to be written")

    def test_killed_shim(self):
        """What it had not read is no loss of notail's, and said so."""
        name, notail, pid, shim = self.running("killed", "unread")
        self.write_unread(pid, shim)
        os.kill(shim, signal.SIGKILL)
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["written"], counts["copied"], counts["missing"]), (13, 6, 0), counts)
        self.assertEqual(counts["unread_at_end"], 7, counts)
        self.assertEqual(notail.stop(), 0)
        self.assertEqual(notail.lines(name), [b"first"])
        self.assertIn('notail_difference_bytes_total{reason="unread_at_end"} 7', notail.stderr())

    def test_foreign_reader(self):
        """Somebody on the host reads the log's pipe: docker's record lacks that, and so does notail's."""
        name, notail, pid, shim = self.running("foreign", "taken")
        self.write_unread(pid, shim)
        with open(f"/proc/{pid}/fd/1", "rb", buffering=0) as file:
            self.assertEqual(file.read(100), b"taken\n")
        resume(shim)
        self.touch(pid, "end")
        self.assertEqual(self.engine.wait(name), 0)
        self.assert_as_recorded(notail, name)
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["written"], counts["copied"], counts["missing"]), (17, 11, 0), counts)
        self.assertEqual(counts["foreign_reader"], 6, counts)
        self.assertEqual(notail.lines(name), [b"first", b"last"])

    def test_probe_shows_the_streams(self):
        name, notail, pid, shim = self.running("probe", "x")
        short = self.engine.inspect(name)["Id"][:12]
        done = subprocess.run([harness.NOTAIL, "probe", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        streams = [s for s in json.loads(done.stdout)["streams"] if s["container"] == short]
        with open(f"/proc/{shim}/comm", encoding="ascii") as file:
            why = f"reader {shim} {file.read().strip()}"
        self.assertEqual([(s["stream"], s["tap"], s["why"]) for s in streams], [(s, "read", why) for s in ("stdout", "stderr")])
        done = subprocess.run([harness.NOTAIL, "probe"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        self.assertIn(f"stream {short} stdout tap read: {why}\n".encode(), done.stdout)
        self.touch(pid, "go")
        self.touch(pid, "end")
        self.assertEqual(self.engine.wait(name), 0)

    def test_probe_shows_a_terminal(self):
        name = self.name("tty")
        self.engine.start("busybox", "sleep", "600", name=name, options=["-t"])
        short = self.engine.inspect(name)["Id"][:12]
        done = subprocess.run([harness.NOTAIL, "probe", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        streams = [s for s in json.loads(done.stdout)["streams"] if s["container"] == short]
        self.assertEqual([(s["stream"], s["tap"]) for s in streams], [("tty", "read")], streams)


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


class Sockets(harness.TestCase):
    """As systemd units have them: copied at the write, whoever reads and how."""

    needs_engine = False

    def check(self, kind, command):
        own, its = socket.socketpair(socket.AF_UNIX, kind)
        self.addCleanup(own.close)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=its, stderr=its)
        its.close()
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        notail = self.plain_notail("--stdout=json", "--stats", "--pid", str(process.pid))
        process.stdin.write(b"one\ntwo\n")
        process.stdin.close()
        name = os.path.basename(command[0])
        notail.wait_lines(name, "stdout", [b"got one", b"got two"])
        self.assertEqual(notail.wait(), 0)
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["tap"], counts["written"], counts["copied"], counts["missing"]), ("write", 16, 16, 0))
        self.assertIn("no reader found", notail.stderr())
        got = b""
        while len(got) < 16:
            got += own.recv(100)
        self.assertEqual(got, b"got one\ngot two\n")

    SHELL = ("sh", "-c", 'while read word; do echo "got $word"; done')

    def test_stream(self):
        self.check(socket.SOCK_STREAM, self.SHELL)

    def test_datagrams(self):
        self.check(socket.SOCK_DGRAM, self.SHELL)

    def test_packets(self):
        self.check(socket.SOCK_SEQPACKET, self.SHELL)

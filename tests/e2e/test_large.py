# SPDX-License-Identifier: Apache-2.0
"""A gibibyte in one write(2), and a line of one: huge.c. The record is what the client that is attached got: it keeps
nothing, so that no disk has to hold it."""

import hashlib
import os
import re
import subprocess
import threading

import harness

GIB = 1 << 30
MAX_LINE = 256 * 1024


class Digest(threading.Thread):
    """Reads a file to its end: the hash and the number of bytes."""

    def __init__(self, file):
        super().__init__(daemon=True)
        self.file = file
        self.hash = hashlib.sha1()
        self.size = 0
        self.start()

    def run(self):
        while data := os.read(self.file, 1 << 20):
            self.hash.update(data)
            self.size += len(data)


class Large(harness.TestCase):
    needs_programs = ("huge",)

    def huge(self, name, word):
        """Runs it with a client that is attached; the Digest of what that got."""
        client = subprocess.Popen(
            self.engine.command("run", "--network=none", "--log-driver", "none", "--name", name, "busybox", "huge", word),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.engine.environment(),
        )
        with client.stdout:
            digest = Digest(client.stdout.fileno())
            self.assertEqual(client.wait(240), 0)
            digest.join(60)
        return digest

    def test_one_write_of_1_gib(self):
        name = self.name("gib")
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        notail = self.plain_notail("--stdout=raw", "--stats", "--ring-size", "256MiB", "--docker", self.engine.host,
                                   "--container", name, "--stream", "stdout", stdout=write_end)
        os.close(write_end)
        ours = Digest(read_end)
        theirs = self.huge(name, "lines")
        self.assertEqual(theirs.size, GIB)
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["written"], counts["copied"]), (GIB, GIB), counts)
        self.assertEqual((counts["lost"], counts["missing"], counts["uncounted"]), (0, 0, 0), counts)
        self.assertEqual(notail.stop(), 0)
        ours.join(60)
        self.assertEqual((ours.size, ours.hash.digest()), (theirs.size, theirs.hash.digest()))

    def anonymous_kib(self, notail):
        with open(f"/proc/{notail.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.M).group(1))

    def test_line_of_1_gib(self):
        """It is cut, marked and counted, the next line is intact, and memory stays as it was after a line of 1 MiB."""
        name, small = self.name("line"), self.name("small")
        notail = self.notail("--ring-size", "64MiB")
        self.engine.run("busybox", "sh", "-c", "head -c 1048576 /dev/zero; echo; echo next", name=small)
        notail.wait_lines(small, "stdout", 2)
        before, most, ended = self.anonymous_kib(notail), [0], threading.Event()

        def watch():
            while not ended.wait(0.05):
                most[0] = max(most[0], self.anonymous_kib(notail))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        digest = self.huge(name, "line")
        self.assertEqual(digest.size, GIB + len(b"\nnext\n"))
        notail.wait_lines(name, "stdout", 2)
        ended.set()
        watcher.join()
        entries = notail.of(name, "stdout")
        self.assert_lines([e.line for e in entries], [b"x" * MAX_LINE, b"next"])
        self.assertEqual([e.metadata.get("truncated") for e in entries], ["true", None])
        counts = notail.stream(name, "stdout")
        self.assertEqual((counts["written"], counts["copied"], counts["lost"]), (digest.size, digest.size, 0), counts)
        self.assertLess(most[0], before + 8 * 1024, "KiB of anonymous memory")
        self.assertEqual(notail.stop(), 0)
        cut = re.search(r"^notail_truncated_lines_total (\d+)$", notail.stderr(), re.M)
        self.assertGreaterEqual(int(cut.group(1)), 2)

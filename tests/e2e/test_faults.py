# SPDX-License-Identifier: Apache-2.0
"""The tests must be able to fail: kernel sides that lose one read, or one count, in 1,000 are noticed."""

import os
import subprocess

import harness


def build(fault):
    """notail with a fault, its kernel side built in a directory of its own; its path."""
    directory = os.path.join(harness.BUILD, "fault-" + fault.lower().replace("_", "-"))
    with open(os.path.join(harness.BUILD, "settings"), encoding="utf-8") as file:
        _, sanitizers, *_ = file.read().split(" ")
    done = subprocess.run(
        ["make", "-C", harness.TOP, f"BUILD={directory}", f"SHARED={harness.BUILD}", f"FAULT={fault}",
         f"SANITIZE={sanitizers}", os.path.join(directory, "notail")], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "BUILD", "NOTAIL")},
    )
    if done.returncode:
        raise AssertionError(f"make FAULT={fault}: {done.stdout[-3000:]}")
    return os.path.join(directory, "notail")


class Faults(harness.TestCase):
    needs_programs = ("writer",)

    def run_with(self, fault):
        """A container's lines under a faulty notail: captured, recorded, the counts of its stdout."""
        notail = self.notail(binary=build(fault))
        name = self.name(fault.lower())
        # Three threads that are not at full speed: a read for every few lines.
        self.engine.run("busybox", "writer", "--threads", "3", "--lines", "16667", "--rate", "20000", "--random", name=name)
        counts = notail.stream(name, "stdout")
        recorded = self.engine.record(name)["stdout"]
        self.assertEqual(notail.stop(), 0)
        return notail.lines(name, "stdout"), recorded, counts

    def test_drop_read(self):
        """Lines are missing, and the proof says how many bytes."""
        captured, recorded, counts = self.run_with("DROP_READ")
        size = sum(map(len, recorded)) + len(recorded)
        self.assertNotEqual(captured, recorded)
        self.assertGreater(counts["missing"], 0, counts)
        self.assertEqual(counts["written"], size, counts)
        self.assertEqual(counts["missing"], size - counts["copied"], counts)
        self.assertLess(sum(map(len, captured)), sum(map(len, recorded)))

    def test_drop_count(self):
        """All lines are there, and nothing is proven."""
        captured, recorded, counts = self.run_with("DROP_COUNT")
        self.assert_lines(captured, recorded)
        self.assertGreater(counts["uncounted"], 0, counts)
        self.assertLess(counts["written"], counts["copied"], counts)
        self.assertEqual(counts["missing"], 0, counts)

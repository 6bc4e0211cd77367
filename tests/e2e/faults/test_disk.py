# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, read-only or lie: memory alone then, said once; what is damaged costs itself only."""

import os
import subprocess
import time

import base
import harness


class Disk(base.TestCase):
    def tmpfs(self, size):
        path = harness.shared.path("tmpfs")
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    def remount(self, path, how):
        subprocess.run(["mount", "-o", f"remount,{how}", path], check=True)

    def test_full(self):
        """A disk smaller than the spool may be: what found no room there waits in memory and in the ring."""
        sink = self.sink()
        path = self.tmpfs("1m")
        daemon = self.daemon(sink, spool__directory=path, capture__ring_size="64MiB", limits__memory="8MiB")
        load = self.load(2, rate=self.scale(6000, 2000), random=True, min=150, max=220)
        base.wait_for(lambda: sink.stats()["stored"] > 0, what="a first push")
        sink.down()
        time.sleep(self.scale(6, 20))
        sink.up()
        load.end()
        self.assert_delivered(load, sink)
        self.assert_said_few_times(daemon, "No space left")
        self.assertEqual(daemon.dropped(), 0)

    def test_read_only(self):
        """From the start, and then no more."""
        sink = self.sink()
        path = self.tmpfs("64m")
        self.remount(path, "ro")
        daemon = self.daemon(sink, spool__directory=path, capture__ring_size="64MiB")
        load = self.load(1, rate=1500)
        base.wait_for(lambda: sink.stats()["stored"] > 0, what="a push without a spool")
        sink.down()
        time.sleep(self.scale(3, 10))
        self.remount(path, "rw")
        time.sleep(self.scale(3, 70))
        sink.up()
        load.end()
        self.assert_delivered(load, sink)
        self.assert_said_few_times(daemon, "Read-only")

    def assert_said_few_times(self, daemon, text):
        said = daemon.notail.stderr().count(text)
        self.assertGreater(said, 0, daemon.notail.stderr())
        self.assertLess(said, 5, daemon.notail.stderr())

    def damaged(self, damage):
        """An outage with a spool of several segments, killed; `damage` gets the paths; (daemon, load, sink) afterwards."""
        sink = self.sink()
        daemon = self.daemon(sink)
        load = self.load(1, rate=4000, random=True, min=180, max=220)
        base.wait_for(lambda: sink.stats()["stored"] > 0, what="a first push")
        sink.down()
        base.wait_for(lambda: daemon.spool_bytes() > 3 << 20, what="a backlog in the spool")
        load.end()
        self.assertEqual(daemon.stop(), 0, daemon.notail.stderr())
        paths = sorted((os.path.join(top, name) for top, _, names in os.walk(daemon.spool) for name in names),
                       key=os.path.getsize)
        damage(paths)
        sink.up()
        daemon.start()
        return daemon, load, sink

    def assert_costs_itself(self, daemon, load, sink, some_lost, said=".corrupt"):
        judge = self.wait_arrived(load, sink)
        verdict = judge.verdict(load.written())
        self.assertEqual(verdict.faults("lost", "late", "disorder"), {}, str(verdict))
        lost = verdict.counts["lost"]
        written = sum(load.written().values())
        print(f"  {self.id().split('.')[-1]}: {lost} of {written} lost", flush=True)
        self.assertLess(lost, written / 2)
        if some_lost:
            self.assertGreater(lost, 0)
        if said != ".corrupt":
            self.assertIn(said, daemon.notail.stderr())
            return
        corrupt = [name for _, _, names in os.walk(daemon.spool) for name in names if name.endswith(".corrupt")]
        self.assertEqual(len(corrupt), 1, daemon.notail.stderr())
        self.assertIn(corrupt[0].removesuffix(".corrupt"), daemon.notail.stderr())

    def test_flipped_bit(self):
        def flip(paths):
            with open(paths[-1], "r+b") as file:
                file.seek(os.path.getsize(paths[-1]) // 2)
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 0x10]))

        self.assert_costs_itself(*self.damaged(flip), some_lost=True)

    def test_truncated(self):
        """As a machine leaves it that lost its power."""
        self.assert_costs_itself(*self.damaged(lambda paths: os.truncate(paths[-1], os.path.getsize(paths[-1]) * 2 // 3)),
                                 some_lost=True, said="unfinished record")

    def test_foreign_file(self):
        """One of a segment's name that is none."""

        def foreign(paths):
            directory, name = os.path.split(paths[-1])
            number = "".join(c for c in name if c.isalnum() and c in "0123456789abcdef.") and name
            other = os.path.join(directory, number.translate(str.maketrans("0", "9", ""))[:len(name)])
            with open(other, "wb") as file:
                file.write(os.urandom(100000))

        self.assert_costs_itself(*self.damaged(foreign), some_lost=False)

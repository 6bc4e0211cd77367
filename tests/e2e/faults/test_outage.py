# SPDX-License-Identifier: Apache-2.0
"""Loki is away for long: the spool takes what is written, and gives it back in order. Times are printed, not judged."""

import time

import base

LATE_MS = 2000


class Outage(base.TestCase):
    def begin(self, sink, count, **options):
        load = self.load(count, **options)
        base.wait_for(lambda: sink.stats()["stored"] > 0, what="a first push")
        return load

    def outage(self, max_size, seconds, rate, count=4, small=True, **options):
        """Runs with an outage and a container that begins after it; (daemon, load, sink, its end as ns, fresh id).

        `small`: with a ring and memory for much less than a second: it is the spool that is tested. A live batch is too old
        for such a ring before Loki has it: it is spooled as well, and what follows of its stream comes behind the backlog;
        nor, at full rate, does such a ring always bridge a busy disk.
        """
        sink = self.sink()
        sizes = {"capture__ring_size": "4MiB", "limits__memory": "8MiB"} if small else {}
        daemon = self.daemon(sink, spool__max_size=max_size, spool__drain_rate="0", **sizes)
        load = self.begin(sink, count, rate=rate // count, min=150, max=220, **options)
        sink.down()
        before = self.sample(daemon)
        time.sleep(seconds)
        after = self.sample(daemon)
        up_ns = time.time_ns()
        sink.up()
        fresh = load.add(rate=100)
        time.sleep(self.scale(2, 20))
        load.end()
        print(f"  {self.id().split('.')[-1]}: {seconds} s of outage at {rate} lines/s: RSS {before[0] / 1e6:.1f} MB, then "
              f"{after[0] / 1e6:.1f} MB; CPU {after[1] - before[1]:.1f} s; spool {after[2] / 1e6:.1f} MB", flush=True)
        return daemon, load, sink, up_ns, fresh

    @staticmethod
    def sample(daemon):
        """(RSS without BPF maps, CPU seconds, bytes of the spool)."""
        with open(f"/proc/{daemon.notail.pid}/stat", encoding="ascii", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
        return int(words[21]) * 4096, (int(words[11]) + int(words[12])) / 100, daemon.spool_bytes()

    def tell_drain(self, judge, up_ns, rate, fresh):
        """How fast the backlog came, and how late the container without one was."""
        last, count = up_ns, 0
        for writer in judge.writers.values():
            for ts, receipt in zip(writer.times, writer.receipts):
                if ts and ts < up_ns <= receipt:
                    count += 1
                    last = max(last, receipt)
        seconds = (last - up_ns) / 1e9
        times, receipts = judge.writers[fresh].times, judge.writers[fresh].receipts
        late = sorted((receipt - ts) / 1e6 for ts, receipt in zip(times, receipts) if ts)
        over = sum(ms > LATE_MS for ms in late)
        print(f"  {self.id().split('.')[-1]}: {count} records of the backlog within {seconds:.1f} s"
              f" ({count / max(seconds, 0.001) / rate:.1f} x the live rate); without backlog at most "
              f"{late[-1] if late else 0:.0f} ms late, {over} of {len(late)} over {LATE_MS} ms; its first came "
              f"{(receipts[0] - up_ns) / 1e9:.1f} s after Loki, {(receipts[0] - times[0]) / 1e6:.0f} ms late", flush=True)

    def test_long(self):
        rate = self.scale(5000, 20000)
        daemon, load, sink, up_ns, fresh = self.outage("3GiB", self.scale(4, 600), rate, small=not base.FULL, prompts=2000)
        judge = self.assert_delivered(load, sink, timeout=self.scale(60, 600))
        self.tell_drain(judge, up_ns, rate, fresh)
        self.assertEqual(daemon.dropped(), 0)

    def test_long_and_random_bytes(self):
        """More than the spool takes, of lines that are not made smaller."""
        rate = self.scale(5000, 20000)
        daemon, load, sink, up_ns, fresh = self.outage(self.scale("3MiB", "1GiB"), self.scale(8, 600), rate,
                                                         small=not base.FULL, random=True)
        self.assert_newest(daemon, load, sink, self.scale(60, 600))

    def test_overflow(self):
        """A spool of 10 MiB in an outage that needs 50."""
        rate = 5000
        daemon, load, sink, _, _ = self.outage(self.scale("2MiB", "10MiB"), self.scale(10, 55), rate, random=True)
        self.assert_newest(daemon, load, sink, 120)

    def assert_newest(self, daemon, load, sink, timeout):
        """What is missing is one hole for each writer, told by gaps in the lines, and counted exactly."""
        judge = self.wait_arrived(load, sink, timeout)
        written = load.written()
        verdict = judge.verdict(written)
        self.assertEqual(verdict.faults("lost"), {}, str(verdict))
        lost = verdict.counts["lost"]
        self.assertGreater(lost, 0, "the spool took all of it: this tests nothing")
        self.assertEqual(judge.arrived() + lost, sum(written.values()))
        self.assertEqual(daemon.sum("notail_client_dropped_lines_total"), lost, str(daemon.metrics()))
        holes = [who for text in verdict.found["lost"] for who in [text.split(":")[0]]]
        self.assertEqual(len(holes), len(set(holes)), f"more than one hole of a writer: {verdict}")
        self.assertGreater(len(judge.gaps), 0, f"no gap tells of {lost} lost records")
        print(f"  {self.id().split('.')[-1]}: {lost} of {sum(written.values())} lost, as counted; {len(judge.gaps)} gaps, "
              f"spool {daemon.spool_bytes() / 1e6:.1f} MB", flush=True)

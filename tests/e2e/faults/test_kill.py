# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments while containers write on: what Loki has in the end is what was written, once, in order."""

import signal
import time

import base

HOUR_NS = 3600 * 10**9


class Kill(base.TestCase):
    def writers(self, rate):
        """Three that write on, with half lines, blocks and large lines, and one that is to die while notail is away."""
        load = self.load(3, rate=rate // 3, halves=2, blocks=10, large=1, prompts=1500)
        return load, load.add(rate=100, halves=20, pause=50, prompts=500)

    def storm(self, kills, seconds, rate, outage=(), stops=()):
        """`outage`: the shares of the time between which nobody listens; `stops`: the kills before which it is stopped
        for 10 seconds (or 2)."""
        sink = self.sink()
        daemon = self.daemon(sink, clock=True, pipeline_stages=base.BLOCKS, capture__ring_size="32MiB")
        load, doomed = self.writers(rate)
        begin = time.monotonic()
        moments = sorted(self.random.random() * seconds for _ in range(kills))
        events = [(moment, self.kill_once, number) for number, moment in enumerate(moments)]
        if outage:
            events += [(outage[0] * seconds, lambda *_: sink.down(), 0), (outage[1] * seconds, lambda *_: sink.up(), 0)]
        self.doomed, self.stops, self.kills = doomed, stops, kills
        for moment, act, number in sorted(events, key=lambda event: event[0]):
            time.sleep(max(0, begin + moment - time.monotonic()))
            act(daemon, load, number)
        time.sleep(max(0, begin + seconds - time.monotonic()))
        load.end()
        self.assert_delivered(load, sink, timeout=self.scale(60, 300), label_changes=1, back_steps=1)
        self.assertEqual(daemon.stop(), 0, daemon.notail.stderr())

    def kill_once(self, daemon, load, number):
        """A kill and a start; in between something may happen at the first, the second ... of the kills."""
        if number in self.stops:
            daemon.signal(signal.SIGSTOP)
            time.sleep(self.scale(2, 10))
            if number != self.stops[0]:  # the first is killed as it stands
                daemon.signal(signal.SIGCONT)
                time.sleep(self.random.random())
        daemon.kill()
        between = {self.kills // 5: lambda: load.rename("w1", "renamed"),
                   2 * self.kills // 5: lambda: load.term(self.doomed),
                   3 * self.kills // 5: lambda: daemon.turn(HOUR_NS)}.get(number)
        if between:
            between()
        else:
            time.sleep(self.random.random() * 0.5)
        daemon.start(wait=False)
        if number == 4 * self.kills // 5:
            daemon.notail.wait_ready()
            daemon.turn(0)

    def test_random(self):
        self.storm(kills=self.scale(5, 50), seconds=self.scale(10, 300), rate=self.scale(2000, 5000))

    def test_random_with_loki_down(self):
        self.storm(kills=self.scale(5, 50), seconds=self.scale(10, 300), rate=self.scale(2000, 5000), outage=(0.25, 0.75))

    def test_random_with_stops(self):
        kills = self.scale(5, 20)
        self.storm(kills=kills, seconds=self.scale(10, 300), rate=self.scale(2000, 5000), stops=(1, kills - 2))

    def test_once(self):
        """The plainest case, without clock, labels or outage."""
        sink = self.sink()
        daemon = self.daemon(sink)
        load = self.load(1, rate=1000)
        base.wait_for(lambda: sink.stats()["stored"] > 1, what="first pushes")
        daemon.kill()
        time.sleep(1)
        daemon.start()
        stored = sink.stats()["stored"]
        base.wait_for(lambda: sink.stats()["stored"] > stored + 1, what="pushes after the start")
        load.end()
        self.assert_delivered(load, sink)

    def test_away(self):
        """Containers that begin, write and end while notail is away."""
        sink = self.sink()
        daemon = self.daemon(sink)
        load = self.load(1, rate=500, prompts=400)
        base.wait_for(lambda: sink.stats()["stored"] > 1, what="first pushes")
        daemon.kill()
        for _ in range(3):
            load.term(load.add(rate=500, prompts=300))
        daemon.start()
        load.end()
        self.assert_delivered(load, sink)

    def test_half_line_over_kills(self):
        """A half line, and half a block, that stay open over three kills."""
        sink = self.sink()
        daemon = self.daemon(sink, pipeline_stages=base.blocks("20s"))
        load = self.load(1, rate=5, halves=1000, pause=2500, blocks=500, prompts=9000)
        for _ in range(3):
            time.sleep(1.2)
            daemon.kill()
            daemon.start()
        load.end()
        self.assert_delivered(load, sink)

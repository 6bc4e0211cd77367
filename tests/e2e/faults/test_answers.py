# SPDX-License-Identifier: Apache-2.0
"""Answers that are no help: what is to be tried again is, and what is good arrives whatever goes with it."""

import os
import time

import base
import harness

WEIGHTED = ["429"] * 4 + ["429-after", "500", "500", "503", "502", "408", "reset", "reset", "reset-early", "lose", "cut",
                          "late", "hang"]


class Answers(base.TestCase):
    def test_random(self):
        """30 % of the pushes get a wrong answer, none, or one that comes too late."""
        sink = self.sink(hang_seconds=4)
        daemon = self.daemon(sink, client={"timeout": "2s", "batchsize": "64KiB"}, pipeline_stages=base.BLOCKS)
        sink.plan(0.3, WEIGHTED, seed=base.SEED)
        load = self.load(3, rate=self.scale(700, 1700), halves=2, blocks=10, prompts=1000)
        time.sleep(self.scale(8, 600))
        load.end()
        # Every small batch has lines of all streams, so each time-out holds all: what is behind by now comes faster.
        print(f"  answers: {daemon.sum('notail_client_spool_batches'):.0f} batches wait in the spool", flush=True)
        if base.FULL:
            sink.plan(0.0)
        self.assert_delivered(load, sink, timeout=self.scale(60, 300))
        print(f"  answers: {dict(sorted(sink.stats().items()))}", flush=True)
        self.assertEqual(daemon.dropped(), 0)

    def test_one_of_two_clients_away(self):
        """The living one gets all at once, the dead one when it is back."""
        alive, dead = self.sink(), self.sink()
        dead.down()
        daemon = self.daemon(alive, dead)
        load = self.load(2, rate=self.scale(1000, 2500), prompts=1000)
        time.sleep(self.scale(4, 120))
        late = self.judge(alive).latencies_ms()
        print(f"  one_of_two: of the living one p99 {late[int(len(late) * 0.99)]:.0f} ms, at most {late[-1]:.0f} ms", flush=True)
        dead.up()
        time.sleep(1)
        load.end()
        self.assert_delivered(load, alive)
        self.assert_delivered(load, dead, timeout=self.scale(60, 300))
        self.assertEqual(daemon.dropped(), 0)

    def test_page_of_a_proxy(self):
        """200 with HTML is no answer of a Loki: nobody has the lines."""
        sink = self.sink()
        self.daemon(sink)
        sink.plan(1.0, ["html"])
        load = self.load(1, rate=500)
        base.wait_for(lambda: sink.stats()["html"] > 1, what="a second try")
        sink.plan(0.0)
        load.end()
        self.assert_delivered(load, sink)

    def test_the_operators_mistakes(self):
        """401 and 404 are tried again until they are put right."""
        sink = self.sink()
        self.daemon(sink)
        sink.plan(1.0, ["401"])
        load = self.load(1, rate=500)
        base.wait_for(lambda: sink.stats()["401"] > 1, what="a second try")
        sink.plan(0.0)
        load.end()
        self.assert_delivered(load, sink)

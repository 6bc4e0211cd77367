# SPDX-License-Identifier: Apache-2.0
"""Ends by signals: SIGTERM sends, or spools, what is there; a second one ends at once; nothing is lost by either."""

import signal
import time

import base


class Shutdown(base.TestCase):
    def running(self, sink, **changes):
        daemon = self.daemon(sink, pipeline_stages=base.BLOCKS, **changes)
        load = self.load(2, rate=1000, halves=2, blocks=10, prompts=1000)
        base.wait_for(lambda: sink.stats()["stored"] > 0, what="a first push")
        return daemon, load

    def again(self, daemon, load, sink):
        daemon.start()
        time.sleep(0.5)
        load.end()
        self.assert_delivered(load, sink)

    def test_terminated(self):
        """Restarts in the plain way, three times."""
        sink = self.sink()
        daemon, load = self.running(sink)
        for _ in range(3):
            time.sleep(self.random.random())
            self.assertEqual(daemon.stop(), 0, daemon.notail.stderr())
            time.sleep(self.random.random())
            daemon.start()
        load.end()
        self.assert_delivered(load, sink)

    def test_loki_away(self):
        """What cannot be sent goes to the spool."""
        sink = self.sink()
        daemon, load = self.running(sink, shutdown_timeout="3s")
        sink.down()
        time.sleep(2)
        self.assertEqual(daemon.stop(), 0, daemon.notail.stderr())
        sink.up()
        self.again(daemon, load, sink)

    def test_loki_hangs(self):
        sink = self.sink(hang_seconds=60)
        daemon, load = self.running(sink, shutdown_timeout="3s")
        sink.plan(1.0, ["hang"])
        time.sleep(1)
        self.assertEqual(daemon.stop(), 0, daemon.notail.stderr())
        sink.plan(0.0)
        self.again(daemon, load, sink)

    def test_second_signal(self):
        sink = self.sink(hang_seconds=60)
        daemon, load = self.running(sink, shutdown_timeout="1m")
        sink.plan(1.0, ["hang"])
        time.sleep(1)
        daemon.signal(signal.SIGTERM)
        time.sleep(0.5)
        daemon.signal(signal.SIGTERM)
        daemon.notail.wait(30)
        sink.plan(0.0)
        self.again(daemon, load, sink)

# SPDX-License-Identifier: Apache-2.0
"""Figures of `notail run`, which pins, with a spool: printed, never judged.

20,000 lines/s of 200 bytes to a receiver that stores, with the default batches and with those of 10 ms; 2,000,000 lines
at full speed from two containers whose json-file log is rotated (3 files of 10 MB); 20,000 lines/s while nobody listens.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e"), os.path.join(HERE, "../receiver")]

import bench as bench_module  # noqa: E402
import engine as engine_module  # noqa: E402
import harness  # noqa: E402
import measure  # noqa: E402
from bench import LINE_BYTES, number, table  # noqa: E402

PINS = "/sys/fs/bpf"
ROTATION = ("--log-opt", "max-size=10m", "--log-opt", "max-file=3")


class Delivery(bench_module.Bench):
    def write(self, port, batchwait):
        path = os.path.join(self.directory, "notail.yaml")
        self.spool = os.path.join(self.directory, f"spool-{self.number}")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"clients": [{"url": f"http://127.0.0.1:{port}", "batchwait": batchwait}],
                       "capture": {"containers": [self.prefix + "*"]}, "spool": {"directory": self.spool},
                       "discovery": {"docker": {"host": self.engine.host}}, "server": {"listen": "off"}}, file)
        return path

    @contextlib.contextmanager
    def run_notail(self, port, batchwait="1s"):
        pins = f"{PINS}/notail-bench-{harness.RUN_ID}-{self.number}"
        notail = harness.Notail("--pins", pins, "--stats", "-c", self.write(port, batchwait), "run")
        try:
            yield notail
        finally:
            if notail.process.poll() is None:
                notail.stop(bench_module.DEADLINE)
            notail.kill()
            harness.Notail("unpin", "--pins", pins, wait=False).wait()
            shutil.rmtree(self.spool, ignore_errors=True)

    def delivered(self, what, batchwait, words, count, driver, options=()):
        """A row: what `count` writers wrote, as it arrived."""
        with bench_module.Sink("loki", self.directory) as sink, self.run_notail(sink.port, batchwait) as notail, \
                self.containers(count, driver, words, options) as started:
            peak = {"rss": 0, "ring": 0}

            def sample():
                rss, ring = measure.memory(notail.pid)
                if rss - ring >= peak["rss"] - peak["ring"]:
                    peak.update(rss=rss, ring=ring)

            sample()
            cost = measure.Cost(self.groups(started, sink, notail))
            self.begin(started)
            begin = time.monotonic()
            _, _, last = self.finish(started, sink, notail, sample)
            spent, _, others = cost.take()
            notail.stop(bench_module.DEADLINE)
            sink.close()
            written = int(words[-1]) * count
            gb = written * LINE_BYTES / 1e9
            arrived = sink.read()
            p50, p99, most = arrived.percentiles_ms() or (None, None, None)
            lost = bench_module.losses(notail)
        if lost:
            print(f"  {what}: by notail's own count: {lost}")
        return [what, batchwait, driver, written, arrived.lines, written - arrived.lines, arrived.duplicates,
                number(spent["notail"] / 1e9 / gb), number(spent["docker"] / 1e9 / gb), number(peak["rss"] / 1e6),
                number((peak["rss"] - peak["ring"]) / 1e6), number(p50), number(p99), number(most),
                number(last - begin), number(others * 100)]

    def away(self, seconds, rate, count):
        """While nobody listens: [(second, RSS beside the ring, bytes of the spool, CPU s)]."""
        words = ["--size", str(LINE_BYTES), "--stamp", "--rate", str(rate // count), "--burst", "50", "--lines",
                 str(rate // count * seconds)]
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
        rows = []
        with self.run_notail(port) as notail, self.containers(count, "none", words) as started:
            self.begin(started)
            begin, cpu = time.monotonic(), measure.cpu_ns(notail.pid)
            for second in sorted({min(2, seconds), seconds // 2, seconds}):
                time.sleep(max(0, begin + second - time.monotonic()))
                rss, ring = measure.memory(notail.pid)
                gb = rate * second * LINE_BYTES / 1e9
                spent = (measure.cpu_ns(notail.pid) - cpu) / 1e9
                size = directory_bytes(self.spool)
                rows.append([second, number(rss / 1e6), number((rss - ring) / 1e6), number(size / 1e6),
                             number(size / gb / 1e9, 2), number(spent / gb)])
            os.kill(notail.pid, signal.SIGKILL)  # else it would wait for its client
            notail.wait()
        return rows


def directory_bytes(path):
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(directory, name)).st_size
    return total


def run(delivery, args):
    rate = ["--size", str(LINE_BYTES), "--stamp", "--rate", str(args.rate // 4), "--burst", "50", "--lines",
            str(args.rate // 4 * args.seconds)]
    full = ["--size", str(LINE_BYTES), "--stamp", "--lines", str(args.lines // 2)]
    rows = []
    for what, batchwait, words, count, driver, options in (
            ("rate", "1s", rate, 4, "none", ()), ("rate", "10ms", rate, 4, "none", ()),
            ("full, rotated", "1s", full, 2, "json-file", ROTATION)):
        print(f"  running {what} {batchwait} {driver}", file=sys.stderr, flush=True)
        rows.append(delivery.delivered(what, batchwait, words, count, driver, options))
    table("notail run: lines, CPU s per GB of log, memory in MB, latency from write to receipt in ms",
          ["speed", "batchwait", "driver", "written", "received", "missing", "twice", "notail", "docker", "RSS", "beside ring",
           "p50", "p99", "max", "wall s", "others %"], rows)
    print("  running rate, nobody listens", file=sys.stderr, flush=True)
    table(f"nobody listens, {args.rate} lines/s: memory and spool in MB, spool per byte of log, CPU s per GB",
          ["after s", "RSS", "beside ring", "spool", "ratio", "CPU"], delivery.away(args.away_seconds, args.rate, 4))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20000, help="lines a second, all containers together")
    parser.add_argument("--seconds", type=int, default=10, help="of a run with a rate")
    parser.add_argument("--lines", type=int, default=2000000, help="of the run at full speed")
    parser.add_argument("--away-seconds", type=int, default=30, help="that nobody listens")
    parser.set_defaults(silent=0, burst=50)
    args = parser.parse_args()
    why = harness.why_no_engine()
    if why:
        print(f"bench: cannot run: {why}", file=sys.stderr)
        return 1
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda number, _: sys.exit(128 + number))  # so that all is put back
    directory = tempfile.mkdtemp(prefix="notail-bench-")
    try:
        engine_module.sweep()
        with engine_module.Dockerd(harness.programs()) as engine:
            run(Delivery(args, engine, directory), args)
    finally:
        harness.shared.close()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""What capturing costs: the table of `make bench-capture`. Printed, not judged; a bar stands beside each figure
that has one. All ratios are of one run.

    bench.py [--rounds N] [--lines N] [--only native,vm,consumer,wakeups]
"""

import argparse
import os
import pathlib
import re
import selectors
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent))

import measure  # noqa: E402

BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
CALLS = BUILD / "bench/calls"
CONSUMER = BUILD / "bench/consumer"
SECTIONS = ("native", "vm", "consumer", "wakeups")
CROWD = 1000
# Kernel, and the hook set that notail chooses there.
MACHINES = (("6.12", "", "fexit"), ("6.18", "preempt=full", "multi"))
WAKEUPS_SECONDS = 5
READY_SECONDS = 60


def section(title):
    print(f"\n{title}", flush=True)


def row(name, value, bar="", note=""):
    print(f"  {name:<58} {value:>14}  {bar:<22} {note}".rstrip(), flush=True)


def skipped(name, output):
    why = [line for line in output.splitlines() if line.strip()]
    row(name, "SKIP", note=why[-1] if why else "no output")


class Figures:
    """What calls printed: value by (variant, figure)."""

    def __init__(self, text):
        self.values, self.disturbed = {}, set()
        for line in text.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "disturbed":
                self.disturbed.add((words[1], words[2]))
            elif len(words) == 3 and re.fullmatch(r"-?[\d.]+", words[2]):
                self.values[words[0], words[1]] = float(words[2])

    def ratio(self, variant, figure, against="none"):
        a, b = self.values.get((variant, figure)), self.values.get((against, figure))
        return f"{a / b:.2f}x" if a and b else "-"

    def note(self, variant, figure, against="none", unit="ns"):
        """The two values, and if others' programs were attached all the time."""
        a, b = self.values.get((variant, figure)), self.values.get((against, figure))
        if not a or not b:
            return ""
        others = {(variant, figure), (against, figure)} & self.disturbed
        return f"{b:.0f} -> {a:.0f} {unit}" + (", other programs were attached" if others else "")

    def row(self, name, variant, figure, bar="", against="none", unit="ns"):
        row(name, self.ratio(variant, figure, against), bar, self.note(variant, figure, against, unit))


def run(command, seconds):
    """(exit status, both outputs)"""
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        return 124, f"{late.output or ''}\nno result within {seconds} s"
    return done.returncode, done.stdout


def crowd(figures, unit):
    names = {"getppid": "getppid", "write": "captured write", "stranger": "a stranger's write + read"}
    for figure, name in names.items():
        figures.row(f"with {CROWD:,} more containers: {name}", "crowd", figure, "at most 1.05x", "stream", unit)


def memory(figures):
    added, maps = (figures.values.get(("crowd", key)) for key in ("memory_added", "memory_maps"))
    if added is None or maps is None:
        return
    ring = 32 << 20
    row("kernel memory a container, as the maps grow", f"{added / CROWD:.0f} B", "at most 2,048 B", "two streams each")
    row(f"all maps but the ring, for each of {CROWD:,} containers", f"{(maps - ring) / CROWD:.0f} B", "at most 2,048 B")


def native(args):
    section("sys_exit natively, against nothing attached (least of several short runs)")
    status, output = run([CALLS, "--hooks", "syscall", "--rounds", args.rounds, "--lines", args.lines,
                          "--crowd", CROWD], 900)
    if status:
        return skipped("calls", output)
    f = Figures(output)
    for variant in ("empty", "off", "stream"):
        bar = "at most 1.70x" if variant != "empty" else ""
        f.row(f"getppid, {variant}", variant, "getppid", bar)
    for variant in ("empty", "off", "stream"):
        f.row(f"write(/dev/null), {variant}", variant, "devnull")
    for variant in ("empty", "off", "stream"):
        f.row(f"read(/dev/zero), {variant}", variant, "devzero")
    for variant, bar in (("empty", ""), ("off", "at most 1.40x"), ("stream", "at most 1.60x")):
        f.row(f"captured write of 100 B in the writer, {variant}", variant, "write", bar)
    for variant in ("empty", "off", "stream"):
        f.row(f"captured read of 4 KiB in the reader, {variant}", variant, "read")
    for variant in ("empty", "off", "stream"):
        f.row(f"a stranger's pipe write + read of 100 B, {variant}", variant, "stranger")
    section(f"{args.lines:,} lines of 100 B at full speed: CPU of writer + reader + capture, against an empty program")
    for variant, bar in (("off", "at most 1.15x"), ("stream", "at most 1.15x")):
        f.row(f"all, {variant}", variant, "lines", bar, "empty", "ns a line")
    f.row("all, stream, against nothing attached", "stream", "lines", "", "none", "ns a line")
    for part in ("writer", "reader"):
        f.row(f"the {part}'s part, stream", "stream", part, "", "empty", "ns a line")
    reads = [f.values.get((variant, "reads"), 0) for variant in ("empty", "stream")]
    row("reads for 1,000 lines (they decide much of it)", f"{reads[0]:.0f}, {reads[1]:.0f}", note="empty, stream")
    row("capture's part, stream", f"{f.values.get(('stream', 'capture'), 0):.0f} ns", note="a line")
    section(f"{CROWD:,} containers registered, natively")
    crowd(f, "ns")
    memory(f)
    return None


def machine(args, series, append, hooks):
    section(f"{hooks} in a VM, kernel {series} {append}".rstrip() + ": instructions (-icount)")
    status, output = run([ROOT / "tests/vm/run", "--kernel", series, "--append", append, "--icount", "--timeout", 400,
                          "--file", f"{CALLS}:/calls", "--", "/calls", "--hooks", hooks, "--rounds", args.vm_rounds,
                          "--bursts", 10, "--crowd", CROWD], 900)
    if status:
        return skipped(f"{series} {append}".strip(), output)
    f, unit = Figures(output), "insns"
    for figure, name in (("getppid", "getppid"), ("devnull", "write(/dev/null)"), ("devzero", "read(/dev/zero)")):
        for variant in ("off", "stream"):
            f.row(f"{name}, {variant}", variant, figure, "1.00x" if hooks == "fexit" else "", unit=unit)
    fexit = hooks == "fexit"
    for variant, bar in (("empty", ""), ("off", "1.00x"), ("stream", "at most 1.15x"))[not fexit:]:
        f.row(f"captured write of 100 B in the writer, {variant}", variant, "write", bar if fexit else "", unit=unit)
    for variant in ("empty", "off", "stream")[not fexit:]:
        f.row(f"captured read of 4 KiB in the reader, {variant}", variant, "read", unit=unit)
    for variant, bar in (("empty", ""), ("off", "at most 1.35x"), ("stream", "at most 1.35x"))[not fexit:]:
        f.row(f"a stranger's pipe write + read of 100 B, {variant}", variant, "stranger", bar if fexit else "",
              unit=unit)
    crowd(f, unit)
    memory(f)
    return None


def machines(args):
    for series, append, hooks in MACHINES:
        machine(args, series, append, hooks)


def consumer(_args):
    for streams in (1, CROWD):
        section(f"consumer: records of 100 B from a full ring, {streams:,} stream{'s' * (streams > 1)}")
        status, output = run([CONSUMER, "--streams", streams], 300)
        if status:
            skipped("consumer", output)
            continue
        stages = {words[0]: (float(words[1]), float(words[2])) for words in map(str.split, output.splitlines())}
        copy = stages["copy"][0]
        row("copying the bytes alone", f"{copy:.1f} ns")
        for stage, name in (("walk", "ring and checks"), ("assemble", "+ lines"),
                            ("streams", "+ stream, writer, labels"), ("encode", "+ a push to Loki, compressed")):
            ns, rate = stages[stage]
            judged = stage != "encode"
            row(f"{name}: beyond the copy", f"{ns - copy:.1f} ns", "at most 30 ns" if judged else "")
            row(f"{name}: records a second", f"{rate / 1e6:.1f} M", "at least 5 M" if judged else "")


def wait_ready(process):
    """Waits for `ready` on a process' stderr."""
    text, deadline = b"", time.monotonic() + READY_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while b"ready" not in text:
            if not selector.select(max(0, deadline - time.monotonic())):
                raise TimeoutError("notail does not get ready")
            piece = os.read(process.stderr.fileno(), 65536)
            if not piece:
                raise RuntimeError(f"notail ended: {text.decode(errors='replace')}")
            text += piece


def switches(process):
    """How often (the capture thread, the whole process) went to sleep. The main thread is the I/O thread."""
    total = measure.voluntary_switches(process.pid)
    io = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", measure.read(f"/proc/{process.pid}/task/{process.pid}/status"),
                   re.M)
    return total - int(io.group(1) if io else 0), total


def count_wakeups(name, writer_args, bar):
    """notail beside a writer and its reader, which stand for a container and its runtime."""
    started = []
    try:
        reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        started.append(reader)
        writer = subprocess.Popen([str(BUILD / "tests/writer"), *writer_args], stdin=subprocess.DEVNULL,
                                  stdout=reader.stdin, stderr=subprocess.DEVNULL)
        started.append(writer)
        reader.stdin.close()
        with tempfile.TemporaryFile() as out:
            notail = subprocess.Popen([str(BUILD / "notail"), "--stdout=raw", "--pid", str(writer.pid)],
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
            started.append(notail)
            wait_ready(notail)
            time.sleep(2)
            before, bytes_before, begin = switches(notail), out_size(out), time.monotonic()
            time.sleep(WAKEUPS_SECONDS)
            seconds = time.monotonic() - begin
            capture, total = ((now - then) / seconds for now, then in zip(switches(notail), before))
            written = (out_size(out) - bytes_before) / seconds
        row(f"{name}: the capture thread", f"{capture:.0f}/s", bar, f"{written / 1e6:.2f} MB/s captured")
        row(f"{name}: with the I/O thread, to a file", f"{total:.0f}/s", bar)
    except (RuntimeError, TimeoutError) as error:
        skipped(name, str(error))
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def out_size(file):
    return os.fstat(file.fileno()).st_size


def wakeups(_args):
    section("wake-ups of notail natively, by voluntary switches")
    base = ["--threads", "4", "--lines", "0", "--min", "100", "--max", "100"]
    # The first burst is over before anything is counted, the next is hours away.
    count_wakeups("at rest", [*base, "--rate", "1", "--burst", "100000"], "under 20/s")
    count_wakeups("4 x 5,000 lines/s", [*base, "--rate", "20000"], "at most 250/s")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--vm-rounds", type=int, default=1)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--only", default=",".join(SECTIONS))
    args = parser.parse_args()
    args.only = args.only.split(",")
    if not set(args.only) <= set(SECTIONS):
        parser.error(f"--only takes any of {', '.join(SECTIONS)}")
    return args


def main():
    args = parse_arguments()
    if os.geteuid() != 0:
        print("SKIP: bench-capture needs root")
        return
    begin, busy, own = time.monotonic(), measure.machine_busy_ns(), os.times()
    for name, function in (("native", native), ("consumer", consumer), ("wakeups", wakeups), ("vm", machines)):
        if name in args.only:
            function(args)
    seconds, now = time.monotonic() - begin, os.times()
    ours = sum(now[:4]) - sum(own[:4])
    others = max(0.0, (measure.machine_busy_ns() - busy) / 1e9 - ours) / (seconds * (os.cpu_count() or 1))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{os.cpu_count()} CPUs, {seconds:.0f} s; others took {others:.0%} of the machine meanwhile, load {load}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What processes cost, read from /proc and the cgroups: CPU in ns, memory in bytes, context switches."""

import glob
import os
import re
import time

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def read(path):
    """The text of a file; empty when it is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def stat(pid):
    """The fields of /proc/PID/stat after the name, or None."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields or None


def parent(pid):
    fields = stat(pid)
    return int(fields[1]) if fields else 0


def children(pid):
    return [int(word) for path in glob.glob(f"/proc/{pid}/task/*/children") for word in read(path).split()]


def comm(pid):
    return read(f"/proc/{pid}/comm").strip()


def cpu_ns(pid):
    """CPU time of a process: the scheduler's own count of its living threads, or the kernel's ticks where
    those are more (threads that ended)."""
    fields = stat(pid)
    ticks = (int(fields[11]) + int(fields[12])) * TICK_NS if fields else 0
    exact = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        words = read(path).split()
        exact += int(words[0]) if words else 0
    return exact if exact + 2 * TICK_NS > ticks else ticks


def waited_cpu_ns(pid):
    """CPU time of a process and of its children that ended, by ticks."""
    fields = stat(pid)
    return sum(map(int, fields[11:15])) * TICK_NS if fields else 0


def container_cpu_ns(init_pid):
    """CPU time of all that ever ran in the cgroup of a container's init."""
    for line in read(f"/proc/{init_pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            for root in ("cpu,cpuacct", "cpuacct", "cpuacct,cpu"):
                text = read(f"/sys/fs/cgroup/{root}{path}/cpuacct.usage")
                if text:
                    return int(text)
        if controllers == "":
            for root in ("", "/unified"):
                match = re.search(r"^usage_usec (\d+)", read(f"/sys/fs/cgroup{root}{path}/cpu.stat"), re.M)
                if match:
                    return int(match.group(1)) * 1000
    return waited_cpu_ns(init_pid)


def voluntary_switches(pid):
    """How often threads of a process went to sleep: each is woken again."""
    return sum(int(match.group(1)) for path in glob.glob(f"/proc/{pid}/task/*/status")
               for match in re.finditer(r"^voluntary_ctxt_switches:\s+(\d+)", read(path), re.M))


def memory(pid):
    """(VmRSS, resident part of mapped BPF maps: the ring) in bytes."""
    match = re.search(r"^VmRSS:\s+(\d+) kB", read(f"/proc/{pid}/status"), re.M)
    ring, inside = 0, False
    for line in read(f"/proc/{pid}/smaps").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = "bpf-map" in line
        elif inside and line.startswith("Rss:"):
            ring += int(line.split()[1]) * 1024
    return (int(match.group(1)) * 1024 if match else 0), ring


def machine_busy_ns():
    """CPU time that the whole machine spent not idle, that taken by the hypervisor included."""
    words = [int(word) for word in read("/proc/stat").splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = words
    return (user + nice + system + irq + softirq + steal) * TICK_NS


def bpf_programs(pid):
    """{program id: (run time in ns, runs, recursion misses)} of the programs a process holds."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        text = read(path)
        if "prog_id:" in text and "run_time_ns:" in text:
            values = dict(re.findall(r"^(\w+):\s*(\d+)$", text, re.M))
            found[int(values["prog_id"])] = tuple(
                int(values.get(key, 0)) for key in ("run_time_ns", "run_cnt", "recursion_misses"))
    return found


class BpfStats:
    """The kernel counts programs' run time within this; put back afterwards."""

    PATH = "/proc/sys/kernel/bpf_stats_enabled"

    def __enter__(self):
        self.before = read(self.PATH).strip() or "0"
        self.write("1")
        return self

    def __exit__(self, *_):
        self.write(self.before)

    def write(self, value):
        with open(self.PATH, "w", encoding="ascii") as file:
            file.write(value)


class Cost:
    """Sums of CPU time since the object was made, by group. `groups`: {name: [function of no argument
    that gives ns]}."""

    def __init__(self, groups):
        self.groups = groups
        self.begin = {name: sum(read() for read in readers) for name, readers in groups.items()}
        self.begin_machine = machine_busy_ns()
        self.begin_time = time.monotonic()

    def take(self):
        """({group: ns}, seconds, share of the machine that others took)."""
        spent = {name: sum(read() for read in readers) - self.begin[name] for name, readers in self.groups.items()}
        seconds = time.monotonic() - self.begin_time
        others = max(0, machine_busy_ns() - self.begin_machine - sum(spent.values()))
        return spent, seconds, others / (seconds * 1e9 * (os.cpu_count() or 1))

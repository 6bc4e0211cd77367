# SPDX-License-Identifier: Apache-2.0
"""Registration without a race and without leftovers: containers of every kind and at every time, with docker and
with runtime.c, which makes thousands without an engine.

REGISTRATIONS (300) is the number of containers of runtime.c, REGISTRATIONS_DOCKER (24) that of docker's around
notail's start.
"""

import collections
import concurrent.futures
import os
import signal
import subprocess
import time

import harness
import soak

REGISTRATIONS = int(os.environ.get("REGISTRATIONS", "300"))
REGISTRATIONS_DOCKER = int(os.environ.get("REGISTRATIONS_DOCKER", "24"))
RING_FULL = 1000  # so many containers fill a ring of 1 MiB: 1.5 KiB of records each
GROWTH_KB = 4096


class Kinds(harness.TestCase):
    """What docker can start, each against docker's record."""

    needs_programs = ("writer",)

    def check(self, *command, options=(), name=None, driver="local"):
        """Runs it to its end; its record is what notail has."""
        notail = self.notail()
        name = name or self.name("kind")
        self.engine.run("busybox", *command, name=name, options=options, driver=driver, check=False)
        self.assert_as_recorded(notail, name)
        return notail, self.engine.record(name)

    def test_one_millisecond(self):
        """A program that ends at once: registered before its first instruction."""
        notail = self.notail()
        names = [self.name(f"ms{i}") for i in range(10)]
        for name in names:
            self.engine.run("busybox", "printf", "x", name=name)
        for name in names:
            self.assert_as_recorded(notail, name)
            self.assertEqual(notail.lines(name, "stdout"), [b"x"])

    def test_50_at_once(self):
        notail = self.notail()
        names = [self.name(f"fifty{i}") for i in range(50)]
        engine = self.engine
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            list(pool.map(lambda name: engine.run("busybox", "sh", "-c", f"echo {name}; echo err >&2", name=name), names))
        for name in names:
            self.assert_as_recorded(notail, name)
            self.assertEqual(set(notail.lines(name)), {name.encode(), b"err"})

    def test_missing_interpreter(self):
        """The program is there, what should execute it is not: the runtime's line is in the record."""
        path = harness.shared.path("script")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(path, 0o755)
        _, record = self.check("/bin/script", options=["-v", f"{path}:/bin/script"])
        self.assertLessEqual(len(record["stdout"] + record["stderr"]), 1, record)

    def test_program_without_permission(self):
        path = harness.shared.path("plain")
        with open(path, "w", encoding="ascii") as file:
            file.write("no program\n")
        self.check("/bin/plain", options=["-v", f"{path}:/bin/plain"])

    def test_restart_in_mid_line(self):
        """A half line ends with the life that wrote it, and the next one's first line is whole."""
        notail = self.notail()
        name = self.name("midline")
        self.engine.start("busybox", "sh", "-c", "echo whole; printf half; printf 'half too' >&2; sleep 100000", name=name)
        lives = 4
        for life in range(1, lives + 1):
            whole = [b"whole", b"half"] * (life - 1) + [b"whole"]
            notail.wait_lines(name, "stdout", whole)
            self.engine.docker("kill" if life == lives else "restart", *([] if life == lives else ["-t", "0"]), name)
        notail.wait_lines(name, "stdout", [b"whole", b"half"] * lives)
        self.assert_as_recorded(notail, name)

    def test_pause_and_unpause(self):
        notail = self.notail()
        name = self.name("pause")
        self.engine.start("busybox", "writer", "--threads", "2", "--rate", "200", "--lines", "600", name=name)
        notail.wait_lines(name, "stdout", 20)
        for _ in range(3):
            self.engine.docker("pause", name)
            count = len(notail.lines(name))
            self.engine.docker("unpause", name)
            notail.wait_lines(name, "stdout", count + 10)
        self.assertEqual(self.engine.wait(name), 0)
        self.assert_as_recorded(notail, name)

    def test_init(self):
        self.check("sh", "-c", "echo out; sh -c 'echo child' & wait", options=["--init"])

    def test_pid_host(self):
        self.check("sh", "-c", "echo out; echo err >&2", options=["--pid=host"])

    def test_read_only(self):
        self.check("sh", "-c", "echo out; echo err >&2", options=["--read-only"])

    def test_user(self):
        self.check("sh", "-c", "echo out; echo err >&2", options=["--user", "65534:65534"])

    def test_cgroup_parent(self):
        self.check("sh", "-c", "echo out; echo err >&2", options=["--cgroup-parent", f"/e2e-{harness.RUN_ID}/deep"])

    def test_pid_of_another_container(self):
        """--pid=container:X, as in a pod with shareProcessNamespace: pid 1 is another container's."""
        notail = self.notail()
        infra, one, two = self.name("infra"), self.name("one"), self.name("two")
        self.engine.start("busybox", "sleep", "100000", name=infra)
        for name in (one, two):
            self.engine.run("busybox", "sh", "-c", f"echo {name}; echo $$; sh -c 'echo child' >&2", name=name,
                            options=[f"--pid=container:{infra}"])
        for name in (one, two):
            self.assert_as_recorded(notail, name)
            self.assertNotIn(b"1", notail.lines(name, "stdout"))  # not pid 1
        self.engine.docker("exec", one, "true", check=False)
        self.assertEqual(notail.lines(infra), [])

    def test_running_already(self):
        """The next byte is captured, of a plain container, one with --init, a terminal and a shared pid namespace."""
        names = {self.name(word): options for word, options in
                 (("plain", ()), ("init", ("--init",)), ("tty", ("-t",)), ("pid", ("--pid=host",)))}
        for name, options in names.items():
            self.engine.start("busybox", "sh", "-c", "echo before; while [ ! -e /tmp/go ]; do sleep 0.05; done; "
                              "printf n; echo ext; echo err >&2", name=name, options=options)
        for name in names:
            harness.wait_for(lambda: self.engine.record(name)["stdout"], what=f"{name}'s first line")
        notail = self.notail()
        for name in names:
            self.engine.touch(name, "/tmp/go")
            self.engine.wait(name)
        for name, options in names.items():
            end = b"\r" if "-t" in options else b""
            expected = {"stdout": [b"next" + end, b"err" + end], "stderr": []} if end else {"stdout": [b"next"], "stderr": [b"err"]}
            for stream, lines in expected.items():
                notail.wait_lines(name, stream, lines)

    def test_sessions_and_health_checks(self):
        """What docker exec and a health check print goes to docker, not to the log."""
        notail = self.notail()
        name = self.name("health")
        self.engine.start("busybox", "sh", "-c", "i=0; while [ ! -e /tmp/end ]; do echo $i; i=$((i+1)); sleep 0.1; done",
                          name=name, options=["--health-cmd", "echo healthy; echo ill >&2", "--health-interval", "1s"])
        health = lambda: self.engine.inspect(name)["State"].get("Health", {}).get("Log") or []
        harness.wait_for(lambda: len(health()) >= 3, interval=0.5, what="three health checks")
        self.assertIn("healthy", health()[0]["Output"])
        for options in ((), ("-t",), ("-d",)):
            self.engine.docker("exec", *options, name, "sh", "-c", "echo session; echo session >&2")
        self.engine.touch(name, "/tmp/end")
        self.engine.wait(name)
        self.assert_as_recorded(notail, name)
        self.assertEqual([line for line in notail.lines(name) if not line.isdigit()], [])

    def test_the_engines_own_copies(self):
        """The same bytes go through the shim's FIFO, dockerd, the log file and an attached client: each line is there
        once, whoever is looked at."""
        notail = self.plain_notail("--stdout=json", "--docker", self.engine.host)
        token = os.urandom(8).hex()
        for driver in ("local", "json-file", "none"):
            name = self.name(driver)
            done = self.engine.run("busybox", "sh", "-c", f"echo {token} {driver}; echo {token} {driver} err >&2", name=name,
                                   driver=driver)
            self.assertIn(token, done.stdout)
        last = self.name("last")
        self.engine.run("busybox", "echo", f"{token} last", name=last)
        ours = lambda: sorted(e.line.decode() for e in notail.entries() if token.encode() in e.line)
        harness.wait_for(lambda: f"{token} last" in ours(), what="the last line")
        expected = [f"{token} {driver}{end}" for driver in ("local", "json-file", "none") for end in ("", " err")]
        self.assertEqual(ours(), sorted([*expected, f"{token} last"]))

    def test_rootless(self):
        """podman of an unprivileged user makes a cgroup of its own for a container only in a hierarchy that is pure v2
        and delegated to that user; elsewhere its processes stay in the user's cgroup, and no rule can tell them."""
        with open("/proc/self/mounts", encoding="utf-8") as file:
            pure = " /sys/fs/cgroup cgroup2 " in file.read()
        self.skipTest("needs a user session with a delegated cgroup" if pure else
                      "a user's podman makes no cgroups where the hierarchies of v1 are mounted")


class Runtime:
    """runtime.c under way: containers whose ids begin with `prefix`."""

    def __init__(self, prefix, count, at_once=4, lines=2, pause_ms=0, directory=None):
        words = [harness.program("runtime"), prefix, *map(str, (count, at_once, lines, pause_ms))]
        self.process = subprocess.Popen([*words, *([directory] if directory else [])], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self, timeout=600):
        out, _ = self.process.communicate(timeout=timeout)
        if self.process.returncode:
            raise AssertionError(f"runtime ended with {self.process.returncode}: {out}")


_prefixes = iter(range(1, 1 << 16))


def new_prefix():
    """What container ids of this process begin with; the rest of the first twelve digits is their number's."""
    return f"{harness.RUN_ID}{next(_prefixes):02x}"


class Many(harness.TestCase):
    """runtime.c, whose containers are known by their ids."""

    needs_engine = False
    needs_programs = ("runtime", "notail-slow-scan")

    def watch(self, prefix, *options, **keywords):
        return self.plain_notail("--stdout=json", "--stats", "--no-docker", "--container", prefix, *options, **keywords)

    def assert_nothing_left(self, notail):
        gone = soak.why_no_bpftool()
        if gone:
            self.skipTest(gone)
        left = lambda: soak.leftovers(notail.pid)
        harness.wait_for(lambda: not any(left().values()), interval=0.3, what=lambda: f"map entries without an owner: {left()}")
        self.assertEqual(set(left()), set(soak.MAPS))

    @staticmethod
    def by_number(notail, stream):
        """The lines of each container; every line begins with its container's number."""
        found = collections.defaultdict(list)
        for entry in notail.entries():
            if entry.stream == stream:
                number, _, rest = entry.line.partition(b" ")
                found[int(number)].append((entry.metadata["container_id"], rest))
        return found

    def assert_complete(self, notail, prefix, count, lines=2):
        """All lines of each container, in order, under its id."""
        err = lambda: sum(map(len, self.by_number(notail, "stderr").values()))
        harness.wait_for(lambda: len(notail.entries()) >= count * (lines + 1) and err() >= count, interval=0.5,
                         what=lambda: f"{len(notail.entries())} of {count * (lines + 1)} lines\n{notail.stderr()[-500:]}")
        out, err = self.by_number(notail, "stdout"), self.by_number(notail, "stderr")
        for number in range(count):
            cid = f"{prefix}{number:0{64 - len(prefix)}x}"
            self.assertEqual([(one, rest.split()[0]) for one, rest in out[number]], [(cid, b"%d" % i) for i in range(lines)])
            self.assertEqual(err[number], [(cid, b"err")])

    def test_maps_are_back(self):
        """After REGISTRATIONS containers nothing is left in the kernel's maps, and notail is as large as before."""
        prefix = new_prefix()
        notail = self.watch(prefix)
        sizes = []
        half = REGISTRATIONS // 2
        for i in range(2):
            Runtime(prefix, half).wait()
            harness.wait_for(lambda: len(notail.entries()) >= 3 * half * (i + 1), what="all lines")
            sizes.append(soak.anonymous_kb(notail.pid))
        self.assert_nothing_left(notail)
        self.assertLess(sizes[1] - sizes[0], GROWTH_KB, sizes)
        self.assertEqual(len(notail.entries()), 6 * half)
        self.assertEqual(notail.stop(), 0)
        ours = notail.streams()
        self.assertEqual(len(ours), 4 * half)
        for counts in ours:
            self.assertEqual((counts["lost"], counts["missing"], counts["open"]), (0, 0, False), counts)
            self.assertEqual(counts["written"], counts["copied"], counts)

    def test_reader_behind_the_cgroups_end(self):
        """Half of the containers' cgroups are gone before a byte is read: the lines are whole, and their container's."""
        prefix = new_prefix()
        notail = self.watch(prefix)
        Runtime(prefix, 200, at_once=20).wait()
        self.assert_complete(notail, prefix, 200)

    def test_what_the_ring_had_no_room_for(self):
        """notail stands still while more containers come and go than its ring has room for: what it was not told of is
        forgotten all the same, and who comes then is captured."""
        prefix = new_prefix()
        notail = self.watch(prefix, "--ring-size", "1MiB")
        count = max(RING_FULL, REGISTRATIONS // 4)
        sizes = []
        for _ in range(2):
            notail.process.send_signal(signal.SIGSTOP)
            Runtime(prefix, count, at_once=8).wait()
            notail.process.send_signal(signal.SIGCONT)
            self.assert_nothing_left(notail)
            sizes.append(soak.anonymous_kb(notail.pid))
        self.assertLess(sizes[1] - sizes[0], GROWTH_KB, sizes)
        before = len(notail.entries())
        Runtime(prefix + "ff", 20).wait()
        harness.wait_for(lambda: len(notail.entries()) >= before + 60, what="the lines of who came later")
        self.assertEqual(notail.stop(), 0)
        self.assertRegex(notail.stderr(), r"notail_lost_events_total [1-9]")
        self.assertEqual([counts for counts in notail.streams() if counts["open"]], [])

    def test_200_around_the_start(self):
        """notail starts, with delays in each gap of its scan, while containers come and go. Of each it has an end of
        the record: all that was written after it was ready; all of a container that began after that; nothing twice."""
        prefix = new_prefix()
        directory = harness.shared.path("records")
        os.mkdir(directory)
        runtime = Runtime(prefix, 200, at_once=40, lines=100, pause_ms=20, directory=directory)
        self.addCleanup(runtime.process.kill)
        harness.wait_for(lambda: len(os.listdir(directory)) >= 30, what="30 containers")
        notail = self.watch(prefix, binary=harness.program("notail-slow-scan"))
        ready_ns = time.time_ns()
        at_ready = len(os.listdir(directory))
        runtime.wait()
        records = {}
        for number in range(200):
            with open(os.path.join(directory, str(number)), "rb") as file:
                records[number] = file.read().split(b"\n")[:-1]
            self.assertEqual(len(records[number]), 100)
        after = {n: [line for line in lines if int(line.split()[2]) > ready_ns] for n, lines in records.items()}

        def captured():
            found = self.by_number(notail, "stdout")
            return {number: [b"%d " % number + rest for _, rest in found[number]] for number in records}

        def without_end():
            found = captured()
            return [n for n, lines in records.items() if after[n] and found[n][-1:] != lines[-1:]]

        harness.wait_for(lambda: not without_end(), interval=0.5, what=lambda: f"the last lines of {without_end()}")
        whole = captured()
        for number, lines in records.items():
            got = whole[number]
            self.assert_lines(got, lines[len(lines) - len(got) :], f"container {number}")
            self.assertGreaterEqual(len(got), len(after[number]), f"container {number}")
        print(f"    {at_ready} of 200 had begun when notail was ready; whole: "
              f"{sum(whole[n] == records[n] for n in records)}", flush=True)
        self.assert_nothing_left(notail)


class AroundTheStart(harness.TestCase):
    """The same with docker."""

    needs_programs = ("writer", "notail-slow-scan")

    def test_docker_around_the_start(self):
        """REGISTRATIONS_DOCKER containers of docker around notail's start, and sessions of docker exec beside."""
        base = self.name("around")
        names = [f"{base}-{i}" for i in range(REGISTRATIONS_DOCKER)]
        self.addCleanup(lambda: self.engine.remove(*names))
        engine = self.engine

        def start(name):
            engine.start("busybox", "writer", "--stamp", "--min", "60", "--max", "200", "--rate", "50", "--lines", "250",
                         name=name)
            engine.docker("exec", name, "echo", "a session's own", check=False)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            started = [pool.submit(start, name) for name in names]
            harness.wait_for(lambda: sum(map(concurrent.futures.Future.done, started)) >= 4, what="four containers")
            notail = self.notail(binary=harness.program("notail-slow-scan"))
            ready_ns = time.time_ns()
            for one in started:
                one.result()
        for name in names:
            self.assertEqual(self.engine.wait(name), 0)
        for name in names:
            recorded = self.engine.record(name)["stdout"]
            after = [line for line in recorded if int(line.split()[0]) > ready_ns]
            if after:
                harness.wait_for(lambda: notail.lines(name)[-1:] == recorded[-1:], what=f"the last line of {name}")
            got = notail.lines(name)
            self.assert_lines(got, recorded[len(recorded) - len(got) :], name)
            self.assertGreaterEqual(len(got), len(after), name)

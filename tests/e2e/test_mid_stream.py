# SPDX-License-Identifier: Apache-2.0
"""Containers are renamed and dockerd is restarted while 5,000 lines a second are written: nothing is lost, nothing
doubled, and the labels are right. What arrives is compared with what the writer writes, not with docker's record: a
dockerd that is killed may take lines with it that the runtime had read."""

import itertools
import os
import re
import subprocess

import engine as engine_module
import harness
import test_loki

SIZES = ("--min", "30", "--max", "60")
# Without an end, for a machine may be slow: the container ends when it is told to, and says so.
WRITE = f"""writer --lines 0 --rate 5000 {' '.join(SIZES)} & while [ ! -e /tmp/end ]; do sleep 0.1; done; kill $!; wait; echo end"""
# Lines that are seen before the next thing happens: half a second of them.
SOME = 2500
PATIENCE = 180


def what_writer_writes(lines):
    """The first lines of every writer."""
    done = subprocess.run([harness.program("writer"), *SIZES, "--lines", str(lines)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=harness.DEADLINE, check=True)
    return done.stdout.split(b"\n")[:-1]


def runs(values):
    """The values without those that are the one before them."""
    return [value for value, _ in itertools.groupby(values)]


class MidStream(test_loki.Base):
    needs_programs = ("writer",)

    def push(self, engine):
        """(target, notail pushing this process' containers of `engine` to it)."""
        target = self.target()
        return target, self.plain_notail("--loki", target.url, "--batchwait", "200ms", "--docker", engine.host,
                                         "--container", f"e2e-{harness.RUN_ID}-*", "--stats")

    def dockerd(self, *options):
        own = engine_module.Dockerd(harness.programs(), options)
        self.addCleanup(own.stop)
        return own.__enter__()

    def write(self, engine, name, *options):
        engine.start("busybox", "sh", "-c", WRITE, name=name, options=options)

    def of_names(self, target, *names):
        """The entries of a container that had all these names, by time."""
        return sorted((e for name in names for e in self.entries(target, name)), key=lambda e: e.ts)

    def kept(self, target, name):
        """The lines of a container as they arrived: cheaper to ask for again and again than what is sorted by time,
        since the receiver, in this process, has 5,000 lines a second to judge."""
        if not target.receiver:
            return [e.line for e in self.entries(target, name)]
        return [e.line for labels, entries in target.receiver.streams().values() if labels.get("container") == name
                for e in entries]

    def wait_kept(self, target, name, condition, what):
        """Waits until `condition` of the lines is true; the receiver of a machine under load comes after the writer."""
        harness.wait_for(lambda: condition(self.kept(target, name)), timeout=PATIENCE, interval=0.3,
                         what=lambda: f"{name}: {what}, of {len(self.kept(target, name))} lines")

    def wait_more(self, target, name):
        count = len(self.kept(target, name)) + SOME
        self.wait_kept(target, name, lambda lines: len(lines) >= count, f"{count} lines")

    def wait_end(self, engine, target, name):
        """Tells the container to end; waits for its last line."""
        engine.touch(name, "/tmp/end")
        self.assertEqual(engine.wait(name), 0)
        self.wait_kept(target, name, lambda lines: b"end" in lines, "the end")

    def wait_away(self, notail, times):
        """notail has seen the engine go, for the so many-th time."""
        said = lambda: len(re.findall(r"docker: unix:\S+: .*until it answers", notail.stderr()))
        harness.wait_for(lambda: said() >= times, what=notail.stderr)

    def assert_all(self, lines):
        """All that the writer wrote, once, in its order, and the end."""
        self.assert_lines(lines, [*what_writer_writes(len(lines) - 1), b"end"])

    def assert_renamed(self, entries, names):
        """Each line has one of the names, and none comes back."""
        for label in ("container", "service_name"):
            self.assertEqual(runs(e.labels[label] for e in entries), names)
        self.assertEqual(len({e.metadata["container_id"] for e in entries}), 1)

    def assert_counts(self, notail, name, lines):
        """The streams of all lives of the container: what was written is what was copied, and what arrived."""
        found = [s for s in notail.streams() if s["container"] == name and s["stream"] == "stdout"]
        for counts in found:
            self.assertEqual((counts["lost"], counts["missing"], counts["uncounted"]), (0, 0, 0), counts)
            self.assertEqual(counts["written"], counts["copied"], counts)
        self.assertEqual(sum(counts["copied"] for counts in found), sum(map(len, lines)) + len(lines), found)

    def test_rename(self):
        target, notail = self.push(self.engine)
        names = [self.name(word) for word in ("first", "second", "third")]
        self.write(self.engine, names[0])
        self.wait_more(target, names[0])
        for old, new in zip(names, names[1:]):
            self.engine.docker("rename", old, new)
            self.wait_more(target, new)
        self.wait_end(self.engine, target, names[-1])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        entries = self.of_names(target, *names)
        self.assert_all([e.line for e in entries])
        self.assert_renamed(entries, names)
        self.assert_counts(notail, names[-1], [e.line for e in entries])

    def test_engine_restarted_under_live_containers(self):
        """With --live-restore: killed, then ended. A container ends and another is renamed where nobody tells notail."""
        own = self.dockerd("--live-restore")
        target, notail = self.push(own)
        names = [self.name("live"), self.name("renamed")]
        ending, after = self.name("ending"), self.name("after")
        self.write(own, names[0])
        own.start("busybox", "sh", "-c", "echo 0; while [ ! -e /tmp/end ]; do sleep 0.1; done; seq 1000", name=ending)
        self.wait_entries(target, ending, 1)
        pid = own.inspect(ending)["State"]["Pid"]
        self.wait_more(target, names[0])

        own.kill()
        open(f"/proc/{pid}/root/tmp/end", "w", encoding="ascii").close()
        harness.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), what="the container's end")
        self.wait_away(notail, 1)
        own.launch()
        own.docker("rename", *names)
        own.run("busybox", "echo", "new", name=after, options=["--label", "com.docker.compose.service=shop"])
        entry, = self.wait_entries(target, after, 1)
        self.assertEqual((entry.labels["compose_service"], entry.labels["service_name"]), ("shop", "shop"))
        self.wait_more(target, names[1])

        own.terminate()
        self.wait_away(notail, 2)
        own.launch()
        self.wait_more(target, names[1])
        self.wait_end(own, target, names[1])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        entries = self.of_names(target, *names)
        self.assert_all([e.line for e in entries])
        self.assert_renamed(entries, names)
        self.assert_counts(notail, names[1], [e.line for e in entries])
        self.assert_lines([e.line for e in self.entries(target, ending)], [b"%d" % i for i in range(1001)])

    def test_engine_restarted(self):
        """The containers end with it, or when the next dockerd finds them; that one starts them again."""
        own = self.dockerd()
        target, notail = self.push(own)
        name = self.name("again")
        first = what_writer_writes(1)[0]
        self.write(own, name, "--restart", "always", "--stop-timeout", "1")
        self.wait_more(target, name)
        for times, end in enumerate((own.terminate, own.kill), 1):
            end()
            self.wait_away(notail, times)
            own.launch()
            self.wait_kept(target, name, lambda lines, times=times: lines.count(first) > times, "the next start")
            self.wait_more(target, name)
        own.docker("update", "--restart", "no", name)
        self.wait_end(own, target, name)
        self.assertEqual(notail.stop(), 0, notail.stderr())
        lines = [e.line for e in self.entries(target, name)]
        begins = [i for i, line in enumerate(lines) if line == first]
        self.assertEqual(len(begins), 3)
        for begin, end in zip(begins, begins[1:]):
            self.assert_lines(lines[begin:end], what_writer_writes(end - begin))
        self.assert_all(lines[begins[-1]:])
        self.assert_counts(notail, name, lines)

# SPDX-License-Identifier: Apache-2.0
"""notail without an engine: `-- CMD`, `--pid`, the formats, how it ends, what it refuses."""

import json
import os
import pty
import re
import signal
import subprocess
import threading

import harness

ANSWER = 'while read word; do echo "got $word"; echo "err $word" >&2; done'


class Base(harness.TestCase):
    needs_engine = False

    def start(self, *args, **keywords):
        """notail with these arguments, which ends by itself."""
        return self.plain_notail(*args, wait=False, **keywords)

    def command(self, *command, options=(), status=0, **keywords):
        """notail --stdout=json -- COMMAND to its end; the Notail."""
        notail = self.start("--stdout=json", "--stats", *options, "--", *command, **keywords)
        self.assertEqual(notail.wait(), status, notail.stderr())
        return notail


class Command(Base):
    def test_three_lines(self):
        notail = self.start("--stdout", "--", "sh", "-c", "echo out; echo err >&2; printf half")
        self.assertEqual(notail.wait(), 0, notail.stderr())
        lines = notail.stdout_bytes().split(b"\n")
        self.assertEqual(lines.pop(), b"")
        self.assertEqual(sorted(lines), sorted([b"sh stdout | out", b"sh stderr | err", b"sh stdout | half"]))
        self.assertLess(lines.index(b"sh stdout | out"), lines.index(b"sh stdout | half"))

    def test_exit_status(self):
        self.command("sh", "-c", "echo x; exit 7", status=7)
        self.command("true")

    def test_killed_by_signal(self):
        notail = self.command("sh", "-c", "echo before; kill -9 $$", status=128 + signal.SIGKILL)
        self.assertEqual(notail.lines("sh"), [b"before"])

    def test_exec_failure(self):
        notail = self.start("--stdout", "--", "/nowhere/program")
        self.assertEqual(notail.wait(), 127)
        self.assertIn("/nowhere/program", notail.stderr())
        self.assertEqual(notail.stdout_bytes(), b"")

    def test_inspect(self):
        with open(harness.shared.path("notail.yaml"), "w", encoding="utf-8") as f:
            f.write("pipeline_stages: [{static_labels: {team: a}}, {drop: {expression: noise}}]\n")
        notail = self.command("sh", "-c", "echo one; echo noise", options=("-c", f.name, "--inspect"))
        self.assertEqual(notail.lines("sh"), [b"one"])
        label = '[inspect: static_labels stage]: pipeline_stages[0].static_labels\nLabels["team"]:\n\t+: a\n'
        dropped = "[inspect: drop stage]: pipeline_stages[1].drop\nDropped: drop_stage\n"
        shown = notail.stderr()
        self.assertRegex(shown, r'\[inspect: entry\]: \{container="sh", [^\n]*\} one\n' + re.escape(label) + r"\[inspect: entry")
        self.assertRegex(shown, r'\[inspect: entry\]: \{container="sh", [^\n]*\} noise\n' + re.escape(label + dropped))

    def test_no_output_at_all(self):
        notail = self.command("true")
        self.assertEqual(notail.entries(), [])

    def test_counts(self):
        notail = self.command("sh", "-c", "echo out; echo error >&2")
        for stream, size in (("stdout", 4), ("stderr", 6)):
            counts = notail.stream("sh", stream)
            self.assertEqual((counts["written"], counts["copied"], counts["lost"], counts["missing"], counts["uncounted"]),
                             (size, size, 0, 0, 0), counts)

    def test_many_lines(self):
        writer = harness.program("writer")
        words = [writer, "--threads", "3", "--lines", "20000", "--random", "--stderr-every", "4"]
        expected = subprocess.run([writer, "--lines", "20000", "--random", "--stderr-every", "4"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        notail = self.command(*words)
        for stream, text in (("stdout", expected.stdout), ("stderr", expected.stderr)):
            counts = notail.stream("writer", stream)
            self.assertEqual(counts["written"], counts["copied"], counts)
            got = notail.lines("writer", stream)
            self.assertEqual(len(got), 3 * text.count(b"\n"))
            first = [line for line in text.split(b"\n")[:-1] if line.startswith(b"0 ") and len(line) > 20]
            wanted = set(first)
            self.assert_lines([line for line in got if line in wanted], first, stream)

    def test_children_and_threads(self):
        notail = self.command("sh", "-c", "for i in 1 2 3; do (echo child $i) & done; wait; echo all | cat")
        self.assertEqual(sorted(notail.lines("sh")), [b"all", b"child 1", b"child 2", b"child 3"])

    def test_both_in_one(self):
        notail = self.command("sh", "-c", "exec 2>&1; echo out; echo err >&2")
        self.assertEqual(notail.lines("sh", "stdout"), [b"out", b"err"])
        self.assertEqual(notail.lines("sh", "stderr"), [])

    def test_output_elsewhere(self):
        notail = self.command("sh", "-c", "echo one; exec >/dev/null; echo never")
        self.assertEqual(notail.lines("sh"), [b"one"])

    def test_stdin_is_passed_on(self):
        source, sink = os.pipe()
        os.write(sink, b"word\n")
        os.close(sink)
        with os.fdopen(source) as stdin:
            notail = self.command("cat", stdin=stdin)
        self.assertEqual(notail.lines("cat"), [b"word"])

    def test_sigterm_reaches_the_command(self):
        notail = self.start("--stdout=json", "--", "sh", "-c", "trap 'echo trapped; exit 3' TERM; echo up; while :; do sleep 0.1; done")
        notail.wait_lines("sh", "stdout", [b"up"])
        self.assertEqual(notail.stop(), 3)
        self.assertEqual(notail.lines("sh"), [b"up", b"trapped"])


class Pid(Base):
    """A process that somebody else started, and whose pipe somebody else reads."""

    def process(self, command=ANSWER, **files):
        process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, **files)

        def end():
            process.kill()
            process.wait()
            for file in (process.stdin, process.stdout, process.stderr):
                if file:
                    file.close()

        self.addCleanup(end)
        return process

    def reader(self, file):
        """Reads a pipe or terminal to its end, as a runtime would; the list of what came."""
        parts = []

        def read():
            try:
                while data := os.read(file, 65536):
                    parts.append(data)
            except OSError:
                pass  # EIO: the terminal's other side is closed

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return parts

    def tell(self, process, text):
        process.stdin.write(text)
        process.stdin.flush()

    def test_pipe(self):
        process = self.process(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.reader(process.stdout.fileno())
        self.reader(process.stderr.fileno())
        notail = self.plain_notail("--stdout=json", "--pid", str(process.pid))
        for word in (b"one", b"two"):
            self.tell(process, word + b"\n")
        notail.wait_lines("sh", "stdout", [b"got one", b"got two"])
        notail.wait_lines("sh", "stderr", [b"err one", b"err two"])
        process.stdin.close()
        self.assertEqual(notail.wait(), 0, "it ends with the process")

    def test_terminal(self):
        master, slave = pty.openpty()
        self.addCleanup(lambda: os.close(master))
        process = self.process(stdout=slave, stderr=slave)
        os.close(slave)
        self.reader(master)
        notail = self.plain_notail("--stdout=json", "--pid", str(process.pid))
        self.tell(process, b"one\n")
        notail.wait_lines("sh", "stdout", [b"got one\r", b"err one\r"])
        self.assertEqual(notail.stop(), 0)

    def test_nothing_from_others(self):
        """Another process with pipes of its own is not captured."""
        process = self.process(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        other = self.process(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for one in (process, other):
            self.reader(one.stdout.fileno())
            self.reader(one.stderr.fileno())
        notail = self.plain_notail("--stdout=json", "--pid", str(process.pid))
        self.tell(other, b"other\n")
        self.tell(process, b"own\n")
        notail.wait_lines("sh", "stderr", [b"err own"])
        self.assertEqual(notail.stop(), 0)
        self.assertEqual(sorted(e.line for e in notail.entries()), [b"err own", b"got own"])

    def test_sigterm_drains(self):
        """What the process wrote before SIGTERM is printed."""
        process = self.process("read go; seq 1 50000; echo done >&2; read end", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out = self.reader(process.stdout.fileno())
        notail = self.plain_notail("--stdout=json", "--pid", str(process.pid))
        self.tell(process, b"go\n")
        self.assertEqual(process.stderr.readline(), b"done\n")
        harness.wait_for(lambda: b"".join(out).endswith(b"\n50000\n"), what="the writer's last line")
        self.assertEqual(notail.stop(), 0)
        self.assert_lines(notail.lines("sh", "stdout"), [b"%d" % i for i in range(1, 50001)])

    def test_sigint_ends_it(self):
        process = self.process(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        notail = self.plain_notail("--stdout=json", "--pid", str(process.pid))
        self.assertEqual(notail.stop(signo=signal.SIGINT), 0)

    def test_gone(self):
        process = subprocess.Popen(["true"])
        process.wait()
        notail = self.start("--stdout", "--pid", str(process.pid))
        self.assertEqual(notail.wait(), 1)
        self.assertIn(str(process.pid), notail.stderr())


class Formats(Base):
    SCRIPT = r"""printf 'a "b" \\ c\n\n\303\244\n\377\n'"""

    def output(self, *options):
        notail = self.start(*options, "--", "sh", "-c", self.SCRIPT)
        self.assertEqual(notail.wait(), 0, notail.stderr())
        return notail.stdout_bytes()

    def test_json(self):
        notail = self.start("--stdout=json", "--", "sh", "-c", self.SCRIPT)
        self.assertEqual(notail.wait(), 0, notail.stderr())
        self.assertEqual(notail.lines("sh", "stdout"), [b'a "b" \\ c', b"", b"\xc3\xa4", b"\xff"])
        objects = [json.loads(line) for line in notail.stdout_bytes().splitlines()]
        self.assertEqual([("line_base64" in o) for o in objects], [False, False, False, True])
        self.assertEqual(objects[2]["line"], "ä")
        for one in objects:
            self.assertRegex(one["ts"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")
            self.assertEqual(one["labels"]["container"], "sh")

    def test_raw(self):
        self.assertEqual(self.output("--stdout=raw"), b'a "b" \\ c\n\n\xc3\xa4\n\xff\n')

    def test_text(self):
        lines = self.output("--stdout=text").split(b"\n")
        self.assertEqual(lines, [b'sh stdout | a "b" \\ c', b"sh stdout | ", b"sh stdout | \xc3\xa4", b"sh stdout | \xff", b""])

    def test_text_is_the_default(self):
        self.assertEqual(self.output("--stdout"), self.output("--stdout=text"))

    def test_text_with_times(self):
        for option in ("-t", "--timestamps"):
            lines = self.output("--stdout", option).split(b"\n")
            self.assertRegex(lines[0], rb'\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z sh stdout \| a "b" \\ c\Z')

    def test_logfmt(self):
        lines = self.output("--stdout=logfmt").split(b"\n")
        self.assertEqual(len(lines), 5)
        self.assertRegex(lines[0], rb"\bstream=stdout\b")
        self.assertRegex(lines[0], rb"\bcontainer=sh\b")
        self.assertIn(rb'"a \"b\" \\ c"', lines[0])

    def test_last_line_without_newline(self):
        notail = self.start("--stdout=raw", "--", "printf", "half")
        self.assertEqual(notail.wait(), 0)
        self.assertEqual(notail.stdout_bytes(), b"half")


class Output(Base):
    """Where --stdout goes to: a reader that is slow, that goes away, a full disk."""

    needs_programs = ("writer",)

    def test_blocked_reader(self):
        """Nobody reads for a while: nothing is lost that the ring has room for, the command is not held up."""
        source, sink = os.pipe()
        done = harness.shared.path("done")
        script = f"{harness.program('writer')} --lines 20000 --size 200; : >{done}"
        notail = self.start("--stdout=raw", "--", "sh", "-c", script, stdout=sink)
        os.close(sink)
        harness.wait_for(lambda: os.path.exists(done), what="the command's end, with nobody reading")
        data = b""
        with os.fdopen(source, "rb") as file:
            data = file.read()
        self.assertEqual(notail.wait(), 0, notail.stderr())
        expected = subprocess.run([harness.program("writer"), "--lines", "20000", "--size", "200"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout
        self.assert_lines(data.split(b"\n"), expected.split(b"\n"))

    def test_ring_full(self):
        """Nobody reads for longer than the ring lasts: the command goes on, and each byte is there or counted."""
        source, sink = os.pipe()
        done = harness.shared.path("done")
        script = f"{harness.program('writer')} --lines 40000 --size 200; : >{done}"
        notail = self.start("--stdout=json", "--stats", "--ring-size", "1MiB", "--", "sh", "-c", script, stdout=sink)
        os.close(sink)
        harness.wait_for(lambda: os.path.exists(done), what="the command's end, with nobody reading")
        with os.fdopen(source, "rb") as file:
            entries = [harness.parse_entry(line) for line in file]
        self.assertEqual(notail.wait(), 0, notail.stderr())
        counts = notail.stream("sh", "stdout")
        self.assertEqual(counts["written"], 40000 * 200, counts)
        self.assertGreater(counts["lost"], 0, counts)
        self.assertEqual(counts["copied"] + counts["lost"], counts["written"], counts)
        gaps = [re.fullmatch(rb"notail: (\d+) bytes (?:in \d+ writes )?lost here: (.*)", e.line) for e in entries]
        self.assertEqual(sum(int(gap.group(1)) for gap in gaps if gap), counts["lost"])
        self.assertEqual({gap.group(2) for gap in gaps if gap}, {b"ring full"})
        whole = [e.line for e, gap in zip(entries, gaps) if not gap and len(e.line) == 199]
        self.assertLessEqual(len(whole), counts["copied"] // 200)
        self.assertGreater(len(whole), counts["copied"] // 200 - 2 * sum(map(bool, gaps)) - 1)

    def test_reader_goes_away(self):
        source, sink = os.pipe()
        notail = self.start("--stdout=raw", "--", "sh", "-c", "while :; do echo line; sleep 0.01; done", stdout=sink)
        os.close(sink)
        self.assertEqual(os.read(source, 5), b"line\n")
        os.close(source)
        self.assertEqual(notail.wait(), 0, notail.stderr())

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            notail = self.start("--stdout", "--", "sh", "-c", "while :; do echo line; sleep 0.01; done", stdout=full)
            self.assertEqual(notail.wait(), 1)
        self.assertIn("No space left on device", notail.stderr())

    def test_file(self):
        path = harness.shared.path("output")
        with open(path, "wb") as file:
            notail = self.start("--stdout=raw", "--", "seq", "1", "3000", stdout=file)
            self.assertEqual(notail.wait(), 0)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"".join(b"%d\n" % i for i in range(1, 3001)))

    def test_coloured_on_a_terminal(self):
        """On a terminal the name is coloured; the lines are the same."""
        master, slave = pty.openpty()
        notail = self.start("--stdout", "--", "echo", "hi", stdout=slave)
        os.close(slave)
        data = b""
        try:
            while part := os.read(master, 4096):
                data += part
        except OSError:
            pass
        os.close(master)
        self.assertEqual(notail.wait(), 0)
        self.assertIn(b"\x1b[", data)
        self.assertIn(b"hi", re.sub(rb"\x1b\[[0-9;]*m", b"", data))

    def test_no_stdin_at_all(self):
        """Closed descriptors are not taken for files of its own."""
        out = harness.shared.path("out")
        done = subprocess.run(["sh", "-c", 'exec <&-; exec "$@"', "sh", harness.NOTAIL, "--stdout=raw", "--", "echo", "hi"],
                              stdout=open(out, "wb"), stderr=subprocess.PIPE, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(out, "rb") as file:
            self.assertEqual(file.read(), b"hi\n")


class Refusals(Base):
    """One clear line each; 2 for usage, 1 for the environment."""

    def refused(self, status, word, *args, **keywords):
        notail = self.start(*args, **keywords)
        self.assertEqual(notail.wait(), status, f"{args}: {notail.stderr()}")
        lines = notail.stderr().splitlines()
        self.assertEqual(len(lines), 1, f"{args}: {lines}")
        self.assertIn(word, lines[0], args)
        self.assertEqual(notail.stdout_bytes(), b"", args)

    def test_unknown_option(self):
        self.refused(2, "--nope", "--nope")
        self.refused(2, "--nope", "--stdout", "--nope", "--", "true")

    def test_unknown_argument(self):
        self.refused(2, "nope", "nope")
        self.refused(2, "nope", "--stdout", "nope")

    def test_bad_format(self):
        self.refused(2, "xml", "--stdout=xml")

    def test_bad_loki_url(self):
        for url in ("not a url", "ftp://host/", "http://", "loki:3100", ""):
            self.refused(2, "--loki", "--loki", url)

    def test_bad_docker_host(self):
        self.refused(2, "--docker", "--stdout", "--docker", "docker.sock")

    def test_bad_selection(self):
        self.refused(2, "--label", "--stdout", "--label", "no-equals-sign")
        self.refused(2, "--stream", "--stdout", "--stream", "both")

    def test_bad_pid(self):
        for pid in ("abc", "0", "-1", "99999999999999999999", "1x"):
            self.refused(2, "--pid", "--stdout", "--pid", pid)

    def test_bad_tap_and_hooks(self):
        self.refused(2, "--tap", "--stdout", "--tap", "both")
        self.refused(2, "--hooks", "--stdout", "--hooks", "none")

    def test_no_output_asked_for(self):
        self.refused(2, "--stdout", "--", "true")

    def test_pid_and_command(self):
        self.refused(2, "--pid", "--stdout", "--pid", str(os.getpid()), "--", "true")

    def test_no_capabilities(self):
        prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
        self.refused(1, "CAP_", "--stdout", prefix=prefix)

    def test_no_btf(self):
        if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
            self.skipTest("no mount namespaces here")
        if not os.path.exists("/sys/kernel/btf/vmlinux"):
            self.skipTest("this kernel has no BTF")
        self.refused(1, "BTF", "--stdout",
                     prefix=("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'))


class Information(Base):
    def run_to_end(self, *args):
        notail = self.start(*args)
        status = notail.wait()
        return status, notail.stdout_bytes().decode(), notail.stderr()

    def test_version(self):
        with open(os.path.join(harness.TOP, "VERSION"), encoding="ascii") as file:
            version = file.read().strip()
        for words in (("version",), ("--version",)):
            status, out, err = self.run_to_end(*words)
            self.assertEqual((status, err), (0, ""))
            self.assertIn(version, out)

    def test_help(self):
        status, out, err = self.run_to_end("--help")
        self.assertEqual((status, err), (0, ""))
        for word in ("--stdout", "--container", "--label", "--stream", "--pid", "--loki", "--docker", "--tap", "-t", "probe", "version", "--"):
            self.assertIn(word, out)

    def test_probe(self):
        status, out, err = self.run_to_end("probe")
        self.assertEqual(status, 0, out + err)
        chosen = re.search(r"\b(fexit|multi|syscall)\b", next((l for l in out.splitlines() if "hook set" in l), ""))
        self.assertTrue(chosen, out)
        self.assertRegex(out, r"(?m)^.*\b(ok|no)\b")
        try:
            with open("/sys/kernel/security/lockdown", encoding="ascii") as file:
                locked = "[none]" not in file.read()
        except OSError:
            locked = False
        if locked:
            self.assertEqual(chosen.group(1), "syscall")
            self.assertIn("fexit", out)
            self.assertRegex(out, r"why|because|refused|lockdown")


class Configuration(Base):
    def run_to_end(self, *args):
        notail = self.start(*args)
        status = notail.wait()
        return status, notail.stdout_bytes().decode(), notail.stderr()

    def test_what_is_wrong(self):
        path = self.file("clients:\n  - url: http://loki:3100\n    batch_wait: 1s\nlog: {level: loud}\n")
        expected = (f"{path}:3:5: clients[0].batch_wait: unknown key, expected batchwait?\n"
                    f"{path}:4:14: log.level: \"loud\", expected error, warn, info or debug\n")
        for words in (("check-config", path), ("run", "-c", path), ("--stdout", "-c", path, "--", "echo", "never")):
            self.assertEqual(self.run_to_end(*words), (1, "", expected), words)

    def test_what_is_right(self):
        path = self.file("clients:\n  - url: http://me:hunter2@loki:3100\nhost: h\n")
        self.assertEqual(self.run_to_end("check-config", path), (0, f"{path}: valid\n", ""))
        status, out, err = self.run_to_end("check-config", "--effective", path)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("host: h\n", out)
        self.assertIn("ring_size: 32MiB\n", out)
        self.assertNotIn("hunter2", out)

    def test_in_force(self):
        path = self.file("host: ${NAME:-of-the-file}\ncapture: {max_line_size: 20, attribution: off}\n"
                         "clients: [{url: 'http://127.0.0.1:9'}]\n")
        notail = self.start("--stdout=json", "-c", path, "--", "echo", "0123456789" * 3)
        self.assertEqual(notail.wait(), 0, notail.stderr())
        entry, = notail.entries()
        self.assertEqual(entry.line, b"0123456789" * 2)
        self.assertEqual(entry.labels["host"], "of-the-file")
        self.assertNotIn("pid", entry.metadata)
        notail = self.start("--stdout=json", "-c", path, "--host", "first", "--max-line-size", "25", "--", "echo",
                            "0123456789" * 3)
        self.assertEqual(notail.wait(), 0, notail.stderr())
        entry, = notail.entries()
        self.assertEqual((len(entry.line), entry.labels["host"]), (25, "first"))

    def test_no_clients(self):
        path = self.file("log: {level: info}\n")
        status, out, err = self.run_to_end("run", "-c", path)
        self.assertEqual((status, out), (2, ""))
        self.assertIn(f"{path} has no clients", err)

# SPDX-License-Identifier: Apache-2.0
"""notail --stdout=json beside a real dockerd: whose lines, which bytes, in which order."""

import concurrent.futures
import os
import socket
import struct
import subprocess
import threading

import engine as engine_module
import harness

# The longest line that is not cut.
MAX_LINE = 256 * 1024
# A container that goes on until it is told to end by a file.
COUNT = 'i=0; while [ ! -e /tmp/end ]; do echo "$i"; i=$((i+1)); sleep 0.02; done'


class Docker(harness.TestCase):
    needs_programs = ("writer",)

    def say(self, name, text, stream=1):
        """A line into a running container's own stdout or stderr."""
        self.engine.docker("exec", name, "sh", "-c", f"echo '{text}' >/proc/1/fd/{stream}")

    def sleeper(self, name, options=()):
        self.engine.start("busybox", "sleep", "100000", name=name, options=options)

    def test_200_short_lived(self):
        """One after the other, in four rows at once."""
        notail = self.notail()
        base = self.name("short")
        engine = self.engine

        def run(row):
            return [engine.run("busybox", "echo", str(i), name=f"{base}-{row}-{i}", options=["--rm"]).stdout for i in range(50)]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for printed in pool.map(run, range(4)):
                self.assertEqual(printed, [f"{i}\n" for i in range(50)])
        own = lambda prefix: [e for e in notail.entries() if e.labels["container"].startswith(prefix)]
        harness.wait_for(lambda: len(own(f"{base}-")) >= 200, what=lambda: f"{len(own(f'{base}-'))} of 200 lines")
        self.assertEqual(notail.stop(), 0)
        self.assertEqual(len(own(f"{base}-")), 200)
        for row in range(4):
            self.assertEqual(
                [(e.labels["container"], e.stream, e.line) for e in own(f"{base}-{row}-")],
                [(f"{base}-{row}-{i}", "stdout", b"%d" % i) for i in range(50)],
            )

    def compare_bytes(self, threads, *options):
        """4 containers x 50,000 lines: bytes, order, once; and what was written was copied."""
        notail = self.notail(*options)
        names = [self.name(f"bytes{i}") for i in range(4)]
        lines = 50000 // threads + 1
        for i, name in enumerate(names):
            self.engine.start(
                "busybox", "writer", "--threads", str(threads), "--lines", str(lines), "--min", "1", "--max", "300",
                "--random", "--stderr-every", "5", "--seed", str(i + 1), name=name,
            )
        for name in names:
            self.assertEqual(self.engine.wait(name), 0)
        for name in names:
            self.assert_as_recorded(notail, name)
            for stream, recorded in self.engine.record(name).items():
                counts = notail.stream(name, stream)
                self.assertEqual(counts["copied"], sum(map(len, recorded)) + len(recorded), counts)
                self.assertEqual(counts["written"], counts["copied"], counts)
                self.assertEqual((counts["lost"], counts["missing"], counts["uncounted"]), (0, 0, 0), counts)
        self.assertEqual(sum(len(notail.lines(name)) for name in names), 4 * threads * lines)
        self.assertEqual(notail.stop(), 0)

    def test_bytes_of_three_threads(self):
        self.compare_bytes(3)

    def test_bytes_of_one_thread_by_the_write_tap(self):
        self.compare_bytes(1, "--tap", "write")

    def test_20_at_once(self):
        notail = self.notail()
        names = [self.name(f"once{i}") for i in range(20)]
        clients = [
            subprocess.Popen(
                self.engine.command("run", "--rm", "--network=none", "--name", name, "busybox", "echo", name),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=self.engine.environment(),
            )
            for name in names
        ]
        for client in clients:
            self.assertEqual(client.wait(200), 0)
        for name in names:
            notail.wait_lines(name, "stdout", [name.encode()])

    def test_timestamps_increase(self):
        notail = self.notail()
        name = self.name("equal")
        self.engine.run("busybox", "sh", "-c", "yes | head -n 5000", name=name)
        notail.wait_lines(name, "stdout", 5000)
        times = [e.ts for e in notail.of(name)]
        self.assertEqual(times, sorted(set(times)), "timestamps of a stream are unique and increase")
        self.assertRegex(times[0], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z\Z")

    def test_labels_and_metadata(self):
        notail = self.notail()
        name = self.name("labels")
        self.engine.run("busybox", "echo", "hi", name=name)
        notail.wait_lines(name, "stdout", [b"hi"])
        entry = notail.of(name)[0]
        self.assertEqual(entry.labels, {"container": name, "stream": "stdout", "service_name": name, "job": "docker",
                                        "host": os.uname().nodename})
        self.assertEqual(entry.metadata["container_id"], self.engine.inspect(name)["Id"])
        self.assertEqual(entry.metadata["image"], "busybox")
        self.assertEqual(entry.metadata["comm"], "echo")

    def test_tty(self):
        notail = self.notail()
        name = self.name("tty")
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2; printf half", name=name, options=["-t"])
        notail.wait_lines(name, "stdout", [b"out\r", b"err\r", b"half"])
        self.assertEqual(notail.of(name)[0].metadata["tty"], "true")
        self.assert_as_recorded(notail, name)

    def test_init(self):
        notail = self.notail()
        name = self.name("init")
        self.engine.run("busybox", "sh", "-c", "echo out; sh -c 'echo child' & wait", name=name, options=["--init"])
        notail.wait_lines(name, "stdout", [b"out", b"child"])

    def test_restart(self):
        notail = self.notail()
        name = self.name("restart")
        self.engine.start("busybox", "sh", "-c", "echo up; exec sleep 100000", name=name)
        notail.wait_lines(name, "stdout", [b"up"])
        for times in (2, 3):
            self.engine.docker("restart", "-t", "0", name)
            notail.wait_lines(name, "stdout", [b"up"] * times)
        self.engine.docker("kill", name)
        self.assert_as_recorded(notail, name)

    def test_started_again_after_its_end(self):
        notail = self.notail()
        name = self.name("again")
        self.engine.run("busybox", "echo", "line", name=name)
        for _ in range(3):
            self.engine.docker("start", "-a", name)
        notail.wait_lines(name, "stdout", [b"line"] * 4)

    def test_exec_sessions(self):
        notail = self.notail()
        name = self.name("exec")
        self.sleeper(name)
        self.engine.docker("exec", name, "echo", "a session's own output")
        self.engine.docker("exec", "-t", name, "echo", "and with a terminal")
        self.say(name, "into its own stdout")
        self.say(name, "and its stderr", stream=2)
        notail.wait_lines(name, "stdout", [b"into its own stdout"])
        notail.wait_lines(name, "stderr", [b"and its stderr"])
        self.engine.docker("kill", name)
        self.assert_as_recorded(notail, name)

    def test_compose(self):
        if not os.access("/usr/bin/docker-compose", os.X_OK):
            self.skipTest("not installed: docker-compose")
        project = self.name("compose")
        names = [f"{project}_web_1", f"{project}_web_2", f"{project}_db_1"]
        path = harness.shared.path("docker-compose.yml")
        with open(path, "w", encoding="ascii") as file:
            file.write(
                "version: '2.4'\nservices:\n"
                "  web: {image: busybox, network_mode: none, command: echo web}\n"
                "  db: {image: busybox, network_mode: none, command: echo db}\n"
            )
        notail = self.notail()
        compose = lambda *args: subprocess.run(
            ["/usr/bin/docker-compose", "-p", project, "-f", path, *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.engine.environment(), timeout=120, check=True,
        )
        self.addCleanup(lambda: self.engine.remove(*names))
        compose("up", "-d", "--scale", "web=2")
        for name in names:
            service = name.split("_")[1]
            notail.wait_lines(name, "stdout", [service.encode()])
            labels = notail.of(name)[0].labels
            self.assertEqual(labels["compose_project"], project)
            self.assertEqual(labels["compose_service"], service)
            self.assertEqual(labels["service_name"], service)
        compose("down", "-t", "0")

    def test_running_before_notail(self):
        name = self.name("before")
        self.sleeper(name)
        self.say(name, "before")
        notail = self.notail()
        self.say(name, "after")
        self.say(name, "stderr after", stream=2)
        notail.wait_lines(name, "stdout", [b"after"])
        notail.wait_lines(name, "stderr", [b"stderr after"])

    def test_writing_while_notail_starts(self):
        name = self.name("counting")
        self.engine.start("busybox", "sh", "-c", COUNT, name=name)
        notail = self.notail()
        notail.wait_lines(name, "stdout", 20)
        self.engine.touch(name, "/tmp/end")
        self.engine.wait(name)
        recorded = self.engine.record(name)["stdout"]
        harness.wait_for(lambda: notail.lines(name)[-1] == recorded[-1], what="the last line")
        captured = notail.lines(name)
        self.assert_lines(captured, recorded[-len(captured):])

    def test_tty_running_before_notail(self):
        name = self.name("beforetty")
        self.sleeper(name, ["-t"])
        notail = self.notail()
        self.say(name, "after")
        notail.wait_lines(name, "stdout", [b"after\r"])

    def test_program_that_cannot_be_executed(self):
        """Of another architecture: the runtime's own line is in docker's record."""
        other = 183 if os.uname().machine == "x86_64" else 62
        path = harness.shared.path("bad")
        with open(path, "wb") as file:
            file.write(b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, other, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0))
            file.write(bytes(56))
        os.chmod(path, 0o755)
        notail = self.notail()
        name = self.name("bad")
        done = self.engine.run("busybox", "/bin/bad", name=name, options=["-v", f"{path}:/bin/bad"], check=False)
        self.assertNotEqual(done.returncode, 0)
        recorded = self.engine.record(name)
        self.assertEqual(len(recorded["stdout"] + recorded["stderr"]), 1, recorded)
        self.assert_as_recorded(notail, name)

    def test_program_that_does_not_exist(self):
        notail = self.notail()
        name, next_one = self.name("missing"), self.name("next")
        done = self.engine.run("busybox", "/bin/nowhere", name=name, check=False)
        self.assertEqual(done.returncode, 127)
        self.engine.run("busybox", "echo", "next", name=next_one)
        notail.wait_lines(next_one, "stdout", [b"next"])
        self.assert_as_recorded(notail, name)

    def test_log_driver_none(self):
        notail = self.notail()
        name = self.name("none")
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=name, driver="none")
        notail.wait_lines(name, "stdout", [b"out"])
        notail.wait_lines(name, "stderr", [b"err"])

    def test_log_driver_json_file(self):
        notail = self.notail()
        name = self.name("json")
        self.engine.run("busybox", "writer", "--lines", "3000", "--stderr-every", "3", name=name, driver="json-file")
        self.assert_as_recorded(notail, name)

    def test_rename(self):
        notail = self.notail()
        old, new = self.name("old"), self.name("new")
        self.sleeper(old)
        self.say(old, "one")
        notail.wait_lines(old, "stdout", [b"one"])
        self.engine.docker("rename", old, new)

        def renamed():
            self.say(new, "two")
            return notail.lines(new)

        harness.wait_for(renamed, interval=0.5, what="a line under the new name")
        self.assertEqual(set(notail.lines(new)), {b"two"})

    def test_no_newline_at_end(self):
        notail = self.notail()
        name = self.name("half")
        self.engine.run("busybox", "sh", "-c", "printf 'whole\\nhalf'; printf 'half too' >&2", name=name)
        notail.wait_lines(name, "stdout", [b"whole", b"half"])
        notail.wait_lines(name, "stderr", [b"half too"])

    def test_line_too_long(self):
        notail = self.notail()
        name = self.name("long")
        script = f"head -c {1 << 20} /dev/zero | tr '\\0' x; echo; echo next; head -c {MAX_LINE} /dev/zero | tr '\\0' y; echo"
        self.engine.run("busybox", "sh", "-c", script, name=name)
        notail.wait_lines(name, "stdout", 3)
        entries = notail.of(name)
        self.assert_lines([e.line for e in entries], [b"x" * MAX_LINE, b"next", b"y" * MAX_LINE])
        self.assertEqual([("truncated" in e.metadata) for e in entries], [True, False, False])

    def test_line_size_raised(self):
        """Lines that two processes joined are as long as docker's record has them, over the default size too."""
        notail = self.notail("--max-line-size", "1MiB")
        name = self.name("longer")
        half = f"head -c {MAX_LINE - 1000} /dev/zero | tr '\\0' "
        self.engine.run("busybox", "sh", "-c", f"{half} x & {half} y & wait; echo; echo next", name=name)
        self.assert_as_recorded(notail, name, "stdout")
        entries = notail.of(name, "stdout")
        self.assertEqual([len(e.line) for e in entries], [2 * (MAX_LINE - 1000), len("next")])
        self.assertEqual([e for e in entries if "truncated" in e.metadata], [])

    def test_empty_lines_and_binary(self):
        notail = self.notail()
        name = self.name("empty")
        self.engine.run("busybox", "sh", "-c", r"printf '\n\na\0b\n\377\376\n\r\n\n'", name=name)
        notail.wait_lines(name, "stdout", [b"", b"", b"a\0b", b"\xff\xfe", b"\r", b""])

    def test_select_container(self):
        wanted, other = self.name("wanted"), self.name("other")
        last = wanted + "-last"
        self.addCleanup(lambda: self.engine.remove(last))
        notail = self.plain_notail("--stdout=json", "--docker", self.engine.host, "--container", wanted + "*")
        for name in (wanted, other, last):
            self.engine.run("busybox", "echo", name, name=name)
        notail.wait_lines(last, "stdout", [last.encode()])
        self.assertEqual({e.labels["container"] for e in notail.entries()}, {wanted, last})

    def test_select_label(self):
        wanted, other, last = self.name("wanted"), self.name("other"), self.name("last")
        key = f"team-{harness.RUN_ID}"
        notail = self.plain_notail("--stdout=json", "--docker", self.engine.host, "--label", f"{key}=a")
        for name, value in ((wanted, "a"), (other, "b"), (last, "a")):
            self.engine.run("busybox", "echo", name, name=name, options=["--label", f"{key}={value}"])
        notail.wait_lines(last, "stdout", [last.encode()])
        self.assertEqual({e.labels["container"] for e in notail.entries()}, {wanted, last})

    def test_select_stream(self):
        notail = self.notail("--stream", "stderr")
        name = self.name("both")
        self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=name)
        notail.wait_lines(name, "stderr", [b"err"])
        self.assertEqual(notail.stop(), 0)
        self.assertEqual(notail.lines(name), [b"err"])

    def test_raw_of_one_container(self):
        name = self.name("raw")
        notail = self.plain_notail("--stdout=raw", "--docker", self.engine.host, "--container", name)
        data = b"a\x00b\n\xff\xfe\n\nlast\n"
        self.engine.run("busybox", "sh", "-c", r"printf 'a\0b\n\377\376\n\nlast\n'", name=name)
        harness.wait_for(lambda: notail.stdout_bytes() == data, what=lambda: f"{notail.stdout_bytes()!r} is not {data!r}")

    def test_text_of_two_containers(self):
        names = [self.name("one"), self.name("two")]
        notail = self.plain_notail("--stdout", "--docker", self.engine.host, "--container", f"e2e-{harness.RUN_ID}-*")
        for name in names:
            self.engine.run("busybox", "sh", "-c", "echo out; echo err >&2", name=name)
        expected = sorted(f"{name} {stream} | {line}" for name in names for stream, line in (("stdout", "out"), ("stderr", "err")))
        lines = lambda: sorted(" ".join(l.split()) for l in notail.stdout_bytes().decode().splitlines())
        harness.wait_for(lambda: lines() == expected, what=lambda: f"{lines()} is not {expected}")


class Faults(harness.TestCase):
    """Docker away, gone for a while, or talking nonsense: capture goes on."""

    needs_programs = ("writer",)

    def capture_by_id(self, host, before_end=lambda: None):
        """A container's lines while notail cannot ask docker (None: must not): under its short id. Returns notail, ended."""
        name = self.name("nameless")
        container = self.engine.docker("create", "--network=none", "--log-driver", "local", "--name", name, "busybox",
                                       "sh", "-c", "echo out; echo err >&2").stdout.strip()
        notail = self.plain_notail("--stdout=json", *(["--docker", host] if host else ["--no-docker"]), "--container", container[:12])
        self.engine.docker("start", name)
        self.engine.wait(name)
        notail.wait_lines(container[:12], "stdout", [b"out"])
        notail.wait_lines(container[:12], "stderr", [b"err"])
        self.assertEqual(notail.of(container[:12])[0].metadata["container_id"], container)
        before_end()
        self.assertEqual(notail.stop(), 0)
        return notail

    def said(self, notail, word):
        return [line for line in notail.stderr().splitlines() if word in line]

    def test_socket_away(self):
        path = harness.shared.path("no-docker.sock")
        notail = self.capture_by_id("unix://" + path)
        self.assertEqual(len(self.said(notail, path)), 1, notail.stderr())

    def test_socket_is_none(self):
        path = harness.shared.path("a-file")
        with open(path, "wb"):
            pass
        notail = self.capture_by_id("unix://" + path)
        self.assertEqual(len(self.said(notail, path)), 1, notail.stderr())

    def test_no_docker(self):
        """--no-docker asks nobody, and says nothing about it."""
        notail = self.capture_by_id(None)
        self.assertEqual(self.said(notail, "docker"), [])

    def test_socket_comes_later(self):
        link = harness.shared.path("later.sock")
        notail = self.plain_notail("--stdout=json", "--docker", "unix://" + link, "--container", f"e2e-{harness.RUN_ID}-*")
        name = self.name("later")
        self.engine.start("busybox", "sh", "-c", COUNT, name=name)
        os.symlink(self.engine.socket, link)
        notail.wait_lines(name, "stdout", 10)

    def test_docker_restarted(self):
        with engine_module.Dockerd(harness.programs(), ["--live-restore"]) as own:
            notail = self.plain_notail("--stdout=json", "--stats", "--docker", own.host, "--container", f"e2e-{harness.RUN_ID}-*")
            name, after = self.name("survivor"), self.name("afterwards")
            own.start("busybox", "sh", "-c", COUNT, name=name)
            notail.wait_lines(name, "stdout", 10)
            own.terminate()
            count = len(notail.lines(name))
            notail.wait_lines(name, "stdout", count + 10)  # with docker away
            own.launch()
            count = len(notail.lines(name))
            notail.wait_lines(name, "stdout", count + 10)
            own.run("busybox", "echo", "new", name=after)
            notail.wait_lines(after, "stdout", [b"new"])
            own.touch(name, "/tmp/end")
            own.wait(name)
            notail.stream(name, "stdout")
            captured = notail.lines(name)
            self.assert_lines(captured, [b"%d" % i for i in range(len(captured))])
            self.assertEqual(notail.stop(), 0)

    def test_docker_stopped_and_started(self):
        """The containers end with it, and go on under their names when the next dockerd starts them again."""
        with engine_module.Dockerd(harness.programs()) as own:
            notail = self.plain_notail("--stdout=json", "--docker", own.host, "--container", f"e2e-{harness.RUN_ID}-*")
            name, after = self.name("again"), self.name("afterwards")
            own.start("busybox", "sh", "-c", "echo up; trap 'echo end; exit' TERM; while :; do sleep 0.1; done", name=name)
            notail.wait_lines(name, "stdout", [b"up"])
            own.terminate()
            notail.wait_lines(name, "stdout", [b"up", b"end"])
            own.launch()
            own.docker("start", name)
            notail.wait_lines(name, "stdout", [b"up", b"end", b"up"])
            own.run("busybox", "echo", "new", name=after)
            notail.wait_lines(after, "stdout", [b"new"])
            self.assertEqual(notail.stop(), 0)

    def garbage(self, answer):
        with FakeDocker(answer) as fake:
            asked_again = lambda: harness.wait_for(lambda: fake.asked >= 4, what=lambda: f"asked {fake.asked} times")
            notail = self.capture_by_id(fake.host, asked_again)
        self.assertIn(len(self.said(notail, "docker")), (1, 2), notail.stderr())

    def test_garbage_not_http(self):
        self.garbage(b"\x00\x01\x02 this is no HTTP\n")

    def test_garbage_not_json(self):
        self.garbage(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[{nonsens")

    def test_garbage_other_json(self):
        self.garbage(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"Id": [1, null]}\n')

    def test_garbage_cut(self):
        self.garbage(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n[{"Id": "0123')

    def test_garbage_errors(self):
        self.garbage(b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 16\r\n\r\n{"message": "x"}')

    def test_garbage_nothing(self):
        self.garbage(b"")

    def test_garbage_endless_line(self):
        self.garbage(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (3 << 20))


class FakeDocker:
    """A unix socket that answers every connection with the same bytes and closes it."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0
        self.path = harness.shared.path("fake.sock")
        self.host = "unix://" + self.path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    connection.recv(65536)
                    self.asked += 1
                    connection.sendall(self.answer)
                except OSError:
                    pass

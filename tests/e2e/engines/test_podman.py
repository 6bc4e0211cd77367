# SPDX-License-Identifier: Apache-2.0
"""Podman's containers, with runc and with crun, against podman's own record (k8s-file); conmon is the reader."""

import os
import socket
import subprocess
import threading

import case
import harness
import test_sockets

WRITER = "writer --threads 3 --lines 3000 --min 1 --max 300 --random --stderr-every 5".split()


class Checks(case.EngineCase):
    """Each is a test with each runtime, see below."""

    runtime = None

    @property
    def engine(self):
        return case.podman_engine(self.runtime)

    def create(self, word, *command, options=()):
        """A container that does not run yet; its id."""
        return self.engine.create("busybox", *command, name=self.name(word), options=options)

    def compare(self, word, *command, options=(), equal=False, half=(), status=0, files=()):
        """Runs it and compares; (notail, id, record). `files`: (path here, path there) to put into it before."""
        cid = self.create(word, *command, options=options)
        for here, there in files:
            self.engine.podman("cp", here, f"{cid}:{there}")
        notail = self.watch(cid)
        done = self.engine.podman("start", "--attach", cid, check=False, timeout=240)
        self.assertEqual(done.returncode, status, done.stderr[-2000:])
        record = self.engine.record(cid)
        self.assert_captured(notail, cid, record)
        if "-t" not in options:
            self.assert_counted(notail, cid, record, equal, half)
        return notail, cid, record

    def check_lines_and_labels(self):
        notail, cid, record = self.compare("echo", "sh", "-c", "echo out; echo err >&2; printf half", half=("stdout",))
        self.assertEqual(record, {"stdout": [b"out", b"half"], "stderr": [b"err"]})
        for entry in self.entries_of(notail, cid):
            self.assertRegex(entry.labels["container"], "^e2e-.*-echo$")
            self.assertEqual(entry.metadata["image"], "localhost/busybox:latest")
            self.assertEqual(entry.metadata["engine"], "podman")

    def check_three_threads(self):
        _, _, record = self.compare("threads", *WRITER, equal=True)
        self.assertEqual({stream: len(lines) for stream, lines in record.items()}, {"stdout": 7200, "stderr": 1800})

    def check_ways_counted(self):
        self.compare("counted", "ways", "--flag", "counted", options=case.WAYS_OPTIONS)

    def check_ways_moved(self):
        self.compare("moved", "ways", "--flag", "moved", options=case.WAYS_OPTIONS)

    def check_ways_tty(self):
        self.compare("tty", "ways", "--flag", "tty", options=(*case.WAYS_OPTIONS, "-t"))

    def check_passthrough(self):
        """No log of podman's: the container writes to podman's own stdio, here a socket as a systemd unit has it."""
        name = self.name("passthrough")
        words, cidfile = self.engine.run_words("busybox", "ways", "write", "socket_send", "socket_sendmsg", "orphan", "exec",
                                               name=name, options=("--log-driver", "passthrough"))
        outputs = {stream: test_sockets.Output(socket.SOCK_STREAM) for stream in ("stdout", "stderr")}
        notail = self.watch()
        process = subprocess.Popen(
            self.engine.command(*words), stdin=subprocess.DEVNULL, stdout=outputs["stdout"].writer,
            stderr=outputs["stderr"].writer, env=self.engine.environment(),
        )
        for output in outputs.values():
            output.writer.close()
        self.assertEqual(process.wait(240), 0)
        record = {stream: output.record() for stream, output in outputs.items()}
        with open(cidfile, encoding="ascii") as file:
            cid = file.read()
        self.assertIn(b"by send", record["stdout"])
        self.assert_captured(notail, cid, record)
        self.assertEqual({e.metadata["container_id"] for e in self.entries_of(notail, cid)}, {cid})

    def check_init_process(self):
        self.compare("init", "ways", "write", "orphan", "halves_of_both", options=("--pid=host",))

    def check_program_that_cannot_be_executed(self):
        path = harness.shared.path("bad")
        with open(path, "wb") as file:
            file.write(b"\x7fELF and no more")
        os.chmod(path, 0o755)
        _, _, record = self.compare("bad", "/bad", files=[(path, "/bad")], status=1)
        self.assertEqual(len(record["stderr"]), 1, record)

    def check_restart(self):
        # No half line at an end: the record does not part it from the first of the next start.
        cid = self.create("restart", "sh", "-c", "echo one; echo two >&2; echo three")
        notail = self.watch(cid)
        for _ in range(3):
            self.engine.podman("start", "--attach", cid)
        record = self.engine.record(cid)
        self.assertEqual(len(record["stderr"]), 3)
        self.assert_captured(notail, cid, record)

    def check_exec_is_not_captured(self):
        cid = self.create("exec", "sh", "-c", "echo begin; while [ ! -e /tmp/end ]; do sleep 0.05; done; echo end")
        notail = self.watch(cid)
        self.engine.podman("start", cid)
        harness.wait_for(lambda: self.lines_of(notail, cid, "stdout") == [b"begin"], what="the first line")
        self.engine.podman("exec", cid, "echo", "of the exec session")
        self.engine.podman("exec", cid, "sh", "-c", "echo to the log >/proc/1/fd/1; touch /tmp/end")
        self.engine.podman("wait", cid)
        self.assert_captured(notail, cid, {"stdout": [b"begin", b"to the log", b"end"], "stderr": []})
        self.assertEqual(self.engine.record(cid)["stdout"], [b"begin", b"to the log", b"end"])

    def check_started_before_notail(self):
        cid = self.create("before", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; echo late; echo err >&2")
        self.engine.podman("start", cid)
        notail = self.watch(cid)
        self.engine.podman("exec", cid, "touch", "/tmp/go")
        self.engine.podman("wait", cid)
        self.assert_captured(notail, cid, {"stdout": [b"late"], "stderr": [b"err"]})
        self.assertEqual(notail.stream(cid, "stdout")["tap"], "read")

    def check_20_at_once(self):
        cids = [self.create(f"once{i}", "sh", "-c", f"echo {i}; echo err {i} >&2") for i in range(20)]
        notail = self.watch(*cids)
        starts = [threading.Thread(target=self.engine.podman, args=("start", "--attach", cid)) for cid in cids]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        for i, cid in enumerate(cids):
            self.assert_captured(notail, cid, {"stdout": [b"%d" % i], "stderr": [b"err %d" % i]})

    def check_names_by_the_api(self):
        self.engine.serve()
        name = self.name("named")
        notail = self.watch("e2e-*", options=("--docker", self.engine.host))
        _, cid = self.engine.run("busybox", "echo", "hi", name=name, options=("--rm", "--label", "a=b"))
        self.assert_captured(notail, cid, {"stdout": [b"hi"], "stderr": []})
        entry = self.entries_of(notail, cid)[0]
        self.assertEqual(entry.labels["container"], name)
        self.assertEqual(entry.metadata["engine"], "podman")
        self.assertRegex(entry.metadata["image"], r"localhost/busybox")


class Podman(Checks):
    """check_x is test_x_runc and test_x_crun."""


def add_tests():
    def test(runtime, check):
        def run(self):
            why = case.why_no_podman(runtime)
            if why:
                self.skipTest(why)
            self.runtime = runtime
            check(self)

        return run

    for name in dir(Checks):
        if name.startswith("check_"):
            for runtime in ("runc", "crun"):
                word = name.removeprefix("check_")
                setattr(Podman, f"test_{word}_{runtime}", test(runtime, getattr(Checks, name)))


add_tests()

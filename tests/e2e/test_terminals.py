# SPDX-License-Identifier: Apache-2.0
"""Terminals and input that somebody types: echo, stty, job control, docker attach; against docker's record of it."""

import os
import pty
import subprocess
import threading

import harness


class Client:
    """A docker client on a terminal of its own, as a person has it."""

    def __init__(self, words, environment):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, preexec_fn=lambda: os.login_tty(0),
        )
        os.close(slave)
        self.output = b""
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()

    def drain(self):
        try:
            while data := os.read(self.master, 65536):
                self.output += data
        except OSError:
            pass  # EIO: the client has ended

    def type(self, text):
        os.write(self.master, text)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join(harness.DEADLINE)
        os.close(self.master)


class Terminals(harness.TestCase):
    def client(self, *words):
        client = Client(self.engine.command(*words), self.engine.environment())
        self.addCleanup(client.close)
        return client

    def shell(self, *more):
        """An interactive shell with a person before it; (notail, name, client)."""
        name = self.name("terminal")
        notail = self.notail()
        words = self.engine.run_words("busybox", ("sh",), name, "local", ("-it", *more))
        client = self.client(*words)
        # What is typed before the program runs is echoed before there is a stream.
        harness.wait_for(lambda: b"# " in client.output, what=lambda: f"a prompt: {client.output!r}")
        return notail, name, client

    def wait_for(self, notail, name, text, times=1):
        """Until the record has it. A prompt is a half line: it stands before what follows."""

        def there():
            try:
                record = self.engine.record(name)["stdout"]
            except Exception:  # not begun
                return False
            return b"\n".join(record).count(text) >= times

        harness.wait_for(there, what=lambda: f"{text!r} in the record; {notail.stderr()}", interval=0.2)

    def check(self, notail, name, *texts):
        self.engine.wait(name)
        self.assert_as_recorded(notail, name)
        text = b"\n".join(notail.lines(name, "stdout"))
        for one in texts:
            self.assertIn(one, text)

    def test_echo(self):
        """What is typed comes back from the terminal: it is in the record, and no write of anybody's."""
        notail, name, client = self.shell()
        client.type(b"echo one; echo two >&2\n")
        self.wait_for(notail, name, b"two\r")
        client.type(b"exit\n")
        self.check(notail, name, b"echo one; echo two >&2", b"\none\r", b"\ntwo\r")

    def test_stty(self):
        notail, name, client = self.shell()
        client.type(b"stty -echo -onlcr; echo quie''t\n")
        self.wait_for(notail, name, b"quiet")
        client.type(b"echo neve''r typed\n")
        self.wait_for(notail, name, b"never typed")
        client.type(b"stty sane; exit\n")
        self.check(notail, name, b"never typed")

    def test_job_control(self):
        """^Z and ^C, jobs in the background and in front."""
        notail, name, client = self.shell()
        client.type(b"sh -c 'echo begi''n; exec sleep 100000'\n")
        self.wait_for(notail, name, b"begin")
        client.type(b"\x1a")
        self.wait_for(notail, name, b"Stopped")
        client.type(b"jobs; bg; (sleep 0.1; echo behin''d) & wait $!; fg\n")
        self.wait_for(notail, name, b"behind")
        self.wait_for(notail, name, b"exec sleep", times=4)
        client.type(b"\x03")
        self.wait_for(notail, name, b"^C")
        client.type(b"exit\n")
        self.check(notail, name, b"^Z", b"^C", b"behind")

    def test_attach(self):
        """Another client attaches, types and leaves again; the first one as well."""
        notail, name, client = self.shell()
        other = self.client("attach", name)
        other.type(b"echo of the othe''r\n")
        self.wait_for(notail, name, b"of the other\r")
        other.type(b"\x10\x11")  # ^P ^Q: it leaves
        other.process.wait(harness.DEADLINE)
        client.type(b"echo of the firs''t; exit\n")
        self.check(notail, name, b"of the other\r", b"of the first\r")

    def test_attach_without_a_terminal(self):
        """What is piped in is input, no log; what the container makes of it is one."""
        name = self.name("attach")
        notail = self.notail()
        self.engine.start("busybox", "sh", "-c", "for i in 1 2; do read line; echo got $line; echo err >&2; done",
                          name=name, options=("-i",))
        subprocess.run(
            self.engine.command("attach", name), input=b"one\ntwo\n", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=self.engine.environment(), timeout=harness.DEADLINE, check=False,
        )
        self.check(notail, name)
        self.assertEqual(notail.lines(name, "stdout"), [b"got one", b"got two"])

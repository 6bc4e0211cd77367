#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A receiver for high rates and many faults: it stores what is pushed as it came, in a file, and answers as told.

    with Sink(directory) as sink:                # a process of its own
        ... push to sink.url ...
        sink.down(); sink.up()                   # nobody listens; again
        sink.plan(0.3, ["429", "reset"])         # 30 % of the pushes, from now on
        sink.stats()                             # pushes, bytes, how each was answered

read(path) gives what was stored. Nothing is decoded meanwhile: judge.py does that afterwards.
"""

import collections
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

# Each body: when it had come, its length, whether notail was told 204.
RECORD = struct.Struct("<QIB")
PUSH = b"/loki/api/v1/push"
HEAD_MAX = 65536

# What can happen to a push. Those of KEPT are stored although notail is told otherwise.
KINDS = ("429", "429-after", "500", "503", "502", "408", "hang", "reset", "reset-early", "lose", "late", "cut", "html", "401")
KEPT = ("lose", "late", "cut")

Stored = collections.namedtuple("Stored", "receipt_ns told body")


def read(path):
    """What a sink stored, in the order of receipt; what it is just writing is not there yet."""
    with open(path, "rb") as file:
        while True:
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                return
            receipt_ns, size, told = RECORD.unpack(head)
            body = file.read(size)
            if len(body) < size:
                return
            yield Stored(receipt_ns, bool(told), body)


class Server:
    """The process' side."""

    def __init__(self, path, hang_seconds):
        self.file = open(path, "ab", buffering=1 << 20)
        self.hang_seconds = hang_seconds
        self.lock = threading.Lock()
        self.listener = None
        self.port = 0
        self.open = set()
        self.share = 0.0
        self.kinds = []
        self.random = random.Random(1)
        self.delay = 0.0
        self.counts = collections.Counter()

    def up(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def down(self):
        """Nobody listens, and what was open is reset."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            for connection in list(self.open):
                reset(connection)

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(connection)
                self.counts["connections"] += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection:
                rest = b""
                while True:
                    head, rest = receive_head(connection, rest)
                    if head is None:
                        return
                    rest = self.answer(connection, head, rest)
                    if rest is None:
                        return
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(connection)

    def answer(self, connection, head, rest):
        """Answers one request; the bytes behind it, or None where the connection is over."""
        line, _, fields = head.partition(b"\r\n")
        length = 0
        for field in fields.split(b"\r\n"):
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"expect":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        pushed = PUSH in line
        kind = self.choose() if pushed else None
        if kind == "reset-early":  # in the middle of the body
            if length > 1:
                receive(connection, rest, min(length, len(rest) + random.randrange(length)))
            self.count(kind, length)
            reset(connection)
            return None
        body, rest = receive(connection, rest, length)
        if body is None:
            return None
        if not pushed:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n")
            return rest
        if self.delay:
            time.sleep(self.delay)
        if kind is None or kind in KEPT:
            self.store(body, kind is None)
        self.count(kind or "204", length)
        return rest if self.tell(connection, kind) else None

    def tell(self, connection, kind):
        """Sends the answer. False: the connection is over."""
        if kind is None:
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif kind == "html":  # of a proxy, not of Loki
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")
        elif kind[:3].isdigit():
            after = b"Retry-After: 1\r\n" if kind.endswith("-after") else b""
            connection.sendall(b"HTTP/1.1 %s Planned\r\n%sContent-Length: 8\r\n\r\nplanned\n" % (kind[:3].encode(), after))
        elif kind == "cut":
            connection.sendall(b"HTTP/1.1 500 Planned\r\nContent-Length: 1000\r\n\r\npla")
            return False
        elif kind in ("hang", "late"):
            time.sleep(self.hang_seconds)
            return False
        else:
            reset(connection)
            return False
        return True

    def choose(self):
        with self.lock:
            return self.random.choice(self.kinds) if self.random.random() < self.share else None

    def count(self, kind, size):
        with self.lock:
            self.counts[kind] += 1
            self.counts["pushes"] += 1
            self.counts["bytes"] += size

    def store(self, body, told):
        with self.lock:
            self.file.write(RECORD.pack(time.time_ns(), len(body), told))
            self.file.write(body)
            self.counts["stored"] += 1
            self.counts["stored_bytes"] += len(body)
            self.counts["last_ns"] = time.time_ns()

    def command(self, words):
        name = words["do"]
        if name == "up":
            self.up()
        elif name == "down":
            self.down()
        elif name == "plan":
            with self.lock:
                self.share, self.kinds = words["share"], words["kinds"]
                self.random = random.Random(words["seed"])
                self.delay = words["delay"]
        elif name == "flush":
            with self.lock:
                self.file.flush()
        with self.lock:
            return {"port": self.port, **self.counts}


def reset(connection):
    """Without a FIN before it."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
    except OSError:
        pass


def receive_head(connection, rest):
    while b"\r\n\r\n" not in rest:
        more = connection.recv(65536)
        if not more or len(rest) > HEAD_MAX:
            return None, b""
        rest += more
    head, _, rest = rest.partition(b"\r\n\r\n")
    return head, rest


def receive(connection, rest, length):
    """`length` bytes, of which `rest` is the beginning; (them or None, what is behind)."""
    if len(rest) >= length:
        return rest[:length], rest[length:]
    body = bytearray(length)
    body[:len(rest)] = rest
    view, at = memoryview(body), len(rest)
    while at < length:
        count = connection.recv_into(view[at:])
        if not count:
            return None, b""
        at += count
    return body, b""


class Sink:
    """The test's side. `hang_seconds`: how long a push that hangs gets no answer."""

    def __init__(self, path, hang_seconds=30):
        self.path = path
        self.process = subprocess.Popen(
            ["/usr/bin/python3", os.path.abspath(__file__), path, str(hang_seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.port = self.do("up")["port"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def do(self, name, **words):
        self.process.stdin.write(json.dumps({"do": name, **words}).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def up(self):
        self.do("up")

    def down(self):
        self.do("down")

    def plan(self, share, kinds=(), seed=1, delay=0.0):
        """A share of the pushes from now on gets one of KINDS; each waits `delay` seconds."""
        if set(kinds) - set(KINDS):
            raise ValueError(f"kinds {kinds}")
        self.do("plan", share=share, kinds=list(kinds), seed=seed, delay=delay)

    def stats(self):
        return collections.Counter(self.do("stats"))

    def stored(self):
        """What was stored so far."""
        self.do("flush")
        return read(self.path)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()


def main():
    server = Server(sys.argv[1], float(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(server.command(json.loads(line))), flush=True)
    server.file.flush()
    os._exit(0)  # threads that wait are not waited for


if __name__ == "__main__":
    main()

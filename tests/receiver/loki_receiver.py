# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Loki on 127.0.0.1.

    with Receiver() as receiver:                 # judges at receipt, answers as Loki 3.6.2
        ... push to receiver.url ...
        receiver.misbehave(503, 3)               # the next three pushes; more kinds: loki_faults
        receiver.streams()                       # what it kept

Receiver(mode="load") only checks the framing and keeps the bodies with their time of receipt, in
memory or in a file; judge() then plays them to the strict judge, each at its own time.

By itself: loki_receiver.py [--load] [--store FILE] [--port N] prints `port N` and serves until its
stdin ends.
"""

import argparse
import collections
import email.utils
import http.server
import json
import re
import socket
import struct
import sys
import threading
import time
import urllib.parse

import loki_labels
from loki_faults import Fault, FaultPlan
from loki_judge import NS, Answer, Judge, Limits, Refused, too_large, uncompressed_size

Push = collections.namedtuple("Push", "receipt_ns status text tenant headers size")
_KEPT_HEADERS = ("content-type", "content-encoding", "x-scope-orgid", "user-agent")
_TENANT = re.compile(r"[a-zA-Z0-9!\-_.*'()]{1,150}")
_MAX_QUERY_ENTRIES = 5000
_RECORD = struct.Struct("<QII")  # receipt_ns, length of the headers (JSON), length of the body


class BodyStore:
    """Bodies of a load, in memory or in a file."""

    def __init__(self, path=None):
        self._file = open(path, "w+b") if path else None
        self._items = []

    def add(self, receipt_ns, headers, body):
        if not self._file:
            self._items.append((receipt_ns, headers, body))
            return
        text = json.dumps(headers).encode()
        self._file.write(_RECORD.pack(receipt_ns, len(text), len(body)) + text)
        self._file.write(body)

    def close(self):
        if self._file:
            self._file.close()

    def __iter__(self):
        if not self._file:
            yield from self._items
            return
        self._file.flush()
        yield from read_store(self._file.name)


def read_store(path):
    """(receipt_ns, headers, body) of a file that a load-mode receiver wrote."""
    with open(path, "rb") as file:
        while True:
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                return
            receipt_ns, header_len, body_len = _RECORD.unpack(head)
            headers = json.loads(file.read(header_len))
            yield receipt_ns, headers, file.read(body_len)


class Receiver:
    """`auth`: as Loki with auth_enabled, X-Scope-OrgID is required. `clock` gives now in ns. `tls`: an SSLContext.
    The port is chosen at the first start and stays through stop() and start(), as what was kept does."""

    def __init__(self, mode="strict", limits=None, auth=False, clock=time.time_ns, port=0, store=None,
                 tls=None):
        if mode not in ("strict", "load"):
            raise ValueError(f"mode {mode!r}")
        self.mode = mode
        self.limits = limits or Limits()
        self.auth = auth
        self.clock = clock
        self.port = port
        self.tls = tls
        self.pushes = []
        self.connections = 0
        self._judge = Judge(self.limits)
        self._bodies = BodyStore(store)
        self._lock = threading.Lock()
        self._plan = FaultPlan()
        self._released = threading.Event()
        self._server = None
        self._thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def push_url(self):
        return self.url + "/loki/api/v1/push"

    def start(self):
        self._released.clear()
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.receiver = self
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Connections are cut; what was kept stays."""
        server, self._server = self._server, None
        if server is None:
            return
        self._released.set()
        server.shutdown()
        server.server_close()
        server.cut()
        self._thread.join()

    def close(self):
        self.stop()
        self._bodies.close()

    def misbehave(self, kind, count=1, retry_after=None):
        """For the next `count` pushes after those planned already. `kind`: a status (nothing is kept);
        "reset" (the connection is reset once the request is read); "hang" (no answer until release()
        or stop()); "lose" (the push is kept, the answer is not sent)."""
        if isinstance(kind, int):
            fault = Fault(kind, f"planned {kind}", retry_after=retry_after)
        elif kind in ("reset", "hang", "lose"):
            fault = Fault(**{kind: True, "keep": kind == "lose"})
        else:
            raise ValueError(f"kind {kind!r}")
        self.plan(*[fault] * count)

    def plan(self, *faults):
        """For the next pushes after those planned already; None: nothing is wrong with that one."""
        with self._lock:
            self._plan.add(*faults)

    def random_faults(self, rate, faults=(), seed=0):
        """Each push that nothing is planned for has one of `faults` with probability `rate`."""
        with self._lock:
            self._plan.set_random(rate, faults, seed)

    def faults(self, function):
        """function(headers, body) gives the Fault of a push that has none yet, or None. None: no function."""
        with self._lock:
            self._plan.set_function(function)

    def planned(self):
        """How many pushes are still to be answered wrongly."""
        with self._lock:
            return self._plan.planned()

    def next_fault(self):
        with self._lock:
            return self._plan.early()

    def release(self):
        self._released.set()

    def stopped(self):
        return self._server is None

    def streams(self, tenant="fake"):
        """A copy of what is kept: {stream text: (labels, [Entry])}."""
        with self._lock:
            return {text: (dict(s.labels), list(s.entries))
                    for text, s in self._judge.streams(tenant).items()}

    def duplicates(self, tenant="fake"):
        """How many entries arrived that were there already."""
        with self._lock:
            return sum(s.duplicates for s in self._judge.streams(tenant).values())

    def statuses(self):
        """{status: how many pushes got it}; 0: no answer was sent."""
        with self._lock:
            return dict(collections.Counter(p.status for p in self.pushes))

    def judge(self):
        """Plays the bodies of a load to the strict judge. The answers, in order."""
        with self._lock:
            return [self._judge.push(headers, body, receipt_ns, self._tenant_of(headers))
                    for receipt_ns, headers, body in self._bodies]

    def _tenant_of(self, headers):
        return headers.get("x-scope-orgid", "fake") if self.auth else "fake"

    def receive(self, headers, body, fault=None):
        """One push; `body` None: it did not come whole. Its Answer and the fault, or None."""
        now_ns = self.clock()
        with self._lock:
            if not fault and body is not None:
                fault = self._plan.late(headers, body)
            if fault and (not fault.keep or body is None):
                answer = Answer(0 if fault.reset or fault.hang or fault.lose or body is None or fault.garbage
                                else fault.status or 500, fault.text or "")
            else:
                answer = self._receive(headers, body, now_ns)
                if fault and fault.status:
                    answer = Answer(fault.status, fault.text or "")
            sent = 0 if fault and (fault.reset or fault.hang or fault.lose) else answer.status
            self.pushes.append(Push(now_ns, sent, answer.text, self._tenant_of(headers),
                                    {k: headers[k] for k in _KEPT_HEADERS if k in headers}, len(body or b"")))
        return answer, fault

    def wait(self, seconds=None):
        """Until release() or stop(), or so long."""
        self._released.wait(seconds)

    def _receive(self, headers, body, now_ns):
        tenant = self._tenant_of(headers)
        if self.auth:
            tenant = headers.get("x-scope-orgid", "")
            if not tenant:
                return Answer(401, "no org id")
            if not _TENANT.fullmatch(tenant) or tenant in (".", ".."):
                bad = next((c for c in tenant if not _TENANT.fullmatch(c)), tenant[0])
                return Answer(400, f"tenant ID '{tenant}' contains unsupported character '{bad}'")
        if self.mode == "strict":
            return self._judge.push(headers, body, now_ns, tenant)
        try:
            if headers.get("content-encoding", "snappy") == "snappy":
                _check_framing(body, self.limits)
        except Refused as refused:
            return refused.answer
        self._bodies.add(now_ns, {k: headers[k] for k in _KEPT_HEADERS if k in headers}, body)
        return Answer(204, "")

    def query_range(self, params, tenant, categorize):
        """The answer's object, or Refused."""
        try:
            matchers = loki_labels.parse_selector(params.get("query", ""))
        except loki_labels.ParseError as error:
            raise Refused(400, str(error)) from None
        now_ns = self.clock()
        end = _time(params, "end", now_ns)
        start = _time(params, "start", end - 3600 * NS)
        limit = int(params.get("limit") or 100)
        if end < start:
            raise Refused(400, "end timestamp must not be before or equal to start time")
        if limit > _MAX_QUERY_ENTRIES:
            raise Refused(400, "max entries limit per query exceeded, limit > "
                               f"max_entries_limit_per_query ({limit} > {_MAX_QUERY_ENTRIES})")
        backward = params.get("direction", "backward").lower() != "forward"
        found = [(e.ts, text, labels, e) for text, (labels, entries) in self.streams(tenant).items()
                 if loki_labels.matches(matchers, labels)
                 for e in entries if start <= e.ts < end]
        found.sort(key=lambda item: item[0], reverse=backward)
        return _query_answer(found[:limit], categorize)

    def label_names(self, tenant):
        return sorted({name for labels, _ in self.streams(tenant).values() for name in labels})

    def label_values(self, tenant, name):
        return sorted({labels[name] for labels, _ in self.streams(tenant).values() if name in labels})


def _check_framing(body, limits):
    size = uncompressed_size(body)
    if size > limits.body_bytes:
        raise Refused(413, too_large(size, limits.body_bytes))


def _time(params, name, default):
    text = params.get(name)
    if not text:
        return default
    if re.fullmatch(r"\d+", text):
        return int(text) if len(text) > 10 else int(text) * NS
    try:
        return int(float(text) * NS)
    except ValueError:
        raise Refused(400, f"could not parse '{name}' parameter: {text}") from None


def _query_answer(found, categorize):
    """With categorize-labels structured metadata stands by each entry, otherwise it is part of the
    stream's labels."""
    streams = {}
    for ts, _, labels, entry in found:
        key = dict(labels) if categorize else {**labels, **entry.metadata}
        values = streams.setdefault(json.dumps(key, sort_keys=True), (key, []))[1]
        value = [str(ts), as_shown(entry.line)]
        if categorize:
            value.append({"structuredMetadata": entry.metadata} if entry.metadata else {})
        values.append(value)
    data = {"resultType": "streams",
            "result": [{"stream": key, "values": values} for key, values in streams.values()],
            "stats": {}}
    if categorize:
        data["encodingFlags"] = ["categorize-labels"]
    return {"status": "success", "data": data}


def as_shown(line):
    """Bytes of a line as the query API's JSON can show them: U+FFFD for each byte that is no UTF-8."""
    return re.sub("[\udc80-\udcff]", "\ufffd", line.decode("utf-8", "surrogateescape"))


def _pieces(answer, fault, headers):
    """The bytes of an answer that http.server would not make."""
    if fault.garbage is not None:
        yield fault.garbage
        return
    text = answer.text.encode() or b" "
    size = len(text) if fault.size is None else fault.size
    head = [f"HTTP/1.1 {answer.status} Status"] + [f"{name}: {value}" for name, value in headers.items()]
    if answer.status != 204:
        head.append(f"Content-Length: {size}")
    yield "\r\n".join(head).encode()
    while fault.endless:
        yield b"\r\nX-More: " + b"x" * 8000
    yield b"\r\n\r\n"
    block = text * (65536 // len(text) + 1)
    for at in range(0, size if answer.status != 204 else 0, len(block)):
        yield block[:size - at]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, *args):
        self._open = set()
        self._open_lock = threading.Lock()
        self.resets = set()
        super().__init__(*args)

    def process_request(self, request, client_address):
        with self._open_lock:
            self._open.add(request)
        self.receiver.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._open_lock:
            self._open.discard(request)
        if request in self.resets:
            self.resets.discard(request)
            self.close_request(request)  # lingering not at all: without a FIN before it, this is a reset
        else:
            super().shutdown_request(request)

    def cut(self):
        with self._open_lock:
            for request in self._open:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "Loki"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        params = dict(urllib.parse.parse_qsl(url.query))
        receiver, tenant = self.server.receiver, self._tenant()
        values = re.fullmatch(r"/loki/api/v1/label/([^/]+)/values", url.path)
        if url.path == "/ready":
            self._answer(200, "ready\n")
        elif tenant is None:
            self._answer(401, "no org id\n")
        elif url.path == "/loki/api/v1/query_range":
            flags = self.headers.get("X-Loki-Response-Encoding-Flags", "")
            try:
                answer = receiver.query_range(params, tenant, "categorize-labels" in flags)
                self._json(answer)
            except Refused as refused:
                self._answer(refused.answer.status, refused.answer.text + "\n")
        elif url.path == "/loki/api/v1/labels":
            self._json({"status": "success", "data": receiver.label_names(tenant)})
        elif values:
            self._json({"status": "success", "data": receiver.label_values(tenant, values.group(1))})
        else:
            self._answer(404, "404 page not found\n")

    def do_PUT(self):
        known = urllib.parse.urlsplit(self.path).path == "/loki/api/v1/push"
        self._read_body()
        self._answer(405 if known else 404, "")

    def do_POST(self):
        receiver = self.server.receiver
        if urllib.parse.urlsplit(self.path).path != "/loki/api/v1/push":
            self._read_body()
            self._answer(404, "404 page not found\n")
            return
        size = int(self.headers.get("Content-Length") or 0)
        if size > receiver.limits.body_bytes:
            self.close_connection = True
            self._answer(413, too_large(size, receiver.limits.body_bytes) + "\n")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = receiver.next_fault()
        if fault and fault.read is not None:
            self.rfile.read(min(fault.read, size))
            receiver.receive(headers, None, fault)
            self._cut(True)
            return
        body = self._read_body()
        if body is None:
            self.close_connection = True
            return
        answer, fault = receiver.receive(headers, body, fault)
        if not fault:
            self._answer(answer.status, answer.text and answer.text + "\n")
        elif fault.hang or fault.lose or fault.reset:
            if fault.hang:
                receiver.wait()
            self._cut(fault.reset)
        else:
            if fault.delay:
                receiver.wait(fault.delay)
            self._answer_wrongly(answer, fault)

    def _answer_wrongly(self, answer, fault):
        headers = {**({"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}),
                   **(fault.headers or {})}
        plain = fault.garbage is None and fault.cut is None and not fault.slow and not fault.endless
        if plain and fault.size is None:
            self._answer(answer.status, answer.text and answer.text + "\n", headers)
            return
        self.close_connection = True
        pieces = _pieces(answer, fault, headers)
        if fault.slow:
            pieces = (bytes([byte]) for piece in pieces for byte in piece)
        left = fault.cut
        for piece in pieces:
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            self.wfile.write(piece)
            if left == 0 or self.server.receiver.stopped():
                break
            if fault.slow:
                self.server.receiver.wait(fault.slow)

    def _tenant(self):
        if not self.server.receiver.auth:
            return "fake"
        return self.headers.get("X-Scope-OrgID") or None

    def _read_body(self):
        """None: the client went away within it."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else b""
        return body if len(body) == size else None

    def _read_chunks(self):
        chunks = []
        while True:
            try:
                size = int(self.rfile.readline(32).split(b";")[0], 16)
            except ValueError:
                return None
            if size == 0:
                while self.rfile.readline(8192).strip():
                    pass
                return b"".join(chunks)
            chunks.append(self.rfile.read(size))
            self.rfile.readline(8)

    def _cut(self, reset):
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.resets.add(self.connection)

    def _json(self, data):
        self._answer(200, json.dumps(data), {"Content-Type": "application/json; charset=UTF-8"})

    def _answer(self, status, text, headers=None):
        body = text.encode("utf-8", "replace")
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(usegmt=True))
        headers = {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}
        if status == 204:
            del headers["Content-Type"]
        else:
            headers["Content-Length"] = str(len(body))
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description="a stand-in for Loki on 127.0.0.1")
    parser.add_argument("--load", action="store_true", help="keep the bodies, judge nothing")
    parser.add_argument("--store", help="with --load: the file that the bodies go to")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    with Receiver("load" if args.load else "strict", port=args.port, store=args.store) as receiver:
        print(f"port {receiver.port}", flush=True)
        sys.stdin.buffer.read()
        print(json.dumps({"pushes": len(receiver.pushes), "statuses": receiver.statuses()}), flush=True)


if __name__ == "__main__":
    main()

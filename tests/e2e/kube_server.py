# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins of kube_api.py are made of: HTTP with TLS and bearer tokens on 127.0.0.1, and all that goes wrong."""

import collections
import ctypes
import email.utils
import gzip
import http.server
import json
import os
import random
import secrets
import select
import socket
import ssl
import struct
import threading
import time
import zlib

import certificates
import kube_objects

# `answer`: an Answer, whose `status` says what was answered.
Request = collections.namedtuple("Request", "time verb resource path query token agent answer")
# What a request is for. `answer`: a function that takes an Answer; None: there is no such path.
Asked = collections.namedtuple("Asked", "verb resource group namespace query answer")
USER = "system:serviceaccount:logging:notail"
REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}
# A server's own chunks: small enough that no client gets a document in one read.
CHUNK = 16384
LONG = 128 * 1024  # what is longer is compressed
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_RETURN_0 = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
DROP_ALL = struct.pack("HL", 1, ctypes.addressof(_RETURN_0))  # a program of one instruction
MOST_ENDLESS = 64 << 20


class Fault:
    """What goes wrong with a request. `kind` is a status (an int; with `retry_after`, seconds), or
    "garbage"  200 and bytes that are no JSON
    "half"     the first half of the answer, in a response that ends as if it were whole
    "cut"      the first half (of a watch: `events` events and a half), then the connection is reset
    "reset"    the connection, before any answer
    "hang"     no answer until release(), or stop()
    "quiet"    the headers, and nothing more until then
    "redirect" to `to`
    "html"     a page to sign in at, with status 200
    "chunk"    a chunk whose length is none
    "squeezed" gzip that is cut in its middle
    "bomb"     a list with `size` bytes in one pod, of which a thousandth is sent
    "joined"   events with no line ends between them
    "large"    an event with `size` bytes of padding in its object, before each
    "error"    of a watch: an event ERROR with a Status of code 500
    "delay"    the answer, `seconds` late
    "endless"  an answer whose line never ends (64 MiB at most, unless the client goes first)
    "huge"     a list with `size` bytes of other pods in front, each of `item_size` bytes
    """

    def __init__(self, kind, verb=None, resource=None, count=1, retry_after=None, events=0, seconds=1.0, size=50 << 20,
                 item_size=20000, to=None):
        self.kind = kind
        self.verb, self.resource, self.count = verb, resource, count
        self.retry_after, self.events, self.seconds = retry_after, events, seconds
        self.size, self.item_size, self.to = size, item_size, to

    def is_for(self, verb, resource):
        return self.verb in (None, verb) and self.resource in (None, resource)


class Refused(Exception):
    def __init__(self, status, message="", retry_after=None, details=None):
        super().__init__(message)
        self.status, self.message, self.retry_after, self.details = status, message, retry_after, details


class Cut(Exception):
    """The connection is to be broken off."""


class Done(Exception):
    """All is sent, too early."""


def status_object(status, message, reason=None, details=None):
    """A Status, as the server answers with it and as the object of an ERROR event."""
    one = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
           "reason": reason or REASONS.get(status, "Unknown"), "code": status}
    if details:
        one["details"] = details
    return one


class Server:
    """What both have: TLS with a certificate that can change, tokens, faults. The port stays through stop() and start()."""

    def __init__(self, directory, name, host="127.0.0.1"):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.name, self.host = directory, name, host
        self.port = 0
        self.ca_file = os.path.join(directory, f"{name}-ca.crt")
        self.token_file = os.path.join(directory, f"{name}-token")
        self.requests = []
        self.skew = 0  # seconds that the header Date is wrong by
        self.shakes_hands = True  # False: a connection waits for TLS until release(), or stop()
        self.connections = 0
        self.lock = threading.Condition()
        self._tokens = set()
        self._forbidden = {}
        self._faults = []
        self._server = self._thread = None
        self._released = threading.Event()
        self._authorities = 0
        self.change_certificate(new_authority=True)
        self.rotate_token()

    @property
    def url(self):
        return f"https://{self.host}:{self.port}"

    def start(self):
        self._released.clear()
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.owner = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def stop(self):
        """Nobody listens, connections are cut. What is known stays."""
        server, self._server = self._server, None
        if server is None:
            return
        self.release()
        server.shutdown()
        server.server_close()
        server.cut()
        self._thread.join()

    def stopped(self):
        return self._server is None

    def cut(self):
        """Every connection is reset."""
        server = self._server
        if server:
            server.cut()

    def black_hole(self):
        """From now on nothing that comes is heard, not even acknowledged, and nobody is told so."""
        self._server.filter(DROP_ALL)

    def end_black_hole(self):
        self._server.filter(None)

    def release(self):
        """Ends what hangs."""
        self._released.set()
        with self.lock:
            self.lock.notify_all()

    # Who may ask.

    def write_token(self, token):
        """As the kubelet does: another file takes the place of the old one."""
        with open(self.token_file + ".new", "w", encoding="ascii") as file:
            file.write(token)
        os.rename(self.token_file + ".new", self.token_file)

    def rotate_token(self, write=True):
        """Another token, the only one that is good from now on; the client's file has it, unless not `write`."""
        token = secrets.token_urlsafe(24)
        self._tokens = {token}
        self.token = token
        if write:
            self.write_token(token)

    def change_certificate(self, new_authority=False, expired=False, publish=True, early=False):
        """Of new connections. With a new authority the client's CA file has it, unless not `publish`."""
        if new_authority:
            self._authorities += 1
            self.authority = certificates.Authority(self.directory, f"{self.name}-{self._authorities}")
            if publish:
                self.publish_authority()
        pair = self.authority.issue(self.host, expired, early)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        context.num_tickets = 0
        self.tls = context

    def publish_authority(self):
        with open(self.authority.certificate, "rb") as source, open(self.ca_file + ".new", "wb") as file:
            file.write(source.read())
        os.rename(self.ca_file + ".new", self.ca_file)

    def forbid(self, verb, resource="pods"):
        self._forbidden[(verb, resource)] = True

    def allow(self, verb, resource="pods"):
        self._forbidden.pop((verb, resource), None)

    # Faults.

    def fail(self, kind, count=1, **keywords):
        """`count` None: each request until heal()."""
        with self.lock:
            self._faults.append(Fault(kind, count=count, **keywords))

    def heal(self):
        self.shakes_hands = True
        with self.lock:
            self._faults.clear()
        self.release()
        self._released.clear()

    def planned(self):
        """How many requests are still to go wrong; those without a count are one each."""
        with self.lock:
            return sum(fault.count or 1 for fault in self._faults)

    def take_fault(self, verb, resource):
        with self.lock:
            for fault in self._faults:
                if fault.is_for(verb, resource):
                    if fault.count is not None:
                        fault.count -= 1
                        if not fault.count:
                            self._faults.remove(fault)
                    return fault
        return None

    def wait_released(self, seconds):
        self._released.wait(seconds)

    def asked(self, verb=None, resource=None):
        """The requests so far, of one kind or all."""
        with self.lock:
            return [r for r in self.requests if verb in (None, r.verb) and resource in (None, r.resource)]

    def check(self, token, asked):
        if token not in self._tokens:
            raise Refused(401, "Unauthorized")
        if (asked.verb, asked.resource) in self._forbidden:
            where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
            raise Refused(403, f'{asked.resource} is forbidden: User "{USER}" cannot {asked.verb} resource '
                               f'"{asked.resource}" in API group "{asked.group}" {where}', details={"kind": asked.resource})


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner = None

    def __init__(self, *args):
        self._open = set()
        self._guard = threading.Lock()
        super().__init__(*args)

    def get_request(self):
        raw, address = super().get_request()
        connection = self.owner.tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        self.owner.connections += 1
        with self._guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request):
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut(self):
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            break_off(connection)

    def filter(self, program):
        """Of the packets to all sockets: a filter, or none any more."""
        with self._guard:
            sockets = [self.socket, *self._open]
        for one in sockets:
            try:
                if program:
                    socket.socket.setsockopt(one, socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
                else:
                    socket.socket.setsockopt(one, socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            except OSError:
                pass  # it is closed, or has none

    def handle_error(self, request, client_address):
        pass  # a client that goes, or does not like the certificate


def break_off(connection):
    """The client can read what is sent, then the connection ends without TLS's own end."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def setup(self):
        if not self.server.owner.shakes_hands:
            self.server.owner.wait_released(None)
            raise Cut
        self.request.settimeout(60)
        self.request.do_handshake()
        self.request.settimeout(None)
        super().setup()

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate((timestamp or time.time()) + self.server.owner.skew, usegmt=True)

    def do_GET(self):
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = owner.route(self.command, self.path, body)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        answer = Answer(self, owner.take_fault(asked.verb, asked.resource))
        request = Request(time.monotonic(), asked.verb, asked.resource, self.path, asked.query, token,
                          self.headers.get("User-Agent"), answer)
        with owner.lock:
            owner.requests.append(request)
            owner.lock.notify_all()
        try:
            answer.misbehave_before()
            owner.check(token, asked)
            if asked.answer is None:
                raise Refused(404, "the server could not find the requested resource")
            asked.answer(answer)
        except Refused as refused:
            answer.refuse(refused)
        except Done:
            pass
        except (Cut, OSError, ValueError):  # or the client is gone
            self.close_connection = True
            break_off(self.request)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET


class Answer:
    """What answers are made with: a document, or events. `status`: 0 until there is one."""

    def __init__(self, handler, fault):
        self.handler, self.fault = handler, fault
        self.owner = handler.server.owner
        self.status = self.events = 0

    def is_wrong(self, *kinds):
        return self.fault is not None and self.fault.kind in kinds

    def misbehave_before(self):
        """The faults that come before the answer."""
        if self.fault is None:
            return
        if isinstance(self.fault.kind, int):
            raise Refused(self.fault.kind, f"planned {self.fault.kind}", self.fault.retry_after)
        if self.fault.kind == "reset":
            raise Cut
        if self.fault.kind == "hang":
            self.owner.wait_released(None)
            raise Cut
        if self.fault.kind == "delay":
            self.owner.wait_released(self.fault.seconds)
        if self.fault.kind == "quiet":
            self.begin(200)
            self.owner.wait_released(None)
            raise Cut
        if self.fault.kind == "redirect":
            self.head(302, "text/plain", ("Location", self.fault.to), ("Content-Length", "0"))
            raise Done
        if self.fault.kind == "html":
            self.whole(200, b"<!DOCTYPE html><title>Sign in</title>", "text/html")
            raise Done
        if self.fault.kind == "chunk":
            self.begin(200)
            self.handler.wfile.write(b"no length\r\n{}\r\n")
            raise Cut

    def refuse(self, refused):
        if refused.message is None:  # the kubelet's own form
            self.whole(refused.status, REASONS[refused.status].encode(), "text/plain; charset=utf-8")
            return
        text = json.dumps(status_object(refused.status, refused.message, details=refused.details), indent=2)
        self.whole(refused.status, text.encode(), retry_after=refused.retry_after)

    def whole(self, status, data, content_type="application/json", retry_after=None):
        self.head(status, content_type, ("Content-Length", str(len(data))),
                  *([("Retry-After", str(retry_after))] if retry_after is not None else []))
        self.handler.wfile.write(data)

    def document(self, status, obj):
        """A JSON document, in chunks; compressed where the client takes that and it is long, as the real one does."""
        data = json.dumps(obj, separators=(",", ":")).encode() + b"\n"
        if self.is_wrong("garbage"):
            data = random.randbytes(4000)
        elif self.is_wrong("huge"):
            self.huge(status, obj)
            return
        elif self.is_wrong("bomb"):
            self.bomb(status, data)
            return
        elif self.is_wrong("endless"):
            self.endless(data[: len(data) // 2])
        elif self.is_wrong("half", "cut"):
            data = data[: len(data) // 2]
        elif self.is_wrong("squeezed"):
            self.begin(status, ("Content-Encoding", "gzip"))
            data = gzip.compress(data)
            self.chunks(data[: len(data) // 2])
            self.chunk(b"")
            return
        if "gzip" in self.handler.headers.get("Accept-Encoding", "") and len(data) > LONG:
            self.begin(status, ("Content-Encoding", "gzip"))
            data = gzip.compress(data, 4)
        else:
            self.begin(status)
        self.chunks(data)
        if self.is_wrong("cut"):
            raise Cut
        self.chunk(b"")

    def begin_events(self):
        self.begin(200)
        if self.is_wrong("garbage"):
            self.chunks(random.randbytes(4000) + b"\n")
            self.end_events()

    def event(self, kind, obj):
        data = json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
        if self.is_wrong("half", "cut", "endless") and self.events >= self.fault.events:
            if self.is_wrong("endless"):
                self.endless(data[: len(data) // 2])
            self.chunks(data[: len(data) // 2])
            if self.is_wrong("half"):
                self.end_events()
            raise Cut
        if self.is_wrong("error"):
            failed = {"type": "ERROR", "object": status_object(500, "planned error")}
            self.chunks(json.dumps(failed).encode() + b"\n")
            self.end_events()
        if self.is_wrong("large"):
            self.chunk(b'{"type":"MODIFIED","object":{"padding":"')
            for _ in range(self.fault.size // CHUNK):
                self.chunk(b"x" * CHUNK)
            self.chunk(b'"}}\n')
        self.events += 1
        self.chunks(data[:-1] if self.is_wrong("joined") else data)

    def end_events(self):
        self.chunk(b"")
        raise Done

    def endless(self, begin):
        if not self.status:
            self.begin(200)
        self.chunks(begin + b'"padding":"')
        for _ in range(MOST_ENDLESS // CHUNK):
            self.chunk(b"x" * CHUNK)
        raise Cut

    def bomb(self, status, data):
        self.begin(status, ("Content-Encoding", "gzip"))
        at = data.index(b'"items":[') + len(b'"items":[')
        press = zlib.compressobj(9, wbits=31)
        self.chunk(press.compress(data[:at] + b'{"padding":"') + press.flush(zlib.Z_SYNC_FLUSH))
        for _ in range(self.fault.size >> 20):
            self.chunk(press.compress(b"x" * (1 << 20)) + press.flush(zlib.Z_SYNC_FLUSH))
        self.chunk(press.compress(b'"}' + (b"" if data[at] == ord("]") else b",") + data[at:]) + press.flush())
        self.chunk(b"")

    def huge(self, status, obj):
        """Other pods of this node come first."""
        self.begin(status)
        text = json.dumps(obj, separators=(",", ":"))
        at = text.index('"items":[') + len('"items":[')
        self.chunks(text[:at].encode())
        filler, number = kube_objects.filler(self.fault.item_size), self.fault.size // self.fault.item_size
        for i in range(number):
            self.chunks(filler(i) + (b"" if i == number - 1 and text[at] == "]" else b","))
        self.chunks(text[at:].encode() + b"\n")
        self.chunk(b"")

    def gone(self):
        """The client has gone (on this connection it has nothing more to say), or the server is stopped."""
        return self.owner.stopped() or bool(select.select([self.handler.request.fileno()], [], [], 0)[0])

    def begin(self, status, *headers):
        self.head(status, "application/json", ("Transfer-Encoding", "chunked"), *headers)

    def head(self, status, content_type, *headers):
        self.status = status
        self.handler.send_response(status)
        for name, value in (("Content-Type", content_type), *headers):
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def chunk(self, data):
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def chunks(self, data):
        for at in range(0, len(data), CHUNK):
            self.chunk(data[at : at + CHUNK])

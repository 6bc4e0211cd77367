# SPDX-License-Identifier: Apache-2.0
"""What a receiver does wrong, push by push.

    receiver.plan(Fault(429, retry_after=1), None, Fault(reset=True))    # the next three pushes; None: none
    receiver.random_faults(0.3, USUAL_FAULTS, seed=7)                    # each further push with probability 0.3
    receiver.random_faults(0)                                            # no longer
    receiver.faults(lambda headers, body: Fault(400) if ... else None)   # as a function says

What is planned comes first, then chance, then the function. A Fault keeps nothing of the push unless `keep` is set,
and is made of these, in the order in which they happen:

    read=N        reset once N bytes of the body were read (0: before any)
    keep=True     the push is judged and kept, or refused, as it would be without the fault
    reset=True    reset the connection instead of an answer
    hang=True     no answer until release() or stop(), then the connection is cut
    lose=True     cut the connection instead of an answer
    delay=S       so many seconds before the answer (ends early at release() or stop())
    status, text, headers, retry_after
                  the answer; without a status the judge's own where `keep` is set, else 500
    size=N        the answer's body is so long: the text again and again (1 << 30 for a gigabyte)
    endless=True  header lines without end
    garbage=B     these bytes in place of the answer
    slow=S        the answer byte by byte, S seconds apart
    cut=N         the answer ends after N bytes, and the connection with it
"""

import collections
import random

_DEFAULTS = {"status": None, "text": None, "headers": None, "retry_after": None, "keep": False, "read": None,
             "reset": False, "hang": False, "lose": False, "delay": 0, "size": None, "endless": False, "garbage": None,
             "slow": 0, "cut": None}


class Fault(collections.namedtuple("Fault", _DEFAULTS, defaults=_DEFAULTS.values())):
    __slots__ = ()


HTML = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works.</body></html>"
REDIRECT = Fault(302, "", headers={"Location": "http://127.0.0.1:9/login"})
PROXY_PAGE = Fault(200, HTML, headers={"Content-Type": "text/html"})
CHUNKED_GARBAGE = Fault(garbage=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nno chunk\r\n")
NO_HTTP = Fault(garbage=b"\x15\x03\x01\x00\x02\x02\x46 this is no HTTP\r\n\r\n")
HUGE = Fault(200, "all is well. ", size=1 << 30)
SLOW_LORIS = Fault(204, keep=True, slow=1)

# Of one that is overloaded or restarts, none of which takes long.
USUAL_FAULTS = (Fault(429, "ingestion rate limit exceeded for user fake (limit: 1 bytes/sec)"),
                Fault(429, "slow down", retry_after=1), Fault(500, "empty ring"), Fault(502, HTML),
                Fault(503, "no"), Fault(504, "context deadline exceeded", keep=True), Fault(408, ""),
                Fault(reset=True), Fault(read=0), Fault(read=100), Fault(lose=True, keep=True),
                Fault(reset=True, keep=True), Fault(204, keep=True, cut=9), PROXY_PAGE, REDIRECT, CHUNKED_GARBAGE)


class FaultPlan:
    """Not safe for threads: the receiver holds its lock."""

    def __init__(self):
        self._next = collections.deque()
        self._function = None
        self._rate, self._kinds, self._random = 0, (), random.Random(0)

    def add(self, *faults):
        self._next.extend(faults)

    def set_function(self, function):
        self._function = function

    def set_random(self, rate, kinds, seed):
        self._rate, self._kinds, self._random = rate, tuple(kinds), random.Random(seed)

    def planned(self):
        return sum(fault is not None for fault in self._next)

    def early(self):
        """The fault of the push that is just beginning, as far as it is known without its body, or None."""
        if self._next:
            return self._next.popleft()
        if self._rate and self._random.random() < self._rate:
            return self._random.choice(self._kinds)
        return None

    def late(self, headers, body):
        """The function's word on a push that has no fault yet."""
        return self._function(headers, body) if self._function else None

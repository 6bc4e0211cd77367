# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests push to, and read back from: the strict receiver, or the Loki that the
environment's LOKI_URL names.

    with loki_client.target() as loki:
        ... notail --loki {loki.url} ...
        loki.entries({"container": "web"}, since_ns)

Both give the same entries, with two differences that a test must mind: a real Loki shows U+FFFD for
bytes that are no UTF-8 (as_read() makes the same of an expected line), and its misbehaviour cannot be
planned (`receiver` is None).
"""

import collections
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

import loki_labels
from loki_receiver import Receiver, as_shown

Read = collections.namedtuple("Read", "ts line labels metadata")
PAGE = 5000


def target(**keywords):
    """The target of this run. `keywords` are the receiver's, where it is one."""
    url = os.environ.get("LOKI_URL")
    return LokiTarget(url) if url else ReceiverTarget(Receiver(**keywords))


class QueryError(Exception):
    """The query API did not answer as it should."""


class QueryClient:
    """Reads by GET /loki/api/v1/query_range, page by page."""

    def __init__(self, url, tenant=None):
        self.url = url.rstrip("/")
        self.headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        if tenant:
            self.headers["X-Scope-OrgID"] = tenant

    def get(self, path, **params):
        url = f"{self.url}{path}?{urllib.parse.urlencode(params)}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=self.headers), timeout=30) as got:
                return json.load(got)
        except urllib.error.HTTPError as error:
            raise QueryError(f"{path}: {error.code} {error.read(500).decode(errors='replace').strip()}") from None
        except (OSError, ValueError) as error:
            raise QueryError(f"{path}: {error}") from None

    def entries(self, labels, since_ns, until_ns=None, page=PAGE):
        """All entries of the streams with these labels, by time, then as the server lists them."""
        selector = "{" + ", ".join(f"{n}={loki_labels.quote(v)}" for n, v in labels.items()) + "}"
        until_ns = until_ns or time.time_ns() + 3600 * 10**9
        found, known, start = [], set(), since_ns
        while True:
            answer = self.get("/loki/api/v1/query_range", query=selector, start=start, end=until_ns,
                              limit=page, direction="forward")
            got, news = self._read(answer), 0
            for entry in got:
                key = (entry.ts, entry.line, tuple(sorted(entry.labels.items())))
                if key not in known:
                    known.add(key)
                    found.append(entry)
                    news += 1
            if len(got) < page:
                return sorted(found, key=lambda e: e.ts)
            if not news:
                raise QueryError(f"more than {page} entries have one time stamp")
            start = max(e.ts for e in got)

    @staticmethod
    def _read(answer):
        return [Read(int(value[0]), value[1].encode(), stream["stream"],
                     value[2].get("structuredMetadata", {}) if len(value) > 2 else {})
                for stream in answer["data"]["result"] for value in stream["values"]]


class ReceiverTarget:
    exact = True
    poll_seconds = 0.2

    def __init__(self, receiver):
        self.receiver = receiver

    def __enter__(self):
        self.receiver.start()
        return self

    def __exit__(self, *_):
        self.receiver.close()

    @property
    def url(self):
        return self.receiver.url

    @staticmethod
    def as_read(line):
        return line

    def entries(self, labels, since_ns=0):
        wanted = [(name, "=", value) for name, value in labels.items()]
        found = [Read(e.ts, e.line, have, e.metadata) for have, entries in self.receiver.streams().values()
                 if loki_labels.matches(wanted, have) for e in entries if e.ts >= since_ns]
        return sorted(found, key=lambda e: e.ts)


class LokiTarget:
    exact = False
    poll_seconds = 1
    receiver = None

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.client = QueryClient(self.url)

    def __enter__(self):
        self.client.get("/loki/api/v1/labels")
        return self

    def __exit__(self, *_):
        pass

    @staticmethod
    def as_read(line):
        return as_shown(line).encode()

    def entries(self, labels, since_ns):
        return self.client.entries(labels, since_ns)

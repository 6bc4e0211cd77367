# SPDX-License-Identifier: Apache-2.0
"""What Loki 3.6.2 answers to a push, and what it keeps of it.

A push passes three stages, as in Loki, and what a stage refuses decides how much is lost: parsing
(the whole request), the distributor's validation (the offending entries or streams; the rest is
kept despite the 400) and the ingester (whose answer is that of the request's last stream).
"""

import collections
import dataclasses
import datetime
import json
import re
import zlib

import snappy

import loki_labels
import loki_message

NS = 1000000000
SERVICE_NAME_FROM = (
    "service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container",
    "container_name", "k8s_container_name", "component", "workload", "job", "k8s_job_name")

Answer = collections.namedtuple("Answer", "status text")
Entry = collections.namedtuple("Entry", "ts line metadata receipt_ns")
_Pending = collections.namedtuple("_Pending", "pairs stream entries")


@dataclasses.dataclass
class Limits:
    body_bytes: int = 100 << 20
    line_bytes: int = 262144
    max_age_ns: int = 7 * 24 * 3600 * NS
    max_ahead_ns: int = 600 * NS
    max_behind_ns: int = 3600 * NS
    label_names: int = 15
    label_name_bytes: int = 1024
    label_value_bytes: int = 2048
    metadata_pairs: int = 128
    metadata_bytes: int = 65536
    streams: int = 5000
    # Rates are off unless set: a test on a fast machine must not run into them by accident.
    rate_bytes: int = 0
    burst_bytes: int = 6 << 20
    stream_rate_bytes: int = 0
    stream_burst_bytes: int = 15 << 20


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.answer = Answer(status, text)


class Stream:
    """A stored stream. `entries` are in the order of arrival."""

    def __init__(self, pairs):
        self.labels = dict(pairs)
        self.entries = []
        self.newest_ns = None
        self.duplicates = 0
        self._known = set()
        self.bucket = None

    def store(self, ts, line, metadata, receipt_ns):
        if (ts, line) in self._known:
            self.duplicates += 1
            return
        self._known.add((ts, line))
        self.entries.append(Entry(ts, line, metadata, receipt_ns))


class _Bucket:
    def __init__(self, rate, burst, now_ns):
        self.rate, self.burst, self.level, self.at_ns = rate, burst, burst, now_ns

    def take(self, size, now_ns):
        self.level = min(self.burst, self.level + (now_ns - self.at_ns) * self.rate / NS)
        self.at_ns = now_ns
        if size > self.level:
            return False
        self.level -= size
        return True


class Judge:
    """Not safe for threads: the receiver holds its lock."""

    def __init__(self, limits=None):
        self.limits = limits or Limits()
        self.tenants = {}

    def streams(self, tenant="fake"):
        """{stream text: Stream}"""
        return self.tenants.setdefault(tenant, ({}, {}))[0]

    def push(self, headers, body, now_ns, tenant="fake"):
        """`headers`: a mapping with lower-case names. An Answer."""
        try:
            request = parse(headers, body, self.limits)
            pending = self._distribute(request, now_ns)
            failure = pending.pop()
            if pending:
                self._limit_rate(pending, now_ns, tenant)
                failure = self._ingest(pending, now_ns, tenant) or failure
            return failure or Answer(204, "")
        except Refused as refused:
            return refused.answer

    def _distribute(self, request, now_ns):
        """What is valid, and last the answer for what is not (or None)."""
        if not request:
            raise Refused(422, "error at least one valid stream is required for ingestion")
        errors, valid = [], []
        for pairs, entries in request:
            if not entries:
                continue
            pairs = _with_service_name(pairs)
            stream = loki_labels.text(pairs)
            error = self._label_error(pairs, stream)
            if error:
                errors.append(error)
                continue
            kept = []
            for ts, line, metadata in entries:
                error = self._entry_error(stream, ts, line, metadata, now_ns)
                if error:
                    errors.append(error)
                else:
                    kept.append((ts, line, _rewrite(metadata, line, dict(pairs))))
            if kept:
                valid.append(_Pending(pairs, stream, kept))
        return valid + [Answer(400, _grouped(errors)) if errors else None]

    def _label_error(self, pairs, stream):
        limits = self.limits
        names = [name for name, _ in pairs]
        count = len(names) - ("service_name" in names)
        if count > limits.label_names:
            return (f"entry for stream '{stream}' has {count} label names; "
                    f"limit {limits.label_names}")
        last = None
        for name, value in sorted(pairs):
            if len(name.encode("utf-8", "surrogateescape")) > limits.label_name_bytes:
                return f"stream '{stream}' has label name too long: '{name}'"
            if len(value.encode("utf-8", "surrogateescape")) > limits.label_value_bytes:
                return f"stream '{stream}' has label value too long: '{value}'"
            if name == last:
                return f"stream '{stream}' has duplicate label name: '{name}'"
            last = name
        return None

    def _entry_error(self, stream, ts, line, metadata, now_ns):
        limits = self.limits
        oldest = now_ns - limits.max_age_ns
        if ts is None or ts < oldest:
            return (f"entry for stream '{stream}' has timestamp too old: {_rfc3339(ts)}, "
                    f"oldest acceptable timestamp is: {_rfc3339(oldest)}")
        if ts > now_ns + limits.max_ahead_ns:
            return f"entry for stream '{stream}' has timestamp too new: {_rfc3339(ts)}"
        if len(line) > limits.line_bytes:
            return (f"max entry size '{limits.line_bytes}' bytes exceeded for stream '{stream}' "
                    f"while adding an entry with length '{len(line)}' bytes")
        size = sum(len(name) + len(value) for name, value in metadata)
        if size > limits.metadata_bytes:
            return (f"stream '{stream}' has structured metadata too large: '{size}' bytes, limit: "
                    f"'{limits.metadata_bytes}' bytes. Please see `limits_config."
                    "max_structured_metadata_size` or contact your Loki administrator to increase "
                    "it.")
        if len(metadata) > limits.metadata_pairs:
            return (f"stream '{stream}' has too many structured metadata labels: "
                    f"'{len(metadata)}', limit: '{limits.metadata_pairs}'. Please see "
                    "`limits_config.max_structured_metadata_entries_count` or contact your Loki "
                    "administrator to increase it.")
        return None

    def _limit_rate(self, pending, now_ns, tenant):
        limits = self.limits
        if not limits.rate_bytes:
            return
        buckets = self.tenants.setdefault(tenant, ({}, {}))[1]
        bucket = buckets.setdefault(
            "rate", _Bucket(limits.rate_bytes, limits.burst_bytes, now_ns))
        size = sum(_size(p) for p in pending)
        if not bucket.take(size, now_ns):
            lines = sum(len(p.entries) for p in pending)
            raise Refused(429, f"ingestion rate limit exceeded for user {tenant} (limit: "
                               f"{limits.rate_bytes} bytes/sec) while attempting to ingest "
                               f"'{lines}' lines totaling '{size}' bytes, reduce log volume or "
                               "contact your Loki administrator to see if the limit can be "
                               "increased")

    def _ingest(self, pending, now_ns, tenant):
        streams, failure = self.streams(tenant), None
        for item in pending:
            stream = streams.get(item.stream)
            if stream is None:
                if len(streams) >= self.limits.streams:
                    failure = Answer(429, "maximum active stream limit exceeded when trying to "
                                          f"create stream {item.stream}, reduce the number of "
                                          "active streams (reduce labels or reduce label values), "
                                          "or contact your Loki administrator to see if the limit "
                                          f"can be increased, user: '{tenant}'")
                    continue
                stream = streams[item.stream] = Stream(item.pairs)
            failure = self._append(stream, item, now_ns, tenant)
        return failure

    def _append(self, stream, item, now_ns, tenant):
        limits, failed, status = self.limits, [], 400
        if limits.stream_rate_bytes:
            stream.bucket = stream.bucket or _Bucket(limits.stream_rate_bytes,
                                                     limits.stream_burst_bytes, now_ns)
        for ts, line, metadata in item.entries:
            size = len(line)
            if stream.newest_ns is not None and ts < stream.newest_ns - limits.max_behind_ns:
                oldest = stream.newest_ns - limits.max_behind_ns
                failed.append((ts, "entry too far behind, entry timestamp is: "
                                   f"{_rfc3339(ts)}, oldest acceptable timestamp is: "
                                   f"{_rfc3339(oldest)}"))
            elif stream.bucket and not stream.bucket.take(size, now_ns):
                status = 429
                failed.append((ts, "Per stream rate limit exceeded (limit: "
                                   f"{limits.stream_rate_bytes // 1024}KB/sec) while attempting "
                                   f"to ingest for stream '{item.stream}' totaling {size}B, "
                                   "consider splitting a stream via additional labels or contact "
                                   "your Loki administrator to see if the limit can be increased"))
            else:
                stream.store(ts, line, metadata, now_ns)
                stream.newest_ns = ts if stream.newest_ns is None else max(stream.newest_ns, ts)
        if not failed:
            return None
        text = "".join(f"entry with timestamp {_go_time(ts)} ignored, reason: '{why}',\n"
                       for ts, why in failed[:10])
        return Answer(status, f"{text}user '{tenant}', total ignored: {len(failed)} out of "
                              f"{len(item.entries)} for stream: {item.stream}")


def parse(headers, body, limits):
    """The request as [(label pairs, [(ts_ns or None, line, [(name, value)])])], or Refused."""
    if len(body) > limits.body_bytes:
        raise Refused(413, too_large(len(body), limits.body_bytes))
    encoding = headers.get("content-encoding", "")
    if encoding == "gzip":
        body = _inflate(body, 31, "gzip: invalid header")
    elif encoding == "deflate":
        body = _inflate(body, -15, "flate: corrupt input before offset 1")
    elif encoding not in ("", "snappy"):
        raise Refused(400, f'Content-Encoding "{encoding}" not supported')
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if not media_type:
        raise Refused(400, "mime: no media type")
    if media_type == "application/json":
        return _parse_json(body)
    return _parse_protobuf(body, limits)


def uncompress(body, limits):
    """The message in a body of snappy's block format, or Refused."""
    try:
        size = uncompressed_size(body)
        if size > limits.body_bytes:
            raise Refused(413, too_large(size, limits.body_bytes))
        return snappy.uncompress(body)
    except snappy.UncompressError:
        raise Refused(400, "snappy: corrupt input") from None


def uncompressed_size(body):
    """What the head of a snappy block says, or Refused."""
    size = 0
    for at, byte in enumerate(body[:5]):
        size |= (byte & 0x7F) << (7 * at)
        if byte < 0x80 and size < 1 << 32:
            return size
    raise Refused(400, "snappy: corrupt input")


def too_large(size, limit):
    return f"request body too large: received {size} bytes, limit: {limit} bytes"


def _inflate(body, bits, why):
    try:
        engine = zlib.decompressobj(bits)
        out = engine.decompress(body) + engine.flush()
    except zlib.error:
        raise Refused(400, why) from None
    if not engine.eof:
        raise Refused(400, "unexpected EOF")
    return out


def _parse_protobuf(body, limits):
    try:
        message = loki_message.decode(uncompress(body, limits))
    except loki_message.WireError as error:
        raise Refused(400, str(error)) from None
    request = []
    for stream in message.streams:
        entries = [(e.timestamp.seconds * NS + e.timestamp.nanos if e.HasField("timestamp")
                    else None, e.line, [(p.name, p.value) for p in e.structured_metadata])
                   for e in stream.entries]
        request.append((_parse_labels(stream.labels), entries))
    return request


def _parse_labels(raw):
    try:
        return loki_labels.parse(raw)
    except loki_labels.ParseError as error:
        raise Refused(400, f"couldn't parse labels: {error}") from None


def _parse_json(body):
    request = []
    try:
        for stream in json.loads(body)["streams"]:
            entries = [(int(v[0]), v[1].encode(),
                        [(n.encode(), x.encode()) for n, x in (v[2] if len(v) > 2 else {}).items()])
                       for v in stream.get("values", [])]
            request.append(([(n, v) for n, v in stream.get("stream", {}).items() if v], entries))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Refused(400, f"error parsing JSON push: {error}") from None
    return request


def _with_service_name(pairs):
    names = dict(pairs)
    if "service_name" in names:
        return pairs
    found = next((names[n] for n in SERVICE_NAME_FROM if n in names), "unknown_service")
    return pairs + [("service_name", found)]


def _rewrite(metadata, line, labels):
    """Structured metadata as Loki keeps it: names made valid, values valid UTF-8, one level."""
    out = {}
    for raw_name, raw_value in metadata:
        name = re.sub(r"[^a-zA-Z0-9_]", "_", raw_name.decode("utf-8", "replace"))
        if not name:
            raise Refused(500, "structured metadata with an empty name")
        if name[0].isdigit():
            name = "key_" + name
        elif name[0] == "_" and not name.startswith("__"):
            name = "key" + name
        value = raw_value.decode("utf-8", "surrogateescape")
        value = re.sub("[\udc80-\udcff\ufffd]", " ", value)
        if value:
            out[name + "_extracted" if name in labels else name] = value
        else:
            out.pop(name, None)
    if "detected_level" not in out:
        out["detected_level"] = _level(line, labels, out)
    return out


_LEVELS = (("trace", "trace"), ("debug", "debug"), ("info", "info"), ("warning", "warn"),
           ("warn", "warn"), ("error", "error"), ("err", "error"), ("critical", "critical"),
           ("fatal", "fatal"))


def _level(line, labels, metadata):
    known = dict(_LEVELS)
    for source in (labels, metadata):
        if source.get("level"):
            value = source["level"].lower()
            return known.get(value, value)
    head = line[:4096].decode("utf-8", "replace").lower()
    match = re.search(r'(?:^|[\s{,"])(?:level|lvl|severity)"?\s*[=:]\s*"?(\w+)', head)
    if match:
        return known.get(match.group(1), "unknown")
    return next((level for word, level in _LEVELS if word in head), "unknown")


def _size(pending):
    return sum(len(line) + sum(len(n) + len(v) for n, v in metadata.items() if n != "detected_level")
               for _, line, metadata in pending.entries)


def _grouped(errors):
    if len(errors) == 1:
        return errors[0]
    return "; ".join(f"{n} errors like: {text}" for text, n in collections.Counter(errors).items())


def _rfc3339(ts):
    if ts is None:
        return "0001-01-01T00:00:00Z"
    try:
        when = datetime.datetime.fromtimestamp(ts // NS, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{ts // NS}"
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _go_time(ts):
    fraction = f".{ts % NS:09d}".rstrip("0").rstrip(".")
    return _rfc3339(ts)[:-1].replace("T", " ") + fraction + " +0000 UTC"

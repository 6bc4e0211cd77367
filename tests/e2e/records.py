# SPDX-License-Identifier: Apache-2.0
"""Docker's own record of a container's output, decoded without docker.

A record is a dict of two lists of bytes, {"stdout": [...], "stderr": [...]}: the lines in the order
of the record, without their newline, partial messages joined. What follows the last newline of a
stream is a line of its own, as in docker's record (neither driver says whether the newline was there).

`json-file` replaces what is no UTF-8 by U+FFFD; `local` keeps the bytes. Compare random bytes with
`local` only. Nor does `json-file` say where a container's life ended in mid-line: the half line is a
partial message, and the next life's first line seems to go on with it. `local` tells the parts of
each line by an id.
"""

import glob
import json
import os
import re
import struct


class Joiner:
    """Joins the parts of a line, per stream."""

    def __init__(self):
        self.lines = {"stdout": [], "stderr": []}
        self.half = {"stdout": [], "stderr": []}
        self.ids = {"stdout": b"", "stderr": b""}

    def add(self, stream, part, partial, part_id=b""):
        """`part_id`: what the parts of a line have in common; empty where the record does not say."""
        if self.half[stream] and part_id != self.ids[stream]:
            self.end(stream)
        self.ids[stream] = part_id
        self.half[stream].append(part)
        if not partial:
            self.end(stream)

    def end(self, stream):
        self.lines[stream].append(b"".join(self.half[stream]))
        self.half[stream] = []

    def finish(self):
        for stream, half in self.half.items():
            if half:
                self.end(stream)
        return self.lines


def rotated(path):
    """`path` and its rotated forms, oldest first."""

    def number(name):
        match = re.search(r"\.(\d+)$", name)
        return int(match.group(1)) if match else 0

    names = [name for name in glob.glob(path + "*") if re.fullmatch(re.escape(path) + r"(\.\d+)?", name)]
    return sorted(names, key=number, reverse=True)


def read_json_file(path):
    joiner = Joiner()
    for name in rotated(path):
        with open(name, "rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # being written
                message = json.loads(raw)
                text = message["log"].encode("utf-8", "surrogatepass")
                partial = not text.endswith(b"\n")
                joiner.add(message["stream"], text if partial else text[:-1], partial)
    return joiner.finish()


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protobuf message: integers and bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value = data[at : at + size]
            at += size
        else:
            raise ValueError(f"LogEntry: wire type {tag & 7} in field {tag >> 3}")
        yield tag >> 3, value


def decode_entry(data):
    """LogEntry: source = 1, time_nano = 2, line = 3, partial = 4, partial_log_metadata = 5 { last = 1,
    id = 2 }. The last part of a line has `partial` too: only `last` tells (docker logs itself runs such lines
    together)."""
    source, line, partial, last, part_id = "", b"", False, False, b""
    for number, value in fields(data):
        if number == 1:
            source = value.decode()
        elif number == 3:
            line = value
        elif number == 4:
            partial = bool(value)
        elif number == 5:
            part = dict(fields(value))
            last, part_id = part.get(1, 0) == 1, part.get(2, b"")
    return source, line, partial and not last, part_id


def read_local(directory):
    """The `local` driver: 4 bytes of size (big endian), the LogEntry, the size again."""
    joiner = Joiner()
    for name in rotated(os.path.join(directory, "container.log")):
        with open(name, "rb") as file:
            data = file.read()
        at = 0
        while at + 4 <= len(data):
            (size,) = struct.unpack_from(">I", data, at)
            end = at + 4 + size
            if end + 4 > len(data):
                break  # being written
            if struct.unpack_from(">I", data, end)[0] != size:
                raise ValueError(f"{name}: the two sizes of the entry at {at} differ")
            joiner.add(*decode_entry(data[at + 4 : end]))
            at = end + 4
    return joiner.finish()

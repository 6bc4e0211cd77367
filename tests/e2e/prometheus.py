# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format (version 0.0.4), read as strictly as its writer should be held to: each metric once, with
HELP and TYPE before its samples, no series twice, names of counters in _total, histograms that add up."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\Z)')
TYPES = ("counter", "gauge", "histogram")


class Malformed(AssertionError):
    pass


def unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


def parse_labels(text, line):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match or (match.group(3) and match.end() == len(text)) or match.group(1) in labels:
            raise Malformed(f"labels of {line!r}")
        labels[match.group(1)] = unescape(match.group(2))
        at = match.end()
    return labels


def parse_value(text, line):
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text)
    if not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text):
        raise Malformed(f"value of {line!r}")
    return float(text)


def owner(name, family, kind):
    """Whether a sample of this name belongs to the family."""
    if kind == "histogram":
        return name in (family + "_bucket", family + "_sum", family + "_count")
    return name == family


def check_histogram(family, samples):
    series = {}
    for (name, labels), value in samples.items():
        rest = frozenset(pair for pair in labels if pair[0] != "le")
        series.setdefault(rest, {}).setdefault(name, []).append((dict(labels).get("le"), value))
    for rest, parts in series.items():
        buckets = sorted((float(le), value) for le, value in parts.get(family + "_bucket", []))
        counts = [value for _, value in buckets]
        if not buckets or buckets[-1][0] != math.inf or counts != sorted(counts):
            raise Malformed(f"buckets of {family} {rest}")
        if parts[family + "_count"][0][1] != counts[-1] or len(parts[family + "_sum"]) != 1:
            raise Malformed(f"count or sum of {family} {rest}")


def parse(data):
    """{(name, frozenset of label pairs): value} of an answer's bytes."""
    text = data.decode("utf-8")
    if not text.endswith("\n"):
        raise Malformed("no newline at the end")
    families, series, family, kind, helped = {}, {}, None, None, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line)
            if not match or match.group(1) in families:
                raise Malformed(line)
            helped = match.group(1)
        elif line.startswith("# TYPE "):
            match = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line)
            if not match or match.group(1) != helped or match.group(2) not in TYPES:
                raise Malformed(line)
            family, kind = match.group(1), match.group(2)
            families[family] = {}
            if (kind == "counter") != family.endswith("_total"):
                raise Malformed(f"{family} is a {kind}")
        else:
            match = SAMPLE.match(line)
            if not match or not family or helped != family or not owner(match.group(1), family, kind):
                raise Malformed(line)
            labels = parse_labels(match.group(2) or "", line)
            key = (match.group(1), frozenset(labels.items()))
            if key in series:
                raise Malformed(f"twice: {line}")
            series[key] = families[family][key] = parse_value(match.group(3), line)
            if kind == "counter" and not series[key] >= 0:
                raise Malformed(line)
    for name, samples in families.items():
        if not samples:
            raise Malformed(f"{name} has no samples")
        if any(n == name + "_bucket" for n, _ in samples):
            check_histogram(name, samples)
    return series


def value(series, name, **labels):
    return series[(name, frozenset(labels.items()))]

# SPDX-License-Identifier: Apache-2.0
"""Pipelines as Promtail has them, of which pipelines/same.txt and differs.txt say what comes of each line."""

import base64
import datetime
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import harness

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipelines")
DEADLINE = 60
LONG = 200
HEAD = "scrape_configs:\n- job_name: test\n  docker_sd_configs: [{host: 'unix:///var/run/docker.sock'}]\n"


def unescape(text):
    def one(found):
        if found[1]:
            return found[2] * int(found[1])
        return bytes([int(found[3], 16)]) if found[3] else b"\\"

    return re.sub(rb"\\(?:\*(\d+)\((.*?)\)|x([0-9a-f]{2})|\\)", one, text)


class Case:
    """One of a file: its name and its sections, each a list of lines."""

    def __init__(self, text):
        self.name, _, rest = text.partition("\n")
        self.sections = {}
        for section in ("\n" + rest.rstrip("\n")).split("\n-- ")[1:]:
            title, *lines = section.split("\n")
            self.sections[title] = lines
        self.lines = [line.encode() for line in self.sections.get("lines", [])]
        self.lines += [unescape(line.encode()) for line in self.sections.get("bytes", [])]
        given = self.sections.get("set", [] if "relabel" in self.sections else ["container=web"])
        self.set = dict(pair.split("=", 1) for pair in given)
        # What there would be without stages, but for what rules make.
        self.labels = {} if "relabel" in self.sections else self.set

    def config(self):
        text = HEAD
        for key, title in ("relabel_configs", "relabel"), ("pipeline_stages", "stages"):
            if title in self.sections:
                text += f"  {key}:\n" + "".join(f"  {line}\n" for line in self.sections[title])
        return text

    def expected(self, title):
        return [json.loads(line) for line in self.sections[title]]


def short(text):
    return text if len(text) <= LONG else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def described(case, line, labels, metadata, tenant, ts):
    """An entry as the files write it: `in` is the number of the line that it is, labels are what changed."""
    entry = {}
    if line in case.lines:
        entry["in"] = case.lines.index(line) + 1
    else:
        try:
            entry["line"] = short(line.decode())
        except UnicodeDecodeError:
            entry["line_base64"] = base64.b64encode(line).decode()
    changed = {name: short(value) for name, value in sorted(labels.items()) if case.labels.get(name) != value}
    changed |= {name: None for name in sorted(case.labels) if name not in labels and case.labels[name]}
    for key, value in ("labels", changed), ("metadata", {k: short(v) for k, v in sorted(metadata.items())}):
        if value:
            entry[key] = value
    if tenant:
        entry["tenant"] = tenant
    if ts:
        entry["ts"] = ts
    return entry


def unix(ts):
    whole, _, fraction = ts.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return moment + float("0." + (fraction or "0"))


class Outcome:
    """What notail makes of a case."""

    def __init__(self, case):
        with tempfile.TemporaryDirectory(prefix="notail-promtail-") as directory:
            config, metrics = os.path.join(directory, "config"), os.path.join(directory, "metrics")
            with open(config, "w", encoding="utf-8") as file:
                file.write(case.config())
            command = [harness.NOTAIL, "test-pipeline", "-c", config, f"--metrics-file={metrics}"]
            for name, value in case.set.items():
                command += ["--set", f"{name}={value}"]
            self.begin = time.time()
            done = subprocess.run(command, input=b"".join(line + b"\n" for line in case.lines),
                                  capture_output=True, timeout=DEADLINE, check=False)
            self.end = time.time()
            self.status = done.returncode
            self.errors = [line.removeprefix(config + ":") for line in done.stderr.decode().split("\n") if line]
            self.metrics = []
            if os.path.exists(metrics):
                with open(metrics, encoding="utf-8") as file:
                    self.metrics = sorted(line.rstrip() for line in file)
        self.entries = [self.entry(case, json.loads(line)) for line in done.stdout.decode().split("\n")[:-1]]

    def entry(self, case, got):
        line = base64.b64decode(got["line_base64"]) if "line_base64" in got else got["line"].encode()
        set_by_stages = not self.begin - 1 < unix(got["ts"]) < self.end + 1
        return described(case, line, got["labels"], got["metadata"], got.get("tenant"), set_by_stages and got["ts"])


def cases(file):
    with open(os.path.join(HERE, file), encoding="utf-8") as f:
        return [Case(text) for text in re.split(r"(?m)^== ", f.read())[1:]]


class Promtail(unittest.TestCase):
    maxDiff = None

    def check(self, case):
        outcome = Outcome(case)
        if "error" in case.sections:
            self.assertEqual((outcome.status, outcome.errors), (1, case.sections["error"]))
        else:
            errors = [line for line in outcome.errors if ": warning: " not in line]
            self.assertEqual((outcome.status, errors), (0, []))
            self.assertEqual(outcome.entries, case.expected("out"))
            self.assertEqual(outcome.metrics, case.sections.get("metrics", []))

    def test_same(self):
        same = cases("same.txt")
        self.assertGreater(len(same), 100)
        for case in same:
            with self.subTest(case.name):
                self.check(case)

    def test_differs(self):
        for case in cases("differs.txt"):
            with self.subTest(case.name):
                self.check(case)
                self.assertNotEqual(case.sections.get("out"), case.sections["promtail"])

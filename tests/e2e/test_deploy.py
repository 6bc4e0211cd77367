# SPDX-License-Identifier: Apache-2.0
"""What deploy/ holds is what the programs that read it accept."""

import json
import os
import platform
import re
import shutil
import subprocess

import harness

DEPLOY = os.path.join(harness.TOP, "deploy")


class Deploy(harness.TestCase):
    def check(self, *command, lines="", **env):
        done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60,
                              env={**os.environ, **env})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout + done.stderr

    def test_compose(self):
        said = self.check("docker-compose", "-f", os.path.join(DEPLOY, "compose", "docker-compose.yml"), "config")
        for service in ("notail", "loki", "grafana"):
            self.assertIn(f"\n  {service}:\n", said)
        self.assertNotRegex(said, r"- (0\.0\.0\.0:)?\d+:\d+(/tcp)?\n")

    def test_compose_configuration(self):
        """Nothing of it is without effect."""
        said = self.check(harness.NOTAIL, "check-config", os.path.join(DEPLOY, "compose", "notail.yaml"))
        self.assertNotIn("warning", said)

    def test_compose_stages(self):
        blocks = ["C", "Ca", "Cau", "Calm\n\n  after", "Caught", "Case\nCaused by: x\n\tat y", "last\n}\n])"]
        levels = {"10": "trace", "60": "fatal", '"warn"': "warn", '"INFO"': "INFO", "null": None, '""': None}
        objects = [f'{{"level":{level},"req":{{"id":7}}}}' for level in levels]
        said = self.check(harness.NOTAIL, "test-pipeline", "-c", os.path.join(DEPLOY, "compose", "notail.yaml"),
                          lines="\n".join([*blocks, *objects, "{}", '{\n  "level": 50\n}', "GET /health"]))
        entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        self.assertEqual([e["line"] for e in entries], [*blocks, *objects, "{}", '{\n  "level": 50\n}'])
        found = [(e["metadata"].get("level"), e["metadata"].get("request_id")) for e in entries]
        expected = [(None, None)] * len(blocks) + [(level, "7") for level in levels.values()]
        self.assertEqual(found, [*expected, (None, None), ("error", None)])

    def test_image_is_pinned(self):
        """A version of Debian's, and notail's own on the label."""
        with open(os.path.join(DEPLOY, "docker", "Dockerfile"), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(harness.TOP, "VERSION"), encoding="ascii") as file:
            version = file.read().strip()
        base = re.search(r"^ARG BASE=(\S+)$", text, re.M).group(1)
        self.assertRegex(base, r"^debian:\d+\.\d+-slim$")
        self.assertIn(f'base.name="docker.io/library/{base}"', text)
        self.assertEqual(re.findall(r"^FROM (\S+)", text, re.M), ["${BASE}", "${BASE}"])
        self.assertIn(f"ARG VERSION={version}\n", text)
        self.assertNotRegex(text, r"(?m)^(CMD|ENTRYPOINT) (?!\[)")  # those are a shell's

    def owner(self, library):
        """The package that a library of this system belongs to, as ldd names the file."""
        paths = [library, library.removeprefix("/usr"), "/usr" + library]
        done = subprocess.run(["dpkg", "-S", *paths], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertTrue(done.stdout, done.stderr)
        return done.stdout.split(":")[0]

    def test_packages_of_the_image(self):
        """The libraries that notail is linked with, and what it reads: no more and no less."""
        with open(os.path.join(DEPLOY, "docker", "Dockerfile"), encoding="utf-8") as file:
            text = file.read().replace("\\\n", " ")
        stage = text.rpartition("\nFROM ")[2]
        release = re.search(r"^ARG BASE=debian:(\d+)", text, re.M).group(1)
        if platform.freedesktop_os_release().get("VERSION_ID") != release or not shutil.which("readelf"):
            self.skipTest(f"packages are called as in the image on Debian {release} alone; readelf is needed")
        listed = re.search(r"apt-get install (.*?) &&", stage).group(1).split()
        listed = [word for word in listed if not word.startswith("-")]
        linked = dict(re.findall(r"(\S+) => (/\S+)", self.check("ldd", harness.NOTAIL)))
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", self.check("readelf", "-d", harness.NOTAIL, LC_ALL="C"))
        if any(name.startswith(("libasan", "libubsan")) for name in needed):
            self.skipTest("a notail with sanitizers has their libraries besides")
        packages = {self.owner(linked[name]) for name in needed} - {"libc6"}
        self.assertEqual(sorted(listed), sorted(packages | {"ca-certificates", "tzdata"}))

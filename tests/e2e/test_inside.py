# SPDX-License-Identifier: Apache-2.0
"""notail in a container, which must not capture itself."""

import re
import subprocess
import time

import engine as engine_module
import harness

OPTIONS = (
    "--pid", "host", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
    "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-add", "DAC_READ_SEARCH",
)
SECONDS = 10


def libraries(binary):
    """The files that a binary is loaded with, its loader included."""
    out = subprocess.run(["ldd", binary], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", out)))


def notail_tar():
    """The root file system of an image: notail with its shared libraries, and busybox to look around."""
    paths = [harness.NOTAIL, *libraries(harness.NOTAIL)]
    tar = engine_module.busybox_tar()
    return engine_module.append_files(tar, {("bin/notail" if path == harness.NOTAIL else path.lstrip("/")): path for path in paths})


class Inside(harness.TestCase):
    def start_inside(self, *args, cgroups="host"):
        self.engine.import_image("notail", notail_tar())
        name = self.name("notail")
        self.engine.start("notail", "/bin/notail", "--stdout=json", *args, name=name,
                          options=[*OPTIONS, "--cgroupns", cgroups,
                                   "-v", f"{self.engine.socket}:/var/run/docker.sock"])

        def ready():
            self.assertTrue(self.engine.inspect(name)["State"]["Running"], self.engine.record(name))
            return any(line.endswith(b"ready") for line in self.engine.record(name)["stderr"])

        harness.wait_for(ready, interval=0.3, what=lambda: f"{self.engine.record(name)}")
        return name

    def printed(self, name):
        return [harness.parse_entry(line) for line in self.engine.record(name)["stdout"]]

    def test_captures_others_and_not_itself(self):
        """Its name matches its own selection. What it prints once must not come back as a line of its own."""
        name = self.start_inside("--container", f"e2e-{harness.RUN_ID}-*")
        talker = self.name("talker")
        self.engine.start("busybox", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done", name=talker)
        # Each line that it prints is one that it might capture.
        harness.wait_for(lambda: len(self.printed(name)) >= 20, interval=0.5, what="lines of another container")
        entries = self.printed(name)
        self.assertEqual({e.labels["container"] for e in entries}, {talker})
        self.assert_lines([e.line for e in entries], [b"%d" % i for i in range(len(entries))])
        self.engine.docker("stop", "-t", "30", name)
        self.assertEqual(self.engine.inspect(name)["State"]["ExitCode"], 0, self.engine.record(name)["stderr"])

    def test_cgroup_namespace_of_its_own(self):
        """What cgroup v2 gives a container that asks for nothing: what ran before is found all the same."""
        talker = self.name("talker")
        self.engine.start("busybox", "sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done", name=talker)
        name = self.start_inside("--container", f"e2e-{harness.RUN_ID}-*", cgroups="private")
        harness.wait_for(lambda: len(self.printed(name)) >= 5, interval=0.5, what="lines of another container")
        self.assertEqual({e.labels["container"] for e in self.printed(name)}, {talker})
        said = b"\n".join(self.engine.record(name)["stderr"])
        self.assertNotIn(b"namespace", said)

    def test_silent_host(self):
        """Nobody writes: it prints nothing, and does not grow."""
        silent = self.name("silent")
        self.engine.start("busybox", "sleep", "100000", name=silent)
        name = self.start_inside("--container", f"e2e-{harness.RUN_ID}-*")
        pid = self.engine.inspect(name)["State"]["Pid"]
        before = self.engine.record(name)
        memory = self.memory_kib(pid)
        time.sleep(SECONDS)
        self.assertEqual(self.engine.record(name), before)
        self.assertEqual(before["stdout"], [])
        self.assertLess(self.memory_kib(pid) - memory, 4096)

    def test_all_containers(self):
        """Without a selection: whatever else runs on this machine, no line is its own."""
        name = self.start_inside()
        # Each line that it prints is one that it might capture: before those of the next container.
        for talker in (self.name("talker"), self.name("second"), self.name("third")):
            self.engine.run("busybox", "echo", "hi", name=talker)
            harness.wait_for(lambda: [e for e in self.printed(name) if e.labels["container"] == talker], interval=0.5,
                             what="the line of another container")
        own = (name, self.engine.inspect(name)["Id"][:12])
        self.assertEqual([e for e in self.printed(name) if e.labels["container"] in own], [])

    @staticmethod
    def memory_kib(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1))

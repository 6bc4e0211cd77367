# SPDX-License-Identifier: Apache-2.0
"""What a node of a cluster costs `notail run`: 110 pods of 3 containers that write a line a second each, described by an
API server over TLS, of which 30 change a second. Printed, never judged.

The containers are processes in cgroups as the kubelet makes them, with OCI bundles, whose pipes are read here. CPU is that
of all of notail's threads, in per cent of a core: at rest (the lines alone), and what changes add to that: of a status in
what labels do not tell (restarts, transition times), of whether the pod is ready, and of a label. Memory is in MB.
"""

import argparse
import collections
import copy
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "../e2e"), os.path.join(HERE, "../receiver")]

import snappy  # noqa: E402

import harness  # noqa: E402
import kube_objects  # noqa: E402
import kube_server  # noqa: E402
import measure  # noqa: E402
from bench import DEADLINE, Sink, number, table  # noqa: E402
from kube_api import KubeApi  # noqa: E402
import loki_message  # noqa: E402
from loki_labels import parse  # noqa: E402
from loki_receiver import read_store  # noqa: E402

PINS = "/sys/fs/bpf"
CONTAINERS = 3
KINDS = ("status", "ready", "label")
kube_server.CHUNK = 1 << 20  # a real server writes each change at once

Phase = collections.namedtuple("Phase", "what changes percent threads others")


def unified():
    """Where the cgroups of version 2 are."""
    return "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"


def make_pod(namespace, n, size):
    """One of about `size` bytes, half of it managedFields, as grown ones are."""
    containers, fields = [], {}
    for c in range(CONTAINERS):
        env = [{"name": f"SETTING_NUMBER_{i}", "value": f"the value of setting {i}"} for i in range(size // 460)]
        containers.append(kube_objects.container(container_name(c), "writer", image="registry.example/shop/web:1.2.3", env=env, ports=[
            {"name": "http", "containerPort": 8080 + c, "protocol": "TCP"}]))
        fields[f'k:{{"name":"{container_name(c)}"}}'] = {".": {}, "f:image": {}, "f:env": {
            f'k:{{"name":"{e["name"]}"}}': {".": {}, "f:name": {}, "f:value": {}} for e in env}}
    pod = kube_objects.pod(namespace, f"web-6d45d4ccfb-{n:05}", containers, controller=("ReplicaSet", "web-6d45d4ccfb"),
                           labels={"app": "web", "pod-template-hash": "6d45d4ccfb", "tier": "front"},
                           annotations={"prometheus.io/scrape": "true"})
    pod["metadata"]["managedFields"] = [*pod["metadata"]["managedFields"], {
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:containers": fields}}}]
    pod["status"].update(phase="Running", containerStatuses=[
        {"name": container_name(c), "containerID": f"containerd://{container_id(n, c)}", "restartCount": 0, "ready": True,
         "state": {"running": {"startedAt": kube_objects.now()}}} for c in range(CONTAINERS)])
    return pod


def container_name(c):
    """Of no other container of this machine."""
    return f"bench-{harness.RUN_ID}-{c}"


def container_id(n, c):
    return f"{int(harness.RUN_ID, 16):06x}{n * CONTAINERS + c:058x}"


def change(pod, kind, number):
    """What is another in it, in place."""
    status = pod["status"]
    if kind == "label":
        pod["metadata"]["labels"]["tier"] = f"tier-{number}"
    elif kind == "status":
        status["containerStatuses"][0]["restartCount"] = number
    for condition in status["conditions"]:
        if condition["type"] == "Ready":
            condition["lastTransitionTime"] = kube_objects.now()
            if kind == "ready":
                condition["status"] = "False" if condition["status"] == "True" else "True"


class Node:
    """The containers: cgroups, bundles, processes, and who reads their pipes."""

    def __init__(self, directory, pods):
        self.bundles = os.path.join(directory, "bundles")
        self.pods = pods
        self.processes, self.cgroups = [], []
        self.poll = select.epoll()
        self.pipes = {}
        self.over = False
        self.reader = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.reader.start()
        return self

    def start(self):
        for n, pod in enumerate(self.pods):
            for c in range(CONTAINERS):
                self.start_container(n, c, pod["metadata"])

    def start_container(self, n, c, meta):
        cid = container_id(n, c)
        below = f"/kubepods/burstable/pod{meta['uid']}/{cid}"
        os.makedirs(os.path.join(self.bundles, cid))
        with open(os.path.join(self.bundles, cid, "config.json"), "w", encoding="ascii") as file:
            json.dump({"ociVersion": "1.0.2", "linux": {"cgroupsPath": below}, "annotations": {
                "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": container_name(c),
                "io.kubernetes.cri.image-name": "registry.example/shop/web:1.2.3",
                "io.kubernetes.cri.sandbox-id": container_id(n, CONTAINERS * 10000),
                "io.kubernetes.cri.sandbox-name": meta["name"], "io.kubernetes.cri.sandbox-namespace": meta["namespace"],
                "io.kubernetes.cri.sandbox-uid": meta["uid"]}}, file)
        cgroup = unified() + below
        os.makedirs(cgroup)
        self.cgroups.append(cgroup)
        script = f'echo $$ >{cgroup}/cgroup.procs && exec unshare --mount "$@"'
        process = subprocess.Popen(
            ["sh", "-c", script, "sh", harness.program("writer"), "--rate", "1", "--size", "100", "--lines", "1000000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(process)
        for file in (process.stdout, process.stderr):
            self.pipes[file.fileno()] = file
            self.poll.register(file, select.EPOLLIN)

    def read(self):
        while not self.over:
            for descriptor, _ in self.poll.poll(0.2):
                if not os.read(descriptor, 65536):
                    self.poll.unregister(descriptor)

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        self.over = True
        self.reader.join()
        for path in self.cgroups:
            remove_cgroup(path)
        for path in {os.path.dirname(path) for path in self.cgroups}:
            remove_cgroup(path)
        for below in ("/kubepods/burstable", "/kubepods"):
            try:
                os.rmdir(unified() + below)
            except OSError:
                pass  # others' pods are in it, or it never was


def remove_cgroup(path):
    """A process that was killed is in it for a moment more."""
    def gone():
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True

    harness.wait_for(gone, what=path)


def threads_ns(pid):
    """{name: CPU time} of a process' threads."""
    found = collections.Counter()
    for task in os.listdir(f"/proc/{pid}/task"):
        words = measure.read(f"/proc/{pid}/task/{task}/schedstat").split()
        if words:
            found[measure.read(f"/proc/{pid}/task/{task}/comm").strip()] += int(words[0])
    return found


def memory(pid):
    """RSS, what of it is not the ring, its anonymous part, the peak of what is not the ring; in bytes."""
    rss, ring = measure.memory(pid)
    words = dict(re.findall(r"^(\w+):\s+(\d+) kB", measure.read(f"/proc/{pid}/status"), re.M))
    return rss, rss - ring, int(words["RssAnon"]) * 1024, int(words["VmHWM"]) * 1024 - ring


def named(path):
    """How many containers have lines with the labels that only the API server knew."""
    found = set()
    try:
        for _, _, body in read_store(path):
            # One without a body asks whether it is Loki.
            for stream in loki_message.PushRequest.FromString(snappy.uncompress(body)).streams if body else ():
                labels = dict(parse(stream.labels))
                if labels.get("app") == "web":
                    found.add((labels["pod"], labels["container"]))
    except (ValueError, snappy.UncompressError):
        pass  # the last is being written
    return len(found)


class Bench:
    def __init__(self, args, directory):
        self.args = args
        self.directory = directory
        self.namespace = f"bench-{harness.RUN_ID}"
        self.pods = [make_pod(self.namespace, n, args.pod_bytes) for n in range(args.pods)]
        self.bytes = len(json.dumps(self.pods[0], separators=(",", ":")))
        self.api = KubeApi(directory)
        for pod in self.pods:
            self.api.put(pod)

    def config(self, port, node):
        path = os.path.join(self.directory, "notail.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({
                "preset": "kubernetes", "clients": [{"url": f"http://127.0.0.1:{port}"}],
                "capture": {"containers": [container_name("*")]},
                "discovery": {
                    "docker": {"enabled": False}, "bundles": [node.bundles],
                    "kubernetes": {"source": "api", "node_name": "node-1", "api_server": self.api.url,
                                   "token_file": self.api.token_file, "tls_config": {"ca_file": self.api.ca_file},
                                   "namespaces": {"include": [self.namespace]}}},
                "spool": {"directory": os.path.join(self.directory, "spool")},
                "server": {"listen": "127.0.0.1:0"}}, file)
        return path

    def wait_named(self, sink):
        """Lines of all containers came."""
        count = self.args.pods * CONTAINERS
        harness.wait_for(lambda: named(sink.data) >= count, DEADLINE, lambda: f"{named(sink.data)} of {count} containers", 1)

    def phase(self, notail, what):
        """What it took, in per cent of a core; `what` None: nothing changes."""
        before, begin, busy = threads_ns(notail.pid), time.monotonic(), measure.machine_busy_ns()
        made = 0
        while time.monotonic() < begin + self.args.seconds:
            if what:
                pod = self.pods[made % len(self.pods)]
                change(pod, what, made)
                self.api.put(pod)
                made += 1
            due = begin + made / self.args.rate if what else begin + self.args.seconds
            time.sleep(max(0, due - time.monotonic()))
        seconds = time.monotonic() - begin
        spent = threads_ns(notail.pid) - before
        percent = lambda ns: ns / seconds / 1e7
        others = (measure.machine_busy_ns() - busy - sum(spent.values())) / seconds / 1e7 / (os.cpu_count() or 1)
        return Phase(what or "at rest", made, percent(sum(spent.values())),
                     {name: percent(ns) for name, ns in spent.items()}, others)

    def relist(self, notail):
        """CPU in ms of a list that is asked for again."""
        asked = len(self.api.asked("watch", "pods"))
        before, begin = measure.cpu_ns(notail.pid), time.monotonic()
        self.api.expire()
        harness.wait_for(lambda: len(self.api.asked("watch", "pods")) > asked, what="another watch")
        time.sleep(1)
        return (measure.cpu_ns(notail.pid) - before) / 1e6, time.monotonic() - begin

    def run(self):
        pins = f"{PINS}/notail-bench-{harness.RUN_ID}"
        rows = []
        self.api.start()
        with Node(self.directory, self.pods) as node, Sink("loki", self.directory) as sink:
            notail = harness.Notail("run", "--pins", pins, "--stats", "-c", self.config(sink.port, node))
            try:
                memories = [["started", *memory(notail.pid)]]
                node.start()
                self.wait_named(sink)
                time.sleep(2)
                memories.append(["all named", *memory(notail.pid)])
                phases = []
                for what in (None, *self.args.kinds, None):
                    print(f"  running: {what or 'at rest'}", file=sys.stderr, flush=True)
                    phases.append(self.phase(notail, what))
                    memories.append([phases[-1].what, *memory(notail.pid)])
                list_ms, list_s = self.relist(notail)
                memories.append(["listed again", *memory(notail.pid)])
            finally:
                if notail.process.poll() is None:
                    notail.stop(DEADLINE)
                notail.kill()
                harness.Notail("unpin", "--pins", pins, wait=False).wait()
        self.api.stop()
        self.report(phases, memories, list_ms, list_s)

    def report(self, phases, memories, list_ms, list_s):
        rest = (phases[0].percent + phases[-1].percent) / 2
        names = sorted({name for phase in phases for name in phase.threads})
        rows = [[p.what, "", p.changes, number(p.percent, 2), number(p.percent - rest, 2) if p.changes else "-",
                 number((p.percent - rest) * 1e4 / self.args.rate, 0) if p.changes else "-",
                 *(number(p.threads.get(name, 0), 2) for name in names), number(p.others)] for p in phases]
        table(f"{self.args.pods} pods of {CONTAINERS} containers and {self.bytes} bytes, {self.args.rate} changes/s: CPU in "
              "per cent of a core", ["change", "", "changes", "notail", "beside rest", "us each", *names, "others %"], rows)
        print(f"\na list of {self.args.pods * self.bytes / 1e6:.1f} MB asked for again: "
              f"{list_ms - rest * list_s * 10:.0f} ms of CPU, TLS and gzip with it")
        table("memory in MB", ["after", "", "", "RSS", "beside ring", "anonymous", "peak beside ring"],
              [[what, "", "", *(number(value / 1e6) for value in values)] for what, *values in memories])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=110)
    parser.add_argument("--pod-bytes", type=int, default=46000)
    parser.add_argument("--rate", type=int, default=30, help="changes a second")
    parser.add_argument("--seconds", type=int, default=20, help="of each part")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=KINDS, metavar=",".join(KINDS))
    args = parser.parse_args()
    why = harness.why_not_root()
    if not why and not harness.program("writer"):
        why = "the writer is not built: make test-programs"
    if why:
        print(f"bench: cannot run: {why}", file=sys.stderr)
        return 1
    for signo in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signo, lambda number, _: sys.exit(128 + number))  # so that all is put back
    directory = tempfile.mkdtemp(prefix="notail-bench-")
    try:
        Bench(args, directory).run()
    finally:
        harness.shared.close()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

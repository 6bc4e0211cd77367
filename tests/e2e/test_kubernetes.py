# SPDX-License-Identifier: Apache-2.0
"""Pods of a real CRI engine: their lines with exact labels, as the log files of the node have them, with the bundle only,
with the kubelet's list and with the API's watch; and what goes wrong in a cluster."""

import contextlib
import html
import itertools
import os
import re
import time

import harness
import kube_case
import kube_objects
import prometheus
from kube_objects import container

# A long line is two of the log file, the first with a P.
SAYS = "echo $0 out; echo $0 err >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; echo; printf ' \\001\\033[1m\\n'"
STAYS = SAYS + "; exec sleep 10000"


class Kubernetes(kube_case.KubeCase):
    def says(self, word, script=STAYS, **more):
        return container(word, "sh", "-c", script, word, **more)

    def workload(self):
        """Pods of every kind, in two namespaces, run one after the other; what runs of them."""
        web = kube_objects.pod(
            self.shop, "web-6d45d4ccfb-9w4l7", [self.says("web"), self.says("second")],
            init=[self.says("prepare", SAYS), self.says("proxy", restartPolicy="Always")],
            labels={"app": "web", "app.kubernetes.io/name": "web-name", "app.kubernetes.io/component": "front",
                    "pod-template-hash": "6d45d4ccfb"}, controller=("ReplicaSet", "web-6d45d4ccfb"))
        static = kube_objects.static_pod(self.ops, "static-node-1", [self.says("s")], labels={"component": "static-demo"})
        shared = kube_objects.pod(self.shop, "sharepid", [self.says("a"), self.says("b")], labels={"app": "sharepid"},
                                  spec={"shareProcessNamespace": True})
        running = [self.node.run(pod) for pod in (web, static, shared)]
        running[0].attach(self.says("debug", SAYS, targetContainerName="web"))
        running[0].wait("debug")
        running[2].restart("b")
        return [*running, self.job()]

    def job(self):
        """It lives for 50 ms, and is removed at once."""
        pod = kube_objects.pod(
            self.ops, "blink-gzctx", [container("blink", "sh", "-c", "echo first; usleep 50000; echo last >&2")],
            labels={"batch.kubernetes.io/job-name": "blink", "job-name": "blink"}, controller=("Job", "blink"),
            spec={"restartPolicy": "Never"})
        running = self.node.run(pod)
        running.wait("blink")
        running.delete()
        self.api.delete(pod)
        return running

    def expected(self, running, name, stream, source):
        """What made the pod, where no label says what it is; from its name alone not more than that says."""
        apps = {"web-6d45d4ccfb-9w4l7": "web", "blink-gzctx": "blink", "static-node-1": "static"}
        app = apps.get(running.pod["metadata"]["name"])
        return kube_case.expected_labels(running.pod, name, stream, app, whole=source != "none")

    def check(self, source):
        notail = self.start(source)
        workload = self.workload()
        for running in workload:
            self.assert_as_logged(running, 2 if "blink" in running.ids else 5)
            for name in running.ids:
                for entry in self.entries(running, name):
                    self.assertEqual(entry.labels, self.expected(running, name, entry.labels["stream"], source))
        self.assertEqual(self.captured(workload[-1].id("blink")), {"stdout": [b"first"], "stderr": [b"last"]})
        sandboxes = {running.sandbox for running in workload}
        self.assertEqual([e for e in self.target.entries({}) if e.metadata.get("container_id") in sandboxes], [])
        pods = {cid: running.pod["metadata"] for running in workload for ids in running.ids.values() for cid in ids}
        counted = [dict(labels) for name, labels in self.metrics(notail) if name == "notail_container_lines_total"]
        counted = [labels for labels in counted if labels["container_id"] in pods]
        self.assertTrue(counted)
        for labels in counted:
            meta = pods[labels["container_id"]]
            self.assertEqual((labels["namespace"], labels["pod"]), (meta["namespace"], meta["name"]))
        self.assertEqual(notail.stop(), 0)
        return workload

    def test_labels_of_the_bundle(self):
        self.check("none")
        self.assertEqual((self.api.requests, self.cluster.kubelet.requests), ([], []))

    def test_labels_of_the_kubelet(self):
        self.check("kubelet")
        self.assertEqual(self.api.requests, [])

    def test_labels_of_the_api(self):
        self.check("api")
        lists = self.lists(self.api)
        self.assertEqual([(r.resource, r.query["fieldSelector"], r.query["resourceVersion"]) for r in lists],
                         [("pods", "spec.nodeName=node-1", "0")])
        watch = self.api.asked("watch")[0]
        self.assertEqual(watch.query["fieldSelector"], "spec.nodeName=node-1")
        self.assertIn(watch.query["allowWatchBookmarks"], ("1", "true"))


class Wishes(kube_case.KubeCase):
    """What pods ask for."""

    def run_asking(self, word, script, namespace=None, **annotations):
        return self.run_pod(namespace or self.shop, word, "sh", "-c", script + "; exec sleep 10000", annotations=annotations)

    def excluded_by(self, notail, running):
        return [t.get("excluded_by") for t in self.targets(notail)["targets"] if t.get("container_id") == running.id("c")]

    def test_annotations(self):
        notail = self.start("api", more="  annotations:\n    tenants: [team-*]\n")
        quiet = self.run_asking("quiet", "echo no", **{"notail.io/exclude-c": "true"})
        outside = self.run_asking("outside", "echo no", namespace="not-" + self.prefix)
        half = self.run_asking("half", "echo out; echo err >&2", **{"fluentbit.io/exclude_stderr": "true"})
        java = self.run_asking("java", r"echo one; echo E: no; printf '\tat a.b\n'; echo Caused by: x; echo two",
                               **{"notail.io/multiline": "java"})
        team = self.run_asking("team", "echo of a team", **{"notail.io/tenant": "team-a", "notail.io/preset": "alloy"})
        wrong = self.run_asking("wrong", "echo one; echo two", **{"notail.io/multiline": "(", "notail.io/tenant": "ops"})
        # The last line ends no block but by its time, and that waits for a machine at rest.
        self.await_lines(java, [b"one", b"E: no\n\tat a.b\nCaused by: x"])
        self.await_lines(half, [b"out"])
        self.await_lines(team, [b"of a team"])
        self.await_lines(wrong, [b"one", b"two"])
        for running, by in ((quiet, "notail.io/exclude"), (outside, "discovery.kubernetes.namespaces")):
            harness.wait_for(lambda r=running, b=by: self.excluded_by(notail, r) == [b], interval=0.3,
                             what=lambda r=running: self.excluded_by(notail, r))
            self.assertEqual(self.entries(running), [])
        self.assertEqual(self.lines(half, "c", "stderr"), [])
        self.assertEqual({e.labels["job"] for e in self.entries(team)}, {"integrations/docker"})
        tenants = {push.headers.get("x-scope-orgid") for push in self.target.receiver.pushes}
        self.assertEqual(tenants, {None, "team-a"})
        for key in ("notail.io/multiline", "notail.io/tenant"):
            self.assertEqual(notail.stderr().count(f"/{wrong.pod['metadata']['name']}: {key}: "), 1, notail.stderr())
        self.assertEqual(notail.stop(), 0)

    def await_lines(self, running, lines):
        harness.wait_for(lambda: self.lines(running, "c", "stdout")[:len(lines)] == lines, interval=0.3,
                         what=lambda: self.lines(running, "c", "stdout"))


class Changes(kube_case.KubeCase):
    """While a pod writes."""

    APP = "app.kubernetes.io/name"

    def relabel(self, running, app):
        running.relabel(**{self.APP: app})

    def apps(self, running):
        """The values of `app` that its lines have, in their order, each once in a row."""
        return [value for value, _ in itertools.groupby(e.labels["app"] for e in self.entries(running))]

    def assert_once(self, *pods):
        """Ended: nothing is lost or doubled."""
        for running in pods:
            running.kill("c")
            self.assert_as_logged(running)
            self.assert_numbers(running)

    def test_labels_a_410_and_an_outage(self):
        notail = self.start("api", max_wait="2s")
        running = self.run_writer("talker", labels={self.APP: "a"})
        self.await_label(running, "app", "a")
        self.relabel(running, "b")
        self.await_label(running, "app", "b")
        self.api.bookmark()
        lists = len(self.api.asked("list"))
        self.api.expire()
        self.relabel(running, "c")
        self.await_label(running, "app", "c")
        self.assertGreater(len(self.api.asked("list")), lists)
        self.api.stop()
        self.relabel(running, "d")
        late = self.run_writer("late", labels={self.APP: "late"})
        self.await_more(running)
        self.await_label(late, "app", late.pod["metadata"]["name"])
        self.api.start()
        for one, app in ((running, "d"), (late, "late")):
            self.await_label(one, "app", app)
        self.assert_once(running, late)
        self.assertEqual(self.apps(running), ["a", "b", "c", "d"])
        self.assertEqual(self.apps(late), [late.pod["metadata"]["name"], "late"])
        self.assertEqual(notail.stop(), 0)

    def test_replaced_pod_of_the_same_name(self):
        """As of a StatefulSet: each container has the labels of its own pod, whose deletion takes nothing from it."""
        self.start("api")
        pod = kube_objects.pod(self.shop, "db-0", [container("c", "sh", "-c", "echo line 0; usleep 200000; echo line 1")],
                               labels={self.APP: "old"})
        first = self.node.run(pod)
        first.wait("c")
        self.cluster.delete(pod)
        first.delete()
        pod["metadata"].update(uid=kube_objects.new_uid(), labels={self.APP: "new"})
        second = self.node.run(pod)
        second.wait("c")
        for running, app in ((first, "old"), (second, "new")):
            self.assert_as_logged(running, 2)
            self.assertEqual(self.apps(running), [app])

    def test_token_and_certificate_change(self):
        """As they do within each hour: what is new is read again, and nobody has to say so."""
        self.start("api")
        running = self.run_writer("talker", labels={self.APP: "a"})
        self.await_label(running, "app", "a")
        self.api.rotate_token()
        self.api.change_certificate(new_authority=True)
        self.api.cut()
        self.relabel(running, "b")
        self.await_label(running, "app", "b")
        self.assertEqual(self.api.asked()[-1].token, self.api.token)
        self.assert_once(running)


class Faults(kube_case.KubeCase):
    """A source that does not answer as it should: what is captured has what the bundle says, the page and a metric say
    why, it is not asked all the time, and all is well when the source is."""

    # (what goes wrong, what the page says, the answers that the metric counts)
    SHORT = (
        ("unauthorized", r"401|nauthorized", "unauthorized"),
        ("forbidden", r"(list|watch)\W.*pods", "forbidden"),
        ("certificate", r"certificate", "none"),
    )
    LONG = (
        ("garbage", r"JSON|understood", "invalid"),
        ("early", r"certificate is not yet valid; this node's clock says 20", "none"),
        (404, "404", "not_found"), (429, "429", "too_many_requests"), (500, "500", "server_error"), ("reset", ".", "none"),
        ("expired", "certificate has expired; this node's clock says 20", "none"), ("away", ".", "none"),
        ("redirect", "302, a redirect, which is not followed", "other_status"), ("html", "understood", "invalid"),
        ("chunk", "chunk", "none"),
    )
    # In the middle of an answer. An API server's list is asked for after a 410 alone.
    BROKEN = (("half", "understood", "invalid"), ("cut", "closed|reset", "none"), ("endless", "too large", "invalid"),
              ("squeezed", ".", "none|invalid"))
    # Of the watch alone: what it does not tell, lists do.
    WATCHES = (
        ("half", "the watch ended in the middle of an object", "invalid"), ("cut", "closed|reset", "none"),
        ("endless", "too large", "invalid"), ("garbage", "the watch cannot be understood", "invalid"),
        ("html", "the watch cannot be understood", "invalid"), ("error", r"\(500\): planned error", "invalid"),
        ("redirect", "302", "other_status"), ("chunk", "chunk", "none"), (500, "500", "server_error"),
    )

    def break_it(self, server, kind, verb=None):
        if kind == "unauthorized":
            server.rotate_token(write=False)
        elif kind == "forbidden":
            server.forbid("list")
            server.forbid("watch")
        elif kind == "certificate":
            server.change_certificate(new_authority=True, publish=False)
        elif kind in ("expired", "early"):
            server.change_certificate(**{kind: True})
        elif kind == "away":
            server.stop()
            return
        elif kind == "handshake":
            server.shakes_hands = False
        elif kind == "black hole":
            server.black_hole()
            return
        else:
            other = self.cluster.kubelet if server == self.api else self.api
            server.fail(kind, count=None, verb=verb, retry_after=1 if kind == 429 else None, to=other.url + "/pods")
        if verb == "list" and server == self.api:
            server.expire()
        else:
            server.cut()

    def mend_it(self, server, kind):
        server.heal()
        if kind == "unauthorized":
            server.write_token(server.token)
        elif kind == "forbidden":
            server.allow("list")
            server.allow("watch")
        elif kind == "certificate":
            server.publish_authority()
        elif kind in ("expired", "early"):
            server.change_certificate()
            server.cut()
        elif kind == "away":
            server.start()
        elif kind == "black hole":
            server.end_black_hole()

    def answers(self, notail, answer):
        metrics = self.metrics(notail)
        name = "notail_kubernetes_requests_total"
        return sum(prometheus.value(metrics, name, answer=one) for one in answer.split("|"))

    def is_noticed(self, notail, before, kind, said, answer):
        if kind != "black hole":  # from which nothing comes, either
            self.api.bookmark()  # a watch that nothing happens in cannot go wrong
        return self.answers(notail, answer) > before and not self.is_up(notail) and re.search(said, self.problem(notail))

    def problem(self, notail):
        return self.targets(notail)["pods"]["problem"] or ""

    def is_up(self, notail):
        return (prometheus.value(self.metrics(notail), "notail_kubernetes_problem") == 0
                and self.targets(notail)["pods"]["connected"])

    def await_up(self, notail):
        harness.wait_for(lambda: self.is_up(notail), interval=0.2, timeout=90, what=lambda: self.ask(notail, "/targets"))

    def check_fault(self, notail, server, kind, said, answer, verb=None, timeout=harness.DEADLINE):
        before = self.answers(notail, answer)
        self.break_it(server, kind, verb)
        harness.wait_for(lambda: self.is_noticed(notail, before, kind, said, answer), interval=0.2, timeout=timeout,
                         what=lambda: f"{kind}: {self.problem(notail)}")
        if verb != "watch":
            self.assertRegex(html.unescape(self.ask(notail, "/")), said)
            running = self.run_pod(self.shop, "fault", "echo", "line 0", labels={"app": "known"})
            self.assert_as_logged(running)
            wanted = kube_case.expected_labels(running.pod, "c", "stdout", whole=False)
            self.assertEqual([e.labels for e in self.entries(running)], [wanted])

    @contextlib.contextmanager
    def calm(self, notail, server):
        """A few requests a second and connections at most, whatever goes wrong; no processor that is busy with them; memory
        that is bounded."""
        asked, began, used = server.connections + len(server.asked()), time.monotonic(), processor_seconds(notail.pid)
        yield
        seconds = time.monotonic() - began
        self.assertLess(server.connections + len(server.asked()) - asked, 20 + 10 * seconds)
        self.assertLess(processor_seconds(notail.pid) - used, 5 + seconds / 2)
        self.assertLess(own_memory(notail.pid), 40 << 20)

    def begin(self, source):
        server = self.api if source == "api" else self.cluster.kubelet
        notail = self.start(source, max_wait="1s")
        self.await_up(notail)
        return notail, server

    def check(self, source, faults, verb=None, timeout=harness.DEADLINE):
        notail, server = self.begin(source)
        for kind, said, answer in faults:
            with self.subTest(f"{source}: {kind}"), self.calm(notail, server):
                try:
                    self.check_fault(notail, server, kind, said, answer, verb, timeout)
                finally:
                    self.mend_it(server, kind)
                self.await_up(notail)
        running = self.run_pod(self.shop, "after", "echo", "line 0", labels={"app": "known"})
        self.assert_as_logged(running)
        self.assertEqual(self.entries(running)[0].labels["app"], "known")
        self.assertEqual(notail.stop(), 0)

    def check_watches(self, faults):
        """What the watch does not tell comes with lists."""
        notail, server = self.begin("api")
        running = self.run_writer("talker", labels={"app": "first"})
        self.await_label(running, "app", "first")
        for kind, said, answer in faults:
            with self.subTest(f"watch: {kind}"), self.calm(notail, server):
                try:
                    self.check_fault(notail, server, kind, said, answer, "watch")
                    running.relabel(app=f"while-{kind}")
                    self.await_label(running, "app", f"while-{kind}")
                finally:
                    self.mend_it(server, kind)
                self.await_up(notail)
        running.kill("c")
        self.assert_as_logged(running)
        self.assert_numbers(running)
        self.assertEqual(self.cluster.kubelet.connections, 0)  # whatever redirects
        self.assertEqual(notail.stop(), 0)

    def long(self):
        if not os.environ.get("KUBE_FAULTS"):
            self.skipTest("make test-engines runs it: KUBE_FAULTS=1")

    def test_faults_of_the_api(self):
        self.check("api", self.SHORT)

    def test_faults_of_the_list(self):
        self.check("api", self.BROKEN[:1], "list")

    def test_faults_of_the_watch(self):
        self.check_watches(self.WATCHES[:1])

    def test_faults_of_the_kubelet(self):
        self.check("kubelet", [(k, ".", a) for k, _, a in self.SHORT if k in ("forbidden", "certificate")])

    def test_all_faults_of_the_api(self):
        self.long()
        for fault in self.LONG:
            self.check("api", [fault])
        self.assertEqual(self.cluster.kubelet.connections, 0)

    def test_all_faults_of_the_list(self):
        self.long()
        for fault in (*self.BROKEN, *(fault for fault in self.LONG if fault[0] in ("html", "chunk", 500))):
            self.check("api", [fault], "list")

    def test_all_faults_of_the_watch(self):
        self.long()
        for fault in self.WATCHES:
            self.check_watches([fault])

    def test_all_faults_of_the_kubelet(self):
        self.long()
        for fault in (*self.LONG, *self.BROKEN):
            self.check("kubelet", [fault])
        self.assertEqual(self.api.connections, 0)

    def test_nobody_answers(self):
        """Requests, TLS and packets that nobody answers."""
        self.long()
        said = r"[Tt]imed? ?out|timeout|does not answer"
        for source, kind, verb in (("api", "hang", "list"), ("api", "hang", "watch"), ("api", "handshake", None),
                                   ("kubelet", "hang", None), ("kubelet", "handshake", None)):
            self.check(source, [(kind, said, "none")], verb, timeout=90)

    def test_a_black_hole(self):
        """Packets are lost, those of connections that there are too, and no reset says so."""
        self.long()
        for source in ("kubelet", "api"):
            self.check(source, [("black hole", r"[Tt]imed? ?out|timeout|does not answer", "none")], timeout=150)

    def test_a_silent_watch(self):
        """It is there, and says nothing: a pod that runs and is not known is asked for."""
        self.long()
        self.api.fail("quiet", verb="watch", count=None)
        notail, server = self.begin("api")
        with self.calm(notail, server):
            for word in ("one", "two"):
                running = self.run_writer(word, labels={"app": word})
                self.await_label(running, "app", word)

    def test_events_that_break_off(self):
        """Each watch has one event and half of the next: none is lost, and none comes again."""
        self.long()
        notail, server = self.begin("api")
        running = self.run_writer("talker", labels={"app": "n00"})
        self.await_label(running, "app", "n00")
        server.fail("cut", verb="watch", count=None, events=1)
        server.cut()
        lists, invalid = len(self.lists(server)), self.answers(notail, "invalid")
        names = [f"n{i:02}" for i in range(1, 20)]
        with self.calm(notail, server):
            for name in names:
                running.relabel(app=name)
                self.await_more(running, 2)
            self.await_label(running, "app", names[-1])
        self.assertEqual((len(self.lists(server)), self.answers(notail, "invalid")), (lists, invalid))
        running.kill("c")
        self.assert_as_logged(running)
        came = [value for value, _ in itertools.groupby(e.labels["app"] for e in self.entries(running))]
        self.assertEqual(came, sorted(set(came)))

    def test_odd_watches(self):
        """Events without an end of line, and one of 50 MB before each: they are left out, nothing else is."""
        self.long()
        notail, server = self.begin("api")
        running = self.run_writer("talker", labels={"app": "first"})
        self.await_label(running, "app", "first")
        for kind in ("joined", "large"):
            with self.calm(notail, server):
                server.fail(kind, verb="watch", count=None)
                server.cut()
                lists, invalid = len(self.lists(server)), self.answers(notail, "invalid")
                for i in range(3):
                    running.relabel(app=f"{kind}-{i}")
                    self.await_label(running, "app", f"{kind}-{i}")
                self.assertEqual((len(self.lists(server)), self.answers(notail, "invalid")), (lists, invalid))
                server.heal()
                server.cut()

    def test_a_list_of_50_mb(self):
        """It is no fault; memory stays bounded."""
        self.long()
        self.api.fail("huge", verb="list", item_size=100000)  # fewer pods than it keeps
        notail = self.start("api")
        running = self.run_pod(self.shop, "small", "echo", "line 0", labels={"app": "known"})
        self.assert_as_logged(running)
        self.assertEqual(self.entries(running)[0].labels["app"], "known")
        self.assertLess(own_memory(notail.pid), 40 << 20)

    def test_a_bomb(self):
        """50 MB in one pod, squeezed to 50 KB: it is left out, and the page says so."""
        self.long()
        self.api.fail("bomb", verb="list")
        notail = self.start("api")
        running = self.run_pod(self.shop, "small", "echo", "line 0", labels={"app": "known"})
        self.assert_as_logged(running)
        self.assertEqual(self.entries(running)[0].labels["app"], "known")
        self.assertIn("too large", self.problem(notail))
        self.assertLess(own_memory(notail.pid), 40 << 20)

    def test_ten_thousand_pods(self):
        """Of other nodes, whatever was asked for."""
        self.long()
        self.api.fail("huge", verb="list", item_size=4000, size=40 << 20)
        notail = self.start("api")
        self.await_up(notail)
        self.assertIn("there are more than 1024 pods", notail.stderr())
        self.assertLess(own_memory(notail.pid), 60 << 20)


def own_memory(pid):
    """Bytes, without the ring."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1)) << 10


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

# SPDX-License-Identifier: Apache-2.0
"""`notail events`: a cluster's events in Loki, each change once and in order, whatever happens to the API server, to
Loki and to notail. It runs as a pod has it: the service account's files, the environment, and no capability; or by what
the configuration says of the API server."""

import copy
import datetime
import itertools
import json
import os
import re
import secrets
import shutil
import signal
import sys
import urllib.error
import urllib.request

import harness
import kube_objects
from kube_api import Cluster

sys.path.append(os.path.join(harness.TOP, "tests/receiver"))

from loki_receiver import Receiver  # noqa: E402

JOB = "loki.source.kubernetes_events"
LEASE = "lease: {enabled: true}"
SHORT_LEASE = "lease: {enabled: true, duration: 3s}"
# A pod's mounts, and the capabilities of one that has none.
POD = """
mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io/serviceaccount &&
cd /run/secrets/kubernetes.io/serviceaccount && ln -s "$0" token && ln -s "$1" ca.crt && printf logging >namespace &&
cd / && shift && exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@"
"""


class Events(harness.TestCase):
    needs_engine = False

    def setUp(self):
        super().setUp()
        for tool in ("openssl", "unshare", "setpriv"):
            if not shutil.which(tool):
                self.skipTest(f"not installed: {tool}")
        self.cluster = Cluster(harness.shared.path("cluster"))
        self.api = self.cluster.api
        self.api.start()
        self.addCleanup(self.api.stop)
        self.receiver = Receiver().start()
        self.addCleanup(self.receiver.close)
        self.numbers = itertools.count(1)
        self.expected = []  # what each put gave

    # The cluster.

    def put(self, core):
        """An event that happens now."""
        core = copy.deepcopy(core)
        core["lastTimestamp"] = kube_objects.now()
        core["metadata"].pop("resourceVersion", None)
        self.expected.append(self.api.put_event(core))
        return core

    def make(self, namespace="demo", **more):
        """One more event, of a pod of its own."""
        number = next(self.numbers)
        return self.put({
            "metadata": {"name": f"web-{number}.18e9", "namespace": namespace},
            "involvedObject": {"kind": "Pod", "namespace": namespace, "name": f"web-{number}", "apiVersion": "v1"},
            "reason": "Started", "message": f'Started "container" {number}', "count": 1, "type": "Normal",
            "source": {"component": "kubelet", "host": "node-1"}, "reportingComponent": "kubelet",
            "reportingInstance": "node-1", "eventTime": None, **more})

    def again(self, core):
        self.put({**core, "count": core["count"] + 1})

    def put_recorded(self):
        for core in kube_objects.read("events-list.json")["items"]:
            self.put(core)

    # notail.

    def events(self, settings="", rest="", is_pod=True, **keywords):
        path = self.file(f"""
clients:
  - url: {self.receiver.push_url}
    batchwait: 100ms
    backoff_config: {{min_period: 100ms, max_period: 300ms}}
external_labels: {{cluster: test}}
log: {{level: debug}}
events:
  {settings}
{rest}""")
        environment = {name: "" for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "POD_NAMESPACE")}
        if not is_pod:
            return self.plain_notail("events", "-c", path, env=environment, **keywords)
        environment |= {"KUBERNETES_SERVICE_HOST": self.api.host, "KUBERNETES_SERVICE_PORT": str(self.api.port)}
        return self.plain_notail(
            "events", "-c", path, env=environment,
            prefix=("unshare", "-m", "sh", "-c", POD, self.api.token_file, self.api.ca_file), **keywords)

    # What arrived.

    def entries(self):
        """[(revision, labels, entry)] in the order of Loki's times."""
        found = []
        for labels, entries in self.receiver.streams().values():
            for entry in entries:
                line = entry.line.decode()
                match = re.search(r'eventRV"?[=:]"?(\d+)', line)
                found.append((int(match.group(1)), labels, entry))
        return sorted(found, key=lambda one: one[2].ts)

    def arrived(self):
        return {revision for revision, _, _ in self.entries()}

    def wait_all(self, notails=()):
        wanted = {int(one["metadata"]["resourceVersion"]) for one in self.expected}
        harness.wait_for(
            lambda: wanted <= self.arrived(),
            what=lambda: f"missing {sorted(wanted - self.arrived())}\n" + "\n".join(n.stderr() for n in notails))
        self.assertEqual(self.arrived(), wanted)

    def assert_in_order(self):
        """Loki's times are in the order in which the API server had the events, for each stream."""
        revisions = [revision for revision, _, _ in self.entries()]
        self.assertEqual(revisions, sorted(revisions))

    def assert_no_repeats(self):
        self.assertEqual(self.receiver.duplicates(), 0)

    def test_recorded(self):
        """A cut, a 410 at a request and one in a watch, Loki away, a restart: each event once, in order."""
        self.put_recorded()
        notail = self.events(LEASE)
        self.wait_all([notail])
        first = self.make()
        self.wait_all([notail])
        self.again(first)
        self.wait_all([notail])
        self.api.cut()
        self.make()
        self.wait_all([notail])
        self.api.compact()
        self.make("default")
        self.api.cut()
        self.wait_all([notail])
        self.api.expire()
        self.make()
        self.wait_all([notail])
        self.receiver.stop()
        for _ in range(20):
            self.make()
        self.receiver.start()
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.again(first)
        self.make()
        self.api.compact()
        notail = self.events(LEASE)
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        notail = self.events(LEASE)
        self.make()
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.assert_no_repeats()
        self.assert_in_order()
        self.assert_labels()

    def assert_labels(self):
        by_revision = {int(one["metadata"]["resourceVersion"]): one for one in self.expected}
        for revision, labels, _ in self.entries():
            namespace = by_revision[revision]["regarding"].get("namespace")
            wanted = {"job": JOB, "service_name": JOB, "instance": JOB + ".notail", "cluster": "test"}
            self.assertEqual(labels, wanted | ({"namespace": namespace} if namespace else {}))

    def test_line(self):
        """The line, in both forms; the event's own time; rules and stages."""
        one = self.make(reason="BackOff", count=7)
        when = datetime.datetime.fromisoformat(self.expected[0]["deprecatedLastTimestamp"].replace("Z", "+00:00"))
        revision = int(self.expected[0]["metadata"]["resourceVersion"])
        notail = self.events()
        self.wait_all([notail])
        (_, _, entry), = self.entries()
        self.assertEqual(
            entry.line.decode(),
            f"name=web-1 kind=Pod objectAPIversion=v1 eventRV={revision} reportinginstance=node-1 "
            "reportingcontroller=kubelet sourcecomponent=kubelet sourcehost=node-1 reason=BackOff type=Normal count=7 "
            'msg="Started \\"container\\" 1"')
        self.assertEqual(entry.ts, int(when.timestamp()) * 10**9 + revision)
        self.assertEqual(notail.stop(), 0, notail.stderr())
        del self.expected[:]
        self.receiver.close()
        self.receiver = Receiver().start()
        self.addCleanup(self.receiver.close)
        self.again(one)
        self.make("kube-system")
        notail = self.events("""
  format: json
  job: integrations/kubernetes/eventhandler
  namespaces: [demo, kube-system]
  relabel_configs:
    - {source_labels: [namespace], regex: kube-system, action: drop}
    - {regex: instance, action: labeldrop}
  pipeline_stages:
    - json: {expressions: {reason: ""}}
    - labels: {reason: ""}
""", f"""
discovery:
  kubernetes:
    api_server: {self.api.url}
    token_file: {self.api.token_file}
    tls_config: {{ca_file: {self.api.ca_file}}}
""", is_pod=False)
        del self.expected[-1]
        self.wait_all([notail])
        (_, labels, entry), = self.entries()
        self.assertEqual(json.loads(entry.line)["count"], 8)
        self.assertEqual(labels, {"job": "integrations/kubernetes/eventhandler", "namespace": "demo", "cluster": "test",
                                  "service_name": "integrations/kubernetes/eventhandler", "reason": "BackOff"})
        paths = {request.path.split("?")[0] for request in self.api.asked("watch", "events")}
        self.assertIn("/apis/events.k8s.io/v1/namespaces/demo/events", paths)

    def leaders(self, notails):
        return [one for one in notails if one.stderr().count("leads: ") > one.stderr().count("leads no more")]

    def test_replicas(self):
        """One of two sends. The other takes over when it is killed, ends, or is stopped for a while."""
        self.put_recorded()
        both = [self.events(SHORT_LEASE), self.events(SHORT_LEASE)]
        self.wait_all(both)
        (leader,) = self.leaders(both)
        (other,) = [one for one in both if one is not leader]
        self.assert_no_repeats()
        leader.kill()
        self.make()
        self.wait_all(both)
        self.assertEqual(self.leaders([other]), [other])
        third = self.events(SHORT_LEASE)
        other.process.send_signal(signal.SIGSTOP)
        self.make()
        self.wait_all([third])
        other.process.send_signal(signal.SIGCONT)
        harness.wait_for(lambda: "leads no more" in other.stderr(), what=other.stderr)
        self.make()
        self.wait_all([third])
        self.assertEqual(self.leaders([other, third]), [third])
        duplicates = self.receiver.duplicates()
        self.assertEqual(third.stop(), 0, third.stderr())
        self.make()
        self.wait_all([other])
        self.assertEqual(self.receiver.duplicates(), duplicates)
        self.assertEqual(other.stop(), 0, other.stderr())
        self.assertEqual(self.api.get("logging", "notail-events", "leases")["spec"]["holderIdentity"], "")
        self.assert_in_order()

    def test_directory(self):
        """A file says how far it came; what Loki does not take waits in files beside it."""
        directory = harness.shared.path("events")
        settings = f"directory: {directory}"
        self.put_recorded()
        notail = self.events(settings)
        self.wait_all([notail])
        in_the_way = os.path.join(directory, "events.json.new")
        os.mkdir(in_the_way)
        self.make()
        harness.wait_for(lambda: "is not kept" in notail.stderr(), what=notail.stderr)
        os.rmdir(in_the_way)
        self.assertEqual(notail.stop(), 0, notail.stderr())
        with open(os.path.join(directory, "events.json")) as file:
            self.assertIn(self.expected[-1]["metadata"]["resourceVersion"], file.read())
        self.receiver.stop()
        first = self.make()
        notail = self.events(settings, "shutdown_timeout: 1s")
        harness.wait_for(lambda: self.api.asked("watch", "events"))
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.api.delete(self.expected[-1], "events")
        self.receiver.start()
        self.make()
        notail = self.events(settings)
        self.wait_all([notail])
        self.assert_no_repeats()
        twice = self.events(settings, wait=False)
        self.assertEqual(twice.wait(), 1)
        self.assertIn("another notail has it", twice.stderr())
        notail.kill()
        self.again(first)
        notail = self.events(settings)
        self.wait_all([notail])
        self.assert_in_order()

    def test_namespaces(self):
        """A watch and a position for each: one that is named later begins with what there is, the others go on."""
        settings = f"directory: {harness.shared.path('namespaces')}"
        later = []
        for _ in range(3):
            for namespace in ("demo", "default", "kube-system"):
                self.make(namespace)
                if namespace == "kube-system":
                    later.append(self.expected.pop())
        notail = self.events(f"{settings}\n  namespaces: [demo, default]")
        self.wait_all([notail])
        self.make("default")
        self.make("demo")
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.expected += later
        self.make("demo")
        notail = self.events(f"{settings}\n  namespaces: [kube-system, demo]")
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.make("default")
        notail = self.events(f"{settings}\n  namespaces: [default]")
        self.wait_all([notail])
        self.assert_no_repeats()
        for namespace in ("demo", "default", "kube-system"):
            revisions = [revision for revision, labels, _ in self.entries() if labels["namespace"] == namespace]
            self.assertEqual(revisions, sorted(revisions))

    def test_restored(self):
        """An API server that has an older state than it had: what happens from then on is not waited for."""
        directory = harness.shared.path("restored")
        self.put_recorded()
        before = self.api.version
        for _ in range(5):
            self.make()
        notail = self.events(f"directory: {directory}")
        self.wait_all([notail])
        self.assertEqual(notail.stop(), 0, notail.stderr())
        self.api.restore(before)
        notail = self.events(f"directory: {directory}")
        made = self.make()["involvedObject"]["name"]
        harness.wait_for(lambda: any(f"name={made} " in entry.line.decode() for _, _, entry in self.entries()),
                         what=notail.stderr)
        self.assertIn("the API server has an older state", notail.stderr())

    def test_wrong_answers(self):
        """Of the API server, in lists and in watches: what is right in the end is sent, once."""
        self.api.fail("half", verb="list", resource="events")
        self.put_recorded()
        notail = self.events(LEASE)
        self.wait_all([notail])
        self.api.fail("garbage", verb="watch", resource="events")
        self.api.cut()
        for _ in range(6):
            self.make()
        self.wait_all([notail])
        self.api.fail(409, verb="update", resource="leases")
        self.api.fail("garbage", verb="update", resource="leases")
        self.make()
        self.wait_all([notail])
        harness.wait_for(lambda: not self.api.planned())
        harness.wait_for(lambda: "the answer is no Lease" in notail.stderr(), what=notail.stderr)
        self.assertEqual(self.leaders([notail]), [notail])
        self.assert_no_repeats()
        self.assert_in_order()

    def test_api_away(self):
        """Who cannot renew the Lease sends nothing, though Loki is there; later all of it, once."""
        self.put_recorded()
        notail = self.events(SHORT_LEASE)
        self.wait_all([notail])
        self.receiver.stop()
        for _ in range(5):
            self.make()
        harness.wait_for(lambda: "onnection refused" in notail.stderr(), what=notail.stderr)
        self.api.stop()
        harness.wait_for(lambda: "leads no more" in notail.stderr(), what=notail.stderr)
        self.receiver.start()
        pushes = len(self.receiver.pushes)
        self.api.fail("reset", count=2, verb="get", resource="leases")
        self.api.start()
        harness.wait_for(lambda: not self.api.planned())
        self.assertEqual(len(self.receiver.pushes), pushes)
        self.wait_all([notail])
        self.assert_no_repeats()
        self.assert_in_order()

    def test_full(self):
        """With limits.memory full of what Loki does not take, the rest waits in the API server."""
        notail = self.events("", "limits: {memory: 8MiB}")
        self.make()
        self.wait_all([notail])
        self.receiver.stop()
        full = lambda: "no more events are taken" in notail.stderr()
        harness.wait_for(lambda: self.make(message=secrets.token_urlsafe(40000)) and full(), interval=0.01,
                         what=notail.stderr)
        for _ in range(20):
            self.make(message=secrets.token_urlsafe(40000))
        self.receiver.start()
        self.wait_all([notail])
        self.assert_no_repeats()
        self.assert_in_order()

    def ask(self, notail, path):
        port = re.search(r"metrics at http://127\.0\.0\.1:(\d+)", notail.stderr()).group(1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def test_forbidden(self):
        """What is not allowed is named: on stderr, by /ready and in a metric. With the permission it goes on."""
        server = 'server: {metrics_listen: "127.0.0.1:0"}'
        self.make()
        self.api.forbid("create", "leases")
        self.api.forbid("list", "events")
        notail = self.events(SHORT_LEASE, server)
        harness.wait_for(lambda: len(self.api.asked("create", "leases")) > 3)
        self.assertEqual(len(re.findall("needs create on leases", notail.stderr())), 1, "said once")
        status, text = self.ask(notail, "/ready")
        self.assertEqual(status, 503)
        self.assertIn("create", text)
        self.api.allow("create", "leases")
        harness.wait_for(lambda: re.search(r"events of all namespaces: .*list.*events", notail.stderr()), what=notail.stderr)
        harness.wait_for(lambda: "list" in self.ask(notail, "/ready")[1])
        self.assertEqual(self.ask(notail, "/healthz"), (200, "ok\n"))
        self.api.allow("list", "events")
        self.wait_all([notail])
        harness.wait_for(lambda: self.ask(notail, "/ready") == (200, "ready\n"))
        metrics = self.ask(notail, "/metrics")[1]
        self.assertIn("\nnotail_events_total 1\n", metrics)
        self.assertIn("\nnotail_events_leader 1\n", metrics)
        self.assertNotIn('notail_kubernetes_requests_total{answer="forbidden"} 0\n', metrics)

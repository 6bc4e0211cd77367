# SPDX-License-Identifier: Apache-2.0
"""The stand-in for a cluster does what the tests with it rely on."""

import gzip
import http.client
import json
import shutil
import socket
import ssl
import unittest

import harness
import kube_objects
from kube_api import Cluster

PODS = "/api/v1/pods"
OF_NODE = PODS + "?fieldSelector=spec.nodeName%3Dnode-1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/logging/leases"
EVENTS = "/apis/events.k8s.io/v1/events"


class KubeApi(unittest.TestCase):
    def setUp(self):
        if not shutil.which("openssl"):
            self.skipTest("not installed: openssl, which makes certificates")
        self.cluster = Cluster(harness.shared.path("cluster"))
        self.cluster.start()
        self.addCleanup(self.cluster.stop)
        self.api, self.kubelet = self.cluster.api, self.cluster.kubelet
        for pod in kube_objects.read("pods-list.json")["items"]:
            self.api.put(pod)

    def ask(self, path, method="GET", body=None, server=None, token=None, timeout=30, **headers):
        """The response, not read yet."""
        server = server or self.api
        context = ssl.create_default_context(cafile=server.ca_file)
        connection = http.client.HTTPSConnection(server.host, server.port, context=context, timeout=timeout)
        self.addCleanup(connection.close)
        with open(server.token_file, encoding="ascii") as file:
            headers["Authorization"] = "Bearer " + (token or file.read())
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse()

    def get(self, path, status=200, **keywords):
        response = self.ask(path, **keywords)
        data = response.read()
        self.assertEqual(response.status, status, data[:500])
        return json.loads(data)

    def names(self, answer):
        return sorted(item["metadata"]["name"] for item in answer["items"])

    def watch(self, since, path=OF_NODE, **query):
        more = "".join(f"&{k}={v}" for k, v in query.items())
        return self.ask(f"{path}&watch=1&resourceVersion={since}{more}")

    def event(self, response):
        one = json.loads(response.readline())
        return one["type"], one["object"]

    def test_lists(self):
        whole = self.get(OF_NODE)
        recorded = kube_objects.read("pods-list.json")
        self.assertEqual(self.names(whole), self.names(recorded))
        self.assertEqual((whole["kind"], whole["apiVersion"]), ("PodList", "v1"))
        self.assertEqual(self.names(self.get("/api/v1/namespaces/logging/pods")), ["log-agent-v2zwb"])
        self.assertEqual(self.names(self.get(PODS + "?fieldSelector=spec.nodeName%3Dother")), [])
        got, rest = [], ""
        while True:
            page = self.get(f"{PODS}?limit=3{rest}")
            got += self.names(page)
            if "continue" not in page["metadata"]:
                break
            rest = "&continue=" + page["metadata"]["continue"]
        self.assertEqual(sorted(got), self.names(recorded))
        for i in range(50):
            self.api.put(kube_objects.pod("many", f"p{i}", []))
        response = self.ask(PODS, Accept_Encoding="gzip")
        self.assertEqual(response.headers["Content-Encoding"], "gzip")
        self.assertEqual(len(json.loads(gzip.decompress(response.read()))["items"]), 60)
        self.assertEqual([r.answer.status for r in self.api.asked("list", "pods")], [200] * len(self.api.asked()))

    def test_watch(self):
        response = self.watch(self.get(OF_NODE)["metadata"]["resourceVersion"], allowWatchBookmarks="true")
        pod = kube_objects.pod("demo", "new", [kube_objects.container("c", "true")])
        stored = self.api.put(pod)
        kind, obj = self.event(response)
        self.assertEqual((kind, obj), ("ADDED", {"kind": "Pod", "apiVersion": "v1", **stored}))
        pod["metadata"]["labels"]["team"] = "blue"
        self.api.put(pod)
        self.assertEqual(self.event(response)[1]["metadata"]["labels"], {"team": "blue"})
        self.api.bookmark()
        kind, obj = self.event(response)
        self.assertEqual((kind, obj["metadata"]["resourceVersion"]), ("BOOKMARK", str(self.api.version)))
        pod["spec"]["nodeName"] = "node-2"  # out of the watch's view
        self.api.put(pod)
        self.assertEqual(self.event(response)[0], "DELETED")
        self.api.delete(pod)
        self.api.expire()
        kind, obj = self.event(response)
        self.assertEqual((kind, obj["code"], obj["reason"]), ("ERROR", 410, "Expired"))
        self.assertEqual(response.read(), b"")
        self.assertEqual(self.event(self.watch(1))[1]["code"], 410)

    def test_recorded_watch(self):
        response = self.watch(self.api.version)
        lines = kube_objects.read("pods-watch.jsonl")
        self.api.replay(lines)
        for line in lines:
            wanted, (kind, obj) = json.loads(line), self.event(response)
            self.assertEqual((kind, obj["metadata"]["name"]), (wanted["type"], wanted["object"]["metadata"]["name"]))
            self.assertEqual(obj["status"], wanted["object"]["status"])

    def test_refusals(self):
        recorded = kube_objects.read("error-401.json")
        self.assertEqual(self.get(PODS, 401, token="wrong"), recorded)
        self.api.rotate_token(write=False)
        self.assertEqual(self.get(PODS, 401), recorded)
        self.api.rotate_token()
        self.get(PODS)
        self.api.forbid("list")
        refused = self.get(PODS, 403)
        self.assertEqual(refused["message"], 'pods is forbidden: User "system:serviceaccount:logging:notail" cannot list '
                                             'resource "pods" in API group "" at the cluster scope')
        same = {"message": "", "details": None}
        self.assertEqual({**refused, **same}, {**kube_objects.read("error-403.json"), **same})
        self.api.allow("list")
        self.get("/api/v1/nothing", 404)
        self.api.fail(429, retry_after=3)
        response = self.ask(PODS)
        self.assertEqual((response.status, response.headers["Retry-After"]), (429, "3"))

    def test_faults(self):
        for kind in ("garbage", "half"):
            self.api.fail(kind)
            with self.assertRaises(ValueError, msg=kind):
                json.loads(self.ask(PODS).read())
        for kind in ("cut", "reset"):
            self.api.fail(kind)
            with self.assertRaises((OSError, http.client.HTTPException), msg=kind):
                self.ask(PODS).read()
        self.api.fail("huge", size=1 << 20)
        self.assertEqual(len(self.get(PODS)["items"]), 52 + 10)
        self.api.fail("hang")
        with self.assertRaises(socket.timeout):
            self.ask(PODS, timeout=0.3)
        self.api.fail("endless", verb="watch")
        self.get(PODS)
        response = self.watch(1)
        self.api.compact()
        self.assertNotIn(b"\n", response.read(1 << 20))
        response.close()
        self.api.fail("cut", verb="watch", events=1)
        response = self.watch(self.api.version)
        for word in "ab":
            self.api.put(kube_objects.pod("demo", word, []))
        self.assertEqual(self.event(response)[1]["metadata"]["name"], "a")
        self.assertRegex(response.readline(), rb'^\{"type":"ADDED".*[^\n]$')
        self.assertEqual(response.readline(), b"")
        self.assertEqual(self.api.planned(), 0)

    def test_away(self):
        response = self.watch(self.api.version)
        self.api.cut()
        self.assertEqual(response.readline(), b"")
        self.api.stop()
        with self.assertRaises(OSError):
            self.ask(PODS)
        self.api.start()
        self.get(PODS)
        for change in ({"new_authority": True, "publish": False}, {"expired": True}):
            self.api.change_certificate(**change)
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.ask(PODS)
        self.api.change_certificate()
        self.api.publish_authority()
        self.get(PODS)

    def test_leases(self):
        lease = {"metadata": {"name": "notail-events"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
        self.get(LEASES + "/notail-events", 404)
        first = self.get(LEASES, 201, method="POST", body=lease)
        self.get(LEASES, 409, method="POST", body=lease)
        lease["spec"]["holderIdentity"] = "b"
        lease["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
        second = self.get(LEASES + "/notail-events", method="PUT", body=lease)
        self.assertEqual(second["spec"]["holderIdentity"], "b")
        self.assertEqual(self.get(LEASES + "/notail-events", 409, method="PUT", body=first)["reason"], "Conflict")
        self.assertEqual(self.get(LEASES + "/notail-events"), second)

    def test_events(self):
        for event in kube_objects.read("events-list.json")["items"]:
            self.api.put_event(event)
        answer = self.get(EVENTS)
        self.assertEqual((answer["kind"], answer["apiVersion"], len(answer["items"])), ("EventList", "events.k8s.io/v1", 76))
        one = next(e for e in answer["items"] if e["reason"] == "Starting")
        self.assertEqual((one["note"], one["regarding"]["kind"], one["deprecatedCount"]), ("Starting kubelet.", "Node", 1))

    def test_kubelet(self):
        static = kube_objects.static_pod("kube-system", "static-node-1", [])
        self.cluster.put(static)
        self.assertEqual(self.get("/pods", server=self.kubelet)["items"], [static])
        shown = self.get("/api/v1/namespaces/kube-system/pods/static-node-1")["metadata"]
        self.assertNotEqual(shown["uid"], static["metadata"]["uid"])
        self.assertEqual(shown["annotations"]["kubernetes.io/config.mirror"], static["metadata"]["uid"])
        response = self.ask("/pods", server=self.kubelet, token="wrong")
        self.assertEqual((response.status, response.read()), (401, b"Unauthorized"))
        self.cluster.delete(static)
        self.assertEqual(self.get("/pods", server=self.kubelet)["items"], [])

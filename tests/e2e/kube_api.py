# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a cluster: an API server and a kubelet on 127.0.0.1, with TLS and bearer tokens.

    cluster = Cluster(directory)                 # directory: for certificates and tokens
    cluster.start()
    cluster.put(pod)                             # ADDED or MODIFIED; the kubelet's list has it too
    cluster.api.url, .ca_file, .token_file       # cluster.kubelet has its own
    cluster.api.fail("cut", verb="watch")        # one request; see Fault
    cluster.api.compact(); cluster.api.cut()     # the next watch gets a 410
    cluster.delete(pod)

The API server knows pods, events (of events.k8s.io) and leases: list (limit and continue, fieldSelector,
resourceVersion), watch (bookmarks, fieldSelector, resourceVersion, an ERROR event where it is too old), get, create,
update with its conflict, delete. What the clients asked for is in `requests`. What it answers has the form that
tests/data/kubernetes recorded.
"""

import base64
import copy
import functools
import json
import re
import time
import urllib.parse

import kube_objects
from kube_server import Asked, Refused, Server, status_object

PATHS = (
    ("pods", "", "v1", r"/api/v1(?:/namespaces/(?P<namespace>[^/]+))?/pods(?:/(?P<name>[^/]+))?"),
    ("events", "events.k8s.io", "v1",
     r"/apis/events\.k8s\.io/v1(?:/namespaces/(?P<namespace>[^/]+))?/events(?:/(?P<name>[^/]+))?"),
    ("leases", "coordination.k8s.io", "v1",
     r"/apis/coordination\.k8s\.io/v1(?:/namespaces/(?P<namespace>[^/]+))?/leases(?:/(?P<name>[^/]+))?"),
)
KINDS = {"pods": "Pod", "events": "Event", "leases": "Lease"}


class Store:
    """The objects of one resource, and what happened to them."""

    def __init__(self):
        self.objects = {}
        self.history = []  # (version, type, object before, object)
        self.compacted = 0


class KubeApi(Server):
    def __init__(self, directory, name="api", host="127.0.0.1"):
        self.version = 1000
        self.stores = {resource: Store() for resource, *_ in PATHS}
        super().__init__(directory, name, host)

    # What the test does.

    def put(self, obj, resource="pods"):
        """Creates or replaces; the object with its resourceVersion."""
        with self.lock:
            return self._change(resource, obj)

    def delete(self, obj, resource="pods"):
        with self.lock:
            store, key = self.stores[resource], key_of(obj)
            before = store.objects.pop(key, None)
            if before is None:
                return
            gone = copy.deepcopy(before)
            self.version += 1
            gone["metadata"]["resourceVersion"] = str(self.version)
            store.history.append((self.version, "DELETED", before, gone))
            self.lock.notify_all()

    def get(self, namespace, name, resource="pods"):
        with self.lock:
            return copy.deepcopy(self.stores[resource].objects.get((namespace, name)))

    def all(self, resource="pods"):
        with self.lock:
            return copy.deepcopy(list(self.stores[resource].objects.values()))

    def put_event(self, core):
        """An event; one of core/v1, as recorded, is shown as events.k8s.io/v1 has it."""
        return self.put(core if "regarding" in core else kube_objects.event_of_events_k8s_io(core), "events")

    def bookmark(self):
        """To each watch that asked for them, at a version that no object has."""
        with self.lock:
            self.version += 1
            for store in self.stores.values():
                store.history.append((self.version, "BOOKMARK", None, None))
            self.lock.notify_all()

    def compact(self):
        """Who goes on from here or before gets a 410: at its next request, or at once in its watch by expire()."""
        with self.lock:
            self.version += 1
            for store in self.stores.values():
                store.compacted = self.version
                store.history.clear()
            self.lock.notify_all()

    def expire(self):
        """The watches that go on get an ERROR event with a 410, and their versions are too old."""
        with self.lock:
            self.version += 1
            for store in self.stores.values():
                store.compacted = self.version
                store.history = [(self.version, "ERROR", None, None)]
            self.lock.notify_all()

    def restore(self, version):
        """As of a backup of that version: what came later is gone, and versions are used again. Before anybody watches."""
        with self.lock:
            self.version = version
            for store in self.stores.values():
                store.objects = {key: o for key, o in store.objects.items() if int(o["metadata"]["resourceVersion"]) <= version}
                store.history.clear()
                store.compacted = min(store.compacted, version)

    def replay(self, lines, resource="pods"):
        """Recorded lines of a watch, in their order."""
        for line in lines:
            event = json.loads(line)
            (self.delete if event["type"] == "DELETED" else self.put)(event["object"], resource)

    def _change(self, resource, obj):
        store, key = self.stores[resource], key_of(obj)
        before = store.objects.get(key)
        obj = copy.deepcopy(obj)
        self.version += 1
        meta = obj["metadata"]
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", before["metadata"]["uid"] if before else kube_objects.new_uid())
        meta.setdefault("creationTimestamp", kube_objects.now())
        store.objects[key] = obj
        store.history.append((self.version, "MODIFIED" if before else "ADDED", before, obj))
        self.lock.notify_all()
        return copy.deepcopy(obj)

    # Requests.

    def route(self, method, url, body):
        parts = urllib.parse.urlsplit(url)
        query = {k: v[-1] for k, v in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        for resource, group, version, pattern in PATHS:
            match = re.fullmatch(pattern, parts.path)
            if not match:
                continue
            namespace, name = match.group("namespace"), match.group("name")
            watch = query.get("watch", "") in ("1", "true", "True")
            verb = {"GET": "get" if name else "watch" if watch else "list", "POST": "create", "PUT": "update",
                    "PATCH": "patch", "DELETE": "delete"}.get(method, method.lower())
            api_version = f"{group}/{version}" if group else version
            answer = functools.partial(self._answer, verb, resource, api_version, namespace, name, query, body)
            return Asked(verb, resource, group, namespace, query, answer)
        return Asked(method.lower(), "", "", None, query, None)

    def _answer(self, verb, resource, api_version, namespace, name, query, body, send):
        kind = {"kind": KINDS[resource], "apiVersion": api_version}
        if verb == "list":
            send.document(200, self._list(resource, api_version, namespace, query))
        elif verb == "watch":
            self._watch(send, resource, kind, namespace, query)
        elif verb == "get":
            found = self.get(namespace, name, resource)
            if found is None:
                raise Refused(404, f'{resource} "{name}" not found', details={"name": name, "kind": resource})
            send.document(200, {**kind, **found})
        elif verb in ("create", "update"):
            self._write(send, verb, resource, kind, namespace, name, body)
        elif verb == "delete":
            self.delete({"metadata": {"namespace": namespace, "name": name}}, resource)
            send.document(200, {**status_object(200, ""), "status": "Success"})
        else:
            raise Refused(405, "the server does not allow this method on the requested resource")

    def _write(self, send, verb, resource, kind, namespace, name, body):
        try:
            obj = json.loads(body)
        except ValueError:
            raise Refused(400, "the object provided is unrecognized") from None
        meta = obj.setdefault("metadata", {})
        meta["namespace"] = namespace
        name = meta.setdefault("name", name)
        with self.lock:
            known = self.stores[resource].objects.get((namespace, name))
            if verb == "create" and known:
                raise Refused(409, f'{resource}.coordination.k8s.io "{name}" already exists')
            if verb == "update":
                if not known:
                    raise Refused(404, f'{resource} "{name}" not found')
                had = meta.get("resourceVersion")
                if had and had != known["metadata"]["resourceVersion"]:
                    raise Refused(409, f'Operation cannot be fulfilled on {resource} "{name}": the object has been '
                                       "modified; please apply your changes to the latest version and try again")
                meta["uid"] = known["metadata"]["uid"]
                meta["creationTimestamp"] = known["metadata"]["creationTimestamp"]
            for field in ("kind", "apiVersion"):
                obj.pop(field, None)
            stored = self._change(resource, obj)
        send.document(201 if verb == "create" else 200, {**kind, **stored})

    def _list(self, resource, api_version, namespace, query):
        with self.lock:
            store = self.stores[resource]
            version, start = self.version, 0
            if "continue" in query:
                try:
                    version, start = json.loads(base64.urlsafe_b64decode(query["continue"]))
                except ValueError:
                    raise Refused(400, "continue key is not valid") from None
                if version < store.compacted:
                    raise Refused(410, "The provided continue parameter is too old to display a consistent list result.")
            wanted = int(query.get("resourceVersion") or 0)
            if wanted and query.get("resourceVersionMatch") == "Exact" and wanted < store.compacted:
                raise Refused(410, f"The resourceVersion for the provided list is too old: {wanted}")
            items = [o for key, o in sorted(store.objects.items()) if selected(o, namespace, query)]
            limit = int(query.get("limit") or 0)
            meta = {"resourceVersion": str(version)}
            if limit and start + limit < len(items):
                meta["continue"] = base64.urlsafe_b64encode(json.dumps([version, start + limit]).encode()).decode()
                meta["remainingItemCount"] = len(items) - start - limit
            items = items[start : start + limit] if limit else items
            return {"kind": KINDS[resource] + "List", "apiVersion": api_version, "metadata": meta,
                    "items": copy.deepcopy(items)}

    def _watch(self, send, resource, kind, namespace, query):
        store = self.stores[resource]
        since = int(query.get("resourceVersion") or 0)
        deadline = time.monotonic() + min(int(query.get("timeoutSeconds") or 1800), 1800)
        send.begin_events()
        with self.lock:
            if since and since < store.compacted:
                too_old = f"too old resource version: {since} ({store.compacted})"
                events = [("ERROR", status_object(410, too_old, "Expired"))]
            elif not since:
                since = self.version
                events = [("ADDED", o) for _, o in sorted(store.objects.items()) if selected(o, namespace, query)]
            else:
                events = []
        while True:
            for event, obj in events:
                send.event(event, obj if event == "ERROR" else {**kind, **obj})
                if event == "ERROR":
                    send.end_events()
            with self.lock:
                while True:
                    new = [entry for entry in store.history if entry[0] > since]
                    if new or send.gone() or time.monotonic() > deadline:
                        break
                    self.lock.wait(0.2)
                if not new:
                    send.end_events()
                since = new[-1][0]
                events = [shown for entry in new for shown in self._shown(entry, namespace, query)]

    def _shown(self, entry, namespace, query):
        """The events that one watcher sees of a change: with a selector, it may come into view or go out of it."""
        version, event, before, obj = entry
        if event == "BOOKMARK":
            if query.get("allowWatchBookmarks") in ("1", "true"):
                return [(event, {"metadata": {"resourceVersion": str(version), "creationTimestamp": None}})]
            return []
        if event == "ERROR":
            return [(event, status_object(410, f"too old resource version: {version - 1} ({version})", "Expired"))]
        was = before is not None and selected(before, namespace, query)
        now = event != "DELETED" and selected(obj, namespace, query)
        if was and now:
            return [("MODIFIED", obj)]
        return [("ADDED", obj)] if now else [("DELETED", obj)] if was else []


class KubeletApi(Server):
    """The kubelet's /pods. Its certificate is its own, as of most clusters."""

    def __init__(self, directory, name="kubelet", host="127.0.0.1"):
        self.pods = {}
        super().__init__(directory, name, host)

    def put(self, pod):
        with self.lock:
            self.pods[key_of(pod)] = copy.deepcopy(pod)

    def delete(self, pod):
        with self.lock:
            self.pods.pop(key_of(pod), None)

    def route(self, method, url, _body):
        parts = urllib.parse.urlsplit(url)
        if method == "GET" and parts.path.rstrip("/") == "/pods":
            return Asked("list", "pods", "", None, {}, lambda send: send.document(200, self.list()))
        return Asked(method.lower(), "", "", None, {}, None)

    def list(self):
        with self.lock:
            return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": copy.deepcopy(list(self.pods.values()))}

    def check(self, token, asked):
        try:
            super().check(token, asked)
        except Refused as refused:
            raise Refused(refused.status, None) from None  # in words, no Status


class Cluster:
    """Both, with the same pods. A static pod is what the kubelet has by its hash, and its mirror what the API has."""

    def __init__(self, directory, node="node-1"):
        self.node = node
        self.api = KubeApi(directory)
        self.kubelet = KubeletApi(directory)

    def start(self):
        self.api.start()
        self.kubelet.start()
        return self

    def stop(self):
        self.api.stop()
        self.kubelet.stop()

    def put(self, pod):
        self.api.put(kube_objects.mirror(pod))
        self.kubelet.put(pod)

    def delete(self, pod):
        self.api.delete(pod)
        self.kubelet.delete(pod)


def key_of(obj):
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def selected(obj, namespace, query):
    if namespace and obj["metadata"].get("namespace") != namespace:
        return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, operator, value = re.fullmatch(r"(.*?)(==|!=|=)(.*)", term).groups()
        found = obj
        for word in path.split("."):
            found = found.get(word, "") if isinstance(found, dict) else ""
        if (str(found) == value) == (operator == "!="):
            return False
    return True

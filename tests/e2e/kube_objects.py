# SPDX-License-Identifier: Apache-2.0
"""Objects of a cluster as the API shows them, made of those that tests/data/kubernetes recorded.

    pod = kube_objects.pod("shop", "web-6d45d4ccfb-9w4l7", [container("web", "sh", "-c", "echo hi")], labels={"app": "web"})
"""

import copy
import datetime
import functools
import json
import os
import uuid

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data/kubernetes")
IMAGE = "localhost/busybox:latest"


def read(name):
    """A recorded document; of a name in .jsonl its lines, as they are."""
    with open(os.path.join(DATA, name), "rb") as file:
        return file.read().splitlines() if name.endswith(".jsonl") else json.load(file)


@functools.cache
def _recorded():
    return {p["metadata"]["name"]: p for p in read("pods-list.json")["items"]}


def recorded(name):
    """A copy of a recorded pod, as the API has it."""
    return copy.deepcopy(_recorded()[name])


def new_uid():
    return str(uuid.uuid4())


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def container(name, *command, image=IMAGE, **more):
    """A container of a pod's spec; `more` are other fields of it."""
    return {"name": name, "image": image, "command": list(command), "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "Never", **more}


def owner(kind, name):
    version = {"Job": "batch/v1", "Node": "v1"}.get(kind, "apps/v1")
    return {"apiVersion": version, "kind": kind, "name": name, "uid": new_uid(), "controller": True,
            "blockOwnerDeletion": True}


def pod(namespace, name, containers, init=(), node="node-1", labels=None, annotations=None, controller=None, spec=None,
        uid=None):
    """A pod, scheduled and not started yet. `controller`: (kind, name); `spec`: more fields of it."""
    one = recorded("hostnet")
    meta = {"name": name, "namespace": namespace, "uid": uid or new_uid(), "creationTimestamp": now(),
            "labels": dict(labels or {}), "annotations": dict(annotations or {}),
            "managedFields": one["metadata"]["managedFields"]}
    if controller:
        meta["ownerReferences"] = [owner(*controller)]
    for field in ("hostNetwork", "hostPID"):
        one["spec"].pop(field, None)
    one["spec"].update({"containers": list(containers), "nodeName": node, **(spec or {})})
    if init:
        one["spec"]["initContainers"] = list(init)
    one["metadata"] = meta
    one["status"] = {"phase": "Pending", "hostIP": "10.99.0.1", "podIP": "10.244.0.9",
                     "podIPs": [{"ip": "10.244.0.9"}], "startTime": now(), "qosClass": "BestEffort",
                     "conditions": one["status"]["conditions"]}
    return one


def static_pod(namespace, name, containers, **keywords):
    """A pod of a file of the kubelet's, as the kubelet has it: its uid is the hash of that file."""
    hashed = uuid.uuid4().hex
    annotations = {"kubernetes.io/config.hash": hashed, "kubernetes.io/config.seen": now(),
                   "kubernetes.io/config.source": "file", **keywords.pop("annotations", {})}
    return pod(namespace, name, containers, annotations=annotations, uid=hashed, **keywords)


def is_static(one):
    return one["metadata"].get("annotations", {}).get("kubernetes.io/config.source", "api") != "api"


def mirror(one):
    """What the API has of a pod: of a static one its mirror, whose uid is another. The same each time."""
    one = copy.deepcopy(one)
    if is_static(one):
        meta = one["metadata"]
        meta["uid"] = str(uuid.uuid5(uuid.NAMESPACE_OID, meta["uid"]))
        meta["annotations"]["kubernetes.io/config.mirror"] = meta["annotations"]["kubernetes.io/config.hash"]
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "Node", "name": one["spec"]["nodeName"],
                                    "uid": "445d799b-0eda-4e8e-9aa7-2782b8a66603", "controller": True}]
    return one


def filler(size):
    """A function that gives the bytes of the pod number n, of about that size, on this node."""
    one = pod("filler", "filler-@", [container("c", "true")], uid="00000000-0000-4000-8000-@@@@@@@@@@@@")
    text = json.dumps(one, separators=(",", ":"))
    one["metadata"]["annotations"]["padding"] = "x" * max(size - len(text), 0)
    text = json.dumps(one, separators=(",", ":"))
    return lambda n: text.replace("@@@@@@@@@@@@", f"{n:012}").replace("@", str(n)).encode()


def event_of_events_k8s_io(core):
    """The same event as events.k8s.io/v1 shows it."""
    one = {"metadata": copy.deepcopy(core["metadata"]), "eventTime": core.get("eventTime"), "reason": core.get("reason"),
           "regarding": core.get("involvedObject"), "note": core.get("message"), "type": core.get("type"),
           "reportingController": core.get("reportingComponent"), "reportingInstance": core.get("reportingInstance"),
           "deprecatedSource": core.get("source", {}), "deprecatedFirstTimestamp": core.get("firstTimestamp"),
           "deprecatedLastTimestamp": core.get("lastTimestamp"), "deprecatedCount": core.get("count")}
    for field in ("action", "related", "series"):
        if core.get(field):
            one[field] = core[field]
    return {k: v for k, v in one.items() if v is not None or k == "eventTime"}

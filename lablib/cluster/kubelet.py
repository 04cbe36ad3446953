"""Run pods annotated lab/run as local processes. Does I/O; starts and kills processes.

    python -m lablib.cluster.kubelet --kubeconfig FILE --state FOLDER

One small kubelet for all nodes of an embedded cluster. A pod that is bound becomes processes of yours:
command, environment, signals, exit codes, restarts and logs are real. **There is no isolation at all**: no
container, no limit, your files and your network. It is for pods that you wrote, on your own machine, and has
to be switched on (run_pods=True).

podspec.py reads a pod, podlife.py decides, podprocess.py starts and kills, podstatus.py writes the status.
KWOK keeps its hands off these pods, and serves their logs.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import queue
import selectors
import shutil
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from lablib.cluster.podlife import Instruction, PodLife, Remove, Report, Signal, Start
from lablib.cluster.podprocess import ContainerProcess, strays
from lablib.cluster.podspec import ConfigError, pod_spec, wanted
from lablib.cluster.podstatus import failed_status, pod_status
from lablib.cluster.supervisor import PR_SET_CHILD_SUBREAPER
from lablib.cluster.transport import Transport
from lablib.errors import ClusterError, Conflict, NotFound

WATCH_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 0.2
IDLE_SECONDS: Final = 5.0
STOP_SECONDS: Final = 5.0
"""Grace of pods when the kubelet itself is ended."""

Manifest = dict[str, Any]


class Watcher(threading.Thread):
    """Follows the pods, and hands every change to the kubelet's own thread."""

    def __init__(self, kubeconfig: Path, changes: queue.SimpleQueue[tuple[str, Manifest]], wake: int) -> None:
        super().__init__(daemon=True)
        self._transport, self._changes, self._wake = Transport(kubeconfig), changes, wake
        self._known: dict[str, Manifest] = {}

    def run(self) -> None:
        """List, then watch; after any trouble list again."""
        while True:
            try:
                self._follow()
            except (ClusterError, KeyError, ValueError):
                time.sleep(AGAIN_SECONDS)

    def _follow(self) -> None:
        listing = self._transport.get("/api/v1/pods")
        there = {pod["metadata"]["uid"]: pod for pod in listing["items"] if wanted(pod)}
        for uid in self._known.keys() - there.keys():
            self._tell("DELETED", self._known[uid])
        for pod in there.values():
            self._tell("MODIFIED", pod)
        version = listing["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": f"{WATCH_SECONDS:.0f}"}
        for change in self._transport.lines("/api/v1/pods", query, WATCH_SECONDS):
            if change["type"] == "ERROR":
                return
            if wanted(change["object"]):
                self._tell(change["type"], change["object"])

    def _tell(self, kind: str, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if kind == "DELETED":
            self._known.pop(uid, None)
        else:
            self._known[uid] = pod
        self._changes.put((kind, pod))
        os.write(self._wake, b".")


class Writer(threading.Thread):
    """Writes to the API server: of each pod the latest status only, and its removal after that."""

    def __init__(self, kubeconfig: Path) -> None:
        super().__init__(daemon=True)
        self._transport = Transport(kubeconfig)
        self._statuses: dict[str, tuple[Manifest, Manifest]] = {}
        self._order: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def status(self, pod: Manifest, status: Manifest) -> None:
        """Write this status, in place of one that is not written yet."""
        uid = pod["metadata"]["uid"]
        with self._lock:
            fresh = uid not in self._statuses
            self._statuses[uid] = (pod, status)
        if fresh:
            self._order.put(("status", uid))

    def remove(self, pod: Manifest) -> None:
        """Delete the pod's object, now."""
        with self._lock:
            self._statuses.setdefault(f"remove-{pod['metadata']['uid']}", (pod, {}))
        self._order.put(("remove", f"remove-{pod['metadata']['uid']}"))

    def logs(self, pod: Manifest, folder: Path) -> None:
        """Tell KWOK where the pod's logs are."""
        key = f"logs-{pod['metadata']['uid']}"
        with self._lock:
            self._statuses[key] = (pod, _logs(pod, folder))
        self._order.put(("logs", key))

    def run(self) -> None:
        """Write until the process ends; what the API server can't take now is tried again."""
        while True:
            kind, key = self._order.get()
            with self._lock:
                pod, body = self._statuses.pop(key)
            try:
                self._write(kind, pod, body)
            except (NotFound, Conflict):
                continue
            except ClusterError:
                time.sleep(AGAIN_SECONDS)
                with self._lock:
                    self._statuses.setdefault(key, (pod, body))
                self._order.put((kind, key))

    def _write(self, kind: str, pod: Manifest, body: Manifest) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if kind == "status":
            self._transport.patch(f"{path}/status", {"metadata": {"uid": meta["uid"]}, "status": body})
        elif kind == "remove":
            options = {"preconditions": {"uid": meta["uid"]}, "gracePeriodSeconds": 0}
            self._transport.delete(path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})
        else:
            kind_path = f"/apis/kwok.x-k8s.io/v1alpha1/namespaces/{meta['namespace']}/logs"
            self._transport.post(kind_path, body)


def _logs(pod: Manifest, folder: Path) -> Manifest:
    """KWOK's Logs object of a pod; it goes with the pod."""
    meta = pod["metadata"]
    spec = pod["spec"]
    names = [each["name"] for each in (*spec["containers"], *(spec.get("initContainers") or ()))]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Logs",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "ownerReferences": [owner]},
        "spec": {
            "logs": [
                {"containers": [name], "logsFile": str(folder / f"{name}.log"), "follow": False}
                for name in names
            ]
        },
    }


class Kubelet:
    """The pods of this machine; its own thread starts every process."""

    def __init__(self, kubeconfig: Path, state: Path) -> None:
        self._pods_folder = state / "pods"
        self._changes: queue.SimpleQueue[tuple[str, Manifest]] = queue.SimpleQueue()
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        self._watcher = Watcher(kubeconfig, self._changes, wake)
        self._writer = Writer(kubeconfig)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lives: dict[str, PodLife] = {}
        self._pods: dict[str, Manifest] = {}
        self._refused: set[str] = set()
        """Pods that can't be run as they are written."""
        self._gone: set[str] = set()
        """Pods whose object has gone before their processes."""
        self._processes: dict[tuple[str, str], ContainerProcess] = {}
        self.ending = False

    def run(self) -> None:
        """Until SIGTERM; then every pod's processes are ended."""
        self._watcher.start()
        self._writer.start()
        while not self.ending:
            self._turn()
        self._end_all()

    def _turn(self) -> None:
        due = [life.due_seconds for life in self._lives.values()]
        soonest = min((each for each in due if each is not None), default=time.time() + IDLE_SECONDS)
        for key, _ in self._selector.select(min(max(soonest - time.time(), 0), IDLE_SECONDS)):
            if key.fd == self._wake:
                with suppress(BlockingIOError):
                    os.read(self._wake, 65536)
            elif not key.data.drain():
                self._selector.unregister(key.fd)
        self._reap()
        while not self._changes.empty():
            self._changed(*self._changes.get())
        now = time.time()
        for uid, life in list(self._lives.items()):
            self._carry_out(uid, life.tick(now))

    # Changes of the API

    def _changed(self, kind: str, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        self._pods[uid] = pod
        if kind == "DELETED":
            self._vanished(uid)
        elif uid in self._lives:
            self._maybe_stop(uid)
        elif uid not in self._refused and not _ended(pod):
            self._adopt(uid)
        elif "deletionTimestamp" in pod["metadata"]:
            self._writer.remove(pod)

    def _adopt(self, uid: str) -> None:
        """A pod that is new here: bound just now, or left by a kubelet that died."""
        pod, now = self._pods[uid], time.time()
        try:
            life = PodLife(pod_spec(pod))
        except ConfigError as error:
            self._refused.add(uid)
            self._writer.status(pod, failed_status("CreateContainerConfigError", str(error)))
            return
        self._lives[uid] = life
        if "deletionTimestamp" in pod["metadata"]:
            self._maybe_stop(uid)
            return
        self._writer.logs(pod, self._folder(uid))
        if (pod.get("status") or {}).get("startTime"):
            life.started_seconds = now
            for name in life.runs:  # its processes died with the kubelet that had started them
                self._carry_out(uid, life.exited(name, -signal.SIGKILL, now, "the kubelet was restarted"))
        else:
            self._carry_out(uid, life.begin(now))

    def _maybe_stop(self, uid: str) -> None:
        meta, life = self._pods[uid]["metadata"], self._lives[uid]
        if "deletionTimestamp" in meta:
            grace = meta.get("deletionGracePeriodSeconds", life.spec.grace_seconds)
            self._carry_out(uid, life.stop(float(grace), time.time()))

    def _vanished(self, uid: str) -> None:
        """The object has gone: whatever still runs goes too."""
        for key in [key for key in self._processes if key[0] == uid]:
            self._processes[key].send(signal.SIGKILL)
        if uid in self._lives:
            self._lives[uid].stop(0, time.time())
            self._lives[uid].removed = True
        self._gone.add(uid)
        self._forget(uid)

    def _forget(self, uid: str) -> None:
        """Drop a pod whose object has gone and whose processes have ended."""
        if uid in self._pods and not any(key[0] == uid for key in self._processes):
            shutil.rmtree(self._folder(uid), ignore_errors=True)
            self._lives.pop(uid, None)
            self._pods.pop(uid)
            self._refused.discard(uid)
            self._gone.discard(uid)

    # Instructions

    def _carry_out(self, uid: str, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Start(container):
                    self._start(uid, container)
                case Signal(number):
                    for key, process in self._processes.items():
                        if key[0] == uid:
                            process.send(number)
                case Report():
                    self._report(uid)
                case Remove():
                    self._writer.remove(self._pods[uid])

    def _report(self, uid: str) -> None:
        conditions = (self._pods[uid].get("status") or {}).get("conditions") or ()
        self._writer.status(self._pods[uid], pod_status(self._lives[uid], conditions, time.time()))

    def _start(self, uid: str, name: str) -> None:
        life = self._lives[uid]
        container = next(each for each in (*life.spec.first, *life.spec.containers) if each.name == name)
        try:
            process = ContainerProcess(life.spec, container, self._folder(uid))
        except OSError as error:
            message = f"{container.argv[0]} can't be started: {error.strerror}"
            self._carry_out(uid, life.failed_to_start(name, message, time.time()))
            return
        self._processes[uid, name] = process
        self._selector.register(process.pipe, selectors.EVENT_READ, process)
        self._carry_out(uid, life.started(name, time.time()))

    def _reap(self) -> None:
        """Note which processes have ended, and end what they left behind."""
        for key, process in list(self._processes.items()):
            code = process.child.poll()
            if code is not None:
                self._processes.pop(key)
                with suppress(KeyError):
                    self._selector.unregister(process.pipe)
                process.close()
                self._carry_out(key[0], self._lives[key[0]].exited(key[1], code, time.time()))
                if key[0] in self._gone:
                    self._forget(key[0])
        self._end_strays()

    def _end_strays(self) -> None:
        alive = {uid for uid, _ in self._processes}
        known = {process.child.pid for process in self._processes.values()}
        for pid, uid in strays(known):
            if uid not in alive:
                with suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)

    def _folder(self, uid: str) -> Path:
        meta = self._pods[uid]["metadata"]
        return self._pods_folder / f"{meta['namespace']}_{meta['name']}_{uid}"

    def _end_all(self) -> None:
        """SIGTERM to all, SIGKILL to who stays."""
        for process in self._processes.values():
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._processes and time.monotonic() < deadline:
            for key, process in list(self._processes.items()):
                if process.child.poll() is not None:
                    self._processes.pop(key).close()
            time.sleep(0.02)
        for process in self._processes.values():
            process.send(signal.SIGKILL)
            process.child.wait()
        self._processes.clear()
        self._end_strays()


def _ended(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def main() -> None:
    """Parse the command line, and run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    kubelet = Kubelet(arguments.kubeconfig, arguments.state)

    def end(_number: int, _frame: object) -> None:
        kubelet.ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    kubelet.run()


if __name__ == "__main__":
    main()

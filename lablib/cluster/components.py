"""The command lines of an embedded cluster's components. Does no I/O.

All listen on loopback only. facts about each flag: docs/architecture.md, "The embedded control plane".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lablib.cluster.supervisor import Component

PORTS: Final = (
    "etcd",
    "etcd-peer",
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kwok",
)
"""What needs a port of its own."""
HEALTH: Final = {
    "etcd": "/readyz",
    "kube-apiserver": "/readyz",
    "kube-scheduler": "/readyz",
    "kube-controller-manager": "/healthz",
    "kwok": "/healthz",
}
"""Where each component says that it is well."""
MARK: Final = "LAB_CLUSTER"
"""Environment variable that every process of a cluster carries; its value is the cluster's state folder."""


@dataclass(frozen=True)
class Plan:
    """All that the command lines depend on."""

    folder: Path
    """The cluster's state folder."""
    ports: Mapping[str, int]
    binaries: Path
    stages: Path
    """KWOK's stages, clusters/embedded/stages.yaml."""
    run_pods: bool = False
    feature_gates: str = ""
    """Such as "GenericWorkload=true"; given to the API server and the scheduler."""

    @property
    def pki(self) -> Path:
        """Folder of the certificates."""
        return self.folder / "pki"

    def address(self, name: str) -> str:
        """Host and port of a component."""
        return f"127.0.0.1:{self.ports[name]}"


def components(plan: Plan) -> tuple[Component, ...]:
    """All components, in the order in which they start."""
    arguments = {
        "etcd": etcd(plan),
        "kube-apiserver": kube_apiserver(plan),
        "kube-scheduler": kube_scheduler(plan),
        "kube-controller-manager": kube_controller_manager(plan),
        "kwok": kwok(plan),
    }
    binaries = tuple(
        component(plan, name, [str(plan.binaries / name), *each]) for name, each in arguments.items()
    )
    return (*binaries, component(plan, "kubelet", kubelet(plan))) if plan.run_pods else binaries


def component(plan: Plan, name: str, argv: list[str]) -> Component:
    """One component, with a small environment of its own."""
    env = {
        MARK: str(plan.folder),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(plan.folder),
    }
    return Component(name, argv, env, str(plan.folder / "logs" / f"{name}.log"))


def flags(options: Mapping[str, object]) -> list[str]:
    """Command-line flags, --name=value."""
    return [f"--{name}={value}" for name, value in options.items()]


def etcd(plan: Plan) -> list[str]:
    """A throw-away store: it does not wait for the disk, so a power cut may lose it; a kill does not."""
    client, peer = f"https://{plan.address('etcd')}", f"https://{plan.address('etcd-peer')}"
    return flags(
        {
            "name": "lab",
            "data-dir": plan.folder / "etcd",
            "unsafe-no-fsync": "true",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"lab={peer}",
            "cert-file": plan.pki / "etcd.crt",
            "key-file": plan.pki / "etcd.key",
            "client-cert-auth": "true",
            "trusted-ca-file": plan.pki / "etcd-ca.crt",
            "peer-cert-file": plan.pki / "etcd.crt",
            "peer-key-file": plan.pki / "etcd.key",
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": plan.pki / "etcd-ca.crt",
            "log-level": "warn",
        }
    )


def kube_apiserver(plan: Plan) -> list[str]:
    """The API server, with client certificates and RBAC."""
    options: dict[str, object] = {
        "etcd-servers": f"https://{plan.address('etcd')}",
        "etcd-cafile": plan.pki / "etcd-ca.crt",
        "etcd-certfile": plan.pki / "etcd-client.crt",
        "etcd-keyfile": plan.pki / "etcd-client.key",
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": plan.ports["kube-apiserver"],
        "tls-cert-file": plan.pki / "apiserver.crt",
        "tls-private-key-file": plan.pki / "apiserver.key",
        "client-ca-file": plan.pki / "ca.crt",
        "service-account-key-file": plan.pki / "service-account.pub",
        "service-account-signing-key-file": plan.pki / "service-account.key",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-cluster-ip-range": "10.0.0.0/24",
        "authorization-mode": "Node,RBAC",
        "endpoint-reconciler-type": "none",
        "allow-privileged": "true",
        "watch-cache": "true",
        "v": 1,
    }
    if plan.feature_gates:
        options["feature-gates"] = plan.feature_gates
    return flags(options)


def client(plan: Plan, name: str) -> dict[str, object]:
    """How the scheduler and the controller manager reach the API server and are reached."""
    config = plan.folder / "kubeconfigs" / name
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "secure-port": plan.ports[name],
        "cert-dir": plan.folder / "serving" / name,
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
    }


def kube_scheduler(plan: Plan) -> list[str]:
    """The scheduler with its default profile; client limits raised from 50/s to 500/s."""
    gates = {"feature-gates": plan.feature_gates} if plan.feature_gates else {}
    return flags(client(plan, "kube-scheduler") | gates)


def kube_controller_manager(plan: Plan) -> list[str]:
    """All default controllers, each with its own service account."""
    return flags(
        client(plan, "kube-controller-manager")
        | {
            "root-ca-file": plan.pki / "ca.crt",
            "service-account-private-key-file": plan.pki / "service-account.key",
            "use-service-account-credentials": "true",
        }
    )


def kwok(plan: Plan) -> list[str]:
    """KWOK plays every node; it serves pods' logs for the API server."""
    options: dict[str, object] = {
        "kubeconfig": plan.folder / "kubeconfigs" / "kwok",
        "config": plan.stages,
        "manage-all-nodes": "true",
        "node-ip": "127.0.0.1",
        "node-port": plan.ports["kwok"],
        "server-address": plan.address("kwok"),
        "tls-cert-file": plan.pki / "apiserver.crt",
        "tls-private-key-file": plan.pki / "apiserver.key",
        "node-lease-duration-seconds": 40,
    }
    if plan.run_pods:
        options["enable-crds"] = "Logs"
    return flags(options)


def kubelet(plan: Plan) -> list[str]:
    """Ours: runs pods annotated lab/run as local processes."""
    module = [sys.executable, "-m", "lablib.cluster.kubelet"]
    state, config = plan.folder, plan.folder / "kubeconfigs" / "kubelet"
    return [*module, "--kubeconfig", str(config), "--state", str(state)]

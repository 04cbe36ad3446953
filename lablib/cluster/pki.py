"""Certificates of an embedded cluster: one authority, one certificate for each component. Writes files.

Each component gets a client certificate with just the identity that Kubernetes' own roles expect of it; only
the admin's is in system:masters. Keys are readable by their owner alone.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS: Final = 30
"""An embedded cluster is a thing of days; `up` makes new certificates when a week is left."""
RENEW_DAYS: Final = 7

SERVER_NAMES: Final = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES: Final = ("127.0.0.1", "10.0.0.1")
"""Loopback, and the first address of the service range: what pods would call `kubernetes`."""


@dataclass(frozen=True)
class Identity:
    """Who a client certificate says it is: a user name and its groups."""

    file: str
    user: str
    groups: tuple[str, ...] = ()


CLIENTS: Final = (
    Identity("admin", "lab-admin", ("system:masters",)),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kwok", "lab:kwok"),
    Identity("kubelet", "lab:kubelet"),
)
"""Kubernetes itself binds roles to system: users; clusters/embedded/rbac.yaml binds those of lab: users."""


class Authority:
    """A certificate authority that lives as long as one call of `write`."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            builder(subject, subject, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, identity: Identity, *, server: bool = False) -> tuple[bytes, bytes]:
        """A certificate and its key, both PEM: for a client, or for a server (which may be a client too)."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])]
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])
        certificate = builder(subject, self.certificate.subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        if server:
            certificate = certificate.add_extension(server_names(), critical=False)
        return pem(certificate.sign(self.key, hashes.SHA256())), private_pem(key)


def builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    """A certificate that is valid from an hour ago, for clocks that differ a little."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS))
    )


def server_names() -> x509.SubjectAlternativeName:
    """The names and addresses under which the servers answer."""
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in SERVER_ADDRESSES]
    return x509.SubjectAlternativeName([*(x509.DNSName(name) for name in SERVER_NAMES), *addresses])


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from the first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def write(folder: Path) -> None:
    """Make new authorities and every certificate and key of a cluster.

    Files: ca.crt and etcd-ca.crt; NAME.crt and NAME.key for apiserver, etcd, etcd-client and each of CLIENTS;
    service-account.key and .pub. The authorities' own keys are not kept: nobody can issue more. etcd has an
    authority of its own, so that it listens to the API server and to nobody else.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    api, etcd = Authority("lab"), Authority("lab-etcd")
    write_private(folder / "ca.crt", pem(api.certificate))
    write_private(folder / "etcd-ca.crt", pem(etcd.certificate))
    for authority, identity, server in (
        (api, Identity("apiserver", "kube-apiserver"), True),
        (etcd, Identity("etcd", "etcd"), True),
        (etcd, Identity("etcd-client", "kube-apiserver"), False),
        *((api, client, False) for client in CLIENTS),
    ):
        certificate, key = authority.issue(identity, server=server)
        write_private(folder / f"{identity.file}.crt", certificate)
        write_private(folder / f"{identity.file}.key", key)
    accounts = ec.generate_private_key(ec.SECP256R1())
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_private(folder / "service-account.key", private_pem(accounts))
    write_private(folder / "service-account.pub", public)


def days_left(folder: Path, now: dt.datetime) -> float:
    """Days until the first certificate of a folder expires; 0 when it has none or a damaged one."""
    try:
        ends = [
            x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
            for file in folder.glob("*.crt")
        ]
    except ValueError:
        return 0.0
    return min(((end - now).total_seconds() / 86400 for end in ends), default=0.0)


def kubeconfig(folder: Path, server: str, identity: str, cluster: str = "lab") -> str:
    """A kubeconfig, as JSON (which is YAML too), with the certificates inside it.

    Args:
        folder: where `write` put the files.
        server: URL of the API server.
        identity: `file` of one of CLIENTS.
        cluster: name of the cluster and of the context.
    """

    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": identity,
                    "user": {
                        "client-certificate-data": data(f"{identity}.crt"),
                        "client-key-data": data(f"{identity}.key"),
                    },
                }
            ],
            "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": identity}}],
            "current-context": cluster,
        },
        indent=1,
    )

"""Certificates: one authority each for the API server and etcd, one identity each, files of one's own."""

import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from lablib.cluster import pki


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates") / "pki"
    pki.write(folder)
    return folder


def certificate(folder, name):
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def test_only_the_admin_is_a_master(folder):
    groups = {
        client.file: [
            attribute.value
            for attribute in certificate(folder, client.file).subject.get_attributes_for_oid(
                NameOID.ORGANIZATION_NAME
            )
        ]
        for client in pki.CLIENTS
    }
    assert groups.pop("admin") == ["system:masters"]
    assert set(map(tuple, groups.values())) == {()}


def test_etcd_has_an_authority_of_its_own(folder):
    api, etcd = certificate(folder, "ca"), certificate(folder, "etcd-ca")
    certificate(folder, "etcd-client").verify_directly_issued_by(etcd)
    certificate(folder, "admin").verify_directly_issued_by(api)
    with pytest.raises(ValueError, match="ssuer"):
        certificate(folder, "admin").verify_directly_issued_by(etcd)


def test_the_authorities_keys_are_not_kept(folder):
    assert not (folder / "ca.key").exists()
    assert not (folder / "etcd-ca.key").exists()


def test_files_are_their_owners_alone(folder):
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_days_left_counts_to_the_first_end(folder, tmp_path):
    now = dt.datetime.now(dt.UTC)
    assert pki.VALID_DAYS - 1 < pki.days_left(folder, now) <= pki.VALID_DAYS
    assert pki.days_left(folder, now + dt.timedelta(days=pki.VALID_DAYS + 1)) < 0
    assert pki.days_left(tmp_path, now) == 0
    (tmp_path / "ca.crt").write_text("not a certificate")
    assert pki.days_left(tmp_path, now) == 0


def test_a_kubeconfig_carries_its_certificates(folder):
    config = json.loads(pki.kubeconfig(folder, "https://127.0.0.1:1", "kwok", "lab-x"))
    assert config["current-context"] == "lab-x"
    assert config["users"][0]["name"] == "kwok"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"

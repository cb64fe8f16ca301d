"""Certificates: chosen by the name that a client asks for, renewed while the service runs."""
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from harness.client import insecure_context
from harness.ports import eventually


def make(directory, name, days=2):
    """A certificate for a name; its key is for root's eyes only."""
    cert, key = directory / (name + ".pem"), directory / (name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj",
                    "/CN=" + name, "-addext", "subjectAltName=DNS:%s,DNS:*.%s" % (name, name), "-keyout", str(key), "-out", str(cert)],
                   check=True, capture_output=True, timeout=30)
    os.chmod(key, 0o600)
    return cert, key


def shown(port, name):
    """The subject of the certificate that a client is shown who asks for the name."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with insecure_context().wrap_socket(plain, server_hostname=name) as tls:
            der = tls.getpeercert(binary_form=True)
    pem = ssl.DER_cert_to_PEM_cert(der)
    text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-serial"], input=pem, text=True, capture_output=True, check=True).stdout
    return text


@pytest.fixture
def weir(start_mailweir, mta, tmp_path):
    a, b = make(tmp_path, "a.example"), make(tmp_path, "b.example")
    return start_mailweir(mta, workers=2, server='tls certificate "%s" key "%s"\n' % a +
                          'tls certificate "%s" key "%s" { names mx.example.org, .sub.example.org }\n' % b)


def test_by_name(weir):
    for name, wanted in {"a.example": "a.example", "x.a.example": "a.example", "b.example": "b.example", "mx.example.org": "b.example",
                         "deep.sub.example.org": "b.example"}.items():
        assert wanted in shown(weir.submissions, name), name
    for name in ("other.example", "sub.example.org", None):  # the first one
        assert "a.example" not in shown(weir.submissions, name) and "b.example" not in shown(weir.submissions, name), name


@pytest.mark.heavy
def test_renewed_while_it_runs(weir, tmp_path):
    before = shown(weir.submissions, "b.example")
    pids = weir.children("worker")
    # broken first: the old one stays, and it is said once
    key = tmp_path / "b.example.key"
    shutil.copy(key, tmp_path / "saved.key")
    key.write_text("broken\n")
    eventually(lambda: "keeps its last good content" in weir.stderr(), 45, "the broken key is noticed")
    assert shown(weir.submissions, "b.example") == before
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    cert, new_key = make(fresh, "b.example")
    os.rename(new_key, key)
    os.rename(cert, tmp_path / "b.example.pem")
    eventually(lambda: all(shown(weir.submissions, "b.example") != before for _ in range(6)), 45, "the new one is shown")
    assert weir.children("worker") == pids
    assert weir.stderr().count("keeps its last good content") == 1

"""Certificates of clients: `client-ca` says who signs them, `tls.certificate` is the subject of one that is believed."""
import os
import ssl
import subprocess

import pytest

from harness.client import Client, insecure_context
from harness.mailweir import BINARY
from harness.ports import eventually

RULES = """
on helo { rule noted tag certificate "${tls.certificate}" if not tls.certificate is none }
on rcpt {
    rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated or tls.certificate contains "CN=alice"
}
"""


def openssl(*arguments):
    subprocess.run(["openssl"] + [str(a) for a in arguments], check=True, capture_output=True, timeout=30)


def make(directory, file, name, ca=None):
    """A key and a certificate of that common name, signed by `ca` (its file) or by itself."""
    cert, key, request = (directory / (file + end) for end in (".pem", ".key", ".csr"))
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/O=Example/CN=" + name, "-keyout", key]
    if ca is None:
        openssl("req", "-x509", "-days", 2, *ec, "-out", cert)
    else:
        openssl("req", "-new", *ec, "-out", request)
        openssl("x509", "-req", "-in", request, "-days", 2, "-CA", directory / (ca + ".pem"), "-CAkey", directory / (ca + ".key"), "-out", cert)
    os.chmod(key, 0o600)
    return str(cert), str(key)


@pytest.fixture
def files(tmp_path):
    shown = {"self": make(tmp_path, "self", "alice"), "ca": make(tmp_path, "ca", "Our CA"), "ca2": make(tmp_path, "ca2", "Next CA")}
    shown["alice"] = make(tmp_path, "alice", "alice", "ca")
    shown["bob"] = make(tmp_path, "bob", "bob", "ca")
    shown["alice2"] = make(tmp_path, "alice2", "alice", "ca2")
    os.chmod(tmp_path / "ca.pem", 0o600)  # for root's eyes only: workers have given that up
    return shown


@pytest.fixture
def weir(start_mailweir, mta, tmp_path, files):
    one = start_mailweir(mta, run=False, workers=2, rules=RULES,
                         server='tls certificate "%s" key "%s" { names mail.example.org  client-ca "%s" }' % (files["self"] + (tmp_path / "ca.pem",)))
    one.certificate = None
    one.write_config()
    return one.start()


def context_of(certificate, version=ssl.TLSVersion.TLSv1_3):
    context = insecure_context(version, version)
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def secure(port, context, session=None):
    client = Client(port)
    client.reply()
    client.expect("250", "EHLO c.example")
    client.expect("220", "STARTTLS")
    client.socket = context.wrap_socket(client.socket, server_hostname="mail.example.org", session=session)
    client.expect("250", "EHLO c.example")
    return client


def relays(client):
    """Does it take a mail to elsewhere, without a login?"""
    client.expect("250", "MAIL FROM:<a@example.net>")
    reply = client.command("RCPT TO:<b@elsewhere.example>")
    assert reply.both in ("250 2.1.5", "550 5.7.1"), reply
    client.expect("250", "RSET")
    return reply.code == 250


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_is_believed(weir, files, version):
    for name, wanted in {None: False, "alice": True, "bob": False, "self": False, "alice2": False}.items():
        context = context_of(files.get(name), version)
        with secure(weir.smtp, context) as client:
            assert relays(client) == wanted, name
            session = client.socket.session
        for _ in range(6):  # at either worker, and without a certificate being shown again
            with secure(weir.smtp, context, session) as client:
                assert client.socket.session_reused, name
                assert relays(client) == wanted, name
    with Client(weir.smtp) as plain:
        plain.reply()
        plain.expect("250", "EHLO c.example")
        assert not relays(plain)


def test_a_mail_goes_through(weir, mta, files):
    with secure(weir.smtp, context_of(files["alice"])) as client:
        for line, wanted in (("MAIL FROM:<a@example.net>", "250"), ("RCPT TO:<b@elsewhere.example>", "250"), ("DATA", "354"),
                             ("Subject: hello\r\n\r\nhello\r\n.", "250"), ("QUIT", "221")):
            client.expect(wanted, line)
    event = weir.wait_event("mail")
    assert event["tags"]["certificate"] == "CN=alice,O=Example", event
    assert "user" not in event and "certificate" not in event


def test_other_cas_after_a_reload(weir, files, tmp_path):
    context = context_of(files["alice"])
    with secure(weir.smtp, context) as client:
        assert relays(client)
        session = client.socket.session
    weir.write_config(server=weir.server.replace("ca.pem", "ca2.pem"))
    weir.reload()
    with secure(weir.smtp, context, session) as client:  # nor does her ticket help her
        assert not client.socket.session_reused
        assert not relays(client)
    with secure(weir.smtp, context_of(files["alice2"])) as client:
        assert relays(client)

    os.rename(tmp_path / "ca2.pem", tmp_path / "away.pem")
    weir.reload()
    assert 'cannot read "%s": No such file or directory' % (tmp_path / "ca2.pem") in weir.stderr()
    with secure(weir.smtp, context_of(files["alice2"])) as client:  # as it was
        assert relays(client)


@pytest.mark.heavy
def test_a_new_ca_while_it_runs(weir, files, tmp_path):
    pids = weir.children("worker")
    os.rename(tmp_path / "ca2.pem", tmp_path / "ca.pem")

    def believed(name):
        with secure(weir.smtp, context_of(files[name])) as client:
            return relays(client)

    eventually(lambda: all(believed("alice2") and not believed("alice") for _ in range(4)), 45, "the new CA is believed, the old one is not")
    assert weir.children("worker") == pids


@pytest.mark.parametrize("content,said", [(None, 'cannot read "%s": No such file or directory'),
                                          ("nothing\n", "%s: there is no certificate in PEM form in it")])
def test_a_file_that_is_no_use(start_mailweir, mta, tmp_path, files, content, said):
    """A warning where it is only checked, an error where it is to be used."""
    ca = tmp_path / "none.pem"
    if content:
        ca.write_text(content)
    weir = start_mailweir(mta, run=False, server='tls certificate "%s" key "%s" { client-ca "%s" }' % (files["self"] + (ca,)))
    done = subprocess.run([BINARY, "check", weir.config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "warning: " + said % ca in done.stderr, done
    done = subprocess.run([BINARY, "serve", "-c", weir.config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "error: " + said % ca in done.stderr, done

"""Real clients, a real Postfix: what was sent arrives byte for byte, whatever the way and the login."""
import itertools
import pathlib
import smtplib
import ssl
import subprocess

import pytest

from harness.client import insecure_context, message, session, stuff
from harness.mailweir import SLOWNESS, Mailweir
from harness.postfix import Postfix
from harness.tools import LoginGate, smtp_source, swaks

SAMPLES = pathlib.Path(__file__).parent / "samples"
WAYS = list(itertools.product(("submission", "submissions"), ("PLAIN", "LOGIN")))


def bodies():
    head = message(text="")
    return {
        "one byte": head + b"x\r\n",
        "empty body": head,
        "header only, no empty line": head[:-2],
        "8-bit": head + bytes(b for b in range(1, 256) if b not in b"\r\n") + b"\r\n" + "Grüße\r\n".encode("latin-1"),
        "leading dots": head + b".\r\n..\r\n...\r\n.x\r\n\r\n.\r\n.\r\n",
        "dots, then nothing": head + b"a\r\n.",
        "998-byte lines": head + b"".join(bytes([65 + n]) * 998 + b"\r\n" for n in range(6)),
        "a 998-byte line of dots": head + b"." * 998 + b"\r\n",
        "blanks at line ends": head + b" \r\n\t\r\na \r\n\r\n\r\n",
        "From at the line's head": head + b"From me\r\nFrom: you\r\n.From us\r\n",
        "PGP/MIME": (SAMPLES / "pgp-mime.eml").read_bytes(),
        "folded header": head[:-2] + b"X-Long: a\r\n b\r\n\tc\r\n\r\nbody\r\n",
    }


BODIES = bodies()


def stored(sent):
    """How a mailbox keeps what was sent: lines end in LF, the last one too."""
    text = sent.replace(b"\r\n", b"\n")
    return text if not text or text.endswith(b"\n") else text + b"\n"


@pytest.fixture(scope="module")
def weir(binary, room, certificate, postfix):
    server = Mailweir(room / "delivery", postfix.port, certificate=certificate, workers=2, server="max-message 60M")
    try:
        yield server.start()
        assert server.stop() == 0, server.stderr()
    finally:
        server.kill()


def send_by_smtplib(weir, how, mechanism, sent, timeout=60):
    port = getattr(weir, how)
    context = insecure_context()
    if how == "submissions":
        client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=timeout, context=context, local_hostname="client.example")
    else:
        client = smtplib.SMTP("127.0.0.1", port, timeout=timeout, local_hostname="client.example")
    with client:
        client.ehlo()
        if how == "submission":
            client.starttls(context=context)
            client.ehlo()
        assert {"plain", "login"} <= set(client.esmtp_features["auth"].lower().split())
        client.user, client.password = "alice@example.org", "secret"
        code, text = client.auth(mechanism, client.auth_plain if mechanism == "PLAIN" else client.auth_login)
        assert code == 235, text
        options = ["BODY=8BITMIME"]  # smtplib adds SIZE
        assert client.sendmail("alice@example.org", ["bob@example.net"], sent, mail_options=options) == {}


@pytest.mark.parametrize("how,mechanism", WAYS)
@pytest.mark.parametrize("name", BODIES)
def test_smtplib(weir, mailbox, how, mechanism, name):
    send_by_smtplib(weir, how, mechanism, BODIES[name])
    [mail] = mailbox.mails(1)
    assert mail.as_sent() == stored(BODIES[name])
    assert len(mail.all("Received")) == 2
    assert mail.get("Return-Path") == "<alice@example.org>"


@pytest.mark.parametrize("how,mechanism", WAYS)
@pytest.mark.parametrize("name", BODIES)
def test_swaks(weir, mailbox, place, how, mechanism, name):
    (place / "wire").write_bytes(stuff(BODIES[name]))
    done = swaks(getattr(weir, how), "--no-data-fixup", mechanism=mechanism, data=place / "wire",
                 tls="--tlsc" if how == "submissions" else "--tls")
    assert done.returncode == 0, done.stdout + done.stderr
    [mail] = mailbox.mails(1)
    assert mail.as_sent() == stored(BODIES[name])


@pytest.mark.parametrize("how,mechanism", WAYS)
def test_smtp_source(weir, mailbox, how, mechanism):
    with LoginGate(getattr(weir, how), how, mechanism) as gate:
        done = smtp_source(gate.port, "-m", "20", "-s", "4", "-l", "4000")
        assert done.returncode == 0 and not gate.failures, done.stderr + str(gate.failures)
    mails = mailbox.mails(20)
    assert {mail.body for mail in mails} == {mails[0].body}
    assert len(mails[0].body) > 3900 and mails[0].get("From")


def test_smtp_source_sends_several_mails_on_a_connection(weir, mailbox, place):
    (place / "text").write_bytes(BODIES["leading dots"].replace(b"\r\n", b"\n"))
    # What smtp-source makes of the file, without mailweir between.
    assert smtp_source(mailbox.port, "-F", str(place / "text")).returncode == 0
    [direct] = mailbox.mails(1)
    mailbox.forget()
    with LoginGate(weir.submission) as gate:
        done = smtp_source(gate.port, "-d", "-m", "30", "-s", "3", "-F", str(place / "text"))
        assert done.returncode == 0 and not gate.failures, done.stderr + str(gate.failures)
    assert [mail.as_sent() for mail in mailbox.mails(30)] == [direct.as_sent()] * 30


@pytest.mark.parametrize("how", ("submission", "submissions"))
@pytest.mark.timeout(180)
def test_25_megabytes_in_bounded_memory(weir, mailbox, how):
    line = bytes(range(32, 127)) * 8
    sent = message(text="") + (line[:760] + b"\r\n") * (25 * 1024 * 1024 // 762)
    # The pages that a process touches once stay with it: one mail of this size first.
    before = {pid: weir.resident_kb(pid) for pid in weir.children()}
    send_by_smtplib(weir, how, "PLAIN", sent, timeout=120)
    grown = sum(max(0, weir.resident_kb(pid) - before.get(pid, 0)) for pid in weir.children())
    [mail] = mailbox.mails(1, timeout=60)
    assert mail.as_sent() == stored(sent)
    assert grown < 4096 * SLOWNESS * SLOWNESS, "%d kB more after a mail of 25 MB" % grown


def test_s_mime_verifies_after_delivery(weir, mailbox, place, certificate):
    (place / "plain").write_bytes(b"Content-Type: text/plain\r\n\r\nSigned \xc3\xbc.\t \r\n.\r\n\r\n")
    signed = subprocess.run(["openssl", "smime", "-sign", "-binary", "-crlfeol", "-signer", certificate[0], "-inkey", certificate[1],
                             "-in", place / "plain", "-from", "alice@example.org", "-to", "bob@example.net", "-subject", "signed"],
                            check=True, capture_output=True, timeout=30).stdout
    sent = signed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    send_by_smtplib(weir, "submission", "PLAIN", sent)
    [mail] = mailbox.mails(1)
    assert mail.as_sent() == stored(sent)
    (place / "delivered").write_bytes(mail.stored.replace(b"\n", b"\r\n"))
    done = subprocess.run(["openssl", "smime", "-verify", "-crlfeol", "-noverify", "-in", place / "delivered", "-out", place / "verified"],
                          capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert b"Signed \xc3\xbc.\t \r\n" in (place / "verified").read_bytes()


def test_a_message_without_a_byte(start_mailweir, mta):
    weir = start_mailweir(mta)
    with session(weir.submission) as client:
        assert client.mail(b"").code == 250
        client.quit()
    [taken] = mta.taken
    assert taken.received.startswith(b"Received: ") and taken.as_sent == b""


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("split", (None, 1, 3, 4096))
def test_on_the_wire_nothing_is_changed(module_mailweir, module_mta, name, split):
    """What a mailbox would hide: the exact bytes that the MTA gets, however they were cut."""
    module_mta.forget()
    with session(module_mailweir.plain, "plain") as client:
        for command in ("MAIL FROM:<alice@example.org> BODY=8BITMIME", "RCPT TO:<bob@example.net>"):
            client.expect("250", command)
        client.expect("354", "DATA")
        client.send(stuff(BODIES[name]), split)
        assert client.reply().both == "250 2.0.0"
    [taken] = module_mta.taken
    ended = BODIES[name] if BODIES[name].endswith(b"\r\n") else BODIES[name] + b"\r\n"
    assert taken.as_sent == ended
    assert taken.received.startswith(b"Received: ") and taken.received.endswith(b"\r\n")


@pytest.mark.parametrize("way", ("submission", "submissions"))
def test_postfix_as_the_submitter(weir, mailbox, room, way):
    """A mail server that submits through mailweir: its own TLS, SASL, pipelining and pace."""
    place = room / ("submitter-" + way)
    place.mkdir()
    place.chmod(0o755)
    submitter = Postfix(place, more="""
virtual_mailbox_domains =
relayhost = [127.0.0.1]:%d
smtp_tls_security_level = encrypt
smtp_tls_wrappermode = %s
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_mechanism_filter = plain, login
smtp_sasl_password_maps = inline:{ { [127.0.0.1]:%d = alice@example.org:secret } }
""" % (getattr(weir, way), "yes" if way == "submissions" else "no", getattr(weir, way)))
    try:
        submitter.start()
        with smtplib.SMTP("127.0.0.1", submitter.port, timeout=20) as client:
            for number in range(10):
                client.sendmail("alice@example.org", ["bob@example.net", "carol@example.net"],
                                message(subject="number %d" % number) + BODIES["leading dots"], mail_options=["BODY=8BITMIME"])
        mails = mailbox.mails(20, timeout=30)
        assert sorted(mail.get("Subject") for mail in mails) == sorted("number %d" % n for n in range(10) for _ in range(2))
        assert all(mail.body.endswith(stored(BODIES["leading dots"]).partition(b"\n\n")[2]) for mail in mails)
    finally:
        submitter.stop()


def test_the_received_line_and_what_the_mta_knows(start_mailweir, mta):
    weir = start_mailweir(mta)
    with session(weir.submission, helo="laptop.example") as client:
        port = client.socket.getsockname()[1]
        assert client.mail(message(), recipients=("bob@example.net", "carol@example.net")).code == 250
        client.quit()
    [taken] = mta.taken
    received = taken.received.decode()
    event = weir.wait_event("mail")
    for part in ("from laptop.example", "127.0.0.1", "by mail.example.org", "with ESMTPSA", event["id"], "TLSv1.3", "alice@example.org"):
        assert part in received, (part, received)
    assert "bob@" not in received and "carol@" not in received
    assert all(len(line) <= 998 for line in taken.received.split(b"\r\n"))
    assert taken.client["ADDR"] == "127.0.0.1" and taken.client["HELO"] == "laptop.example"
    assert taken.client["PORT"] == str(port) and taken.client["PROTO"] == "ESMTP"
    assert taken.recipients == ["bob@example.net", "carol@example.net"]


def test_the_id_is_in_the_reply_in_the_trace_and_in_the_event(start_mailweir, mta):
    weir = start_mailweir(mta)
    with session(weir.plain, "plain") as client:
        reply = client.mail(message())
    event = weir.wait_event("mail")
    assert event["id"] in reply.text and event["id"].encode() in mta.taken[0].received
    assert reply.both == "250 2.0.0"
    assert event["relay_code"] == 250 and "queued as M1" in event["relay_text"]


def test_xclient_tells_the_mta_the_login(binary, start_mailweir, postfix, mailbox):
    weir = start_mailweir(None, relay="relay to 127.0.0.1:%d { xclient on }" % postfix.port)
    with session(weir.submission, helo="laptop.example") as client:
        assert client.mail(message()).code == 250
        client.quit()
    [mail] = mailbox.mails(1)
    assert "laptop.example" in mail.get("Received") and len(mail.all("Received")) == 2


@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_tls_versions(weir, mailbox, version):
    with session(weir.submissions, "submissions", context=insecure_context(version, version)) as client:
        assert client.socket.version() == version.name.replace("_", ".")
        assert client.mail(message()).code == 250
        client.quit()
    mailbox.mails(1)


def test_old_tls_is_refused(weir):
    context = insecure_context(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError):
        session(weir.submissions, "submissions", context=context)
    # and the next client is served
    session(weir.submissions, "submissions").quit()

"""The harness against itself, without mailweir: what it says about bodies and transactions must be true."""
import smtplib
import socket

import pytest

from harness.client import Client, message, stuff
from harness.mta import LAX_END, ScriptedMta, after, cut, drip, hang, say
from harness.ports import listens

BODIES = {
    "one byte": b"x\r\n",
    "empty": b"",
    "leading dots": b".\r\n..\r\n.x\r\n...\r\n",
    "long line": b"y" * 998 + b"\r\n",
    "8-bit": bytes(range(128, 256)) + b"\r\n",
}


@pytest.mark.parametrize("name", BODIES)
def test_postfix_delivers_the_body_byte_for_byte(mailbox, name):
    sent = message(text="") + BODIES[name]
    with smtplib.SMTP("127.0.0.1", mailbox.port, timeout=20) as client:
        client.sendmail("alice@example.org", ["bob@example.net"], sent, mail_options=["BODY=8BITMIME"])
    [mail] = mailbox.mails(1)
    # One Received of Postfix on top, no second one: what follows it is what was sent.
    assert mail.as_sent() == sent.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("split", [None, 1, 7])
def test_the_scripted_mta_records_the_body_byte_for_byte(mta, name, split):
    sent = message(text="") + BODIES[name]
    with Client(mta.port, split=split) as client:
        client.greet()
        client.ehlo()
        assert client.mail(sent).code == 250
        client.quit()
    [taken] = mta.taken
    assert taken.message == sent
    assert taken.sender == "alice@example.org" and taken.recipients == ["bob@example.net"]


def test_a_lax_mta_falls_for_every_wrong_end():
    for end in (b"\n.\n", b"\r.\r", b"\r\n.\n", b"\n.\r\n", b"\0.\0"):
        server = ScriptedMta(lax=True).start()
        try:
            with Client(server.port) as client:
                client.greet()
                client.ehlo()
                client.expect("250", "MAIL FROM:<a@example.org>")
                client.expect("250", "RCPT TO:<b@example.net>")
                client.expect("354", "DATA")
                client.send(b"Subject: a\r\n\r\nx" + end)
                assert client.reply().code == 250, end
            assert [t.sender for t in server.taken] == ["a@example.org"]
        finally:
            server.stop()
    assert not LAX_END.search(b"x\r\n..\r\ny.\r\n.z\r\n")


def test_scripted_replies_faults_and_forgetting(mta):
    mta.on("MAIL", say("451 4.3.0 later"), times=1)
    mta.on("RCPT", drip(), times=1)
    with Client(mta.port) as client:
        client.greet()
        client.ehlo()
        client.expect("451 4.3.0", "MAIL FROM:<a@example.org>")
        client.expect("250", "MAIL FROM:<a@example.org>")
        client.expect("250 2.1.5", "RCPT TO:<b@example.net>")
        mta.on("DOT", after(0.05), times=1)
        assert client.data(b"x\r\n").code == 250
        mta.on("NOOP", cut, times=1)
        client.send("NOOP\r\n")
        assert client.is_closed()
    mta.on("NOOP", hang)
    with Client(mta.port) as client:
        client.greet()
        client.send("NOOP\r\n")
        assert client.is_silent(0.2)
    assert len(mta.taken) == 1 and len(mta.begun) == 2
    mta.forget()
    assert not mta.taken and not mta.begun


def test_a_stopped_mta_refuses_connections():
    server = ScriptedMta().start()
    assert listens(server.port)
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    server.start()
    assert listens(server.port)
    server.stop()


def test_stuffing():
    assert stuff(b"") == b".\r\n"
    assert stuff(b".a\r\n.\r\nb") == b"..a\r\n..\r\nb\r\n.\r\n"

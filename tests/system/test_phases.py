"""What rules do beyond a verdict, on the running service: delays, bans, other pools, headers, with real time and sockets."""
import os
import signal
import socket
import time

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import PLAIN_RULES
from harness.mta import ScriptedMta
from harness.ports import eventually


def seconds_of(action):
    before = time.monotonic()
    result = action()
    return time.monotonic() - before, result


def test_a_tarpit_delays_one_client_and_nobody_else(start_mailweir, mta):
    weir = start_mailweir(mta, rules='on helo { rule slow tarpit 1500ms if helo = "slow.example" }\n')
    with Client(weir.smtp) as slow, Client(weir.smtp) as quick:
        slow.greet(), quick.greet()
        before = time.monotonic()
        slow.send(b"EHLO slow.example\r\n")
        for _ in range(20):
            quick.expect("250", "EHLO quick.example")
        assert time.monotonic() - before < 1.4
        assert slow.reply().code == 250
        assert 1.4 < time.monotonic() - before


def test_who_goes_in_a_tarpit_is_closed_at_once(start_mailweir, mta):
    weir = start_mailweir(mta, rules='on helo { rule slow tarpit 60s }\n')
    with Client(weir.smtp) as client:
        client.greet()
        client.send(b"EHLO x\r\n")
        assert client.is_silent(0.3)
    assert weir.wait_event("close", timeout=5)["reason"] == "closed by the client"


def test_no_more_tarpits_than_allowed(start_mailweir, mta):
    weir = start_mailweir(mta, server="max-tarpits 2\n", rules='on helo { rule slow tarpit 30s }\n')
    clients = [Client(weir.smtp) for _ in range(3)]
    for client in clients[:2]:
        client.greet()
        client.send(b"EHLO x\r\n")
    assert clients[0].is_silent(0.3) and clients[1].is_silent(0.3)
    clients[2].greet()
    clients[2].expect("250", "EHLO x")
    assert clients[0].is_silent(0.1) and clients[1].is_silent(0.1)
    for client in clients:
        client.abort()


def test_a_delayed_greeting_and_who_speaks_before_it(start_mailweir, mta):
    rules = 'on connect { rule slow tarpit 700ms }\non helo { rule early reject "Too early" if session.early }\n'
    weir = start_mailweir(mta, rules=rules)
    with Client(weir.smtp) as client:
        took, _ = seconds_of(client.greet)
        assert took > 0.6
        client.expect("250", "EHLO patient.example")
    with Client(weir.smtp) as client:
        client.send(b"EHLO pregreet.example\r\n")
        client.greet()
        assert client.reply().code == 550


def test_a_ban(start_mailweir, mta):
    rules = 'on mail { rule out ban client 1h doubling to 4h "bad sender" if sender = "bad@example.org" }\n'
    weir = start_mailweir(mta, rules=rules, workers=2)
    with session(weir.submission) as client:
        client.expect("421", "MAIL FROM:<bad@example.org>")
        assert client.is_closed()
    ban = weir.wait_event("ban")
    assert ban == dict(ban, by="out", entity="client:127.0.0.1", strikes=1, reason="bad sender", at="mail")
    assert ban["until"] > ban["time"]
    assert weir.wait_event("mail")["verdict"] == "ban"
    for port in (weir.smtp, weir.submission, weir.submissions):
        for _ in range(4):
            with pytest.raises((Closed, ConnectionError, OSError)):
                with Client(port, implicit_tls=port == weir.submissions) as client:
                    client.greet()
    refused = weir.events("connect", verdict="ban")
    assert 1 <= len(refused) <= 2  # of a flood of them each worker tells once a minute
    assert len(weir.events("close", reason="refused")) == len(refused)
    assert "code" not in refused[0] and refused[0]["by"] == "out"


def is_dropped(weir, source="127.0.0.1"):
    try:
        with Client(weir.smtp, source=source) as client:
            client.greet()
    except (Closed, ConnectionError, OSError):
        return True
    return False


def test_a_ban_outlives_its_worker_and_its_configuration(start_mailweir, mta):
    weir = start_mailweir(mta, rules='on helo { rule out ban client 1h if helo = "bad.example" }\n')
    with Client(weir.smtp) as client:
        client.greet()
        client.expect("421", "EHLO bad.example")
    assert is_dropped(weir)
    for worker in weir.children("worker"):
        os.kill(worker, signal.SIGKILL)
    weir.wait_event("crash")
    eventually(lambda: not is_dropped(weir, "127.0.0.9"), what="another worker that takes others")
    assert is_dropped(weir)
    weir.write_config(rules="on helo { rule hello log }\n")
    assert weir.reload()["result"] == "ok"
    assert is_dropped(weir) and not is_dropped(weir, "127.0.0.9")
    assert weir.events("connect", verdict="ban")[-1]["by"] == "out"


def test_a_mail_goes_to_the_pool_that_a_rule_names(start_mailweir, mta):
    other = ScriptedMta()
    other.start()
    try:
        rules = ('relay bulk to 127.0.0.1:%d\n' % other.port + PLAIN_RULES +
                 'on mail { rule far relay to bulk if sender = "list@example.org" }\n'
                 'on login { rule bob relay to bulk if user = bob@example.org }\n')
        weir = start_mailweir(mta, rules=rules)
        with session(weir.submission) as client:
            client.mail(message(), sender="list@example.org")
            client.mail(message(), sender="alice@example.org")
        with session(weir.submission, user="bob@example.org", password="sesame") as client:
            client.mail(message(), sender="bob@example.org")
        assert [len(mta.taken), len(other.taken)] == [1, 2]
        assert weir.wait_event("mail", sender="list@example.org")["relay"] == "127.0.0.1:%d" % other.port
        assert weir.wait_event("mail", sender="alice@example.org")["relay"] == "127.0.0.1:%d" % mta.port
    finally:
        other.stop()


def test_a_pool_that_lacks_what_was_offered(start_mailweir, mta):
    other = ScriptedMta(keywords=["PIPELINING"])
    other.start()
    try:
        rules = ('relay bulk to 127.0.0.1:%d\n' % other.port + PLAIN_RULES +
                 'on mail { rule far relay to bulk if sender = "list@example.org" }\n')
        weir = start_mailweir(mta, rules=rules)
        with session(weir.submission) as client:
            client.expect("451", "MAIL FROM:<list@example.org> BODY=8BITMIME")
            client.expect("250", "MAIL FROM:<list@example.org>")
            client.expect("250", "RSET")
            client.expect("250", "MAIL FROM:<alice@example.org> BODY=8BITMIME")
    finally:
        other.stop()


def test_a_half_closed_client_hears_its_replies(start_mailweir, mta):
    weir = start_mailweir(mta)
    with Client(weir.smtp) as client:
        client.greet()
        client.send(b"EHLO x\r\nNOOP\r\n"[:8])
        client.socket.shutdown(socket.SHUT_WR)
        assert client.reply().code == 250
        assert client.is_closed()


def test_headers_are_edited(start_mailweir, mta):
    rules = ('on mail { rule a add-header "X-Login" "${user}" }\non header {\n rule b remove-header "X-Mailer"\n rule c add-missing\n}\n')
    weir = start_mailweir(mta, rules=rules)
    with session(weir.submission) as client:
        client.mail(b"From: alice@example.org\r\nX-Mailer: secret\r\n\tsecret too\r\nSubject: x\r\n\r\n.dot\r\n")
    sent = mta.taken[0].message
    assert sent.startswith(b"Received: ")
    head, _, body = sent.partition(b"\r\n\r\n")
    assert b"secret" not in head and b"X-Login: alice@example.org" in head
    assert b"\r\nDate: " in head and b"\r\nMessage-ID: <" in head and b"\r\nSubject: x" in head
    assert body.lstrip(b".").startswith(b"dot")

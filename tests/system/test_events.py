"""Events: valid JSON, complete, and free of passwords and of anything that a client could smuggle into a log."""
import base64
import fcntl
import json
import os
import re
import signal
import threading

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.mta import say
from harness.ports import eventually

SECRETS = ("Tr0ub4dor-right", "Tr0ub4dor-wrong", "Tr0ub4dor-typo")
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")


def check_lines(weir):
    """Every line: JSON, an object with time, event, node; no control character; no secret in any form."""
    lines = weir.event_lines()
    assert lines
    for line in lines:
        assert not CONTROL.search(line), line
        event = json.loads(line.decode("utf-8"))
        assert TIME.match(event["time"]) and event["event"] and event["node"] == "mail.example.org", event
    everything = b"\n".join(lines) + weir.stderr_file.read_bytes()
    for secret in SECRETS:
        assert secret.encode() not in everything
        for text in ("\0alice@example.org\0" + secret, secret):
            assert base64.b64encode(text.encode()) not in everything
    assert b"$6$" not in everything and b"mailweirtests" not in everything
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", weir.stderr_file.read_bytes())
    return [json.loads(line) for line in lines]


def test_a_mail_event_tells_everything(start_mailweir, mta):
    weir = start_mailweir(mta, rules=PLAIN_RULES + "limit heads per user count recipients { 200/1h }\n")
    with session(weir.submission, helo="laptop") as client:
        port = client.socket.getsockname()[1]
        client.mail(b"From: alice@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nx\r\n", recipients=("b@example.net", "c@example.net"))
        client.quit()
    event = weir.wait_event("mail")
    assert event == dict(event, event="mail", listener="submission", client="127.0.0.1", port=port, helo="laptop", tls="TLSv1.3",
                         user="alice@example.org", auth="PLAIN", sender="alice@example.org", recipients=["b@example.net", "c@example.net"],
                         accepted=2, refused=0, verdict="accept", code=250, relay="127.0.0.1:%d" % mta.port, relay_code=250)
    assert event["cipher"].startswith("TLS_") and event["id"]
    assert event["size"] >= len(b"From: alice@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nx\r\n")
    assert event["limits"] == [{"name": "heads", "key": "user:alice@example.org", "period": 3600, "limit": 200, "used": 2}]
    assert event["ms"]["total"] > 0
    close = weir.wait_event("close")
    assert close["mails"] == 1 and close["commands"] >= 7
    login = weir.wait_event("auth")
    assert login == dict(login, result="ok", user="alice@example.org", client="127.0.0.1")
    check_lines(weir)


NASTY = [b'quote"back\\slash', b"<script>", b"caf\xc3\xa9", b"\xff\xfe\x80invalid", b"\xc2\x9bcsi", b"\xe2\x80\xae\xe2\x80\xa8separators",
         b"a" * 900, b"[::1]", b"${user}", b"%s%n", b"(comment)", b"semi;colon", b"{\"a\":1}"]


@pytest.mark.parametrize("helo", NASTY, ids=lambda b: repr(b[:20]))
def test_a_greeting_name_cannot_break_out(start_mailweir, mta, helo):
    weir = start_mailweir(mta, listeners=("plain", "smtp"))
    with Client(weir.plain) as client:
        client.greet()
        # Never refused, but for C1 control characters.
        if client.command(b"EHLO " + helo).code != 250:
            assert helo == b"\xc2\x9bcsi"
            client.ehlo()
        client.login()
        assert client.mail(message()).code == 250
        client.quit()
    weir.wait_event("close")
    check_lines(weir)
    received = mta.taken[0].received
    assert all(len(line) <= 998 for line in received.split(b"\r\n"))
    assert received.count(b"\r\n") == len(re.findall(rb"\r\n[ \t]", received)) + 1, "one field, folded: %r" % received
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", received)
    # No comment of the trace field is closed by the client.
    depth = 0
    for byte in re.sub(rb"\\.", b"", received):
        depth += (byte == ord("(")) - (byte == ord(")"))
        assert depth >= 0
    assert depth == 0
    for line in mta.connections[-1].lines:
        assert not re.search(rb"[\x00-\x1f\x7f]", line.rstrip(b"\r\n")), line


@pytest.mark.parametrize("bad", (b"\r", b"\n", b"\0", b"\x0b", b"\x0c", b"\x1b", b"\x7f", b"\x01"), ids=repr)
def test_no_control_character_goes_on(start_mailweir, mta, bad):
    """In a greeting, an address, a parameter, a login: refused, and neither the MTA nor a log line ever holds it."""
    weir = start_mailweir(mta, listeners=("plain", "smtp"), server="max-errors 100")
    with Client(weir.plain) as client:
        client.greet()
        assert client.command(b"EHLO a" + bad + b"b").both == "500 5.5.2"
        client.ehlo()
        secret = base64.b64encode(b"\0ali" + bad + b"ce@example.org\0x").decode()
        assert client.command("AUTH PLAIN " + secret).both in ("535 5.7.8", "501 5.5.2")
        client.login()
        assert client.command(b"MAIL FROM:<al" + bad + b"ice@example.org>").both == "500 5.5.2"
        assert client.command(b'MAIL FROM:<"al' + bad + b'ice"@example.org>').both == "500 5.5.2"
        client.expect("250", "MAIL FROM:<alice@example.org>")
        assert client.command(b"RCPT TO:<b" + bad + b"@example.net>").both == "500 5.5.2"
        assert client.command(b"RCPT TO:<b@example.net> ORCPT=rfc822;b" + bad).both == "500 5.5.2"
        client.expect("250", "RCPT TO:<b@example.net>")
        assert client.data(message()).code == 250
        client.quit()
    weir.wait_event("close")
    check_lines(weir)
    for connection in mta.connections:
        for line in connection.lines:
            assert not re.search(rb"[\x00-\x1f\x7f]", line.rstrip(b"\r\n")), line
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", mta.taken[0].received)


def test_no_password_is_ever_written(start_mailweir, mta):
    weir = start_mailweir(mta, users={"alice@example.org": SECRETS[0], "bob@example.org": SECRETS[0]}, server="log level debug\nmax-errors 100")
    with session(weir.submission, password=SECRETS[0]) as client:
        assert client.mail(message()).code == 250
        client.quit()
    for how in ("PLAIN", "LOGIN"):
        for initial in (True, False):
            with session_without_login(weir) as client:
                assert client.try_login("alice@example.org", SECRETS[1], how, initial).code == 535
                assert client.try_login(SECRETS[2], SECRETS[1], how, initial).code == 535
                # Sent as a command by mistake, or cut short.
                client.command(base64.b64encode(("\0alice@example.org\0" + SECRETS[1]).encode()))
                client.send("AUTH PLAIN " + base64.b64encode(("\0alice@example.org\0" + SECRETS[1]).encode()).decode())
    weir.wait_event("auth", result="wrong", count=4)
    weir.wait_event("close", count=5)
    lines = b"\n".join(weir.event_lines())
    assert SECRETS[1].encode() not in lines


def session_without_login(weir):
    client = Client(weir.submissions, implicit_tls=True)
    client.greet()
    client.ehlo()
    return client


def test_each_end_has_its_verdict(start_mailweir, mta):
    weir = start_mailweir(mta)
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
        mta.on("DOT", say("550 5.7.1 no"), times=1)
        client.mail(message())
        mta.on("DOT", say("450 4.7.1 later"), times=1)
        client.mail(message())
        client.expect("250", "MAIL FROM:<alice@example.org>")
        client.expect("250", "RCPT TO:<b@example.net>")
        client.expect("250", "RSET")
        client.expect("250", "MAIL FROM:<alice@example.org>")
        client.expect("250", "RCPT TO:<b@example.net>")
        client.expect("354", "DATA")
        client.send(b"Subject: x\r\n")
        client.abort()
    weir.wait_event("close")
    verdicts = [event["verdict"] for event in weir.events("mail")]
    assert verdicts[:3] == ["accept", "reject", "defer"] and verdicts[-1] == "abort", verdicts
    check_lines(weir)


def test_every_refused_recipient_is_named(start_mailweir, mta):
    """Those that were sent on first, and those that rules refused between them, each in its order."""
    weir = start_mailweir(mta)
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        client.expect("250", "MAIL FROM:<a@example.com>")
        for number in range(6):
            client.expect("250" if number % 2 else "550", "RCPT TO:<r%d@%s>" % (number, "example.org" if number % 2 else "example.net"))
        assert client.data(message()).code == 250
    event = weir.wait_event("mail")
    assert event["recipients"] == ["r%d@example.org" % n for n in (1, 3, 5)] + ["r%d@example.net" % n for n in (0, 2, 4)]
    assert event["accepted"] == event["refused"] == 3


def test_refused_connections_and_crashes_of_peers_have_an_event(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("smtp",), rules='on connect { rule nobody reject 554 5.7.1 "Not from ${client}" }\n')
    with Client(weir.smtp) as client:
        reply = client.reply()
        assert reply.raw.startswith(b"554 5.7.1 ") or reply.raw.startswith(b"554 "), reply
        assert "Not from 127.0.0.1" in reply.text and client.is_closed()
    event = weir.wait_event("connect")
    assert event["by"] == "nobody" and event["code"] == 554
    check_lines(weir)


def test_thousands_of_events_stay_whole_lines(start_mailweir, mta):
    """Two workers, the auth process and the supervisor write into one file: no line is torn."""
    weir = start_mailweir(mta, workers=2, listeners=("plain",))

    def talk():
        for _ in range(20):
            try:
                with session(weir.plain, "plain") as client:
                    for _ in range(5):
                        client.mail(message(), recipients=tuple("r%d@example.net" % n for n in range(20)))
            except (Closed, OSError):
                pass
    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    weir.wait_event("mail", count=800)
    weir.wait_event("close", count=160)
    assert len(check_lines(weir)) >= 800 + 160 + 160


# -- the system's log

def test_events_go_to_syslog(syslog, start_mailweir, mta):
    weir = start_mailweir(mta, run=False, events="syslog").start(wait=False)
    head, _, start = syslog.line().partition(": ")
    assert head.startswith("<22>") and " mailweir[%d]" % weir.children("mailweir:events")[0] in head
    assert json.loads(start)["event"] == "start"
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
    kinds = set()
    while "mail" not in kinds:
        kinds.add(json.loads(syslog.line().partition(": ")[2])["event"])
    assert weir.stop() == 0


def test_events_go_to_the_journal(journal, start_mailweir, mta):
    weir = start_mailweir(mta, run=False, events="journal").start(wait=False)
    lines = dict(line.split("=", 1) for line in journal.line().splitlines())
    assert (lines["PRIORITY"], lines["SYSLOG_IDENTIFIER"]) == ("6", "mailweir")
    assert json.loads(lines["MESSAGE"])["event"] == "start"
    assert weir.stop() == 0


def test_without_a_log_there_is_no_start(start_mailweir, mta):
    with open("/tmp/mailweir-test-log.lock", "w") as lock:  # while it is held, no other test stands in
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists("/dev/log"):
            pytest.skip("/dev/log is the system's own")
        weir = start_mailweir(mta, run=False, events="syslog").start(wait=False)
        assert weir.process.wait(20 * SLOWNESS) == 1
    assert "error: cannot write events to syslog: /dev/log: No such file or directory" in weir.stderr()


def test_a_reload_moves_events_to_syslog(syslog, start_mailweir, mta):
    weir = start_mailweir(mta)
    weir.sink = "syslog"
    weir.write_config()
    weir.signal(signal.SIGHUP)
    eventually(lambda: "the new configuration is in force" in weir.stderr(), 20 * SLOWNESS, "the reload")
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
    while json.loads(syslog.line().partition(": ")[2])["event"] != "mail":
        pass
    assert not weir.events("mail")

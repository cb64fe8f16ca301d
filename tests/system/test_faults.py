"""What goes wrong behind, beside and below: the right reply, nothing lost, and everything recovers by itself."""
import json
import os
import signal
import threading
import time

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.mta import KEYWORDS, ScriptedMta, after, cut, drip, endless, hang, say, say_and_cut
from harness.ports import eventually

QUICK = "timeout relay-connect 2s\ntimeout relay-reply 2s\n"
COUNTED = PLAIN_RULES + "limit counted per user count messages { 1000/1h }\n"


@pytest.fixture
def weir(start_mailweir, mta):
    """One worker, so that the MTA's connections are in one pool, with short deadlines towards the MTA."""
    return start_mailweir(mta, server=QUICK, rules=COUNTED, listeners=("plain", "smtp", "submission"),
                          relay="relay to 127.0.0.1:%d { retry-down 1s }" % mta.port)


def send(weir, **options):
    with session(weir.plain, "plain", **options) as client:
        return client.mail(message())


def script(mta, moment, action):
    """Scripts a moment; where it is one of a fresh connection, closes those that are pooled, so that it comes."""
    mta.on(moment, action)
    if moment in ("CONNECT", "EHLO"):
        mta.cut_all()
        eventually(lambda: not mta.open, 5, "the old connections are closed")


def recovers(weir, timeout=10):
    return eventually(lambda: send(weir).code == 250, timeout * SLOWNESS, "mail goes through again", pause=0.2)


def used(weir):
    """The counter, as the event of one more mail shows it; without that mail."""
    reply = send(weir)
    assert reply.code == 250
    mail = reply.text.rpartition("(")[2].rstrip(")")  # events come a moment later: an earlier mail's may be the newest
    return weir.wait_event("mail", id=mail)["limits"][0]["used"] - 1


def within(seconds, action):
    began = time.monotonic()
    result = action()
    assert time.monotonic() - began < seconds * SLOWNESS, "took %.1f s" % (time.monotonic() - began)
    return result


# -- the MTA

def test_mta_down(weir, mta):
    assert send(weir).code == 250
    mta.stop()
    for _ in range(3):
        reply = within(5, lambda: send(weir))
        assert reply.both == "451 4.4.1" and "try again later" in reply.text, reply
    weir.wait_event("relay")
    assert weir.wait_event("mail", verdict="defer")["at"] == "mail"
    mta.start()
    recovers(weir)
    assert len(weir.events("relay")) >= 2, "the recovery is an event, too"


def test_mta_down_at_the_start(start_mailweir, mta):
    mta.stop()
    weir = start_mailweir(mta, server=QUICK, relay="relay to 127.0.0.1:%d { retry-down 1s }" % mta.port)
    assert send(weir).both == "451 4.4.1"
    mta.start()
    recovers(weir)


def test_a_down_mta_is_asked_by_one_connection_at_a_time(weir, mta):
    """A server that takes connections and closes them is not stormed."""
    script(mta, "CONNECT", cut)
    before = len(mta.connections)
    for _ in range(20):
        assert send(weir).both in ("451 4.4.1", "451 4.4.2")
    assert len(mta.connections) - before <= 10
    mta.on("CONNECT", None)
    recovers(weir)


def test_failover_to_the_second_server(start_mailweir, mta):
    second = ScriptedMta().start()
    try:
        weir = start_mailweir(None, server=QUICK, relay="relay to 127.0.0.1:%d 127.0.0.1:%d { retry-down 1s }" % (mta.port, second.port))
        assert [send(weir).code for _ in range(4)] == [250] * 4
        mta.stop()
        # A connection that had been pooled is found dead and replaced: no mail sees it.
        assert [send(weir).code for _ in range(10)] == [250] * 10
        assert len(second.taken) >= 10
        event = weir.wait_event("relay")
        assert str(mta.port) in str(event)
        before = len(second.taken)
        mta.start()
        eventually(lambda: send(weir).code == 250 and mta.taken, 10 * SLOWNESS, "the first server is used again", pause=0.3)
        assert len(second.taken) >= before
    finally:
        second.stop()


@pytest.mark.parametrize("moment", ("CONNECT", "EHLO", "XFORWARD", "MAIL", "RCPT", "DATA", "BODY", "DOT"))
def test_mta_hangs(weir, mta, moment):
    script(mta, moment, hang)
    with session(weir.plain, "plain") as client:
        reply = within(12, lambda: client.mail(message()))
        wanted = ("451 4.4.1", "451 4.4.2") if moment in ("CONNECT", "EHLO", "XFORWARD") else ("451 4.4.2",)
        assert reply.both in wanted, reply
        client.expect("250", "NOOP")
    event = weir.wait_event("mail")
    # A small mail has left whole, with its dot, when the MTA hangs over its body.
    assert event["verdict"] == ("unknown" if moment in ("DOT", "BODY") else "defer"), event
    assert not mta.taken
    mta.forget()
    recovers(weir)


def test_mta_hangs_with_the_window_closed(weir, mta):
    """An MTA that stops reading a large body: the client is stopped too, then told, and memory stays bounded."""
    def stop_reading(connection, line):
        connection.server.stopping.wait(30)
        raise OSError

    mta.on("BODY", stop_reading, times=1)
    [worker] = weir.children("worker")
    before = weir.resident_kb(worker)
    with session(weir.plain, "plain", timeout=60) as client:
        client.expect("250", "MAIL FROM:<alice@example.org>")
        client.expect("250", "RCPT TO:<b@example.net>")
        client.expect("354", "DATA")
        client.socket.settimeout(1)
        sent = 0
        try:
            while sent < 40 << 20:
                sent += client.socket.send(b"x" * 70 + b"\r\n")
        except OSError:
            pass
        assert sent < 40 << 20, "the client was never held back"
        assert weir.resident_kb(worker) - before < 4096 * SLOWNESS * SLOWNESS
    assert not mta.taken


def test_slow_mta(weir, mta):
    for moment in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"):
        mta.on(moment, after(0.3))
    with session(weir.plain, "plain") as client:
        assert [client.mail(message()).code for _ in range(2)] == [250, 250]
    assert len(mta.taken) == 2


def test_one_slow_mail_holds_up_no_other(weir, mta):
    mta.on("DOT", after(1.5), times=1)
    slow = session(weir.plain, "plain")
    replies = []
    thread = threading.Thread(target=lambda: replies.append(slow.mail(message())))
    thread.start()
    eventually(lambda: "DOT" not in {m for m, rows in mta.actions.items() if rows}, 5, "the slow mail is at its dot")
    began = time.monotonic()
    for _ in range(5):
        assert send(weir).code == 250
    assert time.monotonic() - began < 1.2 * SLOWNESS
    thread.join(10)
    assert replies[0].code == 250


@pytest.mark.parametrize("moment", ("CONNECT", "EHLO", "XFORWARD", "MAIL", "RCPT", "DATA", "BODY"))
def test_mta_drops_before_the_dot(weir, mta, moment):
    charged = used(weir)
    script(mta, moment, cut)
    with session(weir.plain, "plain") as client:
        # More than the kernel's buffers on both sides take: the dot cannot have left before the connection is gone.
        reply = client.mail(message(text="x" * 70 + "\r\n") + (b"y" * 998 + b"\r\n") * 30000)
        assert reply.code == 451 and reply.enhanced in ("4.4.1", "4.4.2"), reply
        client.expect("250", "NOOP")
        taken = len(mta.taken)
        mta.forget()
    assert taken == 1
    recovers(weir)
    event = weir.wait_event("mail", code=451)
    assert event["verdict"] == "defer", event
    # Given back: only mails that were taken count. forget() has forgotten the one of the first used().
    assert used(weir) == charged + len(mta.taken)


def test_mta_drops_after_the_dot(weir, mta):
    charged = used(weir)
    mta.on("DOT", cut, times=1)
    with session(weir.plain, "plain") as client:
        reply = client.mail(message())
        assert reply.both == "451 4.4.2" and "may arrive" in reply.text, reply
        assert client.mail(message()).code == 250
    assert weir.wait_event("mail", verdict="unknown")["code"] == 451
    # Unknown: the charge stays. The mail of used(), the unknown one, the one after it.
    assert used(weir) == charged + 3


GARBAGE = {
    "binary": b"\0\xff\xfe garbage\r\n", "words": b"what do you want\r\n", "no code": b"\r\n", "000": b"000 zero\r\n", "099": b"099 low\r\n",
    "600": b"600 high\r\n", "1xx": b"150 soon\r\n", "two digits": b"25 short\r\n", "no separator": b"250Ok\r\n",
    "mixed codes": b"250-one\r\n550 two\r\n", "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("moment", ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"))
def test_mta_speaks_garbage(weir, mta, moment, kind):
    script(mta, moment, say_and_cut(GARBAGE[kind]) if kind == "TLS alert" else say(GARBAGE[kind]))
    with session(weir.plain, "plain") as client:
        reply = within(12, lambda: client.mail(message()))
        assert reply.code == 451 and reply.enhanced in ("4.3.0", "4.4.1", "4.4.2"), reply
        client.expect("250", "NOOP")
    assert not mta.taken
    mta.forget()
    recovers(weir)


IMPOSSIBLE = (
    ("MAIL", "354 go on"), ("RCPT", "354 go on"), ("MAIL", "220 hello"), ("RCPT", "221 bye"), ("DATA", "250 2.0.0 Ok"),
    ("DOT", "354 go on"), ("DATA", b"354 go on\r\n250 2.0.0 taken already\r\n"), ("MAIL", b"250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n"),
    ("CONNECT", "354 go on"), ("EHLO", "354 go on"),
)


@pytest.mark.parametrize("case", IMPOSSIBLE, ids=repr)
def test_mta_says_what_is_impossible_here(weir, mta, case):
    moment, words = case
    script(mta, moment, say(words))
    with session(weir.plain, "plain") as client:
        reply = within(12, lambda: client.mail(message()))
        assert reply.code == 451, reply
        client.expect("250", "NOOP")
    assert not mta.taken
    mta.forget()
    recovers(weir)


@pytest.mark.parametrize("moment", ("CONNECT", "EHLO", "MAIL", "DOT"))
@pytest.mark.parametrize("piece", (b"x" * 65536, b"250-again\r\n" * 1000, b"250-" + b"y" * 4000 + b"\r\n", b"\r\n" * 1000),
                         ids=("line without end", "reply without end", "long lines", "empty lines"))
def test_mta_never_stops_talking(weir, mta, moment, piece):
    script(mta, moment, endless(piece))
    with session(weir.plain, "plain") as client:
        reply = within(12, lambda: client.mail(message()))
        assert reply.code == 451, reply
    eventually(lambda: not mta.open, 10 * SLOWNESS, "the connection was closed")
    mta.forget()
    recovers(weir)


def test_mta_answers_byte_by_byte(weir, mta):
    for moment in ("CONNECT", "EHLO", "XFORWARD", "MAIL", "RCPT", "DOT"):
        mta.on(moment, drip(pause=0.001))
    with session(weir.plain, "plain") as client:
        assert [client.mail(message()).code for _ in range(2)] == [250, 250]
    assert len(mta.taken) == 2


def test_a_dripping_mta_renews_no_deadline(weir, mta):
    mta.on("MAIL", drip(b"2" * 400, pause=0.25))
    with session(weir.plain, "plain") as client:
        reply = within(8, lambda: client.mail(message()))
        assert reply.code == 451, reply


@pytest.mark.parametrize("unasked", (b"421 4.3.2 closing\r\n", b"250 2.0.0 hello?\r\n", b"\xff\0\r\n", b"4"), ids=repr)
def test_a_pooled_connection_that_speaks_unasked(weir, mta, unasked):
    assert send(weir).code == 250
    mta.send_all(unasked)
    time.sleep(0.1)
    assert send(weir).code == 250
    assert mta.taken[0].connection != mta.taken[1].connection


def test_421_on_a_pooled_connection(weir, mta):
    """Said as the answer to MAIL on a reused connection: the mail goes over a fresh one, its sender hears nothing of it."""
    assert send(weir).code == 250
    mta.on("MAIL", say_and_cut("421 4.4.2 idle too long"), times=1)
    assert send(weir).code == 250
    mta.on("XFORWARD", say_and_cut("421 4.4.2 idle too long"), times=1)
    assert send(weir).code == 250
    assert len(mta.taken) == 3


def test_a_pooled_connection_that_died(weir, mta):
    assert send(weir).code == 250
    for _ in range(3):
        mta.cut_all()
        assert send(weir).code == 250
    mta.on("MAIL", cut, times=1)
    assert send(weir).code == 250
    assert len(mta.taken) == 5


def test_connections_are_reused_and_forget_the_mail_before(weir, mta):
    with session(weir.plain, "plain") as client:
        for _ in range(5):
            client.expect("250", "MAIL FROM:<alice@example.org>")
            client.expect("250", "RCPT TO:<first@example.net>")
            client.expect("250", "RSET")
            assert client.mail(message(), recipients=("second@example.net",)).code == 250
    # Two: the next mail may begin before RSET was answered on the connection of the one before.
    assert len({t.connection for t in mta.taken}) <= 2
    assert [t.recipients for t in mta.taken] == [["second@example.net"]] * 5


def test_mta_without_extensions(start_mailweir):
    old = ScriptedMta(keywords=()).start()
    try:
        weir = start_mailweir(old)
        with session(weir.plain, "plain") as client:
            said = client.ehlo().raw.upper()
            assert b"PIPELINING" in said and b"SIZE" in said and b"ENHANCEDSTATUSCODES" in said
            assert b"8BITMIME" not in said and b"SMTPUTF8" not in said and b"DSN" not in said
            client.expect("555 5.5.4", "MAIL FROM:<alice@example.org> RET=FULL")
            assert client.mail(message(), recipients=("b@example.net", "c@example.net")).both == "250 2.0.0"
        assert old.taken[0].mail_line == b"MAIL FROM:<alice@example.org>\r\n"
    finally:
        old.stop()


def test_mta_that_knows_only_helo(start_mailweir):
    old = ScriptedMta(keywords=()).start()
    old.on("EHLO", say("500 what"))
    try:
        weir = start_mailweir(old)
        assert send(weir).code == 250
    finally:
        old.stop()


def test_auth_goes_on_as_the_login_only(start_mailweir):
    mta = ScriptedMta(keywords=KEYWORDS + ("AUTH PLAIN",)).start()
    try:
        weir = start_mailweir(mta)
        for claimed in ("root@example.net", "<>", "alice@example.org", "ALICE@example.org"):
            with session(weir.plain, "plain") as client:
                reply = client.command("MAIL FROM:<alice@example.org> AUTH=" + claimed)
                assert reply.code == 250, reply
                client.expect("250", "RCPT TO:<b@example.net>")
                assert client.data(b"x\r\n").code == 250
            line = mta.taken[-1].mail_line
            assert b"root" not in line
            assert b"ALICE" not in line
            said = line.split(b"AUTH=")[1].split()[0]
            assert said == (b"alice@example.org" if claimed.lower() == "alice@example.org" else b"<>"), line
        with session(weir.plain, "plain") as client:
            client.expect("501 5.5.4", "MAIL FROM:<alice@example.org> AUTH=x+0Dy")
    finally:
        mta.stop()


# -- our own processes

def test_a_worker_is_killed(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2, server=QUICK)
    workers = weir.children("worker")
    assert len(workers) == 2
    held = [session(weir.plain, "plain") for _ in range(16)]
    os.kill(workers[0], signal.SIGKILL)
    weir.wait_event("crash")
    alive = 0
    for client in held:
        try:
            alive += client.mail(message()).code == 250
        except (Closed, OSError):
            pass
        client.close()
    assert 0 < alive < len(held), "%d of %d sessions lived on" % (alive, len(held))
    eventually(lambda: len(weir.children("worker")) == 2, 10 * SLOWNESS, "there are two workers again")
    assert workers[1] in weir.children("worker")
    assert [send(weir).code for _ in range(20)] == [250] * 20


def test_a_worker_is_killed_within_a_mail(weir, mta):
    with session(weir.plain, "plain") as client:
        client.expect("250", "MAIL FROM:<alice@example.org>")
        client.expect("250", "RCPT TO:<b@example.net>")
        client.expect("354", "DATA")
        client.send(b"Subject: half\r\n\r\nhalf a mail\r\n")
        [worker] = weir.children("worker")
        os.kill(worker, signal.SIGKILL)
        assert client.is_closed()
    recovers(weir)
    assert all(b"half a mail" not in t.wire for t in mta.taken)


def test_a_crash_loop_is_held_off_and_reported(start_mailweir, mta):
    weir = start_mailweir(mta, workers=1, server=QUICK)
    killed = 0
    end = time.monotonic() + 6
    while time.monotonic() < end:
        for pid in weir.children("worker"):
            os.kill(pid, signal.SIGKILL)
            killed += 1
        time.sleep(0.02)
    assert 3 <= killed <= 60, "%d workers were started in 6 s" % killed
    weir.wait_event("crash", count=3)
    recovers(weir, timeout=70)


def test_the_auth_process_is_killed(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    with session(weir.plain, "plain") as before:
        [auth] = weir.children("auth")
        os.kill(auth, signal.SIGKILL)
        assert before.mail(message()).code == 250
        weir.wait_event("crash")

        def logs_in():
            with Client(weir.plain) as client:
                client.greet()
                client.ehlo()
                reply = client.try_login("bob@example.org", "sesame")
                assert reply.both in ("235 2.7.0", "454 4.7.0"), reply
                return reply.code == 235
        eventually(logs_in, 10 * SLOWNESS, "logins work again")
        with Client(weir.plain) as client:
            client.greet()
            client.ehlo()
            assert client.try_login("bob@example.org", "wrong").code == 535
        assert before.mail(message()).code == 250
    assert weir.children("auth") != [auth]


def test_the_auth_process_is_stopped(start_mailweir, mta):
    """It hangs: 454 by the deadline, never 535; who is logged in goes on; when it runs again, logins do."""
    weir = start_mailweir(mta, server="timeout auth 1s")
    with session(weir.plain, "plain") as before:
        [auth] = weir.children("auth")
        os.kill(auth, signal.SIGSTOP)
        try:
            with Client(weir.plain) as client:
                client.greet()
                client.ehlo()
                reply = within(5, lambda: client.try_login("carol@example.org", "päss wörd"))
                assert reply.both == "454 4.7.0", reply
                client.expect("250", "NOOP")
            assert before.mail(message()).code == 250
        finally:
            os.kill(auth, signal.SIGCONT)
        session(weir.plain, "plain", user="carol@example.org", password="päss wörd").quit()


# -- the log

def test_the_log_disk_is_full(start_mailweir, mta):
    weir = start_mailweir(mta, run=False, server="")
    weir.event_file.symlink_to("/dev/full")
    weir.start(wait=False)
    eventually(lambda: answers(weir.plain), 10 * SLOWNESS, "it serves")
    with session(weir.plain, "plain") as client:
        assert [client.mail(message()).code for _ in range(300)] == [250] * 300
    assert len(mta.taken) == 300
    eventually(lambda: "events" in weir.stderr(), 5 * SLOWNESS, "it is said on stderr")
    assert len(weir.stderr().splitlines()) < 50, "said once, not for every event"


def test_the_log_is_not_taken_and_then_is(start_mailweir, mta):
    """Events into a pipe that nobody reads: mail goes on; when it is read, lines are whole, and what was dropped is said."""
    weir = start_mailweir(mta, run=False, listeners=("plain",))
    os.mkfifo(weir.event_file, 0o666)
    os.chmod(weir.event_file, 0o666)
    reader = os.open(weir.event_file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        weir.start(wait=False)
        eventually(lambda: answers(weir.plain), 10 * SLOWNESS, "it serves")
        with session(weir.plain, "plain") as client:
            assert {client.mail(message()).code for _ in range(4000)} == {250}
        text, end = b"", time.monotonic() + 3
        while time.monotonic() < end:
            try:
                text += os.read(reader, 65536)
            except BlockingIOError:
                time.sleep(0.02)
        lines = text.split(b"\n")[:-1]
        assert lines and all(json.loads(line)["event"] for line in lines)
        with session(weir.plain, "plain") as client:
            assert client.mail(message(subject="after")).code == 250
        eventually(lambda: os.read(reader, 65536), 5 * SLOWNESS, "events come again")
    finally:
        os.close(reader)


def answers(port):
    try:
        with Client(port, timeout=2) as client:
            client.greet()
            return True
    except (OSError, AssertionError, Closed):
        return False

"""Start, reload, drain, privileges, deadlines towards clients."""
import pathlib
import pwd
import signal
import socket
import threading
import time

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS, USER, run
from harness.mta import after
from harness.ports import eventually, free_port, listens


def status(pid, name):
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    raise AssertionError(name)


# -- processes

def test_privileges_are_dropped(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    owner = pwd.getpwnam(USER)
    assert len(weir.children("worker")) == 2 and len(weir.children("auth")) == 1
    for pid in weir.children():
        assert status(pid, "Uid") == [str(owner.pw_uid)] * 4, "process %d" % pid
        assert status(pid, "Gid") == [str(owner.pw_gid)] * 4
        assert int(status(pid, "CapEff")[0], 16) == 0 and int(status(pid, "CapPrm")[0], 16) == 0
        assert status(pid, "NoNewPrivs") == ["1"]
        groups = [int(group) for group in status(pid, "Groups")]
        assert 0 not in groups


def test_nothing_is_inherited_that_should_not_be(start_mailweir, mta):
    """No worker holds the users file or the key file open; the auth process has no listening socket."""
    weir = start_mailweir(mta, workers=1)
    session(weir.plain, "plain").quit()
    for pid in weir.children():
        open_files = {str(path.readlink()) for path in pathlib.Path("/proc/%d/fd" % pid).iterdir()}
        assert str(weir.users) not in open_files and weir.certificate[1] not in open_files, open_files


def test_start_and_stop_events(start_mailweir, mta):
    weir = start_mailweir(mta)
    assert weir.stop() == 0
    assert [event["event"] for event in weir.events() if event["event"] in ("start", "stop")] == ["start", "stop"]


# -- reload

def test_a_reload_brings_the_new_rules_and_lets_old_sessions_finish(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    old = session(weir.plain, "plain")
    old.expect("250", "MAIL FROM:<alice@example.org>")
    old.expect("250", "RCPT TO:<b@example.net>")
    weir.write_config(rules=PLAIN_RULES + 'on mail { rule closed reject 550 5.7.1 "closed" }\n')
    event = weir.reload()
    assert event.get("result", "ok") == "ok", event

    def new_rules():
        with session(weir.plain, "plain") as client:
            return client.command("MAIL FROM:<alice@example.org>").both == "550 5.7.1"
    eventually(new_rules, 5 * SLOWNESS, "the new rules are in force")
    assert old.data(message()).code == 250
    old.close()
    assert len(mta.taken) == 1
    eventually(lambda: len(weir.children("worker")) == 2, 10 * SLOWNESS, "the old workers have gone")
    assert not weir.events("crash")


def test_a_broken_file_changes_nothing(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    workers = weir.children("worker")
    weir.write_config(rules="on mail { rule broken rejekt }\n")
    event = weir.reload()
    assert event.get("result") != "ok", event
    assert 'unknown action "rejekt"' in weir.stderr() + str(event)
    assert weir.children("worker") == workers
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
    weir.write_config(rules=PLAIN_RULES)
    weir.reload()
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250


@pytest.mark.timeout(120)
def test_no_connection_is_lost_by_reloads(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    failures, done, stop = [], [0], threading.Event()

    def connect_all_the_time():
        while not stop.is_set():
            try:
                with session(weir.plain, "plain") as client:
                    reply = client.mail(message())
                    if reply.code != 250:
                        failures.append(reply)
                    client.quit()
                done[0] += 1
            except (AssertionError, Closed, OSError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=connect_all_the_time) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            weir.reload()
            time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not failures, failures[:5]
    assert done[0] > 50 / SLOWNESS and len(mta.taken) == done[0]


def test_a_listener_comes_and_goes_by_reload(start_mailweir, mta):
    weir = start_mailweir(mta)
    gone, come = weir.ports.pop("smtp"), free_port()
    weir.write_config(server="listen submission 127.0.0.1:%d { name extra  tls off }" % come)
    weir.reload()
    eventually(lambda: listens(come), 5 * SLOWNESS, "the new port listens")
    eventually(lambda: not listens(gone), 10 * SLOWNESS, "the old port is closed")
    with session(come, "plain") as client:
        assert client.mail(message()).code == 250


# -- the end

def test_term_drains(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    mta.on("DOT", after(1.0), times=1)
    busy, idle = session(weir.plain, "plain"), session(weir.plain, "plain")
    replies = []
    thread = threading.Thread(target=lambda: replies.append(busy.mail(message())))
    thread.start()
    eventually(lambda: any(t.wire for t in mta.begun), 5, "the mail is at its dot")
    weir.signal(signal.SIGTERM)
    assert idle.reply().both == "421 4.3.2"
    assert idle.is_closed()
    thread.join(15)
    assert replies[0].code == 250, replies
    assert weir.process.wait(15 * SLOWNESS) == 0
    assert len(mta.taken) == 1
    assert not listens(weir.plain)
    assert weir.events("stop")


def test_while_draining_nobody_is_let_in(start_mailweir, mta):
    weir = start_mailweir(mta)
    mta.on("DOT", after(2.0), times=1)
    busy = session(weir.plain, "plain")
    thread = threading.Thread(target=lambda: busy.mail(message()))
    thread.start()
    eventually(lambda: any(t.wire for t in mta.begun), 5, "the mail is at its dot")
    weir.signal(signal.SIGTERM)
    time.sleep(0.3)
    try:
        with Client(weir.plain, timeout=3) as client:
            assert client.reply().both == "421 4.3.2"
    except (OSError, Closed):
        pass
    thread.join(15)
    assert weir.process.wait(15 * SLOWNESS) == 0


def test_a_second_term_ends_at_once(start_mailweir, mta):
    weir = start_mailweir(mta)
    mta.on("DOT", after(30), times=1)
    busy = session(weir.plain, "plain", timeout=60)
    thread = threading.Thread(target=lambda: pytest.raises((Closed, OSError, AssertionError), busy.mail, message()))
    thread.start()
    eventually(lambda: any(t.wire for t in mta.begun), 5, "the mail is at its dot")
    weir.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert weir.process.poll() is None, "it did not wait for the mail"
    weir.signal(signal.SIGTERM)
    assert weir.process.wait(5 * SLOWNESS) is not None
    mta.stop()
    thread.join(15)


def test_int_is_term(start_mailweir, mta):
    weir = start_mailweir(mta)
    weir.signal(signal.SIGINT)
    assert weir.process.wait(10 * SLOWNESS) == 0


def test_no_process_is_left_when_the_supervisor_is_killed(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    children = weir.children()
    weir.signal(signal.SIGKILL)
    weir.process.wait(5)
    eventually(lambda: not [pid for pid in children if pathlib.Path("/proc/%d" % pid).exists()], 10 * SLOWNESS, "all have ended")


# -- starts that fail

def test_a_port_that_is_taken(start_mailweir, mta):
    weir = start_mailweir(mta, run=False)
    with socket.create_server(("127.0.0.1", weir.plain)):
        weir.start(wait=False)
        assert weir.process.wait(10 * SLOWNESS) == 1
    assert str(weir.plain) in weir.stderr() and "ddress already in use" in weir.stderr()


@pytest.mark.parametrize("broken,words", (
    ("certificate", "missing.pem"), ("users", "users"), ("statement", 'unknown statement "lisen"'), ("file", "nowhere.conf")))
def test_what_is_missing_is_named(start_mailweir, mta, place, broken, words):
    weir = start_mailweir(mta, run=False)
    if broken == "certificate":
        weir.certificate = ("/nowhere/missing.pem", "/nowhere/missing.key")
    if broken == "statement":
        weir.server = "lisen submission 127.0.0.1:25"
    weir.write_config()
    if broken == "users":
        weir.users.unlink()
    if broken == "file":
        weir.config = place / "nowhere.conf"
    weir.start(wait=False)
    assert weir.process.wait(10 * SLOWNESS) == 1
    assert words in weir.stderr()


def test_a_users_file_that_is_wrong_stops_the_start(start_mailweir, mta):
    weir = start_mailweir(mta, users={"alice@example.org": "$6$rounds=1000$x$broken"}, run=False)
    weir.users.write_text("alice@example.org:plaintext\n")
    weir.start(wait=False)
    assert weir.process.wait(10 * SLOWNESS) == 1
    assert "users:1:" in weir.stderr(), weir.stderr()
    assert "plaintext" not in weir.stderr()


# -- deadlines towards clients

def lives(client, limit):
    """How long the server keeps the connection; its last reply."""
    began, reply = time.monotonic(), None
    client.socket.settimeout(limit)
    try:
        while True:
            reply = client.reply()
    except Closed:
        return time.monotonic() - began, reply
    except (TimeoutError, socket.timeout):
        raise AssertionError("still open after %g s" % limit) from None


@pytest.fixture
def impatient(start_mailweir, mta):
    return start_mailweir(mta, listeners=("plain", "submissions", "smtp"),
                          server="timeout greeting 1s\ntimeout command 2s\ntimeout data 2s\ntimeout tls 1s\ntimeout session 6s\n")


def test_the_first_command_is_awaited_for_its_time(impatient):
    with Client(impatient.plain) as client:
        client.greet()
        seconds, reply = lives(client, 5 * SLOWNESS)
        assert reply.both == "421 4.4.2" and 0.8 < seconds


def test_the_next_command_is_awaited_for_its_time(impatient):
    with session(impatient.plain, "plain") as client:
        seconds, reply = lives(client, 6 * SLOWNESS)
        assert reply.both == "421 4.4.2" and 1.6 < seconds


def drip_into(client, piece, pause, limit):
    """Sends a piece again and again; how long the server bore it, and its last reply."""
    began, reply = time.monotonic(), None
    client.socket.settimeout(pause)
    while time.monotonic() - began < limit:
        try:
            client.socket.sendall(piece)
            reply = client.reply()
        except (TimeoutError, socket.timeout):
            continue
        except (Closed, OSError):
            return time.monotonic() - began, reply
    raise AssertionError("still open after %g s" % limit)


def test_a_dripped_command_renews_nothing(impatient):
    with session(impatient.plain, "plain") as client:
        seconds, reply = drip_into(client, b"N", 0.2, 5 * SLOWNESS)
        assert reply is None or reply.both == "421 4.4.2"
        assert 1.6 < seconds < 4 * SLOWNESS


def test_a_dripped_greeting_renews_nothing(impatient):
    with Client(impatient.plain) as client:
        client.greet()
        seconds, _ = drip_into(client, b"E", 0.2, 4 * SLOWNESS)
        assert 0.8 < seconds < 3 * SLOWNESS


def test_a_dripped_message_ends(impatient, mta):
    with session(impatient.plain, "plain") as client:
        for line in ("MAIL FROM:<alice@example.org>", "RCPT TO:<b@example.net>"):
            client.expect("250", line)
        client.expect("354", "DATA")
        seconds, reply = drip_into(client, b"x", 0.2, 6 * SLOWNESS)
        assert reply is None or reply.both == "421 4.4.2"
        assert 1.6 < seconds
    assert not mta.taken
    assert impatient.wait_event("mail")["verdict"] in ("abort", "disconnect")


def test_a_stalled_message_ends(impatient, mta):
    with session(impatient.plain, "plain") as client:
        for line in ("MAIL FROM:<alice@example.org>", "RCPT TO:<b@example.net>"):
            client.expect("250", line)
        client.expect("354", "DATA")
        client.send(b"Subject: x\r\n\r\nx\r\n")
        seconds, reply = lives(client, 6 * SLOWNESS)
        assert reply.both == "421 4.4.2" and 1.6 < seconds
    assert not mta.taken


def test_a_handshake_that_never_comes(impatient):
    for first in (b"", b"\x16\x03\x01"):
        with Client(impatient.submissions) as client:
            client.send(first or b"\x16")
            began = time.monotonic()
            assert client.is_closed(4 * SLOWNESS)
            assert time.monotonic() - began > 0.7


def test_a_session_has_an_end(impatient):
    with session(impatient.plain, "plain") as client:
        began = time.monotonic()
        reply = None
        try:
            while time.monotonic() - began < 12 * SLOWNESS:
                reply = client.command("NOOP")
                time.sleep(0.3)
        except (Closed, OSError):
            pass
        assert 4 < time.monotonic() - began < 10 * SLOWNESS
        assert reply.both in ("421 4.4.2", "250 2.0.0")


def test_a_client_that_never_reads_is_left(start_mailweir, mta):
    """Pipelined commands whose replies nobody takes: bounded memory, and an end."""
    weir = start_mailweir(mta, listeners=("smtp",), server="timeout command 2s\ntimeout session 10s\n")
    [worker] = weir.children("worker")
    before = weir.resident_kb(worker)
    with session(weir.smtp, "smtp") as client:
        client.socket.settimeout(0.5)
        end = time.monotonic() + 20 * SLOWNESS
        try:
            while time.monotonic() < end:
                try:
                    client.socket.send(b"NOOP\r\n" * 5000)
                except (TimeoutError, socket.timeout):
                    assert weir.resident_kb(worker) - before < 2048 * SLOWNESS * SLOWNESS
            raise AssertionError("never closed")
        except OSError:
            pass


def test_max_connections(start_mailweir, mta):
    weir = start_mailweir(mta, workers=1, listeners=("smtp",), server="max-connections 5")
    held = [session(weir.smtp, "smtp") for _ in range(5)]
    with Client(weir.smtp) as client:
        assert client.reply().both == "421 4.3.2"
        assert client.is_closed()
    for client in held:
        client.quit()
    eventually(lambda: session(weir.smtp, "smtp").close() is None, 5, "there is room again")


# -- the names of things

def test_check_accepts_what_serve_runs(start_mailweir, mta):
    weir = start_mailweir(mta)
    done = run("check", weir.config)
    assert done.returncode == 0, done.stdout + done.stderr

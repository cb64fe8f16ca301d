"""The control socket and its commands: status, reload, drain, stop, bans, ban, unban (OPERATIONS.md)."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import threading
import time

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import BINARY, PLAIN_RULES, SLOWNESS, run
from harness.mta import after
from harness.ports import eventually

STRANGER = 65533  # a uid that is neither root nor the user of the service


def command(weir, *words, code=0, **options):
    """A command of this service; its standard output, or where it is not 0, its standard error."""
    done = run(*words, "-c", weir.config, **options)
    assert done.returncode == code, "%s: %d\n%s%s" % (words, done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


def asked(weir, *words, **options):
    answer = json.loads(command(weir, *words, "--json", **options))
    assert answer["ok"] is True
    return answer


def connect(weir, timeout=20):
    """As the commands connect: who finds the socket's queue full waits for room, which a socket with Python's timeout, for it
    does not block, would not."""
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout * SLOWNESS), 0))
    client.connect(str(weir.control))
    client.settimeout(timeout * SLOWNESS)
    return client


def ask(client, question):
    """One line there, one line back."""
    client.sendall(question if isinstance(question, bytes) else json.dumps(question).encode() + b"\n")
    return read_line(client)


def read_line(client):
    answer = b""
    while not answer.endswith(b"\n"):
        got = client.recv(1 << 20)
        if not got:
            raise Closed(answer)
        answer += got
    return json.loads(answer)


def as_stranger(*words):
    """A command by somebody else."""
    return subprocess.run([str(BINARY)] + [str(word) for word in words], capture_output=True, text=True, timeout=30 * SLOWNESS,
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: (os.setgroups([]), os.setresgid(*[STRANGER] * 3), os.setresuid(*[STRANGER] * 3)))


# -- status

def test_status(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
        status = asked(weir, "status")
        assert status["connections"]["open"] == 1
    assert status["pid"] == weir.process.pid and status["state"] == "running" and status["node"] == "mail.example.org"
    assert status["version"] == run("--version").stdout.split()[1]
    assert status["config"]["file"] == str(weir.config) and status["config"]["generation"] == 1
    assert status["mails"]["accepted"] == 1 and status["counters"]["mailweir_mails_accepted_total"] == 1
    assert status["store"] == {"kind": "memory", "state": "ok", "entries": 65536, "evicted": 0}
    assert status["bans"]["in_force"] == 0
    assert [listener["name"] for listener in status["listeners"]] == ["submission", "submissions", "plain", "smtp"]
    assert status["listeners"][2]["endpoints"] == ["127.0.0.1:%d" % weir.plain] and status["listeners"][2]["tls"] == "off"
    pool = status["pools"][0]
    assert pool["name"] == "default" and [server["endpoint"] for server in pool["servers"]] == ["127.0.0.1:%d" % mta.port]
    processes = {process["process"]: process for process in status["processes"]}
    assert set(processes) == {"supervisor", "event writer", "auth", "admin", "worker 1", "worker 2"}
    assert sorted(p["pid"] for p in processes.values()) == sorted([weir.process.pid] + weir.children())
    assert sum(p.get("connections", 0) for p in processes.values()) == 1
    text = command(weir, "status")
    assert str(weir.config) in text and "worker 2" in text and "1 accepted" in text


def test_status_knows_the_servers_behind(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)

    def state():
        return asked(weir, "status")["pools"][0]["servers"][0]["state"]
    eventually(lambda: state() == "up", 10 * SLOWNESS, "it is up")
    mta.stop()
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 451
    eventually(lambda: state() in ("partly", "down"), 10 * SLOWNESS, "a worker knows that it is down")
    assert "127.0.0.1:%d" % mta.port in command(weir, "status")


def test_status_counts_restarts(start_mailweir, mta):
    weir = start_mailweir(mta)
    os.kill(weir.children("worker")[0], signal.SIGKILL)
    weir.wait_event("crash")
    eventually(lambda: [p for p in asked(weir, "status")["processes"] if p["process"] == "worker 1"][0]["restarts"] == 1, 10 * SLOWNESS, "a restart")


def test_nothing_listens(start_mailweir, mta):
    weir = start_mailweir(mta, run=False)
    for words in (("status",), ("reload",), ("stop",), ("drain",), ("bans",), ("ban", "192.0.2.7", "2h"), ("unban", "192.0.2.7")):
        said = command(weir, *words, code=69)
        assert "nothing listens at %s" % weir.control in said and "Traceback" not in said


def test_the_socket_is_found(start_mailweir, mta, place):
    weir = start_mailweir(mta)
    assert run("status", "--control", weir.control).returncode == 0
    assert run("status", "--control=unix:%s" % weir.control).returncode == 0
    weir.config.write_text(weir.config.read_text() + "on mail { rule broken rejekt }\n")
    assert run("status", "-c", weir.config).returncode == 0, "a configuration that is wrong elsewhere still says where to ask"
    done = run("status", "-c", place / "nowhere.conf")
    assert done.returncode == 1 and "nowhere.conf" in done.stderr


@pytest.mark.parametrize("words", (("status", "now"), ("ban", "192.0.2.7"), ("ban",), ("unban",), ("unban", "a", "b"), ("reload", "--fast"), ("bans", "-c"),
                                   ("allow", "alice@example.org"), ("allow", "alice@example.org", "mails"), ("allow", "--why", "newsletter")))
def test_wrong_usage(words):
    done = run(*words)
    assert done.returncode == 2 and "usage: mailweir %s" % words[0] in done.stderr


@pytest.mark.parametrize("words,said", (
    (("bans", "-c"), "-c needs a value"),
    (("ban", "192.0.2.7", "2h", "--why"), "--why needs a value"),
    (("bans", "--why"), "unknown option --why"),
    (("limits", "--jsn"), "unknown option --jsn"),
    (("limits", ""), "an empty word is none: it needs one key, such as user:alice@example.org")))
def test_what_is_wrong_is_named(words, said):
    assert run(*words).stderr.splitlines()[0] == "mailweir %s: %s" % (words[0], said)


@pytest.mark.parametrize("name", ("allow", "ban"))
def test_help_says_that_orders_outlive_the_service(name):
    """As test_control_redis shows."""
    assert "even if it is stopped before" in " ".join(run("help", name).stdout.split())


def test_help_at_the_end_of_a_line():
    done = run("store", "audit", "--help")
    assert done.returncode == 0 and done.stdout == run("help", "store").stdout


@pytest.mark.parametrize("name", ("status", "reload", "drain", "stop", "bans", "ban", "unban"))
def test_help(name):
    assert run("help", name).stdout == run(name, "--help").stdout
    assert "--json" in run("help", name).stdout


@pytest.mark.parametrize("word,said", (("redis", "mailweir status"), ("share", "mailweir limits KEY"), ("key", "user:alice@example.org"), ("allowance", "mailweir help allow")))
def test_help_knows_where_a_word_is_spoken_of(word, said):
    done = run("help", word)
    assert done.returncode == 0 and said in done.stdout and not done.stderr


# -- reload

def test_reload(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    admin = weir.children("mailweir:admin")
    weir.write_config(rules=PLAIN_RULES + 'on mail { rule closed reject 550 5.7.1 "closed" }\n')
    assert "in force (generation 2)" in command(weir, "reload")

    def new_rules():
        with session(weir.plain, "plain") as client:
            return client.command("MAIL FROM:<alice@example.org>").both == "550 5.7.1"
    eventually(new_rules, 5 * SLOWNESS, "the new rules are in force")
    status = asked(weir, "status")
    assert status["config"]["generation"] == 2
    eventually(lambda: len(weir.children("mailweir:admin")) == 1 and weir.children("mailweir:admin") != admin, 10 * SLOWNESS, "one admin process, a new one")
    assert weir.events("reload")[-1]["result"] == "ok"


def test_a_bad_configuration_is_printed_and_changes_nothing(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    children = weir.children()
    weir.write_config(rules="on mail { rule broken rejekt }\n")
    said = command(weir, "reload", code=1)
    assert 'unknown action "rejekt"' in said and "mailweir.conf:" in said and "has 1 error" in said
    assert weir.children() == children
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
    done = run("reload", "--json", "-c", weir.config)
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and answer["ok"] is False and "rejekt" in answer["report"]
    assert asked(weir, "status")["config"]["generation"] == 1


def test_what_only_a_restart_can_change_is_refused_in_words(start_mailweir, mta):
    weir = start_mailweir(mta)
    weir.config.write_text(weir.config.read_text().replace("user nobody", "user root"))
    assert "restart the service" in command(weir, "reload", code=1)


def test_reloads_side_by_side_all_get_an_answer(start_mailweir, mta):
    """Of six who ask at once the first is answered by the reload that begins, the others by one more, after that. All are
    connected before: where processes start slowly there would be six reloads in a row, and four generations are too many
    for the oldest, and for those who are still connected to it."""
    weir = start_mailweir(mta)
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(connect(weir)) for _ in range(6)]
        for client in clients:
            client.sendall(b'{"request": "reload"}\n')
        answers = [read_line(client) for client in clients]
    assert [answer["ok"] for answer in answers] == [True] * 6, answers
    assert {answer["generation"] for answer in answers} <= {2, 3}, answers
    assert asked(weir, "status")["config"]["generation"] <= 3


def test_reload_while_an_old_generation_drains(start_mailweir, mta):
    weir = start_mailweir(mta)
    old = session(weir.plain, "plain")
    old.expect("250", "MAIL FROM:<alice@example.org>")
    for generation in (2, 3):
        assert "generation %d" % generation in command(weir, "reload")
    status = asked(weir, "status")
    assert 1 in [p["generation"] for p in status["processes"] if p["process"] == "worker 1" and p["draining"]]
    old.expect("250", "RCPT TO:<b@example.net>")
    assert old.data(message()).code == 250
    old.close()


def test_the_socket_moves_by_reload(start_mailweir, mta):
    weir = start_mailweir(mta)
    before, weir.control = weir.control, weir.directory / "elsewhere" / "control"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(before))
        weir.write_config()
        assert ask(client, {"request": "reload"})["ok"] is True  # the old place answers it
    assert asked(weir, "status")["config"]["generation"] == 2
    assert not before.exists()
    mode = weir.control.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_a_place_that_cannot_be_had_refuses_the_reload(start_mailweir, mta):
    weir = start_mailweir(mta)
    before, weir.control = weir.control, weir.directory / "mailweir.conf" / "control"
    weir.write_config()
    done = run("reload", "--control", before)
    assert done.returncode == 1 and "control socket" in done.stderr
    assert run("status", "--control", before).returncode == 0


# -- the end

@pytest.mark.parametrize("word", ("stop", "drain"))
def test_stop_finishes_what_is_running(start_mailweir, mta, word):
    weir = start_mailweir(mta, workers=2)
    mta.on("DOT", after(1.0), times=1)
    busy, replies = session(weir.plain, "plain"), []
    thread = threading.Thread(target=lambda: replies.append(busy.mail(message())))
    thread.start()
    eventually(lambda: any(t.wire for t in mta.begun), 5 * SLOWNESS, "the mail is at its dot")
    assert "stopped" in command(weir, word)
    thread.join(15)
    assert replies[0].code == 250
    assert weir.process.wait(2 * SLOWNESS) == 0, "the command ended before the service"
    assert weir.events("stop")[-1]["reason"] == "by command"
    assert not weir.control.exists()
    command(weir, "status", code=69)


def test_a_second_stop_ends_at_once(start_mailweir, mta):
    weir = start_mailweir(mta)
    mta.on("DOT", after(30), times=1)
    busy = session(weir.plain, "plain", timeout=60)
    thread = threading.Thread(target=lambda: pytest.raises((Closed, OSError, AssertionError), busy.mail, message()))
    thread.start()
    eventually(lambda: any(t.wire for t in mta.begun), 5 * SLOWNESS, "the mail is at its dot")
    first = subprocess.Popen([str(BINARY), "stop", "-c", str(weir.config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: asked(weir, "status")["state"] == "stopping", 5 * SLOWNESS, "it is stopping, and says so")
    assert command(weir, "reload", code=1).endswith("the service is stopping\n")
    assert weir.process.poll() is None
    command(weir, "stop")
    assert first.wait(10 * SLOWNESS) == 0
    mta.stop()
    thread.join(15)


# -- bans

def test_a_ban_is_in_force_at_once_and_can_be_lifted(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2)
    assert "nobody is banned" in command(weir, "bans")
    assert "client:127.0.0.1 is banned until" in command(weir, "ban", "127.0.0.1", "2h", "--why", "too loud")
    for _ in range(4):
        with Client(weir.plain) as client:
            assert client.is_closed(), "not a word"
    [ban] = asked(weir, "bans")["bans"]
    assert ban["key"] == "client:127.0.0.1" and ban["reason"] == "too loud" and 7190 < ban["left"] <= 7200
    assert ban["by"].startswith("command of root")
    event = weir.wait_event("ban")
    assert event["entity"] == "client:127.0.0.1" and event["reason"] == "too loud" and event["strikes"] == 1
    assert event["by"] == ban["by"] and event["until"][:19] == ban["until"][:19]
    assert asked(weir, "status")["bans"]["in_force"] == 1
    assert "not banned any more" in command(weir, "unban", "client:127.0.0.1")
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
    assert weir.wait_event("unban")["entity"] == "client:127.0.0.1"
    assert "is not banned" in command(weir, "unban", "127.0.0.1", code=1)


def test_a_ban_that_is_prolonged_keeps_its_reason(start_mailweir, mta):
    weir = start_mailweir(mta)
    command(weir, "ban", "192.0.2.7", "1h", "--why", "too loud")
    command(weir, "ban", "192.0.2.7", "2h")
    [ban] = asked(weir, "bans")["bans"]
    assert ban["reason"] == "too loud" and ban["left"] > 7190
    assert [event["reason"] for event in weir.events("ban")] == ["too loud", "too loud"]
    command(weir, "ban", "192.0.2.7", "3h", "--why", "stolen")
    assert asked(weir, "bans")["bans"][0]["reason"] == "stolen"


def test_a_banned_user_reads_why(start_mailweir, mta):
    weir = start_mailweir(mta)
    command(weir, "ban", "Alice@Example.ORG", "15m", "--why", "call the help desk")
    with Client(weir.plain) as client:
        client.greet()
        client.ehlo()
        reply = client.try_login("alice@example.org", "secret")
        assert reply.code == 535 and reply.text == "call the help desk"
    session(weir.plain, "plain", user="bob@example.org", password="sesame").close()
    command(weir, "ban", "bob@example.org", "15m")
    with Client(weir.plain) as client:
        client.greet()
        client.ehlo()
        assert client.try_login("bob@example.org", "sesame").text == "Banned", "nobody's rule did it"


def test_bans_survive_a_reload_and_the_death_of_the_admin_process(start_mailweir, mta):
    weir = start_mailweir(mta)
    command(weir, "ban", "network:127.0.0.0/24", "1h")
    command(weir, "reload")
    os.kill(weir.children("mailweir:admin")[0], signal.SIGKILL)
    assert [ban["key"] for ban in asked(weir, "bans")["bans"]] == ["network:127.0.0.0/24"]
    with Client(weir.plain) as client:
        assert client.is_closed()


@pytest.mark.parametrize("words,said", (
    (("192.0.2.7", "never"), "no duration"), (("192.0.2.7", "0s"), "no duration"), (("192.0.2.7", "400d"), "no duration"),
    (("192.0.2.0/16", "1h"), "bits beyond /16"), (("10.0.0.0/8", "1h"), "/24 here"), (("sender:a@b.org", "1h"), "a ban is of a client"),
    (("nobody:x", "1h"), "no key of limits"), (("user:", "1h"), "no value")))
def test_a_ban_that_means_nothing(module_mailweir, words, said):
    assert said in command(module_mailweir, "ban", *words, code=1)


# -- who may ask, and how much

def test_strangers(start_mailweir, mta):
    weir = start_mailweir(mta)
    weir.directory.chmod(0o755)
    done = as_stranger("status", "--control", weir.control)
    assert done.returncode == 1 and "only root and the user of the service may" in done.stderr
    weir.control.chmod(0o666)  # even then
    for words in (("status",), ("stop",), ("ban", "127.0.0.1", "1h")):
        done = as_stranger(*words, "--control", weir.control)
        assert done.returncode == 1 and "not uid %d" % STRANGER in done.stderr, done.stderr
    assert asked(weir, "bans")["bans"] == [] and asked(weir, "status")["state"] == "running"


def test_garbage(start_mailweir, mta):
    weir = start_mailweir(mta)
    for line in (b"\n", b"GET / HTTP/1.1\r\n", b"\0\xff\xfe\n", b"[" * 10000 + b"\n", b"{" * 10 + b"\n", b'"status"\n', b'{"request":7}\n'):
        with connect(weir) as client:
            answer = ask(client, line)
            assert answer["ok"] is False and "that is no question" in answer["error"]
            assert ask(client, {"request": "status"})["ok"] is True, "the next question is answered"
    with connect(weir) as client:
        client.sendall(b"x" * 20000)
        assert "at most" in read_line(client)["error"]
        try:
            assert client.recv(1) == b""
        except ConnectionError:
            pass
    assert not weir.events("crash")


def test_two_hundred_clients(start_mailweir, mta):
    weir = start_mailweir(mta)
    held = [connect(weir) for _ in range(200)]
    try:
        assert asked(weir, "status")["state"] == "running", "who holds connections open keeps nobody out"
        answered = 0
        for client in held:
            try:
                answered += ask(client, {"request": "bans"})["ok"]
            except (Closed, OSError):
                pass
        assert answered >= 100
        with session(weir.plain, "plain") as client:
            assert client.mail(message()).code == 250
    finally:
        for client in held:
            client.close()
    assert not weir.events("crash")


def test_who_leaves_amid_a_question(start_mailweir, mta):
    weir = start_mailweir(mta)
    for _ in range(20):
        client = connect(weir)
        client.sendall(b'{"request":"reload"}\n{"request":"status"}\n{"request":"ba')
        client.close()
    assert "in force" in command(weir, "reload")
    assert not weir.events("crash")


def test_the_admin_process_dies(start_mailweir, mta):
    """It is back within a second, no command is lost, and mail flows meanwhile."""
    weir = start_mailweir(mta, workers=2)
    pid = weir.children("mailweir:admin")[0]
    os.kill(pid, signal.SIGSTOP)
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        assert asked(weir, "status")["state"] == "running"
        assert time.monotonic() - began < 1 * SLOWNESS
        assert client.mail(message()).code == 250
    assert weir.wait_event("crash")["process"] == "admin"
    assert len(weir.children("worker")) == 2 and weir.children("mailweir:admin") != [pid]


# -- where the socket lies

def test_a_file_that_a_dead_service_left_is_replaced(start_mailweir, mta):
    weir = start_mailweir(mta)
    weir.kill()
    assert weir.control.exists()
    command(weir, "status", code=69)
    weir.event_file.unlink()
    weir.start()
    assert asked(weir, "status")["pid"] == weir.process.pid


def test_a_place_that_is_taken(start_mailweir, mta, place):
    weir = start_mailweir(mta)
    (place / "other").mkdir()
    other = start_mailweir(mta, run=False)
    other.control = weir.control
    other.write_config()
    other.start(wait=False)
    assert other.process.wait(10 * SLOWNESS) == 1
    assert "another service listens there" in other.stderr()
    assert asked(weir, "status")["pid"] == weir.process.pid


def test_without_a_place_of_its_own_it_serves_all_the_same(start_mailweir, mta):
    """Nobody named a socket, and the usual one cannot be had: that is said, with what to do."""
    weir = start_mailweir(mta, run=False)
    weir.control = None
    weir.config.write_text("")
    weir.write_config()
    taken = pathlib.Path("/run/mailweir/control")
    made = not taken.parent.exists()
    if os.geteuid() != 0:
        pytest.skip("needs root")
    taken.parent.mkdir(exist_ok=True)
    if taken.exists():
        pytest.skip("somebody uses %s" % taken)
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(str(taken))
        holder.listen()
        try:
            weir.start()
            assert "no control socket at /run/mailweir/control" in weir.stderr() and "control unix:PATH" in weir.stderr()
            with session(weir.plain, "plain") as client:
                assert client.mail(message()).code == 250
            assert taken.exists()
        finally:
            taken.unlink()
            if made:
                taken.parent.rmdir()


@pytest.mark.parametrize("where,said", (("127.0.0.1:7000", "the control socket is a file"), ("unix:control", "unix:/run/x.sock"), ("unix:/" + "x" * 200, "unix:/run/x.sock")))
def test_a_place_that_is_none(place, where, said):
    file = place / "mailweir.conf"
    file.write_text("listen smtp 127.0.0.1:2525\nrelay to 127.0.0.1:25\ncontrol %s\n" % where)
    done = run("check", file)
    assert done.returncode == 1 and said in done.stderr


# -- limits, reset

LIMITS = PLAIN_RULES + """
limit mails per user count messages { 3/1h, 100/1d }
limit volume per user count bytes { 10M/1d }
limit reach per user count distinct-recipients { 50/1d }
limit pairs per user, client count messages { 100/1h }
limit senders per sender count recipients { 20/1h observe }
limit places per client count open-connections { 40 }
limit arrivals per network count connections { 1000/1h }
limit house per user.domain count messages { 1000/1h  overrides houses }
table houses map { example.org { 500/1h } }
"""


def rows_of(answer):
    return {(row["name"], row["period"]): row for row in answer["limits"]}


def test_limits_show_what_was_used(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2, rules=LIMITS)
    rows = rows_of(asked(weir, "limits", "user:alice@example.org"))
    assert set(rows) == {("mails", 3600), ("mails", 86400), ("volume", 86400), ("reach", 86400)}
    assert all(row["used"] == 0 and row["frees_in"] is None and not row["full"] for row in rows.values())
    with session(weir.plain, "plain") as client:
        for _ in range(3):
            assert client.mail(message(), recipients=("b@example.net", "c@example.net")).code == 250
        assert client.mail(message()).code == 450
        everything = rows_of(asked(weir, "limits", "Alice@Example.Org"))
        assert rows_of(asked(weir, "limits", "127.0.0.1"))["places", 0]["used"] == 1
    hour, day = everything["mails", 3600], everything["mails", 86400]
    assert (hour["key"], hour["limit"], hour["used"], hour["full"]) == ("user:alice@example.org", 3, 3, True)
    assert 3600 <= hour["frees_in"] <= 3600 * 17 / 16 + 1
    assert (day["used"], day["full"]) == (3, False)
    assert everything["volume", 86400]["used"] == 3072 and everything["volume", 86400]["limit"] == 10 << 20
    assert everything["reach", 86400]["used"] == 2
    sender = everything["senders", 3600]
    assert sender["key"] == "sender:alice@example.org" and sender["used"] == 6 and sender["observed"] is True
    assert asked(weir, "limits", "user:alice@example.org")["joint"] == "user+client"
    pairs = rows_of(asked(weir, "limits", "client+user:127.0.0.1+alice@example.org"))
    assert pairs["pairs", 3600]["key"] == "user+client:alice@example.org+127.0.0.1" and pairs["pairs", 3600]["used"] == 3
    house = rows_of(asked(weir, "limits", "example.org"))["house", 3600]
    assert (house["limit"], house["used"], house["rate_of"]) == (500, 3, "table")
    assert rows_of(asked(weir, "limits", "network:127.0.0.9"))["arrivals", 3600]["used"] >= 1
    text = command(weir, "limits", "user:alice@example.org")
    assert "3 of 3 in 1h" in text and "full; room for one more in" in text and "3K of 10M in 1d" in text
    assert "user+client" in text
    assert "no limit counts listener:smtp" in command(weir, "limits", "listener:smtp")


def test_limits_tell_of_a_ban(start_mailweir, mta):
    weir = start_mailweir(mta, rules=LIMITS)
    assert asked(weir, "limits", "alice@example.org")["ban"] is None
    command(weir, "ban", "user:alice@example.org", "2h", "--why", "stolen")
    assert asked(weir, "limits", "alice@example.org")["ban"]["reason"] == "stolen"
    assert "is banned until" in command(weir, "limits", "alice@example.org")


def test_reset_lets_mail_through_again(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2, rules=LIMITS)
    with session(weir.plain, "plain") as client:
        for _ in range(3):
            assert client.mail(message()).code == 250
        assert client.mail(message()).code == 450
        assert command(weir, "reset", "bob@example.org").endswith("at present nothing is counted of user:bob@example.org, sender:bob@example.org, rcpt:bob@example.org\n")
        assert client.mail(message()).code == 450
        said = command(weir, "reset", "user:alice@example.org", "mails")
        assert said.splitlines() == ["mails: messages in 1h of user:alice@example.org are forgotten", "mails: messages in 1d of user:alice@example.org are forgotten"]
        event = weir.wait_event("reset", key="user:alice@example.org")
        assert (event["limit"], event["by"], event["result"]) == ("mails", "root", "ok")
        rows = rows_of(asked(weir, "limits", "user:alice@example.org"))
        assert rows["mails", 3600]["used"] == 0 and rows["reach", 86400]["used"] == 1 and rows["volume", 86400]["used"] == 3072
        for _ in range(3):
            assert client.mail(message()).code == 250
        assert client.mail(message()).code == 450, "the limit holds as before"
        forgotten = asked(weir, "reset", "alice@example.org")["forgotten"]
        assert {(row["name"], row["key"]) for row in forgotten} == {(name, "user:alice@example.org") for name in ("mails", "volume", "reach")} | {("senders", "sender:alice@example.org")}
        assert all(row["used"] == 0 for row in asked(weir, "limits", "alice@example.org")["limits"])


@pytest.mark.parametrize("words,said", (
    (("alice@example.org", "mailz"), 'did you mean "mails"?'), (("192.0.2.7", "mails"), "does not count client:192.0.2.7"),
    (("listener:smtp",), "no limit counts listener:smtp"), (("192.0.2.7", "places"), "nothing to forget"), (("user+client:alice",), "values for 2 keys")))
def test_a_reset_of_nothing(start_mailweir, mta, words, said):
    weir = start_mailweir(mta, rules=LIMITS)
    assert said in command(weir, "reset", *words, code=1)


# -- allow

def test_allow_goes_before_the_limit_and_can_be_taken_back(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2, rules=LIMITS)
    with session(weir.plain, "plain") as client:
        for _ in range(3):
            assert client.mail(message()).code == 250
        assert client.mail(message()).code == 450
        said = command(weir, "allow", "alice@example.org", "mails", "5/1h", "--for", "2d", "--why", "newsletter")
        assert said.startswith("user:alice@example.org has 5/1h at limit mails until") and len(said.splitlines()) == 1
        event = weir.wait_event("allow")
        assert (event["key"], event["limit"], event["rate"], event["why"], event["by"]) == ("user:alice@example.org", "mails", "5/1h", "newsletter", "root")
        assert event["until"][:16] == said.split()[-1][:16]
        for _ in range(2):
            assert client.mail(message()).code == 250, "what was counted stays counted"
        assert client.mail(message()).code == 450
        row = rows_of(asked(weir, "limits", "user:alice@example.org"))["mails", 3600]
        assert (row["limit"], row["used"], row["rate_of"], row["why"]) == (5, 5, "operator", "newsletter")
        assert "allowed by root" in command(weir, "limits", "user:alice@example.org")
        answer = asked(weir, "allow", "user:alice@example.org", "mails", "none")
        assert answer["rates"] == [] and answer["lasts"] == 86400
        for _ in range(5):
            assert client.mail(message()).code == 250
        assert "without limit" in command(weir, "limits", "user:alice@example.org")
        command(weir, "reload")
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250, "it survives a reload"
        command(weir, "allow", "user:alice@example.org", "mails", "default")
        assert client.mail(message()).code == 450
    event = weir.wait_event("allow", rate="default")
    assert event["key"] == "user:alice@example.org" and "until" not in event
    assert "no rates of its own" in command(weir, "allow", "user:alice@example.org", "mails", "default", code=1)


def test_who_was_allowed_what(start_mailweir, mta):
    weir = start_mailweir(mta, rules=LIMITS)
    assert command(weir, "allow") == "nobody has rates of his own that somebody allowed\n"
    said = command(weir, "allow", "user:alice@example.org", "volume", "1G/1d,10G/7d", "--for", "2d", "--why", "newsletter")
    assert said.endswith("at present nothing is counted of user:alice@example.org\n")
    command(weir, "allow", "client:192.0.2.7", "places", "500")
    command(weir, "allow", "user:bob@example.org", "mails", "none", "--for", "1h")
    first, second, third = asked(weir, "allow")["allowances"]
    assert (first["key"], first["limit"], first["rates"]) == ("user:bob@example.org", "mails", [])
    assert (second["key"], second["unit"], second["rates"]) == ("client:192.0.2.7", "open-connections", [{"limit": 500, "period": 0}])
    assert (third["rates"][0], third["why"], third["by"]) == ({"limit": 1 << 30, "period": 86400}, "newsletter", "root")
    assert 7190 < third["left"] - 2 * 86400 + 7200 <= 7200
    lines = command(weir, "allow").splitlines()
    assert " no limit for 1h, until " in lines[0] and " 500 for 1d, until " in lines[1]
    assert " 1G/1d, 10G/7d for 2d, until " in lines[2] and lines[2].endswith(", by root: newsletter")
    command(weir, "allow", "user:alice@example.org", "volume", "default")
    weir.write_config(rules=PLAIN_RULES)  # its limit is gone: it is shown all the same
    command(weir, "reload")
    assert [(a["key"], a["unit"]) for a in asked(weir, "allow")["allowances"]] == [("user:bob@example.org", None), ("client:192.0.2.7", None)]


def test_an_allowance_ends_by_itself(start_mailweir, mta):
    weir = start_mailweir(mta, rules=LIMITS)
    command(weir, "allow", "user:alice@example.org", "mails", "0/1h", code=1)
    command(weir, "allow", "user:alice@example.org", "mails", "1/1h", "--for", "1s")
    with session(weir.plain, "plain") as client:
        eventually(lambda: rows_of(asked(weir, "limits", "user:alice@example.org"))["mails", 3600]["rate_of"] == "limit", 5 * SLOWNESS, "it has ended")
        for _ in range(3):
            assert client.mail(message()).code == 250


@pytest.mark.parametrize("words,said", (
    (("alice@example.org", "mailz", "5/1h"), 'did you mean "mails"?'), (("192.0.2.7", "mails", "5/1h"), "does not count client:192.0.2.7"),
    (("alice@example.org", "mails", "5"), "is not a rate"), (("alice@example.org", "mails", "5/1h,x"), "is not a rate"),
    (("alice@example.org", "mails", "5/1h", "--for", "soon"), "is no duration"), (("192.0.2.7", "places", "5/1h"), "is not a number"),
    (("user:" + "x" * 300 + "@example.org", "mails", "5/1h"), "its name is too long")))
def test_an_allowance_that_means_nothing(start_mailweir, mta, words, said):
    weir = start_mailweir(mta, rules=LIMITS)
    assert said in command(weir, "allow", *words, code=1)


# -- store audit

def test_store_audit(start_mailweir, mta):
    weir = start_mailweir(mta, rules=LIMITS)
    with session(weir.plain, "plain") as client:
        assert client.mail(message()).code == 250
        answer = asked(weir, "store", "audit")
    assert answer["kind"] == "memory" and answer["clean"] is True
    counts = answer["memory"]
    assert counts["entries"] == 65536 and 5 <= counts["live"] <= counts["created"] and counts["values_live"] == 1
    assert counts["impossible"] == counts["evicted"] == counts["lock_timeouts"] == 0
    assert "nothing is wrong" in command(weir, "store", "audit", "--repair")
    done = run("store", "count")
    assert done.returncode == 2 and "nothing but audit" in done.stderr

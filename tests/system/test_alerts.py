"""Alerts reach somebody by webhook, mail, syslog or program, once in a time for one key; who cannot be reached delays no mail."""
import email
import email.policy
import http.server
import json
import os
import pwd
import signal
import ssl
import threading
import time

import pytest

from harness.client import message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS, USER, USERS, run
from harness.mta import say
from harness.ports import eventually, free_port

TELL = PLAIN_RULES + "on rcpt { rule tell alert ops if rcpt in { tell@example.org } }\n"
EVERYBODY = sorted(USERS)


class Hook(http.server.ThreadingHTTPServer):
    """Writes down what is posted. answer: the status; None: hangs for as long as it lives."""
    daemon_threads = True

    def __init__(self, port=0, answer=200, certificate=None):
        self.posts, self.requests, self.answer, self.over = [], 0, answer, threading.Event()
        super().__init__(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        """Who hangs up on us, or does not like our certificate, is no news."""

    def stop(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        if self.server.answer is None:
            self.server.over.wait(60)
            return
        if self.server.answer == 200:
            self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.server.answer)
        if self.server.answer == 302:
            self.send_header("Location", "http://127.0.0.1:%d/elsewhere" % self.server.port)
        self.end_headers()
        self.wfile.write(b"thank you\n" * 1000)

    def do_GET(self):
        self.server.posts.append((self.path, "GET", None))

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = Hook()
    yield server
    server.stop()


def webhook(server, options=""):
    return 'alert ops webhook "http://127.0.0.1:%d/secret?x=1" %s\n' % (server.port, options)


def raise_alert(weir, user="alice@example.org"):
    """A mail that the MTA gets, and an alert for its sender; how long the mail took."""
    began = time.monotonic()
    with session(weir.plain, "plain", user=user, password=USERS[user]) as client:
        assert client.mail(message(), sender=user, recipients=("tell@example.org",)).code == 250
    return time.monotonic() - began


def test_a_webhook_gets_the_event_once_for_each_key(start_mailweir, mta, hook):
    weir = start_mailweir(mta, rules=webhook(hook) + TELL, workers=2)
    for user in EVERYBODY + EVERYBODY + EVERYBODY:
        raise_alert(weir, user)
    eventually(lambda: len(hook.posts) >= len(EVERYBODY), 10 * SLOWNESS, "every user's alert")
    assert weir.stop() == 0
    assert sorted(event["key"] for _, _, event in hook.posts) == ["user:%s" % user for user in EVERYBODY]
    assert len(weir.events("alert")) == 3 * len(EVERYBODY)
    for path, headers, event in hook.posts:
        assert path == "/secret?x=1" and headers["Content-Type"] == "application/json"
        assert event["event"] == "alert" and event["by"] == "tell" and event["alert"] == "ops", event
        assert event in weir.events("alert")


def test_what_was_held_back_is_told_with_the_next(start_mailweir, mta, hook):
    weir = start_mailweir(mta, rules=webhook(hook, "{ every %ds }" % (3 * SLOWNESS)) + TELL)
    for _ in range(3):
        raise_alert(weir)
    eventually(lambda: hook.posts, 10 * SLOWNESS, "the first")
    time.sleep(3 * SLOWNESS)
    assert len(hook.posts) == 1 and "held_back" not in hook.posts[0][2]
    raise_alert(weir)
    eventually(lambda: len(hook.posts) == 2, 10 * SLOWNESS, "the second")
    assert hook.posts[1][2]["held_back"] == 2


def test_a_webhook_that_hangs_delays_nothing_and_is_said_once(start_mailweir, mta, hook):
    hook.answer = None
    weir = start_mailweir(mta, rules=webhook(hook) + TELL)
    for user in EVERYBODY:
        assert raise_alert(weir, user) < 3 * SLOWNESS
    assert len(mta.taken) == len(EVERYBODY)
    eventually(lambda: "cannot reach" in weir.stderr(), 20 * SLOWNESS, "the log says so")
    assert raise_alert(weir, EVERYBODY[0]) < 3 * SLOWNESS
    hook.answer = 200
    eventually(lambda: len(hook.posts) == len(EVERYBODY), 40 * SLOWNESS, "all of them are sent after all")
    eventually(lambda: "is reached again" in weir.stderr(), 5 * SLOWNESS, "the log says so")
    said = [line for line in weir.stderr().splitlines() if 'alert "ops"' in line]
    assert len(said) == 2, said
    assert "cannot reach 127.0.0.1:%d: no answer within 10000 ms; tried again, mail goes on" % hook.port in said[0]
    assert "secret" not in weir.stderr()


@pytest.mark.parametrize("answer, why", [(500, "HTTP status 500"), (302, "HTTP status 302"), (404, "HTTP status 404")])
def test_a_webhook_that_refuses_is_tried_again(start_mailweir, mta, hook, answer, why):
    hook.answer = answer
    weir = start_mailweir(mta, rules=webhook(hook) + TELL)
    raise_alert(weir)
    eventually(lambda: hook.requests >= 2, 20 * SLOWNESS, "a second try")
    assert why in weir.stderr()
    hook.answer = 200
    eventually(lambda: hook.posts, 20 * SLOWNESS, "a try that succeeds")
    assert [path for path, _, _ in hook.posts] == ["/secret?x=1"]


def test_nobody_listens_at_first(start_mailweir, mta):
    port = free_port()
    weir = start_mailweir(mta, rules='alert ops webhook "http://127.0.0.1:%d/"\n' % port + TELL)
    raise_alert(weir)
    eventually(lambda: "cannot reach 127.0.0.1:%d" % port in weir.stderr(), 10 * SLOWNESS, "the log says so")
    server = Hook(port)
    try:
        eventually(lambda: server.posts, 20 * SLOWNESS, "it comes when somebody listens")
    finally:
        server.stop()


def test_a_certificate_is_verified(start_mailweir, mta, certificate):
    server = Hook(certificate=certificate)
    try:
        weir = start_mailweir(mta, rules='alert ops webhook "https://localhost:%d/"\n' % server.port + TELL)
        raise_alert(weir)
        eventually(lambda: "cannot reach localhost:%d" % server.port in weir.stderr(), 10 * SLOWNESS, "it is not trusted")
        assert "certificate" in weir.stderr() and not server.posts
    finally:
        server.stop()


def test_one_that_hangs_delays_no_other(start_mailweir, mta, hook):
    hang = Hook(answer=None)
    try:
        rules = webhook(hook) + 'alert stuck webhook "http://127.0.0.1:%d/"\n' % hang.port
        rules += PLAIN_RULES + 'on rcpt {\nrule stuck alert stuck\nrule b alert ops\n}\n'
        weir = start_mailweir(mta, rules=rules)
        raise_alert(weir)
        eventually(lambda: hook.posts, 5 * SLOWNESS, "the other one")
        began = time.monotonic()
        assert weir.stop() == 0
        assert time.monotonic() - began < 8 * SLOWNESS
    finally:
        hang.stop()


# -- reload, crash, end

def test_a_reload_and_a_crash_let_no_alert_fire_again(start_mailweir, mta, hook):
    weir = start_mailweir(mta, rules=webhook(hook) + TELL)
    raise_alert(weir)
    eventually(lambda: hook.posts, 10 * SLOWNESS, "the first")
    assert weir.reload()["result"] == "ok"
    raise_alert(weir)
    eventually(lambda: len(weir.children("mailweir:alerts")) == 1, 20 * SLOWNESS, "the old process has gone")
    pid, = weir.children("mailweir:alerts")
    os.kill(pid, signal.SIGKILL)
    weir.wait_event("crash", process="alerts")
    raise_alert(weir)
    raise_alert(weir, EVERYBODY[1])
    eventually(lambda: len(hook.posts) == 2, 10 * SLOWNESS, "the successor works")
    assert weir.stop() == 0
    assert [event["key"] for _, _, event in hook.posts] == ["user:alice@example.org", "user:%s" % EVERYBODY[1]]


def test_there_is_no_alert_process_without_an_alert(start_mailweir, mta, hook):
    weir = start_mailweir(mta)
    assert not weir.children("mailweir:alerts")
    weir.write_config(rules=webhook(hook) + TELL)
    assert weir.reload()["result"] == "ok"
    assert len(weir.children("mailweir:alerts")) == 1


def test_what_waits_is_sent_before_the_end(start_mailweir, mta, hook):
    weir = start_mailweir(mta, rules=webhook(hook) + TELL)
    for user in EVERYBODY:
        raise_alert(weir, user)
    assert weir.stop() == 0
    assert len(hook.posts) == len(EVERYBODY)


# -- the other ways

def program(place, text):
    path = place / "program"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    folder = place / "out"
    folder.mkdir()
    owner = pwd.getpwnam(USER)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return path, folder


def test_a_program_gets_name_key_and_event(start_mailweir, mta, place):
    path, out = program(place, 'cd %s\necho "$# $1 $2" >arguments\nenv >environment\nid -un >user\ncat >event\n'
                               'ls -l /proc/$$/fd >files\necho noise; echo noise >&2\nmv event done\n' % (place / "out"))
    weir = start_mailweir(mta, rules='alert ops exec "%s"\n' % path + TELL)
    raise_alert(weir)
    eventually(lambda: (out / "done").exists(), 10 * SLOWNESS, "it ran")
    assert weir.stop() == 0
    assert (out / "arguments").read_text() == "2 ops user:alice@example.org\n"
    assert (out / "user").read_text() == USER + "\n"
    event, = weir.events("alert")
    assert json.loads((out / "done").read_text()) == event
    names = {line.split("=")[0] for line in (out / "environment").read_text().splitlines()}
    assert names <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"} and "PATH" in names
    assert "socket:" not in (out / "files").read_text() and "noise" not in weir.stderr()


def test_a_program_that_hangs_is_killed_with_all_it_began(start_mailweir, mta, place):
    path, out = program(place, 'sleep 1000 & echo $! >%s/pids\necho $$ >>%s/pids\nwait\n' % (place / "out", place / "out"))
    weir = start_mailweir(mta, rules='alert ops exec "%s"\n' % path + TELL)
    raise_alert(weir)
    eventually(lambda: "cannot reach %s: no answer within 10000 ms" % path in weir.stderr(), 20 * SLOWNESS, "the log says so")
    pids = [int(pid) for pid in (out / "pids").read_text().split()[:2]]
    eventually(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), 5 * SLOWNESS, "both are gone")


def test_a_program_that_fails_is_run_again(start_mailweir, mta, place):
    path, out = program(place, 'echo x >>%s/runs\nexit 3\n' % (place / "out"))
    weir = start_mailweir(mta, rules='alert ops exec "%s"\n' % path + TELL)
    raise_alert(weir)
    eventually(lambda: (out / "runs").exists() and len((out / "runs").read_text().split()) == 2, 10 * SLOWNESS, "twice")
    assert "it ended with code 3" in weir.stderr()


def test_a_program_that_is_not_there(start_mailweir, mta, place):
    weir = start_mailweir(mta, run=False, rules='alert ops exec "%s/nothing"\n' % place + TELL)
    said = 'cannot run "%s/nothing": No such file or directory' % place
    checked = run("check", weir.config)
    assert checked.returncode == 0 and "warning: " + said in checked.stdout + checked.stderr
    weir.start(wait=False)
    assert weir.process.wait(20 * SLOWNESS) != 0 and "error: " + said in weir.stderr()


def test_mail_goes_through_the_mta(start_mailweir, mta):
    weir = start_mailweir(mta, rules="alert ops mail ops@example.org boss@example.net\n" + TELL)
    raise_alert(weir)
    eventually(lambda: len(mta.taken) == 2, 10 * SLOWNESS, "the mail, and the mail about it")
    sent = next(t for t in mta.taken if t.sender == "")
    assert sent.recipients == ["ops@example.org", "boss@example.net"] and not sent.client
    mail = email.message_from_bytes(sent.message, policy=email.policy.SMTP)
    assert mail["Subject"] == "[mailweir] ops: user:alice@example.org"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["From"].addresses[0].addr_spec == "mailweir@mail.example.org"
    assert not mail["Date"].defects and mail["Message-ID"]
    text = mail.get_content()
    assert 'The alert "ops" of mailweir on mail.example.org was raised for user:alice@example.org.' in text
    event = weir.wait_event("alert")
    assert json.loads(text.strip().splitlines()[-1]) == event
    assert "\nby: tell\n" in text.replace("\r\n", "\n")


def test_mail_that_the_mta_defers_is_sent_again(start_mailweir, mta):
    weir = start_mailweir(mta, rules="alert ops mail ops@example.net\n" + TELL)
    raise_alert(weir)
    eventually(lambda: len(mta.taken) == 2, 10 * SLOWNESS, "the mail, and the mail about it")
    mta.forget()
    mta.on("RCPT", say("250 2.1.5 Ok"), times=1)
    mta.on("RCPT", say("451 4.3.0 not now"))
    with session(weir.plain, "plain", user="bob@example.org", password=USERS["bob@example.org"]) as client:
        client.expect("250", "MAIL FROM:<bob@example.org>")
        client.command("RCPT TO:<tell@example.org>")
        eventually(lambda: "451 4.3.0 not now" in weir.stderr(), 10 * SLOWNESS, "the log says so")
    mta.on("RCPT", None)
    eventually(lambda: [t.recipients for t in mta.taken] == [["ops@example.net"]], 20 * SLOWNESS, "it is sent after all")


def test_syslog(syslog, start_mailweir, mta):
    weir = start_mailweir(mta, rules="alert ops syslog\n" + TELL)
    raise_alert(weir)
    head, _, event = syslog.line().partition(": alert ops user:alice@example.org: ")
    assert head.startswith("<20>") and " mailweir[%d]" % weir.children("mailweir:alerts")[0] in head
    assert json.loads(event) == weir.wait_event("alert")

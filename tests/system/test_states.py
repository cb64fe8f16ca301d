"""Every command in every state gets the reply of PROTOCOLS.md 1, sent whole and byte by byte, and leaves the session usable.

A state is a way to reach it and what is true in it; a command is a line and a function that says, from what is true, which
reply is due. So a cell of the table cannot be forgotten: all are run.
"""
import base64
import pathlib
import tempfile

import pytest

from harness.client import Client
from harness.mailweir import Mailweir
from harness.mta import ScriptedMta

SECRET = base64.b64encode(b"\0alice@example.org\0secret").decode()


class State:
    """listener; steps to get there; greeted, tls, authed, mail (begun), good and bad (recipients taken, refused)."""

    def __init__(self, name, listener, *steps, greeted=False, tls=False, authed=False, mail=False, good=False, bad=False):
        self.name, self.listener, self.steps = name, listener, steps
        self.greeted, self.tls, self.authed, self.mail, self.good, self.bad = greeted, tls, authed, mail, good, bad
        self.offers_tls = listener in ("submission", "smtp")
        self.offers_auth = listener != "smtp"
        self.may_send = authed or listener == "smtp"
        self.may_log_in = self.offers_auth and (tls or listener == "plain")

    def __repr__(self):
        return self.name


EHLO, MAIL, RCPT, BAD = ("250", "EHLO a.example"), ("250", "MAIL FROM:<alice@example.org>"), ("250", "RCPT TO:<b@example.org>"), \
    ("550 5.1.1", "RCPT TO:<nobody@example.org>")
AUTH = ("235", "AUTH PLAIN " + SECRET)
LOGGED_IN = dict(greeted=True, tls=True, authed=True)

STATES = [
    State("fresh", "submission"),
    State("ehlo", "submission", EHLO, greeted=True),
    State("helo", "submission", ("250", "HELO a.example"), greeted=True),
    State("after an error", "submission", EHLO, ("500", "FOO"), greeted=True),
    State("tls", "submission", EHLO, "TLS", tls=True),
    State("tls ehlo", "submission", EHLO, "TLS", EHLO, greeted=True, tls=True),
    State("after a wrong password", "submission", EHLO, "TLS", EHLO, ("535 5.7.8", "AUTH PLAIN AGEAYg=="), greeted=True, tls=True),
    State("after a cancelled login", "submission", EHLO, "TLS", EHLO, ("334", "AUTH LOGIN"), ("501 5.7.0", "*"), greeted=True, tls=True),
    State("login", "submission", EHLO, "TLS", EHLO, AUTH, **LOGGED_IN),
    State("login, ehlo", "submission", EHLO, "TLS", EHLO, AUTH, EHLO, **LOGGED_IN),
    State("login, error", "submission", EHLO, "TLS", EHLO, AUTH, ("500", "FOO"), **LOGGED_IN),
    State("mail", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, mail=True, **LOGGED_IN),
    State("mail, error", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, ("501", "RCPT TO:<@>"), mail=True, **LOGGED_IN),
    State("rcpt", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, mail=True, good=True, **LOGGED_IN),
    State("rcpt, refused rcpt", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, BAD, mail=True, good=True, bad=True, **LOGGED_IN),
    State("rcpt, error", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, ("500", "FOO"), mail=True, good=True, **LOGGED_IN),
    State("refused rcpt", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, BAD, mail=True, bad=True, **LOGGED_IN),
    State("after a mail", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, "DATA", **LOGGED_IN),
    State("after rset", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, ("250", "RSET"), **LOGGED_IN),
    State("ehlo in a mail", "submission", EHLO, "TLS", EHLO, AUTH, MAIL, RCPT, EHLO, **LOGGED_IN),
    State("submissions", "submissions", tls=True),
    State("submissions ehlo", "submissions", EHLO, greeted=True, tls=True),
    State("submissions rcpt", "submissions", EHLO, AUTH, MAIL, RCPT, mail=True, good=True, **LOGGED_IN),
    State("no tls ehlo", "plain", EHLO, greeted=True),
    State("no tls login", "plain", EHLO, AUTH, greeted=True, authed=True),
    State("no tls rcpt", "plain", EHLO, AUTH, MAIL, RCPT, greeted=True, authed=True, mail=True, good=True),
    State("smtp fresh", "smtp"),
    State("smtp ehlo", "smtp", EHLO, greeted=True),
    State("smtp tls", "smtp", EHLO, "TLS", tls=True),
    State("smtp mail", "smtp", EHLO, MAIL, greeted=True, mail=True),
    State("smtp rcpt", "smtp", EHLO, MAIL, RCPT, greeted=True, mail=True, good=True),
    State("smtp refused rcpt", "smtp", EHLO, MAIL, ("550 5.7.1", "RCPT TO:<x@far.example>"), greeted=True, mail=True, bad=True),
]


def always(reply):
    return lambda state: reply


def starttls(state):
    if state.tls:
        return "503 5.5.1"
    if not state.offers_tls:
        return ("502 5.5.1", "503 5.5.1") if state.mail or not state.greeted else "502 5.5.1"
    return "220 2.0.0" if state.greeted and not state.mail else "503 5.5.1"


def starttls_argument(state):
    # Where STARTTLS is out of place both are true.
    due = starttls(state)
    if due == "220 2.0.0":
        return "501 5.5.4"
    return ("501 5.5.4",) + (due if isinstance(due, tuple) else (due,))


def auth(good):
    def due(state):
        if not state.offers_auth:
            # Before EHLO and within a mail both are true.
            return ("502 5.5.1", "503 5.5.1") if state.mail or not state.greeted else "502 5.5.1"
        if state.authed or state.mail:
            return "503 5.5.1"
        if not state.may_log_in:
            # Before EHLO both are true.
            return "538 5.7.11" if state.greeted else ("538 5.7.11", "503 5.5.1")
        return good if state.greeted else "503 5.5.1"
    return due


def auth_alone(state):
    due = auth("501 5.5.4")(state)
    return ("501 5.5.4", due) if due == "538 5.7.11" else due


def mail(good):
    def due(state):
        if not state.may_send:
            return "530 5.7.0"
        return good if state.greeted and not state.mail else "503 5.5.1"
    return due


def rcpt(good):
    def due(state):
        if not state.may_send:
            return "530 5.7.0"
        return good if state.mail else "503 5.5.1"
    return due


def data(state):
    if not state.may_send:
        return "530 5.7.0"
    if state.good:
        return "354"
    return "554 5.5.1" if state.bad else "503 5.5.1"


def data_argument(state):
    return "501 5.5.4" if state.good else ("501 5.5.4", data(state))


def bdat(state):
    return "502 5.5.1" if state.may_send else ("530 5.7.0", "502 5.5.1")


COMMANDS = {
    "EHLO b.example": always("250"),
    "HELO b.example": always("250"),
    "ehlo b.example": always("250"),
    "EHLO [192.168.1.2]": always("250"),
    "EHLO": always("501 5.5.4"),
    "HELO": always("501 5.5.4"),
    "NOOP": always("250 2.0.0"),
    "NOOP with words": always("250 2.0.0"),
    "RSET": always("250 2.0.0"),
    "RSET now": always("501 5.5.4"),
    "VRFY bob": always("252 2.1.5"),
    "HELP": always("214 2.0.0"),
    "EXPN list": always("502 5.5.1"),
    "ETRN example.org": always("502 5.5.1"),
    "TURN": always("502 5.5.1"),
    "FOO": always("500 5.5.1"),
    "NOOPE": always("500 5.5.1"),
    "": always(("500 5.5.1", "500 5.5.2")),
    " NOOP": always(("500 5.5.1", "500 5.5.2")),
    "NOOP \1": always("500 5.5.2"),
    "MAIL FROM:<a\x7fb@example.org>": always("500 5.5.2"),
    "QUIT": always("221 2.0.0"),
    "GET / HTTP/1.1": always("500 5.5.1"),
    "POST / HTTP/1.1": always("500 5.5.1"),
    "CONNECT mail.example.org:25 HTTP/1.1": always("500 5.5.1"),
    "STARTTLS": starttls,
    "STARTTLS now": starttls_argument,
    "AUTH PLAIN " + SECRET: auth("235 2.7.0"),
    "AUTH LOGIN": auth("334"),
    "AUTH PLAIN": auth("334"),
    "auth plain " + SECRET: auth("235 2.7.0"),
    "AUTH CRAM-MD5": auth("504 5.5.4"),
    "AUTH PLAIN ***": auth("501 5.5.2"),
    "AUTH": auth_alone,
    "MAIL FROM:<alice@example.org>": mail("250 2.1.0"),
    "MAIL FROM: <alice@example.org>": mail("250 2.1.0"),
    "mail from:<alice@example.org> size=100": mail("250 2.1.0"),
    "MAIL FROM:<>": mail("250 2.1.0"),
    "MAIL": mail("501 5.1.7"),
    "MAIL FROM:alice@example.org": mail("501 5.1.7"),
    "MAIL FROM:<alice@example.org> FOO=1": mail("555 5.5.4"),
    "MAIL FROM:<alice@example.org> SIZE=x": mail("501 5.5.4"),
    "MAIL FROM:<alice@example.org> SIZE=99999999999": mail("552 5.3.4"),
    "RCPT TO:<b@example.org>": rcpt("250 2.1.5"),
    "RCPT TO:<nobody@example.org>": rcpt("550 5.1.1"),
    "RCPT TO:<>": rcpt("501 5.1.3"),
    "RCPT": rcpt("501 5.1.3"),
    "RCPT TO:<b@example.org> FOO": rcpt("555 5.5.4"),
    "DATA": data,
    "DATA now": data_argument,
    "BDAT 6 LAST\r\nQUIT\r\n": bdat,
}
CLOSES = ("QUIT", "GET ", "POST ", "CONNECT ")


@pytest.fixture(scope="module")
def weir(binary, room, certificate):
    mta = ScriptedMta().start()

    def rcpt_reply(connection, line):
        if b"nobody" in line:
            connection.write(b"550 5.1.1 No such user\r\n")
        else:
            connection.behave("RCPT", line)
    mta.on("RCPT", rcpt_reply)
    place = pathlib.Path(tempfile.mkdtemp(dir=room))
    place.chmod(0o755)
    server = Mailweir(place / "weir", mta.port, certificate=certificate, workers=2)
    try:
        yield server.start()
        assert server.stop() == 0, server.stderr()
    finally:
        server.kill()
        mta.stop()


def reach(weir, state):
    client = Client(getattr(weir, state.listener), implicit_tls=state.listener == "submissions")
    client.greet()
    for step in state.steps:
        if step == "TLS":
            client.starttls()
        elif step == "DATA":
            assert client.data(b"Subject: x\r\n\r\nx\r\n").code == 250
        else:
            client.expect(*step)
    return client


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: repr(c[:30]))
@pytest.mark.parametrize("state", STATES, ids=repr)
def test_every_command_in_every_state(weir, state, command):
    due = COMMANDS[command](state)
    due = (due,) if isinstance(due, str) else due
    for split in (None, 1):
        with reach(weir, state) as client:
            client.send(command + ("" if command.startswith("BDAT") else "\r\n"), split)
            reply = client.reply()
            assert reply.both in due, "%s: %r: due %s, got %r" % (state, command, " or ".join(due), reply)
            if command.startswith(CLOSES):
                assert client.is_closed()
                continue
            # The session goes on, and no octet of the command is left over.
            if reply.code == 354:
                client.send(b".\r\n")
                assert client.reply().code == 250
            if reply.code == 334:
                client.expect("501 5.7.0", "*")
            if reply.code == 220:
                client.handshake()
            client.expect("250 2.0.0", "NOOP")
            client.quit()

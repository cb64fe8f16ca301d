"""Runs tests/dialogues/*.smtp: conversations with a server of a given configuration, sent whole and byte by byte.

A file begins with what all its conversations share: the indented lines after `server:` and `rules:` go into the
configuration, those after `mta:` say what the MTA answers (`RCPT nobody@ 550 5.1.1 No such user`: to lines that hold the
second word; `MAIL * 451 4.3.0 Later`: to all). Then come conversations:

    == its name
    @ submission login         listener (submission submissions plain smtp), and how far to go before the first line:
                               nothing (even the greeting is part of it), greeting, ehlo, tls, tls-ehlo, login;
                               `whole` at the end: not byte by byte, because timing is what it shows
    C: text                    the client sends a line; several in a row leave in one write
    C> text                    … without a line end
    S: 250 2.1.0 /regex/       the server's reply: code, enhanced code if it has one, then perhaps what its text must match
    S: 250 + PIPELINING - AUTH keywords that an EHLO reply has and has not
    T:                         TLS handshake
    X:                         the server closes
    Q:                         the server is silent for a moment
    mta: DOT * 451 4.3.0 Later what the MTA answers the next time
    M: 1                       so many mails did the MTA take in this conversation
    M: MAIL FROM:<…> …         … and this was the (last) one's MAIL line, RCPT line, or a line of its message
    E: mail code=250 at=data   an event of this conversation, with these members

In C lines: \\r \\n \\0 \\xHH \\\\ as in C; {b64:text} is base64; {x*2000} is a repeated character.
"""
import base64
import json
import pathlib
import re
import tempfile

import pytest

from harness.client import Client
from harness.mailweir import PLAIN_RULES, SLOWNESS, Mailweir
from harness.mta import ScriptedMta
from harness.ports import eventually

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "dialogues"
STEPS = ("nothing", "greeting", "ehlo", "tls", "tls-ehlo", "login")


class Conversation:
    def __init__(self, path, number, name):
        self.path, self.number, self.name, self.lines = path, number, name, []
        self.listener, self.start, self.whole = "submission", "nothing", False

    def __repr__(self):
        return "%s: %s" % (self.path.stem, self.name)


class Dialogue:
    """A file, read."""

    def __init__(self, path):
        self.path, self.blocks, self.conversations = path, {"server": "", "rules": "", "mta": ""}, []
        block = None
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith("== "):
                self.conversations.append(Conversation(path, number, line[3:]))
            elif not line.strip() or line.startswith("#"):
                continue
            elif not self.conversations:
                if line.strip()[:-1] in self.blocks and line.endswith(":"):
                    block = line.strip()[:-1]
                elif block and line.startswith("    "):
                    self.blocks[block] += line[4:] + "\n"
                else:
                    raise ValueError("%s:%d: expected server:, rules:, mta: or ==" % (path, number))
            elif line.startswith("@ "):
                words = line[2:].split()
                talk = self.conversations[-1]
                talk.listener, talk.whole = words[0], "whole" in words
                talk.start = words[1] if len(words) > 1 and words[1] in STEPS else "nothing"
            else:
                match = re.match(r"(C>|[CSTXQME]:|mta:) ?(.*)\Z", line)
                if not match:
                    raise ValueError("%s:%d: not a line of a conversation: %s" % (path, number, line))
                self.conversations[-1].lines.append((number,) + match.groups())


def unescape(text):
    """What a C line sends."""
    text = re.sub(r"\{(.|\\x..)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    text = re.sub(r"\{b64:([^}]*)\}", lambda m: base64.b64encode(bytes_of(m.group(1))).decode(), text)
    return bytes_of(text)


def bytes_of(text):
    named = {"r": b"\r", "n": b"\n", "0": b"\0", "t": b"\t", "\\": b"\\"}
    out, at = b"", 0
    for match in re.finditer(r"\\(x[0-9a-fA-F]{2}|.)", text):
        word = match.group(1)
        out += text[at:match.start()].encode("utf-8")
        out += bytes([int(word[1:], 16)]) if len(word) == 3 else named[word]
        at = match.end()
    return out + text[at:].encode("utf-8")


def scripted(rows):
    """An action of the MTA for each moment that rows ("RCPT nobody@ 550 5.1.1 No") speak of."""
    moments = {}
    for row in rows.splitlines():
        moment, part, reply = row.strip().split(" ", 2)
        moments.setdefault(moment, []).append((part.encode(), bytes_of(reply)))

    def make(moment, choices):
        def action(connection, line):
            for part, reply in choices:
                if part == b"*" or part in line:
                    if b"CLOSE" == reply[-5:]:
                        connection.write(reply[:-5].rstrip() + b"\r\n" if len(reply) > 5 else b"")
                        connection.flush()
                        connection.socket.close()
                        return
                    connection.write(reply + b"\r\n")
                    return
            connection.behave(moment, line)
        return action
    return {moment: make(moment, choices) for moment, choices in moments.items()}


class Run:
    """One conversation against a running server."""

    def __init__(self, talk, weir, mta, split):
        self.talk, self.weir, self.mta, self.split = talk, weir, mta, split
        self.pending = b""
        self.client = None

    def run(self):
        self.mta.taken.clear()
        self.events_before = len(self.weir.event_lines())
        listener, start = self.talk.listener, STEPS.index(self.talk.start)
        with Client(getattr(self.weir, listener), implicit_tls=listener == "submissions") as self.client:
            client = self.client
            if start >= STEPS.index("greeting"):
                client.greet()
            if start >= STEPS.index("ehlo"):
                client.ehlo()
            if start >= STEPS.index("tls") and listener in ("submission", "smtp"):
                client.starttls()
                if start >= STEPS.index("tls-ehlo"):
                    client.ehlo()
            if start >= STEPS.index("login"):
                client.login()
            for number, kind, text in self.talk.lines:
                try:
                    self.step(kind, text)
                except Exception as error:
                    raise AssertionError("%s:%d: %s %s\n%s: %s" % (self.talk.path.name, number, kind, text, type(error).__name__, error)) from error
            self.flush()

    def flush(self):
        if self.pending:
            data, self.pending = self.pending, b""
            self.client.send(data, self.split)

    def step(self, kind, text):
        if kind == "C:":
            self.pending += unescape(text) + b"\r\n"
            return
        if kind == "C>":
            self.pending += unescape(text)
            return
        self.flush()
        if kind == "S:":
            self.server(text)
        elif kind == "T:":
            self.client.handshake()
        elif kind == "X:":
            assert self.client.is_closed(), "the server does not close"
        elif kind == "Q:":
            assert self.client.is_silent(), "the server spoke or closed: %r" % self.client.buffer
        elif kind == "mta:":
            for moment, action in scripted(text).items():
                self.mta.on(moment, action, times=1)
        elif kind == "M:":
            self.taken(text)
        elif kind == "E:":
            self.event(text)

    def server(self, text):
        reply = self.client.reply()
        wanted, _, pattern = text.partition(" /")
        wanted, plus, keywords = wanted.partition(" + ")
        assert reply.both == wanted.strip(), "got %r" % reply
        if pattern:
            assert re.search(pattern.rstrip("/"), reply.text), "the text is %r" % reply.text
        if plus:
            have, _, lack = keywords.partition(" - ")
            said = {line.split(" ")[0].split("=")[0].upper() for line in reply.lines[1:]}
            words = {word for line in reply.lines[1:] for word in line.upper().split()} | said
            missing, extra = set(have.split()) - words, set(lack.split()) & words
            assert not missing and not extra, "lacks %s, should not have %s: %r" % (missing, extra, reply)

    def taken(self, text):
        if text.isdigit():
            assert len(self.mta.taken) == int(text), "the MTA took %r" % self.mta.taken
            return
        last = self.mta.taken[-1]
        lines = [last.mail_line.strip()] + [line.strip() for line in last.rcpt_lines] + last.message.split(b"\r\n")
        assert bytes_of(text) in lines, "the MTA has %r" % lines

    def event(self, text):
        kind, *members = text.split()
        wanted = dict(member.split("=", 1) for member in members)

        def there():
            for line in self.weir.event_lines()[self.events_before:]:
                event = json.loads(line)
                if event["event"] == kind and all(str(event.get(name)) == value for name, value in wanted.items()):
                    return True
            return False
        try:
            eventually(there, 5 * SLOWNESS, text)
        except AssertionError as error:
            raise AssertionError("%s; events: %s" % (error, self.weir.event_lines()[self.events_before:])) from None


FILES = [Dialogue(path) for path in sorted(FOLDER.glob("*.smtp"))]


@pytest.fixture(scope="module")
def servers(binary, room, certificate):
    """path → (mailweir, MTA), started when the first conversation of the file runs."""
    running = {}

    def of(dialogue):
        if dialogue.path not in running:
            mta = ScriptedMta().start()
            place = pathlib.Path(tempfile.mkdtemp(dir=room))
            place.chmod(0o755)
            weir = Mailweir(place / "weir", mta.port, certificate=certificate, server=dialogue.blocks["server"],
                            rules=dialogue.blocks["rules"] or PLAIN_RULES)
            running[dialogue.path] = (weir, mta)
            weir.start()
        weir, mta = running[dialogue.path]
        mta.forget()
        for moment, action in scripted(dialogue.blocks["mta"]).items():
            mta.on(moment, action)
        return weir, mta

    try:
        yield of
        for weir, _ in running.values():
            assert weir.stop() == 0, weir.stderr()
    finally:
        for weir, mta in running.values():
            weir.kill()
            mta.stop()


CASES = [(dialogue, talk) for dialogue in FILES for talk in dialogue.conversations]


def test_there_are_conversations():
    assert len(CASES) >= 60


@pytest.mark.parametrize("dialogue,talk", CASES, ids=[repr(talk) for _, talk in CASES])
def test_whole(servers, dialogue, talk):
    weir, mta = servers(dialogue)
    Run(talk, weir, mta, None).run()


BYTEWISE = [case for case in CASES if not case[1].whole]


@pytest.mark.parametrize("dialogue,talk", BYTEWISE, ids=[repr(talk) for _, talk in BYTEWISE])
def test_byte_by_byte(servers, dialogue, talk):
    weir, mta = servers(dialogue)
    Run(talk, weir, mta, 1).run()

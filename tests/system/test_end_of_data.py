"""Smuggling: whatever looks like an end of data to some server, one client's mail is one mail, or a refusal.

The MTA of these tests is lax: it takes every wrong end of data for one, and so would deliver the smuggled mail if it ever
saw such bytes.
"""
import pathlib
import ssl
import tempfile

import pytest

from harness.client import Client, Closed, insecure_context, session
from harness.mailweir import Mailweir
from harness.mta import ScriptedMta

# What might end the data: (before the dot, after it). CRLF CRLF is the right one, and not among them.
ENDS = {
    "LF . LF": b"\n.\n", "LF . CRLF": b"\n.\r\n", "CRLF . LF": b"\r\n.\n", "CR . CR": b"\r.\r", "CR . CRLF": b"\r.\r\n",
    "CRLF . CR": b"\r\n.\r", "LF . CR": b"\n.\r", "CR . LF": b"\r.\n", "LF CR . LF CR": b"\n\r.\n\r", "LF CR . CRLF": b"\n\r.\r\n",
    "CRLF . LF CR": b"\r\n.\n\r", "CR CRLF . CRLF": b"\r\r\n.\r\n", "CR CRLF . CR CRLF": b"\r\r\n.\r\r\n",
    "CRLF . CR CRLF": b"\r\n.\r\r\n", "CRLF . CR CR LF LF": b"\r\n.\r\r\n\n", "CR CR . CRLF": b"\r\r.\r\n", "LF LF . CRLF": b"\n\n.\r\n",
    "NUL . NUL": b"\0.\0", "NUL . CRLF": b"\0.\r\n", "CRLF . NUL": b"\r\n.\0", "CRLF . NUL CRLF": b"\r\n.\0\r\n",
    "CRLF NUL . CRLF": b"\r\n\0.\r\n", "CR NUL LF . CRLF": b"\r\0\n.\r\n", "CRLF . CR NUL LF": b"\r\n.\r\0\n",
    "CRLF . blank CRLF": b"\r\n. \r\n", "CRLF blank . CRLF": b"\r\n .\r\n", "CRLF . TAB CRLF": b"\r\n.\t\r\n", "CRLF .. CRLF": b"\r\n..\r\n",
    "CRLF ... CRLF": b"\r\n...\r\n", "CRLF . BS CRLF": b"\r\n.\x08\r\n", "VT . VT": b"\x0b.\x0b", "FF . FF": b"\x0c.\x0c",
    "NEL . NEL": b"\xc2\x85.\xc2\x85", "LS . LS": b"\xe2\x80\xa8.\xe2\x80\xa8", "CR with the 8th bit": b"\x8d\x8a.\x8d\x8a",
    "quoted CRLF": b"\\r\\n.\\r\\n", "full-width dot": b"\r\n\xef\xbc\x8e\r\n", "LF . LF without more": b"\n.\n\n",
}
HONEST = b"Subject: honest\r\n\r\nHello."
EVIL = (b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: evil\r\n\r\nsmuggled\r\n.\r\n")
ENVELOPE = b"MAIL FROM:<honest@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"


@pytest.fixture(scope="module")
def lax(binary, room, certificate):
    mta = ScriptedMta(lax=True).start()
    place = pathlib.Path(tempfile.mkdtemp(dir=room))
    place.chmod(0o755)
    weir = Mailweir(place / "weir", mta.port, certificate=certificate, workers=2)
    try:
        yield weir.start(), mta
        assert weir.stop() == 0, weir.stderr()
    finally:
        weir.kill()
        mta.stop()


def attempt(weir, mta, wire, pieces):
    """Sends an envelope, then `wire` in pieces; the replies from the first after 354 on. Asserts that nothing was smuggled."""
    mta.taken.clear()
    mta.begun.clear()
    replies = []
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        client.send(ENVELOPE)
        assert [client.reply().code for _ in range(3)] == [250, 250, 354]
        try:
            for piece in pieces:
                client.send(piece)
                if len(pieces) > 1:
                    # Long enough for the other side to read this piece by itself most of the time.
                    client.is_silent(0.001)
            while True:
                replies.append(client.reply())
                if len(replies) > 1 or replies[0].code != 250:
                    client.socket.settimeout(2)
                else:
                    client.send(b"QUIT\r\n")
        except (Closed, OSError):
            pass
    assert replies, "neither accepted nor refused"
    evil = [t for t in mta.begun if t.sender != "honest@example.org" or "victim@example.org" in t.recipients]
    assert not evil, "smuggled: %r" % evil
    if replies[0].code == 250:
        assert len(mta.taken) == 1, mta.taken
        assert b"smuggled" in mta.taken[0].wire
        assert [reply.code for reply in replies[1:]] == [221], replies
    else:
        assert replies[0].both in ("550 5.6.11", "500 5.5.2"), replies
        assert not mta.taken and len(replies) == 1, (mta.taken, replies)
    return replies[0]


def cuts(wire, first, last):
    """The wire whole, byte by byte, and in two pieces for every place of its interesting part."""
    yield [wire]
    yield [wire[at:at + 1] for at in range(len(wire))]
    for at in range(max(1, first - 2), min(len(wire) - 1, last + 3)):
        yield [wire[:at], wire[at:]]


@pytest.mark.parametrize("name", ENDS)
def test_no_wrong_end_of_data_smuggles_a_mail(lax, name):
    weir, mta = lax
    wire = HONEST + ENDS[name] + EVIL
    replies = {attempt(weir, mta, wire, pieces).both for pieces in cuts(wire, len(HONEST), len(HONEST) + len(ENDS[name]))}
    assert len(replies) == 1, "the verdict depends on how the bytes were cut: %s" % replies


@pytest.mark.parametrize("name", [name for name in ENDS if b"\r" in ENDS[name].replace(b"\r\n", b"") or
                                  b"\n" in ENDS[name].replace(b"\r\n", b"") or b"\0" in ENDS[name]])
def test_bare_line_ends_and_nul_are_refused(lax, name):
    weir, mta = lax
    wire = HONEST + ENDS[name] + EVIL
    assert attempt(weir, mta, wire, [wire]).both == "550 5.6.11"


def test_the_variants_are_enough():
    assert len(ENDS) >= 30 and b"\r\n.\r\n" not in ENDS.values()


@pytest.mark.parametrize("where", ("header", "first byte", "last line"))
@pytest.mark.parametrize("bad", (b"\n", b"\r", b"\0", b"\r\r\n", b"\n\r"), ids=repr)
def test_bare_line_ends_anywhere(lax, where, bad):
    weir, mta = lax
    body = {"header": b"Subject: a" + bad + b"X: b\r\n\r\nsmuggled\r\n.\r\n", "first byte": bad + b"Subject: a\r\n\r\nsmuggled\r\n.\r\n",
            "last line": b"Subject: a\r\n\r\nsmuggled" + bad + b"\r\n.\r\n"}[where]
    for pieces in ([body], [body[at:at + 1] for at in range(len(body))]):
        assert attempt(weir, mta, body, pieces).both == "550 5.6.11"


def test_the_right_end_cut_at_every_byte(lax):
    """The one right end: two mails in one stream stay two, wherever it is cut."""
    weir, mta = lax
    wire = HONEST + b"\r\n.\r\n"
    for at in range(len(HONEST) - 2, len(wire)):
        mta.taken.clear()
        with Client(weir.smtp) as client:
            client.greet()
            client.ehlo()
            client.send(ENVELOPE)
            assert [client.reply().code for _ in range(3)] == [250, 250, 354]
            client.send(wire[:at])
            client.is_silent(0.002)
            client.send(wire[at:])
            assert client.reply().both == "250 2.0.0"
            client.quit()
        assert [t.as_sent for t in mta.taken] == [HONEST + b"\r\n"]


INJECTED = (b"NOOP\r\n", b"EHLO x\r\n", b"MAIL FROM:<evil@example.org>\r\n", b"QUIT\r\n", b"\r\n", b"x", b"AUTH PLAIN AGEAYg==\r\n",
            b"RSET\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n")


@pytest.mark.parametrize("injected", INJECTED, ids=repr)
@pytest.mark.parametrize("listener", ("submission", "smtp"))
def test_what_stands_behind_starttls_closes_the_session(lax, listener, injected):
    weir, mta = lax
    mta.begun.clear()
    with Client(getattr(weir, listener)) as client:
        client.greet()
        client.ehlo()
        client.send(b"STARTTLS\r\n" + injected)
        codes = []
        try:
            while True:
                codes.append(client.reply().code)
        except (Closed, OSError):
            pass
        assert codes in ([], [554]), codes
    assert not mta.begun
    # The server still serves.
    session(weir.submission).quit()


def test_starttls_cut_at_every_byte_is_no_injection(lax):
    weir, _ = lax
    with Client(weir.submission) as client:
        client.greet()
        client.ehlo()
        client.send(b"STARTTLS\r\n", split=1)
        assert client.reply().both == "220 2.0.0"
        client.handshake()
        client.ehlo()
        client.quit()


def test_what_was_said_before_tls_is_forgotten(lax):
    weir, mta = lax
    mta.begun.clear()
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        client.starttls()
        client.expect("503 5.5.1", "MAIL FROM:<a@example.org>")
        client.ehlo("after.example")
        client.expect("250", "MAIL FROM:<a@example.org>")
        client.expect("250", "RCPT TO:<b@example.org>")
        assert client.data(b"x\r\n").code == 250
    assert b"after.example" in mta.taken[-1].received and b"ESMTPS" in mta.taken[-1].received


def test_no_compression(lax):
    weir, _ = lax
    with session(weir.submissions, "submissions", context=insecure_context(maximum=ssl.TLSVersion.TLSv1_2)) as client:
        assert client.socket.compression() is None

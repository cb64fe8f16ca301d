"""Sessions at random over rules at random: explain, a `test` block and the running server give the same verdict, code,
text and deciding rule or limit (its name is in the text). MAILWEIR_SESSIONS says how many, 2,000 unless set otherwise by
--quick's marks; a failure names its seed, and `random_policy.make(seed, …)` makes the same again.
"""
import os
import re
import ssl

import pytest

from harness.client import Client, Closed
from harness.mailweir import run
from random_policy import make

SESSIONS_A_FILE = 25
FILES = int(os.environ.get("MAILWEIR_SESSIONS", "2000")) // SESSIONS_A_FILE
ACCEPT, SILENCE = "accept", "closed without a word"


def said(reply):
    """What a client reads, but for times: a limit says how long to wait, and that is another moment's."""
    return re.sub(r"try again in .*", "try again in …", "%s %s" % (reply.both, reply.text))


class BeforeTls(Exception):
    """Refused at the EHLO before STARTTLS, as a session without TLS."""


def one_mail(client, session, body):
    """The first refusal, or accept."""
    first = None
    reply = client.command("MAIL FROM:<%s> SIZE=%d" % (session.sender, session.size))
    if reply.code != 250:
        return said(reply)
    try:
        for recipient in session.recipients:
            reply = client.command("RCPT TO:<%s>" % recipient)
            if reply.code != 250:
                first = first or said(reply)
            if reply.code == 421:
                return first
        reply = client.command("DATA")
        if reply.code == 354:
            reply = client.body(body)
        elif reply.code == 503 or (reply.code == 554 and first): # nobody is left to write to
            return first
        return first or (ACCEPT if reply.code == 250 else said(reply))
    except (Closed, OSError):
        return first or SILENCE


def live(weir, session):
    """What became of its mail."""
    try:
        client = Client(getattr(weir, session.how), implicit_tls=session.how == "submissions", source=session.client)
    except OSError: # closed amid the handshake
        return SILENCE
    with client:
        try:
            reply = client.reply()
            if reply.code != 220:
                return said(reply)
            if session.how == "submission":
                reply = client.command("EHLO " + session.helo)
                if reply.code != 250:
                    raise BeforeTls(said(reply))
                client.starttls()
            reply = client.command("EHLO " + session.helo)
            if reply.code != 250:
                return said(reply)
            if session.user:
                reply = client.try_login(session.user, "secret")
                if reply.code != 235:
                    return said(reply)
            return one_mail(client, session, session.message())
        except (Closed, OSError):
            if session.how == "submission" and not isinstance(client.socket, ssl.SSLSocket) and len(client.log) > 1:
                raise BeforeTls(SILENCE) from None
            return SILENCE


def limits_at_data(text):
    """A live early 450 of a limit is the 451 at data that it stands for."""
    return re.sub(r"^450 (4\.7\.1 limit-\d+: )", r"451 \1", text)


def explained(weir, session, tls=True):
    words = ["-c", weir.config, "--client", session.client, "--listener", session.how, "--helo", session.helo, "--from", session.sender or "<>",
             "--size", session.size, "--tls", "on" if tls and session.how in ("submission", "submissions") else "off",
             "--header", "From: <%s>" % session.sender_header, "--header", "Subject: %s" % session.subject]
    words += ["--user", session.user] if session.user else []
    for recipient in session.recipients:
        words += ["--rcpt", recipient]
    done = run("explain", *words)
    assert done.returncode == 0 and not done.stderr, done
    verdict = re.search(r"^verdict: (.*)$", done.stdout, re.M).group(1)
    reply = re.search(r"^reply:   (.*)$", done.stdout, re.M)
    if verdict == "accept":
        return verdict, ACCEPT
    if reply.group(1).startswith("none"):
        return verdict, SILENCE
    return verdict, re.sub(r"try again in .*", "try again in …", reply.group(1))


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


def block(session, expectation):
    """A test that expects what was seen."""
    lines = ["client " + session.client, "listener " + session.how, "tls " + ("off" if session.how in ("plain", "smtp") else "on"),
             "helo " + session.helo, "mail from " + (session.sender or "<>"), "rcpt to " + ", ".join(session.recipients),
             "size %d" % session.size, 'header "From" "<%s>"' % quoted(session.sender_header), 'header "Subject" "%s"' % quoted(session.subject)]
    lines += ["user " + session.user] if session.user else []
    return 'test "session %d" { %s; %s }\n' % (session.number, "; ".join(lines), expectation)


def expectation(session, verdict, text):
    """explain's verdict ("reject 550 at rcpt by rule x") and reply, as an `expect` of a test."""
    wanted = re.sub(r" by (rule|limit|milter) ", " by ", verdict)
    if text not in (ACCEPT, SILENCE):
        words = text.split(" ", 2)[2] if len(text.split(" ", 2)) == 3 else ""
        wanted += ' "%s"' % quoted(words.split("; try again")[0])
    return "expect " + wanted


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(FILES))
def test_three_ways_to_one_answer(start_mailweir, mta, seed):
    policy, sessions = make(seed, SESSIONS_A_FILE)
    users = {session.user: "secret" for session in sessions if session.user}
    weir = start_mailweir(mta, rules=policy.text, users=users, server="max-errors 1000")
    tests, differences = "", []
    for session in sessions:
        verdict, told = explained(weir, session)
        tests += block(session, expectation(session, verdict, told))
        try:
            met = live(weir, session)
        except BeforeTls as refusal:
            met, (verdict, told) = str(refusal), explained(weir, session, tls=False)
        if told not in (met, limits_at_data(met)):
            differences.append("session %d: explain says %r, %r; the server %r" % (session.number, verdict, told, met))
    weir.write_config(rules=policy.text + tests)
    done = run("check", weir.config)
    differences += re.findall(r"^.*error: test .*$", done.stderr, re.M)
    assert not differences and done.returncode == 0, "seed %d\n%s\n%s\n%s" % (seed, "\n".join(differences), done.stderr, policy.text)

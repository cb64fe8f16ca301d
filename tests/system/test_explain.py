"""Three ways to one answer: what explain says, what a test block expects and what the running server does are the same."""
import re
import shlex

import pytest

from harness.client import Client, Closed, message, session as begin_session
from harness.mailweir import run

RULES = """
table local domains { example.org }
table owners map { alice@example.org alice@example.org, info@example.org { alice@example.org, bob@example.org } }

limit parts per user count recipients { 3/1h }
limit large per user count bytes { 20K/1h }

on connect {
    rule banned reject "Go away, ${client}" if client in { 127.0.0.66 }
    rule away disconnect 421 4.3.2 "Later" if client = 127.0.0.67
    rule silent drop if client = 127.0.0.68
    rule inside tag place "inside" if client in 127.0.0.70-127.0.0.79
}
on helo { rule liar reject 550 5.7.1 "You are not ${helo}" if helo = "mail.example.org" }
on auth { rule no-carol reject if auth.user = "carol@example.org" and listener = "plain" }
on login { rule not-here defer 454 4.7.0 "Not from ${client}" if user = "bob@example.org" and client = 127.0.0.69 }
on mail {
    rule sender-login reject 553 5.7.1 "${sender} does not belong to ${user}"
         if authenticated unless sender = user or user in owners[sender]
    rule no-null defer "No ${sender} here" if sender.null unless tag.place
}
on rcpt {
    rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated or rcpt.domain in local or tag.place = "inside"
    rule closed disconnect if rcpt.local = "trap"
}
on data { rule many reject 554 "${mail.recipients} are many" if mail.recipients >= 3 and not tls }
"""

PASSWORDS = {"alice@example.org": "secret", "bob@example.org": "sesame", "carol@example.org": "päss wörd"}
A = "alice@example.org"

# how, client, user, helo, sender, recipients, size
SESSIONS = [
    ("smtp", "127.0.0.1", None, "c.example", "x@example.com", ["y@example.org"], 1024),
    ("smtp", "127.0.0.1", None, "c.example", "x@example.com", ["y@example.net"], 1024),
    ("smtp", "127.0.0.1", None, "c.example", "x@example.com", ["y@example.net", "z@example.org"], 1024),
    ("smtp", "127.0.0.1", None, "mail.example.org", "x@example.com", ["y@example.org"], 1024),
    ("smtp", "127.0.0.1", None, "c.example", "", ["y@example.org"], 1024),
    ("smtp", "127.0.0.70", None, "c.example", "", ["y@example.net"], 1024),
    ("smtp", "127.0.0.66", None, "c.example", "x@example.com", ["y@example.org"], 1024),
    ("smtp", "127.0.0.67", None, "c.example", "x@example.com", ["y@example.org"], 1024),
    ("smtp", "127.0.0.68", None, "c.example", "x@example.com", ["y@example.org"], 1024),
    ("smtp", "127.0.0.1", None, "c.example", "x@example.com", ["trap@example.org", "y@example.org"], 1024),
    ("submissions", "127.0.0.66", A, "c.example", A, ["y@example.net"], 1024),
    ("submission", "127.0.0.1", A, "c.example", A, ["y@example.net", "z@example.net"], 2048),
    ("submission", "127.0.0.1", A, "c.example", A, ["1@example.net", "2@example.net", "3@example.net"], 1024),
    ("plain", "127.0.0.1", A, "c.example", A, ["1@example.net", "2@example.net", "3@example.net"], 1024),
    ("submission", "127.0.0.1", A, "c.example", A, ["%d@example.net" % i for i in range(4)], 1024),
    ("submission", "127.0.0.1", A, "c.example", A, ["y@example.net"], 30000),
    ("submission", "127.0.0.1", A, "c.example", "INFO@example.org", ["y@example.net"], 1024),
    ("submissions", "127.0.0.1", "bob@example.org", "c.example", A, ["y@example.net"], 1024),
    ("submissions", "127.0.0.69", "bob@example.org", "c.example", "bob@example.org", ["y@example.net"], 1024),
    ("plain", "127.0.0.1", "carol@example.org", "c.example", "carol@example.org", ["y@example.net"], 1024),
    ("submission", "127.0.0.1", "carol@example.org", "c.example", "carol@example.org", ["y@example.net"], 1024),
]


def live(weir, how, source, user, helo, sender, recipients, size):
    """The first refusal that a real client reads, "accept", or None: closed without a word."""
    try:
        client = Client(getattr(weir, how), implicit_tls=how == "submissions", source=source)
    except OSError:  # closed amid the handshake
        return None
    with client:
        try:
            reply = client.reply()
            if reply.code != 220:
                return reply
            if how == "submission":
                client.ehlo(helo)
                client.starttls()
            reply = client.command("EHLO " + helo)
            if reply.code != 250:
                return reply
            if user:
                reply = client.try_login(user, PASSWORDS[user])
                if reply.code != 235:
                    return reply
            reply = client.command("MAIL FROM:<%s> SIZE=%d" % (sender, size))
            if reply.code != 250:
                return reply
            refused = None
            for recipient in recipients:
                reply = client.command("RCPT TO:<%s>" % recipient)
                refused = refused or (reply if reply.code != 250 else None)
                if reply.code == 421:
                    return refused
            reply = client.command("DATA")
            if reply.code == 354:
                reply = client.body(message() + b"x" * (size - len(message()) - 2) + b"\r\n")
            elif reply.code == 503 or refused:
                return refused
            return refused or ("accept" if reply.code == 250 else reply)
        except (Closed, OSError):
            return None


def explain(weir, how, source, user, helo, sender, recipients, size):
    words = ["-c", weir.config, "--client", source, "--listener", how, "--helo", helo, "--from", sender or "<>", "--size", size,
             "--tls", "off" if how in ("plain", "smtp") else "on"] + (["--user", user] if user else [])
    for recipient in recipients:
        words += ["--rcpt", recipient]
    return run("explain", *words)


def block(name, told, how, source, user, helo, sender, recipients, size):
    """A test that expects what explain told."""
    verdict = re.search(r"^verdict: (.*)$", told, re.M).group(1)
    reply = re.search(r"^reply:   \d+ \S+ (.*)$", told, re.M)
    expected = re.sub(r" by (rule|limit) ", " by ", verdict) + (' "%s"' % reply.group(1).replace('"', r'\"') if reply else "")
    return 'test "%s" { client %s; listener %s; tls %s; helo %s; %s mail from %s; rcpt to %s; size %d; expect %s }\n' % (
        name, source, how, "off" if how in ("plain", "smtp") else "on", helo, "user %s;" % user if user else "", sender or "<>",
        ", ".join(recipients), size, expected)


@pytest.mark.parametrize("number", range(len(SESSIONS)))
def test_explain_says_what_the_server_does(binary, start_mailweir, mta, number):
    session = SESSIONS[number]
    weir = start_mailweir(mta, rules=RULES)
    done = explain(weir, *session)
    assert done.returncode == 0 and not done.stderr, done
    verdict = re.search(r"^verdict: (\w+)", done.stdout, re.M).group(1)
    told = re.search(r"^reply:   (.*)$", done.stdout, re.M)
    read = live(weir, *session)
    if verdict == "accept":
        assert read == "accept", (done.stdout, read)
    elif told.group(1).startswith("none"):
        assert read is None, (done.stdout, read)
    else:
        assert read not in (None, "accept"), (done.stdout, read)
        assert told.group(1) == "%s %s" % (read.both, read.text), (done.stdout, read)


def test_test_blocks_expect_what_explain_says(binary, start_mailweir, mta):
    weir = start_mailweir(mta, run=False, rules=RULES)
    tests = "".join(block("session %d" % number, explain(weir, *session).stdout, *session) for number, session in enumerate(SESSIONS))
    weir.write_config(rules=RULES + tests)
    done = run("check", weir.config)
    assert done.returncode == 0 and "%d tests" % len(SESSIONS) in done.stdout, done.stderr
    weir.write_config(rules=RULES + tests.replace(" 550 ", " 551 "))
    done = run("check", weir.config)
    assert done.returncode == 1 and len(re.findall(r"error: test .session", done.stderr)) == tests.count(" 550 ")
    # explain is for who must see why: a failing test does not stand in its way
    assert explain(weir, *SESSIONS[0]).returncode == 0


def test_a_failed_test_never_goes_live(start_mailweir, mta):
    good = 'test "t" { client 127.0.0.66  expect reject at connect by banned }\n'
    weir = start_mailweir(mta, rules=RULES + good)
    weir.write_config(rules=RULES + good.replace("reject at", "drop at"))
    event = weir.reload()
    assert event["result"] != "ok" and "expected drop at connect by banned" in weir.stderr() + str(event), event
    assert live(weir, *SESSIONS[1]).code == 550


@pytest.mark.parametrize("number", [n for n, session in enumerate(SESSIONS) if session[1] != "127.0.0.69" and session[2] != "carol@example.org"])
def test_a_past_event_is_explained(start_mailweir, mta, number):
    """What was decided then is decided again, from the event line alone."""
    session = SESSIONS[number]
    weir = start_mailweir(mta, rules=RULES)
    read = live(weir, *session)
    refused_at_once = session[1] in ("127.0.0.66", "127.0.0.67", "127.0.0.68")
    if not refused_at_once and session[3] == "mail.example.org":  # refused at EHLO: no mail, and so no event of one
        return
    event = weir.wait_event("connect" if refused_at_once else "mail")
    done = run("explain", "-c", weir.config, "--event", event["id"])
    assert done.returncode == 0 and not done.stderr, done
    assert "now:     the same" in done.stdout, (read, event, done.stdout)
    assert re.search(r"^then:    %s" % event["verdict"], done.stdout, re.M)


def test_a_past_event_under_other_rules(start_mailweir, mta, place):
    weir = start_mailweir(mta, rules=RULES + "on header { rule h log }\n")
    session = SESSIONS[11]
    assert live(weir, *session) == "accept"
    event = weir.wait_event("mail")
    (place / "other.rules").write_text("on rcpt { rule no reject if rcpt.domain = \"example.net\" }\n")
    done = run("explain", "-c", place / "other.rules", "--event", event["id"], "--events", weir.event_file)
    assert "then:    accept 250" in done.stdout and "now:     reject 550 at rcpt by no\n" in done.stdout, done
    assert "limit parts (user:%s): 2 of 3 per 1h, this mail included" % A in done.stdout
    done = run("explain", "-c", weir.config, "--event", event["id"])
    assert "of the message the log knows From and Message-ID: give it with --message" in done.stdout, done
    connection = event["id"].rsplit("-", 1)[0]
    done = run("explain", "-c", weir.config, "--event", connection)
    assert done.returncode == 1 and '"%s" is a connection; its mails: %s' % (connection, event["id"]) in done.stderr, done
    done = run("explain", "-c", weir.config, "--event", "nothing")
    assert done.returncode == 1 and 'no event has the id "nothing"' in done.stderr, done
    done = run("explain", "-c", place / "other.rules", "--event", event["id"])
    assert done.returncode == 1 and "does not write events to a file" in done.stderr and "--events FILE" in done.stderr, done


HEADER_RULES = """
on rcpt { rule whom add-header "X-To" "${rcpt}" }
on header {
    rule spam reject "No ${header.from}" if header["Subject"] contains "win" and header.count["Received"] = 0
    rule old remove-header "X-Old", add-header "X-Lines" "${header.lines}"
    rule whole add-missing
}
on message { rule large reject if message.size > 2K and header.size < 1K }
"""


@pytest.mark.parametrize("mail,verdict", (
    (b"From: alice@example.org\r\nX-Old: 1\r\n 2\r\nSubject: a\r\n b\r\nx-old: 3\r\n\r\n..body\r\n", "accept"),
    (b"From: Al <a@b.example>\r\nSubject: You WIN\r\n\r\n", "reject 550 at header by rule spam"),
    (b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 200, "reject 550 at message by rule large")), ids=("accepted", "header", "message"))
def test_a_message_in_a_file_is_what_the_server_sees(start_mailweir, mta, place, mail, verdict):
    weir = start_mailweir(mta, rules=HEADER_RULES)
    (place / "mail.eml").write_bytes(mail.replace(b"\r\n", b"\n").replace(b"\n..", b"\n."))
    done = run("explain", "-c", weir.config, "--client", "127.0.0.1", "--user", A, "--from", A, "--rcpt", "b@example.net",
               "--message", place / "mail.eml")
    assert "verdict: %s\n" % verdict in done.stdout, done
    with begin_session(weir.submission) as client:
        client.command("MAIL FROM:<%s>" % A)
        client.command("RCPT TO:<b@example.net>")
        assert client.command("DATA").code == 354
        reply = client.body(mail)
    if verdict != "accept":
        assert "reply:   %s %s\n" % (reply.both, reply.text) in done.stdout, (reply, done.stdout)
        return
    assert reply.code == 250
    added = re.findall(r"^header:  added: (.*)$", done.stdout, re.M)
    assert added == ["X-To: b@example.net", "X-Lines: 6"] and "header:  removed: X-Old\n" in done.stdout, done.stdout
    taken = mta.taken[-1].message
    for line in added:
        assert line.encode() in taken
    assert b"X-Old" not in taken and b"x-old" not in taken and taken.count(b"\r\nDate: ") == 1 and taken.count(b"\r\nMessage-ID: ") == 1


def test_long_tests_do_not_hold_up_a_start(start_mailweir, mta):
    """What takes longer than two seconds is left to `check`; a start says so and goes on."""
    slow = "".join('test "%d" { rcpt to a@example.org; send 1000000 messages over 1d }\n' % number for number in range(6))
    weir = start_mailweir(mta, rules=RULES + slow)
    assert "warning: the tests take longer than 2 s: what was left of them was not run" in weir.stderr()
    assert live(weir, *SESSIONS[0]) == "accept"


@pytest.mark.parametrize("words,said", (
    ("--client 192.0.2.1 --from a@b.example", "--client, --from and --rcpt are needed"), ("--rcpt", "--rcpt needs a value"),
    ("--client x --from a@b.example --rcpt a@b.example", '"x" is no IP address'), ("--client ::1 --from a --rcpt a@b.example", '"a" is no address'),
    ("--client ::1 --from '<>' --rcpt '<>'", '"<>" is no address'), ("--client ::1 --from '<>' --rcpt a@b.example --size x", '"x" is no size'),
    ("--client ::1 --from '<>' --rcpt a@b.example --listener x", 'no listener "x"'), ("--event 5 --user a", "--event says who sent what"),
    ("--events x", "--events goes with --event ID"), ("--nonsense 5", "unknown argument --nonsense"),
    ("--client ::1 --from '<>' --rcpt a@b.example --header x", '"x" is no header'),
    ("--client ::1 --from '<>' --rcpt a@b.example --listed x", 'asks no dnsbl "x"'),
    ("--client ::1 --from '<>' --rcpt a@b.example --message x --header 'a: b'", "--message has its own header"),
    ("--client ::1 --from '<>' --rcpt a@b.example --message x --size 1K", "--message has its own size"),
    ("--client ::1 --from '<>' --rcpt a@b.example --tls x", "--tls is on or off")))
def test_wrong_words(place, words, said):
    (place / "x.rules").write_text("on mail { rule a log }\n")
    done = run("explain", "-c", place / "x.rules", *shlex.split(words))
    assert done.returncode == 2 and said in done.stderr and "usage: mailweir explain" in done.stderr, done

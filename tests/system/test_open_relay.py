"""The classic tests for open relays: none of these forms gets a stranger's mail to somebody else's domain."""
import pathlib
import tempfile

import pytest

from harness.client import Client, message
from harness.mailweir import Mailweir
from harness.mta import ScriptedMta

RULES = """
table local-domains domains { example.org, .example.org }
on rcpt {
    rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated or rcpt.domain in local-domains
    rule no-source-routing reject 550 5.7.1 "Relaying denied" if rcpt.local matches '[%!@:]' unless authenticated
}
"""
# (MAIL FROM, RCPT TO): all want to reach a user of victim.example, in front of which this server does not stand.
FORMS = {
    "plain": ("spam@far.example", "user@victim.example"),
    "sender of ours": ("alice@example.org", "user@victim.example"),
    "sender is the server": ("postmaster@mail.example.org", "user@victim.example"),
    "sender at localhost": ("spam@localhost", "user@victim.example"),
    "sender without domain": ("spam", "user@victim.example"),
    "null sender": ("", "user@victim.example"),
    "sender at our literal": ("spam@[127.0.0.1]", "user@victim.example"),
    "sender equals recipient": ("user@victim.example", "user@victim.example"),
    "percent hack, ours": ("spam@far.example", "user%victim.example@example.org"),
    "percent hack, the server": ("spam@far.example", "user%victim.example@mail.example.org"),
    "percent hack, literal": ("spam@far.example", "user%victim.example@[127.0.0.1]"),
    "percent hack, no domain": ("spam@far.example", "user%victim.example"),
    "two percents": ("spam@far.example", "user%victim.example%example.org@example.org"),
    "bang path": ("spam@far.example", "victim.example!user"),
    "bang path, ours": ("spam@far.example", "victim.example!user@example.org"),
    "bang path, literal": ("spam@far.example", "victim.example!user@[127.0.0.1]"),
    "bang and percent": ("spam@far.example", "victim.example!user%example.org@example.org"),
    "two ats": ("spam@far.example", "user@victim.example@example.org"),
    "two ats, literal": ("spam@far.example", "user@victim.example@[127.0.0.1]"),
    "quoted address": ("spam@far.example", '"user@victim.example"'),
    "quoted address, ours": ("spam@far.example", '"user@victim.example"@example.org'),
    "quoted percent": ("spam@far.example", '"user%victim.example"@example.org'),
    "quoted percent, no domain": ("spam@far.example", '"user%victim.example"'),
    "quoted bang, ours": ("spam@far.example", '"victim.example!user"@example.org'),
    "source route": ("spam@far.example", "@example.org:user@victim.example"),
    "source route, literal": ("spam@far.example", "@[127.0.0.1]:user@victim.example"),
    "source route, two": ("spam@far.example", "@example.org,@mail.example.org:user@victim.example"),
    "source route to a percent": ("spam@far.example", "@far.example:user%victim.example@example.org"),
    "trailing dot": ("spam@far.example", "user@victim.example."),
    "ours as its subdomain": ("spam@far.example", "user@example.org.victim.example"),
    "ours as its end": ("spam@far.example", "user@notexample.org"),
    "ours behind a NUL": ("spam@far.example", "user@victim.example\0.example.org"),
    "ours behind a blank": ("spam@far.example", "user@victim.example example.org"),
    "ours in a comment": ("spam@far.example", "user@victim.example(example.org)"),
    "address literal": ("spam@far.example", "user@[203.0.113.9]"),
    "IPv6 literal": ("spam@far.example", "user@[IPv6:2001:db8::1]"),
    "our own literal": ("spam@far.example", "user@[127.0.0.1]"),
    "without brackets' pair": ("spam@far.example", "user@example.org>,<user@victim.example"),
    "comma list": ("spam@far.example", "user@example.org,user@victim.example"),
    "letter case": ("SPAM@FAR.EXAMPLE", "USER@VICTIM.EXAMPLE"),
    "full-width at": ("spam@far.example", "user\uff20victim.example@example.org"),
}


@pytest.fixture(scope="module")
def servers(binary, room, certificate):
    mta = ScriptedMta().start()
    place = pathlib.Path(tempfile.mkdtemp(dir=room))
    place.chmod(0o755)
    weir = Mailweir(place / "weir", mta.port, certificate=certificate, rules=RULES)
    try:
        yield weir.start(), mta
        assert weir.stop() == 0, weir.stderr()
    finally:
        weir.kill()
        mta.stop()


def relay(client, sender, recipient):
    """Tries to send; the replies to MAIL, RCPT and DATA."""
    replies = [client.command("MAIL FROM:<%s>" % sender), client.command("RCPT TO:<%s>" % recipient), client.command("DATA")]
    if replies[2].code == 354:
        replies.append(client.body(message()))
    return replies


def test_the_forms_are_enough():
    assert len(FORMS) >= 25


@pytest.mark.parametrize("form", FORMS)
def test_submission_without_login(servers, form):
    weir, mta = servers
    for listener in ("submission", "plain"):
        mta.begun.clear()
        with Client(getattr(weir, listener)) as client:
            client.greet()
            client.ehlo()
            replies = relay(client, *FORMS[form])
            assert replies[0].both in ("530 5.7.0", "500 5.5.2"), replies
            assert all(reply.both in ("530 5.7.0", "500 5.5.2") for reply in replies), replies
        assert not mta.begun


@pytest.mark.parametrize("form", FORMS)
def test_submission_over_tls_without_login(servers, form):
    weir, mta = servers
    for listener in ("submission", "submissions"):
        mta.begun.clear()
        with Client(getattr(weir, listener), implicit_tls=listener == "submissions") as client:
            client.greet()
            client.ehlo()
            if listener == "submission":
                client.starttls()
                client.ehlo()
            assert client.try_login("alice@example.org", "wrong").code == 535
            replies = relay(client, *FORMS[form])
            assert all(reply.both in ("530 5.7.0", "500 5.5.2") for reply in replies), replies
        assert not mta.begun


@pytest.mark.parametrize("form", FORMS)
def test_port_25_with_a_no_relay_rule(servers, form):
    weir, mta = servers
    mta.taken.clear()
    mta.begun.clear()
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        replies = relay(client, *FORMS[form])
        assert replies[1].code >= 500, replies
        assert replies[2].code >= 500, replies
    assert not mta.taken
    assert not any(t.recipients for t in mta.begun), "the MTA heard of the recipient: %r" % mta.begun


def test_our_own_domain_is_taken(servers):
    weir, mta = servers
    mta.taken.clear()
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        assert [r.code for r in relay(client, "friend@far.example", "alice@example.org")] == [250, 250, 354, 250]
        assert [r.code for r in relay(client, "friend@far.example", "alice@sub.example.org")] == [250, 250, 354, 250]
    assert len(mta.taken) == 2


def test_one_refused_recipient_does_not_open_the_door(servers):
    weir, mta = servers
    mta.taken.clear()
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        client.expect("250", "MAIL FROM:<friend@far.example>")
        client.expect("250", "RCPT TO:<alice@example.org>")
        client.expect("550 5.7.1", "RCPT TO:<user@victim.example>")
        assert client.data(message()).code == 250
    assert mta.taken[0].recipients == ["alice@example.org"]

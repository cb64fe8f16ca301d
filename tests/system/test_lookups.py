"""What rules ask outside: lists of DNS, names, countries, tables of other programs – and what they do without an answer."""
import subprocess
import time

import pytest

from harness.client import Closed, message, session
from harness.mailweir import SLOWNESS, Mailweir, run
from harness.outside import Dns, SocketmapServer, own_network, reason_for_none, with_resolv_conf, write_mmdb
from harness.ports import eventually, free_port

pytestmark = pytest.mark.skipif(reason_for_none() is not None, reason=str(reason_for_none()))

LISTS = """
dnsbl listed "listed.test"
dnsbl second "second.test" { answers 127.0.0.2  cache 0s }
"""


@pytest.fixture(scope="module", autouse=True)
def network():
    with own_network():
        yield


@pytest.fixture(scope="module")
def dns(network, room):
    place = room / "dns"
    place.mkdir()
    place.chmod(0o755)
    options = ["--host-record=%s,%s" % pair for pair in (
        ("2.0.0.127.listed.test", "127.0.0.2"), ("7.2.0.192.listed.test", "127.0.0.4"),
        ("10.2.0.192.listed.test", "127.0.0.10"), ("11.2.0.192.listed.test", "127.255.255.254"),
        ("2.0.0.127.second.test", "127.0.0.2"), ("12.2.0.192.second.test", "127.0.0.2"),
        ("13.2.0.192.second.test", "127.0.0.3"))]
    options += ["--host-record=friend.test,192.0.2.20", "--ptr-record=21.2.0.192.in-addr.arpa,friend.test"]
    with Dns(place, *options) as server:
        yield server


@pytest.fixture
def weir(start_mailweir, mta, dns):
    """Starts one that sees this DNS."""
    def start(rules, server="", listeners=("smtp",), **options):
        made = start_mailweir(mta, run=False, rules=rules, server=server, listeners=listeners, **options)
        made.prefix = with_resolv_conf(dns.resolv_conf)
        return made.start()
    return start


def greeted(weir, source):
    return session(weir.smtp, "smtp", source=source)


def verdict(weir, source, sender="a@example.com"):
    """The reply to MAIL."""
    with greeted(weir, source) as client:
        return client.command("MAIL FROM:<%s>" % sender)


# ---- lists


def test_listed_and_not_listed(weir, dns):
    server = weir(LISTS + """
on mail { rule in-first reject 550 5.7.1 "${client} is listed" if client in listed
          rule in-second reject 550 5.7.1 "second" if client in second }
""")
    assert verdict(server, "192.0.2.7").text == "192.0.2.7 is listed"
    assert verdict(server, "192.0.2.8").code == 250
    assert verdict(server, "192.0.2.10").code == 250, "home lines are not listed unless asked for"
    assert verdict(server, "192.0.2.12").text == "second"
    assert verdict(server, "192.0.2.13").code == 250, "another code than `answers` says"
    # Remembered where it may be, and both are asked at once, at one MAIL.
    assert verdict(server, "192.0.2.7").code == 550
    assert dns.asked("7.2.0.192.listed.test") == 1
    assert dns.asked("7.2.0.192.second.test") == 2


def test_nobody_is_asked_about_home(weir, dns):
    server = weir(LISTS + "on mail { rule r reject if client in listed }\n")
    assert verdict(server, "127.0.0.9").code == 250
    assert dns.asked("9.0.0.127.listed.test") == 0


def test_a_list_that_refuses_to_answer_lists_nobody(weir):
    server = weir(LISTS + "on mail { rule r reject if client in listed }\n")
    assert verdict(server, "192.0.2.11").code == 250
    assert server.wait_event("dnsbl", dnsbl="listed", state="paused")


@pytest.mark.parametrize("zone", ["silent.test", "broken.test"])
def test_without_an_answer(weir, zone):
    """`skip` passes over the rule, `defer` defers; and once the list is known to be away nobody waits for it."""
    server = weir("""
dnsbl skipped "%s" { timeout 500ms }
dnsbl needed "%s" { timeout 500ms failure defer }
on mail { rule passed-over reject if not (client in skipped)
          rule must-know reject if client in needed unless sender = "b@example.com" }
""" % (zone, zone))
    started = time.monotonic()
    reply = verdict(server, "192.0.2.7")
    assert (reply.both, reply.text) == ("450 4.7.1", "A lookup failed (needed); try again later")
    assert time.monotonic() - started < 6 * SLOWNESS
    assert verdict(server, "192.0.2.7", "b@example.com").code == 250
    server.wait_event("dnsbl", dnsbl="needed", state="silent")
    started = time.monotonic()
    assert verdict(server, "192.0.2.8").code == 450
    assert time.monotonic() - started < 0.5 * SLOWNESS
    assert len(server.events("dnsbl", dnsbl="needed", state="silent")) == 1, "it is said once"


def test_clients_that_go_while_they_wait(weir, mta):
    server = weir("""
dnsbl slow "silent.test" { timeout 2s }
on mail { rule r reject if client in slow }
""")
    for number in range(30, 50):
        client = greeted(server, "192.0.2.%d" % number)
        client.send("MAIL FROM:<a@example.com>\r\n")
        client.abort() if number % 2 else client.close()
    assert verdict(server, "192.0.2.60").code == 250
    server.wait_event("close", count=21)


# ---- names and places


def test_reverse_names(weir):
    server = weir("""
on connect { rule no-name reject 554 5.7.1 "no name" if client.name is none and client in 192.0.2.16/28 }
on mail { rule hello reject 550 5.7.1 "hello ${client.name}" if client.name under test
          rule unknown reject 550 5.7.1 "nobody, ${client.name}" }
""")
    assert verdict(server, "192.0.2.20").text == "hello friend.test"
    assert verdict(server, "192.0.2.9").text == "nobody, -"
    with pytest.raises((Closed, AssertionError)):
        greeted(server, "192.0.2.21")  # its name leads elsewhere
    assert server.wait_event("connect", by="no-name", client="192.0.2.21")


def test_places(weir, place):
    write_mmdb(place / "places.mmdb", "192.0.2.0", 28, "DE", 64500)
    server = weir("""
on mail { rule here reject 550 5.7.1 "${client.country} ${client.asn}" if client.country = "DE" and client.asn = 64500
          rule nowhere reject 550 5.7.1 "elsewhere" if client.country is none }
""", server='geoip "%s"' % (place / "places.mmdb"))
    assert verdict(server, "192.0.2.9").text == "DE 64500"
    assert verdict(server, "192.0.2.20").text == "elsewhere"


def test_a_missing_file_of_places(start_mailweir, mta, place):
    server = start_mailweir(mta, run=False, rules="on mail { rule r log if client.country = \"DE\" }\n",
                            server='geoip "none.mmdb"', listeners=("smtp",))
    checked = run("check", server.config)
    assert checked.returncode == 0 and "warning" in checked.stdout + checked.stderr
    assert "none.mmdb" in checked.stdout + checked.stderr
    served = run("serve", "-c", server.config)
    assert served.returncode == 1 and "none.mmdb" in served.stderr


def test_dns_is_only_used_where_a_rule_asks(weir, dns):
    before = dns.log.read_text().count("query[")
    server = weir(LISTS + "on mail { rule r accept }\n")
    assert verdict(server, "192.0.2.77").code == 250
    assert dns.log.read_text().count("query[") == before


# ---- tables of other programs

TABLES = """
table senders addresses socketmap 127.0.0.1:%(port)d "senders" { timeout 400ms  cache %(cache)s }
table owners map socketmap 127.0.0.1:%(port)d "owners" { timeout 400ms  cache %(cache)s  failure defer }
table domains domains socketmap 127.0.0.1:%(port)d "domains" { timeout 400ms  cache %(cache)s }
"""
TABLE_RULES = """
on mail {
    rule known reject 550 5.7.1 "known" if sender in senders
    rule below reject 550 5.7.1 "below" if sender.domain in domains
    rule owned reject 550 5.7.1 "owned" if sender.domain in owners[sender]
}
"""
CONTENT = {("senders", "a@example.com"): "x", ("senders", "@example.net"): "", ("domains", ".example.org"): "x",
           ("owners", "b@example.com"): "alice, example.com"}


def known(name, key):
    value = CONTENT.get((name, key))
    return "NOTFOUND " if value is None else "OK " + value


def test_socketmap(weir):
    with SocketmapServer(known) as tables:
        server = weir(TABLES % {"port": tables.port, "cache": "1m"} + TABLE_RULES)
        for sender, text in (("A@example.com", "known"), ("a+tag@example.com", "known"), ("any@example.net", "known"),
                             ("c@deep.sub.example.org", "below"), ("b@example.com", "owned")):
            assert verdict(server, "127.0.0.1", sender).text == text
        assert verdict(server, "127.0.0.1", "c@example.com").code == 250
        assert tables.accepted == 1
        assert tables.asked[:3] == [("senders", "a@example.com"), ("senders", "a+tag@example.com"), ("senders", "@example.net")] or \
            ("senders", "a@example.com") in tables.asked
        asked = len(tables.asked)
        assert verdict(server, "127.0.0.1", "c@example.com").code == 250
        assert len(tables.asked) == asked, "answers are remembered, that nothing is there, too"


@pytest.mark.parametrize("fault", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n", "TEMP tables are away", b"99999999:"])
def test_socketmap_without_an_answer(weir, fault):
    """`failure skip` goes on to the next rule, `defer` defers."""
    with SocketmapServer(lambda name, key: fault) as tables:
        server = weir(TABLES % {"port": tables.port, "cache": "0s"} + TABLE_RULES)
        reply = verdict(server, "127.0.0.1", "a@example.com")
        assert (reply.both, reply.text) == ("450 4.7.1", "A lookup failed (owners); try again later")
        if not isinstance(fault, str):
            for _ in range(3):
                assert verdict(server, "127.0.0.1", "a@example.com").code == 450
            server.wait_event("table", table="owners", state="down")
            assert len(server.events("table", table="owners")) == 1, "it is said once"
        else:
            assert server.stderr().count("answers \"TEMP tables are away\"") <= 3, "once for each table"


def test_socketmap_goes_away_and_comes_back(weir):
    port = free_port()
    with SocketmapServer(known, port) as tables:
        server = weir(TABLES % {"port": port, "cache": "0s"} + TABLE_RULES)
        assert verdict(server, "127.0.0.1", "a@example.com").text == "known"
        tables.hang_up()  # idle connections may be closed
        assert verdict(server, "127.0.0.1", "a@example.com").text == "known"
    for _ in range(5):
        assert verdict(server, "127.0.0.1", "a@example.com").code == 450
    server.wait_event("table", state="down", count=3)
    assert len(server.events("table", state="down")) == 3, "each table, once"
    with SocketmapServer(known, port):
        eventually(lambda: verdict(server, "127.0.0.1", "a@example.com").text == "known", 15 * SLOWNESS, "it is asked again")
        server.wait_event("table", state="up", count=3)


def test_socketmap_for_each_recipient(weir, mta):
    """A limit that asks a table about every recipient, when the mail is sent."""
    inside = {("inside", "@example.org"): "x"}
    with SocketmapServer(lambda name, key: "OK x" if (name, key) in inside else "NOTFOUND ") as tables:
        server = weir("""
table inside addresses socketmap 127.0.0.1:%d "inside" { cache 0s }
limit outside per client count recipients { 3/1h  unless rcpt in inside }
on mail { rule all accept }
""" % tables.port)
        with greeted(server, "127.0.0.5") as client:
            client.expect("250", "MAIL FROM:<a@example.com>")
            for number in range(20):
                client.expect("250", "RCPT TO:<r%d@example.org>" % number)
            for number in range(3):
                client.expect("250", "RCPT TO:<r%d@example.net>" % number)
            client.expect("354", "DATA")
            client.send(message() + b".\r\n")
            assert client.reply().code == 250
            client.expect("250", "MAIL FROM:<a@example.com>")
            client.expect("450", "RCPT TO:<r4@example.net>")
            client.expect("250", "RCPT TO:<r4@example.org>")

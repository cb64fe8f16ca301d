"""Tables that are kept in files: replaced, broken and brought back while mail flows."""
import os
import threading
import time

import pytest

from harness.client import message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.ports import eventually

# Files are looked at every ten seconds, and a change must rest for one. Where it was not seen at the first look, or is not
# in force soon after it, the next one is too late for SEEN.
LOOK, SEEN = 12, 20 * SLOWNESS

RULES = PLAIN_RULES + """
table places domains "places.txt"
table names patterns "names.txt"
table nets netmap "nets.txt"
on rcpt {
    rule elsewhere reject 550 5.7.1 "elsewhere" unless rcpt.domain in places
    rule named reject 550 5.7.1 "named" if rcpt in names
}
on mail { rule from-lab reject 550 5.7.1 "lab" if nets[client] = "lab" }
"""


def put(weir, name, text, mode=0o600):
    """As every careful program writes: beside it, then renamed. Readable for root alone, as the supervisor is."""
    fresh = weir.directory / (name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(mode)
    os.rename(fresh, weir.directory / name)


@pytest.fixture
def weir(start_mailweir, mta):
    instance = start_mailweir(mta, run=False, workers=2, rules=RULES)
    put(instance, "places.txt", "# ours\nexample.net\n")
    put(instance, "names.txt", "^spam\n")
    put(instance, "nets.txt", "127.0.0.0/8 loopback\n")
    return instance.start()


def rcpt(weir, address):
    with session(weir.plain, "plain") as client:
        answer = client.command("MAIL FROM:<alice@example.org>")
        return answer if answer.code != 250 else client.command("RCPT TO:<%s>" % address)


def in_all_workers(weir, address, text):
    """Eight sessions in a row: both workers have had some, and all got this answer."""
    return all(text in "%d %s" % (answer.code, answer.text) for answer in (rcpt(weir, address) for _ in range(8)))


def test_a_table_is_replaced_while_mail_flows(weir, mta):
    """Files of many lines are replaced over and over; what is in every one of them is never refused."""
    stop, refused, sent = threading.Event(), [], []

    def send():
        while not stop.is_set():
            with session(weir.plain, "plain") as client:
                for _ in range(10):
                    answer = client.mail(message(), recipients=("bob@example.net",))
                    sent.append(answer.code)
                    if answer.code != 250:
                        refused.append(answer)
    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(2):
            put(weir, "places.txt", "".join("d%d.example\n" % i for i in range(100000)) + "example.net\nr%d.example\n" % round_)
            eventually(lambda n=round_: in_all_workers(weir, "x@r%d.example" % n, "250"), SEEN, "round %d is in force" % round_)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert len(sent) > 100 and not refused, refused[:3]
    assert in_all_workers(weir, "x@r0.example", "elsewhere") and in_all_workers(weir, "x@d99999.example", "250")
    assert not weir.events("crash") and not weir.events("table")


def test_a_broken_file_keeps_its_last_good_content(weir, mta):
    put(weir, "places.txt", "example.net\nbad..domain\n")
    event = weir.wait_event("table", timeout=SEEN)
    assert event == dict(event, table="places", state="stale", file=str(weir.directory / "places.txt"),
                         text='%s:2:1: "bad..domain" is not a domain' % (weir.directory / "places.txt"))
    assert in_all_workers(weir, "bob@example.net", "250")
    os.unlink(weir.directory / "places.txt")
    time.sleep(LOOK)  # the proof that nothing more is said
    assert len(weir.events("table")) == 1 and in_all_workers(weir, "bob@example.net", "250")
    put(weir, "places.txt", "other.example\n")
    weir.wait_event("table", timeout=SEEN, state="current", table="places")
    assert in_all_workers(weir, "bob@example.net", "elsewhere") and in_all_workers(weir, "x@other.example", "250")
    assert weir.stderr().count('table "places" keeps its last good content') == 1


def test_a_worker_that_is_born_later_has_the_new_content(weir, mta):
    put(weir, "places.txt", "later.example\n")
    put(weir, "names.txt", "".join("^name%d@\n" % i for i in range(300)))
    put(weir, "nets.txt", "127.0.0.0/8 loopback\n127.0.0.1 other\n")
    eventually(lambda: in_all_workers(weir, "x@later.example", "250"), SEEN, "places")
    eventually(lambda: in_all_workers(weir, "name299@later.example", "named"), SEEN, "names")
    for pid in weir.children("worker"):
        os.kill(pid, 9)
    weir.wait_event("crash", count=2)
    eventually(lambda: len(weir.children("worker")) == 2, 5 * SLOWNESS, "two new workers")
    assert in_all_workers(weir, "x@later.example", "250") and in_all_workers(weir, "name299@later.example", "named")
    put(weir, "nets.txt", "127.0.0.0/8 loopback\n127.0.0.1 lab\n")
    eventually(lambda: in_all_workers(weir, "x@later.example", "lab"), SEEN, "nets")


def test_a_pattern_made_to_backtrack(weir, mta):
    put(weir, "names.txt", "(a+)+$\n^spam\n")
    eventually(lambda: "read anew from %s" % (weir.directory / "names.txt") in weir.stderr(), SEEN, "names")
    for _ in range(3):
        began = time.monotonic()
        assert rcpt(weir, "a" * 60 + "@example.net").code == 250
        assert time.monotonic() - began < 1 * SLOWNESS
    eventually(lambda: in_all_workers(weir, "spam@example.net", "named"), SEEN, "the others still count")
    said = weir.stderr().count("the pattern '(a+)+$' of table \"names\" takes too many steps")
    assert 1 <= said <= 2, "once in each worker"


def processor_ms(pid):
    """How long the process has run, without what it waited for a processor."""
    with open("/proc/%d/schedstat" % pid) as file:
        return int(file.read().split()[0]) / 1e6


@pytest.mark.heavy
@pytest.mark.measures
def test_a_million_addresses_are_replaced_and_nobody_waits(start_mailweir, mta):
    """Neither a wrong refusal nor a turn of the loop of ten milliseconds: what the worker itself ran between a command and its reply, for on a
    loaded machine it also waits for a processor."""
    server = start_mailweir(mta, run=False, workers=1, server="max-errors 10000\n",
                            rules='table ours addresses "ours.txt"\non rcpt { rule no reject 550 5.7.1 "no" unless rcpt in ours }\n')

    def replace(number):
        lines = ("user%07d@domain%d.example\n" % (i + number, i % 5000) for i in range(1000000))
        put(server, "ours.txt", "".join(lines) + "bob@example.net\nmark%d@example.net\n" % number)
    replace(0)
    server.start()
    worker, = server.children("worker")
    longest = 0.0
    for number in (1, 2):
        replace(number)
        end, is_new = time.monotonic() + 3 * SEEN, False
        while not is_new and time.monotonic() < end:
            with session(server.plain, "plain") as client:
                for _ in range(200):
                    before = processor_ms(worker)
                    assert client.mail(message()).code == 250
                    longest = max(longest, processor_ms(worker) - before)
                client.expect("250", "MAIL FROM:<alice@example.org>")
                is_new = client.command("RCPT TO:<mark%d@example.net>" % number).code == 250
        assert is_new
    assert longest < 10 * SLOWNESS, "%.1f ms" % longest
    assert not server.events("table") and server.children("worker") == [worker]

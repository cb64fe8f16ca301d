"""A crowd that aborts at random points: every 250 is exactly one mail at the MTA, nothing else is there, counters agree."""
import collections
import json
import pathlib
import subprocess
import time

import pytest

from harness.client import message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.ports import eventually

LOAD = pathlib.Path(__file__).parent / "harness" / "load.py"


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_50_clients_200_mails_each_with_random_aborts(start_mailweir, mta):
    mails = 200 if SLOWNESS == 1 else 40
    weir = start_mailweir(mta, workers=2, rules=PLAIN_RULES + """
limit all per global count messages { 1000000/1d }
limit heads per user count recipients { 1000000/1d }
""")
    crowds = [("plain", 25), ("submission", 13), ("submissions", 12)]
    running = [subprocess.Popen(["/usr/bin/python3", "-B", str(LOAD), str(getattr(weir, how)), how, "20261124", str(clients), str(mails), how],
                                stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) for how, clients in crowds]
    outcome = {}
    for process in running:
        text, _ = process.communicate(timeout=500)
        assert process.returncode == 0
        outcome.update(json.loads(text)["mails"])
    assert len(outcome) == 50 * mails

    # What was still under way when its client left comes to its end.
    eventually(lambda: len(weir.events("mail")) + len(mta.taken) == pause(1.0, lambda: len(weir.events("mail")) + len(mta.taken)),
               60 * SLOWNESS, "nothing comes any more")
    by_outcome = collections.defaultdict(set)
    for name, what in outcome.items():
        by_outcome[what].add(name)
    odd = set(by_outcome) - {"ok", "aborted", "unknown"}
    assert not odd, {what: len(by_outcome[what]) for what in odd}

    taken = collections.Counter(subject(t) for t in mta.taken)
    assert not [name for name, count in taken.items() if count != 1], "a mail came twice"
    assert by_outcome["ok"] <= set(taken), "a mail was answered 250 and is not at the MTA"
    assert not by_outcome["aborted"] & set(taken), "a mail that its client never completed is at the MTA"
    assert set(taken) <= by_outcome["ok"] | by_outcome["unknown"]
    assert len(by_outcome["ok"]) > 0.85 * len(outcome)

    # One more mail shows the counters: they are the accepted sum, with this one.
    with session(weir.plain, "plain") as client:
        assert client.mail(message(subject="the last")).code == 250
    last = weir.wait_event("mail", verdict="accept", count=len(mta.taken), timeout=30)
    accepted = len(mta.taken)
    unknown = len(weir.events("mail", verdict="unknown"))
    assert {row["name"]: row["used"] for row in weir.events("mail", verdict="accept")[-1]["limits"]} == \
        {"all": accepted + unknown, "heads": accepted + unknown}, last
    assert unknown <= len(by_outcome["unknown"])
    assert not weir.events("crash")


def pause(seconds, read):
    time.sleep(seconds)
    return read()


def subject(transaction):
    for line in transaction.message.split(b"\r\n"):
        if line.startswith(b"Subject: "):
            return line[9:].decode()
    raise AssertionError("a mail without its subject: %r" % transaction)

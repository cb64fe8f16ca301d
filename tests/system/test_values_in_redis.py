"""Limits that are no plain counts, for two nodes together: open connections, different recipients, names that failed, guesses.

In Redis alone and as a Cluster, by a user that may do what LIMITS.md says and nothing else.
"""
import os
import signal
import threading

import pytest

from harness.client import Client, Closed, message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.ports import eventually
from harness.redis_servers import CALM, Alone, Cluster
from test_control import asked, rows_of

LIMITS = PLAIN_RULES + """
limit places per client count open-connections { 3 }
limit reach per user count distinct-recipients { 20/1d }
limit names per client count failed-users { 3/1h }
limit guesses per user count guesses { 2/1h }
"""


@pytest.fixture(params=(Alone, Cluster), ids=("alone", "cluster"))
def shape(request, place):
    with request.param(place / "redis") as servers:
        yield servers.calm()


@pytest.fixture
def nodes(shape, start_mailweir, mta):
    both = [start_mailweir(mta, rules=LIMITS, workers=2, server=shape.statement(CALM), listeners=("plain",)) for _ in range(2)]
    for weir in both:
        eventually(lambda: asked(weir, "status")["store"]["state"] == "ok", 20 * SLOWNESS, "Redis is reached")
    return both


def is_let_in(weir):
    try:
        with Client(weir.plain) as client:
            return client.reply().code == 220
    except (Closed, OSError):
        return False


def test_open_connections(nodes):
    one, two = nodes
    held = [session(one.plain, "plain"), session(two.plain, "plain"), session(two.plain, "plain")]
    for weir in nodes:
        with Client(weir.plain) as client:
            reply = client.reply()
            assert reply.both == "421 4.7.0" and "3 at once used up" in reply.text, reply
    held.pop(0).quit()
    eventually(lambda: is_let_in(one), 8 * SLOWNESS, "a place is free at its own node")
    eventually(lambda: is_let_in(two), 8 * SLOWNESS, "and, after at most five seconds, at the other")
    for client in held:
        client.close()


def test_places_of_killed_workers(nodes):
    """What a worker held is free again as soon as somebody misses it, not after a minute."""
    one, _ = nodes
    held = [session(one.plain, "plain") for _ in range(3)]
    assert not is_let_in(one)
    for worker in one.children("worker"):
        os.kill(worker, signal.SIGKILL)
    for client in held:
        client.close()
    eventually(lambda: is_let_in(one), 20 * SLOWNESS, "a place is free", pause=0.2)


def test_recipients(nodes):
    one, two = nodes
    for weir, first in ((one, 0), (two, 10)):
        with session(weir.plain, "plain") as client:
            assert client.mail(message(), recipients=["r%d@example.net" % n for n in range(first, first + 10)]).code == 250
    for weir, first in ((one, 0), (two, 10)):
        with session(weir.plain, "plain") as client:
            reply = client.mail(message(), recipients=["new1@example.net", "new2@example.net"])
            assert reply.code in (450, 451, 452) and "reach" in reply.text, reply
        with session(weir.plain, "plain") as client:
            assert client.mail(message(), recipients=["r%d@example.net" % n for n in range(first, first + 10)]).code == 250


def test_names_that_failed(nodes):
    one, two = nodes
    def wrong(weir, user):
        with session(weir.plain, "smtp") as client:
            return client.try_login(user, "wrong").code
    for number in range(3):
        assert wrong(nodes[number % 2], "nobody%d@example.org" % number) == 535
    for weir in nodes:
        assert wrong(weir, "somebody@example.org") == 454
        assert wrong(weir, "nobody1@example.org") == 535, "a name that failed before is none more"


def test_many_right_logins_are_no_failures(nodes):
    """Programs of one user that log in at the same time: while it goes on each holds a name that might fail, none stays."""
    def log_in(weir):
        for _ in range(10):
            try:
                with session(weir.plain, "smtp") as client:
                    client.try_login("alice@example.org", "secret")
            except (Closed, OSError, AssertionError):
                pass  # three may be open at once
    threads = [threading.Thread(target=log_in, args=(nodes[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def failed():
        return rows_of(asked(nodes[0], "limits", "client:127.0.0.1"))["names", 3600]["used"]
    eventually(lambda: failed() == 0, 5 * SLOWNESS, "nothing is left")


def test_a_stale_password_is_one_guess(nodes):
    one, two = nodes

    def wrong(weir, password):
        with session(weir.plain, "smtp") as client:
            return client.try_login("alice@example.org", password).code
    for _ in range(4):
        assert wrong(one, "stale") == 535
        assert wrong(two, "stale") == 535
    assert wrong(two, "other") == 535
    for weir in nodes:
        assert wrong(weir, "third") == 454
        assert wrong(weir, "stale") == 535

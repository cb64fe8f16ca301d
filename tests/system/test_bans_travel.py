"""Nodes that share a Redis share their bans (LIMITS.md, "Keys"): within two seconds, with Redis away, and after it lost its data."""
import json
import time

import pytest

from harness.client import Client, Closed
from harness.mailweir import PLAIN_RULES, SLOWNESS, run
from harness.ports import eventually
from harness.redis_servers import Alone

RULES = PLAIN_RULES + """
on helo { rule away ban client 1h doubling to 4h "go away" if helo = "banned.example" }
"""
IN_TIME = 2 * SLOWNESS


@pytest.fixture
def redis(place):
    with Alone(place / "redis") as shape:
        yield shape


@pytest.fixture
def start_node(start_mailweir, mta, redis):
    def start(name, **options):
        return start_mailweir(mta, rules=RULES, server=redis.statement(), hostname=name, listeners=("smtp",), **options)
    return start


def asked(weir, *words):
    done = run(*words, "-c", weir.config, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def store_of(weir):
    return asked(weir, "status")["store"]


def believes(weir, nodes):
    store = store_of(weir)
    return store["state"] == "ok" and store["nodes"] == nodes and store["missing"] == 0


def settle(*nodes):
    for node in nodes:
        eventually(lambda: believes(node, len(nodes)), 15 * SLOWNESS, "nodes know each other and believe Redis")


def get_banned(weir, source):
    with Client(weir.smtp, source=source) as client:
        client.greet()
        client.expect("421", "EHLO banned.example")


def is_banned(weir, source):
    try:
        with Client(weir.smtp, source=source) as client:
            client.greet()
            client.expect("250", "EHLO fine.example")
    except (Closed, ConnectionError, OSError):
        return True
    return False


def within(seconds, what):
    """It becomes true in time; how long it took."""
    begin = time.monotonic()
    eventually(what, 10 * SLOWNESS, pause=0.02)
    took = time.monotonic() - begin
    assert took <= seconds, "%.2f s" % took
    return took


def test_a_ban_is_on_every_node_in_two_seconds(start_node, redis):
    a, b = start_node("mx1.example.org", workers=2), start_node("mx2.example.org", workers=2)
    settle(a, b)
    get_banned(a, "127.0.0.5")
    within(IN_TIME, lambda: is_banned(b, "127.0.0.5"))
    assert not is_banned(b, "127.0.0.6")
    [ban] = asked(b, "bans")["bans"]
    assert ban["key"] == "client:127.0.0.5" and ban["by"] == "away" and ban["reason"] == "go away"
    assert redis.server.ask("GET", "mw1:b:{i:127.0.0.5}").endswith('"node":"mx1.example.org"}')

    assert run("ban", "client:127.0.0.7", "2h", "--why", "by hand", "-c", b.config).returncode == 0
    within(IN_TIME, lambda: is_banned(a, "127.0.0.7"))

    assert run("unban", "client:127.0.0.5", "-c", b.config).returncode == 0
    within(IN_TIME, lambda: not is_banned(a, "127.0.0.5"))
    assert store_of(a)["bans_sent"] >= 1 and store_of(a)["bans_received"] >= 2


def test_strikes_count_on_all_nodes(start_node):
    a, b = start_node("mx1.example.org"), start_node("mx2.example.org")
    settle(a, b)
    get_banned(a, "127.0.0.5")
    within(IN_TIME, lambda: is_banned(b, "127.0.0.5"))
    assert run("unban", "client:127.0.0.5", "-c", a.config).returncode == 0
    within(IN_TIME, lambda: not is_banned(b, "127.0.0.5"))
    get_banned(b, "127.0.0.5")  # forgotten: the first strike again
    within(IN_TIME, lambda: is_banned(a, "127.0.0.5"))
    [ban] = asked(a, "bans")["bans"]
    assert ban["strikes"] == 1


def test_a_connection_costs_no_command(start_node, redis):
    a, b = start_node("mx1.example.org"), start_node("mx2.example.org")
    settle(a, b)
    get_banned(a, "127.0.0.5")
    within(IN_TIME, lambda: is_banned(b, "127.0.0.5"))
    begin = time.monotonic()
    redis.server.forget_calls()
    for _ in range(300):
        assert is_banned(b, "127.0.0.5")
    calls, seconds = sum(redis.server.calls().values()), time.monotonic() - begin
    assert calls < 100 + 40 * seconds, "%d commands in %.1f s" % (calls, seconds)  # heartbeats and looks


def test_a_node_that_comes_later_learns_of_all(start_node):
    a = start_node("mx1.example.org")
    settle(a)
    for n in range(5, 10):
        get_banned(a, "127.0.0.%d" % n)
    b = start_node("mx2.example.org")
    within(IN_TIME + 1, lambda: all(is_banned(b, "127.0.0.%d" % n) for n in range(5, 10)))


def test_redis_away_and_back_without_its_data(start_node, redis):
    a, b = start_node("mx1.example.org"), start_node("mx2.example.org")
    settle(a, b)
    get_banned(a, "127.0.0.5")
    within(IN_TIME, lambda: is_banned(b, "127.0.0.5"))
    redis.server.kill()
    eventually(lambda: store_of(a)["state"] == "away" and store_of(b)["state"] == "away", 15 * SLOWNESS, "both know")
    assert is_banned(a, "127.0.0.5") and is_banned(b, "127.0.0.5")
    get_banned(b, "127.0.0.6")  # one more, which nobody else can know of
    assert is_banned(b, "127.0.0.6") and not is_banned(a, "127.0.0.6")
    redis.server.start()  # empty
    eventually(lambda: is_banned(a, "127.0.0.6"), 15 * SLOWNESS, "merged")
    settle(a, b)
    eventually(lambda: len(redis.keys("mw1:b:*")) == 2, 10 * SLOWNESS, "put back")
    assert is_banned(a, "127.0.0.5") and is_banned(b, "127.0.0.5")
    assert store_of(a)["losses"] >= 1
    assert a.events("store", state="lost") and a.events("store", state="settled")


def test_a_node_that_stops_is_not_missed(start_node, redis):
    a, b = start_node("mx1.example.org"), start_node("mx2.example.org")
    settle(a, b)
    assert b.stop() == 0
    eventually(lambda: believes(a, 1), 5 * SLOWNESS, "it left in order")
    assert len(redis.server.ask("ZRANGEBYSCORE", "mw1:nodes", "-inf", "+inf")) == 1


def test_a_node_keeps_its_id_over_a_restart(start_node, redis):
    a = start_node("mx1.example.org")
    [before] = eventually(lambda: redis.server.ask("ZRANGEBYSCORE", "mw1:nodes", "-inf", "+inf"), 15 * SLOWNESS, "its heartbeat")
    a.reload()
    a.kill()
    a.start(wait=False)
    a.wait_event("start", count=2)
    settle(a)
    assert redis.server.ask("ZRANGEBYSCORE", "mw1:nodes", "-inf", "+inf") == [before]
    assert (a.directory / "state" / "node").read_text() == before + "\n"

"""Tables in the Redis of `store redis`: sets and hashes that rules ask; and Redis away, slow, or with something else there."""
import time

import pytest

from harness.client import session
from harness.mailweir import SLOWNESS
from harness.ports import eventually
from harness.redis_servers import ACL

TABLES = """
table senders addresses redis "mw1:t:senders" { timeout 400ms  cache %(cache)s }
table owners map redis "mw1:t:owners" { timeout 400ms  cache %(cache)s  failure defer }
table domains domains redis "mw1:t:domains" { timeout 400ms  cache %(cache)s }
"""
RULES = TABLES + """
on mail {
    rule known reject 550 5.7.1 "known" if sender in senders
    rule below reject 550 5.7.1 "below" if sender.domain in domains
    rule owned reject 550 5.7.1 "owned" if sender.domain in owners[sender]
    rule all accept
}
"""
SKIPPED_OR_DEFERRED = ("450 4.7.1", "A lookup failed (owners); try again later")


@pytest.fixture
def redis(start_redis):
    shape = start_redis("redis", acl=ACL + " ~elsewhere:words")
    fill(shape)
    return shape


def fill(shape):
    for words in (("SADD", "mw1:t:senders", "a@example.com", "@example.net"), ("SADD", "mw1:t:domains", ".example.org"),
                  ("HSET", "mw1:t:owners", "b@example.com", "alice, example.com", "@example.info", "bob")):
        shape.server.ask(*words)
        shape.server.ask("EXPIRE", words[1], "600")


@pytest.fixture
def weir(start_mailweir, mta, redis):
    def start(rules=RULES, cache="0s"):
        return start_mailweir(mta, rules=rules % {"cache": cache}, server=redis.statement(), listeners=("smtp",))
    return start


def verdict(weir, sender):
    """The reply to MAIL."""
    with session(weir.smtp, "smtp", source="127.0.0.1") as client:
        return client.command("MAIL FROM:<%s>" % sender)


def test_there_or_not(weir, redis):
    server = weir(cache="1m")
    for sender, text in (("A@example.com", "known"), ("a+tag@example.com", "known"), ("any@example.net", "known"),
                         ("c@deep.sub.example.org", "below"), ("b@example.com", "owned")):
        eventually(lambda: verdict(server, sender).text == text, 5 * SLOWNESS, sender)
    assert verdict(server, "c@example.com").code == 250
    redis.server.forget_calls()
    redis.server.ask("SADD", "mw1:t:senders", "c@example.com")
    assert verdict(server, "c@example.com").code == 250, "answers are remembered, that nothing is there, too"
    assert not {"smismember", "hmget"} & set(redis.server.calls())
    assert verdict(server, "d+tag@a.b.example.com").code == 250
    calls = redis.server.calls()
    assert (calls["smismember"], calls["hmget"]) == (2, 1), "one command a table, however many spellings there are"


def test_without_cache_changes_are_seen(weir, redis):
    server = weir()
    assert verdict(server, "c@example.com").code == 250
    redis.server.ask("SADD", "mw1:t:senders", "c@example.com")
    assert verdict(server, "c@example.com").text == "known"
    redis.server.ask("SREM", "mw1:t:senders", "c@example.com")
    assert verdict(server, "c@example.com").code == 250


def test_away_and_back(weir, redis):
    """`failure skip` goes on to the next rule, `defer` defers; nobody waits for a Redis that is known to be away."""
    server = weir()
    assert verdict(server, "a@example.com").text == "known"
    redis.server.kill()
    eventually(lambda: verdict(server, "a@example.com").code == 450, 5 * SLOWNESS, "it is away")
    reply = verdict(server, "a@example.com")
    assert (reply.both, reply.text) == SKIPPED_OR_DEFERRED
    began = time.monotonic()
    for _ in range(10):
        assert verdict(server, "a@example.com").code == 450
    assert time.monotonic() - began < 2 * SLOWNESS
    redis.server.start()
    fill(redis)
    eventually(lambda: verdict(server, "a@example.com").text == "known", 20 * SLOWNESS, "it is asked again")


def test_late(weir, redis):
    """An answer that comes after the timeout is none; the mail goes on without it."""
    server = weir()
    assert verdict(server, "a@example.com").text == "known"
    redis.server.freeze()
    began = time.monotonic()
    reply = verdict(server, "a@example.com")
    assert time.monotonic() - began < 5 * SLOWNESS
    assert (reply.both, reply.text) == SKIPPED_OR_DEFERRED
    redis.server.thaw()
    eventually(lambda: verdict(server, "a@example.com").text == "known", 20 * SLOWNESS, "it answers again")


def test_something_else_is_there(weir, redis):
    for key in ("mw1:t:senders", "mw1:t:owners"):
        redis.server.ask("SET", key, "text", "EX", "600")
    server = weir()
    eventually(lambda: verdict(server, "a@example.com").code == 450, 5 * SLOWNESS, "it defers")
    assert verdict(server, "c@deep.example.org").text == "below", "another table is none the worse"
    said = server.stderr()
    assert said.count('table "senders": the key "mw1:t:senders" in Redis holds no set') == 1
    assert said.count('table "owners": the key "mw1:t:owners" in Redis holds no hash') == 1


def test_keys_elsewhere(weir, redis):
    """A key that begins otherwise than the store's needs ~KEY in the user's ACL."""
    redis.server.ask("SADD", "elsewhere:words", "a@example.com")
    redis.server.ask("EXPIRE", "elsewhere:words", "600")
    server = weir("""
table here addresses redis "elsewhere:words" { cache 0s }
table there addresses redis "elsewhere:others" { cache 0s  failure defer }
on mail { rule here reject 550 5.7.1 "here" if sender in here
          rule there reject 550 5.7.1 "there" if sender in there
          rule all accept }
""")
    eventually(lambda: verdict(server, "a@example.com").text == "here", 5 * SLOWNESS, "it may be read")
    assert verdict(server, "b@example.com").text == "A lookup failed (there); try again later"
    assert "its user needs ~elsewhere:others, and +smismember" in server.stderr()
    assert verdict(server, "a@example.com").text == "here"

"""`mailweir store audit [--repair]` of a store in Redis (OPERATIONS.md): what is wrong there is found, said, and put right."""
import json

import pytest

from harness.client import message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS, run
from harness.ports import eventually
from harness.redis_servers import Alone, Cluster

RULES = PLAIN_RULES + """
limit pace per user count messages { 100/1h }
limit crowd per client count open-connections { 50 }
limit reach per user count distinct-recipients { 100/1d }
"""


@pytest.fixture(params=(Alone, Cluster), ids=lambda shape: shape.name)
def redis(request, place):
    with request.param(place / "redis") as shape:
        yield shape


@pytest.fixture
def weir(start_mailweir, mta, redis):
    weir = start_mailweir(mta, rules=RULES, server=redis.statement(), listeners=("plain",))
    eventually(lambda: asked(weir, "status")["store"]["state"] == "ok", 15 * SLOWNESS, "Redis is believed")
    return weir


def asked(weir, *words, code=0):
    done = run(*words, "-c", weir.config, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def owner(redis, key):
    return redis.owner(redis.slot_of(key)) if isinstance(redis, Cluster) else redis.server


def test_clean_after_mail(weir, redis):
    with session(weir.plain, "plain") as client:
        for _ in range(5):
            assert client.mail(message()).code == 250
        audit = asked(weir, "store", "audit")
    assert audit["kind"] == "redis" and audit["clean"] and audit["complete"] and audit["findings"] == []
    assert audit["kinds"]["counters"]["keys"] >= 1 and audit["kinds"]["connections"]["keys"] == 1
    assert audit["kinds"]["recipients"]["keys"] >= 1 and audit["kinds"]["nodes"]["bytes"] > 0
    assert audit["kinds"]["unknown"]["keys"] == 0
    text = run("store", "audit", "-c", weir.config)
    assert text.returncode == 0 and "nothing is wrong" in text.stdout and "counters" in text.stdout


def test_found_and_repaired(weir, redis):
    for key, words in (("mw1:q:{u:alice}:3600:1", ("SET", "mw1:q:{u:alice}:3600:1", "x")),
                       ("mw1:bans", ("SADD", "mw1:bans", "x")),
                       ("mw1:mine", ("HSET", "mw1:mine", "a", "b"))):
        owner(redis, key).ask("DEL", key)
        owner(redis, key).ask(*words)
    audit = asked(weir, "store", "audit", code=1)
    found = {finding["key"]: finding for finding in audit["findings"]}
    assert not audit["clean"] and set(found) >= {"mw1:q:{u:alice}:3600:1", "mw1:bans", "mw1:mine"}
    assert "1 bytes, where 200 are the most" in found["mw1:q:{u:alice}:3600:1"]["what"]
    assert "is of type set, not zset" in found["mw1:bans"]["what"] and found["mw1:bans"]["severity"] == "error"
    assert found["mw1:mine"]["severity"] == "note" and not found["mw1:mine"]["repairable"]
    text = run("store", "audit", "-c", weir.config)
    assert text.returncode == 1 and "something is wrong" in text.stdout and "--repair" in text.stdout

    audit = asked(weir, "store", "audit", "--repair")
    assert audit["clean"] and audit["repaired"] == 2 and audit["open"] == 0
    audit = asked(weir, "store", "audit")
    assert [finding["key"] for finding in audit["findings"]] == ["mw1:mine"]
    assert owner(redis, "mw1:mine").ask("HGET", "mw1:mine", "a") == "b"
    owner(redis, "mw1:mine").ask("DEL", "mw1:mine")


def test_what_is_wrong_with_redis_itself(weir, redis):
    for server in redis.masters():
        server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    audit = asked(weir, "store", "audit", code=1)
    assert len(audit["findings"]) == len(redis.masters())
    assert all("allkeys-lru" in finding["what"] for finding in audit["findings"])
    for server in redis.masters():
        server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_redis_is_away(weir, redis):
    for server in redis.servers:
        server.kill()
    eventually(lambda: asked(weir, "status")["store"]["state"] == "away", 15 * SLOWNESS, "it is noticed")
    audit = asked(weir, "store", "audit", code=1)
    assert not audit["complete"] and "is not there" in audit["why"]
    assert ": could not be looked through\n" in run("store", "audit", "--control", weir.control).stdout

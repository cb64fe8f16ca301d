"""The measurement and the servers of the promise's tests, against themselves."""
import random
import socket
import ssl
import time

import pytest

from harness import audits
from harness.ports import eventually
from harness.promise import Mail, could_be_admitted, match, most_within
from harness.redis_servers import PASSWORD, SHAPES, USER, Alone, Cluster, Relay, Sentinels
from harness.resp import Redis, RedisError


def mails(*moments):
    return [Mail(0, "u", n, began, ended) for n, (began, ended) in enumerate(moments)]


def test_most_within_knows_what_is_sure():
    assert most_within(mails(), 10) == (0, None)
    assert most_within(mails((0, 0), (9.9, 9.9), (10, 10), (10.1, 10.1)), 10)[0] == 3
    assert most_within(mails((0, 0), (10.001, 10.001), (20.002, 20.002)), 10)[0] == 1
    # May have been admitted at 10.5: nobody can say that both were within 10 seconds.
    assert most_within(mails((0, 0.1), (9.9, 10.5)), 10)[0] == 1
    assert most_within(mails((0.6, 0.7), (9.9, 10.5)), 10) == (2, 0.6)


@pytest.mark.parametrize("seed", range(20))
def test_most_within_agrees_with_counting(seed):
    rng = random.Random(seed)
    made = mails(*((began, began + rng.choice((0, 0.5, 3))) for began in (rng.randrange(60) for _ in range(80))))
    counted = max(sum(m.began >= first.began and m.ended <= first.began + 10 for m in made) for first in made)
    assert most_within(made, 10)[0] == counted


def test_most_within_finds_the_edge_of_a_fixed_window():
    """A hundred at the end of one minute and a hundred at the beginning of the next one."""
    burst = mails(*((59.9, 59.95) for _ in range(100)), *((60.01, 60.05) for _ in range(100)))
    assert most_within(burst, 60)[0] == 200


def test_could_be_admitted():
    assert could_be_admitted(100, 16, began=160, ended=160.5) == 100
    assert could_be_admitted(100, 16, began=160.9, ended=160 + 18.9) == 100
    assert could_be_admitted(100, 16, began=160.9, ended=160 + 19) == 200
    assert could_be_admitted(100, 16, began=160.9, ended=160 + 17 * 3 + 2) == 400


def test_match_finds_what_is_lost_and_what_came_twice():
    found, lost, twice = match([(0, "u", 1, 5.0), (1, "u", 2, 6.0)], [(1, 4.9), (3, 5.0), (3, 5.1)])
    assert found == [Mail(0, "u", 1, 4.9, 5.0)] and lost == [2] and twice == [3]


@pytest.fixture(params=SHAPES)
def shape(request, place):
    with SHAPES[request.param](place / request.param) as servers:
        yield servers


def test_servers_let_mailweir_do_what_it_may_and_no_more(shape):
    [server, *_] = shape.masters()
    with Redis(("127.0.0.1", server.port), USER, PASSWORD) as redis:
        assert redis("PING") == "PONG"
        redis("HELLO", 2)
        for forbidden in (("EVAL", "return 1", 0), ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("GET", "other"),
                          ("MULTI",), ("PUBLISH", "other", "x")):
            with pytest.raises(RedisError, match="NOPERM"):
                redis(*forbidden)


def test_no_test_leaves_a_key_that_would_stay(place):
    with Alone(place / "redis") as alone:
        alone.server.ask("BITFIELD", "mw1:q:{u:a}:60:1", "INCRBY", "u32", "#0", 1)
        with pytest.raises(AssertionError, match="left behind.*mw1:q:{u:a}:60:1.*without expiry"):
            audits.audit(alone)
        alone.spoiled = "a counter that somebody made"
        assert audits.audit(alone) == 1


@pytest.mark.parametrize("db", (0, 3))
def test_no_test_leaves_a_key_that_no_mailweir_knows(place, db):
    """Which `store audit` does not call wrong: it may be a table of the administrator's."""
    with Alone(place / "redis") as alone, alone.server.client() as redis:
        redis.many([("SELECT", db), ("SET", "mine", "x")])
        with pytest.raises(AssertionError, match="without expiry: .*mine"):
            audits.audit(alone)
        redis("PEXPIRE", "mine", 100000)


def test_a_store_is_audited_where_mailweir_kept_it(place):
    with Alone(place / "redis") as alone, alone.server.client() as redis:
        for options in ("db 2", 'prefix "mw1:mine:"'):
            alone.statement(options)
        redis.many([("SELECT", 2), ("SET", "mw1:q:{u:a}:60:1", "x", "PX", 100000)])
        with pytest.raises(AssertionError, match="left behind.*mw1:q:{u:a}:60:1.*a counter of 1 bytes"):
            audits.audit(alone)
        redis("DEL", "mw1:q:{u:a}:60:1")
        assert audits.audit(alone) == 2


def test_no_store_goes_unseen(place):
    """Whoever opens a store and has it looked at neither by `with` nor by start_redis fails."""
    kept = audits.Books()
    shape = Alone(place / "redis")
    kept.outcomes[shape] = None
    with pytest.raises(AssertionError, match="nobody has looked at redis"):
        kept.close()
    shape.start().server.kill()
    kept.look_at(shape)
    kept.close()
    assert kept.audits() == 0 and kept.not_audited() == ["redis: the test ended its servers"]
    audits.look_at(shape)


def test_a_server_that_died_by_itself_is_a_failure(place):
    with Alone(place / "redis") as alone:
        alone.server.process.kill()
        alone.server.process.wait(5)
        with pytest.raises(AssertionError, match="redis-server ended with -9"):
            audits.Books().look_at(alone)
        alone.server.start()


def test_counts_are_read_as_limits_md_writes_them(shape):
    shape.spoiled = "windows that are long over"
    key = "mw1:q:{u:a*[b@example.org}:60:%d"
    for window in (7, 8):
        redis = shape.masters() if shape.name != "cluster" else [shape.owner(shape.slot_of(key % window))]
        redis[0].ask("BITFIELD", key % window, "INCRBY", "u32", "#0", 1, "INCRBY", "u32", "#15", 2,
                     "INCRBY", "u32", "#16", 10, "INCRBY", "u32", "#47", 100)
    assert shape.counts_of("u:a*[b@example.org", 60) == (6, 20, 200)
    assert shape.counts_of("u:a*[b@example.org", 600) == (0, 0, 0)


def test_a_killed_server_comes_back_empty_and_a_frozen_one_is_silent(place):
    with Alone(place / "redis") as alone:
        alone.server.ask("SET", "k", "v", "PX", 100000)
        alone.server.freeze()
        with pytest.raises(OSError):
            with alone.server.client(timeout=0.3) as redis:
                redis("PING")
        alone.server.thaw()
        assert alone.server.ask("GET", "k") == "v"
        alone.server.kill()
        assert not alone.masters()
        alone.server.start()
        assert alone.server.ask("GET", "k") is None


def test_sentinels_fail_over_when_asked(place):
    """The old master stays one for some seconds, until a sentinel turns it into a replica: a client that does not listen
    to them goes on counting there."""
    with Sentinels(place / "redis") as sentinels:
        first = sentinels.master()
        second = sentinels.failover()
        assert second is not first and second.info("replication")["role"] == "master"


def test_sentinels_fail_over_when_the_master_dies(place):
    with Sentinels(place / "redis") as sentinels:
        first = sentinels.master()
        first.kill()
        second = eventually(lambda: sentinels.master() not in (None, first) and sentinels.master(), 20, "another master", pause=0.1)
        assert second.info("replication")["role"] == "master"


def test_a_slot_migrates_and_asks_on_the_way(place):
    with Cluster(place / "redis") as cluster:
        cluster.spoiled = "counters that are none"
        slot = cluster.slot_of("mw1:q:{u:alice@example.org}:3600:1")
        assert slot == 8645
        source = cluster.owner(slot)
        target = next(server for server in cluster.servers if server is not source)
        for n in range(3):
            source.ask("SET", "mw1:q:{u:alice@example.org}:3600:%d" % n, n, "PX", 100000)
        cluster.begin_migration(slot, target)
        with pytest.raises(RedisError, match="ASK 8645 127.0.0.1:%d" % target.port):
            source.ask("GET", "mw1:q:{u:alice@example.org}:3600:9")
        assert cluster.migrate_keys(slot, source, target) == 3
        cluster.end_migration(slot, source, target)
        with pytest.raises(RedisError, match="MOVED 8645 127.0.0.1:%d" % target.port):
            source.ask("GET", "mw1:q:{u:alice@example.org}:3600:1")
        assert cluster.owner(slot) is target


def test_a_cluster_with_replicas_survives_a_master(place):
    with Cluster(place / "redis", replicas=1) as cluster:
        victim = cluster.owner(8645)
        victim.kill()
        eventually(lambda: cluster.owner(8645) not in (None, victim) and cluster.is_whole(), 20, "a replica took over", pause=0.1)


def test_a_server_with_tls(place):
    with Alone(place / "redis", way="tls") as alone:
        context = ssl.create_default_context(cafile=alone.tls[0])
        with context.wrap_socket(socket.create_connection(("127.0.0.1", alone.server.port), 5), server_hostname="127.0.0.1") as tls:
            tls.sendall(b"PING\r\n")
            assert tls.recv(100).startswith(b"-NOAUTH")


def test_the_relay_is_slow_silent_and_closed(place):
    with Alone(place / "redis") as alone, Relay(alone.server.port) as relay:
        def timed(timeout=5.0):
            with Redis(("127.0.0.1", relay.port), USER, PASSWORD, timeout) as redis:
                began = time.monotonic()
                redis("PING")
                return time.monotonic() - began
        assert timed() < 0.1
        relay.delay = 0.1
        assert 0.2 <= timed() < 0.4
        relay.delay = 0
        relay.silence()
        with pytest.raises(TimeoutError):
            timed(0.3)
        relay.heal()
        assert timed() < 0.1
        relay.refuse()
        with pytest.raises(OSError):
            timed()
        relay.heal()
        assert timed() < 0.1

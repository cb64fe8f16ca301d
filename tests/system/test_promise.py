"""LIMITS.md's promise, measured: greedy crowds at all nodes, and in no window more mails than the limit.

On each store: four nodes of two workers each, fifty clients a node that try again at once, six limits a mail. The embedded
store, which nodes do not share, has one node.
"""
import pytest

from harness.client import message, session
from harness.field import GREEDY, MODEST, Field
from harness.redis_servers import CALM

# A denial that a worker saw amid others' reservations is remembered for so long (src/limits/denials.c): what comes free
# in the last window is taken by then, also where a busy machine lets many reservations meet.
REMEMBERED = 5


def press(field, windows, clients=50):
    """Greedy crowds, and a modest user beside them, for so many windows; then all that must hold."""
    field.start()
    report = field.run(field.greedy(clients) + field.modest(), field.windows(windows) + REMEMBERED)
    print(report.text(), field.fullest(report, GREEDY), field.text(), sep="\n")
    assert report.worst(GREEDY) <= field.limit, report.text()
    assert report.share(GREEDY) >= 0.98, report.text()
    assert not report.refused(MODEST), report.refused(MODEST)[:5]
    assert not report.lost and not report.twice and not report.unaccounted
    assert report.losses == [] or {row[-1][:3] for row in report.losses} == {"421"}, report.losses[:5]
    for user in (GREEDY, MODEST):
        field.assert_settled(user, len(report.of(user)))
    return report


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_never_more_than_the_limit_in_any_window(start_mailweir, place, store):
    with Field(start_mailweir, place, store, period=8, options=CALM) as field:
        press(field, windows=3)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_never_more_than_a_hundred_a_minute(start_mailweir, place, store, record_property):
    """The same in full: `100/1m`, pressed on by 200 clients through 8 workers until it was used up four times, with the
    deadline for Redis that administrators have."""
    workers, clients = (2, 50) if store else (8, 200)
    with Field(start_mailweir, place, store, workers=workers, limit=100, period=60) as field:
        report = press(field, windows=4, clients=clients)
        record_property("measured", "%d s, %s" % (report.ended - report.began, report.text(GREEDY).splitlines()[0]))


def test_the_measurement_finds_nodes_that_do_not_share(start_mailweir, place):
    """What this page measures would be found: two nodes with a memory of their own each let through the whole limit."""
    with Field(start_mailweir, place, nodes=2, limit=20) as field:
        field.start()
        report = field.run(field.greedy(clients=10), field.period - 2)
        assert report.worst(GREEDY) == 40 and report.share(GREEDY) == 2.0, report.text()


WAYS = {"tcp": "", "unix": "", "tls": "", "database": "db 3", "prefix": 'prefix "mw1:other:"'}


@pytest.mark.parametrize("name", WAYS)
def test_ways_to_redis(start_mailweir, place, start_redis, name):
    """Two nodes that reach one Redis count as one, however they reach it."""
    redis = start_redis("redis", way=name if name in ("unix", "tls") else "tcp")
    with Field(start_mailweir, place, redis, nodes=2, workers=1, limit=5, period=3600,
               options=CALM + "  " + WAYS[name]) as field:
        field.start()
        codes = []
        for n in range(8):
            with session(field.nodes[n % 2].plain, "plain", user=GREEDY) as client:
                codes.append(client.mail(message()).code)
        assert codes == [250] * 5 + [450] * 3 or codes == [250] * 5 + [451, 450, 450], codes
        for node in field.nodes:
            assert node.wait_event("mail", verdict="accept")["store"] == "redis"
        keys = redis.server.keys() if name != "database" else redis.server.keys(db=3)
        assert keys and all(key.startswith("mw1:other:" if name == "prefix" else "mw1:") for key in keys), keys

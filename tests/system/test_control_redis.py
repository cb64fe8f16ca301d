"""The commands on counts that lie in Redis: what one node counts, another one shows, forgets and allows."""
import pytest

from harness.client import Client, message, session
from harness.mailweir import PLAIN_RULES, SLOWNESS
from harness.ports import eventually
from harness.redis_servers import CALM, Alone, Cluster
from test_control import LIMITS, asked, command, rows_of


@pytest.fixture(params=(Alone, Cluster), ids=("alone", "cluster"))
def shape(request, place):
    with request.param(place / "redis") as servers:
        yield servers.calm()


@pytest.fixture
def nodes(shape, start_mailweir, mta):
    """Two of one cluster, once their store is reached."""
    both = [start_mailweir(mta, rules=LIMITS, workers=2, server=shape.statement(CALM)) for _ in range(2)]
    for weir in both:
        eventually(lambda: asked(weir, "status")["store"]["state"] == "ok", 20 * SLOWNESS, "Redis is reached")
    return both


def used(weir, key, name, period):
    return rows_of(asked(weir, "limits", key))[name, period]["used"]


def test_limits_and_reset(nodes):
    one, two = nodes
    with session(one.plain, "plain") as client:
        for _ in range(3):
            assert client.mail(message(), recipients=("b@example.net", "c@example.net")).code == 250
        assert client.mail(message()).code == 450
    row = rows_of(asked(two, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["used"], row["limit"], row["full"]) == (3, 3, True)
    assert 3600 <= row["frees_in"] <= 3600 * 17 / 16 + 1
    assert used(two, "user:alice@example.org", "reach", 86400) == 2
    assert used(two, "user:alice@example.org", "volume", 86400) == 3072
    command(two, "reset", "user:alice@example.org", "mails")
    assert used(one, "user:alice@example.org", "mails", 3600) == 0
    assert used(one, "user:alice@example.org", "volume", 86400) == 3072

    def passes():
        with session(two.plain, "plain") as client:
            return client.mail(message()).code == 250
    assert passes()
    command(one, "reset", "alice@example.org")
    assert used(two, "user:alice@example.org", "reach", 86400) == 0


def test_allow_holds_on_every_node(nodes):
    one, two = nodes
    command(one, "allow", "user:alice@example.org", "mails", "5/1h", "--why", "newsletter")

    def row():
        return rows_of(asked(two, "limits", "user:alice@example.org"))["mails", 3600]
    eventually(lambda: row()["limit"] == 5, 3 * SLOWNESS, "the other node knows")
    assert row()["rate_of"] == "operator" and row()["why"] == "newsletter"
    with session(two.plain, "plain") as client:
        for _ in range(5):
            assert client.mail(message()).code == 250
        assert client.mail(message()).code == 450
    command(two, "allow", "user:alice@example.org", "mails", "default")
    eventually(lambda: rows_of(asked(one, "limits", "user:alice@example.org"))["mails", 3600]["limit"] == 3, 3 * SLOWNESS, "taken back on both")


def test_bans_travel(nodes):
    one, two = nodes
    command(one, "ban", "127.0.0.1", "1h", "--why", "too loud")
    eventually(lambda: [ban["key"] for ban in asked(two, "bans")["bans"]] == ["client:127.0.0.1"], 2 * SLOWNESS, "the other node bans it")
    with Client(two.plain) as client:
        assert client.is_closed()
    command(two, "unban", "127.0.0.1")
    eventually(lambda: asked(one, "bans")["bans"] == [], 2 * SLOWNESS, "the ban is lifted on both")


# -- while Redis is away

AWAY = PLAIN_RULES + "limit mails per user count messages { 20/1h at 100% log, defer }\n"
TOLD_LATER = "Redis is away: it is in force on this node now, and on the others when Redis is back"


@pytest.fixture
def redis(place):
    with Alone(place / "redis") as servers:
        yield servers


@pytest.fixture
def start_pair(redis, start_mailweir, mta):
    def start(failure="share"):
        server = redis.statement("failure %s  %s" % (failure, CALM))
        both = [start_mailweir(mta, rules=AWAY, server=server, hostname="mx%d.example.org" % n) for n in (1, 2)]
        for weir in both:
            eventually(lambda: (store_of(weir)["state"], store_of(weir)["nodes"]) == ("ok", 2), 20 * SLOWNESS, "they know each other")
        return both
    return start


def store_of(weir):
    return asked(weir, "status")["store"]


def away(redis, weir):
    redis.server.stop()
    eventually(lambda: store_of(weir)["state"] == "away", 15 * SLOWNESS, "it is noticed")


def back(redis, *nodes):
    redis.server.start()
    for weir in nodes:
        eventually(lambda: store_of(weir)["state"] == "ok", 20 * SLOWNESS, "it is believed again")


def send(weir, count):
    """Until one is refused: its reply."""
    with session(weir.plain, "plain") as client:
        for _ in range(count):
            reply = client.mail(message())
            if reply.code != 250:
                return reply
    return None


def test_a_share_says_so(start_pair, redis):
    one, two = start_pair()
    assert send(one, 4) is None
    row = rows_of(asked(one, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["store"], row["used"], row["full"]) == ("redis", 4, False) and "share_of" not in row
    assert (store_of(one)["decides"], store_of(one)["since"]) == ("redis", None)
    away(redis, one)

    # 4 + 2 * 8 = 20: one more is refused by the share, at 13 of 20.
    reply = send(one, 20)
    assert reply.both == "451 4.7.1" and "20 per 1h used up, 13 with this mail" in reply.text
    event = one.wait_event("mail", verdict="defer")
    assert (event["store"], event["share_of"], event["by"]) == ("share", 2, "mails")
    assert all("share_of" not in event for event in one.events("mail", verdict="accept"))
    text = one.wait_event("limit", by="mails")["text"]
    assert text.startswith("mails: 20 per 1h used up but for the shares of other nodes, 13 with this mail; try again in ")
    assert "the node's share of the limit, one of 2, was used up, not the limit" in command(one, "explain", "--event", event["id"])

    row = rows_of(asked(one, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["store"], row["share_of"], row["used"], row["limit"], row["full"]) == ("share", 2, 12, 20, True)
    text = command(one, "limits", "user:alice@example.org")
    assert text.startswith("this node decides by itself: it admits its share of what is left of each limit (failure share; 2 nodes)\n"
                           "these are its own counts and what it last read of the others'")
    assert "12 of 20 in 1h" in text and "this node's share is used up; room for one more in" in text
    row = rows_of(asked(one, "limits", "user:bob@example.org"))["mails", 3600]
    assert (row["used"], row["full"]) == (0, False)

    store = store_of(one)
    assert store["decides"] == "share" and store["since"].endswith("Z")
    text = command(one, "status")
    assert "store          redis, away: 2 nodes" in text
    assert "it admits its share of what is left of each limit (failure share), since %s" % store["since"] in text
    assert "what is to be mended stands below; when Redis answers" in text
    back(redis, one, two)
    assert (store_of(one)["decides"], store_of(one)["since"]) == ("redis", None)
    row = rows_of(asked(two, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["store"], row["used"]) == ("redis", 12)
    assert "decides by itself" not in command(one, "status") + command(one, "limits", "user:alice@example.org")


def test_a_reload_while_redis_is_away_forgets_no_node(start_pair, redis):
    one, _ = start_pair()
    away(redis, one)
    command(one, "reload")
    eventually(lambda: store_of(one)["state"] == "away", 15 * SLOWNESS, "the new admin process has looked, too")
    assert store_of(one)["nodes"] == 2
    assert "it admits its share of what is left of each limit (failure share)" in command(one, "status")
    redis.server.start()


def test_a_part_of_a_cluster_is_away(place, start_mailweir, mta):
    with Cluster(place / "redis") as servers:
        weir = start_mailweir(mta, rules=AWAY, server=servers.statement())
        eventually(lambda: store_of(weir)["state"] == "ok", 20 * SLOWNESS, "Redis is reached")
        servers.servers[1].stop()
        eventually(lambda: store_of(weir)["state"] == "away", 15 * SLOWNESS, "it is noticed")
        text = command(weir, "status")
        assert "for counts that lie on 1 of 3 servers only; the others are ok:\n" in text
        servers.servers[1].start()


@pytest.mark.parametrize("failure,said,code", (
    ("local", "it admits what is left of each limit, whole (failure local", 450),
    ("open", "it refuses nothing by a limit, and only counts (failure open", None),
    ("closed", "this node takes no mail that a limit counts: clients are told to try again later (failure closed", 451)))
def test_other_ways_say_so(start_pair, redis, failure, said, code):
    one, _ = start_pair(failure)
    away(redis, one)
    reply = send(one, 22)
    assert (reply and reply.code) == code
    assert code != 451 or reply.text == "Limits cannot be checked now; try again later"
    row = rows_of(asked(one, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["store"], row["full"]) == (failure, failure == "local") and "share_of" not in row
    assert said in command(one, "limits", "user:alice@example.org") and said in command(one, "status")
    assert store_of(one)["decides"] == failure
    assert all("share_of" not in event and event["store"] == failure for event in one.events("mail"))
    redis.server.start()


def test_a_node_that_never_reached_redis(start_mailweir, mta, redis):
    redis.server.stop()
    weir = start_mailweir(mta, rules=AWAY, server=redis.statement(CALM))
    assert (store_of(weir)["state"], store_of(weir)["decides"], store_of(weir)["since"]) == ("away", "share", None)
    assert "it knows of no other, and admits what is left of each limit, whole (failure share)\n" in command(weir, "status")
    assert send(weir, 21).code == 450
    assert all("share_of" not in event for event in weir.events("mail"))
    row = rows_of(asked(weir, "limits", "user:alice@example.org"))["mails", 3600]
    assert (row["share_of"], row["used"], row["full"]) == (1, 20, True)
    text = command(weir, "limits", "user:alice@example.org")
    assert "it knows of no other" in text and "full; room for one more in" in text
    redis.server.start()


def test_what_is_ordered_reaches_the_others_when_redis_is_back(start_pair, redis):
    one, two = start_pair()
    command(two, "ban", "127.0.0.9", "1h", "--why", "too loud")
    eventually(lambda: len(asked(one, "bans")["bans"]) == 1, 3 * SLOWNESS, "banned on both")
    assert send(one, 4) is None
    away(redis, one)
    for words in (("allow", "user:alice@example.org", "mails", "100/1h", "--why", "newsletter"), ("ban", "127.0.0.7", "2h"), ("unban", "127.0.0.9")):
        assert command(one, *words).endswith(TOLD_LATER + "\n")
    assert send(one, 10) is None, "in force here at once"
    assert asked(two, "allow")["allowances"] == []
    assert [ban["key"] for ban in asked(two, "bans")["bans"]] == ["client:127.0.0.9"]

    done = command(one, "reset", "user:alice@example.org", code=75)
    assert "not all of it is forgotten: Redis is away" in done and "give the command again then" in done
    assert one.wait_event("reset")["result"] == "partly"
    assert rows_of(asked(one, "limits", "user:alice@example.org"))["mails", 3600]["used"] == 0

    back(redis, one, two)
    eventually(lambda: [a["key"] for a in asked(two, "allow")["allowances"]] == ["user:alice@example.org"], 5 * SLOWNESS, "the allowance is on both")
    eventually(lambda: [ban["key"] for ban in asked(two, "bans")["bans"]] == ["client:127.0.0.7"], 5 * SLOWNESS, "and the bans are")
    text = command(two, "allow")
    assert "user:alice@example.org" in text and "100/1h for " in text and text.endswith(", by root: newsletter\n")
    assert TOLD_LATER not in command(one, "reset", "user:alice@example.org") + command(one, "unban", "127.0.0.7")


def test_what_is_ordered_outlives_the_service(start_pair, redis):
    """Ordered while Redis is away, on a node that is stopped before it is back: there at the next start, and told."""
    one, two = start_pair()
    for key in ("127.0.0.9", "127.0.0.10"):
        command(two, "ban", key, "1h")
    command(one, "allow", "user:bob@example.org", "mails", "50/1h")
    eventually(lambda: len(asked(one, "bans")["bans"]) == 2 and len(asked(two, "allow")["allowances"]) == 1, 5 * SLOWNESS, "known on both")
    away(redis, one)
    for words in (("allow", "user:alice@example.org", "mails", "100/1h"), ("ban", "127.0.0.7", "2h"), ("unban", "127.0.0.9")):
        assert command(one, *words).endswith(TOLD_LATER + "\n")
    assert one.stop() == 0
    one.start(wait=False)
    one.wait_event("start", count=2)
    eventually(lambda: [a["key"] for a in asked(one, "allow")["allowances"]] == ["user:alice@example.org"], 5 * SLOWNESS,
               "what Redis knows is not kept here, where nobody could take it back")
    assert sorted(ban["key"] for ban in asked(one, "bans")["bans"]) == ["client:127.0.0.10", "client:127.0.0.7"]

    back(redis, one, two)
    for weir in (one, two):
        eventually(lambda: sorted(a["key"] for a in asked(weir, "allow")["allowances"]) ==
                   ["user:alice@example.org", "user:bob@example.org"], 5 * SLOWNESS, "the allowances are on both")
        eventually(lambda: sorted(ban["key"] for ban in asked(weir, "bans")["bans"]) == ["client:127.0.0.10", "client:127.0.0.7"],
                   5 * SLOWNESS, "and the bans are")


def test_what_is_counted_does_not_and_that_is_said(start_pair, redis):
    one, two = start_pair()
    assert send(one, 2) is None
    assert two.stop() == 0 and "Redis was not told" not in two.stderr()
    away(redis, one)
    assert send(one, 2) is None
    assert one.stop() == 0
    assert "Redis was not told of all that this node counted while it was away: 1 counter is lost" in one.stderr()
    redis.server.start()

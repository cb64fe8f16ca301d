"""The commands on counts that lie in Redis: what one node counts, another one shows, forgets and allows."""
import pytest

from harness.client import Client, message, session
from harness.mailweir import SLOWNESS
from harness.ports import eventually
from harness.redis_servers import Alone, Cluster
from test_control import LIMITS, asked, command, rows_of


@pytest.fixture(params=(Alone, Cluster), ids=("alone", "cluster"))
def shape(request, place):
    with request.param(place / "redis") as servers:
        yield servers


@pytest.fixture
def nodes(shape, start_mailweir, mta):
    """Two of one cluster, once their store is reached."""
    both = [start_mailweir(mta, rules=LIMITS, workers=2, server=shape.statement()) for _ in range(2)]
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

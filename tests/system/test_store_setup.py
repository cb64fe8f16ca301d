"""A Redis that is not what the `store` statement takes it for, or that allows too little: said at the start, once, with what to write
instead, in the log, as a `store` event, and by `mailweir status`."""
import pytest

from harness.client import message, session
from harness.mailweir import SLOWNESS, run
from harness.ports import eventually
from harness.redis_servers import ACL, USER
from test_control import asked

WORKERS = 3


def said_once(weir, text):
    """Among what the processes of the node log, and among its events."""
    eventually(lambda: [e for e in weir.events("store") if e.get("text", "").endswith(text)], 10 * SLOWNESS, "an event says: " + text)
    eventually(lambda: asked(weir, "status")["store"]["state"] == "away", 10 * SLOWNESS, "the store is away")
    assert weir.stderr().count(text) == 1, weir.stderr()
    assert len([e for e in weir.events("store") if e["state"] == "down"]) == 1, weir.events("store")
    shown = run("status", "--control", weir.control)
    assert text in shown.stdout, shown.stdout


def other_password(shape):
    (shape.directory / "other").write_text("other\n")
    (shape.directory / "other").chmod(0o644)
    return 'user "%s"  password-file "%s"' % (USER, shape.directory / "other")


REFUSED = "refuses the login: no such user, or another password; see `user` and `password-file` in `store`"
LOCKED = "wants a login: give `user` and `password-file` in `store`"


def lone(port, login):
    return 'store redis "redis://127.0.0.1:%d" { %s }\n' % (port, login)


def alone_cases(shape):
    port, login = shape.server.port, shape.credentials()
    at = "127.0.0.1:%d" % port
    yield lone(port, other_password(shape)), "%s %s" % (at, REFUSED)
    yield lone(port, ""), "%s %s" % (at, LOCKED)
    yield "store redis sentinel mw %s { %s }\n" % (at, login), \
        'is a Redis and no Sentinel: name sentinels (port 26379, mostly), or write `store redis "redis://%s"`' % at
    yield "store redis cluster %s { %s }\n" % (at, login), \
        '%s is no node of a Cluster: write `store redis "redis://%s"` (or set `cluster-enabled yes` there)' % (at, at)


def sentinel_cases(shape):
    sentinel, login = shape.ports[0], shape.credentials()
    is_one = "is a Sentinel, which counts nothing: write `store redis sentinel NAME 127.0.0.1:%d`, with the name that `sentinel monitor` " \
        "gives the master" % sentinel
    yield lone(sentinel, login), is_one
    yield lone(sentinel, ""), is_one
    yield "store redis cluster 127.0.0.1:%d\n" % sentinel, is_one
    yield lone(shape.servers[1].port, login), "is a replica: name its master, or use `store redis sentinel`"
    yield "store redis sentinel other 127.0.0.1:%d { %s }\n" % (sentinel, login), \
        'no sentinel knows a master "other": use the name that `sentinel monitor` gives it'
    yield "store redis sentinel mw 127.0.0.1:%d { %s }\n" % (sentinel, other_password(shape)), REFUSED


def cluster_cases(shape):
    at = "127.0.0.1:%d" % shape.servers[0].port
    yield lone(shape.servers[0].port, shape.credentials()), "%s is a node of a Cluster: write `store redis cluster %s`" % (at, at)
    yield "store redis cluster %s { %s }\n" % (at, other_password(shape)), "%s %s" % (at, REFUSED)


@pytest.mark.parametrize("name,cases", (("redis", alone_cases), ("sentinel", sentinel_cases), ("cluster", cluster_cases)),
                         ids=("redis", "sentinel", "cluster"))
def test_another_redis_than_was_meant(start_mailweir, mta, start_redis, name, cases):
    for statement, text in cases(start_redis(name)):
        weir = start_mailweir(mta, workers=WORKERS, server=statement)
        said_once(weir, text)
        with session(weir.plain, "plain") as client:
            assert client.mail(message()).code == 250
        weir.stop()


def test_what_keeps_redis_from_being_believed_is_to_be_mended(start_mailweir, mta, start_redis):
    shape = start_redis("redis", acl=" ".join(word for word in ACL.split() if word != "+zadd"))
    weir = start_mailweir(mta, workers=WORKERS, server=shape.statement())

    def shown():
        return run("status", "--control", weir.control).stdout
    eventually(lambda: "all they admitted: mend what the warnings say\n" in shown(), 20 * SLOWNESS, "it is said")
    assert "nothing is to be done" not in shown()


@pytest.mark.parametrize("name", ("redis", "cluster"))
def test_a_user_who_may_not_do_all(start_mailweir, mta, start_redis, name):
    shape = start_redis(name, acl=" ".join(word for word in ACL.split() if word not in ("+pfadd", "+smismember")))
    weir = start_mailweir(mta, workers=WORKERS, server=shape.statement())
    text = "`ACL SETUSER %s +pfadd +smismember` allows it" % USER
    eventually(lambda: len([e for e in weir.events("store") if e.get("problem") == "acl"]) == len(shape.masters()), 15 * SLOWNESS,
               "it is said of each master")
    assert all(e["state"] == "warning" and text in e["text"] for e in weir.events("store") if e.get("problem") == "acl")
    assert weir.stderr().count(text) == len(shape.masters())
    assert asked(weir, "status")["store"]["state"] == "ok"
    shown = run("status", "--control", weir.control)
    assert shown.stdout.count(text) == len(shape.masters()), shown.stdout
    assert not shape.keys("mw1:probe*")

"""What the store in Redis adds to the way of a mail through mailweir.

    bench/load ─▶ mailweir, six limits ─▶ bench/sink          two of them, with `store memory` and with `store redis`

First the load generator sends as fast as it can: half of what the slower one does is the rate of what follows. Then mails
are due one after another, evenly, at the one and at the other in turn. What a mail waits for its store is what its event
says (`ms.store`); it overlaps with what the MTA behind takes to answer DATA, so what the store adds, by the client's
watch, may be less.
"""
import json
import pathlib
import shutil
import statistics
import tempfile

from harness.ports import make_certificate
from harness.redis_servers import Alone

import peers
from quiet import Stolen, at, least_disturbed
from run import Mode, Sink, send

SECONDS = 4
WARM_UP = 400
CLIENTS = 200    # rest and take the mails that are due: more than are ever under way
CAPACITY = 4000  # mails, as fast as they go

LIMITS = """
limit user-messages     per user   count messages   { 1000000000/1h }
limit user-recipients   per user   count recipients { 1000000000/1h, 1000000000/1d }
limit user-bytes        per user   count bytes      { 1024G/1d }
limit client-messages   per client count messages   { 1000000000/1h }
limit client-recipients per client count recipients { 1000000000/1h }
on rcpt {
    rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated
}
"""


class Pair:
    """A run with each store, one after the other: what disturbed the one disturbed the other too."""

    def __init__(self, memory, redis):
        self.memory, self.redis = memory, redis
        self.stolen = max(memory.stolen, redis.stolen)


class Found:
    """rate: mails a second. Microseconds: what mails wait for Redis, what they take with it, and how much longer that is
    than with the embedded store, in the quiet pairs; all_…: what they wait for Redis in all of them."""

    def __init__(self, rate, runs, count):
        self.rate, self.runs, self.quiet = rate, runs, least_disturbed(runs, count)
        self.store_p50_us, self.store_p99_us = (self.store_us(self.quiet, share) for share in (50, 99))
        self.all_p50_us, self.all_p99_us = (self.store_us(runs, share) for share in (50, 99))
        self.redis_p50_us, self.added_p50_us = self.watch_us("p50_us")
        self.redis_p99_us, self.added_p99_us = self.watch_us("p99_us")

    @staticmethod
    def store_us(pairs, share):
        return statistics.median(at(pair.redis.waits_us, share) for pair in pairs)

    def watch_us(self, name):
        """By the client's watch, with Redis; and how much more that is, pair by pair."""
        return (statistics.median(getattr(pair.redis, name) for pair in self.quiet),
                statistics.median(getattr(pair.redis, name) - getattr(pair.memory, name) for pair in self.quiet))


class Run:
    """One run at a rate: the client's watch, and what the events of its mails say."""

    def __init__(self, weir, rate):
        before, stolen = weir.events.stat().st_size, Stolen()
        values = send(weir.plain, True, rate * SECONDS, Mode("rate", "", 0, None, "--rate", str(rate), "--connections", str(CLIENTS)))
        self.p50_us, self.p99_us = int(values["p50_us"]), int(values["p99_us"])
        self.stolen = stolen.share()
        self.waits_us = sorted(weir.waits_us(before))


class Weir(peers.Mailweir):
    """store: the statement."""

    def __init__(self, place, sink, certificate, store):
        super().__init__(place, sink, certificate)
        self.rules = self.write("six.rules", LIMITS + store)
        self.events = self.place / "log/events.jsonl"

    def waits_us(self, offset):
        """What mails waited for their store, as the events from that offset on say."""
        with self.events.open("rb") as file:
            file.seek(offset)
            events = [json.loads(line) for line in file if line.endswith(b"\n")]
        return [1000 * event["ms"].get("store", 0) for event in events if event["event"] == "mail"]


def start(place, sink, certificate, name, store):
    room = place / ("weir-" + name)
    room.mkdir()
    weir = Weir(room, sink, certificate, store)
    weir.start()
    return weir


def capacity(weir):
    mode = Mode("full", "", 0, None)
    send(weir.plain, True, WARM_UP, mode)
    return CAPACITY / float(send(weir.plain, True, CAPACITY, mode)["seconds"])


def measure(rounds, count):
    """Of rounds those count that were disturbed least."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailweir-bench-"))
    place.chmod(0o755)
    started = []
    try:
        certificate = make_certificate(str(place), "bench.example.org")
        alone = Alone(place / "redis")
        started.append(alone)
        alone.start()
        sink = Sink()
        started.append(sink)
        weirs = []
        for name, store in (("memory", "store memory\n"), ("redis", alone.statement())):
            weirs.append(start(place, sink, certificate, name, store))
            started.append(weirs[-1])
        rate = int(min(map(capacity, weirs)) / 2)
        return Found(rate, [Pair(*(Run(weir, rate) for weir in weirs)) for _ in range(rounds)], count)
    finally:
        for one in reversed(started):
            one.stop()
        shutil.rmtree(place, ignore_errors=True)

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


class Found:
    """rate: mails a second. Microseconds: what mails wait for Redis, what they take with it, and how much longer that is
    than with the embedded store."""

    def __init__(self, rate, runs):
        memory, redis = runs
        self.rate = rate
        self.store_p50_us, self.store_p99_us = (statistics.median(run.store_us(share) for run in redis) for share in (50, 99))
        self.redis_p50_us = statistics.median(run.p50_us for run in redis)
        self.redis_p99_us = statistics.median(run.p99_us for run in redis)
        # Round by round, as they were disturbed together.
        self.added_p50_us = statistics.median(a.p50_us - b.p50_us for a, b in zip(redis, memory))
        self.added_p99_us = statistics.median(a.p99_us - b.p99_us for a, b in zip(redis, memory))


class Run:
    """One run at a rate: the client's watch, and what the events of its mails say."""

    def __init__(self, weir, rate):
        before = weir.events.stat().st_size
        values = send(weir.plain, True, rate * SECONDS, Mode("rate", "", 0, None, "--rate", str(rate), "--connections", str(CLIENTS)))
        self.p50_us, self.p99_us = int(values["p50_us"]), int(values["p99_us"])
        self.waits_us = sorted(weir.waits_us(before))

    def store_us(self, share):
        return self.waits_us[len(self.waits_us) * share // 100]


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


def measure(rounds):
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
        runs = [[], []]
        for _ in range(rounds):
            for weir, found in zip(weirs, runs):
                found.append(Run(weir, rate))
        return Found(rate, runs)
    finally:
        for one in reversed(started):
            one.stop()
        shutil.rmtree(place, ignore_errors=True)

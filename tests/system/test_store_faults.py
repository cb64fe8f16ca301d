"""The promise, on each store, while workers die, limits change and clocks are set.

In every test: no window holds more than the limit, a modest user is refused nothing, every 250 is one mail at the MTA.
"""
import os
import random
import signal
import time

import pytest

from harness.clocks import Clock
from harness.field import GREEDY, MODEST, Field, Site, assert_kept
from harness.mailweir import wait_until
from harness.promise import most_within
from harness.redis_servers import CALM

GRACE = 10.5  # seconds: src/process/worker.c, RETIRE_MS, and a moment

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240)]


def test_a_worker_killed_each_second(start_mailweir, place, store):
    with Field(start_mailweir, place, store, limit=60, options=CALM) as field:
        field.start()
        rng = random.Random(20261126)
        killed = []

        def kill_workers(began):
            for second in range(1, seconds - 3):
                wait_until(began + second)
                node = rng.choice(field.nodes)
                workers = node.children("worker")
                if workers:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    killed.append(node)

        seconds = field.windows(2)
        report = field.run(field.greedy(clients=15) + field.modest(), seconds, kill_workers)
        print(report.text(), len(killed))
        assert len(killed) >= seconds - 6
        assert_kept(report, field.limit)
        # A mail that was under way when its worker died stays charged: nobody can know what became of it.
        under_way = sum(int(loss[-2] in ("DATA", "RCPT", "MAIL")) for loss in report.losses if loss[1] == GREEDY)
        accepted = len(report.of(GREEDY))
        for count in field.counted(GREEDY):
            assert accepted <= count <= accepted + under_way, report.text()
        assert report.share(GREEDY) >= 0.8, report.text()


def test_limits_change_under_load(start_mailweir, place, store):
    """Node after node gets a lower limit, later the old one: never is a count lost, and where all have the lower one it
    holds. Who is connected at a reload goes on under the old limit for up to ten seconds."""
    with Field(start_mailweir, place, store, limit=80, options=CALM) as field:
        field.start()
        lower_from = lower_until = None

        def change(began):
            nonlocal lower_from, lower_until
            wait_until(began + 1)
            reload_all(40)
            lower_from = time.monotonic() + GRACE
            wait_until(began + 2.25 * field.period)
            lower_until = time.monotonic()
            reload_all(80)

        def reload_all(limit):
            for node in field.nodes:
                node.write_config(rules=field.rules_text(limit=limit))
                assert node.reload()["result"] == "ok"

        report = field.run(field.greedy(clients=15) + field.modest(), field.windows(3) + 6, change)
        print(report.text(), field.text(), sep="\n")
        assert_kept(report, 80)
        low = [mail for mail in report.of(GREEDY) if lower_from <= mail.began and mail.ended <= lower_until]
        assert 36 <= len(low) and most_within(low, field.period)[0] <= 40, report.text()
        for user in (GREEDY, MODEST):
            field.assert_settled(user, len(report.of(user)))


@pytest.mark.parametrize("seconds", (60, -60), ids=("forward", "backward"))
def test_a_nodes_clock_is_moved_by_a_minute(start_mailweir, place, store, seconds):
    clock = Clock(place)
    with Field(start_mailweir, place, store, limit=60, options=CALM, sites={0: Site(environment=clock.environment)}) as field:
        field.start()

        def move(began):
            wait_until(began + 3)
            clock.move(seconds)
            wait_until(began + 3 + field.period)
            clock.move(0)

        report = field.run(field.greedy(clients=15) + field.modest(), field.windows(2), move)
        print(report.text(), field.text(), sep="\n")
        assert_kept(report, field.limit)
        assert report.share(GREEDY) >= 0.9, report.text()


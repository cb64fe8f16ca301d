"""LIMITS.md's promise, measured: greedy crowds at all nodes, and in no window more mails than the limit.

On each store: several nodes of two workers each, fifty clients a node that try again at once, six limits a mail.
"""
import pytest

from harness.field import GREEDY, MODEST, Field, long_run


@pytest.mark.heavy
@pytest.mark.timeout(400)
def test_never_more_than_the_limit_in_any_window(start_mailweir, place, store):
    limit, period, windows = (100, 60, 3) if long_run() else (100, 8, 3)
    with Field(start_mailweir, place, store, limit=limit, period=period) as field:
        field.start()
        report = field.run(field.greedy() + field.modest(), field.windows(windows))
        print(report.text())
        assert report.worst(GREEDY) <= limit, report.text()
        assert report.share(GREEDY) >= 0.98, report.text()
        assert report.sum(MODEST, "refused") == 0, [r for r in report.refusals if r[0] == MODEST][:5]
        assert not report.lost and not report.twice and not report.unaccounted
        assert report.losses == [] or {row[-1][:3] for row in report.losses} == {"421"}, report.losses[:5]
        for user in (GREEDY, MODEST):
            field.assert_settled(user, len(report.of(user)))


def test_the_measurement_finds_nodes_that_do_not_share(start_mailweir, place):
    """What this page measures would be found: two nodes with a memory of their own each let through the whole limit."""
    with Field(start_mailweir, place, nodes=2, limit=20) as field:
        field.start()
        report = field.run(field.greedy(clients=10), 2)
        assert report.worst(GREEDY) == 40 and report.share(GREEDY) == 2.0, report.text()

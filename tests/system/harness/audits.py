"""What every test has to leave behind in Redis: nothing that `mailweir store audit` calls wrong (OPERATIONS.md).

    conftest ─ a test begins ─▶ Books ◀─ opened, looked at ─ a shape of redis_servers.py
             ─ and is over ───▶  └─ each of its stores was audited, or it is said why not

A store is looked at just before its servers are stopped, twice: by a mailweir of its own, whose `store audit` must find
nothing, and by SCAN and PTTL over every database, which believe nobody. Nodes of the test may still be running.

A test that spoils a store says so in one place, and then `--repair` must put that right first:

    redis.spoiled = "the greedy user's counter was made a list"
"""
import json
import tempfile

from .mailweir import SLOWNESS, Mailweir, run
from .ports import eventually, free_port

LOOKS_S = 20  # who has just lost a server takes some seconds to find the others


class Books:
    """Of one test. outcomes: of each store that it opened, the number of audits, or why there was none."""

    def __init__(self):
        self.outcomes, self.has_failed = {}, False

    def look_at(self, shape):
        if self.has_failed:
            self.outcomes[shape] = "the test failed"
            return
        try:
            shape.settle()
            self.outcomes[shape] = shape.why_silent() or audit(shape)
        except BaseException:
            self.has_failed = True
            raise

    def audits(self):
        return sum(outcome for outcome in self.outcomes.values() if isinstance(outcome, int))

    def not_audited(self):
        return ["%s: %s" % (shape.name, outcome) for shape, outcome in self.outcomes.items() if isinstance(outcome, str)]

    def close(self):
        """The test is over."""
        missed = [shape.name for shape, outcome in self.outcomes.items() if not outcome]
        assert not missed or self.has_failed, "nobody has looked at %s: a store is opened by `with` or start_redis" % ", ".join(missed)


# Those of the test that runs; None: nobody keeps any (bench/ uses the same servers).
books = None


def begin():
    global books
    books = Books()
    return books


def end():
    global books
    books = None


def opened(shape):
    if books:
        books.outcomes[shape] = None


def look_at(shape):
    if books:
        books.look_at(shape)


def audit(shape):
    """By each statement that led there: one with another prefix or database leads to other keys. How many there were."""
    statements = [shape.statement(options) for options in sorted(shape.options) or [""]]
    for statement in statements:
        with Auditor(tempfile.mkdtemp(prefix="auditor", dir=shape.directory), statement) as auditor:
            if shape.spoiled:
                repaired = auditor.audit("--repair")
                assert repaired["clean"], "what was spoiled (%s) is not repaired: %s" % (shape.spoiled, wrong(repaired))
            found = auditor.audit()
            assert found["clean"], "the test left behind: %s" % wrong(found)
    left = shape.without_expiry()
    assert not left, "keys without expiry: %s" % left[:10]
    return len(statements)


def wrong(answer):
    return [finding for finding in answer["findings"] if finding["severity"] != "note"][:10]


class Auditor:
    """A mailweir that nobody sends mail to: it is there to be asked."""

    def __init__(self, directory, statement):
        self.weir = Mailweir(directory, free_port(), server=statement, listeners=("smtp",), hostname="auditor.example.org")

    def __enter__(self):
        try:
            self.weir.start()
        except BaseException:
            self.weir.kill()
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                code = self.weir.stop()
                assert code == 0, "the auditor ended with %s\n%s" % (code, self.weir.stderr())
        finally:
            self.weir.kill()

    def audit(self, *options):
        """What `store audit --json` says, once it has looked at every shard."""
        said = []

        def is_complete():
            done = run("store", "audit", "-c", self.weir.config, "--json", *options)
            assert done.returncode in (0, 1) and done.stdout, "store audit ended with %d\n%s" % (done.returncode, done.stderr)
            said.append(json.loads(done.stdout))
            assert said[-1]["clean"] == (done.returncode == 0), done.stdout
            return said[-1]["complete"]

        try:
            eventually(is_complete, LOOKS_S * SLOWNESS, "`store audit` looks at all shards", pause=0.1)
        except AssertionError as error:
            raise AssertionError("%s\n%s\n%s" % (error, said[-1:], self.weir.stderr())) from None
        return said[-1]

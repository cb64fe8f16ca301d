"""A field of nodes that share a store, crowds that want more than its limits allow, and what came of it.

    crowds (bench/greedy) ─▶ nodes (mailweir, several workers each) ─▶ MTA (bench/sink)
                                  └──▶ store: memory, or a shape of redis_servers.py

All times are of the monotonic clock, so what different nodes admitted can be compared (promise.py).
"""
import collections
import os
import pathlib
import subprocess
import time

from .mailweir import BINARY, PLAIN_RULES, ROOT, SLOWNESS
from .ports import eventually, free_port, listens
from .promise import Mail, could_be_admitted, match, most_within


def program(name):
    """One of bench/: built beside the binary under test, or else by the release or debug build."""
    for folder in (BINARY.parent / "bench", ROOT / "build/release/bench", ROOT / "build/debug/bench"):
        if (folder / name).exists():
            return str(folder / name)
    raise AssertionError("there is no bench/%s; `ninja -C build/release bench` makes it" % name)


# One user's pace is what the crowds press on. The other five are far away, but each mail is charged to all six, on
# six counters of five entities.
SIX_LIMITS = PLAIN_RULES.replace("{", "{{").replace("}", "}}") + """
limit pace   per user          count messages   {{ {limit}/{period}s }}
limit day    per user          count recipients {{ 10000000/1d }}
limit volume per client        count bytes      {{ 1000000M/1h }}
limit from   per sender        count messages   {{ 10000000/1h }}
limit domain per sender.domain count recipients {{ 10000000/2h }}
limit all    per global        count messages   {{ 10000000/1d }}
"""
DAY = 86400
GREEDY, MODEST = "greedy@example.org", "modest@example.org"
USERS = {GREEDY: "secret", MODEST: "secret", "other@example.org": "secret"}


class Sink:
    """The MTA behind: takes everything, and writes down when."""

    def __init__(self, directory, prefix=()):
        self.port, self.log = free_port(), pathlib.Path(directory) / "taken"
        self.process = subprocess.Popen([*prefix, program("sink"), "--port", str(self.port), "--log", str(self.log)],
                                        stdin=subprocess.DEVNULL)
        if not prefix:
            eventually(lambda: listens(self.port), 10, "the sink listens")

    def taken(self):
        """(mail, when) of each, in seconds."""
        found = []
        for line in self.log.read_text().splitlines():
            mail, moment = line.split("\t")
            if mail:  # what a test sends by hand has no number
                found.append((int(mail), int(moment) / 1e6))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Crowds:
    """One process of bench/greedy: lines of --crowd as (name, words)."""

    def __init__(self, record, crowds, seconds, first_mail=1, prefix=()):
        self.record, self.seconds = pathlib.Path(record), seconds
        words = [w for name, text in crowds for w in ("--crowd", "%s:%s" % (name, text))]
        self.process = subprocess.Popen([*prefix, program("greedy"), "--record", str(record), "--seconds", str(seconds),
                                         "--first-mail", str(first_mail), *words],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def is_running(self):
        return self.process.poll() is None

    def end(self):
        """Says that it is enough; mails under way come to their end. What was written down, as rows of words."""
        self.process.terminate()
        return self.wait(30)

    def wait(self, timeout=None):
        try:
            _, errors = self.process.communicate(timeout=timeout or self.seconds + 30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        assert self.process.returncode == 0, errors
        return [line.split("\t") for line in self.record.read_text(errors="replace").splitlines()]

    def kill(self):
        if self.is_running():
            self.process.kill()
            self.process.communicate()


class Report:
    """What came of it. mails: accepted ones, those included of which only the MTA knows (the client heard no reply).
    sums: crowd → what → how many."""

    def __init__(self, rows, taken, limit, period):
        self.limit, self.period = limit, period
        self.sums, self.refusals, self.losses, accepted, unknown = {}, [], [], [], {}
        for what, *row in rows:
            if what == "sum":
                self.sums[row[0]] = {name: int(n) for name, n in (word.split("=") for word in row[1:])}
            elif what == "accepted":
                accepted.append((self.node_of(row[1]), self.user_of(row[1]), int(row[0]), int(row[2]) / 1e6))
            elif what == "unknown":
                unknown[int(row[0])] = (self.node_of(row[1]), self.user_of(row[1]), int(row[0]), int(row[2]) / 1e6)
            elif what == "refused":
                self.refusals.append((self.user_of(row[1]), self.node_of(row[1]), int(row[2]) / 1e6, row[3], row[5]))
            else:
                self.losses.append((what, self.user_of(row[1]), self.node_of(row[1]), int(row[2]) / 1e6, *row[3:]))
        unheard = [unknown[mail] for mail in dict(taken) if mail in unknown]
        self.unheard = len(unheard)
        self.mails, self.lost, self.twice = match(accepted + unheard, taken)
        self.unaccounted = set(dict(taken)) - {m.mail for m in self.mails}

    @staticmethod
    def user_of(crowd):
        return crowd.rpartition("@")[0]

    @staticmethod
    def node_of(crowd):
        return int(crowd.rpartition("@")[2])

    def of(self, user):
        return [mail for mail in self.mails if mail.user == user]

    def sum(self, user, what):
        return sum(found[what] for crowd, found in self.sums.items() if self.user_of(crowd) == user)

    def worst(self, user):
        """The fullest window of a user."""
        return most_within(self.of(user), self.period)[0]

    def share(self, user):
        """What was admitted, of what could be."""
        mails = self.of(user)
        if not mails:
            return 0.0
        wall = time.time() - time.monotonic()
        first, last = min(m.began for m in mails) + wall, self.ended + wall
        return len(mails) / could_be_admitted(self.limit, self.period, first, last)

    def text(self, *users):
        lines = []
        for user in users or sorted({mail.user for mail in self.mails}):
            of = self.of(user)
            nodes = collections.Counter(m.node for m in of)
            lines.append("%s: %d accepted (%s), fullest %g s: %d of %d, share %.3f, refused %d, lost %d, unknown %d, slowest way %d ms" %
                         (user, len(of), " ".join("%d" % nodes[n] for n in sorted(nodes)), self.period, self.worst(user), self.limit,
                          self.share(user), self.sum(user, "refused"), self.sum(user, "lost"), self.sum(user, "unknown"),
                          1000 * max((m.ended - m.began for m in of), default=0)))
        return "\n".join(lines)


class Field:
    """shape: of redis_servers.py, started; None: the embedded store, which nodes do not share. options: of the store
    statement."""

    def __init__(self, start_mailweir, place, shape=None, nodes=None, workers=2, limit=100, period=8, rules=SIX_LIMITS, options="",
                 **mailweir_options):
        self.place, self.shape, self.limit, self.period = pathlib.Path(place), shape, limit, period
        self.rules, self.crowds, self.nodes = rules, [], []
        self.sink = Sink(self.place)
        try:
            for n in range(nodes or (4 if shape else 1)):
                node = start_mailweir(self.sink.port, run=False, workers=workers, listeners=("plain",), users=USERS,
                                      hostname="node%d.example.org" % n, rules=self.rules_text(),
                                      server="max-errors 10000\n" + self.store(options, n), **mailweir_options)
                self.nodes.append(node)
        except BaseException:
            self.stop()
            raise

    def store(self, options, node):
        """The store statement of a node; tests that give nodes different ways override it."""
        return self.shape.statement(options) if self.shape else "store memory\n"

    def rules_text(self, **changed):
        return self.rules.format(**dict({"limit": self.limit, "period": self.period}, **changed))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for node in self.nodes:
            if node.process is None:
                node.start(wait=False)
        for node in self.nodes:
            node.wait_event("start", timeout=15)
        return self

    def stop(self):
        for crowd in self.crowds:
            crowd.kill()
        self.sink.stop()

    def crowd_words(self, node, clients, user, accepted, refused):
        return ("%s@%d" % (user, node), "server=127.0.0.1:%d,clients=%d,user=%s,password=%s,accepted=%s,refused=%s" %
                (self.nodes[node].plain, clients, user, USERS[user], accepted, refused))

    def greedy(self, clients=50, refused="20-60", nodes=None):
        """At each node so many clients of one user, who stop at nothing."""
        return [self.crowd_words(n, clients, GREEDY, "0-0", refused) for n in self.numbers(nodes)]

    def modest(self, pause="1000-1400", nodes=None, user=MODEST):
        """At each node one client, whose mails altogether stay within half of the limit, and at each node within half of
        what its share of the limit would be."""
        return [self.crowd_words(n, 1, user, pause, pause) for n in self.numbers(nodes)]

    def numbers(self, nodes):
        return range(len(self.nodes)) if nodes is None else nodes

    def begin(self, crowds, seconds):
        crowd = Crowds(self.place / ("record%d" % len(self.crowds)), crowds, seconds, first_mail=1 + len(self.crowds) * 10**9)
        self.crowds.append(crowd)
        return crowd

    def report(self, ended=None):
        """Waits for all crowds; what came of everything so far."""
        ended = ended or time.monotonic()
        rows = [row for crowd in self.crowds for row in crowd.wait()]
        report = Report(rows, self.sink.taken(), self.limit, self.period)
        report.ended = ended
        return report

    def run(self, crowds, seconds, during=None):
        """Lets the crowds press for so long; `during` is called meanwhile, with the moment at which they began."""
        began, crowd = time.monotonic(), self.begin(crowds, seconds)
        if during:
            during(began)
            assert crowd.is_running(), "what was to happen meanwhile took longer than the crowds had"
        crowd.wait()
        return self.report(began + seconds)

    def windows(self, count):
        """Seconds in which the limit can be used up so many times, with a moment to spare: strict slots free it after 17
        of 16, and what comes free within the last two slots may not be seen any more."""
        return int(-(-self.period * (17 * (count - 1) + 4) // 16)) + 1

    def counted(self, user):
        """The messages and recipients that the store has counted for a user on the counter of a day."""
        if self.shape:
            messages, recipients, _ = self.shape.counts_of("u:" + user, DAY)
            return messages, recipients
        used = [row["used"] for event in self.nodes[0].events("mail", verdict="accept", user=user)
                for row in event["limits"] if row["name"] == "day"]
        return (max(used, default=0),) * 2

    def assert_settled(self, user, count):
        """Counters come to be what was accepted: no less, no more."""
        eventually(lambda: self.counted(user) == (count, count), 5 * SLOWNESS,
                   "%s is counted as %s, and %d mails were accepted" % (user, self.counted(user), count), pause=0.1)


def slow_answers(node, longer_than_ms):
    """Mails of a node for which it waited longer than that for its store."""
    return [event for event in node.events("mail") if event.get("ms", {}).get("store", 0) > longer_than_ms]


def long_run():
    """Are the long variants asked for?"""
    return os.environ.get("MAILWEIR_LONG") == "1"

"""A field of nodes that share a store, crowds that want more than its limits allow, and what came of it.

    crowds (bench/greedy) ─▶ nodes (mailweir, several workers each) ─▶ MTA (bench/sink)
                                  └──▶ store: memory, or a shape of redis_servers.py

All times are of the monotonic clock, so what different nodes admitted can be compared (promise.py).
"""
import collections
import datetime
import json
import pathlib
import subprocess
import time

from .mailweir import BINARY, PLAIN_RULES, ROOT, SLOWNESS, run
from .ports import eventually, free_port
from .promise import could_be_admitted, match, most_within


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

    def __init__(self, log, prefix=()):
        self.port, self.log = free_port(), pathlib.Path(log)
        self.process = subprocess.Popen([*prefix, program("sink"), "--port", str(self.port), "--log", str(self.log)],
                                        stdin=subprocess.DEVNULL)
        eventually(self._listens, 10, "the sink listens")

    def _listens(self):
        """As its own network namespace sees it."""
        sockets = pathlib.Path("/proc/%d/net/tcp" % self.process.pid).read_text().splitlines()[1:]
        return any(int(fields[1].split(":")[1], 16) == self.port and fields[3] == "0A" for fields in map(str.split, sockets))

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

    def wait(self):
        """What was written down, as rows of words."""
        try:
            _, errors = self.process.communicate(timeout=self.seconds + 30)
        except subprocess.TimeoutExpired:
            self.kill()
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

    def __init__(self, rows, taken, limit, period, ended):
        self.limit, self.period, self.ended = limit, period, ended
        self.began = min((mail for _, mail in taken), default=ended)
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

    def refused(self, user):
        """What mailweir would not take from a user. A farewell that meets a command on its way, of a worker that retires
        after a reload, is none: the mail is welcome at the next one. Of each crowd the first thousand are written down."""
        return [refusal for refusal in self.refusals if refusal[0] == user and not refusal[-1].startswith("421 4.3.2")]

    def worst(self, user, within=None):
        """The fullest window of a user, or the fullest so many seconds."""
        return most_within(self.of(user), within or self.period)[0]

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
            lines.append("    " + " ".join("%.1f:%d" % pair for pair in self.timeline(user)))
        return "\n".join(lines)

    def timeline(self, user):
        """(second since the crowds began, mails accepted in that half second)."""
        counts = collections.Counter(int((m.ended - self.began) * 2) / 2 for m in self.of(user))
        return sorted(counts.items())


class Site:
    """Where a node lives, if not beside all others. prefix: words before its commands, and those of its own crowds and MTA.
    way: its endpoint of a lone Redis. environment: of mailweir."""

    def __init__(self, prefix=(), way=None, environment=None):
        self.prefix, self.way, self.environment = list(prefix), way, environment


class Field:
    """shape: of redis_servers.py, started; None: the embedded store, which nodes do not share. options: of the store
    statement. sites: number of a node → its Site."""

    def __init__(self, start_mailweir, place, shape=None, nodes=None, workers=2, limit=100, period=8, rules=SIX_LIMITS, options="",
                 sites=None):
        self.place, self.shape, self.limit, self.period = pathlib.Path(place), shape, limit, period
        self.rules, self.options, self.sites, self.crowds, self.nodes, self.sinks = rules, options, sites or {}, [], [], []
        try:
            main = self.add_sink()
            for n in range(nodes or (4 if shape else 1)):
                site = self.site(n)
                sink = self.add_sink(site.prefix) if site.prefix else main
                node = start_mailweir(sink.port, run=False, workers=workers, listeners=("plain",), users=USERS,
                                      hostname="node%d.example.org" % n, rules=self.rules_text(),
                                      server="max-errors 10000\n" + self.store(site))
                node.prefix = site.prefix
                self.nodes.append(node)
        except BaseException:
            self.stop()
            raise

    def site(self, node):
        return self.sites.get(node, Site())

    def add_sink(self, prefix=()):
        self.sinks.append(Sink(self.place / ("taken%d" % len(self.sinks)), prefix))
        return self.sinks[-1]

    def store(self, site):
        """A node's store statement."""
        return self.shape.statement(self.options, site.way) if self.shape else "store memory\n"

    def rules_text(self, **changed):
        return self.rules.format(**dict({"limit": self.limit, "period": self.period}, **changed))

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        """Nodes end before their store does, as they would be told to."""
        try:
            if failure is None:
                for node in self.nodes:
                    code = node.stop()
                    assert code in (0, None), "mailweir ended with %s\n%s" % (code, node.stderr())
        finally:
            self.stop()

    def start(self):
        for node in self.nodes:
            if node.process is None:
                node.start(wait=False, environment=self.site(self.nodes.index(node)).environment)
        for node in self.nodes:
            node.wait_event("start", timeout=30)
        if self.shape:
            self.wait_settled(10)
        return self

    def wait_settled(self, timeout):
        """Until every node believes what Redis says, and knows of all others."""
        def settled(node):
            done = run("status", "-c", node.config, "--json")
            status = json.loads(done.stdout) if done.returncode == 0 else {"store": {}}
            return (status["store"].get("state"), status["store"].get("nodes")) == ("ok", len(self.nodes))
        eventually(lambda: all(map(settled, self.nodes)), timeout * SLOWNESS, "all nodes count in Redis", pause=0.1)

    def stop(self):
        for crowd in self.crowds:
            crowd.kill()
        for sink in self.sinks:
            sink.stop()

    def crowd_words(self, node, clients, user, accepted, refused):
        return ("%s@%d" % (user, node), "server=127.0.0.1:%d,clients=%d,user=%s,password=%s,accepted=%s,refused=%s" %
                (self.nodes[node].plain, clients, user, USERS[user], accepted, refused))

    def greedy(self, clients=50, refused="20-60", nodes=None):
        """At each node so many clients of one user, who stop at nothing."""
        return [self.crowd_words(n, clients, GREEDY, "0-0", refused) for n in self.numbers(nodes)]

    def modest(self, nodes=None, user=MODEST):
        """At each node one client, whose mails altogether stay within a quarter of the limit, and at each node within a
        quarter of what its share of the limit would be."""
        pause = "%d-%d" % (250 * self.period, 350 * self.period)
        return [self.crowd_words(n, 1, user, pause, pause) for n in self.numbers(nodes)]

    def numbers(self, nodes):
        return range(len(self.nodes)) if nodes is None else nodes

    def begin(self, crowds, seconds):
        """Starts crowds, each where its node is."""
        places = {}
        for name, words in crowds:
            prefix = tuple(self.site(Report.node_of(name)).prefix)
            places.setdefault(prefix, []).append((name, words))
        begun = [Crowds(self.place / ("record%d" % (len(self.crowds) + n)), lines, seconds,
                        first_mail=1 + (len(self.crowds) + n) * 10**9, prefix=prefix)
                 for n, (prefix, lines) in enumerate(places.items())]
        self.crowds += begun
        return begun

    def report(self, ended):
        """Waits for all crowds; what came of everything so far. ended: when they stopped to press."""
        rows = [row for crowd in self.crowds for row in crowd.wait()]
        taken = [mail for sink in self.sinks for mail in sink.taken()]
        return Report(rows, taken, self.limit, self.period, ended)

    def run(self, crowds, seconds, during=None):
        """Lets the crowds press for so long; `during` is called meanwhile, with the moment at which they began."""
        began, begun = time.monotonic(), self.begin(crowds, seconds)
        if during:
            during(began)
            assert all(crowd.is_running() for crowd in begun), "what was to happen meanwhile took longer than the crowds had"
        report = self.report(began + seconds)
        report.began = began
        return report

    def text(self):
        """Who decided about the mails that were accepted, and what each node says of its store."""
        lines = []
        for number, node in enumerate(self.nodes):
            decided = collections.Counter(event["store"] for event in accepted(node))
            lines.append("node %d: %s" % (number, " ".join("%s %d" % pair for pair in sorted(decided.items()))))
            lines += ["    %s %s" % (event["time"][14:23], {k: v for k, v in event.items() if k not in ("time", "event", "node")})
                      for event in events_with(node, '"event":"store"')]
        return "\n".join(lines)

    def fullest(self, report, user):
        """Of a user's fullest window: how many mails each node admitted, and who decided."""
        since = most_within(report.of(user), self.period)[1]
        if since is None:
            return "no mail of %s" % user
        since += time.time() - time.monotonic()
        found = []
        for number, node in enumerate(self.nodes):
            there = [event for event in accepted(node) if event["user"] == user and 0 <= seconds_of(event) - since <= self.period]
            decided = collections.Counter(event["store"] for event in there)
            found += ["%s %d at node %d, %.3f to %.3f s" % (store, count, number, *(
                end(seconds_of(event) - since for event in there if event["store"] == store) for end in (min, max)))
                      for store, count in sorted(decided.items())]
        return "fullest window of %s: %s" % (user, "; ".join(found))

    def windows(self, count):
        """Seconds in which the limit can be used up so many times, with a moment to spare: strict slots free it after 17
        of 16, and what comes free within the last two slots may not be seen any more."""
        return int(-(-self.period * (17 * (count - 1) + 4) // 16)) + 1

    def counted(self, user):
        """The messages and recipients that the store has counted for a user on the counter of a day."""
        if self.shape:
            messages, recipients, _ = self.shape.counts_of("u:" + user, DAY)
            return messages, recipients
        used = [row["used"] for event in accepted(self.nodes[0]) if event["user"] == user
                for row in event["limits"] if row["name"] == "day"]
        return (max(used, default=0),) * 2

    def assert_settled(self, user, count):
        """Counters come to be what was accepted: no less, no more."""
        eventually(lambda: self.counted(user) == (count, count), 5 * SLOWNESS,
                   "%s is counted as %s, and %d mails were accepted" % (user, self.counted(user), count), pause=0.1)


def events_with(node, text):
    """Its events whose line has this text in it. A crowd has been refused a million times in a few minutes: these lines are
    not parsed, nor held."""
    with open(node.event_file, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if text in line]


def seconds_of(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def accepted(node):
    return [event for event in events_with(node, '"verdict":"accept"') if event["event"] == "mail"]


def assert_kept(report, limit, within=None):
    """What holds whatever happens. within: seconds that hold no more than the limit; a window, unless said otherwise."""
    assert report.worst(GREEDY, within) <= limit, report.text()
    assert not report.refused(MODEST), report.refused(MODEST)[:5]
    assert not report.lost, "answered 250, and not at the MTA: %s" % report.lost[:5]
    assert not report.twice and not report.unaccounted
    assert not [loss for loss in report.losses if loss[0] == "stuck"], report.losses[:5]


def waits(node, longer_than_ms):
    """Of each client (its port) of a node, how long it waited for the store, in milliseconds, where it was longer than
    that."""
    found = collections.defaultdict(list)
    for event in node.events("mail"):
        waited = event.get("ms", {}).get("store", 0)
        if waited > longer_than_ms:
            found[event["port"]].append(waited)
    return found

"""What six limits a mail cost Redis, beside the same six limits by a script in Redis; and what a mail waits for them.

A check is what LIMITS.md calls one: one counter, an entity's window, of one mail. Redis runs alone on this machine, from
Debian's package; bench/store.c asks it. Redis' CPU, commands and bytes are its own figures (INFO), less what the rest of
a run costs it: nothing. Rounds alternate, so that a busy machine is unfair to both. At the end the whole program
(added.py): mailweir before an MTA, with the store in Redis and with the embedded one.
"""
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/system"))

from harness.redis_servers import Alone  # noqa: E402

import added  # noqa: E402
from quiet import Pings, Stolen, at, least_disturbed  # noqa: E402

PROGRAM = HERE.parent / "build/release/bench/store"
ROUNDS, SECONDS, TRIES = 5, 3, 4
WAIT_ROUNDS = 15      # of which ROUNDS count: those that the host disturbed least
BATCHED = 200         # mails under way: so many share a write
A_SECOND = 100000     # checks, that one core of Redis must be able to answer
SHARE_OF_SCRIPT = 1 / 3
P50_US, P99_US = 300, 2000


class Mix:
    """is_bound: must it keep to a third of the script? That is the mail with six limits that LIMITS.md speaks of."""

    def __init__(self, name, title, checks, is_bound):
        self.name, self.title, self.checks, self.is_bound = name, title, checks, is_bound


USUAL = Mix("usual", "on three counters of two entities", 3, True)
APART = Mix("apart", "on six counters of five entities, the worst that six can be", 6, False)


class TooSlow(Exception):
    """The machine stood still for so long that mails were decided without Redis."""


class Run:
    """One run of bench/store: what it printed, and what Redis says that it cost."""

    def __init__(self, server, way, *options):
        port = ["--redis", "127.0.0.1:%d" % server.port] if server else []
        with subprocess.Popen([PROGRAM, way, *port, "--seconds", str(SECONDS), *map(str, options)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            if program.stdout.readline() != "ready\n":
                raise SystemExit("bench: " + program.communicate(timeout=10)[1])
            before, stolen, self.began_ns = self.cost(server), Stolen(), time.monotonic_ns()
            text, errors = program.communicate("go\n", timeout=60)
            after, self.stolen, self.ended_ns = self.cost(server), stolen.share(), time.monotonic_ns()
        if program.returncode != 0:
            raise SystemExit("bench: " + errors)
        values = dict(word.split("=") for word in text.split())
        self.mails, self.refused = int(values["mails"]), int(values["refused"])
        if int(values["alone"]):
            raise TooSlow()
        if self.refused:
            raise SystemExit("bench: %d of %d mails were refused" % (self.refused, self.mails))
        self.rate, self.own_us = self.mails / float(values["seconds"]), float(values["cpu_us"])
        self.p50_us, self.p99_us = int(values["p50_us"]), int(values["p99_us"])
        # Of the mails in whose time no processor was taken away; of all, where that is not known.
        self.undisturbed = int(values.get("undisturbed", 0)) / self.mails
        self.calm_p50_us = int(values.get("undisturbed_p50_us", self.p50_us))
        self.calm_p99_us = int(values.get("undisturbed_p99_us", self.p99_us))
        self.cpu_us, self.commands, self.bytes = ((b - a) / self.mails for a, b in zip(before, after))
        self.cpu_us *= 1e6

    @staticmethod
    def cost(server):
        """(CPU seconds, commands that came, bytes both ways) of Redis so far."""
        if not server:
            return 0, 0, 0
        stats = server.info("stats")
        return (server.cpu_seconds(), int(stats["total_commands_processed"]),
                int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"]))


def run(server, way, *options):
    """A run on an empty Redis."""
    for _ in range(TRIES):
        server.ask("FLUSHALL")
        try:
            return Run(server, way, *options)
        except TooSlow:
            pass
    raise SystemExit("bench: this machine is too busy: %d times Redis was not heard of for a second" % TRIES)


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)


def words(is_kept, bound):
    return "within %s" % bound if is_kept else "MORE THAN %s" % bound


def compare(server, mix):
    """Our cost beside the script's, of a mix of limits. True: the bounds are kept."""
    runs = {"redis": [], "script": []}
    for _ in range(ROUNDS):
        for way, found in runs.items():
            found.append(run(server, way, "--under-way", BATCHED, "--mix", mix.name))
    print("six limits a mail, %s: %d checks; %d mails under way, median of %d rounds" % (mix.title, mix.checks, BATCHED, ROUNDS))
    print("    %-8s %14s %12s %10s %12s %14s" % ("", "Redis CPU us", "commands", "bytes", "mails/s", "our CPU us"))
    for way, found in runs.items():
        print("    %-8s %14.2f %12.2f %10.0f %12.0f %14.2f" %
              (way, *(median(found, name) for name in ("cpu_us", "commands", "bytes", "rate", "own_us"))))
    # Round by round: what disturbed one of them disturbed its neighbour too.
    share = statistics.median(own.cpu_us / peer.cpu_us for own, peer in zip(*runs.values()))
    cores = median(runs["redis"], "cpu_us") * A_SECOND / 1e6
    print("    Redis CPU of a mail: %.2f of the script's%s" % (share, ", " + words(share <= SHARE_OF_SCRIPT, "1/3") if mix.is_bound else ""))
    print("    %d checks a second take %.2f cores of Redis, %s; as many mails %.2f" %
          (A_SECOND, cores / mix.checks, words(cores / mix.checks <= 1, "1"), cores))
    sys.stdout.flush()
    return (share <= SHARE_OF_SCRIPT or not mix.is_bound) and cores / mix.checks <= 1


def wait(server):
    """What a mail waits at half load. True: the bounds are kept."""
    rate = A_SECOND // 2 // USUAL.checks
    runs = []
    for _ in range(WAIT_ROUNDS):
        with Pings(server.port) as pings:
            runs.append(run(server, "redis", "--under-way", 2000, "--rate", rate))
        runs[-1].pings = pings.between(runs[-1].began_ns, runs[-1].ended_ns)
    quiet = least_disturbed(runs, ROUNDS)
    p50, p99 = median(quiet, "calm_p50_us"), median(quiet, "calm_p99_us")
    print("a mail waits for Redis, at half load (%d checks a second, %d mails)" % (A_SECOND // 2, rate))
    print("    half of them at most %d us, %s; 99 of 100 at most %d us, %s" %
          (p50, words(p50 <= P50_US, P50_US), p99, words(p99 <= P99_US, P99_US)))
    if all(run.undisturbed for run in quiet):
        print("    of the %.1f %% of mails in whose time no processor was taken away; of all of them: %d us, %d us" %
              (100 * median(quiet, "undisturbed"), median(quiet, "p50_us"), median(quiet, "p99_us")))
    else:
        print("    whether a processor was taken away in their time is not known: that needs CAP_SYS_NICE")
    print("    beside it, in the same seconds, a bare PING: %d us, %d us" %
          tuple(statistics.median(at(run.pings, share) for run in quiet) for share in (50, 99)))
    print_disturbance(runs, quiet, (median(runs, "p50_us"), median(runs, "p99_us")))
    nothing = Run(None, "nothing", "--under-way", 2000, "--rate", rate)
    print("    our CPU of a mail: %.1f us; where no store is asked %.1f us, which is what the measurement takes:" %
          (median(quiet, "own_us"), nothing.own_us))
    print("    it begins half of the mails at most %d us late, 99 of 100 at most %d us" % (nothing.p50_us, nothing.p99_us))
    memory = Run(None, "memory", "--under-way", 1)
    print("    with the embedded store: %.2f us of our CPU, and nobody waits" % memory.own_us)
    sys.stdout.flush()
    return p50 <= P50_US and p99 <= P99_US


def print_disturbance(runs, quiet, waits):
    """waits: p50 and p99 over all runs."""
    print("    in the %d of %d rounds that the host disturbed least (it took %.1f %% of the processors); in all of them: %d us, %d us (%.1f %%)"
          % (len(quiet), len(runs), 100 * median(quiet, "stolen"), *waits, 100 * median(runs, "stolen")))


def wait_in_whole():
    """The same of the whole program. True: the bounds are kept."""
    found = added.measure(WAIT_ROUNDS, ROUNDS)
    print("a mail waits in mailweir, with six limits, at half of the mails that this machine can do (%d a second)" % found.rate)
    print("    for Redis: half of them at most %d us, %s; 99 of 100 at most %d us, %s" %
          (found.store_p50_us, words(found.store_p50_us <= P50_US, P50_US),
           found.store_p99_us, words(found.store_p99_us <= P99_US, P99_US)))
    print("    from MAIL to the last 250: %d us and %d us, %+d us and %+d us more than with the embedded store" %
          (found.redis_p50_us, found.redis_p99_us, found.added_p50_us, found.added_p99_us))
    return found.store_p50_us <= P50_US and found.store_p99_us <= P99_US


def main():
    with tempfile.TemporaryDirectory(prefix="mailweir-bench-") as place, Alone(pathlib.Path(place) / "redis", acl=None) as alone:
        kept = [compare(alone.server, USUAL), compare(alone.server, APART), wait(alone.server)]
    kept.append(wait_in_whole())
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What six limits a mail cost Redis, beside the same six limits by a script in Redis; and what a mail waits for them.

Redis runs alone on this machine, from Debian's package; bench/store.c asks it. Redis' CPU, commands and bytes are its own
figures (INFO), less what the rest of a run costs it: nothing. Rounds alternate, so that a busy machine is unfair to both.
"""
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/system"))

from harness.redis_servers import Alone  # noqa: E402

PROGRAM = HERE.parent / "build/release/bench/store"
ROUNDS, SECONDS = 5, 3
BATCHED = 200         # mails under way: so many share a write
CHECKS = 100000       # a second, that one core of Redis must be able to answer
SHARE_OF_SCRIPT = 1 / 3
P50_US, P99_US = 300, 2000
MIXES = {"usual": "on three counters of two entities", "apart": "on six counters of five entities"}


class Run:
    """One run of bench/store: what it printed, and what Redis says that it cost."""

    def __init__(self, server, way, *options):
        port = ["--redis", "127.0.0.1:%d" % server.port] if server else []
        with subprocess.Popen([PROGRAM, way, *port, "--seconds", str(SECONDS), *map(str, options)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            if program.stdout.readline() != "ready\n":
                raise SystemExit("bench: " + program.communicate(timeout=10)[1])
            before = self.cost(server)
            text, errors = program.communicate("go\n", timeout=60)
            after = self.cost(server)
        if program.returncode != 0:
            raise SystemExit("bench: " + errors)
        values = dict(word.split("=") for word in text.split())
        self.mails, self.refused = int(values["mails"]), int(values["refused"])
        if self.refused:
            raise SystemExit("bench: %d of %d mails were refused" % (self.refused, self.mails))
        self.rate, self.own_us = self.mails / float(values["seconds"]), float(values["cpu_us"])
        self.p50_us, self.p99_us = int(values["p50_us"]), int(values["p99_us"])
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


def median(runs, name):
    return statistics.median(getattr(run, name) for run in runs)


def words(is_kept, bound):
    return "within %s" % bound if is_kept else "MORE THAN %s" % bound


def compare(server, mix):
    """Our cost beside the script's, of a mix of limits. True: the bounds are kept."""
    runs = {"redis": [], "script": []}
    for _ in range(ROUNDS):
        for way, found in runs.items():
            server.ask("FLUSHALL")
            found.append(Run(server, way, "--under-way", BATCHED, "--mix", mix))
    print("six limits a mail, %s; %d mails under way, median of %d rounds" % (MIXES[mix], BATCHED, ROUNDS))
    print("    %-8s %14s %12s %10s %12s %14s" % ("", "Redis CPU us", "commands", "bytes", "mails/s", "our CPU us"))
    for way, found in runs.items():
        print("    %-8s %14.2f %12.2f %10.0f %12.0f %14.2f" %
              (way, *(median(found, name) for name in ("cpu_us", "commands", "bytes", "rate", "own_us"))))
    # Round by round: what disturbed one of them disturbed its neighbour too.
    share = statistics.median(own.cpu_us / peer.cpu_us for own, peer in zip(*runs.values()))
    cores = median(runs["redis"], "cpu_us") * CHECKS / 1e6
    print("    Redis CPU of a mail: %.2f of the script's, %s" % (share, words(share <= SHARE_OF_SCRIPT, "1/3")))
    print("    %d mails a second take %.2f cores of Redis, %s" % (CHECKS, cores, words(cores <= 1, "1")))
    sys.stdout.flush()
    return share <= SHARE_OF_SCRIPT and cores <= 1, int(median(runs["redis"], "rate"))


def measure(server):
    """True: every bound is kept."""
    kept, rate = compare(server, "usual")
    kept &= compare(server, "apart")[0]
    server.ask("FLUSHALL")
    waits = [Run(server, "redis", "--under-way", 2000, "--rate", rate // 2) for _ in range(ROUNDS)]
    p50, p99 = median(waits, "p50_us"), median(waits, "p99_us")
    print("    a mail waits, at half load (%d mails/s): half of them at most %d us, %s; 99 of 100 at most %d us, %s" %
          (rate // 2, p50, words(p50 <= P50_US, P50_US), p99, words(p99 <= P99_US, P99_US)))
    memory = Run(None, "memory", "--under-way", 1)
    print("    beside it the embedded store: %.2f us of our CPU, and nobody waits" % memory.own_us)
    return kept and p50 <= P50_US and p99 <= P99_US


def main():
    with tempfile.TemporaryDirectory(prefix="mailweir-bench-") as place, Alone(pathlib.Path(place) / "redis", acl=None) as alone:
        return 0 if measure(alone.server) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Measures mailweir beside other front ends: CPU seconds per 10,000 mails, memory of idle connections.

All of them stand between the same load generator and the same MTA, on this machine, one after another, in several rounds
of which the median counts. CPU time is that of all the front end's processes, user and system, as the kernel counts it:
how long the run takes says more of the machine and of the load generator, and is printed for information only.
"""
import argparse
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/system"))

from harness.ports import eventually, free_port, listens, make_certificate  # noqa: E402

import peers  # noqa: E402
from processes import cpu_seconds, memory_bytes  # noqa: E402

PROGRAMS = HERE.parent / "build/release/bench"


class Failure(Exception):
    """A front end did not do what was asked of it."""


class Mode:
    def __init__(self, name, title, mails, bound, *options, tls=False):
        self.name, self.title, self.mails, self.bound, self.options, self.tls = name, title, mails, bound, options, tls


# bound: how much of HAProxy's CPU time mailweir may take at most.
MODES = (
    Mode("persistent", "many mails a connection, pipelined", 30000, 2.0, "--mode", "persistent"),
    Mode("single", "one mail a connection", 10000, 1.3, "--mode", "single"),
    Mode("tls", "one mail a TLS connection", 5000, 1.1, "--mode", "single", tls=True),
    Mode("resumed", "one mail a resumed TLS connection", 5000, None, "--mode", "single", "--resume", tls=True),
    Mode("large", "mails of 10 MB", 200, 1.5, "--mode", "persistent", "--size", str(10 << 20), "--connections", "10"),
)
IDLE = 10000
WARM_UP = 200
PER = 10000


class Sink:
    """The MTA behind: bench/sink.c."""

    def __init__(self):
        self.port, self.auth_port = free_port(), free_port()
        self.process = subprocess.Popen([PROGRAMS / "sink", "--port", str(self.port), "--auth-port", str(self.auth_port)],
                                        stdin=subprocess.DEVNULL)
        eventually(lambda: listens(self.port), 10, "the sink listens")

    def mails(self):
        """How many it has taken so far."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            client.sendall(b"HELP\r\nQUIT\r\n")
            text = b""
            while piece := client.recv(4096):
                text += piece
        return int(text.split(b"\r\n214 2.0.0 ")[1].split()[0])

    def stop(self):
        self.process.terminate()
        self.process.wait()


def send(port, login, mails, mode):
    """Sends mails; what bench/load says of it. Failure if a mail was not accepted."""
    command = [str(PROGRAMS / "load"), "--port", str(port), "--mails", str(mails), "--users", str(peers.USERS), "--password",
               peers.PASSWORD, *mode.options]
    if mode.tls:
        command.append("--tls")
    if not login:
        command.append("--no-login")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise Failure(done.stderr.strip())
    return dict(word.split("=") for word in done.stdout.split())


def measure(peer, sink, mode, mails):
    """(CPU seconds per PER mails, mails a second) of one run, after a short one that warms caches and pools up."""
    port = peer.tls if mode.tls else peer.plain
    send(port, peer.login, max(10, min(WARM_UP, mails // 5)), mode)
    before_mails, before = sink.mails(), cpu_seconds(peer.root())
    sent = send(port, peer.login, mails, mode)
    used, taken = cpu_seconds(peer.root()) - before, sink.mails() - before_mails
    if taken != mails:
        raise Failure("%d mails were accepted, but the MTA behind took %d" % (mails, taken))
    if "--resume" in mode.options and int(sent["resumed"]) < mails // 2:
        raise Failure("only %d of %d connections were resumed" % (int(sent["resumed"]), mails))
    return used * PER / mails, mails / float(sent["seconds"])


def measure_idle(peer, tls):
    """Bytes of resident memory that one idle connection costs, or why that is not known."""
    before = memory_bytes(peer.root())
    command = [str(PROGRAMS / "load"), "--mode", "idle", "--port", str(peer.tls if tls else peer.plain), "--connections",
               str(peer.idle), "--sources", "20"] + (["--tls"] if tls else [])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as crowd:
        if crowd.stdout.readline() != "ready\n":
            raise Failure(crowd.communicate(timeout=10)[1])
        after = memory_bytes(peer.root())
        crowd.communicate(timeout=60)
    return (after - before) / peer.idle


def openssl_share(certificate):
    done = subprocess.run([PROGRAMS / "tls_share", "--certificate", certificate[0], "--key", certificate[1]],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise SystemExit("bench: " + done.stderr)
    return int(done.stdout.split("=")[1])


def run_mode(mode, front_ends, sink, rounds, mails):
    """Name of the front end → list of (CPU seconds, mails a second), or the Failure."""
    results = {peer.name: [] for peer in front_ends}
    for _ in range(rounds):
        for peer in front_ends:
            if isinstance(results[peer.name], Failure):
                continue
            try:
                results[peer.name].append(measure(peer, sink, mode, max(10, mails // peer.slowness)))
            except Failure as failure:
                results[peer.name] = failure
    return results


def print_mode(mode, results, rounds, mails):
    print("\n%s (%d mails, %s)" % (mode.title, mails, "1 round" if rounds == 1 else "median of %d rounds" % rounds))
    base = results.get(peers.Haproxy.name)
    for name, runs in results.items():
        if isinstance(runs, Failure):
            print("    %-9s n/a: %s" % (name, runs))
            continue
        cpu, rate = (statistics.median(column) for column in zip(*runs))
        # Round by round: what disturbed one of them disturbed its neighbour too.
        ratio = statistics.median(run[0] / beside[0] for run, beside in zip(runs, base)) if isinstance(base, list) else None
        spread = "%.2f-%.2f" % (min(cpu for cpu, _ in runs), max(cpu for cpu, _ in runs))
        words = "%6.2f x HAProxy" % ratio if ratio else ""
        if name == peers.Mailweir.name and mode.bound and ratio:
            words += "   %s %g" % ("within" if ratio <= mode.bound else "MORE THAN", mode.bound)
        print("    %-9s %8.3f CPU s  (%s)  %8.0f mails/s %s" % (name, cpu, spread, rate, words))
    sys.stdout.flush()


def print_idle(front_ends, certificate):
    print("\nidle connections, after EHLO: resident memory of one")
    for peer in front_ends:
        for tls in (False, True):
            label = "    %-9s %-6s" % (peer.name, "TLS" if tls else "plain")
            if not peer.idle:
                print(label, "n/a: it gives every connection a process")
                break
            try:
                print("%s %8.0f bytes  (of %d)" % (label, measure_idle(peer, tls), peer.idle))
            except Failure as failure:
                print(label, "n/a: %s" % failure)
    print("    OpenSSL's own share of a TLS connection: %d bytes" % openssl_share(certificate))
    sys.stdout.flush()


def options():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of a fifth of the mails")
    parser.add_argument("--only", metavar="MODE", action="append", choices=[mode.name for mode in MODES] + ["idle"],
                        help="this part only (may be given several times): " + ", ".join(mode.name for mode in MODES) + ", idle")
    parser.add_argument("--peer", metavar="NAME", action="append", choices=[peer.name.lower() for peer in peers.ALL],
                        help="this front end only (may be given several times): " + ", ".join(peer.name.lower() for peer in peers.ALL))
    parser.add_argument("--mails", type=int, metavar="N", help="so many mails a run, instead of what suits the mode")
    parser.add_argument("--rounds", type=int, metavar="N", default=3, help="of each measurement (3)")
    chosen = parser.parse_args()
    if chosen.rounds < 1 or (chosen.mails is not None and chosen.mails < 10):
        parser.error("at least one round, at least 10 mails")
    return chosen


def main():
    chosen = options()
    rounds = 1 if chosen.quick else chosen.rounds
    # Whoever stops us gets everything stopped: the exception runs through every `finally`.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(1))
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailweir-bench-"))
    place.chmod(0o755)
    started = []
    try:
        certificate = make_certificate(str(place), "bench.example.org")
        sink = Sink()
        started.append(sink)
        front_ends = []
        print("CPU seconds per %d mails; the message has 5 KB where nothing else is said" % PER)
        for kind in peers.ALL:
            if chosen.peer and kind.name.lower() not in chosen.peer:
                continue
            room = place / kind.name
            room.mkdir()
            peer = kind(room, sink, certificate)
            started.append(peer)
            peer.start()
            front_ends.append(peer)
            print("    %-9s %s" % (peer.name, peer.what))
        sys.stdout.flush()
        # Memory first: what a crowd of mails leaves in an allocator would hide what a connection costs.
        if not chosen.only or "idle" in chosen.only:
            print_idle(front_ends, certificate)
        for mode in MODES:
            if not chosen.only or mode.name in chosen.only:
                mails = chosen.mails or (mode.mails // 5 if chosen.quick else mode.mails)
                print_mode(mode, run_mode(mode, front_ends, sink, rounds, mails), rounds, mails)
    finally:
        for one in reversed(started):
            one.stop()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()

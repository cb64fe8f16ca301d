"""How far a machine was left alone while something was measured.

A virtual machine's processors are taken away from it now and then, for milliseconds (`steal` in /proc/stat): what 99 of 100
mails wait is then the host's doing. So more rounds are run than are needed, and those count that were disturbed least; what
all of them say is printed as well. And beside the mails somebody asks as little as can be asked: what a bare PING takes in
the same seconds, on the same processors.
"""
import socket
import threading
import time

STEAL = 8  # its column in /proc/stat, the name being 0
PING_PAUSE_S = 0.002


class Stolen:
    """The share of the processors' time that the host gave to others, since this was made."""

    def __init__(self):
        self.before = self._ticks()

    @staticmethod
    def _ticks():
        with open("/proc/stat") as file:
            columns = file.readline().split()
        return int(columns[STEAL]), sum(map(int, columns[1:STEAL + 1]))

    def share(self):
        stolen, total = (b - a for a, b in zip(self.before, self._ticks()))
        return stolen / max(total, 1)


def least_disturbed(runs, count):
    """Of runs, each with what was stolen from it."""
    return sorted(runs, key=lambda run: run.stolen)[:count]


class Pings:
    """PINGs one after another, in a thread, until this is left."""

    def __init__(self, port):
        self.port, self.took = port, []  # (when it began, how long it took), nanoseconds
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def _ask(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as redis:
            redis.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self.is_over.wait(PING_PAUSE_S):
                began = time.monotonic_ns()
                redis.sendall(b"PING\r\n")
                redis.recv(100)
                self.took.append((began, time.monotonic_ns() - began))

    def between(self, began_ns, ended_ns):
        """How long those took that began in between: microseconds, the shortest first."""
        return sorted(took // 1000 for began, took in self.took if began_ns <= began < ended_ns)


def at(waits, share):
    """What share of 100 took at most, of waits in order."""
    return waits[len(waits) * share // 100]

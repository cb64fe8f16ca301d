"""A machine of its own for one node, which can be cut off: a network namespace with a cable, or, where the kernel does not
let us make one, a relay in between."""
import itertools
import os
import subprocess

from .redis_servers import Relay

_numbers = itertools.count()


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


def is_allowed():
    """May network namespaces be made here?"""
    name = "mailweir-probe-%d" % os.getpid()
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    ip("netns", "del", name)
    return True


class Namespace:
    """A network namespace whose only way out is a cable to `gateway`, an address of ours. Programs run in it by the words of
    `prefix` before theirs; 127.0.0.1 is its own."""

    def __init__(self):
        # Other test processes make theirs, too. The network is one of those that are set aside for measurements
        # (RFC 2544), so that it is nobody's.
        self.number = os.getpid() * 4 + next(_numbers) % 4
        self.name, self.outer, self.inner = "mailweir-%d" % self.number, "mw%da" % self.number, "mw%db" % self.number
        host = (self.number & 0x7fff) * 4
        network = "198.%d.%d." % (18 + (host >> 16), host >> 8 & 255)
        host &= 255
        self.gateway, self.address = network + str(host + 1), network + str(host + 2)
        self.prefix = ["ip", "netns", "exec", self.name]

    def __enter__(self):
        try:
            ip("netns", "add", self.name)
            ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner, "netns", self.name)
            ip("address", "add", self.gateway + "/30", "dev", self.outer)
            ip("link", "set", self.outer, "up")
            for words in (("link", "set", "lo", "up"), ("address", "add", self.address + "/30", "dev", self.inner),
                          ("link", "set", self.inner, "up")):
                ip("-n", self.name, *words)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for words in (("link", "del", self.outer), ("netns", "del", self.name)):
            subprocess.run(["ip", *words], capture_output=True, timeout=20, check=False)

    def cut(self):
        ip("link", "set", self.outer, "down")

    def heal(self):
        ip("link", "set", self.outer, "up")

    def way_to(self, port):
        """Where a server of ours, which listens on `gateway` too, is seen from inside."""
        return "%s:%d" % (self.gateway, port)


class Behind:
    """The stand-in: the node runs beside us, and only its way to one server can be cut."""

    gateway, prefix, relay = "127.0.0.1", [], None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.relay:
            self.relay.__exit__()

    def cut(self):
        self.relay.silence()

    def heal(self):
        self.relay.heal()

    def way_to(self, port):
        self.relay = Relay(port)
        return "127.0.0.1:%d" % self.relay.port


def elsewhere():
    return Namespace() if is_allowed() else Behind()

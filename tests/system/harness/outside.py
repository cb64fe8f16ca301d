"""What mailweir asks outside: a network of the test's own, DNS in it, a file of countries, a socketmap server.

Lists of DNS are asked about strangers' addresses only, never about 127.0.0.1, and by the servers of /etc/resolv.conf.
So the test process gets a network namespace in which 192.0.2.0/24 (RFC 5737) lies on the loopback interface and port 53
is free, and mailweir a mount namespace in which /etc/resolv.conf names the DNS there. Nothing leaves the machine.
"""
import contextlib
import ctypes
import os
import pathlib
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
import time

from .ports import eventually

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def reason_for_none():
    """Why there can be no network of our own; None: there can."""
    if os.geteuid() != 0:
        return "only root can make a network namespace"
    missing = [name for name in ("ip", "unshare", "dnsmasq") if not shutil.which(name)]
    return "not installed: " + ", ".join(missing) if missing else None


@contextlib.contextmanager
def own_network():
    """This thread, and the processes and threads it starts meanwhile, have a network to themselves."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _checked(_libc.unshare(CLONE_NEWNET))
        try:
            for words in ("link set lo up", "addr add 192.0.2.1/24 dev lo"):
                subprocess.run(["ip"] + words.split(), check=True, timeout=10)
            yield
        finally:
            _checked(_libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


def with_resolv_conf(path):
    """Words before a command that let it see this file as /etc/resolv.conf."""
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(path)]


class _Odd(socketserver.BaseRequestHandler):
    """Says SERVFAIL about broken.test, and nothing at all about the rest."""

    def handle(self):
        question, server = self.request
        if b"\6broken\4test" in question:
            server.sendto(question[:2] + b"\x81\x82" + question[4:], self.client_address)


class Dns:
    """dnsmasq at port 53: reverse names, and the lists listed.test, silent.test (no answer), broken.test (SERVFAIL)."""

    def __init__(self, directory, *options):
        self.directory, self.options = pathlib.Path(directory), options
        self.log = self.directory / "dns.log"
        self.resolv_conf = self.directory / "resolv.conf"

    def __enter__(self):
        self.odd = socketserver.UDPServer(("127.0.0.1", 5399), _Odd)
        threading.Thread(target=self.odd.serve_forever, args=(0.05,), daemon=True).start()
        self.resolv_conf.write_text("nameserver 127.0.0.1\n")
        self.resolv_conf.chmod(0o644)
        self.log.touch()
        self.process = subprocess.Popen(
            ["dnsmasq", "-k", "-C", "/dev/null", "--port=53", "--listen-address=127.0.0.1", "--bind-interfaces",
             "--no-resolv", "--no-hosts", "--user=root", "--local-ttl=600", "--pid-file", "--log-queries", "--log-facility=%s" % self.log,
             "--local=/test/", "--local=/2.0.192.in-addr.arpa/", "--local=/127.in-addr.arpa/",
             "--server=/silent.test/127.0.0.1#5399", "--server=/broken.test/127.0.0.1#5399"] + list(self.options),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually(self._answers, 10, "dnsmasq answers")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.odd.shutdown()
        self.odd.server_close()

    @staticmethod
    def _answers():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.5)
            try:
                probe.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\4none\4test\0\0\1\0\1", ("127.0.0.1", 53))
                return probe.recv(512)
            except OSError:
                return None

    def asked(self, name):
        """How often this name was asked for."""
        return sum(("] %s from " % name) in line for line in self.log.read_text().splitlines())


def write_mmdb(path, network, prefix, country, asn):
    """A MaxMind DB file that knows one IPv4 network. https://maxmind.github.io/MaxMind-DB/"""
    def text(value):
        return bytes([2 << 5 | len(value)]) + value.encode()

    def number(kind, value, size):
        head = bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])
        return head + value.to_bytes(size, "big")

    def table(*pairs):
        return bytes([7 << 5 | len(pairs)]) + b"".join(text(name) + value for name, value in pairs)

    bits = int.from_bytes(socket.inet_aton(network), "big")
    tree = b""
    for depth in range(prefix):
        ahead = depth + 1 if depth + 1 < prefix else prefix + 16
        one = bits >> (31 - depth) & 1
        records = [prefix, ahead] if one else [ahead, prefix]
        tree += b"".join(record.to_bytes(3, "big") for record in records)
    data = table(("country", table(("iso_code", text(country)))), ("autonomous_system_number", number(6, asn, 4)))
    about = table(("node_count", number(6, prefix, 4)), ("record_size", number(5, 24, 2)), ("ip_version", number(5, 4, 2)),
                  ("database_type", text("Test-Country")), ("languages", bytes([0, 4])),
                  ("binary_format_major_version", number(5, 2, 2)), ("binary_format_minor_version", number(5, 0, 2)),
                  ("build_epoch", number(9, 1700000000, 8)), ("description", table(("en", text("test")))))
    path = pathlib.Path(path)
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + about)
    path.chmod(0o644)
    return path


class SocketmapServer:
    """Answers "MAP KEY" by `answer(map, key)`: the reply, None for silence, bytes to be sent as they are."""

    def __init__(self, answer, port=0):
        self.answer, self.asked, self.accepted = answer, [], 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """As a server that is gone: it listens no more, and what was open is closed."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections = []

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while True:
                length = b""
                while (byte := stream.read(1)) and byte != b":":
                    length += byte
                if not byte:
                    return
                name, _, key = stream.read(int(length)).decode().partition(" ")
                assert stream.read(1) == b","
                self.asked.append((name, key))
                reply = self.answer(name, key)
                if isinstance(reply, bytes):
                    connection.sendall(reply)
                elif reply is not None:
                    connection.sendall(b"%d:%s," % (len(reply), reply.encode()))

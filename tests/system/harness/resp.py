"""A small client of Redis for the tests themselves: one question, one answer, over a unix socket or TCP."""
import socket


class RedisError(Exception):
    """An error reply: its text."""


class Redis:
    """address: a path, or (host, port). user, password: None asks nobody's leave."""

    def __init__(self, address, user=None, password=None, timeout=5.0):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
            self.stream = self.socket.makefile("rb")
            if password is not None:
                self("AUTH", user, password)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def __call__(self, *words):
        """Sends a command; its reply: text, a number, None, or a list of these. RedisError for an error."""
        return self.many([words])[0]

    def many(self, commands):
        """All commands in one write; their replies. The first error is raised when all replies are read."""
        self.socket.sendall(b"".join(encode(words) for words in commands))
        replies = [self._read() for _ in commands]
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    def _read(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest)
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            data = self.stream.read(size + 2)
            if len(data) != size + 2:
                raise ConnectionError("Redis closed the connection")
            return data[:-2].decode("utf-8", "surrogateescape")
        assert kind == b"*", line
        return [self._read() for _ in range(size)]


def encode(words):
    parts = [w.encode("utf-8", "surrogateescape") if isinstance(w, str) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)

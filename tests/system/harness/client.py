"""An SMTP client that sends any bytes in any split, and reads replies as strictly as RFC 5321 writes them."""
import base64
import re
import socket
import ssl
import time

LINE = re.compile(rb"([2-5][0-9][0-9])([ -])([^\r\n]*)\r\n\Z")
ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z)")


class Closed(Exception):
    """The server closed the connection where a reply was awaited."""


class Reply:
    """One reply: code, enhanced ("" if it has none), lines (text without codes), raw bytes."""

    def __init__(self, raw_lines):
        self.raw = b"".join(raw_lines)
        codes, self.lines, enhanced = set(), [], set()
        for number, raw in enumerate(raw_lines):
            match = LINE.match(raw)
            if not match:
                raise AssertionError("not a line of a reply: %r" % raw)
            if (match.group(2) == b" ") != (number == len(raw_lines) - 1):
                raise AssertionError("continued where it ends: %r" % self.raw)
            codes.add(int(match.group(1)))
            text = match.group(3).decode("utf-8")
            found = ENHANCED.match(text)
            enhanced.add(found.group(1) if found else "")
            self.lines.append(text[found.end():] if found else text)
        if len(codes) != 1 or len(enhanced) != 1:
            raise AssertionError("different codes in one reply: %r" % self.raw)
        self.code, self.enhanced = codes.pop(), enhanced.pop()
        self.text = "\n".join(self.lines)
        if self.enhanced and self.enhanced[0] != str(self.code)[0]:
            raise AssertionError("the enhanced code does not fit: %r" % self.raw)

    @property
    def both(self):
        return ("%d %s" % (self.code, self.enhanced)).strip()

    def __repr__(self):
        return "Reply(%r)" % self.raw


def insecure_context(minimum=None, maximum=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    return context


class Client:
    """A connection. split: None sends what is given at once, N in pieces of N bytes with a moment between them."""

    def __init__(self, port, implicit_tls=False, timeout=20, split=None, source=None, context=None):
        self.split, self.buffer, self.log = split, b"", []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.context = context
        if implicit_tls:
            self.handshake()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes at once, without QUIT."""
        self.socket.close()

    def abort(self):
        """Closes with a reset, as a machine that went away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def handshake(self):
        self.socket = (self.context or insecure_context()).wrap_socket(self.socket, server_hostname="mail.example.org")

    def send(self, data, split=None):
        if isinstance(data, str):
            data = data.encode("utf-8")
        self.log.append(b"C: " + data[:200])
        split = split or self.split
        if not split:
            self.socket.sendall(data)
            return
        for at in range(0, len(data), split):
            self.socket.sendall(data[at:at + split])
            time.sleep(0.0003)

    def line(self):
        while b"\n" not in self.buffer:
            try:
                got = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLEOFError) as error:
                raise Closed("%s; so far: %r" % (error, self.log[-6:])) from error
            if not got:
                if self.buffer:
                    raise AssertionError("closed within a line: %r" % self.buffer)
                raise Closed("so far: %r" % self.log[-6:])
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.log.append(b"S: " + line)
        return line + b"\n"

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
            if len(lines) > 200:
                raise AssertionError("a reply without end")
        return Reply(lines)

    def command(self, text, split=None):
        self.send((text if isinstance(text, bytes) else text.encode("utf-8")) + b"\r\n", split)
        return self.reply()

    def expect(self, wanted, text):
        """Sends a line; its reply must begin with `wanted`, as "250" or "250 2.1.0"."""
        reply = self.command(text)
        assert reply.both.startswith(wanted), "%r: wanted %s, got %r" % (text, wanted, reply)
        return reply

    def is_closed(self, timeout=5):
        """Does the server close now, without another byte?"""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLEOFError):
            return True
        except (TimeoutError, socket.timeout):
            return False

    def is_silent(self, seconds=0.2):
        """Does the server neither speak nor close for that long?"""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self.buffer = self.socket.recv(1)
            return False
        except (TimeoutError, socket.timeout):
            return True
        except (ConnectionError, ssl.SSLEOFError):
            return False
        finally:
            self.socket.settimeout(before)

    # -- the steps of a session, each asserting its success

    def greet(self):
        reply = self.reply()
        assert reply.code == 220, reply
        return reply

    def ehlo(self, name="client.example"):
        return self.expect("250", "EHLO " + name)

    def starttls(self):
        self.expect("220 2.0.0", "STARTTLS")
        self.handshake()

    def try_login(self, user, password, mechanism="PLAIN", initial=True):
        """AUTH; its last reply."""
        if mechanism == "PLAIN":
            secret = base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode()
            if initial:
                return self.command("AUTH PLAIN " + secret)
            reply = self.command("AUTH PLAIN")
            return self.command(secret) if reply.code == 334 else reply
        name, secret = (base64.b64encode(s.encode()).decode() for s in (user, password))
        reply = self.command("AUTH LOGIN " + name if initial else "AUTH LOGIN")
        if reply.code == 334 and not initial:
            assert reply.raw == b"334 VXNlcm5hbWU6\r\n", reply
            reply = self.command(name)
        if reply.code == 334:
            assert reply.raw == b"334 UGFzc3dvcmQ6\r\n", reply
            reply = self.command(secret)
        return reply

    def login(self, user="alice@example.org", password="secret", mechanism="PLAIN", initial=True):
        reply = self.try_login(user, password, mechanism, initial)
        assert reply.both == "235 2.7.0", reply
        return reply

    def data(self, body):
        """The reply to the dot. body: lines with CRLF, or without the last one; dots are stuffed here."""
        self.expect("354", "DATA")
        return self.body(body)

    def body(self, body):
        self.send(stuff(body))
        return self.reply()

    def mail(self, body, sender="alice@example.org", recipients=("bob@example.net",)):
        """A whole mail; the reply that decided on it. Afterwards no mail is begun."""
        reply = self.command("MAIL FROM:<%s>" % sender)
        if reply.code != 250:
            return reply
        for recipient in recipients:
            reply = self.command("RCPT TO:<%s>" % recipient)
            if reply.code != 250:
                break
        else:
            reply = self.command("DATA")
            if reply.code == 354:
                return self.body(body)
        if reply.code != 421:
            self.expect("250", "RSET")
        return reply

    def quit(self):
        reply = self.command("QUIT")
        assert reply.code == 221, reply
        assert self.is_closed()
        self.close()


def stuff(body):
    """The body as it is sent after DATA, with the final dot."""
    wire = (b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..")
    return wire + (b".\r\n" if not wire or wire.endswith(b"\r\n") else b"\r\n.\r\n")


def message(subject="test", text="Hello.\r\n", sender="alice@example.org", recipient="bob@example.net"):
    return ("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n%s" % (sender, recipient, subject, text)).encode("utf-8")


def session(port, how="submission", user="alice@example.org", password="secret", mechanism="PLAIN", helo="client.example", **options):
    """A connection that is ready for MAIL. how: submission (STARTTLS, login), submissions (TLS, login), plain (login
    without TLS, on a listener with `tls off`), smtp (neither)."""
    client = Client(port, implicit_tls=how == "submissions", **options)
    try:
        client.greet()
        client.ehlo(helo)
        if how == "submission":
            client.starttls()
            client.ehlo(helo)
        if how != "smtp":
            client.login(user, password, mechanism)
    except BaseException:
        client.close()
        raise
    return client

"""A scripted MTA: a threaded SMTP server that behaves, until a test tells it otherwise, and writes down what it heard.

    mta = ScriptedMta().start()
    mta.on("RCPT", say("550 5.1.1 No such user"))          from now on
    mta.on("DOT", cut, times=1)                            only the next time
    ...
    mta.taken          the mails it answered 250 for, each a Transaction with raw bytes
    mta.begun          all transactions, also those that were given up

Moments that can be scripted: CONNECT (instead of the greeting), the verb of every command (EHLO XFORWARD XCLIENT MAIL
RCPT DATA RSET NOOP QUIT), BODY (the first bytes of a body have come) and DOT (the end of data was read; nothing is
answered yet). An action is called with the connection and the line, and stands for the reply.
"""
import re
import socket
import threading
import time

from .ports import free_port

KEYWORDS = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES",
            "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE")
STRICT_END = re.compile(rb"\r\n\.\r\n")
# What lax servers take for the end of data: a smuggled mail shows itself at one of those.
LAX_END = re.compile(rb"(?:\r\n|\n|\r|\0)\.(?:\r\n|\n|\r|\0)")


class Over(Exception):
    """This connection ends."""


# -- actions

def say(text):
    """Answers with these lines; a text without line end gets one, bytes are sent as they are."""
    data = text if isinstance(text, bytes) else text.encode() + b"\r\n"

    def action(connection, line):
        connection.write(data)
    return action


def say_and_cut(text):
    """Answers, then closes."""
    def action(connection, line):
        say(text)(connection, line)
        raise Over
    return action


def cut(connection, line):
    """Closes without a word."""
    raise Over


def hang(connection, line):
    """Says nothing for as long as the other side stays."""
    connection.flush()
    connection.wait_until_gone()
    raise Over


def after(seconds, action=None):
    """Acts, or behaves, that much later."""
    def delayed(connection, line):
        connection.flush()
        connection.server.stopping.wait(seconds)
        if connection.server.stopping.is_set():
            raise Over
        if action is None:
            return connection.behave(connection.moment, line)
        return action(connection, line)
    return delayed


def drip(text=None, pause=0.01):
    """Answers byte by byte; without a text what it would answer anyway."""
    def action(connection, line):
        connection.flush()
        if text is None:
            connection.behave(connection.moment, line)
            data, connection.out = connection.out, b""
        else:
            data = text if isinstance(text, bytes) else text.encode() + b"\r\n"
        for at in range(len(data)):
            connection.socket.sendall(data[at:at + 1])
            if connection.server.stopping.wait(pause):
                raise Over
    return action


def endless(piece):
    """Sends the piece again and again until the other side has had enough; counts the bytes."""
    def action(connection, line):
        connection.flush()
        try:
            while not connection.server.stopping.is_set():
                connection.socket.sendall(piece)
                connection.server.endless_bytes += len(piece)
        except OSError:
            pass
        raise Over
    return action


class Transaction:
    """A mail as it came: the lines of MAIL and RCPT, addresses, body as on the wire without the final dot line."""

    def __init__(self, connection, mail_line):
        self.connection, self.client = connection.number, dict(connection.xforward)
        self.login = connection.xclient.get("LOGIN")
        self.mail_line, self.rcpt_lines, self.recipients = mail_line, [], []
        self.sender = address(mail_line)
        self.wire, self.code, self.time = b"", None, None

    @property
    def message(self):
        """The body without stuffed dots."""
        text = self.wire.replace(b"\r\n..", b"\r\n.")
        return text[1:] if text.startswith(b"..") else text

    @property
    def as_sent(self):
        """The message without the Received field on top that mailweir puts there."""
        return after_received(self.message)

    @property
    def received(self):
        message = self.message
        return message[:len(message) - len(after_received(message))]

    def __repr__(self):
        return "Transaction(%r, %r, %r)" % (self.sender, self.recipients, self.wire[:200])


def address(line):
    match = re.search(rb"<([^>]*)>", line)
    return match.group(1).decode("utf-8", "replace") if match else None


def after_received(message):
    if not message.startswith(b"Received:"):
        return message
    rest = message.partition(b"\r\n")[2]
    while rest[:1] in (b" ", b"\t"):
        rest = rest.partition(b"\r\n")[2]
    return rest


class Connection:
    def __init__(self, server, sock, number):
        self.server, self.socket, self.number = server, sock, number
        self.buffer, self.out = b"", b""
        self.xforward, self.xclient, self.transaction = {}, {}, None
        self.lines, self.moment = [], "CONNECT"

    def write(self, data):
        self.out += data

    def flush(self):
        if self.out:
            out, self.out = self.out, b""
            self.socket.sendall(out)

    def fill(self):
        self.flush()
        got = self.socket.recv(262144)
        if not got:
            raise Over
        self.buffer += got

    def wait_until_gone(self):
        self.socket.settimeout(0.1)
        while not self.server.stopping.is_set():
            try:
                if not self.socket.recv(65536):
                    return
            except (TimeoutError, socket.timeout):
                continue

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        line += b"\n"
        self.lines.append(line)
        self.server.commands += 1
        return line

    def run(self):
        self.act("CONNECT", b"")
        while True:
            line = self.line()
            verb = line.strip().split(b" ")[0].upper().decode("latin-1")
            self.act(verb, line)
            if verb == "QUIT":
                raise Over

    def act(self, moment, line):
        self.moment = moment
        action = self.server.next_action(moment)
        if action is None:
            self.note(moment, line)
            self.behave(moment, line)
        else:
            self.note(moment, line)
            action(self, line)

    def note(self, moment, line):
        """What must be known whatever is answered."""
        if moment == "MAIL":
            self.transaction = Transaction(self, line)
            self.server.add_begun(self.transaction)
        elif moment in ("XFORWARD", "XCLIENT"):
            to = self.xforward if moment == "XFORWARD" else self.xclient
            for word in line.split()[1:]:
                name, _, value = word.partition(b"=")
                to[name.decode()] = re.sub(rb"\+([0-9A-F]{2})", lambda m: bytes([int(m.group(1), 16)]), value).decode("utf-8", "replace")

    def behave(self, moment, line):
        """What a good MTA does."""
        if moment == "CONNECT":
            self.write(b"220 scripted.example.org ESMTP\r\n")
        elif moment in ("EHLO", "LHLO"):
            words = ("scripted.example.org",) + tuple(self.server.keywords)
            for number, word in enumerate(words):
                self.write(b"250%s%s\r\n" % (b" " if number == len(words) - 1 else b"-", word.encode()))
        elif moment == "XCLIENT":
            self.write(b"220 scripted.example.org ESMTP\r\n")
        elif moment == "MAIL":
            self.write(b"250 2.1.0 Ok\r\n")
        elif moment == "RCPT":
            if self.transaction is None:
                self.write(b"503 5.5.1 need MAIL\r\n")
            else:
                self.transaction.rcpt_lines.append(line)
                self.transaction.recipients.append(address(line))
                self.write(b"250 2.1.5 Ok\r\n")
        elif moment == "DATA":
            if self.transaction is None or not self.transaction.recipients:
                self.write(b"503 5.5.1 need RCPT\r\n")
            else:
                self.write(b"354 go on\r\n")
                self.read_body()
        elif moment in ("RSET", "HELO", "NOOP", "XFORWARD"):
            if moment in ("RSET", "HELO"):
                self.transaction = None
            self.write(b"250 2.0.0 Ok\r\n")
        elif moment == "QUIT":
            self.write(b"221 2.0.0 Bye\r\n")
            self.flush()
        elif moment == "DOT":
            self.take("250 2.0.0 Ok: queued as M%d" % self.server.next_number())
        else:
            self.write(b"500 5.5.2 unknown\r\n")

    def read_body(self):
        """After the 354: up to the end of data, which is one more moment."""
        self.flush()
        end = LAX_END if self.server.lax else STRICT_END
        done, tail = [], b"\r\n"  # a dot line right after the 354 ends the data, too
        while True:
            match = end.search(tail)
            if match:
                break
            keep = len(tail) - 4 if len(tail) > 4 else 0
            done.append(tail[:keep])
            tail = tail[keep:]
            if not self.buffer:
                self.fill()
            if len(done) == 1:
                action = self.server.next_action("BODY")
                if action:
                    self.transaction.wire = self.buffer
                    action(self, b"")
            tail, self.buffer = tail + self.buffer, b""
            if len(done) < 100:
                self.transaction.wire = (b"".join(done) + tail)[2:]
        dot = tail.index(b".", match.start())
        self.transaction.wire = (b"".join(done) + tail[:dot])[2:]
        self.buffer = tail[match.end():] + self.buffer
        self.act("DOT", b".\r\n")

    def take(self, text):
        """Takes the mail, answering with text (250…)."""
        transaction, self.transaction = self.transaction, None
        transaction.code, transaction.time = int(text[:3]), time.monotonic()
        self.xforward = {}
        self.server.add_taken(transaction)
        self.write(text.encode() + b"\r\n")


class ScriptedMta:
    def __init__(self, keywords=KEYWORDS, lax=False, port=None):
        self.keywords, self.lax, self.port = keywords, lax, port or free_port()
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.actions, self.taken, self.begun, self.connections = {}, [], [], []
        self.open, self.number, self.commands, self.endless_bytes = set(), 0, 0, 0
        self.listener = None

    def on(self, moment, action, times=None):
        """Scripts a moment: the next `times` times, then as before; without times from now on. None: behave again."""
        with self.lock:
            rows = self.actions.setdefault(moment, [])
            if times is None:
                rows[:] = [] if action is None else [[action, None]]
            else:
                rows.insert(0, [action, times])

    def next_action(self, moment):
        with self.lock:
            rows = self.actions.get(moment)
            if not rows:
                return None
            action, times = rows[0]
            if times is not None:
                rows[0][1] -= 1
                if rows[0][1] == 0:
                    del rows[0]
            return action

    def next_number(self):
        with self.lock:
            self.number += 1
            return self.number

    def add_begun(self, transaction):
        with self.lock:
            self.begun.append(transaction)

    def add_taken(self, transaction):
        with self.lock:
            self.taken.append(transaction)

    def start(self):
        self.stopping.clear()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(120)
            with self.lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
                self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.run()
        except (Over, OSError):
            pass
        finally:
            try:
                connection.flush()
            except OSError:
                pass
            connection.socket.close()
            with self.lock:
                self.open.discard(connection)

    def cut_all(self):
        """Closes every open connection, as a server that was restarted."""
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def send_all(self, data):
        """Says something unasked on every open connection."""
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            connection.socket.sendall(data)

    def stop(self):
        """Is down: refuses connections, has closed the old ones."""
        self.stopping.set()
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.cut_all()

    def forget(self):
        """Behaves again, and forgets what it heard."""
        with self.lock:
            self.actions.clear()
            self.taken.clear()
            self.begun.clear()
            self.commands = 0

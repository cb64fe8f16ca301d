"""swaks, smtp-source, and a way to mailweir for clients that know neither TLS nor AUTH."""
import socket
import subprocess
import threading

from .client import session
from .ports import free_port


def swaks(port, *arguments, user="alice@example.org", password="secret", mechanism="PLAIN", sender="alice@example.org",
          recipient="bob@example.net", tls="--tls", data=None, timeout=30):
    """Runs swaks; its CompletedProcess. tls: --tls (STARTTLS), --tlsc (implicit) or "" (none). user None: no login."""
    command = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--from", sender, "--to", recipient,
               "--helo", "client.example", "--timeout", str(timeout)]
    command += [tls] if tls else []
    command += ["--auth", mechanism, "--auth-user", user, "--auth-password", password] if user else []
    command += ["--data", "@" + str(data)] if data else []
    return subprocess.run(command + list(arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout + 30)


def smtp_source(port, *arguments, sender="alice@example.org", recipient="bob@example.net", timeout=60):
    command = ["/usr/sbin/smtp-source", "-M", "client.example", "-f", sender, "-t", recipient] + list(arguments)
    return subprocess.run(command + ["127.0.0.1:%d" % port], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)


class LoginGate:
    """A port for smtp-source and its like: every connection to it becomes one to mailweir with TLS and a login, and
    from the greeting on all bytes pass as they are, both ways."""

    def __init__(self, port, how="submission", mechanism="PLAIN", user="alice@example.org", password="secret"):
        self.target, self.how, self.mechanism, self.user, self.password = port, how, mechanism, user, password
        self.port, self.failures = free_port(), []
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        try:
            far = session(self.target, self.how, self.user, self.password, self.mechanism)
        except Exception as error:  # whatever it was: the test that looks at failures shows it
            self.failures.append(repr(error))
            near.close()
            return
        near.sendall(b"220 gate.example ESMTP\r\n")
        far.socket.settimeout(0.02)
        near.settimeout(0.02)
        # One thread for both ways: a TLS connection is not to be read and written by two.
        try:
            while True:
                for source, sink in ((near, far.socket), (far.socket, near)):
                    try:
                        data = source.recv(65536)
                    except (TimeoutError, socket.timeout):
                        continue
                    if not data:
                        return
                    sink.settimeout(30)
                    sink.sendall(data)
                    sink.settimeout(0.02)
        except ConnectionError:
            pass  # smtp-source does not wait for the reply to QUIT
        except OSError as error:
            self.failures.append(repr(error))
        finally:
            far.close()
            near.close()

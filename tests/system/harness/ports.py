"""Free ports, certificates, and waiting for something to become true."""
import os
import random
import socket
import subprocess
import time

_locks = {}
_random = random.Random(os.getpid())


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on, and that no other test process will be given.

    Ports lie below the range from which the kernel takes those of outgoing connections. An abstract socket of that
    number is the lock: it goes with this process, however it ends.
    """
    for _ in range(10000):
        port = _random.randrange(20000, 32000)
        if port in _locks:
            continue
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        probe = socket.socket()
        try:
            lock.bind("\0mailweir-test-port-%d" % port)
            probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        finally:
            probe.close()
        _locks[port] = lock
        return port
    raise RuntimeError("no free port between 20000 and 32000")


def eventually(check, timeout=10.0, what="", pause=0.02):
    """Calls check until it returns something true, and returns that; fails with `what` after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (timeout, what or getattr(check, "__name__", "condition")))
        time.sleep(pause)


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_certificate(directory, name="mail.example.org", kind="ec"):
    """A self-signed certificate and its key; (certificate, key)."""
    certificate, key = os.path.join(directory, kind + ".pem"), os.path.join(directory, kind + ".key")
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                    "-addext", "subjectAltName=DNS:" + name, "-keyout", key, "-out", certificate] + algorithm,
                   check=True, capture_output=True, timeout=60)
    os.chmod(key, 0o600)
    return certificate, key

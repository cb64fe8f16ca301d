"""Fixtures: one Postfix a test process, one certificate, and a mailweir for who asks for one."""
import fcntl
import os
import pathlib
import shutil
import socket
import tempfile

import pytest

from harness.mailweir import BINARY, SLOWNESS, Mailweir
from harness.mta import ScriptedMta
from harness.ports import make_certificate
from harness.postfix import Postfix
from harness.redis_servers import SHAPES

# Where counts may be kept: the tests of limits' promise run on each.
STORES = ("memory", *SHAPES)


@pytest.fixture(scope="session")
def room():
    """A directory that other users may enter, which pytest's own do not let them."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="mailweir-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def place(room):
    """A fresh directory of one test."""
    path = pathlib.Path(tempfile.mkdtemp(dir=room))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def certificate(room):
    return make_certificate(str(room))


@pytest.fixture(scope="session")
def postfix(room):
    path = room / "postfix"
    path.mkdir()
    path.chmod(0o755)
    server = Postfix(path)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def mailbox(postfix):
    """Postfix with an empty mailbox."""
    postfix.forget()
    return postfix


class SystemLog:
    """Stands where the system's log would: a datagram socket at its path."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(20 * SLOWNESS)
        self.socket.bind(str(path))
        path.chmod(0o666)

    def line(self):
        return self.socket.recv(1 << 20).decode()


def stand_in(path):
    path = pathlib.Path(path)
    if os.geteuid() != 0 or path.exists():
        pytest.skip("%s is the system's own" % path)
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    log = SystemLog(path)
    try:
        yield log
    finally:
        path.unlink()
        log.socket.close()
        for folder in made:
            folder.rmdir()


def one_at_a_time(path):
    """Tests of other pytest processes wait."""
    with open("/tmp/mailweir-test-%s.lock" % pathlib.Path(path).name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from stand_in(path)


@pytest.fixture
def syslog():
    yield from one_at_a_time("/dev/log")


@pytest.fixture
def journal():
    yield from one_at_a_time("/run/systemd/journal/socket")


@pytest.fixture(scope="module")
def module_mta():
    server = ScriptedMta().start()
    yield server
    server.stop()


@pytest.fixture
def mta():
    server = ScriptedMta().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def binary():
    if not BINARY.exists():
        pytest.exit("there is no %s; build it or name one by MAILWEIR=" % BINARY, 2)
    return BINARY


@pytest.fixture
def start_mailweir(binary, place, certificate):
    """Starts as many as are asked for; each must end in peace on TERM when the test is over."""
    started = []

    def start(mta, run=True, **options):
        number = mta if isinstance(mta, int) or mta is None else mta.port
        weir = Mailweir(place / ("weir%d" % len(started)), number, certificate=certificate, **options)
        started.append(weir)
        return weir.start() if run else weir

    yield start
    failures = []
    for weir in started:
        try:
            if weir.process is not None and weir.process.poll() is None:
                code = weir.stop()
                if code != 0:
                    failures.append("mailweir ended with %s\n%s" % (code, weir.stderr()))
            elif weir.process is not None:
                weir.assert_sane()
        except AssertionError as error:
            failures.append(str(error))
        finally:
            weir.kill()
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def module_mailweir(binary, room, certificate, module_mta):
    """One that all tests of a module share, in front of module_mta."""
    place = pathlib.Path(tempfile.mkdtemp(dir=room))
    place.chmod(0o755)
    weir = Mailweir(place / "weir", module_mta.port, certificate=certificate, workers=2, server="max-errors 10000")
    try:
        yield weir.start()
        assert weir.stop() == 0, weir.stderr()
    finally:
        weir.kill()


@pytest.fixture
def start_redis():
    """Starts a shape of redis_servers.py by its name. When the test is over no key may be there that would stay for ever."""
    started = []
    # In memory, if it may be: a Sentinel writes down what it knows before it goes on, and a slow disk would be a slow one.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailweir-test-redis-", dir=memory))
    place.chmod(0o755)

    def start(name, **options):
        shape = SHAPES[name](place / ("%s%d" % (name, len(started))), **options)
        started.append(shape)
        return shape.start()

    yield start
    try:
        left = [key for shape in started for key in shape.audit()]
    finally:
        for shape in started:
            shape.stop()
        shutil.rmtree(place, ignore_errors=True)
    assert not left, "keys without expiry: %s" % left[:10]


@pytest.fixture(params=STORES)
def store(request, start_redis):
    """Each store in turn: None for the embedded one."""
    return None if request.param == "memory" else start_redis(request.param)

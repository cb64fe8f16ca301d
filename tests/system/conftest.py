"""Fixtures: one Postfix a test process, one certificate, and a mailweir for who asks for one; and the books of audits.py."""
import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import tempfile

import pytest

from harness import audits
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
    """Starts a shape of redis_servers.py by its name; it is looked at, and ends, with the test."""
    # In memory, if it may be: a Sentinel writes down what it knows before it goes on, and a slow disk would be a slow one.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = pathlib.Path(tempfile.mkdtemp(prefix="mailweir-test-redis-", dir=memory))
    place.chmod(0o755)
    with contextlib.ExitStack() as started:
        started.callback(shutil.rmtree, place, ignore_errors=True)

        def start(name, **options):
            return started.enter_context(SHAPES[name](tempfile.mkdtemp(prefix=name, dir=place), **options))

        yield start


@pytest.fixture(params=STORES)
def store(request, start_redis):
    """Each store in turn: None for the embedded one. Nothing is wrong with it, so a busy machine may not look like a fault."""
    return None if request.param == "memory" else start_redis(request.param).calm()


def pytest_collection_modifyitems(config, items):
    """Tests that are marked long are for who asks for them."""
    if os.environ.get("MAILWEIR_LONG") == "1":
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


# -- no test ends with a store that was not looked at

@pytest.fixture(autouse=True)
def books(request):
    """Of every test: set up before and closed after all else that it uses."""
    kept = audits.begin()
    yield
    audits.end()
    request.node.user_properties += [("store audits", kept.audits()), ("stores not audited", "; ".join(kept.not_audited()))]
    kept.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    report = (yield).get_result()
    if audits.books and not report.passed:
        audits.books.has_failed = True


def pytest_terminal_summary(terminalreporter):
    """What was measured; how many audits there were, and which stores had none."""
    found = [dict(report.user_properties, test=report.nodeid) for reports in terminalreporter.stats.values() for report in reports
             if getattr(report, "when", None) == "teardown"]
    for of in found:
        if "measured" in of:
            terminalreporter.write_line("measured: %s: %s" % (of["test"].partition("::")[2], of["measured"]))
    ran = sum(of.get("store audits", 0) for of in found)
    missed = [of for of in found if of.get("stores not audited")]
    if ran or missed:
        terminalreporter.section("stores in Redis")
        terminalreporter.write_line("store audit ran %d times and found nothing%s" %
                                    (ran, "; not in %d tests:" % len(missed) if missed else ""))
        for of in missed:
            terminalreporter.write_line("    %s: %s" % (of["test"], of["stores not audited"]))

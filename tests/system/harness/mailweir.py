"""mailweir itself: writes a configuration, starts the binary, knows its processes, reads its events."""
import crypt
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

from .ports import eventually, free_port

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("MAILWEIR", ROOT / "build/release/mailweir"))
# Under a sanitizer or valgrind everything takes longer; deadlines of tests are multiplied by it.
SLOWNESS = float(os.environ.get("MAILWEIR_SLOWNESS", "1"))
USER = "nobody"

# Nobody's relay without a login, no limit: tests that want limits bring their own.
PLAIN_RULES = """
on rcpt {
    rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated or rcpt.domain in { example.org }
}
"""
USERS = {"alice@example.org": "secret", "bob@example.org": "sesame", "carol@example.org": "päss wörd"}


def cheap_hash(password):
    """A sha512crypt of few rounds: tests log in thousands of times."""
    return crypt.crypt(password, "$6$rounds=1000$mailweirtests")


class Mailweir:
    """server: more server statements. rules: what stands after them. listeners: which of submission, submissions, plain
    (login without TLS), smtp (no login) to open. relay: a whole `relay` statement instead of `mta`'s port."""

    def __init__(self, directory, mta=None, rules=PLAIN_RULES, server="", users=None, workers=1, certificate=None,
                 listeners=("submission", "submissions", "plain", "smtp"), relay=None, events='"log/events.jsonl"',
                 hostname="mail.example.org"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        owner = pwd.getpwnam(USER)
        (self.directory / "state").mkdir()
        (self.directory / "log").mkdir()
        for name in ("state", "log"):
            os.chown(self.directory / name, owner.pw_uid, owner.pw_gid)
        self.config, self.users = self.directory / "mailweir.conf", self.directory / "users"
        self.event_file = self.directory / "log" / "events.jsonl"
        self.ports = {name: free_port() for name in listeners}
        for name, port in self.ports.items():
            setattr(self, name, port)
        self.sink, self.control = events, self.directory / "control"  # None: the usual place
        self.certificate, self.workers, self.rules, self.server = certificate, workers, rules, server
        self.hostname = hostname
        self.relay = relay or "relay to 127.0.0.1:%d" % mta
        self.prefix = []  # words before the command
        self.process, self.stderr_file = None, self.directory / "stderr"
        self.write_users(USERS if users is None else users)
        self.write_config()

    # -- files

    def write_users(self, users):
        """users: name → password, or a whole hash if it begins with $."""
        lines = ["%s:%s\n" % (name, secret if secret.startswith("$") else cheap_hash(secret)) for name, secret in users.items()]
        fresh = self.users.with_suffix(".new")
        fresh.write_text("".join(lines), encoding="utf-8")
        fresh.chmod(0o600)
        owner = pwd.getpwnam(USER)
        os.chown(fresh, owner.pw_uid, owner.pw_gid)
        fresh.rename(self.users)

    def listen_lines(self):
        options = {"submission": "submission %s", "submissions": "submissions %s",
                   "plain": "submission %s { name plain  tls off }", "smtp": "smtp %s"}
        return "".join("listen %s\n" % options[name] % ("127.0.0.1:%d" % port) for name, port in self.ports.items())

    def write_config(self, rules=None, server=None):
        """Writes mailweir.conf anew, with other rules or server statements if given."""
        self.rules = self.rules if rules is None else rules
        self.server = self.server if server is None else server
        text = "hostname %s\n" % self.hostname + self.listen_lines()
        if self.certificate:
            text += 'tls certificate "%s" key "%s"\n' % self.certificate
        text += 'auth file "users"\n%s\n' % self.relay
        text += 'events %s\nstate "state"\nuser %s\nworkers %d\n%s\n' % (self.sink, USER, self.workers, self.server)
        if self.control:
            text += "control unix:%s\n" % self.control
        self.config.write_text(text + self.rules, encoding="utf-8")

    # -- life

    def start(self, wait=True, arguments=(), environment=None):
        with open(self.stderr_file, "ab") as stderr:
            self.process = subprocess.Popen(self.prefix + [str(BINARY), "serve", "-c", str(self.config)] + list(arguments),
                                            stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, cwd="/",
                                            env=dict(os.environ, **(environment or {})))
        if wait:
            self.wait_event("start", timeout=30)
        return self

    def stderr(self):
        return self.stderr_file.read_text(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        """HUP; the reload event that tells how it went."""
        before = len(self.events("reload"))
        self.signal(signal.SIGHUP)
        return self.wait_event("reload", count=before + 1)

    def stop(self, timeout=15):
        """TERM; the exit code. What still runs after the deadline is killed, and that is a failure."""
        if self.process is None:
            return None
        pids = [self.process.pid] + self.children()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(timeout * SLOWNESS)
            self.assert_sane()
            return code
        except subprocess.TimeoutExpired:
            raise AssertionError("mailweir did not end within %g s of TERM\n%s" % (timeout, self.stderr())) from None
        finally:
            self._kill(pids)

    def assert_sane(self):
        """No sanitizer and no panic of our own has said anything."""
        if re.search(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:|broken promise", self.stderr()):
            raise AssertionError(self.stderr()[-8000:])

    def _kill(self, pids):
        """Ends what is left of exactly these processes."""
        for pid in pids:
            if is_mailweir(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.wait(10)

    def kill(self):
        """Ends everything at once; for the end of a test that failed."""
        if self.process is not None and self.process.poll() is None:
            self._kill([self.process.pid] + self.children())

    # -- processes

    def children(self, role=None):
        """Process ids of the supervisor's children; role: a word of their command line ("worker", "auth", "events")."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and (role is None or role in process_title(int(entry.name))):
                    found.append(int(entry.name))
            except (OSError, IndexError, ValueError):
                continue
        return sorted(found)

    def resident_kb(self, pid):
        for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("process %d has no VmRSS" % pid)

    # -- events

    def event_lines(self):
        try:
            data = self.event_file.read_bytes()
        except OSError:
            return []
        return data.split(b"\n")[:-1]

    def events(self, kind=None, **members):
        """All events so far; each line must be JSON and free of control characters."""
        found = []
        for line in self.event_lines():
            event = json.loads(line)
            if (kind is None or event["event"] == kind) and all(event.get(k) == v for k, v in members.items()):
                found.append(event)
        return found

    def wait_event(self, kind, timeout=10, count=1, **members):
        """The count-th event of this kind with these members; waited for."""
        def there():
            if self.process.poll() is not None and kind not in ("stop", "start"):
                raise AssertionError("mailweir ended with %d\n%s" % (self.process.returncode, self.stderr()))
            found = self.events(kind, **members)
            if len(found) < count and kind == "start" and self.process.poll() is not None:
                raise AssertionError("mailweir ended with %d\n%s" % (self.process.returncode, self.stderr()))
            return found[count - 1] if len(found) >= count else None
        try:
            return eventually(there, timeout * SLOWNESS, "event %s %s" % (kind, members or ""))
        except AssertionError as error:
            raise AssertionError("%s\nevents: %s\nstderr: %s" % (error, self.event_lines()[-20:], self.stderr()[-4000:])) from None


def process_title(pid):
    """Name and command line of a process."""
    base = pathlib.Path("/proc/%d" % pid)
    return (base / "comm").read_text().strip() + " " + (base / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def is_mailweir(pid):
    """Is there (still) a process of the program under test by that id?"""
    try:
        return os.readlink("/proc/%d/exe" % pid).startswith(str(BINARY.resolve()))
    except OSError:
        return False


def run(*arguments, data=None, timeout=30, **options):
    """A subcommand; its CompletedProcess with text output."""
    return subprocess.run([str(BINARY)] + [str(a) for a in arguments], input=data if data is not None else "",
                          capture_output=True, text=True, timeout=timeout * SLOWNESS, **options)


def wait_until(moment):
    """Sleeps until time.monotonic() is `moment`."""
    time.sleep(max(0.0, moment - time.monotonic()))

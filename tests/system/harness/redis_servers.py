"""Real Redis, from Debian's packages: alone, watched by Sentinel, and as a Cluster, in private directories and ports.

    RedisServer    one redis-server: start, stop, kill, freeze, thaw, ask
    Alone          a shape of one server            ─┐
    Sentinels      1 master, 2 replicas, 3 sentinels ├─ each: start, stop, `statement()` for mailweir.conf, `masters()`;
    Cluster        3 masters                        ─┘  as `with`: what is left in it is audited at the end (audits.py)
    Relay          a way to a server that can be slow, silent or closed

mailweir logs in as the user `mailweir`, who may do what LIMITS.md says and nothing else; tests ask as `admin`, through
each server's unix socket. Every process is in the foreground, a child of the test, and goes by its id.
"""
import contextlib
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import threading
import time

from . import audits
from .ports import eventually, free_port
from .resp import Redis, RedisError

# LIMITS.md, "ACL that suffices", to the letter.
ACL = """resetkeys ~mw1:* resetchannels &mw1:* -@all +bitfield +getex +get +mget +incrby +pexpireat +set +del +zadd +zincrby +zscore +zcard
+zcount +zrem +zremrangebyscore +zrangebyscore +pfadd +pfcount +sadd +scard +hget +hset +hdel +scan +time +ping +hello +auth +select +info +publish +subscribe
+cluster|slots +asking +sismember +smismember +hmget +hgetall +type +pttl +memory|usage"""
USER, PASSWORD = "mailweir", "weir:secret@1"
ADMIN, ADMIN_PASSWORD = "admin", "test-admin"
MASTER_NAME = "mw"
SLOTS = 16384

# Where a test makes no fault, nobody may take a busy machine for one: neither mailweir, by this option of its statement,
# nor the servers one another (Shape.calm).
CALM = "timeout 2s"
CALM_MS = 60000


def write_acl(path, acl=ACL):
    path.write_text("user default off\nuser %s on >%s ~* &* +@all\nuser %s on >%s %s\n" %
                    (ADMIN, ADMIN_PASSWORD, USER, PASSWORD, " ".join(acl.split())))
    path.chmod(0o600)


class RedisServer:
    """One redis-server. options: words of its configuration, as ("maxmemory", "10mb"). tls: (CA, certificate, key):
    then `port` speaks TLS only. acl: what the user mailweir may; None: there are no users. environment: more of it."""

    def __init__(self, directory, options=(), tls=None, acl=ACL, cluster=False, bind="127.0.0.1", environment=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.port, self.bus_port = free_port(), free_port() if cluster else None
        self.socket, self.process, self.was_ended = str(self.directory / "s"), None, False
        self.has_users, self.environment = acl is not None, environment or {}
        lines = [("port", 0 if tls else self.port), ("bind", bind), ("dir", self.directory), ("unixsocket", self.socket),
                 ("unixsocketperm", 777), ("save", '""'), ("appendonly", "no"), ("logfile", self.directory / "log"),
                 ("repl-diskless-sync-delay", 0), ("protected-mode", "no")]
        if self.has_users:
            write_acl(self.directory / "acl", acl)
            lines += [("aclfile", self.directory / "acl"), ("masteruser", ADMIN), ("masterauth", ADMIN_PASSWORD)]
        if tls:
            lines += [("tls-port", self.port), ("tls-ca-cert-file", tls[0]), ("tls-cert-file", tls[1]),
                      ("tls-key-file", tls[2]), ("tls-auth-clients", "no")]
        if cluster:
            lines += [("cluster-enabled", "yes"), ("cluster-config-file", "nodes"), ("cluster-port", self.bus_port),
                      ("cluster-node-timeout", 1000), ("cluster-require-full-coverage", "no")]
        self.config = self.directory / "conf"
        self.config.write_text("".join("%s %s\n" % line for line in lines + list(options)))

    def start(self):
        self.was_ended = False
        self.process = subprocess.Popen(["/usr/bin/redis-server", str(self.config)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                                        env=dict(os.environ, **self.environment))
        eventually(self._answers, 10, "Redis answers; its log: %s" % (self.directory / "log"))
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("redis-server ended with %d\n%s" % (self.process.returncode, self.log()))
        with contextlib.suppress(OSError, RedisError):
            return self.ask("PING") == "PONG"

    def log(self):
        return (self.directory / "log").read_text(errors="replace")[-4000:]

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        """As a crash: nothing is saved, so it comes back empty."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if not self.is_running():
            return
        self.was_ended = True
        self.process.send_signal(signal.SIGCONT)  # a frozen one hears nothing else
        self.process.send_signal(number)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def has_died(self):
        """Did it end by itself, which no command of mailweir's may bring about?"""
        return self.process is not None and not self.is_running() and not self.was_ended

    # -- questions

    def client(self, timeout=5.0):
        """A connection of the admin's."""
        return Redis(self.socket, ADMIN, ADMIN_PASSWORD if self.has_users else None, timeout)

    def ask(self, *words):
        with self.client() as redis:
            return redis(*words)

    def info(self, section):
        """INFO's lines of a section: name → text."""
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def calls(self, *unless):
        """Commands that were carried out since the last `forget_calls`, by name; without those in `unless`."""
        found = {}
        for name, text in self.info("commandstats").items():
            name = name[len("cmdstat_"):]
            if name not in unless:
                found[name] = int(dict(pair.split("=") for pair in text.split(","))["calls"])
        return found

    def forget_calls(self):
        self.ask("CONFIG", "RESETSTAT")

    def cpu_seconds(self):
        cpu = self.info("cpu")
        return float(cpu["used_cpu_sys"]) + float(cpu["used_cpu_user"])

    def keys(self, pattern="*", db=0):
        with self.client() as redis:
            if db:
                redis("SELECT", db)
            return scan(redis, pattern)

    def without_expiry(self):
        """Keys that would stay for ever, in whatever database."""
        found = []
        with self.client() as redis:
            for line in redis("INFO", "keyspace").splitlines():
                if line.startswith("db"):
                    redis("SELECT", line[len("db"):line.index(":")])
                    keys = scan(redis)
                    ttls = redis.many([("PTTL", key) for key in keys]) if keys else []
                    found += [key for key, ttl in zip(keys, ttls) if ttl == -1]
        return found

    def counts(self, key):
        """A counter's three columns, as sums of their slots (LIMITS.md, "Keys")."""
        words = [word for n in range(48) for word in ("GET", "u32", "#%d" % n)]
        slots = self.ask("BITFIELD", key, *words)
        return tuple(sum(slots[column * 16:column * 16 + 16]) for column in range(3))


def scan(redis, pattern="*"):
    found, cursor = [], "0"
    while True:
        cursor, some = redis("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        found += some
        if cursor == "0":
            return found


class Shape:
    """What Alone, Sentinels and Cluster have in common. spoiled: what a test has broken in there on purpose (audits.py)."""

    name, servers, spoiled = "", (), None

    def __init__(self, directory):
        audits.opened(self)
        self.options = set()  # of the statements that led here
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        self.password_file = self.directory / "password"
        self.password_file.write_text(PASSWORD + "\n")
        # Who reads it is mailweir, which may have become another user by then.
        self.password_file.chmod(0o644)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, failure, *_):
        try:
            if failure is None:
                audits.look_at(self)
        finally:
            self.stop()

    def credentials(self):
        return 'user "%s"  password-file "%s"' % (USER, self.password_file)

    def calm(self):
        """No server takes another one for dead that only waits for its turn."""
        return self

    def stop(self):
        for server in self.servers:
            server.stop()

    def masters(self):
        raise NotImplementedError

    def statement(self, options="", way=None):
        """The `store` statement that leads here. way: another host:port of the lone server than its own."""
        self.options.add(options)
        where = '"redis://%s"' % way if way else self.where()
        return "store redis %s { %s  %s }\n" % (where, self.credentials(), options)

    def where(self):
        raise NotImplementedError

    def keys(self, pattern="*"):
        return [key for server in self.masters() for key in server.keys(pattern)]

    def counts_of(self, entity, period):
        """The sum, over all windows of a counter that are there, of its three columns."""
        total = [0, 0, 0]
        for server in self.masters():
            for key in server.keys("mw1:q:{%s}:%d:*" % (escape_glob(entity), period)):
                if key.count(":", key.rindex("}")) == 2:  # a longer name is a counter of its own
                    total = [a + b for a, b in zip(total, server.counts(key))]
        return tuple(total)

    def without_expiry(self):
        return [key for server in self.masters() for key in server.without_expiry()]

    def running(self):
        return [server for server in self.servers if server.is_running()]

    def settle(self):
        """After whatever a test did to its servers: those that run answer, and agree on who is a master."""
        for server in self.running():
            server.thaw()
        if self.running():
            eventually(self.is_settled, 30, "the servers of %s agree" % self.name, pause=0.1)

    def is_settled(self):
        return True

    def why_silent(self):
        """Why it could not be audited, if so: what the test has ended. A server that ended by itself is a failure."""
        died = [server for server in self.servers if server.has_died()]
        assert not died, "redis-server ended with %s\n%s" % (died[0].process.returncode, died[0].log())
        return None if self.running() else "the test ended its servers"


def escape_glob(text):
    return "".join("\\" + c if c in "*?[]\\" else c for c in text)


class Alone(Shape):
    """way: how mailweir comes there: tcp, unix, tls (the server speaks nothing else then)."""

    name = "redis"

    def __init__(self, directory, way="tcp", **options):
        super().__init__(directory)
        self.way = way
        self.tls = make_tls(self.directory) if way == "tls" else None
        if self.tls:
            options["tls"] = self.tls
        self.server = RedisServer(self.directory / "redis", **options)
        self.servers = [self.server]

    def start(self):
        self.server.start()
        return self

    def masters(self):
        return [self.server] if self.server.is_running() else []

    def where(self):
        return {"tcp": '"redis://127.0.0.1:%d"' % self.server.port, "unix": '"unix:%s"' % self.server.socket,
                "tls": '"rediss://127.0.0.1:%d"' % self.server.port}[self.way]

    def credentials(self):
        return super().credentials() + ('  ca "%s"' % self.tls[0] if self.tls else "")


class Sentinels(Shape):
    name = "sentinel"

    def __init__(self, directory, down_after_ms=1000, **options):
        super().__init__(directory)
        self.servers = [RedisServer(self.directory / ("redis%d" % n), **options) for n in range(3)]
        self.sentinels, self.ports, self.down_after_ms = [], [free_port() for _ in range(3)], down_after_ms

    def start(self):
        for server in self.servers:
            server.start()
        first, *others = self.servers
        for replica in others:
            replica.ask("REPLICAOF", "127.0.0.1", first.port)
        for n, port in enumerate(self.ports):
            config = self.directory / ("sentinel%d.conf" % n)
            config.write_text("""port %d
bind 127.0.0.1
dir %s
logfile %s
sentinel monitor mw 127.0.0.1 %d 2
sentinel auth-user mw %s
sentinel auth-pass mw %s
sentinel down-after-milliseconds mw %d
sentinel failover-timeout mw 1500
""" % (port, self.directory, self.directory / ("sentinel%d.log" % n), first.port, ADMIN, ADMIN_PASSWORD, self.down_after_ms))
            self.sentinels.append(subprocess.Popen(["/usr/bin/redis-sentinel", str(config)], stdin=subprocess.DEVNULL,
                                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"))
        eventually(lambda: all(r.info("replication")["master_link_status"] == "up" for r in others), 15, "replicas follow")
        eventually(self._know_each_other, 20, "sentinels know all", pause=0.1)
        return self

    def ask_sentinel(self, number, *words):
        with Redis(("127.0.0.1", self.ports[number])) as sentinel:
            return sentinel(*words)

    def calm(self):
        for n in range(3):
            self.ask_sentinel(n, "SENTINEL", "SET", MASTER_NAME, "down-after-milliseconds", CALM_MS)
        return self

    def _know_each_other(self):
        with contextlib.suppress(OSError):
            for n in range(3):
                flat = self.ask_sentinel(n, "SENTINEL", "MASTER", MASTER_NAME)
                about = dict(zip(flat[::2], flat[1::2]))
                if (about["num-slaves"], about["num-other-sentinels"], about["flags"]) != ("2", "2", "master"):
                    return False
            return True

    def stop(self):
        for sentinel in self.sentinels:
            sentinel.terminate()
        for sentinel in self.sentinels:
            try:
                sentinel.wait(5)
            except subprocess.TimeoutExpired:
                sentinel.kill()
                sentinel.wait(5)
        super().stop()

    def master(self):
        """The server that the sentinels call master; None while they do not agree."""
        with contextlib.suppress(OSError):
            answers = {tuple(self.ask_sentinel(n, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)) for n in range(3)}
            if len(answers) == 1:
                port = int(answers.pop()[1])
                return next(server for server in self.servers if server.port == port)
        return None

    def masters(self):
        master = self.master()
        return [master] if master else []

    def is_settled(self):
        """One master, and every other server that runs follows it."""
        with contextlib.suppress(OSError):
            master = self.master()
            others = [server for server in self.running() if server is not master]
            return master in self.running() and int(master.info("replication")["connected_slaves"]) == len(others) and \
                all(server.info("replication").get("master_link_status") == "up" for server in others)
        return False

    def failover(self):
        """Asks the sentinels for it, without a fault; returns when another master is agreed on."""
        before = self.master()
        eventually(self._try_failover, 10, "a sentinel begins the failover", pause=0.2)
        return eventually(lambda: self.master() not in (None, before) and self.master(), 15, "another master", pause=0.05)

    def _try_failover(self):
        try:
            return self.ask_sentinel(0, "SENTINEL", "FAILOVER", MASTER_NAME) == "OK"
        except RedisError:  # INPROG, NOGOODSLAVE: not just now
            return False

    def where(self):
        return "sentinel %s %s" % (MASTER_NAME, " ".join("127.0.0.1:%d" % port for port in self.ports))


class Cluster(Shape):
    """replicas: so many of each of the three masters."""

    name = "cluster"

    def __init__(self, directory, replicas=0, **options):
        super().__init__(directory)
        self.replicas = replicas
        self.servers = [RedisServer(self.directory / ("redis%d" % n), cluster=True, **options) for n in range(3 * (1 + replicas))]

    def start(self):
        for server in self.servers:
            server.start()
        for n, server in enumerate(self.servers[:3]):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            server.ask("CLUSTER", "ADDSLOTSRANGE", SLOTS * n // 3, SLOTS * (n + 1) // 3 - 1)
        for server in self.servers[1:]:
            self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port, server.bus_port)
        eventually(lambda: all(int(s.cluster_info()["cluster_known_nodes"]) == len(self.servers) for s in map(Member, self.servers)),
                   20, "nodes of the cluster know each other", pause=0.05)
        for n, server in enumerate(self.servers[3:]):
            eventually(lambda s=server, m=self.servers[n % 3]: self._replicate(s, m), 10, "a replica follows", pause=0.1)
        eventually(self.is_whole, 20, "the cluster is ready", pause=0.05)
        return self

    def calm(self):
        for server in self.servers:
            server.ask("CONFIG", "SET", "cluster-node-timeout", CALM_MS)
        return self

    @staticmethod
    def _replicate(server, master):
        try:
            return server.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID")) == "OK"
        except RedisError:  # not known there yet
            return False

    def is_whole(self):
        """Does every server that runs say so?"""
        if not all(Member(s).cluster_info()["cluster_state"] == "ok" for s in self.running()):
            return False
        replicas = self.servers[3:]
        return all(s.info("replication").get("master_link_status", "up") == "up" for s in replicas if s.is_running())

    def masters(self):
        return [s for s in self.running() if s.info("replication")["role"] == "master"]

    def owners(self):
        """The servers that have slots, as the first one that runs sees it."""
        ports = {port for _, _, (_, port, *_more), *_ in self.running()[0].ask("CLUSTER", "SLOTS")}
        return [server for server in self.servers if server.port in ports]

    def has_a_gap(self):
        return not all(server.is_running() for server in self.owners())

    def is_settled(self):
        return self.is_whole() and not (self.replicas and self.has_a_gap())

    def why_silent(self):
        return super().why_silent() or ("the test ended a server that has no replica" if self.has_a_gap() else None)

    def owner(self, slot):
        """The server that has the slot, as the first one that runs sees it."""
        for first, last, (_, port, *_more), *_ in self.running()[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        return None

    def slot_of(self, key):
        return self.servers[0].ask("CLUSTER", "KEYSLOT", key)

    def begin_migration(self, slot, target):
        source, ids = self.owner(slot), {}
        for server in (source, target):
            ids[server] = server.ask("CLUSTER", "MYID")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        return source

    def migrate_keys(self, slot, source, target, pause=0.0):
        """Moves the keys that are there now, one by one; how many."""
        moved = 0
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            for key in keys:
                source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 2000, "AUTH2", ADMIN, ADMIN_PASSWORD)
                moved += 1
                time.sleep(pause)
        return moved

    def end_migration(self, slot, source, target):
        identity = target.ask("CLUSTER", "MYID")
        for server in (target, source):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", identity)

    def where(self):
        return "cluster %s" % " ".join("127.0.0.1:%d" % server.port for server in self.servers[:3])


class Member:
    """A server's view of its cluster."""

    def __init__(self, server):
        self.server = server

    def cluster_info(self):
        lines = self.server.ask("CLUSTER", "INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


SHAPES = {shape.name: shape for shape in (Alone, Sentinels, Cluster)}


def make_tls(directory):
    """A CA and a certificate of it for 127.0.0.1 and localhost: (CA, certificate, key)."""
    directory = pathlib.Path(directory)
    ca, ca_key, key, request, certificate, more = (
        str(directory / name) for name in ("ca.pem", "ca.key", "redis.key", "redis.csr", "redis.pem", "redis.ext"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    pathlib.Path(more).write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for words in (["req", "-x509", *curve, "-days", "30", "-subj", "/CN=test CA", "-keyout", ca_key, "-out", ca],
                  ["req", *curve, "-subj", "/CN=redis", "-keyout", key, "-out", request],
                  ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
                   "-extfile", more, "-out", certificate]):
        subprocess.run(["openssl"] + words, check=True, capture_output=True, timeout=60)
    return ca, certificate, key


class Relay:
    """A way to 127.0.0.1:target through `port`. delay: seconds that bytes take, each way. silence(): bytes are kept
    back, nothing closes, as when a cable is out; heal(): they go on. refuse(): all connections end and no new one is let
    in, until heal()."""

    def __init__(self, target, delay=0.0):
        self.target, self.delay, self.port = target, delay, free_port()
        self.is_silent = self.refuses = self.is_over = False
        self.ways, self.accepted = {}, 0  # socket → [its partner, [(due, bytes)…]]
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join(5)

    def silence(self):
        self.is_silent = True

    def heal(self):
        self.is_silent = self.refuses = False

    def refuse(self):
        self.refuses = True

    def _run(self):
        while not self.is_over:
            for key, _ in self.selector.select(0.001 if self._is_anything_due() else 0.02):
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj in self.ways:
                    self._read(key.fileobj)
            if self.refuses:
                for end in list(self.ways):
                    self._close(end)
            self._write()
        for end in list(self.ways):
            self._close(end)
        self.listener.close()
        self.selector.close()

    def _is_anything_due(self):
        return not self.is_silent and any(queue for _, queue in self.ways.values())

    def _accept(self):
        near, _ = self.listener.accept()
        self.accepted += 1
        try:
            if self.refuses:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self.target), 1)
        except OSError:
            near.close()
            return
        for end, partner in ((near, far), (far, near)):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.ways[end] = [partner, []]
            self.selector.register(end, selectors.EVENT_READ)

    def _read(self, end):
        try:
            data = end.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.ways[end][1].append((time.monotonic() + self.delay, data))
        else:
            self._close(end)

    def _write(self):
        if self.is_silent:
            return
        now = time.monotonic()
        for end, (partner, queue) in list(self.ways.items()):
            while queue and queue[0][0] <= now and end in self.ways:
                due, data = queue.pop(0)
                try:
                    sent = partner.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self._close(end)
                    break
                if sent < len(data):
                    queue.insert(0, (due, data[sent:]))
                    break

    def _close(self, end):
        if end not in self.ways:
            return
        partner = self.ways[end][0]
        for one in (end, partner):
            del self.ways[one]
            self.selector.unregister(one)
            one.close()

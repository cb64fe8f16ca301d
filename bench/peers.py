"""The front ends that are compared. Each is given the port of the MTA behind and opens two ports of its own, a plain one
and one with TLS from the first byte, with the same certificate; each runs as the one process (or one worker) that its
documentation calls usual, without access logs unless said otherwise."""
import crypt
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

from harness.ports import eventually, free_port, listens

HERE = pathlib.Path(__file__).resolve().parent
USERS, PASSWORD = 20, "secret"
MAX_CONNECTIONS = 20000


class Peer:
    """name: of the row. what: how it is set up. login: does it take AUTH? idle: so many idle connections it is given to hold
    (0: none). slowness: it is sent so many times fewer mails. A subclass writes its files and starts it."""

    name = what = ""
    login = True
    idle = 10000
    slowness = 1

    def __init__(self, place, sink, certificate):
        self.place, self.sink, self.certificate = pathlib.Path(place), sink, certificate
        self.plain, self.tls = free_port(), free_port()
        self.process = None

    def write(self, name, text):
        path = self.place / name
        path.write_text(text)
        return path

    def run(self, *command):
        with open(self.place / "output", "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def output(self):
        return (self.place / "output").read_text(errors="replace")[-2000:]

    def start(self):
        self.launch()
        eventually(lambda: self.is_over() or (listens(self.plain) and listens(self.tls)), 20, self.name + " listens")
        if self.is_over():
            raise SystemExit("bench: %s ended at once:\n%s" % (self.name, self.output()))

    def is_over(self):
        return self.process is not None and self.process.poll() is not None

    def root(self):
        """The process whose tree is measured."""
        return self.process.pid

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Haproxy(Peer):
    name = "HAProxy"
    what = "mode tcp, nbthread 1: copies bytes, the MTA behind takes the login"
    idle = 4000 # each has a connection to the MTA too

    def launch(self):
        pem = self.write("both.pem", "".join(pathlib.Path(part).read_text() for part in self.certificate))
        config = self.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn {Haproxy.idle * 2}
defaults
    mode tcp
    timeout connect 10s
    timeout client 5m
    timeout server 5m
listen plain
    bind 127.0.0.1:{self.plain}
    server mta 127.0.0.1:{self.sink.port}
listen tls
    bind 127.0.0.1:{self.tls} ssl crt {pem}
    server mta 127.0.0.1:{self.sink.port}
""")
        self.run("/usr/sbin/haproxy", "-db", "-f", str(config))


class Nginx(Peer):
    name = "nginx"
    what = "mail proxy, 1 worker, auth_http answered by a program that is not counted; copies bytes after the login"

    def launch(self):
        config = self.write("nginx.conf", f"""
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
user nobody nogroup;
worker_processes 1;
pid {self.place}/pid;
error_log {self.place}/error.log;
events {{ worker_connections {MAX_CONNECTIONS}; }}
mail {{
    server_name bench.example.org;
    auth_http 127.0.0.1:{self.sink.auth_port}/;
    xclient off;
    smtp_auth plain login;
    smtp_capabilities PIPELINING 8BITMIME ENHANCEDSTATUSCODES "SIZE 104857600";
    ssl_certificate {self.certificate[0]};
    ssl_certificate_key {self.certificate[1]};
    server {{ listen 127.0.0.1:{self.plain} backlog=4096; protocol smtp; }}
    server {{ listen 127.0.0.1:{self.tls} ssl backlog=4096; protocol smtp; }}
}}
""")
        self.run("/usr/sbin/nginx", "-e", str(self.place / "error.log"), "-c", str(config))


class Postfix(Peer):
    name = "Postfix"
    what = "smtpd with smtpd_proxy_filter (no queue), login not asked for: clients are in mynetworks"
    login = False
    idle = 0 # a process a connection
    slowness = 5

    MASTER = """
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
proxymap  unix - - n - - proxymap
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

    def launch(self):
        for name, mode in (("etc", 0o755), ("queue", 0o755), ("data", 0o700)):
            (self.place / name).mkdir(mode=mode)
        owner = pwd.getpwnam("postfix")
        os.chown(self.place / "data", owner.pw_uid, owner.pw_gid)
        for source in pathlib.Path("/etc/postfix").glob("postfix-files*"):
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.place / "etc" / source.name)
        shutil.copy("/etc/postfix/dynamicmaps.cf", self.place / "etc/dynamicmaps.cf")
        d, (certificate, key) = self.place, self.certificate
        self.write("etc/main.cf", f"""
compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {d}/maillog
maillog_file_prefixes = {d}
multi_instance_name = mailweir-bench
myhostname = bench.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
default_transport = discard
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_proxy_filter = 127.0.0.1:{self.sink.port}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
message_size_limit = 104857600
mailbox_size_limit = 0
default_process_limit = 400
""")
        self.write("etc/master.cf", f"127.0.0.1:{self.plain} inet n - n - - smtpd\n"
                                    f"127.0.0.1:{self.tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n" + self.MASTER)
        done = subprocess.run(["/usr/sbin/postfix", "-c", str(self.place / "etc"), "start"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise SystemExit("bench: postfix start: %s%s" % (done.stdout, done.stderr))

    def root(self):
        return int((self.place / "queue/pid/master.pid").read_text())

    def stop(self):
        try:
            os.kill(self.root(), signal.SIGTERM)
        except (OSError, ValueError):
            return
        eventually(lambda: not listens(self.plain), 10, "Postfix stops")


class Mailweir(Peer):
    name = "mailweir"
    what = "1 worker; login checked (sha512crypt, and its cache), rules and limits of bench/policy.rules, an event line a mail"

    OWNER = "nobody"
    rules = HERE / "policy.rules"

    def launch(self):
        binary = os.environ.get("MAILWEIR", str(HERE.parent / "build/release/mailweir"))
        owner = pwd.getpwnam(self.OWNER)
        for name in ("state", "log"):
            (self.place / name).mkdir()
            os.chown(self.place / name, owner.pw_uid, owner.pw_gid)
        secret = crypt.crypt(PASSWORD, "$6$rounds=5000$mailweirbench")
        users = self.write("users", "".join("user%d@example.org:%s\n" % (n, secret) for n in range(USERS)))
        users.chmod(0o600)
        os.chown(users, owner.pw_uid, owner.pw_gid)
        config = self.write("mailweir.conf", f"""
hostname bench.example.org
listen submission 127.0.0.1:{self.plain} {{ tls off }}
listen submissions 127.0.0.1:{self.tls}
tls certificate "{self.certificate[0]}" key "{self.certificate[1]}"
auth file "users"
relay to 127.0.0.1:{self.sink.port}
max-connections {MAX_CONNECTIONS}
workers 1
user {self.OWNER}
state "state"
events "log/events.jsonl"
include "{self.rules}"
""")
        self.run(binary, "serve", "-c", str(config))


ALL = (Haproxy, Nginx, Postfix, Mailweir)

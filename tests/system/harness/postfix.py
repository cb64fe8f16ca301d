"""A private Postfix: own directory, own port, every mail into one local mailbox; the system's own is not touched."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

from .ports import eventually, free_port, listens

MAIN = """
compatibility_level = 3.6
queue_directory = {d}/queue
data_directory = {d}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {d}/maillog
maillog_file_prefixes = {d}
multi_instance_name = mailweir-test-{port}
myhostname = behind.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
local_recipient_maps =
smtpd_tls_security_level = none
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_base = {d}/mail
virtual_mailbox_maps = regexp:{d}/etc/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 100
enable_long_queue_ids = yes
always_add_missing_headers = no
local_header_rewrite_clients =
{more}
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, directory, more=""):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        owner = pwd.getpwnam("nobody")
        for name, mode in (("etc", 0o755), ("queue", 0o755), ("data", 0o700), ("mail", 0o755)):
            (self.directory / name).mkdir()
            (self.directory / name).chmod(mode)
        postfix = pwd.getpwnam("postfix")
        os.chown(self.directory / "data", postfix.pw_uid, postfix.pw_gid)
        os.chown(self.directory / "mail", owner.pw_uid, owner.pw_gid)
        for source in pathlib.Path("/etc/postfix").glob("postfix-files*"):
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.directory / "etc" / source.name)
        shutil.copy("/etc/postfix/dynamicmaps.cf", self.directory / "etc" / "dynamicmaps.cf")
        values = dict(d=self.directory, port=self.port, uid=owner.pw_uid, gid=owner.pw_gid, more=more)
        # A login "nobody@…" has no box: the MTA refuses it with 550 5.1.1.
        (self.directory / "etc" / "boxes").write_text("!/^nobody@/ box/\n")
        (self.directory / "etc" / "main.cf").write_text(MAIN.format(**values))
        (self.directory / "etc" / "master.cf").write_text(MASTER.format(**values))

    def _run(self, *arguments):
        return subprocess.run(["postfix", "-c", str(self.directory / "etc")] + list(arguments), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)

    def start(self):
        done = self._run("start")
        if done.returncode != 0:
            raise RuntimeError("postfix start: %s%s%s" % (done.stdout, done.stderr, self.log()))
        eventually(lambda: listens(self.port), 20, "Postfix listens; its log: " + self.log())
        return self

    def master_pid(self):
        try:
            return int((self.directory / "queue/pid/master.pid").read_text())
        except (OSError, ValueError):
            return None

    def stop(self):
        pid = self.master_pid()
        if not pid:
            return
        try:
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not listens(self.port), 10, "Postfix stops")
        except ProcessLookupError:
            pass

    def log(self):
        try:
            return (self.directory / "maillog").read_text(errors="replace")
        except OSError:
            return ""

    # -- the mailbox

    def _files(self):
        return sorted((self.directory / "mail/box/new").glob("*"), key=lambda path: path.stat().st_mtime_ns)

    def forget(self):
        """Empties the mailbox; mails still under way are awaited first."""
        eventually(lambda: not any((self.directory / "queue" / q).rglob("*") and
                                   [p for p in (self.directory / "queue" / q).rglob("*") if p.is_file()]
                                   for q in ("incoming", "active")), 20, "the queue is empty")
        for path in self._files():
            path.unlink()

    def mails(self, count, timeout=20):
        """The mails in the box, in order, as soon as there are `count`; a moment later still no more than that."""
        eventually(lambda: len(self._files()) >= count, timeout, "%d mails in the box" % count)
        time.sleep(0.05)
        found = self._files()
        assert len(found) == count, "%d mails in the box, not %d" % (len(found), count)
        return [Mail(path.read_bytes()) for path in found]


class Mail:
    """A delivered mail: lines end in LF in a mailbox, so they do here."""

    def __init__(self, stored):
        self.stored = stored
        head, _, self.body = stored.partition(b"\n\n")
        self.headers, name = [], None
        for line in head.split(b"\n"):
            if line[:1] in (b" ", b"\t"):
                self.headers[-1][1] += b"\n" + line
            else:
                name, _, value = line.partition(b":")
                self.headers.append([name.decode("latin-1"), value.strip()])

    def all(self, name):
        return [value.decode("utf-8", "replace") for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        return (self.all(name) or [None])[0]

    def as_sent(self):
        """The message without what the MTA and mailweir put on top: Return-Path, X-Original-To, Delivered-To, and the
        two Received fields."""
        rest, received = self.stored, 0
        while True:
            line, _, after = rest.partition(b"\n")
            name = line.partition(b":")[0].lower()
            if name == b"received":
                received += 1
            if name not in (b"return-path", b"x-original-to", b"delivered-to", b"received") or received > 2:
                return rest
            rest = after
            while rest[:1] in (b" ", b"\t"):
                rest = rest.partition(b"\n")[2]

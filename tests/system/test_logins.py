"""Users: every kind of hash, changes while running, equal answers for equal failures, and a bound on the work."""
import crypt
import os
import subprocess
import threading
import time

import pytest

from harness.client import Client, message, session
from harness.mailweir import BINARY, SLOWNESS, cheap_hash, run
from harness.ports import eventually

HASHES = {
    "yescrypt": "$y$j75$mailweirtestsalt$",
    "bcrypt 2b": "$2b$04$mailweirmailweirmailwe",
    "bcrypt 2y": "$2y$04$mailweirmailweirmailwe",
    "sha512crypt": "$6$rounds=1000$mailweirtests$",
    "sha256crypt": "$5$rounds=1000$mailweirtests$",
}


def login(port, user, password, mechanism="PLAIN"):
    """The reply to a login on a connection of its own."""
    with Client(port, timeout=30) as client:
        client.greet()
        client.ehlo()
        return client.try_login(user, password, mechanism)


def crypted(setting):
    value = crypt.crypt("secret", setting)
    assert value and value.startswith(setting[:3]), setting
    return value


@pytest.mark.parametrize("kind", HASHES)
def test_hashes_that_other_tools_write(start_mailweir, mta, kind):
    weir = start_mailweir(mta, listeners=("plain",), users={"alice@example.org": crypted(HASHES[kind])})
    assert login(weir.plain, "alice@example.org", "secret").both == "235 2.7.0"
    assert login(weir.plain, "alice@example.org", "Secret").both == "535 5.7.8"
    assert login(weir.plain, "alice@example.org", "secret", "LOGIN").both == "235 2.7.0"


def test_scheme_prefixes_comments_and_blank_lines(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",), run=False)
    weir.users.write_text("# users\n\nalice@example.org:{SHA512-CRYPT}%s\nbob@example.org:{CRYPT}%s\n" % (cheap_hash("a"), cheap_hash("b")))
    weir.start()
    assert login(weir.plain, "alice@example.org", "a").code == 235
    assert login(weir.plain, "bob@example.org", "b").code == 235


def test_a_disabled_user_reads_like_a_wrong_password(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",), run=False)
    weir.users.write_text("alice@example.org:%s:disabled\nbob@example.org:!%s\n" % (cheap_hash("a"), cheap_hash("b")))
    weir.start()
    wrong = login(weir.plain, "nobody@example.org", "x")
    assert wrong.code == 535
    assert login(weir.plain, "alice@example.org", "a").raw == wrong.raw
    assert login(weir.plain, "bob@example.org", "b").raw == wrong.raw
    assert weir.wait_event("auth", user="alice@example.org")["result"] == "disabled"


def test_passwd_makes_a_user_that_can_log_in_at_once(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",))
    before = weir.users.stat()
    text = weir.users.read_text()
    assert login(weir.plain, "dora@example.org", "new word").code == 535
    done = run("passwd", "dora@example.org", "--file", weir.users, data="new word\n")
    assert done.returncode == 0, done.stderr
    after = weir.users.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert weir.users.read_text().startswith(text), "the lines of others were changed"
    assert "new word" not in weir.users.read_text()
    eventually(lambda: login(weir.plain, "dora@example.org", "new word").code == 235, 15 * SLOWNESS, "the new user can log in", pause=0.3)


def test_a_changed_password_counts_at_once_also_over_the_cache(start_mailweir, mta):
    weir = start_mailweir(mta, workers=2, listeners=("plain",))
    for _ in range(6):
        assert login(weir.plain, "alice@example.org", "secret").code == 235
    weir.write_users({"alice@example.org": "other"})
    eventually(lambda: login(weir.plain, "alice@example.org", "other").code == 235, 15 * SLOWNESS, "the new password counts", pause=0.3)
    assert {login(weir.plain, "alice@example.org", "secret").code for _ in range(6)} == {535}


def test_a_broken_users_file_keeps_the_last_good_one(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",))
    assert login(weir.plain, "alice@example.org", "secret").code == 235
    good = weir.users.read_text()
    fresh = weir.users.with_suffix(".bad")
    fresh.write_text("alice@example.org:not a hash\n")
    fresh.rename(weir.users)
    eventually(lambda: login(weir.plain, "bob@example.org", "sesame").code == 235 and "users:1:" in weir.stderr() + str(weir.events()),
               20 * SLOWNESS, "the fault is said", pause=0.3)
    assert login(weir.plain, "alice@example.org", "secret").code == 235
    fresh.write_text(good + "dora@example.org:%s\n" % cheap_hash("d"))
    os.chmod(fresh, 0o644)
    fresh.rename(weir.users)
    eventually(lambda: login(weir.plain, "dora@example.org", "d").code == 235, 20 * SLOWNESS, "the mended file is read", pause=0.3)


def test_unknown_and_wrong_take_the_same_time(start_mailweir, mta):
    cost = crypted("$2b$09$mailweirmailweirmailwe")
    weir = start_mailweir(mta, listeners=("plain",), users={"u%d@example.org" % n: cost for n in range(20)})
    times = {"wrong": [], "unknown": []}
    texts = set()
    for n in range(12):
        for kind, user in (("wrong", "u%d@example.org" % n), ("unknown", "v%d@example.org" % n)):
            with Client(weir.plain) as client:
                client.greet()
                client.ehlo()
                began = time.perf_counter()
                reply = client.try_login(user, "no %d" % n)
                times[kind].append(time.perf_counter() - began)
                texts.add(reply.raw)
    assert len(texts) == 1 and texts.pop().startswith(b"535 5.7.8 ")
    wrong, unknown = (sorted(times[kind])[len(times[kind]) // 2] for kind in ("wrong", "unknown"))
    assert 0.5 < wrong / unknown < 2, (wrong, unknown)
    assert min(wrong, unknown) > 0.002, "no hashing was done"


def test_the_cache_makes_the_next_login_cheap(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",), users={"alice@example.org": crypted("$2b$11$mailweirmailweirmailwe")})

    def seconds():
        began = time.perf_counter()
        assert login(weir.plain, "alice@example.org", "secret").code == 235
        return time.perf_counter() - began
    first, later = seconds(), sorted(seconds() for _ in range(7))
    assert later[3] < first / 4, (first, later)
    # A wrong password gains nothing by it.
    assert login(weir.plain, "alice@example.org", "secreT").code == 535


@pytest.mark.timeout(120)
def test_a_flood_of_logins_stalls_nobody(start_mailweir, mta):
    """More logins than can be hashed: 454 for those beyond the queue, never a stalled worker, never a wrong 535."""
    weir = start_mailweir(mta, workers=2, listeners=("plain",), server="timeout auth 3s",
                          users={"alice@example.org": crypted("$2b$10$mailweirmailweirmailwe"), "bob@example.org": "sesame"})
    stop, codes, lock = threading.Event(), [], threading.Lock()

    def flood(number):
        n = 0
        while not stop.is_set():
            n += 1
            try:
                code = login(weir.plain, "alice@example.org", "guess %d %d" % (number, n)).code
            except OSError:
                code = 0
            with lock:
                codes.append(code)

    with session(weir.plain, "plain", user="bob@example.org", password="sesame") as client:
        threads = [threading.Thread(target=flood, args=(n,)) for n in range(60)]
        for thread in threads:
            thread.start()
        try:
            slowest = 0.0
            for _ in range(20):
                began = time.monotonic()
                assert client.mail(message()).code == 250
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
    assert slowest < 1.5 * SLOWNESS, "a mail took %.1f s meanwhile" % slowest
    assert set(codes) <= {535, 454}, set(codes)
    assert login(weir.plain, "bob@example.org", "sesame").code == 235


def test_passwd_refuses_what_cannot_be(place):
    users = place / "users"
    for name in ("", "a:b", "tab\tname", "x" * 400):
        done = run("passwd", name, "--file", users, data="word\n")
        assert done.returncode in (1, 2) and done.stderr, name
    assert not users.exists()
    done = run("passwd", "alice@example.org", "--file", users, data="\n")
    assert done.returncode == 1 and done.stderr
    done = run("passwd", "alice@example.org", "--file", place / "no/such/folder/users", data="word\n")
    assert done.returncode == 1 and "no/such/folder" in done.stderr


def test_passwd_creates_a_file_that_only_its_owner_reads(place):
    users = place / "users"
    assert run("passwd", "alice@example.org", "--file", users, data="first\n").returncode == 0
    assert users.stat().st_mode & 0o777 == 0o600
    one = users.read_text()
    assert run("passwd", "bob@example.org", "--file", users, data="second\n").returncode == 0
    assert run("passwd", "alice@example.org", "--file", users, data="third\n").returncode == 0
    lines = users.read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["alice@example.org", "bob@example.org"]
    assert lines[0] + "\n" != one


def test_two_passwd_at_once_lose_nothing(place):
    users = place / "users"
    running = [subprocess.Popen([str(BINARY), "passwd", "u%d@example.org" % n, "--file", str(users)],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for n in range(8)]
    for process in running:
        _, error = process.communicate("word\n", timeout=60)
        assert process.returncode == 0, error
    assert sorted(line.split(":")[0] for line in users.read_text().splitlines()) == sorted("u%d@example.org" % n for n in range(8))

"""replay: past mails decided again. Its verdicts are those of a model of its own; a log replayed under the rules that
it was written under changes nothing."""
import json
import os
import random
import subprocess

import pytest

from harness import past
from harness.client import Client, Closed, message, session
from harness.mailweir import BINARY, run
from harness.mta import say

NO_RULES = "on mail { rule never reject if sender = \"nobody@nowhere.example\" }\n"


def replay(*arguments, **options):
    done = run("replay", *arguments, "--json", "--list", 1000000, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def rules(tmp_path):
    def write(text):
        file = tmp_path / "new.rules"
        file.write_text(text)
        return file
    return write


# ---- the same as a fresh simulation

HOUR, DAY, CONNECTIONS = 30, 40, 3
LIMITS = """
limit hour per user count recipients { %d/1h }
limit day per user count messages { %d/1d }
limit come per client count connections { %d/10m }
on rcpt { rule bad reject if rcpt.local in { r7, r77, r777 } }
""" % (HOUR, DAY, CONNECTIONS)


def simulate(events):
    """What becomes of each mail: id → (recipients accepted, who refused the whole). Another program than mailweir's."""
    hours, days, comes, turned_away, opened, fates = {}, {}, {}, set(), {}, {}
    for e in events:
        opened.setdefault(e["id"][:13], e["client"])
    moments = [(int(sum(past.DIGITS.index(c) << 5 * (12 - i) for i, c in enumerate(key)) >> 22) * 1000 + 999, 0, n, key)
               for n, key in enumerate(opened)]
    for n, e in enumerate(events):
        if e["event"] == "mail":
            moments.append((past.microseconds(e["time"]), 1, n, e))
    for us, is_mail, _, what in sorted(moments, key=lambda m: m[:3]):
        if not is_mail:
            window = comes.setdefault(opened[what], past.Window(CONNECTIONS, 600))
            if window.used(us) + 1 > CONNECTIONS:
                turned_away.add(what)
            else:
                window.add(us, 1)
            continue
        hour, day = hours.setdefault(what["user"], past.Window(HOUR, 3600)), days.setdefault(what["user"], past.Window(DAY, 86400))
        fates[what["id"]] = decide(what, us, hour, day, what["id"][:13] in turned_away)
    return fates


def decide(mail, us, hour, day, is_turned_away):
    if is_turned_away:
        return 0, "come"
    used = hour.used(us)
    if used + 1 > HOUR:
        return 0, "hour"
    if day.used(us) + 1 > DAY:
        return 0, "day"
    taken, by = 0, None
    for recipient in mail["recipients"]:
        if recipient.split("@")[0] in ("r7", "r77", "r777"):
            by = "bad"
        elif used + taken + 1 > HOUR:
            by = "hour"
        else:
            taken += 1
    if taken:
        hour.add(us, taken)
        day.add(us, 1)
    return taken, by if not taken else None


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_a_fresh_simulation(binary, tmp_path, rules, seed):
    events = past.traffic(seed, 4000, 60, 36 * 3600, clients=9)
    past.write(tmp_path / "events.jsonl", events)
    told = replay(tmp_path / "events.jsonl", "--rules", rules(LIMITS))
    changed = {m["id"]: (m["accepted_now"], m["now"]["by"] or None) for m in told["list"]}
    fates = simulate(events)
    wrong = {}
    for e in events:
        if e["event"] == "mail":
            now = changed.get(e["id"], (len(e["recipients"]), None))
            if now != fates[e["id"]]:
                wrong[e["id"]] = (e["time"], e["user"], now, fates[e["id"]])
    assert not wrong, list(wrong.items())[:5]
    refused = [by for _, by in fates.values() if by]
    assert {"hour", "day", "come", "bad"} == set(refused), "the traffic tries them all"
    assert told["mails"] == 4000 == told["then"]["accepted"] and told["now"]["refused"] == len(refused) == told["of_mails"]["newly_refused"]
    assert told["now"]["recipients"] == sum(taken for taken, _ in fates.values())
    by = {row["name"]: row["mails"]["newly_refused"] for row in told["by"]}
    assert {name: refused.count(name) for name in set(refused)} == {name: n for name, n in by.items() if n}
    assert sum(row["mails"]["newly_refused"] for row in told["users"]) == len(refused)


@pytest.mark.measures
def test_a_hundred_thousand_mails(binary, tmp_path, rules):
    """`bench/run.sh replay` measures; here only that it is nowhere near too slow. Half as many."""
    past.write(tmp_path / "events.jsonl", past.traffic(7, 50000, 2000, 86400))
    done = run("replay", tmp_path / "events.jsonl", "--rules", rules(LIMITS), timeout=20)
    assert done.returncode == 0 and done.stdout.startswith("50000 mails from 2026-01-05T12:0"), done


# ---- the same as the server

LIVE = """
table local domains { example.org }
limit heads per user count recipients { 9/1h }
limit size per client count bytes { 25K/1h }
limit guess per user, client count auth-failures { 5/1h }
limit lost per client count unknown-recipients { 12/1h  at 100% disconnect }
limit open per client count open-connections { 2 }
limit said-no per client count refusals { 400/1h }
on connect { rule banned reject if client = 127.0.0.66 }
on helo { rule liar reject if helo = "mail.example.org" }
on login { rule no-carol reject if user = "carol@example.org" }
on mail {
    rule own reject 553 5.7.1 "Not yours" if authenticated unless sender = user or sender.null
    rule bye disconnect if sender = "bye@example.com"
}
on rcpt {
    rule no-relay reject 550 5.7.1 "No" unless authenticated or rcpt.domain in local
    rule closed defer if rcpt.local = "closed"
}
on header { rule forged reject if authenticated and header.from != user }
on message { rule large reject if message.size > 30000 }
"""
PASSWORDS = {"alice@example.org": "secret", "bob@example.org": "sesame", "carol@example.org": "päss wörd"}


def unknown(connection, line):
    if b"nobody" in line:
        connection.write(b"550 5.1.1 unknown\r\n")
    else:
        connection.behave("RCPT", line)


def send_one(client, chance, user):
    sender = chance.choice([user or "x@example.com"] * 6 + ["bye@example.com" if not user else user, "other@example.org", ""])
    names = ["a", "b", "c", "nobody", "closed"]
    recipients = ["%s@%s" % (chance.choice(names), chance.choice(["example.org", "example.org", "example.net"])) for _ in range(chance.choice([1, 1, 2, 3]))]
    if client.command("MAIL FROM:<%s>" % sender).code != 250:
        return
    codes = [client.command("RCPT TO:<%s>" % r).code for r in recipients]
    if 250 not in codes:
        client.command("RSET")
    elif client.command("DATA").code == 354:
        body = message(sender=chance.choice([user or "x@example.com"] * 5 + ["forged@example.org"]))
        client.body(body + (b"x" * 78 + b"\r\n") * chance.choice([1, 1, 60, 400]))


def live_session(weir, chance):
    source = "127.0.0.%d" % chance.choice([1, 1, 2, 3, 4, 66])
    user = chance.choice([None, "alice@example.org", "bob@example.org", "carol@example.org"])
    with Client(weir.plain if user else weir.smtp, source=source) as client:
        if client.reply().code != 220:
            return
        if client.command("EHLO " + chance.choice(["c.example"] * 9 + ["mail.example.org"])).code != 250:
            return
        if user:
            for _ in range(chance.choice([0, 0, 0, 1, 2])):
                client.try_login(user, "wrong")
            if client.try_login(user, PASSWORDS[user]).code != 235:
                return
        for _ in range(chance.choice([1, 2, 3])):
            send_one(client, chance, user)
        client.quit()


def test_unchanged_rules_change_nothing(start_mailweir, mta):
    chance = random.Random(20260105)
    mta.on("RCPT", unknown)
    mta.on("DOT", say("550 5.7.1 not this one"), times=2)
    weir = start_mailweir(mta, rules=LIVE, listeners=("plain", "smtp"))
    for _ in range(150):
        try:
            live_session(weir, chance)
        except (Closed, OSError):
            pass
    held = [session(weir.plain, how="plain", user="alice@example.org", source="127.0.0.9") for _ in range(2)]
    with Client(weir.plain, source="127.0.0.9") as third:
        assert third.reply().code == 421
    for client in held:
        client.quit()
        client.close()
    weir.stop()
    events = weir.events()
    by = {e["by"] for e in events if e["event"] in ("mail", "connect", "auth") and "by" in e}
    missing = {"heads", "size", "guess", "open", "banned", "no-carol", "own", "no-relay", "large"} - by
    assert not missing, " ".join(missing)
    told = replay(weir.event_file, "-c", weir.config)
    same = {"newly_refused": 0, "newly_accepted": 0}
    assert told["list"] == [] and told["changed"] == 0, told["list"][:3]
    for what in ("of_mails", "of_logins", "of_connections"):
        assert {name: told[what][name] for name in same} == same, (told[what], [r for r in told["by"] if r])
        assert told[what]["still_refused"] > 0
    assert told["fewer_recipients"] == told["more_recipients"] == told["wrong_lines"] == 0
    mails = [e for e in events if e["event"] == "mail"]
    accepted = [e for e in mails if e["verdict"] == "accept"]
    assert told["mails"] == len(mails) and told["then"] == told["now"] and told["now"]["accepted"] == len(accepted)
    assert told["now"]["recipients"] == sum(e["accepted"] for e in accepted)
    # and without them what they refused passes, but for what the server behind said no to
    told = replay(weir.event_file, "--rules", write(weir.directory / "none.rules", NO_RULES))
    assert told["of_mails"]["newly_accepted"] == len([e for e in mails if e.get("by")]) and told["of_mails"]["newly_refused"] == 0
    assert told["now"]["refused"] == len([e for e in mails if e["verdict"] not in ("accept", "abort") and not e.get("by")])


def write(path, text):
    path.write_text(text)
    return path


def test_an_event_says_which_recipients_were_refused(start_mailweir, mta):
    mta.on("RCPT", unknown)
    weir = start_mailweir(mta, rules=LIVE, listeners=("plain", "smtp"))
    with Client(weir.smtp) as client:
        client.greet()
        client.ehlo()
        client.command("MAIL FROM:<x@example.com>")
        for name in ("nobody@example.org", "a@example.org", "b@example.net"):
            client.command("RCPT TO:<%s>" % name)
        client.command("DATA")
        assert client.body(message()).code == 250
        client.quit()
    event = weir.wait_event("mail")
    assert event["recipients"] == ["nobody@example.org", "a@example.org", "b@example.net"]
    assert event["refusals"] == [{"recipient": "nobody@example.org", "code": 550}, {"recipient": "b@example.net", "code": 550, "by": "no-relay"}]
    with Client(weir.plain) as client:
        client.greet()
        client.ehlo()
        client.try_login("carol@example.org", PASSWORDS["carol@example.org"])
    assert weir.wait_event("auth", result="limited")["at"] == "login"


# ---- logs

def log(tmp_path, name="events.jsonl", seed=3, mails=300):
    events = past.traffic(seed, mails, 10, 3600)
    past.write(tmp_path / name, events)
    return events


def totals(told):
    return {name: told[name] for name in ("then", "now", "of_mails", "by", "users", "mails")}


def test_rotated_files_in_any_order_and_standard_input(binary, tmp_path, rules):
    events = log(tmp_path)
    whole = totals(replay(tmp_path / "events.jsonl", "--rules", rules(LIMITS)))
    assert whole["now"]["refused"] > 50
    cut = len(events) // 3
    for n in range(3):
        past.write(tmp_path / ("events.%d" % n), events[n * cut:None if n == 2 else (n + 1) * cut])
    names = [tmp_path / ("events.%d" % n) for n in (2, 0, 1)]
    assert totals(replay(*names, "--rules", rules(LIMITS))) == whole
    # of two nodes side by side, one by standard input
    past.write(tmp_path / "odd", [e for n, e in enumerate(events) if n % 2])
    even = "".join(json.dumps(e) + "\n" for n, e in enumerate(events) if n % 2 == 0)
    assert totals(replay(tmp_path / "odd", "-", "--rules", rules(LIMITS), data=even)) == whole
    # a last line without its end, and one that is no event
    assert totals(replay("-", "--rules", rules(LIMITS), data="\n".join(json.dumps(e) for e in events))) == whole


def test_what_is_no_event_is_counted_and_said(binary, tmp_path, rules):
    events = log(tmp_path)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    lines[5:5] = ["not json", "{\"event\":\"mail\"}", "x" * 3000000, "", "{\"time\":\"2026-01-05T12:00:00Z\",\"event\":\"start\"}"]
    lines += ["[]"] * 10
    (tmp_path / "broken.jsonl").write_text("\n".join(lines) + "\n")
    done = run("replay", tmp_path / "broken.jsonl", "--rules", rules(NO_RULES))
    assert done.returncode == 0 and done.stdout.startswith("300 mails from")
    assert "note: 13 of %d lines were no event and passed over" % (len(events) + 15) in done.stdout
    said = done.stderr.splitlines()
    assert said[0].endswith("broken.jsonl:6: passed over: it is no JSON object")
    assert said[1].endswith("broken.jsonl:7: passed over: its \"time\" is none")
    assert said[2].endswith("broken.jsonl:8: passed over: the line is longer than an event can be")
    assert len(said) == 6 and said[5].endswith("passed over, too; of further ones only their number is said")


def test_text(binary, tmp_path, rules):
    log(tmp_path)
    done = run("replay", tmp_path / "events.jsonl", "--rules", rules(LIMITS + "on header { rule h reject if header[\"Subject\"] = \"x\" }\n"), "--list", 2)
    assert done.returncode == 0 and done.stderr == ""
    text = done.stdout
    for part in ("300 mails from 2026-01-05T12:0", "newly refused:", "limit hour", "  user", "the first 2 of them (--list N)",
                 "    then: accept", " at mail by ", "try again in",
                 "note: counts begin at zero: in the first 1d limits refuse less than the server would have",
                 "note: 1 rule or limit looks at the header, of which a log holds the address in From and the Message-ID only (what they refused then may seem newly accepted): h"):
        assert part in text, (part, text)
    assert text.count("    now: ") == 2
    quiet = run("replay", tmp_path / "events.jsonl", "--rules", rules(NO_RULES))
    assert "newly refused: 0 mails, 0 logins, 0 connections" in quiet.stdout and "then:" not in quiet.stdout and "note:" not in quiet.stdout


def test_nothing_from_the_log_reaches_the_terminal_raw(binary, tmp_path, rules):
    evil = past.mail(past.BEGINS_US + 1000, past.session_id(past.BEGINS_US, 1) + "-1", "a\x1b[2Jb@x", ["\x1b]0;r@x"], 100, text="\x07")
    past.write(tmp_path / "events.jsonl", [evil])
    done = run("replay", tmp_path / "events.jsonl", "--rules", rules("on mail { rule all reject \"No, ${user}\" }\n"))
    assert done.returncode == 0 and "1 mail fares differently" in done.stdout
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout


# ---- misuse

@pytest.mark.parametrize("words, said", [
    ([], "an event log is needed, or - for standard input"),
    (["--rules"], "--rules needs a value"),
    (["e", "-c", "x", "--rules", "y"], "-c and --rules name what to decide by: give one of them, once"),
    (["e", "--list"], "--list needs a value"),
    (["e", "--list", "-1"], "--list takes a number of mails, 0 to 1000000, not -1"),
    (["e", "--list", "1000001"], "--list takes a number of mails, 0 to 1000000, not 1000001"),
    (["e", "--user"], "unknown option --user"),
    (["-", "-"], "standard input is named twice"),
    (["e", "e"], "e is named twice"),
    (["e%d" % n for n in range(257)], "256 files at most"),
])
def test_usage(binary, words, said):
    done = run("replay", *words)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("mailweir replay: %s\nusage: mailweir replay EVENTS.jsonl... [OPTION...]\n" % said), done.stderr


def test_files_that_cannot_be_read(binary, tmp_path, rules):
    done = run("replay", tmp_path / "no.jsonl", "--rules", rules(NO_RULES))
    assert done.returncode == 1 and done.stderr == "mailweir replay: %s: No such file or directory\n" % (tmp_path / "no.jsonl")
    done = run("replay", tmp_path, "--rules", rules(NO_RULES))
    assert done.returncode == 1 and done.stderr == "mailweir replay: %s: a directory; the event log is a file in it\n" % tmp_path
    log(tmp_path)
    done = run("replay", tmp_path / "events.jsonl", "--rules", rules("on mail { rule x rejekt }\n"))
    assert done.returncode == 1 and "new.rules:1:18: error:" in done.stderr and done.stdout == ""
    done = run("replay", tmp_path / "events.jsonl", "--rules", tmp_path / "absent.rules")
    assert done.returncode == 1 and "absent.rules" in done.stderr


def test_an_empty_log(binary, tmp_path, rules):
    (tmp_path / "empty").write_text("")
    done = run("replay", tmp_path / "empty", "--rules", rules(NO_RULES))
    assert done.returncode == 0 and done.stdout.startswith("0 mails, decided again by ")
    told = replay(tmp_path / "empty", "--rules", rules(NO_RULES))
    assert told["mails"] == 0 and told["from"] is None and told["list"] == []


@pytest.mark.measures
def test_its_memory_is_bounded(binary, tmp_path, rules):
    """A log of many megabytes, again and again: it only grows older. What is held of it, and the counts, have a bound."""
    past.write(tmp_path / "events.jsonl", past.traffic(5, 60000, 500, 86400))
    text = (tmp_path / "events.jsonl").read_bytes()
    assert len(text) > 45 << 20
    with subprocess.Popen([str(BINARY), "replay", "-", "--rules", str(rules(LIMITS))], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        for _ in range(4):
            child.stdin.write(text)
        child.stdin.close()
        assert child.stdout.read().startswith(b"240000 mails")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0 and usage.ru_maxrss < 400 * 1024, usage.ru_maxrss

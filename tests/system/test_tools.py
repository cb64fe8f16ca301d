"""The tools for those who write rules: fmt, language, check --json."""
import json
import os
import shutil
import subprocess

import pytest

from harness.mailweir import BINARY, ROOT, run

UNTIDY = """\
\ufeffhostname   mail.example.org;max-errors 5# why\r
on rcpt {rule a reject 550 "no" unless authenticated
    # own


  rule b drop if
 client in{10.0.0.0/8,192.168.0.0/16}  and not tls }
limit l per user count messages{10/1h,100/1d at 50% log}
"""
TIDY = """\
hostname mail.example.org
max-errors 5  # why
on rcpt {
    rule a reject 550 "no" unless authenticated
    # own

    rule b drop
        if client in { 10.0.0.0/8, 192.168.0.0/16 } and not tls
}
limit l per user count messages { 10/1h, 100/1d  at 50% log }
"""
GOOD = """
hostname mail.example.org
listen submission 127.0.0.1:2587
tls certificate "cert.pem" key "key.pem"
auth file "users"
relay to 127.0.0.1:10025
on rcpt { rule no-relay reject unless authenticated }
"""


# -- fmt


def test_fmt_prints_and_leaves_the_file_alone(place):
    file = place / "a.rules"
    file.write_bytes(UNTIDY.encode())
    done = run("fmt", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, TIDY, "")
    assert file.read_bytes() == UNTIDY.encode()


def test_fmt_w_keeps_mode_and_owner_and_what_is_right(place):
    file, link = place / "a.rules", place / "link.rules"
    file.write_bytes(UNTIDY.encode())
    file.chmod(0o640)
    link.symlink_to("a.rules")
    if os.getuid() == 0:
        os.chown(file, 65534, 65534)
    before = file.stat()
    done = run("fmt", "-w", link)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    after = file.stat()
    assert file.read_text() == TIDY and link.is_symlink()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert run("fmt", "-w", file).returncode == 0
    assert file.stat().st_ino == after.st_ino and file.stat().st_mtime_ns == after.st_mtime_ns, "written, though nothing changed"
    assert sorted(path.name for path in place.iterdir() if "rules" in path.name) == ["a.rules", "link.rules"]


def test_fmt_of_a_file_that_differs_by_its_byte_order_mark_only(place):
    (place / "a.rules").write_bytes(b"\xef\xbb\xbfmax-errors 5\n")
    assert run("fmt", "-w", place / "a.rules").returncode == 0
    assert (place / "a.rules").read_bytes() == b"max-errors 5\n"


def test_fmt_leaves_a_wrong_file_and_goes_on_with_the_next(place):
    wrong, right = place / "wrong.rules", place / "right.rules"
    wrong.write_text("max-errors   5\non rcpt { rule a rejekt }\n")
    right.write_text("max-errors   5")
    done = run("fmt", "-w", wrong, place / "nowhere.rules", right)
    assert done.returncode == 1 and not done.stdout
    assert 'wrong.rules:2:18: error: unknown action "rejekt"' in done.stderr and 'did you mean "reject"?' in done.stderr
    assert "nowhere.rules" in done.stderr and "No such file" in done.stderr
    assert wrong.read_text() == "max-errors   5\non rcpt { rule a rejekt }\n"
    assert right.read_text() == "max-errors 5\n"


def test_fmt_reads_no_included_file(place):
    (place / "a.rules").write_text('include   "nowhere.rules"\n')
    done = run("fmt", place / "a.rules")
    assert done.returncode == 0 and done.stdout == 'include "nowhere.rules"\n'


def test_fmt_cannot_write(place):
    """No room for the name of the new file beside it: what is there stays."""
    file = place / ("a" * 244 + ".rules")
    file.write_text("max-errors   5\n")
    done = run("fmt", "-w", file)
    assert done.returncode == 1 and "mailweir fmt: " in done.stderr and not done.stdout
    assert file.read_text() == "max-errors   5\n" and len(list(place.iterdir())) == 1


@pytest.mark.parametrize("arguments", ([], ["-w"], ["--no-such-option", "x"]), ids=" ".join)
def test_fmt_usage(arguments):
    done = run("fmt", *arguments)
    assert done.returncode == 2 and "usage: mailweir fmt [-w] FILE..." in done.stderr and not done.stdout


def test_fmt_of_a_large_table_is_quick(place):
    file = place / "large.rules"
    file.write_text("table t addresses { " + ", ".join("user%d@example.org" % i for i in range(200000)) + " }\n")
    done = run("fmt", "-w", file)
    assert done.returncode == 0
    lines = file.read_text().splitlines()
    assert len(lines) == 200002 and lines[1] == "    user0@example.org," and lines[-1] == "}"


@pytest.mark.parametrize("file", sorted((ROOT / "lua-free-rules").glob("*.rules")), ids=lambda path: path.name)
def test_fmt_of_what_is_shipped_means_the_same(place, file):
    shutil.copytree(file.parent, place, dirs_exist_ok=True) # what they include, and the files of tables
    copy = place / file.name
    before = run("check", "--json", copy)
    assert run("fmt", "-w", copy).returncode == 0
    after = run("check", "--json", copy)
    assert before.returncode == after.returncode == 0
    assert json.loads(before.stdout)["warnings"] == [] or len(json.loads(before.stdout)["warnings"]) == len(json.loads(after.stdout)["warnings"])


# -- language


def test_language_overview():
    done = run("language")
    assert done.returncode == 0 and not done.stderr
    for word in ("max-message", "rcpt.domain", "open-connections", "quarantine", "netmap", "is none", "DURATION"):
        assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_language_of_a_word():
    done = run("language", "rcpt")
    assert done.returncode == 0
    for head in ("phase: rcpt", "attribute: rcpt", "limit key: rcpt", "test step: rcpt to ADDRESS"):
        assert head in done.stdout
    assert "known       at rcpt only" in done.stdout
    assert run("language", "store", "redis").stdout == run("language", "store redis").stdout != ""
    assert "counts, bans and what operators allowed survive a restart" in run("language", "persist").stdout


def test_language_knows_what_check_refuses(place):
    """What the overview stars as not in force is what `check` refuses by name."""
    (place / "a.rules").write_text("on rcpt { rule x tarpit 5s }\n")
    refused = "not in force" in run("check", place / "a.rules").stderr
    assert ("\n  tarpit* " in run("language").stdout) == refused


def test_language_of_an_unknown_word():
    done = run("language", "rcpt.domian")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == 'mailweir language: there is no word "rcpt.domian"; did you mean "rcpt.domain"?\n'


@pytest.mark.parametrize("arguments", (["language"], ["language", "idle"], ["help"]), ids=" ".join)
def test_what_cannot_be_written_is_said(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(BINARY)] + arguments, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode != 0 and "No space left" in done.stderr


# -- check --json


def test_check_json_of_a_good_file(place):
    (place / "mailweir.conf").write_text(GOOD)
    done = run("check", "--json", place / "mailweir.conf")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and not done.stderr
    assert answer["ok"] is True and answer["errors"] == [] and answer["file"] == str(place / "mailweir.conf")
    assert answer["starter_policy"] is False
    assert any("cert.pem" in warning["message"] for warning in answer["warnings"])


def test_check_json_of_a_wrong_file(place):
    file = place / "a.rules"
    file.write_text("limt l per user count messages { 10/1h }\non rcpt { rule a reject unless recipient.domain in nets }\ntable\n")
    done = run("check", file, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 1 and not done.stderr and answer["ok"] is False
    assert "starter_policy" not in answer
    assert answer["errors"][0] == {"file": str(file), "line": 1, "col": 1, "len": 4, "message": 'unknown statement "limt"',
                                   "hint": 'did you mean "limit"?'}
    assert [(error["line"], error["col"]) for error in answer["errors"]] == sorted((error["line"], error["col"]) for error in answer["errors"])
    assert answer["errors"][-1]["len"] == 0 and answer["errors"][-1]["hint"] is None


def test_check_json_of_what_stands_nowhere(place):
    answer = json.loads(run("check", "--json", place / "nowhere.conf").stdout)
    (error,) = answer["errors"]
    assert answer["ok"] is False and (error["file"], error["line"], error["col"], error["len"]) == (None,) * 4
    assert "nowhere.conf" in error["message"]


def test_check_json_is_json_whatever_the_file_holds(place):
    file = place / "odd.rules"
    file.write_bytes(b"max-errors \xff\x01 5\nuser \"\xc3\x28\n")
    done = run("check", "--json", file)
    assert done.returncode == 1 and json.loads(done.stdout)["errors"]


def test_check_json_holds_more_errors_than_are_printed(place):
    (place / "many.rules").write_text("nonsense\n" * 60)
    assert len(json.loads(run("check", "--json", place / "many.rules").stdout)["errors"]) == 60
    assert run("check", place / "many.rules").stderr.count("error:") == 50

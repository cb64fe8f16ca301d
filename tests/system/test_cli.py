"""The command line: right words, right streams, right exit codes."""
import pathlib
import re

import pytest

from harness.mailweir import run

ROOT = pathlib.Path(__file__).resolve().parents[2]

GOOD = """
hostname mail.example.org
listen submission 127.0.0.1:2587
tls certificate "cert.pem" key "key.pem"
auth file "users"
relay to 127.0.0.1:10025
on rcpt { rule no-relay reject unless authenticated }
"""


def test_version_and_help():
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("mailweir ") and not done.stderr
    done = run("--help")
    assert done.returncode == 0 and not done.stderr
    for word in ("serve", "check", "passwd"):
        assert word in done.stdout
        assert run("help", word).returncode == 0


@pytest.mark.parametrize("arguments", ([], ["no-such-command"], ["serve", "--no-such-option"], ["serve", "-c"], ["check", "a", "b"], ["passwd"]),
                         ids=" ".join)
def test_wrong_usage_is_2_and_says_the_right_one(arguments):
    done = run(*arguments)
    assert done.returncode == 2, done
    assert "mailweir" in done.stderr and not done.stdout


def test_check_of_a_good_file(place):
    (place / "mailweir.conf").write_text(GOOD)
    done = run("check", place / "mailweir.conf")
    assert done.returncode == 0, done.stderr
    # What is missing on this machine only is a warning.
    assert "warning" in done.stdout + done.stderr and "cert.pem" in done.stdout + done.stderr


def test_check_tells_all_errors_with_their_places(place):
    (place / "mailweir.conf").write_text("hostname mail.example.org\nlisen submission 127.0.0.1:2587\n"
                                         "on rcpt {\n    rule a reject unless recipient.domain in nets\n    rule b rejekt\n}\nmax-errors 0\n")
    done = run("check", place / "mailweir.conf")
    assert done.returncode == 1
    text = done.stdout + done.stderr
    name = str(place / "mailweir.conf")
    for line in (name + ':2:1: error: unknown statement "lisen"', name + ':4:26: error: unknown attribute "recipient.domain"',
                 name + ':5:12: error: unknown action "rejekt"', name + ":7:12: error: max-errors must be from 1 to 10000, not 0"):
        assert line in text, text
    assert 'did you mean "listen"?' in text and 'did you mean "rcpt.domain"?' in text
    assert text.index(":2:1:") < text.index(":4:26:") < text.index(":5:12:") < text.index(":7:12:")


@pytest.mark.parametrize("statement,word", (
    ("milter rspamd 127.0.0.1:11332", "milter"), ("metrics 127.0.0.1:9100", "metrics"),
    ("auth dovecot unix:/run/dovecot/auth", "dovecot"), ("auth pam \"smtp\"", "pam"),
    ("dashboard 127.0.0.1:8080", "dashboard"), ("listen smtp 127.0.0.1:2590 { proxy from 10.0.0.0/8 }", "proxy")))
def test_what_is_not_yet_in_force_is_refused_by_name(place, statement, word):
    (place / "mailweir.conf").write_text(GOOD + statement + "\n")
    done = run("check", place / "mailweir.conf")
    text = done.stdout + done.stderr
    assert done.returncode == 1, "accepted, though it does nothing yet: " + statement
    assert word in text and "mailweir.conf:8:" in text, text


def test_check_of_a_rules_file_alone(place):
    (place / "x.rules").write_text('limit user-hour per user count recipients { 200/1h }\non mail { rule x reject if sender.domain = "a.example" }\n')
    assert run("check", place / "x.rules").returncode == 0


@pytest.mark.parametrize("path", [ROOT / "tests/rules/good/tested.rules", *sorted((ROOT / "lua-free-rules").glob("*.rules"))],
                         ids=lambda path: path.name)
def test_the_tests_of_shipped_rules_are_met(path):
    done = run("check", path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert re.search(r"[1-9]\d* tests?\)", done.stdout), "no tests in it: " + done.stdout


def test_shipped_tests_hold_under_other_numbers(place):
    """Whoever raises or lowers a number by `set` need not touch the file's tests."""
    names = re.findall(r"^parameter ([\w-]+) +\d+ ", "".join(path.read_text() for path in (ROOT / "lua-free-rules").glob("*.rules")), re.M)
    names = [name for name in names if not name.startswith(("bulk-", "inbound-"))]
    assert len(names) > 15
    settings = ["".join("set %s %d\n" % (name, number) for name in names) for number in (2, 700)]
    settings += ["set %s %d\n" % (name, number) for name in names for number in (3, 500 if "guesses" in name else 5000)]
    settings += ["set from-enforced true\n", "set resent-allowed false\n", "set slow-down 60s\n"]
    for number, sets in enumerate(settings):
        (place / ("%d.rules" % number)).write_text('include "%s"\n%s' % (ROOT / "lua-free-rules/submission.rules", sets))
        done = run("check", place / ("%d.rules" % number))
        assert done.returncode == 0, sets + done.stderr


@pytest.mark.parametrize("line", ("disable user-messages", "observe user-messages outbreak-people", "disable no-relay"))
def test_the_tests_of_a_file_that_is_tuned_from_elsewhere_are_left_out(place, line):
    (place / "x.rules").write_text('include "%s"\n%s\n' % (ROOT / "lua-free-rules/submission.rules", line))
    done = run("check", place / "x.rules")
    assert done.returncode == 0 and re.search(r"^\d more tests were not run: another file disables or observes", done.stdout, re.M), done
    # one's own tests are run, whatever the file they stand in switches off
    (place / "y.rules").write_text('on mail { rule a reject }\ndisable a\ntest "t" { expect reject by a }\n')
    assert run("check", place / "y.rules").returncode == 1
    (place / "z.rules").write_text('include "y2.rules" observe\n')
    (place / "y2.rules").write_text('on mail { rule a reject }\ntest "t" { expect reject by a }\n')
    done = run("check", place / "z.rules")
    assert done.returncode == 0 and "1 more test was not run" in done.stdout, done


def test_check_runs_the_tests_of_a_file(place):
    rules = place / "x.rules"
    rules.write_text('on mail { rule x reject if sender.domain = "a.example" }\n'
                     'test "one" { mail from b@a.example  expect reject 550 at mail by x }\n'
                     'test "two" { expect accept }\n')
    done = run("check", rules)
    assert done.returncode == 0 and "2 tests" in done.stdout, done
    rules.write_text(rules.read_text().replace("expect accept", "expect defer"))
    done = run("check", rules)
    assert done.returncode == 1
    assert str(rules) + ':3:14: error: test "two": expected defer, got accept' in done.stderr, done.stderr
    # Tests run only if nothing else is wrong.
    rules.write_text(rules.read_text() + "max-errors 0\n")
    done = run("check", rules)
    assert done.returncode == 1 and "max-errors must be" in done.stderr and 'test "two"' not in done.stderr


def test_check_shows_the_starter_policy_when_there_is_no_rule(place):
    (place / "mailweir.conf").write_text(GOOD.rsplit("on rcpt", 1)[0])
    done = run("check", place / "mailweir.conf")
    assert done.returncode == 0
    assert "submission.rules" in done.stdout + done.stderr or "starter" in done.stdout + done.stderr


def test_check_of_a_file_that_is_not_there(place):
    done = run("check", place / "nowhere.conf")
    assert done.returncode == 1 and "nowhere.conf" in done.stderr + done.stdout


def test_include_and_tables_from_files(place):
    (place / "rules").mkdir()
    (place / "rules" / "a.rules").write_text('table local domains "local.txt"\non rcpt { rule r reject unless rcpt.domain in local }\n')
    (place / "rules" / "local.txt").write_text("# ours\nexample.org\n.example.net\n")
    (place / "mailweir.conf").write_text(GOOD.rsplit("on rcpt", 1)[0] + 'include "rules/*.rules"\n')
    assert run("check", place / "mailweir.conf").returncode == 0
    (place / "rules" / "local.txt").write_text("example.org\nnot a domain\n")
    done = run("check", place / "mailweir.conf")
    assert done.returncode == 1 and "local.txt:2:" in done.stdout + done.stderr


def test_auth_in_the_clear_is_refused_off_loopback(place):
    (place / "mailweir.conf").write_text(GOOD + "listen submission 0.0.0.0:2588 { name open  tls off }\n")
    done = run("check", place / "mailweir.conf")
    assert done.returncode == 1
    assert "tls off with auth is possible on loopback addresses only" in done.stdout + done.stderr

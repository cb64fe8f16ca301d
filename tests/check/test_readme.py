"""What README.md and doc/rules.md say can be done can be done: their examples pass `mailweir check`, commands and files exist."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness.redis_servers import ACL  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BINARY = os.environ.get("MAILWEIR", str(ROOT / "build/release/mailweir"))


CLUSTER = (ROOT / "doc/cluster.md").read_text(encoding="utf-8")
RULES = (ROOT / "doc/rules.md").read_text(encoding="utf-8")


def blocks(language, page=README):
    return re.findall(r"^```%s\n(.*?)^```$" % language, page, re.M | re.S)


def mailweir(*arguments, **options):
    return subprocess.run([BINARY] + [str(a) for a in arguments], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, **options)


@pytest.mark.parametrize("number", range(len(blocks("mailweir"))))
def test_configurations(tmp_path, number):
    file = tmp_path / "mailweir.conf"
    file.write_text(blocks("mailweir")[number])
    done = mailweir("check", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", range(len(blocks("mailweir", RULES))))
def test_examples_of_the_language(tmp_path, number):
    """Each is a whole file; what it reads stands on the page under its name. Its tests are met."""
    for name, text in re.findall(r"^```text (\S+)\n(.*?)^```$", RULES, re.M | re.S):
        (tmp_path / name).write_text(text)
    file = tmp_path / "example.conf"
    file.write_text(blocks("mailweir", RULES)[number])
    done = mailweir("check", file)
    assert done.returncode == 0, done.stdout + done.stderr
    warnings = [line for line in done.stderr.splitlines() if "warning" in line and "No such file" not in line and not re.search("nobody can log in|there is no user", line)]
    assert not warnings, warnings
    assert " 0 tests" not in done.stdout, "an example without a test: " + done.stdout


@pytest.mark.parametrize("number", range(len(blocks("mailweir", CLUSTER))))
def test_statements_of_the_store(tmp_path, number):
    file = tmp_path / "store.conf"
    file.write_text("listen smtp 127.0.0.1:2525\nrelay to 127.0.0.1:10025\n" + blocks("mailweir", CLUSTER)[number])
    done = mailweir("check", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_acl_is_the_one_that_is_tested():
    """The tests run with a user who may do no more than what the page says."""
    told = re.search(r"^user mailweir on >PASSWORD (resetkeys .*)$", CLUSTER, re.M).group(1)
    assert set(told.split()) == set(re.sub(r"\s+", " ", ACL).split())
    # And the one that the keeper holds Redis against.
    asked = re.findall(r'^ACL\(\w+, "([^"]+)"', (ROOT / "src/limits/acl.def").read_text(), re.M)
    assert ["+" + word for word in asked if word != "info"] == [word for word in told.split() if word.startswith("+") and word != "+info"]


def test_every_word_of_the_language_has_its_place():
    """Statements, actions, units, keys, table types, steps: what the program knows stands on the page."""
    said = mailweir("language").stdout
    words = re.findall(r"^  ([a-z][a-z.-]*(?: [a-z-]+)*)(?:  |\()", said, re.M)
    assert len(words) > 100
    later = set(re.findall(r"^  ([a-z][a-z. -]*?)\*", said, re.M))
    missing = [word for word in words if word not in later and word != "true false on off" and not re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(word), RULES)]
    assert not missing, missing


def test_there_is_a_whole_configuration():
    assert any("listen submission" in block and "relay to" in block for block in blocks("mailweir"))


def test_commands_exist():
    words = set(re.findall(r"^(?:sudo )?mailweir ([a-z]+)", "\n".join(blocks("sh")), re.M)) | set(re.findall(r"`mailweir ([a-z]+)", README))
    said = mailweir("--help").stdout
    assert {"serve", "check", "passwd"} <= words
    there = set(re.findall(r"^  mailweir ([a-z]+) ", said, re.M))
    assert words <= there, "README has %s, the program does not" % (words - there)
    told = set(re.findall(r"`mailweir ([a-z]+)", README))
    assert there - {"help"} <= told, "README does not tell of %s" % (there - told)


def test_files_and_options_exist():
    for path in set(re.findall(r"`((?:src|tests|deploy|bench|doc|lua-free-rules)/[\w./-]*)`", README)):
        assert (ROOT / path).exists(), path
    for script, option in re.findall(r"((?:tests|deploy|bench)/[\w-]+\.sh) (--[a-z]+)", README):
        assert option in (ROOT / script).read_text(), "%s has no %s" % (script, option)

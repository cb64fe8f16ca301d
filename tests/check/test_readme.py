"""What README.md says can be done can be done: its configurations pass `mailweir check`, its commands and files exist."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BINARY = os.environ.get("MAILWEIR", str(ROOT / "build/release/mailweir"))


def blocks(language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, README, re.M | re.S)


def mailweir(*arguments, **options):
    return subprocess.run([BINARY] + [str(a) for a in arguments], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, **options)


@pytest.mark.parametrize("number", range(len(blocks("mailweir"))))
def test_configurations(tmp_path, number):
    file = tmp_path / "mailweir.conf"
    file.write_text(blocks("mailweir")[number])
    done = mailweir("check", file)
    assert done.returncode == 0, done.stdout + done.stderr


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

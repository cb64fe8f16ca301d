"""Tables are what the program is made of: no row without a use, no command without a conversation, no script that does not parse."""
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"


def text_of(*patterns, under=SRC):
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for pattern in patterns for path in sorted(under.glob(pattern)))


def rows(path, macro):
    """The first word of every row of a .def file."""
    found = re.findall(r"^%s\((\w+)" % macro, (SRC / path).read_text(encoding="utf-8"), re.M)
    assert found, "%s has no row of %s()" % (path, macro)
    return found


def test_every_reply_is_given_by_somebody():
    code = text_of("*/*.c", "*/*.h")
    unused = [name for name in rows("smtp/replies.def", "REPLY") if not re.search(r"\bREPLY_%s\b" % name, code)]
    assert not unused, "rows of smtp/replies.def that nobody uses: %s" % unused


def test_every_counter_is_counted():
    code = text_of("*/*.c")
    unused = [name for name in rows("stats/counters.def", "COUNTER") if not re.search(r"\bCOUNTER_%s\b" % name, code)]
    assert not unused, "rows of stats/counters.def that nobody counts: %s" % unused


def test_every_command_has_a_conversation():
    header = (SRC / "smtp/command.h").read_text()
    verbs = re.findall(r"\bVERB\((\w+)\)", header[header.index("#define SMTP_VERBS"):header.index("enum smtp_verb")])
    spoken = {line[3:].split()[0].upper() for path in (ROOT / "tests/dialogues").glob("*.smtp")
              for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"C[:>] \w", line)}
    states = (ROOT / "tests/system/test_states.py").read_text()
    missing = [verb for verb in verbs if verb not in spoken and '"%s' % verb not in states]
    assert len(verbs) > 10 and not missing, missing


def test_every_parser_has_a_fuzzer():
    """Bytes of strangers are read by smtp/, rules/, auth/ (messages, users file) and mta/ (replies)."""
    names = {path.stem for path in (ROOT / "tests/fuzz").glob("fuzz_*.c")}
    for word in ("command", "address", "params", "reply", "dot", "header", "sasl", "rules"):
        assert any(word in name for name in names), "no fuzzer for %s among %s" % (word, sorted(names))


SCRIPTS = sorted(path for folder in ("deploy", "tests", "bench", ".ci") for path in (ROOT / folder).glob("*")
                 if path.is_file() and path.read_bytes()[:2] == b"#!")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_parse_and_can_be_run(script):
    assert script.stat().st_mode & 0o111, "%s is not executable" % script
    first = script.read_text().splitlines()[0]
    if "bash" in first or first.endswith("/sh"):
        done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr


def test_files_keep_their_size():
    """A file of more than 600 lines has a second module inside."""
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SRC.glob("*/*.[ch]")}
    assert not {name: lines for name, lines in long.items() if lines > 600}

"""tests/rules/: what `mailweir check` says of whole files. good/ has tests of its own, which must be met; of bad/ every word is expected."""
import re

import pytest

from harness.mailweir import ROOT, run

GOOD = sorted([*(ROOT / "tests/rules/good").glob("*.rules"), *(ROOT / "tests/rules/good").glob("*.conf")])
BAD = sorted([*(ROOT / "tests/rules/bad").glob("*.rules"), *(ROOT / "tests/rules/bad").glob("*.conf")])
NOT_IN_FORCE = re.compile(r'error: "([^"]+)" is not in force in this version')


def check(file):
    """The answer, with places as the folder's files are named in it. What waits for a part of the language that is refused by name cannot
    be run yet."""
    done = run("check", file.relative_to(ROOT / "tests/rules"), cwd=ROOT / "tests/rules")
    waits_for = sorted(set(NOT_IN_FORCE.findall(done.stderr)))
    if waits_for:
        pytest.skip("waits for " + ", ".join(waits_for))
    return done


@pytest.mark.parametrize("file", GOOD, ids=lambda path: path.name)
def test_good(file):
    done = check(file)
    assert done.returncode == 0, done.stderr
    assert re.search(r"[1-9]\d* tests?\)", done.stdout), "no tests in it: " + done.stdout
    if file.suffix == ".rules":  # what is missing on this machine only is a warning of the other
        assert not done.stderr


@pytest.mark.parametrize("file", BAD, ids=lambda path: path.name)
def test_bad(file):
    done = check(file)
    assert done.returncode == 1
    assert done.stderr == file.with_suffix(".expected").read_text()

"""Counts test results: summary.py ctest LOG | junit XML; prints "PASSED FAILED SKIPPED". Shows what failed on stderr.

A cmocka program counts as many tests as it says it ran. One that ended badly without saying which test failed (a crash,
a sanitizer's report, a deadline) counts as one more failure.
"""
import re
import sys
import xml.etree.ElementTree


def of_ctest(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    outputs, passed, failed = {}, 0, 0
    for number, line in re.findall(r"^(\d+): (.*)$", text, re.M):
        if line.startswith("Test command:"):
            outputs[number] = [] # perhaps its second try: that one counts
        outputs.setdefault(number, []).append(line)
    found = re.findall(r"^ *(?:\d+/\d+)? +Test +#(\d+): +(\S+) +\.*(.*?) +[\d.]+ sec", text, re.M)
    results = {number: (name, result) for number, name, result in found}
    for number, (name, result) in results.items():
        lines = outputs.get(number, [])
        good = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", "\n".join(lines), re.M))
        bad = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) test", "\n".join(lines), re.M))
        if "Passed" in result:
            passed += good or 1
            continue
        passed, failed = passed + good, failed + (bad or 1)
        print("-- %s: %s" % (name, result.strip(" *.")), file=sys.stderr)
        print("\n".join(line for line in lines[-80:] if not re.match(r"\[ +(RUN|OK) +\]", line)), file=sys.stderr)
    if not results:
        print(text[-4000:], file=sys.stderr)
        failed = 1
    return passed, failed, 0


def of_junit(path):
    passed = failed = skipped = 0
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed, skipped = failed + bad, skipped + int(suite.get("skipped", 0))
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    return passed, failed, skipped


if __name__ == "__main__":
    kinds = {"ctest": of_ctest, "junit": of_junit}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(*kinds[sys.argv[1]](sys.argv[2]))

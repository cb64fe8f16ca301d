"""Measures `mailweir replay`: an event log of 100,000 mails, decided again under other limits. CPU seconds of the process
count, of the fastest of three runs; the time on the clock is printed beside them, and says more of what else runs."""
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/system"))

from harness import past  # noqa: E402

BINARY = HERE.parent / "build/release/mailweir"
MAILS, ROUNDS, BOUND_S = 100000, 3, 5.0
RULES = """
limit hour per user count recipients { 30/1h }
limit day per user count messages { 100/1d }
limit volume per user count bytes { 5M/1d }
limit new per client count connections { 60/1m }
limit open per client count open-connections { 20 }
on mail { rule own reject unless sender = user }
on rcpt { rule login reject unless authenticated }
"""


def run(log, rules):
    """(CPU seconds, seconds, the first lines of what it said) of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([BINARY, "replay", log, "--rules", rules, "--list", "0"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0 or not done.stdout.startswith("%d mails " % MAILS):
        raise SystemExit("bench: replay: " + done.stderr + done.stdout)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, took, done.stdout


def main():
    with tempfile.TemporaryDirectory(prefix="mailweir-bench-") as place:
        log, rules = pathlib.Path(place, "events.jsonl"), pathlib.Path(place, "new.rules")
        rules.write_text(RULES)
        events = past.traffic(1, MAILS, 2000, 86400)
        past.write(log, events)
        cpu, took, said = min(run(log, rules) for _ in range(ROUNDS))
        newly = next(line for line in said.splitlines() if line.startswith("newly refused"))
        print("replay: %d mails, %d events, %.0f MB: %.2f s of CPU (at most %g), %.2f s on the clock; %.1f us a mail; %s"
              % (MAILS, len(events), log.stat().st_size / 1e6, cpu, BOUND_S, took, cpu / MAILS * 1e6, newly))
        if cpu > BOUND_S:
            raise SystemExit("bench: replay is too slow")


if __name__ == "__main__":
    main()

"""`store memory { persist on }`: counts and bans survive a restart of the service, and its death."""
import os
import signal

import pytest

from harness.client import Client, message, session
from harness.mailweir import PLAIN_RULES

KEPT = "store memory { entries 2048  persist on }"
RULES = PLAIN_RULES + """
limit pace per user count messages { 2/1h }
limit open per client count open-connections { 2 }
on helo { rule away ban client 1h "go away" if helo = "banned.example" }
"""


def codes(weir, count):
    with session(weir.plain, "plain") as client:
        return [client.mail(message()).code for _ in range(count)]


def is_banned(weir):
    with Client(weir.smtp) as client:
        return client.is_closed()


@pytest.mark.parametrize("how", ("told to stop", "killed"))
def test_counts_and_bans_survive(start_mailweir, mta, how):
    weir = start_mailweir(mta, listeners=("plain", "smtp"), rules=RULES, server=KEPT)
    held = Client(weir.smtp)  # an open connection does not survive: the two places are free again
    assert codes(weir, 1) == [250]
    if how == "killed":
        weir.kill()
    else:
        assert weir.stop() == 0
    held.close()
    weir.start(wait=False)
    weir.wait_event("start", count=2)
    assert codes(weir, 2) == [250, 450]
    with Client(weir.smtp) as client:
        client.greet()
        client.command("EHLO banned.example")
    assert weir.stop() == 0
    weir.start(wait=False)
    weir.wait_event("start", count=3)
    assert is_banned(weir)


def test_without_it_they_do_not(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain", "smtp"), rules=RULES)
    assert codes(weir, 2) == [250, 250]
    assert weir.stop() == 0
    weir.start(wait=False)
    weir.wait_event("start", count=2)
    assert codes(weir, 1) == [250]


def test_other_settings_begin_anew_and_say_so(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain", "smtp"), rules=RULES, server=KEPT)
    assert codes(weir, 2) == [250, 250]
    weir.write_config(server=KEPT.replace("2048", "4096"))
    assert weir.reload()["result"] == "failed"  # not by a reload
    assert codes(weir, 1) == [450]
    assert weir.stop() == 0
    weir.start(wait=False)
    weir.wait_event("start", count=2)
    assert "it begins anew" in weir.stderr()
    assert codes(weir, 1) == [250]


@pytest.mark.parametrize("how", ("another name", "a link", "a pipe"))
def test_what_leads_elsewhere_is_not_written_to(start_mailweir, mta, how):
    """The folder is the service's; root, who opens the file, must not be led to another one by it."""
    weir = start_mailweir(mta, run=False, listeners=("plain",), rules=RULES, server=KEPT)
    state, victim = weir.directory / "state", weir.directory / "victim"
    victim.write_text("not to be touched")
    if how == "another name":
        os.link(victim, state / "counts")
    elif how == "a link":
        (state / "counts").symlink_to(victim)
    else:
        os.mkfifo(state / "counts")
    weir.start(wait=False)
    assert weir.process.wait(20) == 1
    assert "cannot start: " in weir.stderr() and str(state / "counts") in weir.stderr()
    assert victim.read_text() == "not to be touched"


def test_a_file_is_of_one_service(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",), rules=RULES, server=KEPT)
    other = start_mailweir(mta, run=False, listeners=("plain",), rules=RULES,
                           server=KEPT + '\n')
    other.config.write_text(other.config.read_text().replace('state "state"', 'state "%s"' % (weir.directory / "state")))
    other.start(wait=False)
    assert other.process.wait(20) == 1
    assert "another mailweir runs with this state directory" in other.stderr()
    assert codes(weir, 1) == [250]


def test_a_damaged_file_is_no_reason_not_to_start(start_mailweir, mta):
    weir = start_mailweir(mta, listeners=("plain",), rules=RULES, server=KEPT)
    assert weir.stop() == 0
    kept = weir.directory / "state" / "counts"
    kept.write_bytes(b"no counts at all")
    weir.start(wait=False)
    weir.wait_event("start", count=2)
    assert codes(weir, 3) == [250, 250, 450]

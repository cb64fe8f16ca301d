"""The measurement of a limit's promise: what many clients of many nodes were admitted, against what may be.

Of each mail two moments are known, of one clock: `began`, when the MTA had read its final dot, and `ended`, when the
client had read 250. mailweir admitted it in between. A window is found too full only where it surely is: where no choice
of moments within these bounds would keep the limit. So a busy machine cannot make a limit look broken, and a broken one
is found all the same, because the bounds are a few thousandths of a window apart.
"""
import bisect
import collections

SLOTS = 16

# node: a number; mail: its number, the same at client and MTA.
Mail = collections.namedtuple("Mail", "node user mail began ended")


def most_within(mails, length):
    """The most mails that surely lie within one interval of that length, and its beginning: (count, began)."""
    most, since = 0, None
    ends = []
    for mail in sorted(mails, key=lambda m: m.began, reverse=True):
        # All that began no earlier than this one are in `ends`: which of them had surely ended a length later?
        bisect.insort(ends, mail.ended)
        count = bisect.bisect_right(ends, mail.began + length)
        if count > most:
            most, since = count, mail.began
    return most, since


def slot_of(moment, period):
    return int(moment * SLOTS // period)


def could_be_admitted(limit, period, began, ended, patience=2):
    """How many mails a crowd that never tires may have admitted between two wall-clock moments, by 16 strict slots: the
    limit at once, and again whenever the slot that it went to has left the window, 17 slots later. What comes free less
    than `patience` slots before the end may have been too late to be seen."""
    last = slot_of(ended, period) - patience - slot_of(began, period)
    return limit * (1 + max(0, last) // (SLOTS + 1))


def match(clients, taken):
    """Joins what clients read with what the MTA took. clients: (node, user, mail, ended) of every 250; taken: (mail,
    began), as the MTA has it. Returns the mails, those that were lost (250, but not at the MTA), and those the MTA took
    more often than once."""
    began, twice = {}, []
    for mail, moment in taken:
        if mail in began:
            twice.append(mail)
        began.setdefault(mail, moment)
    lost = [mail for _, _, mail, _ in clients if mail not in began]
    mails = [Mail(node, user, mail, began[mail], ended) for node, user, mail, ended in clients if mail in began]
    return mails, lost, twice

"""Event logs that were never written by a server, and what limits make of them: a model of its own of the strict window."""
import datetime
import json
import random

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BEGINS_US = 1767614400 * 1000000  # 2026-01-05T12:00:00Z, a Monday


def session_id(us, sequence):
    """As session/accept.c makes it: milliseconds, worker, a running number."""
    number = us // 1000 << 22 | (sequence & 0x3fff)
    return "".join(DIGITS[number >> 5 * i & 31] for i in range(12, -1, -1))


def time_text(us):
    moment = datetime.datetime.fromtimestamp(us // 1000000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ".%06dZ" % (us % 1000000)


def microseconds(text):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp()) * 1000000 + moment.microsecond


def event(kind, us, identity, **members):
    line = {"time": time_text(us), "event": kind, "node": "mx1", "id": identity, "listener": "submission", "client": "192.0.2.7", "port": 50000,
            "helo": "laptop", "tls": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"}
    line.update(members)
    return {name: value for name, value in line.items() if value is not None}


def mail(us, identity, user, recipients, size, **members):
    line = {"user": user, "auth": "PLAIN", "sender": user, "recipients": recipients, "accepted": len(recipients), "refused": 0, "size": size,
            "message_id": "<%s@laptop>" % identity, "from": user, "verdict": "accept", "code": 250, "enhanced": "2.0.0", "text": "Ok", "at": "data",
            "relay": "127.0.0.1:10025", "relay_code": 250, "relay_text": "2.0.0 Ok: queued"}
    line.update(members)
    return event("mail", us, identity, **line)


def write(path, events):
    with open(path, "w", encoding="utf-8") as to:
        for e in events:
            to.write(json.dumps(e, separators=(",", ":"), ensure_ascii=False) + "\n")


class Window:
    """Never more than `limit` in any `period`, counted in 17 whole slots (LIMITS.md): every admission is remembered."""

    def __init__(self, limit, period_s):
        self.limit, self.slot_us = limit, period_s * 1000000 // 16
        self.admitted = []  # (slot, cost)

    def used(self, us):
        slot = us // self.slot_us
        self.admitted = [(s, cost) for s, cost in self.admitted if s >= slot - 16]
        return sum(cost for _, cost in self.admitted)

    def add(self, us, cost):
        self.admitted.append((us // self.slot_us, cost))


def traffic(seed, mails, users, seconds, clients=50):
    """Random senders over random times, some connections with several mails, connections side by side; in order of time."""
    chance = random.Random(seed)
    events = []
    sequence = 0
    left = mails
    while left:
        sequence += 1
        user = "u%d@example.org" % int(users * chance.random() ** 3)
        client = "192.0.2.%d" % chance.randrange(1, clients)
        us = BEGINS_US + chance.randrange(seconds * 1000000)
        session = session_id(us, sequence)
        here = {"client": client, "port": chance.randrange(1024, 65536)}
        us += chance.randrange(1000, 500000)
        events.append(event("auth", us, session, user=user, auth="PLAIN", result="ok", **here))
        count = min(left, chance.choice((1, 1, 1, 2, 5)))
        left -= count
        for number in range(1, count + 1):
            us += chance.randrange(1000, 60000000)
            recipients = ["r%d@example.net" % chance.randrange(1000) for _ in range(chance.choice((1, 1, 1, 2, 7)))]
            events.append(mail(us, "%s-%d" % (session, number), user, recipients, chance.randrange(200, 40000), **here))
        us += chance.randrange(1000, 60000000)
        events.append(event("close", us, session, user=user, mails=count, commands=9, bytes=1, seconds=1.0, reason="QUIT", **here))
    events.sort(key=lambda e: e["time"])
    return events

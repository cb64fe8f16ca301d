"""Rules files and sessions made up at random, from a seed: the same seed makes the same ones.

Every rule and limit says its name in what the client reads, so that who compares a reply compares who decided as well.
A session has a client, a user, a sender and recipients that no other session of its file has: what the running server
has counted before concerns none of them, as in a test, which begins with an empty store.
"""
import random

PHASES = ("connect", "helo", "auth", "login", "mail", "rcpt", "data", "header", "message")
HOWS = ("submission", "submissions", "plain", "smtp")
WORDS = ("alpha", "beta", "gamma", "delta")
SUBJECTS = ("hello", "Cheap Pills", "Re: lunch", "[list] weekly", "")
CODES = {"reject": ("", "550", "551 5.7.1", "554 5.6.0"), "defer": ("", "450", "451 4.7.1", "450 4.2.0")}


class Session:
    """Who sends what to whom."""

    def __init__(self, draw, number):
        self.number = number
        self.client = "127.%d.%d.%d" % (1 + number // 200, 1 + number % 200, draw.choice((7, 66, 200)))
        self.how = draw.choice(HOWS)
        self.user = "%s%d@example.org" % (draw.choice(WORDS), number) if self.how != "smtp" else None
        self.helo = draw.choice(("pc", "client.example", "mail.example.net", "dsl-%d.example.com" % number))
        self.sender = draw.choice((self.user, self.user, "%s%d@d%d.example" % (draw.choice(WORDS), number, number), "")) or \
            draw.choice(("", "x%d@example.com" % number))
        self.recipients = ["%s%d%s@%s" % (draw.choice(WORDS), number, draw.choice(("", "", "+tag%d" % n)), domain)
                           for n, domain in enumerate(draw.choice(("example.net", "example.org", "sub.example.org", "example.com"))
                                                      for _ in range(draw.choice((1, 1, 2, 3, 6))))]
        self.recipients = list(dict.fromkeys(self.recipients))
        self.size = draw.choice((1024, 1024, 4096, 30000))
        self.subject = draw.choice(SUBJECTS)
        self.sender_header = draw.choice(("%s%d@example.org" % (draw.choice(WORDS), number), self.sender or "n@example.com"))

    def message(self):
        """Exactly `size` bytes."""
        head = "From: <%s>\r\nSubject: %s\r\n\r\n" % (self.sender_header, self.subject)
        line = "x" * 70 + "\r\n"
        body, room = "", self.size - len(head)
        body = line * (room // len(line) - 1)
        return (head + body + "y" * (room - len(body) - 2) + "\r\n").encode()


class Policy:
    """The text of a rules file, and the users it wants."""

    def __init__(self, draw):
        self.draw, self.count, self.tags = draw, 0, []
        self.limits = [self.limit(n) for n in range(draw.randint(0, 4))]
        self.charges = [name for name, unit, _ in self.limits if unit == "charges"]
        self.countable = [(name, key) for name, unit, key in self.limits if key in ("client", "user", "sender")]
        lines = ["table local domains { example.org, .example.org }",
                 "table people addresses { %s }" % ", ".join("%s@example.net" % word for word in WORDS),
                 "table names strings { pc, mail.example.net }",
                 "table odd patterns { '^alpha[0-9]*[13579]@', '\\+tag[1-9]' }",
                 "table sites netmap { 127.0.0.0/8 \"here\", 127.1.0.0/16 \"there\", 127.1.64.0/18 \"nowhere\" }",
                 "table owners map { @example.com { x, y }, @example.org \"anybody\" }"]
        lines += self.limit_lines
        for _ in range(draw.randint(3, 8)):
            phase = draw.choice(PHASES)
            lines.append("on %s {" % phase)
            lines += ["    " + self.rule(phase) for _ in range(draw.randint(1, 3))]
            lines.append("}")
        self.text = "\n".join(lines) + "\n"

    # -- limits

    limit_lines = ()

    def limit(self, number):
        draw = self.draw
        name = "limit-%d" % number
        unit = draw.choice(("messages", "recipients", "bytes", "recipients", "distinct-recipients", "charges"))
        key = draw.choice(("user", "client", "sender", "network", "user, client", "rcpt", "rcpt.domain, client"))
        if unit == "charges":
            key = draw.choice(("client", "network"))
        rate = {"bytes": "%dK/1h" % draw.choice((2, 8, 40)), "charges": "%d/1h" % draw.randint(1, 5)}.get(unit, "%d/1h" % draw.randint(1, 5))
        body = [rate]
        if draw.random() < 0.3:
            body.append('at 50%% %s' % draw.choice(("log", "tarpit 2ms", "tag half-%d" % number)))
        if draw.random() < 0.4:
            action = draw.choice(("reject", "defer", "defer", "disconnect"))
            body.append('at %d%% %s "%s is over ${client}"' % (draw.choice((80, 100, 150)), action, name))
        if unit != "charges" and draw.random() < 0.3:
            body.append(draw.choice(("if rcpt.domain in local", "unless rcpt in people", "unless sender.null", "if authenticated")))
        if draw.random() < 0.15:
            body.append("observe")
        self.limit_lines = list(self.limit_lines) + ["limit %s per %s count %s { %s }" % (name, key, unit, "  ".join(body))]
        return name, unit, key

    # -- conditions

    def atom(self, phase):
        draw, at = self.draw, PHASES.index(phase)
        word = draw.choice(WORDS)
        atoms = ["client in { 127.1.0.0/16, 127.2.0.7 }", "client.network = 127.1.0.0/24", 'listener = "smtp"', 'sites[client] = "there"',
                 'sites[client] != "here"', "score > %g" % draw.choice((0, 1.5, 3)), 'listener in { "plain", "submissions" }', "weekday in { mon, tue, wed, thu, fri, sat, sun }"]
        if at >= 1:
            atoms += ['helo = "pc"', "helo in names", 'helo like "*.example*"', 'not helo contains "."', "tls", 'tls.version = "TLSv1.3"']
        if at >= 2:
            atoms += ['auth.mechanism = "PLAIN"', 'auth.user matches "^%s"' % word]
        if at >= 3:
            atoms += ["authenticated", 'user contains "%s"' % word, "user.domain in local"]
        if at >= 4:
            atoms += ["sender.null", "sender = user", "sender.domain under example", "sender in odd", "mail.size > %s" % draw.choice(("1K", "8K")),
                      'sender.local like "%s*"' % word, "sender is none", '"x" in owners[sender]', "session.messages > 1"]
        if at >= 5:
            atoms += ["mail.recipients > %d" % draw.randint(1, 3)]
        if phase == "rcpt":
            atoms += ["rcpt.domain in local", "rcpt in people", "rcpt.tag is none", 'rcpt.tag = "tag1"', "rcpt in odd", 'rcpt.local contains "%s"' % word,
                      "rcpt.domain under example.org"]
        if at >= 7:
            atoms += ['header["Subject"] contains "pills"', "header.from = sender", "header.from.domain in local", 'header.count["X-No"] = 0',
                      'header["Subject"] matches "^\\\\[list"']
        if phase == "message":
            atoms += ["message.size > %s" % draw.choice(("2K", "10K"))]
        known = {"client": 0, "user": 3, "sender": 4}
        atoms += ["%s(%s) < %d" % (draw.choice(("used", "left")), name, draw.randint(1, 4)) for name, key in self.countable if known[key] <= at]
        atoms += ["tag.%s" % name for name, since in self.tags if since <= at]
        return draw.choice(atoms)

    def condition(self, phase, depth=0):
        draw = self.draw
        if depth < 2 and draw.random() < 0.4:
            text = (" %s " % draw.choice(("and", "or"))).join(self.condition(phase, depth + 1) for _ in range(2))
            return "(%s)" % text if depth else text
        return ("not " if draw.random() < 0.15 else "") + self.atom(phase)

    # -- rules

    def ending(self, phase, name):
        draw = self.draw
        action = draw.choice(("reject", "reject", "defer", "accept", "disconnect", "drop", "ban", "quarantine"))
        if action == "quarantine" and phase not in ("data", "header", "message"):
            action = "reject"
        if action in ("accept", "drop"):
            return action
        if action == "quarantine":
            return action
        if action == "ban":
            return 'ban client 1h "%s"' % name
        shown = {"connect": "client", "helo": "helo", "auth": "auth.user", "login": "user"}.get(phase, "sender")
        code = draw.choice(CODES[action]) if action in CODES else ""
        text = draw.choice(("", '"%s: ${%s}"' % (name, shown), '"%s says no"' % name))
        return " ".join(filter(None, (action, code, text)))

    def rule(self, phase):
        draw = self.draw
        self.count += 1
        name = "rule-%d" % self.count
        actions = []
        if draw.random() < 0.5:
            extra = ["score %g" % draw.choice((1, 1.5, -1)), "log", "tarpit 1ms"]
            if phase != "helo": # who uses STARTTLS says EHLO twice, and is charged twice
                extra += ["charge %s %d" % (charge, draw.randint(1, 3)) for charge in self.charges]
            extra.append("tag tag-%d%s" % (self.count, draw.choice(("", ' "a"'))))
            if phase in ("mail", "rcpt", "data", "header"):
                extra += ['add-header "X-%s" "v"' % name, "add-missing"]
            actions.append(draw.choice(extra))
            if actions[0].startswith("tag "):
                self.tags.append(("tag-%d" % self.count, PHASES.index(phase)))
        if not actions or draw.random() < 0.5:
            actions.append(self.ending(phase, name))
        observe = "observe " if draw.random() < 0.1 else ""
        if observe and actions[0].startswith("tag "):
            self.tags.pop()
            observe = ""
            self.tags.append(("tag-%d" % self.count, PHASES.index(phase)))
        text = "rule %s %s%s if %s" % (name, observe, ", ".join(actions), self.condition(phase))
        return text + (" unless " + self.condition(phase, 1) if draw.random() < 0.3 else "")


def make(seed, sessions):
    """(policy, sessions) of this seed."""
    draw = random.Random(seed)
    policy = Policy(draw)
    return policy, [Session(draw, number) for number in range(sessions)]

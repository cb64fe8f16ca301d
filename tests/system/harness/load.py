"""A crowd of clients that abort at random points; a process of its own: load.py PORT HOW SEED CLIENTS MAILS NAME.

Prints a JSON object: what became of every mail, by its name: "ok" (250 was read), "aborted" (the client left before it
had sent the final dot), "unknown" (it left after the dot, before the reply), or the reply that refused it.
"""
import json
import pathlib
import random
import sys
import threading
import time

if __package__ in (None, ""):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.client import Closed, message, session, stuff

ABORTS = ("mail", "rcpt", "data", "body", "half dot", "after dot")


def one_mail(client, rng, name, leave):
    """Sends a mail named `name`, leaving at the point `leave` (None: not at all). What became of it."""
    envelope = [b"MAIL FROM:<alice@example.org>\r\n", b"RCPT TO:<bob@example.net>\r\n", b"DATA\r\n"]
    stops = {"mail": 1, "rcpt": 2, "data": 3}
    if leave in stops:
        client.send(b"".join(envelope[:stops[leave]]))
        if rng.random() < 0.5:
            client.reply()
        return "aborted"
    if rng.random() < 0.5:
        client.send(b"".join(envelope))
        replies = [client.reply() for _ in envelope]
    else:
        replies = []
        for line in envelope:
            client.send(line)
            replies.append(client.reply())
    refused = [reply for reply in replies if reply.code >= 400]
    if refused:
        client.command("RSET")
        return refused[0].raw.decode()
    wire = stuff(message(subject=name, text="z" * 70 + "\r\n.\r\n") + b"y" * rng.randrange(3000) + b"\r\n")
    if leave == "body":
        client.send(wire[:rng.randrange(len(wire) - 5)])
        return "aborted"
    if leave == "half dot":
        client.send(wire[:-rng.randrange(1, 4)])
        return "aborted"
    client.send(wire)
    if leave == "after dot":
        return "unknown"
    reply = client.reply()
    return "ok" if reply.code == 250 else reply.raw.decode()


def run_client(number, port, how, seed, mails, prefix, results, lock):
    rng, client = random.Random("%s-%d-%d" % (prefix, seed, number)), None
    for index in range(mails):
        name = "%s-%d-%d" % (prefix, number, index)
        leave = rng.choice(ABORTS) if rng.random() < 0.1 else None
        try:
            client = client or session(port, how, timeout=60)
            outcome = one_mail(client, rng, name, leave)
        except (Closed, OSError, AssertionError) as error:
            outcome, leave = "failed: %r" % error, "failed"
        with lock:
            results[name] = outcome
        if leave:
            if client is not None:
                client.abort() if rng.random() < 0.5 else client.close()
            client = None
        elif rng.random() < 0.02:
            client.quit()
            client = None
    if client is not None:
        client.close()


def main(port, how, seed, clients, mails, prefix):
    results, lock = {}, threading.Lock()
    threads = [threading.Thread(target=run_client, args=(n, port, how, seed, mails, prefix, results, lock)) for n in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump({"seconds": time.monotonic() - began, "mails": results}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])

"""What the whole-program tests stand on: real servers in private directories, a scripted MTA, and raw clients.

    client.py     an SMTP client that sends any bytes in any split and reads replies strictly
    mailweir.py   the program under test: its configuration, its processes, its events
    postfix.py    a private Postfix that delivers to a local mailbox
    mta.py        a scripted MTA: says, cuts, stalls and drips what a test wants, and writes down what it heard
    tools.py      swaks, smtp-source, and the way that a client without TLS and AUTH takes
    ports.py      free ports, certificates, waiting
    redis_servers.py  Redis alone, with Sentinel, as Cluster; a way there that may be slow; resp.py asks them
    audits.py     what is left in Redis after each test is what `mailweir store audit` calls clean
    field.py      nodes that share a store, crowds that press on its limits, and what came of it
    promise.py    the measurement of a limit: the fullest window, what could have been admitted, what was lost

Everything listens on 127.0.0.1, lives in one temporary directory, and is stopped by the process id it had.
"""

/*
 * identity.h - who the client is, told to the MTA: the attributes of XFORWARD and XCLIENT (PROTOCOLS.md 2).
 *
 *   XFORWARD NAME=host.example ADDR=192.0.2.7 PORT=50312 PROTO=ESMTP HELO=laptop IDENT=6N2-4 SOURCE=REMOTE
 *   XCLIENT  PROTO=ESMTP HELO=laptop LOGIN=alice PORT=50312 ADDR=192.0.2.7 NAME=host.example
 *
 * XFORWARD is for the MTA's log and belongs to one mail; XCLIENT makes the MTA treat us as that client and lasts as
 * long as the connection. Only attributes that the server's EHLO line names are written, every one of them each time:
 * what is not said would stay what it was for the client before. Not known is "[UNAVAILABLE]".
 *
 * Values are xtext, at most 255 bytes decoded. What would be too long is cut where only a log suffers (HELO, IDENT),
 * and is unavailable where a part would be another one's name (NAME, LOGIN). No control character leaves here: the MTA
 * decodes xtext, so encoding alone protects nobody.
 */
#ifndef MTA_IDENTITY_H
#define MTA_IDENTITY_H

#include "base/buf.h"
#include "mta/exchange.h"

enum mta_identity { MTA_XFORWARD, MTA_XCLIENT };

enum { MTA_IDENTITY_LINE_MAX = 512, MTA_IDENTITY_VALUE_MAX = 255 };

/* What stands behind XFORWARD or XCLIENT in the EHLO reply, as a set of bits; words that are not known are left out. */
unsigned mta_identity_read(enum mta_identity which, struct str words);

/* How many commands it takes to say all that is offered: each holds 512 bytes. 0: nothing is offered. */
unsigned mta_identity_count(enum mta_identity which, unsigned offered, const struct mta_client *client);

/* Appends the command of that number (from 0) with its CRLF. False: the buffer is full. */
MUST_USE bool mta_identity_write(struct buf *to, enum mta_identity which, unsigned offered,
                                 const struct mta_client *client, unsigned number);

/* Appends a client's greeting name as the one argument of EHLO: controls and spaces become "?", at most 255 bytes.
 * False: the buffer is full. */
MUST_USE bool mta_identity_write_helo(struct buf *to, struct str helo);

#endif

/*
 * stage.h - what the tests of session/ play on: a worker with one client over a connection without a socket, a scripted
 * MTA (../mta/fake_mta.h), an auth process of a few lines, limits in the embedded store, and rules from their text.
 *
 * A test is a conversation, one step a line:
 *
 *   C TEXT           the client sends a line; several in a row leave in one write
 *   c TEXT           … without a line end; \r \n \0 \\ stand for themselves, {x*99} is a repeated character
 *   S 250 2.1.0 …    the next reply: how its last line begins
 *   s 250-SIZE       … one of the lines of the last reply begins so (`!s`: none does)
 *   Q                no reply is on its way
 *   X                we close
 *   T                the TLS handshake succeeds (`!T`: it fails)
 *   G                the client goes without a word
 *   D                the client's deadline passes; it is an error if none runs (`!D`: it is an error if one runs)
 *   R                the client reads no more, until `r`
 *   M RCPT 550 …     what the MTA says the next time there: CONNECT EHLO MAIL RCPT DATA BODY DOT RSET
 *                    `cut` at the end: and closes; `cut` alone: closes without a word; `silent`; `ever …`: from now on
 *   M gone           the MTA closes every connection now; `M down`: and takes no new ones
 *   H TEXT           the MTA has heard a line that begins so (`!H`: it has not)
 *   N 1              so many mails has the MTA taken
 *   B TEXT           the MTA's last message holds this (escapes as in `c`; `!B`: does not)
 *   P hold           the auth process answers no more, until `P go`
 *   E mail "a":1 …   the next event of this kind holds each of these words
 *   W                the worker drains; `W stop`: every session is closed
 *   U ENTITY 3 …     so many messages, recipients and KiB are charged on it now
 *   L rcpt           from now on the rules and limits of this phase take their time, until `l`
 *                    it is an error if nothing waits for it then (`!l`: if something does)
 *   K                from now on the limits' store answers nothing, until `k`; `!k` likewise. Only STORE_LATER
 *   V                the delay of a reply (tarpit) is over; it is an error if none runs (`!V`: if one runs)
 */
#ifndef TESTS_SESSION_STAGE_H
#define TESTS_SESSION_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session/session.h"

struct talk {
    const char *name;
    /* The listener and how far the client is when the conversation begins: "smtp" (TLS may be, login may be),
     * "submission" (both must be), "plain" (login, no TLS), "submissions"; then nothing, greeting, ehlo, tls, login,
     * mail, rcpt, body; then perhaps `whole`: not byte by byte, because timing is what it shows. */
    const char *start;
    const char *script;
};

/* A table's common ground; NULL and 0: the defaults. */
struct ground {
    const char *rules;
    enum { STORES_BOTH, STORE_AT_ONCE, STORE_LATER } store;
    unsigned max_errors, max_recipients, max_tarpits;
    uint64_t max_message_bytes;
    size_t max_header_bytes;
    const char *mta_keywords;
};

/* Plays each of them whole, and byte by byte; with rules, once more with a store of limits that answers in a later turn
 * of the loop. */
void stage_play(const struct ground *ground, const struct talk *talks, size_t count);
/* Begins as the talk and then says `words` (steps of C and S, the last one without its S) until the client is ended; it
 * is an error if that takes more than at_most times. */
void stage_flood(const struct ground *ground, const struct talk *talk, const char *words, unsigned at_most);
#define PLAY(ground, talks) stage_play((ground), (talks), COUNT_OF(talks))

#endif

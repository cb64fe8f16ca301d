/*
 * dnsbl.h - DNS lists: is the client's address in them? RFC 5782, PROTOCOLS.md 6, the `dnsbl` statement of RULES.md.
 *
 *   dnsbl_start ─▶ private? ─▶ state of the zone ─▶ inquiry (remembered, shared) ─▶ DNS ─▶ meaning of the answer
 *                     │             │                  7.2.0.192.zone A                         │
 *                 not listed    off, paused,                                               listed, not listed,
 *                               silent: unknown                                            error, foreign
 *
 * A list that has gone wrong must not refuse mail, and a list that says "you ask too much" has not said "listed". So
 * every zone proves itself, when the worker starts and every hour: its test entry is listed (127.0.0.2 and, for IPv6,
 * ::ffff:7f00:2) and its counterpart is not. States, each change of them an event:
 *
 *   TESTING ──▶ ON ──▶ SILENT   nothing but failures; tested again every 30 s, meanwhile nobody waits for it
 *                 ├──▶ PAUSED   it answered with an error code (127.255.255.x, 127.0.0.1, 127.0.1.255): an hour
 *                 └──▶ OFF      it failed its test, or answers with addresses outside 127/8: until a test passes
 *
 * A client who comes while the first test runs waits for it. A zone that has the test entry for one family only is not
 * asked for the other one: not listed. Trusted addresses are the caller's business; allow lists are zones like others,
 * asked at the same time, and it is the rules that let them win.
 */
#ifndef LOOKUP_DNSBL_H
#define LOOKUP_DNSBL_H

#include "lookup/dns.h"
#include "lookup/inquiry.h"
#include "stats/event.h"

enum {
    DNSBL_MAX_ZONES = 64,
    DNSBL_MAX_CODES = 8, /* kept of one answer */
    DNSBL_CACHED = 65536,
    DNSBL_MAX_OPEN = 2048,
    DNSBL_TEXT_MAX = 256,
    DNSBL_TIMEOUT_MS = 2000, /* defaults of the statement */
    DNSBL_CACHE_MS = 300000,
};

enum dnsbl_result { DNSBL_UNKNOWN, DNSBL_NOT_LISTED, DNSBL_LISTED };
enum dnsbl_state { DNSBL_TESTING, DNSBL_ON, DNSBL_SILENT, DNSBL_PAUSED, DNSBL_OFF };

/* A `dnsbl` statement; immutable, outlives the lists. */
struct dnsbl_zone_options {
    const char *name;              /* in the rules */
    const char *zone;              /* "zen.spamhaus.org", without a dot at its end */
    const struct ip_span *answers; /* what means listed; none: 127.0.0.2-127.0.0.254 without .10 and .11 */
    size_t answer_count;
    unsigned timeout_ms;
    int64_t cache_ms; /* at most; 0: every client is asked for anew */
};

struct dnsbl_answer {
    enum dnsbl_result result;
    uint8_t code_count; /* of a listed one: why, in ascending order */
    uint8_t codes[DNSBL_MAX_CODES][4];
};

struct dnsbl; /* all lists of one worker */

/* Begins their tests. dns and events outlive it; events may be NULL. NULL with err: too many zones, a zone too long to
 * be asked (DNS_ZONE_MAX_BYTES), or no memory. */
struct dnsbl *dnsbl_new(struct loop *l, struct dns *dns, const struct dnsbl_zone_options *zones, size_t count,
                        struct event_log *events, struct err *err);
/* Who waits hears nothing any more. Not from inside a callback. NULL is fine. */
void dnsbl_free(struct dnsbl **d);

/* The answers for one client, in the caller's memory. */
struct dnsbl_check {
    struct dnsbl_part *parts;
    size_t count, left;
    void (*on_answers)(void *arg);
    void *arg;
};

/* Asks `count` zones (their places in the options) at once. answers[i] belongs to zones[i] and is complete with DONE;
 * with STARTED when on_answers comes: exactly once, never from inside, by deadline_ms (absolute) and by each zone's own
 * timeout. What is not known by then is DNSBL_UNKNOWN. zones may go, answers must stay. */
enum started dnsbl_start(struct dnsbl_check *check, struct dnsbl *d, const struct ip *client, const unsigned *zones,
                         struct dnsbl_answer *answers, size_t count, int64_t deadline_ms, void (*on_answers)(void *arg),
                         void *arg);
/* After this on_answers does not come. Of one that is over, or zeroed: harmless. */
void dnsbl_cancel(struct dnsbl_check *check);

/* The zone's own words on a listed client, for the reply that refuses him: a second question, asked only then. */
struct dnsbl_text {
    struct inquiry_wait wait;
    char text[DNSBL_TEXT_MAX]; /* printable ASCII; empty: none, or none in time */
    void (*on_text)(void *arg);
    void *arg;
};

/* As dnsbl_start; the text is t->text. */
enum started dnsbl_text_start(struct dnsbl_text *t, struct dnsbl *d, const struct ip *client, unsigned zone,
                              int64_t deadline_ms, void (*on_text)(void *arg), void *arg);
void dnsbl_text_cancel(struct dnsbl_text *t);

/* why: a sentence for all but TESTING and ON, where it is NULL. */
enum dnsbl_state dnsbl_zone_state(const struct dnsbl *d, unsigned zone, const char **why);
/* "testing", "on", "silent", "paused", "off". */
const char *dnsbl_state_word(enum dnsbl_state state);

#endif

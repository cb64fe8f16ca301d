/*
 * alert_text.h - the words of an alert in each of its forms. Pure: no socket, no time but what is handed in.
 *
 * webhook, exec: the event as it was written, with held_back in it. syslog: one line. mail: a subject that says what
 * and whom, a body that a person can read, and the event at its end.
 */
#ifndef PROCESS_ALERT_TEXT_H
#define PROCESS_ALERT_TEXT_H

#include "base/buf.h"
#include "stats/alert.h"

enum {
    ALERT_JSON_MAX_BYTES = ALERT_EVENT_MAX_BYTES + 64,
    ALERT_MAIL_MAX_BYTES = 8 * ALERT_JSON_MAX_BYTES + 8192, /* the event twice, each byte at worst as =XX */
    ALERT_SUBJECT_KEY_MAX_BYTES = 200,                      /* of the key, a longer one is cut */
};

/* All append. False: the buffer is full. */

/* The event with "held_back":N as its last member, if N is not 0. */
MUST_USE bool alert_text_json(struct buf *to, struct str event, uint32_t held_back);

struct alert_mail {
    struct str hostname, alert, key, json;
    uint32_t held_back;
    const struct str *to;
    size_t to_count;
    int64_t wall_us;
    uint64_t id; /* of the Message-ID, with the time */
};
/* A whole message, as DATA carries it: no line begins with a dot, all are ASCII and short. Without the final dot. */
MUST_USE bool alert_text_mail(struct buf *to, const struct alert_mail *m);

/* "alert NAME user:a@example.org: {…}": one line without control characters. */
MUST_USE bool alert_text_line(struct buf *to, struct str alert, struct str key, struct str json);

#endif

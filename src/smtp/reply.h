/*
 * reply.h - replies on the wire: written to clients, read from the MTA (RFC 5321 4.2; RFC 2034, 3463 for the enhanced
 * code).
 *
 *   220 name ESMTP          code, text
 *   250 2.1.0 Sender ok     code, enhanced code, text
 *   550-5.7.1 line one      several lines, the enhanced code on each
 *   550 5.7.1 line two
 *
 * Neither side is trusted: what is written is printable and in lines of 512 bytes whatever the text was made of, and
 * what is read is bounded in every direction, so that an MTA gone mad costs a connection and no more.
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buf.h"

/* Written: bytes of a line with its CRLF (RFC 5321 4.5.3.1.5). Read: PROTOCOLS.md 2, "Replies". */
enum {
    SMTP_REPLY_LINE_MAX = 512,
    SMTP_REPLY_READ_LINE_MAX = 2048,
    SMTP_REPLY_READ_LINES_MAX = 128,
    SMTP_REPLY_READ_BYTES_MAX = 65536
};

/*
 * Appends a whole reply. enhanced: "5.7.1", or empty for none; its class must be the code's (panics: all callers have
 * it from a table or from a checked configuration). text: its lines parted by LF; too long ones are wrapped at a space.
 * Bytes outside 32-126 are dropped; with allows_utf8 (the client gave SMTPUTF8) well-formed UTF-8 stays. False: the
 * buffer is full, and is as it was.
 */
MUST_USE bool smtp_reply_append(struct buf *to, unsigned code, struct str enhanced, struct str text, bool allows_utf8);

/* One reply of an MTA, as it was understood. */
struct smtp_answer {
    unsigned code;     /* 200-599 */
    char enhanced[12]; /* "5.1.1", or "" where there is none that fits the code; "999.999" is the longest tail */
    struct str
        text; /* lines parted by LF, without codes; borrowed until the reader's next call or the input's change */
    unsigned line_count; /* at least 1 */
};

enum smtp_reply_result {
    SMTP_REPLY_COMPLETE,
    SMTP_REPLY_MORE,   /* nothing wrong yet */
    SMTP_REPLY_BROKEN, /* not SMTP: see smtp_reply_reader_fault. The connection is of no more use */
    SMTP_REPLY_NO_MEMORY
};

struct smtp_reply_reader {
    struct buf text; /* of a reply of several lines; no memory while replies are of one line */
    unsigned code;   /* of the reply being read, 0 between replies */
    unsigned line_count;
    size_t byte_count;
    char enhanced[12];
    bool text_is_lent; /* the last answer's text lies in `text` */
    const char *fault;
};

void smtp_reply_reader_init(struct smtp_reply_reader *reader);
void smtp_reply_reader_fini(struct smtp_reply_reader *reader);

/* Reads from `in` up to the end of one reply. Takes whole lines only, a lone LF may end them: *consumed bytes may go,
 * the rest is to be given again with what follows it. *answer is set when COMPLETE. One line's text is borrowed from
 * `in`. */
enum smtp_reply_result smtp_reply_read(struct smtp_reply_reader *reader, struct str in, size_t *consumed,
                                       struct smtp_answer *answer);
/* After BROKEN: why, for the log ("a line of more than 2048 bytes"). A literal. */
const char *smtp_reply_reader_fault(const struct smtp_reply_reader *reader);

#endif

/*
 * dot.h - the bytes between 354 and the final dot (RFC 5321 4.1.1.4, 4.5.2).
 *
 *   client ─▶ chunk ─▶ smtp_dot_feed ─▶ held, passed ─▶ the MTA's DATA
 *
 * What comes from one DATA goes into another, so nothing is decoded: the dots stay stuffed, the line ends stay CRLF,
 * and bytes are handed on where they lie. The decoder says which bytes may go, watches that they are what the MTA will
 * take them for, and finds the end. It lets no byte pass whose meaning is not known yet: a CR at the end of a chunk, a
 * dot at the head of a line. Those are held (two bytes at most) and lent out before the next chunk's.
 *
 * Strict: only CRLF ends a line, only CRLF.CRLF ends the data (a dot line right after the 354 counts). A bare CR, a
 * bare LF or a NUL is a fault, and the session must end: servers that disagree about them are how one mail becomes two.
 *
 * This is the hot path of every large mail: a chunk is scanned by whole vectors, then once per line.
 */
#ifndef SMTP_DOT_H
#define SMTP_DOT_H

#include "base/buf.h"

/* What was seen last and is held, or not held; the decoder's only state. */
enum smtp_dot_state {
    SMTP_DOT_LINE_START, /* after a CRLF, or right after the 354 */
    SMTP_DOT_IN_LINE,
    SMTP_DOT_AFTER_CR,    /* held: CR */
    SMTP_DOT_AFTER_DOT,   /* held: the dot that heads a line */
    SMTP_DOT_AFTER_DOT_CR /* held: that dot and a CR */
};

struct smtp_dot {
    size_t max_line_bytes; /* with CRLF, without a stuffed dot */
    enum smtp_dot_state state;
    uint64_t
        size_bytes; /* as RFC 1870 3 counts: without stuffed dots, without the final dot line. Held bytes not yet in */
    uint64_t line_count;       /* ended ones */
    size_t line_bytes;         /* of the line at hand */
    size_t longest_line_bytes; /* of all, with CRLF */
    bool has_8bit;
};

enum smtp_dot_result {
    SMTP_DOT_MORE,
    SMTP_DOT_END, /* the final dot line was read: *out says how many bytes it took with it */
    SMTP_DOT_BARE_CR,
    SMTP_DOT_BARE_LF,
    SMTP_DOT_NUL
};

struct smtp_dot_out {
    struct str held;   /* to pass on first: a literal, held from earlier chunks */
    struct str passed; /* to pass on then: borrowed from the chunk */
    size_t consumed;   /* of the chunk: all of it, but at END what follows belongs to the next command */
};

void smtp_dot_init(struct smtp_dot *dot, size_t max_line_bytes);

/* At END the final ".CRLF" is not in *out: the caller sends one of its own when all checks have spoken. At a fault
 * nothing of this chunk is to be passed on, and *consumed is 0. Not to be called again after END or a fault. */
enum smtp_dot_result smtp_dot_feed(struct smtp_dot *dot, struct str chunk, struct smtp_dot_out *out);

/* Was a line longer than allowed? Reading goes on; the caller refuses the mail (500 5.5.2) when it likes. */
static inline bool smtp_dot_line_is_too_long(const struct smtp_dot *dot)
{
    return dot->longest_line_bytes > dot->max_line_bytes;
}

/* The plain text of bytes that were passed on: without stuffed dots. *at_line_start: true before the first call. False:
 * the buffer is full. */
MUST_USE bool smtp_dot_unstuff(struct buf *to, struct str wire, bool *at_line_start);
/* The other way: lines get their dots. The text's line ends must be CRLF already. */
MUST_USE bool smtp_dot_stuff(struct buf *to, struct str plain, bool *at_line_start);
/* Ends what smtp_dot_stuff wrote: CRLF if the last line has none, then ".CRLF". */
MUST_USE bool smtp_dot_stuff_end(struct buf *to, bool at_line_start);

#endif

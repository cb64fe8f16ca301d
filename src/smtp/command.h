/*
 * command.h - a client's line: where it ends, and which command it is.
 *
 *   bytes of the connection ─▶ smtp_line_find ─▶ line ─▶ smtp_command_split ─▶ verb, argument ─▶ address.h, params.h
 *
 * Only CRLF ends a line. Whoever takes a lone LF or CR for an end (or looks beyond a NUL) sees other commands than the
 * next server does, and that difference is what smuggling is made of (RFC 5321 2.3.8, 4.1.1.4). So a line with such a
 * byte in it is no command at all, and the fault is told at once, wherever the packets happened to end.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/str.h"

/* Bytes of a line with its CRLF. RFC 5321 4.5.3.1.4 asks for 512, and more for each extension; RFC 4954 4 for AUTH. */
enum { SMTP_COMMAND_LINE_MAX = 2048, SMTP_AUTH_LINE_MAX = 12288 };

/* The commands that have a name here: what each does stands in session/commands.c. FOREIGN: those of another protocol,
 * whose speaker is not a mail client (a browser that was talked into it) and does not deserve a second line. */
#define SMTP_VERBS(VERB)                                                                                               \
    VERB(EHLO)                                                                                                         \
    VERB(HELO)                                                                                                         \
    VERB(STARTTLS)                                                                                                     \
    VERB(AUTH)                                                                                                         \
    VERB(MAIL)                                                                                                         \
    VERB(RCPT)                                                                                                         \
    VERB(DATA)                                                                                                         \
    VERB(BDAT)                                                                                                         \
    VERB(RSET)                                                                                                         \
    VERB(NOOP)                                                                                                         \
    VERB(QUIT)                                                                                                         \
    VERB(VRFY)                                                                                                         \
    VERB(HELP)                                                                                                         \
    VERB(EXPN)                                                                                                         \
    VERB(ETRN)                                                                                                         \
    VERB(TURN)

enum smtp_verb {
#define VERB(name) SMTP_VERB_##name,
    SMTP_VERBS(VERB)
#undef VERB
        SMTP_VERB_FOREIGN, /* GET POST CONNECT */
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_COUNT
};

enum smtp_line_result {
    SMTP_LINE_COMPLETE, /* *line without its CRLF; *consumed with it */
    SMTP_LINE_MORE,     /* no end yet, nothing wrong yet; *consumed is 0 */
    SMTP_LINE_TOO_LONG, /* no CRLF within max bytes */
    SMTP_LINE_BAD       /* a bare LF, a bare CR or a NUL before the first CRLF */
};

/* Finds the first line of `in`, which may be max bytes long with its CRLF. On TOO_LONG and BAD *line is what came
 * before the fault, *consumed reaches up to and over it (never over a CR that may yet begin a CRLF), and the line is
 * not over: answer, then either close or let smtp_line_skip find its end. The verdict does not depend on how the bytes
 * were cut into calls, if what is not consumed is given again. */
enum smtp_line_result smtp_line_find(struct str in, size_t max, struct str *line, size_t *consumed);

/* Throws away the rest of a refused line. True: its CRLF was passed. False: all of `in` may go (but for a CR at its
 * end, which *consumed leaves). */
bool smtp_line_skip(struct str in, size_t *consumed);

struct smtp_command {
    enum smtp_verb verb;
    struct str word;     /* the verb as it was sent; borrowed from the line, like the argument */
    struct str argument; /* without spaces and tabs around it; empty: none */
    bool has_control; /* anywhere in the line (str_has_control): refuse it, 500 5.5.2. No such byte goes any further */
};

/* Never fails: what is no command is UNKNOWN. The verb ends at the first space (a tab is a control character); letter
 * case does not count. */
struct smtp_command smtp_command_split(struct str line);

/* "MAIL"; "foreign", "unknown" for the last two. */
const char *smtp_verb_name(enum smtp_verb verb);

#endif

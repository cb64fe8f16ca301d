/*
 * logged.h - a line of the event log, as what it tells of: who did what, and what became of it (OPERATIONS.md
 * "Events"). For `explain --event`, which looks at one, and for replay, which reads them by the hundred thousand: one
 * pass over the line, one allocation. A JSON library would build a tree of each line, and replay take two and a half
 * times as long.
 *
 *   line ─▶ logged_read ─▶ struct logged ─▶ logged_recipients, logged_limits
 *
 * A line comes from a file that anybody may have put together: whatever it holds, it is read, ignored or wrong, and
 * costs no more memory than a few times its length.
 */
#ifndef POLICY_LOGGED_H
#define POLICY_LOGGED_H

#include "base/arena.h"
#include "net/addr.h"

enum {
    LOGGED_LINE_MAX_BYTES = 1 << 20, /* of an event line: sixteen times what we write */
    LOGGED_SESSION_BYTES = 13,       /* of an id: they name the connection */
    LOGGED_RCPTS_MAX = 100000,       /* of a mail: more are cut */
    LOGGED_LIMITS_MAX = 1000,        /* as well: more are cut */
};

enum logged_kind {
    LOGGED_MAIL,
    LOGGED_CONNECT, /* a connection that was refused */
    LOGGED_AUTH,
    LOGGED_CLOSE
};

/* In the words of the log. */
enum logged_verdict {
    LOGGED_ACCEPT,
    LOGGED_REJECT,
    LOGGED_DEFER,
    LOGGED_DISCONNECT,
    LOGGED_DROP,
    LOGGED_BAN,
    LOGGED_ABORT,  /* the client gave it up */
    LOGGED_UNKNOWN /* nobody knows whether the MTA took it */
};
extern const char *const logged_verdict_words[LOGGED_UNKNOWN + 1];

enum logged_login { LOGGED_LOGIN_OK, LOGGED_LOGIN_WRONG, LOGGED_LOGIN_UNCHECKED, LOGGED_LOGIN_LIMITED };

struct logged {
    enum logged_kind kind;
    size_t bytes;      /* of memory that it takes */
    int64_t time_us;   /* when it was written */
    int64_t opened_us; /* when its connection began, as the id says it; time_us where it says nothing likely */
    /* Empty: not said. All lie behind it, in its own memory. */
    struct str id, session; /* session: its first letters */
    struct str node, listener, name, country, helo, tls, cipher;
    struct str user, mechanism;
    struct str sender, message_id, from;
    struct str enhanced, text, at, by, relay_text;
    struct str recipients, refusals, milters, limits; /* as they stand in the line */
    bool is_clean;                                    /* and so is what is read of these */
    struct ip client;
    uint16_t port;
    enum logged_verdict verdict;
    enum logged_login login;
    int code, relay_code;
    uint64_t accepted, refused, size_bytes;
    uint64_t share_of; /* refused by a node's share of a limit, one of so many; 0: it was not */
};

enum logged_result {
    LOGGED_READ,
    LOGGED_IGNORED, /* an event of another kind */
    LOGGED_WRONG,   /* no event of ours; err: why */
    LOGGED_NO_MEMORY
};

/* LOGGED_READ: *to is the caller's, for free(). err is set for LOGGED_WRONG only. */
enum logged_result logged_read(struct str line, struct logged **to, struct err *err);

/* What a log that somebody else wrote may hold must not reach a terminal: control characters in its texts become '?',
 * and in those of the lists below. */
void logged_clean(struct logged *past);

/* To whom a mail was to go, as far as the log says. */
struct logged_rcpts {
    const struct str *items; /* empty: one whose address is not known */
    const int *codes;        /* the MTA's refusals; 0: it took that one, or was never asked */
    size_t count;
    size_t unknown; /* so many of them are not in the log */
};
/* In the arena. False: no memory. */
MUST_USE bool logged_recipients(const struct logged *past, struct arena *arena, struct logged_rcpts *to);

/* What limits had counted by then, this mail included. */
struct logged_limit {
    struct str name, key;
    uint64_t period_s, limit, used;
};
struct logged_limits {
    const struct logged_limit *items;
    size_t count;
};
/* As logged_recipients. */
MUST_USE bool logged_limits(const struct logged *past, struct arena *arena, struct logged_limits *to);

#endif

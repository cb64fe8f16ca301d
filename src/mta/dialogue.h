/*
 * dialogue.h - what is said to the MTA in each state, and where its reply leads. Pure: no socket, no time.
 *
 *   GREETING ─▶ EHLO ─▶ [STARTTLS ─▶ EHLO] ─▶ [XCLIENT … ─▶ EHLO] ─▶ READY        one at a time, each may be skipped
 *                 └─▶ HELO (500, 502) ──────────────────────────────▶ ↑ │
 *                                                                     │ ▼
 *             RSET ◀── given up ──  [XFORWARD …] MAIL RCPT… DATA BODY DOT          pipelined where the server lets us
 *
 * mta_enter writes the command of a state, mta_on_reply judges the reply to it. The MTA is not trusted to be sane: a
 * reply that cannot be in its place (354 to MAIL, 250 to DATA, anything while nothing was asked) is told apart from a
 * refusal, and ends the connection (PROTOCOLS.md 2, RFC 5321 4.3.2).
 *
 * A new step (LHLO, AUTH, PROXY) is a state here, a row in dialogue.c, and a line in mta_next_step.
 *
 * A road not taken: DATA in one write with RCPT (RFC 2920). A 354 could then come though every recipient was refused;
 * since DATA waits for an accepted one, that cannot be.
 */
#ifndef MTA_DIALOGUE_H
#define MTA_DIALOGUE_H

#include "mta/exchange.h"
#include "smtp/reply.h"

enum mta_state {
    MTA_AT_GREETING,
    MTA_AT_EHLO,
    MTA_AT_HELO,
    MTA_AT_STARTTLS,
    MTA_AT_XCLIENT,
    MTA_AT_READY, /* nothing is asked */
    MTA_AT_XFORWARD,
    MTA_AT_MAIL,
    MTA_AT_RCPT,
    MTA_AT_DATA,
    MTA_AT_BODY, /* nothing is asked: no verdict can be due before the dot */
    MTA_AT_DOT,
    MTA_AT_RSET,
    MTA_AT_QUIT,
    MTA_STATE_COUNT
};

/* What the EHLO reply says. */
struct mta_features {
    unsigned extensions;        /* SMTP_EXT_… (params.h) */
    uint64_t size_bytes;        /* of SIZE; 0: no limit told */
    unsigned xforward, xclient; /* attributes offered (identity.h); 0: none */
    bool pipelining, starttls;
};

/* Everything that decides which step comes next on one connection. */
struct mta_dialogue {
    const char *hostname;
    const struct mta_client *client; /* whose mail it is; NULL: nobody's yet */
    struct mta_features features;
    enum mta_tls tls; /* of this server, decided: not MAY where TLS is known not to work */
    enum mta_xclient xclient;
    bool xforward; /* if offered */
    bool tls_is_on;
    bool is_presented;      /* by XCLIENT: the connection is this client's from now on */
    uint8_t xclient_number; /* commands sent and accepted */
};

/* A command of a mail, kept in the mail's arena for the case of a second try. */
struct mta_command {
    struct mta_command *next;
    struct str path;                     /* of MAIL and RCPT, without <> */
    const struct smtp_mail_params *mail; /* of MAIL */
    struct smtp_rcpt_params rcpt;        /* of RCPT */
    uint8_t state;                       /* MTA_AT_MAIL, _RCPT, _DATA or _DOT */
    uint32_t index;                      /* of RCPT: which */
    uint8_t told_class;                  /* first digit of the reply that the caller has had; 0: none */
};

enum mta_move {
    MTA_ENTERS,         /* go to `next` and enter it */
    MTA_SHAKES_HANDS,   /* TLS now; then enter `next` */
    MTA_TELLS,          /* a verdict about the mail */
    MTA_REFUSES,        /* the server is of no use to us: `why` */
    MTA_REFUSES_CLIENT, /* of no use to this client: the reply is the answer to its mail */
    MTA_CLOSES,         /* 421: the server closes the connection */
    MTA_BREAKS          /* no reply that could be in this place: `why` */
};

struct mta_turn {
    enum mta_move move;
    enum mta_state next;
    const char *why; /* a literal */
};

/* Appends the command of a state; nothing where nothing is said. command: of MAIL and RCPT; number: of XFORWARD, which
 * command (identity.h); else ignored. False: the buffer is full. */
MUST_USE bool mta_enter(const struct mta_dialogue *d, enum mta_state state, const struct mta_command *command,
                        unsigned number, struct buf *to);

/* Judges the reply to what was entered, and learns from it (EHLO's features). */
struct mta_turn mta_on_reply(struct mta_dialogue *d, enum mta_state state, const struct smtp_answer *answer);

/* The first step that is still missing before mail can be sent, READY if none is: after EHLO, and again when a waiting
 * connection is given to a client. */
struct mta_turn mta_next_step(const struct mta_dialogue *d);

/* TLS is on: what was said before is forgotten (RFC 3207 4.2). */
void mta_forget_features(struct mta_dialogue *d);

/* From the text of an EHLO reply, its lines parted by LF; the first is the server's name. */
void mta_features_read(struct mta_features *f, struct str text);

/* "MAIL", for logs. */
const char *mta_state_name(enum mta_state state);

#endif

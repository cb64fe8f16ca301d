/*
 * session.h - one client, from accept to close: the tour of mailweir.
 *
 * A mail's way, and where to read about each step:
 *
 *   accepted       accept.c:session_accept      bans, connection limits, rules of `connect`; then 465: TLS
 *   greeting       accept.c:greet               220; from here the client has `timeout greeting`
 *   a line         commands.c:on_line           which command, may it stand here, its reply in its turn
 *   EHLO           hello.c:ehlo_proceed         what is offered depends on TLS, login and the MTA
 *   STARTTLS       tls.c:starttls_proceed       all that was said before is forgotten
 *   AUTH           login.c:auth_proceed         the exchange, rules, the auth process, rules again
 *   MAIL, RCPT     envelope.c:mail_proceed      rules, then on to the MTA at once; its verdict is the reply
 *   its verdicts   envelope.c:on_reply          in order, into the open replies (transaction.c)
 *   DATA           envelope.c:data_proceed      rules, then limits beside the MTA's 354, which is ours
 *   the message    body.c:body_on_input         strict lines, streamed; a refusal is said at the dot
 *   its header     header.c:header_take         held until it is whole; rules, edits, Received: on top
 *   the dot        settle.c:message_complete    rules, real size settled, dot sent, the MTA's verdict is ours; rules of
 *                                               `result`; event line
 *   the end        close.c:session_close        whatever is open is given up; event line
 *
 * Each question to policy/ goes through ask.c and may take its time; what happens beside the commands is counted in
 * count.c; what else rules and limits say becomes events in effects.c; a reply that they want delayed waits in delay.c.
 *
 *   client ══ conn ══ session ─┬─ policy/   (ask: rules, limits)
 *                              ├─ auth/     (is the password right?)
 *                              └─ mta/      (exchange: the mail at the MTA)
 *
 * A session has one state and awaits at most one thing. While it awaits, no further command is read; only MAIL and
 * RCPT, whose verdicts come from the MTA, leave their reply open and let the next line be read (RFC 2920). Replies go
 * out in the order of their commands.
 *
 * Never: the dot before every check has spoken; 250 before the MTA's 250; a byte from the client that waits while TLS
 * or AUTH changes what it would mean.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "auth/auth_client.h"
#include "auth/mechanism.h"
#include "config/config.h"
#include "mta/exchange.h"
#include "net/conn.h"
#include "policy/ask.h"
#include "policy/header_facts.h"
#include "policy/lookups.h"
#include "smtp/command.h"
#include "smtp/dot.h"
#include "smtp/header.h"
#include "smtp/replies.h"
#include "smtp/sasl_line.h"
#include "stats/alert.h"
#include "stats/event.h"

struct tls_context;

enum { REFUSED_BANS = 256 };

/* What all sessions of a worker share. process/worker.c fills it and calls session_accept; nothing of it changes. */
struct session_worker {
    struct loop *loop;
    const struct config *config;
    struct tls_context *tls;  /* NULL: no certificate: STARTTLS is not offered */
    struct auth_client *auth; /* NULL: no AUTH is offered */
    struct mta_pool **pools;  /* as config->pools */
    struct policy_engine policy;
    struct event_log *events;
    struct alert_sender *alerts; /* NULL: no alert is defined */
    struct counters *counters;
    unsigned number;             /* of the worker: part of every id */
    unsigned max_sessions;       /* its share of max-connections */
    unsigned max_tarpits;        /* its share of max-tarpits */
    void (*on_empty)(void *arg); /* draining, and the last session is closed */
    void *arg;

    /* session/'s own; session_worker_init */
    struct list sessions;
    unsigned session_count, tarpit_count;
    bool is_draining;
    uint32_t sequence;
    struct refused_ban { /* a banned client that connects again and again is written down now and then only */
        struct ip_net network;
        int64_t said_ms; /* 0: free */
    } refused_bans[REFUSED_BANS];
};

void session_worker_init(struct session_worker *w);
/* Takes an accepted connection of a listener. The descriptor is the session's, or closed. */
void session_accept(struct session_worker *w, const struct listener_config *listener, int fd, const struct ip *peer,
                    uint16_t port);
/* No session begins a new mail: idle ones are told 421 4.3.2 now, the others after their mail. on_empty follows. */
void session_drain(struct session_worker *w);
/* Closes every session now (a second TERM, the drain's end). */
void session_close_all(struct session_worker *w);

/* ---- inside session/ ---- */

enum session_state {
    SESSION_GREETING, /* accepted; TLS of 465, rules of connect */
    SESSION_COMMAND,  /* a line is awaited */
    SESSION_AUTH,     /* a line of the AUTH exchange is awaited */
    SESSION_BODY,     /* octets of DATA are awaited */
    SESSION_SKIP,     /* octets of a refused BDAT are dropped */
    SESSION_DOT,      /* the MTA's last word is awaited; nothing is read */
    SESSION_CLOSING,
};

/* What is awaited before the next command may be read. */
enum {
    HELO_MAX_BYTES = 255,   /* of the name that is kept (RFC 5321 4.5.3.1.2) */
    ASK_DEADLINE_MS = 45000 /* for an answer of policy/: what it asks outside has shorter ones of its own, at most
                               30 s */
};

enum session_wait {
    WAIT_NOTHING,
    WAIT_POLICY,
    WAIT_AUTH,
    WAIT_VERDICTS, /* of MAIL and RCPT, because a command came that needs them */
    WAIT_DATA,     /* the MTA's 354 */
    WAIT_RELAY,    /* the MTA takes the body more slowly than it comes */
    WAIT_DOT,      /* the MTA's last word */
    WAIT_TLS,      /* the handshake */
    WAIT_DELAY,    /* before a 421 to who made too many errors */
    WAIT_TARPIT,   /* the reply is delayed (delay.c); what comes meanwhile is kept, and the client's end is seen */
    WAIT_OUTPUT,   /* the client reads its replies too slowly */
    WAIT_COUNTS,   /* so much happened that is still being counted */
};

enum session_flag {
    SESSION_SAID_HELLO = 1 << 0,
    SESSION_IS_ESMTP = 1 << 1,
    SESSION_IS_EARLY = 1 << 2,
    SESSION_SKIPS_LINE = 1 << 3,       /* the rest of a line that was too long or broken is thrown away */
    SESSION_IN_INPUT = 1 << 4,         /* on_input is on the stack: whoever resumes need not call it */
    SESSION_MAIL_WAS_REFUSED = 1 << 5, /* the last MAIL; RCPT and DATA may be on their way behind it */
    SESSION_IS_UNTOLD = 1 << 6,        /* one of a flood of banned clients: no event tells of it */
    SESSION_IS_BURIED = 1 << 7,        /* but for what is still being counted of it */
};

/* How a mail came out, for its event and metrics. */
enum mail_verdict {
    MAIL_OPEN,
    MAIL_ACCEPTED,
    MAIL_REJECTED,
    MAIL_DEFERRED,
    MAIL_DISCONNECTED,
    MAIL_DROPPED,
    MAIL_BANNED,
    MAIL_ABORTED,
    MAIL_UNKNOWN
};

/* A reply that waits for its turn or its verdict. */
struct slot {
    struct slot *next;
    int code; /* 0: still open */
    char enhanced[12];
    struct str text;
};

struct recipient {
    struct smtp_path path;
    struct smtp_rcpt_params params;
    struct slot *slot;
    int code; /* the verdict, 0: open */
};

/* A recipient that rules or limits refused: for the mail's event. */
struct refused_recipient {
    struct refused_recipient *next;
    struct str address, by;
    int code;
};

/* One mail, from MAIL to its end. Everything of it lies in its arena, itself too. */
struct transaction {
    struct arena arena;
    struct session *session;
    struct mta_exchange exchange;
    struct mta_client client;
    struct policy_mail policy;
    struct smtp_path sender;
    struct smtp_mail_params params;
    struct slot *slots, **slots_end; /* unanswered: MAIL's and RCPTs', the head is the next to go out */
    unsigned slot_count;
    struct recipient **recipients; /* those sent to the MTA, in that order: its verdicts come by index */
    size_t recipient_count, recipient_cap;
    struct recipient **asked; /* what rcpt… of the facts runs over: the one at hand; at DATA those accepted */
    size_t asked_count;
    size_t accepted_count, refused_count, refused_by_mta_count;
    struct recipient *at_hand; /* of the RCPT that rules are asked about */
    struct slot *last_refusal; /* of a recipient */
    struct refused_recipient *refused, **refused_end;
    struct str last_refused_by;
    /* Its real size, at the dot. */
    struct {
        struct policy_case question;
        struct policy_answer answer;
        bool is_asked;
    } settling;
    bool data_was_sent, data_was_taken; /* to the MTA, by it (354) */
    bool dot_was_sent, is_settled;      /* is_settled: the charge is kept or given back */
    bool was_taken;                     /* MAIL was, by the MTA */
    bool has_failed;                    /* the exchange is over before its time */
    bool is_over_limit;                 /* a limit refused it */
    bool is_held;                       /* replies that could go out are delayed */
    bool takes_8bit;                    /* the MTA that the body goes to */

    /* the message (body.c, header.c) */
    struct smtp_dot dot;
    struct smtp_header header;
    struct buf block; /* the header block, while it is not whole, or rules are asked about it for a while */
    struct str held;  /* all that was read, while rules are asked about its header; else STR_NONE */
    struct header_facts header_facts; /* its fields are there as long as a rule may ask about them */
    bool block_is_done;
    bool is_whole;             /* the final dot was read */
    uint64_t dropped_bytes;    /* read after the mail was refused */
    uint64_t renewed_at_bytes; /* of the body, when the deadline was last renewed */
    struct str message_id, from;

    /* the outcome: the first refusal decides; said to the client by the dot's reply if it came while the body was being
     * read */
    enum mail_verdict verdict;
    int code;
    char enhanced[12];
    struct str text, by;
    const char *at;
    struct policy_effect *effects;
    struct str relay, relay_text; /* the server, and what it said last */
    int relay_code;
    unsigned number;
    int64_t begun_us, dot_us, answered_us;
    unsigned count_count; /* of what happened in it and is still being counted: it stays until that is over */
    struct task bury;
};

struct session {
    struct conn conn;
    struct session_worker *worker;
    struct list node;
    const struct listener_config *listener;
    struct transaction *tx; /* NULL: no mail */
    struct login *login;    /* an AUTH exchange; NULL: none */
    char *helo;             /* heap, NUL-terminated; NULL: nothing was said */
    char *certificate;      /* its subject, heap; NULL: none was shown, or none that is believed */
    char *user;             /* the login; NULL: none */
    char *given_name;       /* what the client called itself to log in as user */
    const char *mechanism;
    struct arena arena; /* tags of the connection */
    struct policy_connection policy;
    struct ask *ask;                /* while policy is asked, or its answer is delayed */
    struct count *ending;           /* what was counted and ends the session, at the next moment; NULL: nothing */
    struct delay *delay;            /* a reply waits for its time; NULL: none does */
    uint32_t tarpit_ms, delayed_ms; /* by how much the reply to the command at hand is to be delayed, and was already */
    struct task bury;               /* frees it at the end of the turn in which it was closed */
    const char *reason;             /* of the end, for its event */
    int64_t opened_us, ends_at_ms;
    int64_t began_us; /* of the handshake */
    uint32_t tls_us, auth_us;
    uint64_t number, bytes;
    uint64_t skip_bytes; /* of a BDAT */
    struct ip client;
    uint16_t port;
    uint8_t state, wait;
    uint8_t offered; /* SMTP_EXT_… in the reply to EHLO: taken as long as that holds, whatever becomes of the MTA */
    uint16_t flags;
    uint16_t errors, junk;
    unsigned count_count;               /* of what happened and is still being counted: it stays until that is over */
    uint32_t commands, mails, messages; /* mails begun, mails that the MTA took */
};

/* The words of an id: 13 letters for the connection; a mail's has "-N" behind. Into `to` of SESSION_ID_MAX. */
enum { SESSION_ID_MAX = 32 };
struct str session_id(const struct session *s, char *to);
struct str session_mail_id(const struct session *s, unsigned mail, char *to);

/* commands.c */
void session_on_input(struct conn *c);
void session_on_drained(struct conn *c);
/* Goes on reading where the last wait stopped it; the client's time for what it owes us begins anew. */
void session_resume(struct session *s);
/* Stops reading until session_resume: for `wait`. */
void session_await(struct session *s, enum session_wait wait);
void session_enter(struct session *s, enum session_state state);
/* The deadline for what is awaited now: ms from this moment, but never beyond the session's own end; 0: none of ours.
 */
void session_deadline(struct session *s, int64_t ms);
/* Sends a reply that has nobody before it. What cannot be sent closes the session. */
void session_reply(struct session *s, const struct smtp_reply_call *call);
#define session_say(s, ...) session_reply((s), &(struct smtp_reply_call){__VA_ARGS__})
void session_reply_text(struct session *s, int code, const char *enhanced, struct str text);
/* The same for an error of the client: counted; at max-errors the session ends. */
void session_refuse_call(struct session *s, const struct smtp_reply_call *call);
#define session_refuse(s, ...) session_refuse_call((s), &(struct smtp_reply_call){__VA_ARGS__})
/* Replies and closes: 421, 554 … A mail at hand ends with this reply, too. */
void session_end_call(struct session *s, const char *reason, const struct smtp_reply_call *call);
#define session_end(s, reason, ...) session_end_call((s), (reason), &(struct smtp_reply_call){__VA_ARGS__})
/* Replies, as the last thing, and closes when it is sent. */
void session_close_when_sent(struct session *s, const char *reason);
/* Something that brings no mail nearer: after many of them (JUNK_MAX points between two mails) each counts as an error.
 * Of recipients ten times as many are free, because a client that wrote a long list means well. */
enum { JUNK_MAX = 10000, JUNK_COMMAND = 100, JUNK_RECIPIENT = 10 };
void session_count_junk(struct session *s, unsigned points);
/* Does a byte wait that should not (after EHLO, AUTH, DATA)? Then says so, closes, true. */
bool session_is_early(struct session *s);

/* ask.c: rules and limits of a phase. go_on is called at once, or after a wait, if they let it pass; a refusal is
 * handed to refused. */
typedef void session_step(struct session *s);
typedef void session_refusal(struct session *s, const struct policy_answer *answer);
void session_ask(struct session *s, enum phase phase, session_step *go_on, session_refusal *refused);
/* Answers a refusal. True: it ended the session. */
bool session_refuse_by_policy(struct session *s, const struct policy_answer *answer);
/* Forgets the question that waits, or whose answer is delayed, if there is one. */
void session_ask_cancel(struct session *s);
/* A question about the session, for what is not asked by session_ask; it is zeroed. Texts of the answer go into the
 * arena. */
void session_question(struct session *s, struct arena *arena, struct policy_case *question);

/* count.c */
/* Something happened that limits may count, to this recipient of the mail at hand (NULL: to none). What they say of it
 * at once is taken: a delay may be owed then, and session_end_by_count may have to end the session. What they say later
 * is taken then. */
void session_count(struct session *s, enum limit_unit unit, const struct recipient *r);
/* True: what was counted ends the session; that was said, and done, at once: who goes need not wait. */
bool session_end_by_count(struct session *s);
void session_forget_ending(struct session *s);
/* True: so much is being counted that no further command may be read; it waits. */
bool session_counts_too_much(struct session *s);

/* delay.c: tarpits. */
/* Somebody wants the reply to the command at hand delayed. */
void session_owe_delay(struct session *s, uint32_t ms);
/* Delays what is owed, then calls `then` and goes on reading. False: nothing is owed, or too many wait already: `then`
 * is the caller's to call, now. */
MUST_USE bool session_delay(struct session *s, session_step *then);
/* The same for a reply, which is said before `then` is called. */
MUST_USE bool session_delay_reply(struct session *s, const struct smtp_reply_call *call, session_step *then);
/* The reply's time has come. */
void session_delay_end(struct session *s);
void session_delay_cancel(struct session *s);

/* accept.c: session_accept in three steps. Tests and fuzzers give the second one a connection without a socket:
 * session_new, then conn_init_…(&s->conn, …, &session_conn_ops, &session_conn_limits), then session_begin, once. NULL:
 * the worker is full, or no memory. */
struct session *session_new(struct session_worker *w, const struct listener_config *listener, const struct ip *peer,
                            uint16_t port);
void session_begin(struct session *s);
extern const struct conn_ops session_conn_ops;
extern const struct conn_limits session_conn_limits;

/* accept.c tls.c hello.c login.c envelope.c: steps of commands */
void session_greet(struct session *s);
bool session_offers_tls(const struct session *s);
/* The largest message that we and the MTA take. */
uint64_t session_max_message(const struct session *s);
void session_start_tls(struct session *s);
void session_on_ready(struct conn *c);
void ehlo_proceed(struct session *s, const struct smtp_command *command);
void starttls_proceed(struct session *s, const struct smtp_command *command);
void auth_proceed(struct session *s, const struct smtp_command *command);
void auth_on_line(struct session *s, struct str line);
void login_free(struct session *s);
/* auth.user: the name that was given, from the moment it is known; STR_NONE: none was. */
struct str login_name(const struct session *s);
/* What a question about the attempt at hand needs beside the facts. */
void login_question(const struct session *s, struct policy_case *question);
void login_forget_user(struct session *s);
bool session_offers_auth(const struct session *s);
bool session_may_login_here(const struct session *s);
bool session_needs_login(const struct session *s);
void mail_proceed(struct session *s, const struct smtp_command *command);
void rcpt_proceed(struct session *s, const struct smtp_command *command);
void data_proceed(struct session *s, const struct smtp_command *command);

/* transaction.c: the mail at hand */
/* NULL: no memory. */
struct transaction *tx_new(struct session *s);
/* Of one that never became the session's; else tx_end. */
void tx_free(struct transaction *tx);
void slots_flush(struct session *s);
/* Delays the replies that are open, and the next command, if a delay is owed and nothing else is waited for. */
void slots_delay(struct session *s);
struct slot *slot_add(struct transaction *tx);
/* text is copied; without memory for it the code alone must do. */
void slot_fill(struct transaction *tx, struct slot *slot, int code, const char *enhanced, struct str text);
/* One of those without a %s. */
void slot_fill_reply(struct slot *slot, enum smtp_reply reply);
/* The phase that the mail is in, for its event. */
const char *tx_at(const struct session *s);
/* The first refusal of the whole mail is its outcome. text is copied. */
void tx_decide(struct transaction *tx, enum mail_verdict verdict, const char *at, int code, const char *enhanced,
               struct str text, struct str by);
void tx_decide_call(struct transaction *tx, const char *at, const struct smtp_reply_call *call);
#define tx_decide_reply(tx, at, ...) tx_decide_call((tx), (at), &(struct smtp_reply_call){__VA_ARGS__})
void tx_decide_policy(struct transaction *tx, const char *at, const struct policy_answer *answer);
enum mail_verdict verdict_of_code(int code);
/* Why the exchange failed, as a reply. */
enum smtp_reply reply_of_failure(enum mta_failure failure);
/* Ends the exchange; the event still says with whom it was. */
void tx_leave_mta(struct transaction *tx);
/* Ends the mail: the exchange, its charges, its event line; frees it. */
void tx_end(struct session *s);

/* envelope.c */
/* The rules of `data` went on, and the limits are being asked: so is the MTA, beside them. */
void data_ask_mta(struct session *s);
struct mta_pool *session_pool(const struct session *s);
extern const struct mta_ops session_mta_ops;

/* header.c */
/* More bytes that may be the header block's; is_all: the message ends with them. */
void header_take(struct session *s, struct str held, struct str passed, bool is_all);
/* Rules may look at the header no more. */
void header_forget(struct transaction *tx);

/* body.c settle.c */
void body_begin(struct session *s);
bool body_on_input(struct session *s);
void body_on_drained(struct session *s);
/* The mail is refused while its body is read: the MTA forgets it, the rest is read and dropped, the dot is answered so.
 */
void body_refuse(struct session *s);
/* The same, for a reason of our own. */
void body_refuse_call(struct session *s, const struct smtp_reply_call *call);
void message_complete(struct session *s);
void settle_on_verdict(struct session *s, const struct mta_reply *reply);
void settle_on_failure(struct session *s, enum mta_failure failure);
/* It need not be settled any more. */
void settle_cancel(struct transaction *tx);

/* close.c */
void session_prepare_end(struct session *s);
/* Ends it now, without a word. reason: for the event. */
void session_close(struct session *s, const char *reason);
void session_on_end(struct conn *c, enum conn_end why);

/* facts.c, effects.c, event.c */
void session_facts(const struct session *s, struct facts *facts);
/* What is known of the session, of this mail of it and of this recipient; either may be NULL. */
void session_fact(const struct session *s, struct transaction *tx, const struct recipient *r, int attribute,
                  struct str name, struct fact *out);
/* What an answer, whatever its verdict, says beside it: writes what is to be written, sends alerts, owes the delay. tx:
 * the mail at hand that it speaks of, in whose arena its effects lie; NULL: none. */
void session_take_effects(struct session *s, struct transaction *tx, enum phase phase,
                          const struct policy_answer *answer);
void session_event_begin(struct session *s, const char *event);
void session_event_mail(struct session *s);
/* refusal: of policy/; NULL: of nobody there. */
void session_event_auth(struct session *s, const char *result, struct str user, const struct policy_answer *refusal);
void session_event_close(struct session *s, const char *reason);
void session_event_connect(struct session *s, const struct policy_answer *answer);

#endif

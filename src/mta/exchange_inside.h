/* exchange_inside.h - what a link and the pool tell an exchange. None of these calls the mail's owner at once unless it
 * says so: only replies of the server do, everything else waits for the end of the turn. */
#ifndef MTA_EXCHANGE_INSIDE_H
#define MTA_EXCHANGE_INSIDE_H

#include "mta/dialogue.h"
#include "mta/exchange.h"

enum mta_exchange_state {
    MTA_EX_NONE,
    MTA_EX_BEGUN,   /* no MAIL yet */
    MTA_EX_PLACING, /* in the queue, or its link is being opened */
    MTA_EX_COMMANDS,
    MTA_EX_BODY,
    MTA_EX_DOT,
    MTA_EX_REFUSED, /* `refusal` answers everything */
    MTA_EX_FAILED,  /* on_failed comes or came */
    MTA_EX_OVER     /* the dot's verdict was told */
};

/* Its link can take commands. */
void mta_exchange_on_ready(struct mta_exchange *x);
/* Which reply is due. */
enum mta_state mta_exchange_place(const struct mta_exchange *x);
/* A reply and what it means; calls on_reply. The exchange and the link may be gone afterwards. */
void mta_exchange_on_turn(struct mta_exchange *x, enum mta_state place, struct mta_turn turn,
                          const struct smtp_answer *answer);
/* The link is over (already taken away from the exchange); `may_replay`: it was a pooled one and died of no silence or
 * nonsense. */
void mta_exchange_on_lost(struct mta_exchange *x, enum mta_failure failure, bool may_replay, bool dot_has_left,
                          const char *text);
/* The link could not be opened (already taken away): the next server, if there is one. */
void mta_exchange_on_not_opened(struct mta_exchange *x, enum mta_failure failure, const char *text);
/* XCLIENT: the server refuses this client (the link is taken away). */
void mta_exchange_on_client_refused(struct mta_exchange *x, enum mta_state state, const struct smtp_answer *answer);
/* Calls on_drained. */
void mta_exchange_on_drained(struct mta_exchange *x);

/* on_failed will come. text is copied. */
void mta_exchange_fail(struct mta_exchange *x, enum mta_failure failure, const char *text);

#endif

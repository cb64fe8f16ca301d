/*
 * account.h - the counters of somebody: which there are, what they say, and how they are forgotten.
 *
 *   "user:alice@example.org" ─▶ whom.h ─▶ limits that count by these keys ─▶ a row per rate ─▶ the store, one after
 *                                                                                             the other
 *
 * While Redis is away that is what this node would decide by: its own counts, what it last read of the others', and of
 * what is left of a limit its share.
 *
 * The rates are those that hold for him: an operator's allowance, else a table's override, else the limit's own. The
 * store is asked as the limiter asks it (limits/store.h, TAKE_NOTHING), so what is shown is what would be decided by.
 */
#ifndef ADMIN_ACCOUNT_H
#define ADMIN_ACCOUNT_H

#include "admin/admin.h"
#include "policy/whom.h"

/* Where a row's rate comes from. */
enum account_source { RATE_OF_LIMIT, RATE_OF_TABLE, RATE_OF_OPERATOR };

struct account_row {
    const struct policy_limit *limit;
    struct str key, entity; /* "user:alice@example.org", "u:alice@example.org" */
    struct rate rate;
    enum account_source source;
    bool is_unlimited; /* `none`: nothing is counted for him; the rest says nothing */
    bool is_known;     /* the store has answered */
    bool is_full;      /* one more is refused */
    uint64_t allowed;  /* by the limit, in its unit */
    uint64_t used;
    const char *store; /* who answered (limits/store.h, decided_by) … */
    uint32_t share_of; /* … and by which share; 0: by none */
    int64_t frees_us;  /* how long until less is used, or if it is full, until one more fits; 0: nothing is used;
                          WAIT_UNKNOWN: when a connection ends */

    /* Inner life. */
    struct take take;
    struct take_member no_member; /* of different values none is asked about, but how many there are */
    enum column column;
    bool is_second; /* its second question is under way: when is there less? */
};

/* A question about somebody, under way; lies in an arena of its own. */
struct account {
    struct admin *admin;
    struct control_ask *ask;
    struct arena arena;
    struct whom whoms[WHOM_GUESSES_MAX];
    size_t whom_count;
    struct account_row *rows; /* in the order of the configuration */
    size_t row_count;
    struct str joint; /* keys of limits that count him together with something else: "user+client"; empty: none */
    json_t *answer;   /* the handler's, as far as it has come; owned */

    /* Inner life. */
    bool forgets, is_started;
    size_t at;
    bool has_failed; /* forgetting: of some row */
    struct store_op op;
    struct take *takes[1];
    void (*on_done)(struct account *c);
};

/* Of the question's "key": lists the rows; only: a limit's name, or STR_NONE. It goes with the question, unless
 * account_answer or account_refuse ends both. NULL: the question was refused. */
struct account *account_new(struct admin *a, struct control_ask *ask, struct str only);
/* Takes the object. */
void account_answer(struct account *c, json_t *json);
void account_refuse(struct account *c, const struct err *err, bool again);

/* Asks the store about every row. DONE, or on_done comes once. */
enum started account_read(struct account *c, void (*on_done)(struct account *));
/* The store forgets every row, but those of open connections. DONE, or likewise; has_failed: it could not, of some. */
enum started account_forget(struct account *c, void (*on_done)(struct account *));
/* After account_read: is anything counted in some row? null: the store does not say. */
json_t *account_counted_json(const struct account *c);
/* Open connections cannot be forgotten: they are there. */
bool account_can_be_forgotten(const struct account_row *row);

/* The limit of that name. NULL with a reason, and what was perhaps meant. */
const struct policy_limit *admin_find_limit(const struct admin *a, struct str name, struct err *err);

#endif

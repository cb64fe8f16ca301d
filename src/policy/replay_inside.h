/* replay_inside.h - replay.c puts events in order, replay_session.c has connections do what they did. */
#ifndef POLICY_REPLAY_INSIDE_H
#define POLICY_REPLAY_INSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "policy/replay.h"

struct replay_connection {
    struct list node;    /* by its last use */
    struct trial *trial; /* NULL: not opened yet */
    int64_t last_us;
    size_t held_count; /* events of it that are held */
    bool is_closed;
    bool was_refused;    /* the log has it as a connection that was refused */
    bool is_turned_away; /* it was refused at connect, as `refusal` says: so are its mails */
    struct trial_refusal refusal;
    size_t key_len;
    char key[]; /* id and node */
};

struct replay_held {
    int64_t time_us;
    uint64_t number; /* of the same moment the first that came */
    struct replay_connection *connection;
    struct logged *past; /* of an opening: borrowed from the event that follows */
    bool is_opening;
};

struct replay {
    struct replay_options options;
    struct trial *counts; /* whose counts all connections share */
    struct map connections;
    struct list by_use;
    size_t open_count;
    struct replay_held *held; /* a heap */
    size_t held_count, held_cap, held_bytes;
    uint64_t number;
    uint64_t passwords; /* made up so far */
    int64_t now_us;
    bool has_seen_close, is_at_end;
};

/* False: no memory. */
MUST_USE bool replay_open(struct replay *r, struct replay_connection *c, const struct logged *past);
/* What came of a mail, a login, a connection. False: no memory. */
MUST_USE bool replay_event(struct replay *r, struct replay_connection *c, const struct logged *past,
                           struct replay_outcome *outcome);

#endif

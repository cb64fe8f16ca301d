/* explain.h - the parts of `mailweir explain`: explain.c reads the command line and leads, explain_message.c reads a
 * message, explain_past.c finds what the event log tells of. Inside cli/ only. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "config/config.h"
#include "policy/past.h"

enum {
    EXPLAIN_LIST_MAX = 1000,     /* of what may be given many times */
    EXPLAIN_BLOCK_EXCESS = 4096, /* a header that is too large is noticed when it is */
};

struct explain_list {
    const char *items[EXPLAIN_LIST_MAX];
    size_t count;
};

struct explain_arguments {
    const char *path;
    const char *client, *user, *listener, *helo, *from, *size, *tls, *name, *country, *message, *event, *events;
    struct explain_list rcpts, headers, listed;
};

/* What the settings of the trial point to. */
struct explain_memory {
    struct str rcpts[EXPLAIN_LIST_MAX], listed[EXPLAIN_LIST_MAX];
    struct trial_header headers[EXPLAIN_LIST_MAX];
    struct buf block;
    struct past past;
};

/* Reads the header of a message in a file, as it would be on the wire, and how large the whole would be. False: err. */
MUST_USE bool explain_read_message(const char *path, size_t max_header_bytes, struct buf *block, uint64_t *size_bytes,
                                   struct err *err);

/* Finds the event in the file that is named, or in that of the configuration and its older ones. False: err, with what
 * to do. Always past_fini. */
MUST_USE bool explain_find_past(const struct config *cfg, const char *events, const char *id, struct past *past,
                                struct err *err);
/* What the log says of it, beside what the trial came to. */
void explain_compare(const struct past *past, const struct trial *t);

#endif

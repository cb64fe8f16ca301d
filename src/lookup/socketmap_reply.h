/*
 * socketmap_reply.h - the server's half of the socketmap protocol, read: one netstring ("4:OK x,") that begins with a
 * word. Pure; bytes from outside come in here. socketmap_table(5).
 */
#ifndef LOOKUP_SOCKETMAP_REPLY_H
#define LOOKUP_SOCKETMAP_REPLY_H

#include "lookup/socketmap.h"

enum socketmap_read {
    SOCKETMAP_READ_MORE,   /* so far it may be one, but it is not whole */
    SOCKETMAP_READ_REPLY,  /* *reply is it */
    SOCKETMAP_READ_BROKEN, /* it is none, or too long: nothing that follows can be believed */
};

struct socketmap_reply {
    enum remote_result result;
    struct str text; /* FOUND: the value; FAILED: all of it, "TEMP database is down"; borrowed from the input */
    size_t bytes;    /* of input that it takes */
};

enum socketmap_read socketmap_reply_read(struct str input, struct socketmap_reply *reply);

#endif

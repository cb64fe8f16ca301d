/*
 * header_facts.h - what rules may ask about the header block of a message (the header… rows of attributes.def): one
 * getter for live mails (session/) and made-up ones (trial.h).
 */
#ifndef POLICY_HEADER_FACTS_H
#define POLICY_HEADER_FACTS_H

#include "base/arena.h"
#include "rules/facts.h"
#include "smtp/header.h"

struct header_facts {
    struct str fields; /* of the block, as they came; borrowed as long as somebody asks */
    size_t size_bytes;
    unsigned line_count;
    struct str from;             /* the address in the From field, if there is exactly one; else empty */
    struct arena *arena;         /* of the mail: what was found lies there */
    struct header_value *values; /* header["…"], as far as it was asked */
};

/* Of a block that smtp_header_scan has found the end of. Without memory `from` is none. */
void header_facts_init(struct header_facts *h, const struct smtp_header *header, struct str block, struct arena *arena);
/* False: it is no attribute of a header. */
bool header_facts_get(struct header_facts *h, int attribute, struct str name, struct fact *out);

#endif

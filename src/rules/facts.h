/*
 * facts.h - how rules learn what is so: one getter, one small value.
 *
 * Who asks (session/facts.c for live mail, policy/ for trials) answers for an attribute of attributes.def. What is not
 * known is NONE, and a getter never fetches anything: it must be cheap and free of side effects, because it is called
 * for the attributes that some rule looks at and as often as it looks.
 */
#ifndef RULES_FACTS_H
#define RULES_FACTS_H

#include "net/addr.h"

enum fact_kind {
    FACT_NONE,
    FACT_TEXT, /* text, domain, address, login */
    FACT_NUMBER,
    FACT_DECIMAL, /* number: millionths; a number with a fraction, as `score` */
    FACT_TRUTH,
    FACT_IP,
    FACT_NETWORK,
    FACT_DURATION, /* number: milliseconds */
    FACT_TIME,     /* number: minutes since midnight, local time */
    FACT_WEEKDAY,  /* number: 0 Monday … 6 Sunday */
};

struct fact {
    enum fact_kind kind;
    union {
        struct str text; /* borrowed until the mail ends */
        int64_t number;
        bool truth;
        struct ip ip;
        struct ip_net network;
    };
};

struct facts {
    /* attribute: ATTRIBUTE_… of attributes.def; name: what stands in ["…"] of an indexed one, else STR_NONE. */
    void (*get)(const struct facts *facts, int attribute, struct str name, struct fact *out);
    const void *about; /* the getter's own: the session */
    size_t rcpt;       /* which recipient rcpt… speaks of, from 0 */
};

/* Facts as getters make them. An empty text is one that is not known. */
static inline struct fact fact_of_text(struct str text)
{
    return text.len ? (struct fact){.kind = FACT_TEXT, .text = text} : (struct fact){.kind = FACT_NONE};
}

static inline struct fact fact_of_number(uint64_t n)
{
    return (struct fact){.kind = FACT_NUMBER, .number = (int64_t)MIN_OF(n, (uint64_t)INT64_MAX)};
}

static inline struct fact fact_of_truth(bool truth)
{
    return (struct fact){.kind = FACT_TRUTH, .truth = truth};
}

#endif

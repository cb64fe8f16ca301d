/* dnsbl_inside.h - what the files of dnsbl share: what an answer means (pure), and the health of a zone. */
#ifndef LOOKUP_DNSBL_INSIDE_H
#define LOOKUP_DNSBL_INSIDE_H

#include "lookup/dnsbl.h"

/* ---- dnsbl_answer.c ---- */

enum dnsbl_meaning {
    DNSBL_MEANS_LISTED,
    DNSBL_MEANS_NOT_LISTED,
    DNSBL_MEANS_ERROR,   /* the list refuses to answer, in the form of an answer */
    DNSBL_MEANS_FOREIGN, /* an address outside 127/8: nobody keeps a list there */
};

/* spans: what means listed; count 0: the default. Of LISTED, *answer has the codes; of ERROR and FOREIGN, the address
 * that shows it is codes[0]. */
enum dnsbl_meaning dnsbl_meaning_of(const struct ip *addresses, size_t count, const struct ip_span *spans,
                                    size_t span_count, struct dnsbl_answer *answer);

/* ---- dnsbl_zone.c ---- */

enum dnsbl_family_state { FAMILY_UNTESTED, FAMILY_SERVED, FAMILY_ABSENT };

enum {
    DNSBL_TEST_EVERY_MS = 3600000,
    DNSBL_TEST_AGAIN_MS = 30000,
    DNSBL_TEST_MIN_MS = 2000, /* a test waits as long as this even if clients do not: it decides for an hour */
    DNSBL_ERROR_KEEP_MS = 30000,
    DNSBL_SILENT_AFTER = 10, /* failures in a row */
    DNSBL_TESTS = 4,         /* two families, listed and not */
};

#define DNSBL_MALFORMED "its DNS answers are malformed"

/* One question of a self-test. */
struct dnsbl_test {
    struct dnsbl_zone *zone;
    struct dns_question *question; /* NULL: not under way */
    const char *error;             /* static; NULL: it has not failed */
    enum dnsbl_meaning meaning;    /* unless it failed */
    struct dnsbl_answer answer;
};

struct dnsbl_zone {
    struct dnsbl *all;
    const struct dnsbl_zone_options *options;
    enum dnsbl_state state;
    enum dnsbl_family_state families[2]; /* IPv4, IPv6 */
    struct dnsbl_test tests[DNSBL_TESTS];
    unsigned tests_left;
    struct timer next_test;
    unsigned failures; /* in a row */
    uint32_t life;     /* counted up when the zone is doubted: what was remembered before is not asked for any more */
    struct list held;  /* struct dnsbl_question that wait for the first test */
    char why[200];
};

/* One client's question to one zone: the state of an inquiry. */
struct dnsbl_question {
    struct list node; /* among the held ones */
    struct inquiry *inquiry;
    struct dnsbl_zone *zone;
    struct dns_question *dns;
};

struct dnsbl {
    struct loop *loop;
    struct dns *dns;
    struct event_log *events;
    struct counters *counters;
    struct inquiries *inquiries;
    size_t zone_count;
    struct dnsbl_zone zones[];
};

void dnsbl_zone_init(struct dnsbl_zone *z, struct dnsbl *all, const struct dnsbl_zone_options *options);
void dnsbl_zone_fini(struct dnsbl_zone *z);
/* Begins the self-test; it ends by the zone's timeout, or in 2 s. Called when its hour has come. */
void dnsbl_zone_test(struct dnsbl_zone *z);
/* What a client's question showed. */
void dnsbl_zone_saw_error(struct dnsbl_zone *z, const uint8_t code[4]);
void dnsbl_zone_saw_foreign(struct dnsbl_zone *z, const uint8_t address[4]);
void dnsbl_zone_saw_failure(struct dnsbl_zone *z, const char *error);
void dnsbl_zone_saw_answer(struct dnsbl_zone *z);

/* ---- dnsbl.c ---- */

/* The first test is over: asks what was held, or answers "unknown". */
void dnsbl_question_go(struct dnsbl_question *q);

#endif

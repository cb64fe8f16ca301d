/*
 * lookups.h - who is asked outside, where a rule or limit needs what the session does not know: the name of a client,
 * DNS lists, tables that lie elsewhere.
 *
 *   condition waits ─▶ outside.c: a trip for each thing wanted ─▶ policy_lookups ─┬─ live   DNS, GeoIP, socketmap,
 *         ▲                                                                      └─ given  what a trial says
 *         └──── asked again ◀── the answer, kept: in struct policy_client for the connection, else for the question
 *
 * What is found out about a client is asked once and holds for the whole connection, so that its rules do not
 * contradict each other. What stands in a remote table holds for the question. Country and network operator come from a
 * file: there is nothing to wait for.
 */
#ifndef POLICY_LOOKUPS_H
#define POLICY_LOOKUPS_H

#include "lookup/dnsbl.h"
#include "lookup/geoip.h"
#include "lookup/reverse_name.h"
#include "lookup/socketmap.h"
#include "lookup/table_redis.h"
#include "policy/policy.h"
#include "rules/eval.h"

struct policy_engine;
struct policy_case;
struct policy_connection;

/* ---- what a policy asks for: only what some rule or limit names ---- */

enum policy_failure { POLICY_FAILURE_SKIP, POLICY_FAILURE_DEFER };

struct policy_dnsbl {
    struct dnsbl_zone_options zone;
    enum policy_failure failure;
};
struct policy_remote {
    const char *name;
    bool is_redis;
    unsigned number; /* among those of its kind */
    union {
        struct socketmap_options map;
        struct table_redis_options redis;
    };
    enum table_type type;
    enum policy_failure failure;
};

/* Their places are the numbers that conditions use; they last as long as the policy. */
const struct policy_dnsbl *policy_dnsbls(const struct policy *policy, size_t *count);
const struct policy_remote *policy_remotes(const struct policy *policy, size_t *count);

/* ---- one trip ---- */

enum policy_lookup_kind { POLICY_LOOKUP_NAME, POLICY_LOOKUP_DNSBLS, POLICY_LOOKUP_REMOTE };
enum policy_found { POLICY_NOT_THERE, POLICY_THERE, POLICY_NO_ANSWER };

struct policy_lookup {
    enum policy_lookup_kind kind;
    struct ip client; /* NAME, DNSBLS */
    uint64_t dnsbls;  /* DNSBLS: bit i is number i */
    unsigned remote;  /* REMOTE: which, and what is looked for: borrowed until the answer */
    struct str key;

    /* The answer. */
    char name[DNS_NAME_MAX];    /* NAME; empty: none, or DNS does not say */
    uint64_t listed, no_answer; /* DNSBLS */
    enum policy_found found;    /* REMOTE */
    struct str value;           /* of what is THERE; the maker's, until the trip is cancelled */

    void (*on_answer)(void *arg);
    void *arg;
    struct policy_trip_inside *inside; /* the maker's own; NULL: not under way */
};

struct policy_lookups {
    /* At once; what is not known stays empty. */
    void (*place)(struct policy_lookups *l, const struct ip *client, struct geoip_answer *answer);
    /* DONE: the answer is there. STARTED: it is when on_answer comes, exactly once, never from inside, by deadline_ms.
     * What cannot be had by then has no answer; so has what there is no memory for. */
    enum started (*start)(struct policy_lookups *l, struct policy_lookup *lookup, int64_t deadline_ms);
    /* After this on_answer does not come, and nothing of the trip is kept. Of one that is over, too. */
    void (*cancel)(struct policy_lookups *l, struct policy_lookup *lookup);
};

/* ---- live ---- */

struct policy_live_options {
    struct loop *loop;
    struct resolver *resolver; /* names of socketmap's hosts */
    struct event_log *events;
    struct redis *redis;    /* of `store redis`; NULL: there is none, and so no table in it */
    const char *geoip_file; /* NULL: none */
};

/* Makes what the policy asks for, and nothing else: without a rule that needs it there is no DNS. NULL with err. */
struct policy_lookups *policy_live_new(const struct policy *policy, const struct policy_live_options *options,
                                       struct err *err);
/* After all questions, and after the redis client. NULL is fine. */
void policy_live_free(struct policy_lookups **l);

/* ---- given: a trial's (GRAMMAR.md 5) ---- */

/* Answers at once; what is not set is not there. Remote tables are empty. Set it as you like between connections. */
struct policy_given {
    struct policy_lookups lookups; /* policy_given_init fills it in; the engine's */
    const struct policy *policy;
    struct str name;    /* of the client */
    struct str country; /* "DE" */
    uint32_t asn;
    const struct str *listed; /* names of the dnsbls that list it */
    size_t listed_count;
};
void policy_given_init(struct policy_given *g, const struct policy *policy);

/* ---- what was found out about a client ---- */

/* In the connection's arena (struct policy_connection), made when something is asked for the first time. */
struct policy_client {
    bool has_name, has_place;
    struct str name; /* STR_NONE: it has none */
    struct geoip_answer place;
    uint64_t asked, listed, no_answer; /* dnsbls */
};

/* As far as it was asked for, for the event line; STR_NONE: not known. */
struct str policy_client_name(const struct policy_connection *connection);
struct str policy_client_country(const struct policy_connection *connection);
/* Looks the place up if nobody has yet: for who counts countries. False: no memory. */
MUST_USE bool policy_client_place(struct policy_engine *engine, struct policy_case *question,
                                  struct geoip_answer *place);

#endif

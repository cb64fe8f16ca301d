/* replay_notes.c - what a log does not hold, and who looks at it: what a replay says beside its figures. */
#include <stdio.h>
#include <string.h>

#include "policy/compiled.h"
#include "policy/replay.h"

enum { NAMES_SHOWN = 8, NOTE_MAX_BYTES = 2048, ATTRIBUTES_MAX = 4 };

uint32_t replay_longest_period_s(const struct policy *policy)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < policy->limit_count; i++)
        for (size_t k = 0; k < policy->limits[i].limit.rate_count; k++)
            longest = MAX_OF(longest, policy->limits[i].limit.rates[k].period_s);
    return longest;
}

bool replay_is_limit(const struct policy *policy, struct str name)
{
    return policy_find_limit(policy, name) != NULL;
}

/* ---- who looks ---- */

struct thing {
    enum attribute attributes[ATTRIBUTES_MAX];
    size_t attribute_count;
    bool (*is_asked)(const struct test_node *condition); /* instead of attributes */
    const char *text;
};

static bool asks_dnsbl(const struct test_node *condition)
{
    return eval_dnsbls(condition) != 0;
}

static const struct thing THINGS[] = {
    {{ATTRIBUTE_HEADER, ATTRIBUTE_HEADER_COUNT, ATTRIBUTE_HEADER_SIZE, ATTRIBUTE_HEADER_LINES},
     4,
     NULL,
     "the header, of which a log holds the address in From and the Message-ID only (what they refused then may seem "
     "newly accepted)"},
    {{ATTRIBUTE_TLS_CERTIFICATE}, 1, NULL, "certificates of clients, which are not in the log"},
    {{ATTRIBUTE_SESSION_EARLY, ATTRIBUTE_SESSION_ERRORS, ATTRIBUTE_STRESS},
     3,
     NULL,
     "session.early, session.errors or stress, which are not in the log"},
    {{ATTRIBUTE_CLIENT_ASN}, 1, NULL, "client.asn, which is not in the log"},
    {{ATTRIBUTE_CLIENT_NAME, ATTRIBUTE_CLIENT_COUNTRY},
     2,
     NULL,
     "client.name or client.country, which is in the log only where some rule asked for it then"},
    {{ATTRIBUTE_CLIENT_KNOWN}, 1, NULL, "client.known: nobody is known before the first login in the log"},
    {{0}, 0, asks_dnsbl, "DNS lists: no client is taken for listed"},
    {{0}, 0, eval_asks_remote, "tables that lie elsewhere: they are taken for empty"},
};

static bool looks(const struct thing *thing, const struct test_node *condition)
{
    if (thing->is_asked)
        return thing->is_asked(condition);
    for (size_t i = 0; i < thing->attribute_count; i++)
        if (eval_looks_at(condition, thing->attributes[i]))
            return true;
    return false;
}

struct names {
    char text[NOTE_MAX_BYTES];
    size_t len, count;
};

static void add(struct names *names, struct str name)
{
    if (names->count++ >= NAMES_SHOWN || names->len >= sizeof names->text / 2)
        return;
    int n = snprintf(names->text + names->len, sizeof names->text - names->len, "%s%.*s", names->len ? ", " : "",
                     (int)MIN_OF(name.len, (size_t)100), name.ptr);
    names->len += (size_t)n;
}

static void say(struct names *names, const char *text, void (*note)(void *arg, const char *text), void *arg)
{
    char line[2 * NOTE_MAX_BYTES];
    if (names->count == 0)
        return;
    snprintf(line, sizeof line, "%zu rule%s or limit%s look%s at %s: %s%s", names->count, names->count == 1 ? "" : "s",
             names->count == 1 ? "" : "s", names->count == 1 ? "s" : "", text, names->text,
             names->count > NAMES_SHOWN ? " …" : "");
    note(arg, line);
}

static void note_thing(const struct policy *policy, const struct thing *thing,
                       void (*note)(void *arg, const char *text), void *arg)
{
    struct names names = {.len = 0};
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        for (size_t i = 0; i < policy->rule_counts[phase]; i++)
            if (looks(thing, policy->rules[phase][i].condition))
                add(&names, policy->rules[phase][i].name);
    for (size_t i = 0; i < policy->limit_count; i++)
        if (looks(thing, policy->limits[i].condition))
            add(&names, policy->limits[i].limit.name);
    say(&names, thing->text, note, arg);
}

/* ---- what limits count ---- */

static const struct {
    enum limit_unit unit;
    const char *text;
} UNITS[] = {
    {UNIT_ERRORS, "protocol errors, which are not in the log: none is counted"},
    {UNIT_GUESSES, "guesses: passwords are not in the log, and each wrong one counts as never tried before"},
    {UNIT_DISTINCT_COUNTRIES, "countries, which are in the log only where some rule or limit asked for them then"},
};

static void note_unit(const struct policy *policy, size_t row, void (*note)(void *arg, const char *text), void *arg)
{
    struct names names = {.len = 0};
    for (size_t i = 0; i < policy->limit_count; i++)
        if (policy->limits[i].limit.unit == UNITS[row].unit)
            add(&names, policy->limits[i].limit.name);
    say(&names, UNITS[row].text, note, arg);
}

void replay_notes(const struct policy *policy, void (*note)(void *arg, const char *text), void *arg)
{
    for (size_t i = 0; i < COUNT_OF(THINGS); i++)
        note_thing(policy, &THINGS[i], note, arg);
    for (size_t i = 0; i < COUNT_OF(UNITS); i++)
        note_unit(policy, i, note, arg);
}

/*
 * entity.c - whom a key means: the name under which limits count and bans hold (LIMITS.md "Keys").
 *
 * One person has one entity, however a name is spelt: letter case does not count, nor a +tag of a sender or recipient,
 * nor which spelling of a domain (U-labels or A-labels) was used; an IPv6 client is its /64. What is longer than any
 * real name is counted by its hash, so that nobody escapes a limit by being long.
 */
#include "base/escape.h"
#include "base/hash.h"
#include "policy/compiled.h"
#include "rules/table.h"
#include "smtp/address.h"

enum {
    VALUE_MAX_BYTES = 320,   /* of one part, as it is written in the entity: an address has at most 254 */
    ENTITY_MAX_BYTES = 4096, /* all parts of the longest joint key */
    SPELT_MAX_BYTES = 1024,
};

static const struct {
    const char *scope;
    int attribute;
} SCOPES[KEY_COUNT] = {
    [KEY_USER] = {"u", ATTRIBUTE_USER},         [KEY_USER_DOMAIN] = {"ud", ATTRIBUTE_USER_DOMAIN},
    [KEY_CLIENT] = {"i", ATTRIBUTE_CLIENT},     [KEY_NETWORK] = {"n", ATTRIBUTE_CLIENT_NETWORK},
    [KEY_SENDER] = {"f", ATTRIBUTE_SENDER},     [KEY_SENDER_DOMAIN] = {"fd", ATTRIBUTE_SENDER_DOMAIN},
    [KEY_RCPT] = {"r", ATTRIBUTE_RCPT},         [KEY_RCPT_DOMAIN] = {"rd", ATTRIBUTE_RCPT_DOMAIN},
    [KEY_LISTENER] = {"l", ATTRIBUTE_LISTENER}, [KEY_GLOBAL] = {"g", -1},
};

/* ---- one value ---- */

/* Escaped, or where that is too long "%-" and its hash: no escape looks like it. The hash needs no secret: only what is
 * over-long could share a count with it. */
static bool append_short(struct buf *to, struct str text)
{
    static const struct hash_key KEY = {0x6d61696c77656972, 0x656e74697479};
    size_t before = buf_len(to);
    if (text.len <= VALUE_MAX_BYTES && escape_key(to, text) && buf_len(to) - before <= VALUE_MAX_BYTES)
        return true;
    char lower[SPELT_MAX_BYTES];
    size_t len = MIN_OF(text.len, sizeof lower);
    for (size_t i = 0; i < len; i++)
        lower[i] = ascii_lower(text.ptr[i]);
    struct hash128 h = hash128(&KEY, str_of(lower, len));
    buf_truncate(to, before);
    return buf_printf(to, "%%-%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

static bool append_address(struct buf *to, struct str address)
{
    struct buf spelt;
    buf_init(&spelt, SPELT_MAX_BYTES);
    bool ok = append_short(to, smtp_address_key(&spelt, address, true) ? buf_str(&spelt) : address);
    buf_fini(&spelt);
    return ok;
}

static bool append_text(struct buf *to, enum key key, struct str text)
{
    char domain[SPELT_MAX_BYTES];
    switch (key) {
    case KEY_SENDER:
    case KEY_RCPT:
        return append_address(to, text);
    case KEY_USER_DOMAIN:
    case KEY_SENDER_DOMAIN:
    case KEY_RCPT_DOMAIN:
        return append_short(to, text.len < sizeof domain ? domain_normal(text, domain, sizeof domain) : text);
    default:
        return append_short(to, text);
    }
}

bool policy_spell(struct buf *to, enum key key, const struct fact *x)
{
    char text[IP_TEXT_MAX + 4];
    switch (x->kind) {
    case FACT_TEXT:
        return append_text(to, key, x->text);
    case FACT_NETWORK:
        return escape_key(to, ip_net_format(&x->network, text));
    case FACT_IP:
        return escape_key(to, ip_format(&x->ip, text));
    default:
        return true; /* of `global` */
    }
}

int policy_key_attribute(enum key key)
{
    return SCOPES[key].attribute;
}

bool policy_key_fact(enum key key, const struct facts *facts, enum phase at, struct fact *x)
{
    *x = (struct fact){.kind = FACT_NONE};
    int attribute = key == KEY_USER && at == PHASE_AUTH ? ATTRIBUTE_AUTH_USER : SCOPES[key].attribute;
    if (attribute < 0)
        return true;
    facts->get(facts, attribute, STR_NONE, x);
    if (key == KEY_CLIENT && x->kind == FACT_IP && x->ip.family != ADDR_IPV4)
        *x = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&x->ip, 64)}; /* its owner has all of it */
    return x->kind == FACT_TEXT || x->kind == FACT_IP || x->kind == FACT_NETWORK;
}

/* ---- the entity ---- */

struct str policy_entity(const enum key *keys, size_t key_count, const struct facts *facts, enum phase at,
                         struct arena *arena)
{
    struct buf text;
    struct fact x;
    struct str entity = STR_NONE;
    buf_init(&text, ENTITY_MAX_BYTES);
    bool ok = true, is_known = true;
    for (size_t i = 0; i < key_count && ok; i++)
        ok = (i == 0 || buf_append_char(&text, '+')) && buf_append_str(&text, str_of_z(SCOPES[keys[i]].scope));
    for (size_t i = 0; i < key_count && ok && is_known; i++) {
        is_known = policy_key_fact(keys[i], facts, at, &x);
        ok = buf_append_char(&text, i ? '+' : ':') && policy_spell(&text, keys[i], &x);
    }
    if (ok)
        entity = is_known ? arena_copy(arena, buf_str(&text)) : STR("");
    buf_fini(&text);
    return entity;
}

struct str policy_key_text(struct str entity, struct arena *arena)
{
    struct str value, scopes = str_split(entity, ':', &value);
    struct buf text;
    buf_init(&text, ENTITY_MAX_BYTES);
    bool ok = true;
    for (bool is_first = true; scopes.len && ok; is_first = false) {
        struct str rest, scope = str_split(scopes, '+', &rest);
        scopes = rest;
        ok = is_first || buf_append_char(&text, '+');
        for (int key = 0; key < KEY_COUNT && ok; key++)
            if (str_equal(scope, str_of_z(SCOPES[key].scope)))
                ok = buf_append_str(&text, str_of_z(key_rows[key].word));
    }
    ok = ok && (value.len == 0 || (buf_append_char(&text, ':') && buf_append_str(&text, value)));
    struct str copy = ok ? arena_copy(arena, buf_str(&text)) : STR_NONE;
    buf_fini(&text);
    return copy;
}

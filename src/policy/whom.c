/* whom.c - see whom.h. */
#include "policy/whom.h"

#include "rules/shape.h"

enum { CLIENT_IPV6_PREFIX = 64 };

/* ---- one value ---- */

static bool read_client(struct str text, struct fact *value, struct err *err)
{
    struct ip_net net;
    if (!ip_net_parse(text, &net, err))
        return err_set(err, "\"" PRI_STR "\" is not an IP address", STR_ARG(text));
    unsigned whole = net.ip.family == ADDR_IPV4 ? 32 : 128;
    if (net.prefix != whole && (net.ip.family == ADDR_IPV4 || net.prefix != CLIENT_IPV6_PREFIX))
        return err_set(err, "\"" PRI_STR "\" is a network, not a client", STR_ARG(text));
    *value = (struct fact){.kind = FACT_IP, .ip = net.ip};
    return true;
}

static bool read_network(struct str text, const struct whom_prefixes *prefixes, struct fact *value, struct err *err)
{
    struct ip_net net;
    if (!ip_net_parse(text, &net, err))
        return false;
    bool is_ipv4 = net.ip.family == ADDR_IPV4;
    unsigned prefix = is_ipv4 ? prefixes->ipv4 : prefixes->ipv6;
    if (net.prefix != prefix && net.prefix != (is_ipv4 ? 32 : 128)) {
        err_set(err, "networks of %s clients are /%u here, not /%u", is_ipv4 ? "IPv4" : "IPv6", prefix, net.prefix);
        return err_set_hint(err, "`network prefix` sets that; for others, a table and a rule: client in TABLE");
    }
    *value = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&net.ip, prefix)};
    return true;
}

static bool read_value(enum key key, struct str text, const struct whom_prefixes *prefixes, struct fact *value,
                       struct err *err)
{
    switch (key) {
    case KEY_CLIENT:
        return read_client(text, value, err);
    case KEY_NETWORK:
        return read_network(text, prefixes, value, err);
    case KEY_USER_DOMAIN:
    case KEY_SENDER_DOMAIN:
    case KEY_RCPT_DOMAIN:
        if (!shape_is_domain(text))
            return err_set(err, "\"" PRI_STR "\" is not a domain", STR_ARG(text));
        break;
    case KEY_GLOBAL:
        if (text.len && !str_equal(text, STR("global")))
            return err_set(err, "`global` is one count for all: it has no value");
        return true;
    default:
        if (text.len == 0)
            return err_set(err, "there is no value for `%s`", key_rows[key].word);
        break;
    }
    *value = fact_of_text(text);
    return true;
}

/* ---- facts ---- */

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    const struct whom *whom = facts->about;
    (void)name;
    *out = (struct fact){.kind = FACT_NONE};
    for (size_t i = 0; i < whom->key_count; i++)
        if (policy_key_attribute(whom->keys[i]) == attribute)
            *out = whom->values[whom->keys[i]];
}

/* The values are there. */
static bool complete(struct whom *whom, struct arena *arena, struct err *err)
{
    whom->facts = (struct facts){.get = get, .about = whom};
    whom->entity = policy_entity(whom->keys, whom->key_count, &whom->facts, PHASE_DATA, arena);
    whom->text = whom->entity.len ? policy_key_text(whom->entity, arena) : STR_NONE;
    return whom->text.ptr ? true : err_no_memory(err);
}

/* ---- a key with its name ---- */

static bool find_key(struct str word, enum key *key)
{
    for (int i = 0; i < KEY_COUNT; i++)
        if (str_equal(word, str_of_z(key_rows[i].word))) {
            *key = (enum key)i;
            return true;
        }
    return false;
}

/* "user+client": false: it is no list of keys. */
static bool read_keys(struct whom *whom, struct str words)
{
    while (words.len) {
        struct str rest, word = str_split(words, '+', &rest);
        if (whom->key_count == POLICY_KEYS_MAX || !find_key(word, &whom->keys[whom->key_count]))
            return false;
        for (size_t i = 0; i < whom->key_count; i++)
            if (whom->keys[i] == whom->keys[whom->key_count])
                return false;
        whom->key_count++;
        words = rest;
    }
    return whom->key_count > 0;
}

/* A + may stand in a name, too: what one too many belongs to is known if only one of them is a name. */
static bool may_hold_plus(enum key key)
{
    return key == KEY_USER || key == KEY_SENDER || key == KEY_RCPT;
}

static size_t count_plus(struct str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '+';
    return n;
}

/* The first `parts` of the text that + separates. */
static struct str take_parts(struct str *text, size_t parts)
{
    size_t end = 0;
    for (; end < text->len; end++)
        if (text->ptr[end] == '+' && --parts == 0)
            break;
    struct str taken = str_sub(*text, 0, end);
    *text = str_from(*text, end + 1);
    return taken;
}

static bool read_values(struct whom *whom, struct str text, const struct whom_prefixes *prefixes, struct err *err)
{
    size_t names = 0, parts = count_plus(text) + 1;
    for (size_t i = 0; i < whom->key_count; i++)
        names += may_hold_plus(whom->keys[i]);
    if (parts < whom->key_count || (parts > whom->key_count && names != 1))
        return err_set(err, "%zu values for %zu keys: they are separated by +, in the order of the keys", parts,
                       whom->key_count);
    size_t spare = parts - whom->key_count;
    for (size_t i = 0; i < whom->key_count; i++) {
        enum key key = whom->keys[i];
        struct str value = take_parts(&text, 1 + (may_hold_plus(key) ? spare : 0));
        if (!read_value(key, value, prefixes, &whom->values[key], err))
            return false;
    }
    return true;
}

/* ---- a bare one ---- */

struct guess {
    enum key keys[WHOM_GUESSES_MAX];
    size_t count;
};

static struct guess guess(struct str text, const struct whom_prefixes *prefixes)
{
    struct ip_net net;
    struct err ignored;
    if (ip_net_parse(text, &net, &ignored)) {
        bool is_ipv6 = net.ip.family == ADDR_IPV6;
        bool is_client = net.prefix == (is_ipv6 ? 128 : 32) ||
                         (is_ipv6 && net.prefix == CLIENT_IPV6_PREFIX && prefixes->ipv6 != CLIENT_IPV6_PREFIX);
        return (struct guess){{is_client ? KEY_CLIENT : KEY_NETWORK}, 1};
    }
    if (str_find(text, '/') < text.len)
        return (struct guess){{KEY_NETWORK}, 1}; /* which says what is wrong with it */
    if (str_find(text, '@') < text.len)
        return (struct guess){{KEY_USER, KEY_SENDER, KEY_RCPT}, 3};
    if (str_find(text, '.') < text.len && shape_is_domain(text))
        return (struct guess){{KEY_USER, KEY_USER_DOMAIN, KEY_SENDER_DOMAIN, KEY_RCPT_DOMAIN}, 4};
    return (struct guess){{KEY_USER, KEY_LISTENER}, 2};
}

static void read_bare(struct whom to[WHOM_GUESSES_MAX], size_t *count, struct str text,
                      const struct whom_prefixes *prefixes, struct arena *arena, struct err *err)
{
    struct guess g = guess(text, prefixes);
    for (size_t i = 0; i < g.count; i++) {
        struct whom *whom = &to[i];
        *whom = (struct whom){.keys = {g.keys[i]}, .key_count = 1};
        if (!read_value(g.keys[i], text, prefixes, &whom->values[g.keys[i]], err) || !complete(whom, arena, err)) {
            *count = 0;
            return;
        }
        *count = i + 1;
    }
}

static bool is_address(struct str text)
{
    struct ip_net net;
    struct err ignored;
    return ip_net_parse(text, &net, &ignored);
}

void whom_read(struct whom to[WHOM_GUESSES_MAX], size_t *count, struct str text, const struct whom_prefixes *prefixes,
               struct arena *arena, struct err *err)
{
    struct str value, words = str_split(text, ':', &value);
    *count = 0;
    to[0] = (struct whom){.key_count = 0};
    if (text.len == 0 || text.len > WHOM_TEXT_MAX_BYTES || str_has_control(text) || !str_is_utf8(text)) {
        err_set(err, "a key is a text of 1 to %d bytes, such as user:alice@example.org", WHOM_TEXT_MAX_BYTES);
    } else if ((value.ptr || str_equal(text, STR("global"))) && read_keys(&to[0], words)) {
        *count = read_values(&to[0], value, prefixes, err) && complete(&to[0], arena, err);
    } else if (value.ptr && !is_address(text)) {
        err_set(err, "\"" PRI_STR "\" is no key of limits", STR_ARG(words));
        err_set_hint(err,
                     "user:alice@example.org, client:192.0.2.7, network:192.0.2.0/24, sender.domain:example.org …");
    } else {
        read_bare(to, count, text, prefixes, arena, err);
    }
}

bool whom_network_of(struct whom *to, const struct whom *whom, const struct whom_prefixes *prefixes,
                     struct arena *arena)
{
    struct err ignored;
    if (whom->key_count != 1 || whom->keys[0] != KEY_CLIENT)
        return false;
    const struct ip *ip = &whom->values[KEY_CLIENT].ip;
    unsigned prefix = ip->family == ADDR_IPV4 ? prefixes->ipv4 : prefixes->ipv6;
    *to = (struct whom){.keys = {KEY_NETWORK}, .key_count = 1};
    to->values[KEY_NETWORK] = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(ip, prefix)};
    return complete(to, arena, &ignored);
}

/* ---- to a limit ---- */

static bool has_key(const struct whom *whom, enum key key)
{
    for (size_t i = 0; i < whom->key_count; i++)
        if (whom->keys[i] == key)
            return true;
    return false;
}

bool whom_is_counted_by(const struct whom *whom, const struct policy_limit *limit)
{
    for (size_t i = 0; i < limit->key_count; i++)
        if (!has_key(whom, limit->keys[i]))
            return false;
    return limit->key_count == whom->key_count;
}

struct str whom_entity(const struct whom *whom, const struct policy_limit *limit, struct arena *arena)
{
    return policy_entity(limit->keys, limit->key_count, &whom->facts, PHASE_DATA, arena);
}

/* identity.c - the attributes of XFORWARD and XCLIENT. See identity.h. */
#include "mta/identity.h"

#include "smtp/params.h"

/* The longest value, encoded: with the verb and the attribute's name it still makes a line. */
enum { ENCODED_MAX = MTA_IDENTITY_LINE_MAX - 32 };

enum { SCRATCH_BYTES = 64 }; /* "IPV6:" and an address */

/* More than a command has beside the values of HELO, IDENT, LOGIN and NAME: verb, names, "[UNAVAILABLE]", the rest. */
enum { BOUNDED_BYTES = 224 };

static struct str get_proto(const struct mta_client *client, char *scratch)
{
    (void)scratch;
    return client->esmtp ? STR("ESMTP") : STR("SMTP");
}

static struct str get_helo(const struct mta_client *client, char *scratch)
{
    (void)scratch;
    return client->helo;
}

static struct str get_ident(const struct mta_client *client, char *scratch)
{
    (void)scratch;
    return client->id;
}

static struct str get_source(const struct mta_client *client, char *scratch)
{
    (void)client, (void)scratch;
    return STR("REMOTE");
}

static struct str get_login(const struct mta_client *client, char *scratch)
{
    (void)scratch;
    return client->login;
}

static struct str get_port(const struct mta_client *client, char *scratch)
{
    return client->port ? str_of_u64(scratch, client->port) : STR_NONE;
}

static struct str get_addr(const struct mta_client *client, char *scratch)
{
    static const struct str prefix = STR("IPV6:");
    if (client->ip.family == ADDR_NONE) /* a Unix socket */
        return STR_NONE;
    if (client->ip.family == ADDR_IPV4)
        return ip_format(&client->ip, scratch);
    memcpy(scratch, prefix.ptr, prefix.len);
    return str_of(scratch, prefix.len + ip_format(&client->ip, scratch + prefix.len).len);
}

static struct str get_name(const struct mta_client *client, char *scratch)
{
    (void)scratch;
    return client->name;
}

/* In the order of writing. The last three stand together in the last command, because the server looks at the client as
 * soon as it has its address and name; the bound of NAME lets them fit into one (no host name needs xtext). */
static const struct attribute {
    const char *name;
    bool of_xforward, of_xclient;
    bool may_be_cut, is_of_tail;
    size_t encoded_max;
    struct str (*get)(const struct mta_client *client, char *scratch);
} ATTRIBUTES[] = {
    {"PROTO", true, true, false, false, ENCODED_MAX, get_proto},
    {"HELO", true, true, true, false, ENCODED_MAX, get_helo},
    {"IDENT", true, false, true, false, ENCODED_MAX, get_ident},
    {"SOURCE", true, false, false, false, ENCODED_MAX, get_source},
    {"LOGIN", false, true, false, false, ENCODED_MAX, get_login},
    {"PORT", true, true, false, true, ENCODED_MAX, get_port},
    {"ADDR", true, true, false, true, ENCODED_MAX, get_addr},
    {"NAME", true, true, false, true, MTA_IDENTITY_VALUE_MAX, get_name},
};

static bool belongs_to(const struct attribute *a, enum mta_identity which)
{
    return which == MTA_XFORWARD ? a->of_xforward : a->of_xclient;
}

unsigned mta_identity_read(enum mta_identity which, struct str words)
{
    unsigned offered = 0;
    while (words.len) {
        struct str word = str_split(words, ' ', &words);
        for (size_t i = 0; i < COUNT_OF(ATTRIBUTES); i++)
            if (belongs_to(&ATTRIBUTES[i], which) && str_equal_nocase(word, str_of_z(ATTRIBUTES[i].name)))
                offered |= 1U << i;
    }
    return offered;
}

/* ---- values ---- */

static bool is_control(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.ptr[i];
    if (c < 32 || c == 127)
        return true;
    /* U+0080 to U+009F as UTF-8: C2 80 to C2 9F; the lead byte may stay, without its tail it is nothing */
    return c >= 0x80 && c <= 0x9f && i > 0 && (unsigned char)s.ptr[i - 1] == 0xc2;
}

static bool is_plain(char c)
{
    return c > 32 && c < 127 && c != '+' && c != '=';
}

/* The end of the last whole UTF-8 character within the first `len` bytes of s. */
static size_t cut_between_characters(struct str s, size_t len)
{
    while (len > 0 && len < s.len && ((unsigned char)s.ptr[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static bool is_all_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_plain(s.ptr[i]))
            return false;
    return true;
}

/* What may be said; *encoded: the length of its xtext. Nearly always that is the value as it is, else a copy in `to`,
 * of MTA_IDENTITY_VALUE_MAX bytes. STR_NONE: not to be said in full, and not to be cut. */
static struct str clean_value(const struct attribute *a, struct str value, char *to, size_t *encoded)
{
    size_t len = 0;
    *encoded = value.len;
    if (value.len <= MIN_OF(a->encoded_max, (size_t)MTA_IDENTITY_VALUE_MAX) && is_all_plain(value))
        return value;
    *encoded = 0;
    for (; len < value.len && len < MTA_IDENTITY_VALUE_MAX; len++) {
        char c = is_control(value, len) ? '?' : value.ptr[len];
        size_t bytes = is_plain(c) ? 1 : 3;
        if (*encoded + bytes > a->encoded_max)
            break;
        to[len] = c;
        *encoded += bytes;
    }
    if (len == value.len)
        return str_of(to, len);
    if (!a->may_be_cut)
        return STR_NONE;
    size_t whole = cut_between_characters(value, len);
    for (; len > whole; len--)
        *encoded -= is_plain(to[len - 1]) ? 1 : 3;
    return str_of(to, len);
}

/* ---- commands ---- */

struct writer {
    struct buf *to; /* NULL: only counts */
    enum mta_identity which;
    unsigned wanted, number; /* commands, from 0 */
    size_t line_bytes;       /* of the command at hand, with its CRLF; 0: none begun */
    bool ok;
};

static void put(struct writer *w, struct str s)
{
    if (w->to && w->number == w->wanted && w->ok)
        w->ok = buf_append_str(w->to, s);
}

static void begin_command(struct writer *w)
{
    struct str verb = w->which == MTA_XFORWARD ? STR("XFORWARD") : STR("XCLIENT");
    if (w->line_bytes) {
        put(w, STR("\r\n"));
        w->number++;
    }
    w->line_bytes = verb.len + 2;
    put(w, verb);
}

static void put_attribute(struct writer *w, const struct attribute *a, const struct mta_client *client)
{
    char scratch[SCRATCH_BYTES], clean[MTA_IDENTITY_VALUE_MAX];
    size_t encoded;
    struct str value = clean_value(a, a->get(client, scratch), clean, &encoded);
    if (value.len == 0) {
        value = STR("[UNAVAILABLE]");
        encoded = value.len;
    }
    struct str name = str_of_z(a->name);
    size_t bytes = 1 + name.len + 1 + encoded;
    if (w->line_bytes == 0 || w->line_bytes + bytes > MTA_IDENTITY_LINE_MAX)
        begin_command(w);
    w->line_bytes += bytes;
    put(w, STR(" "));
    put(w, name);
    put(w, STR("="));
    if (encoded == value.len)
        put(w, value);
    else if (w->to && w->number == w->wanted && w->ok)
        w->ok = smtp_xtext_encode(w->to, value);
}

static void write_part(struct writer *w, unsigned offered, const struct mta_client *client, bool tail)
{
    for (size_t i = 0; i < COUNT_OF(ATTRIBUTES); i++)
        if ((offered & (1U << i)) && belongs_to(&ATTRIBUTES[i], w->which) && ATTRIBUTES[i].is_of_tail == tail)
            put_attribute(w, &ATTRIBUTES[i], client);
}

static void write_all(struct writer *w, unsigned offered, const struct mta_client *client)
{
    write_part(w, offered, client, false);
    if (w->line_bytes > MTA_IDENTITY_LINE_MAX / 4) { /* will the tail fit behind it? */
        struct writer tail = {.which = w->which, .ok = true};
        write_part(&tail, offered, client, true);
        if (tail.line_bytes && w->line_bytes + tail.line_bytes > MTA_IDENTITY_LINE_MAX)
            begin_command(w);
    }
    write_part(w, offered, client, true);
    if (w->line_bytes) {
        put(w, STR("\r\n"));
        w->number++;
    }
}

unsigned mta_identity_count(enum mta_identity which, unsigned offered, const struct mta_client *client)
{
    /* Asked once a mail, and nearly always one command is enough, even if every byte of a value took three. */
    size_t free_bytes = client->helo.len + client->id.len + client->login.len + client->name.len;
    if (offered && free_bytes <= (MTA_IDENTITY_LINE_MAX - BOUNDED_BYTES) / 3)
        return 1;
    struct writer w = {.which = which, .ok = true};
    write_all(&w, offered, client);
    return w.number;
}

bool mta_identity_write(struct buf *to, enum mta_identity which, unsigned offered, const struct mta_client *client,
                        unsigned number)
{
    struct writer w = {.to = to, .which = which, .wanted = number, .ok = true};
    write_all(&w, offered, client);
    return w.ok;
}

bool mta_identity_write_helo(struct buf *to, struct str helo)
{
    char clean[MTA_IDENTITY_VALUE_MAX];
    size_t len = cut_between_characters(helo, MIN_OF(helo.len, sizeof clean));
    for (size_t i = 0; i < len; i++)
        clean[i] = is_control(helo, i) || helo.ptr[i] == ' ' ? '?' : helo.ptr[i];
    return buf_append(to, clean, len);
}

/* address.c - mail addresses in MAIL and RCPT. See address.h. */
#include "smtp/address.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_utf8_byte(char c)
{
    return (unsigned char)c > 127;
}

/* RFC 5322 atext, and any byte of a UTF-8 character (RFC 6531 3.3); that they are well-formed is checked once for all.
 */
static bool is_atext(char c)
{
    return ascii_is_alnum(c) || is_utf8_byte(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Atoms joined by single dots. */
static bool is_dot_string(struct str s)
{
    bool after_atom = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' ? !after_atom : !is_atext(s.ptr[i]))
            return false;
        after_atom = s.ptr[i] != '.';
    }
    return after_atom;
}

/* The length of the quoted string at the head of s, with its quotes; 0: there is none. A backslash takes the next
 * character as it is (RFC 5321 4.1.2, quoted-pairSMTP). */
static size_t quoted_length(struct str s)
{
    if (s.len == 0 || s.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        if (s.ptr[i] == '\\' && (++i == s.len || is_utf8_byte(s.ptr[i])))
            return 0;
    }
    return 0;
}

bool smtp_domain_is_valid(struct str domain)
{
    if (domain.len == 0 || domain.len > SMTP_DOMAIN_MAX || !str_is_utf8(domain) || str_has_control(domain))
        return false;
    struct str rest = domain;
    while (rest.len) {
        struct str label = str_sub(rest, 0, str_find(rest, '.'));
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_' &&
                !is_utf8_byte(label.ptr[i]))
                return false;
        if (label.len + 1 == rest.len) /* a dot with nothing behind it */
            return false;
        rest = str_from(rest, label.len + 1);
    }
    return true;
}

bool smtp_literal_is_valid(struct str literal)
{
    static const struct str IPV6 = {"IPv6:", 5};
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (literal.len < 3 || literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']')
        return false;
    struct str inside = str_sub(literal, 1, literal.len - 2);
    bool is_v6 = str_starts_nocase(inside, IPV6);
    if (is_v6)
        inside = str_from(inside, IPV6.len);
    if (inside.len >= sizeof text || str_find(inside, '\0') < inside.len)
        return false;
    str_copy_into(text, sizeof text, inside);
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

/* local@domain, or, with may_lack_domain, "postmaster". */
static enum smtp_path_result parse_address(struct str address, bool may_lack_domain, struct smtp_path *path)
{
    size_t quoted = quoted_length(address);
    size_t at = quoted ? quoted : str_find(address, '@');
    *path = (struct smtp_path){.whole = address, .local = str_sub(address, 0, at)};
    if (address.len > SMTP_ADDRESS_MAX || path->local.len > SMTP_LOCAL_MAX)
        return SMTP_PATH_LONG;
    if ((!quoted && !is_dot_string(path->local)) || !str_is_utf8(address))
        return SMTP_PATH_LOCAL;
    path->needs_utf8 = !str_is_ascii(address);
    if (at == address.len)
        return may_lack_domain && str_equal_nocase(address, STR("postmaster")) ? SMTP_PATH_OK : SMTP_PATH_NO_DOMAIN;
    if (address.ptr[at] != '@')
        return SMTP_PATH_LOCAL;
    path->domain = str_from(address, at + 1);
    path->is_literal = smtp_literal_is_valid(path->domain);
    return path->is_literal || smtp_domain_is_valid(path->domain) ? SMTP_PATH_OK : SMTP_PATH_DOMAIN;
}

/* Cuts "@one,@two:" off the head of *path (RFC 5321 4.1.2 A-d-l). False: it is not well-formed. */
static bool drop_route(struct str *path)
{
    size_t colon = str_find(*path, ':');
    struct str route = str_sub(*path, 0, colon);
    if (colon == path->len)
        return false;
    while (route.len) {
        struct str hop = str_sub(route, 0, str_find(route, ','));
        if (hop.len < 2 || hop.ptr[0] != '@' || !smtp_domain_is_valid(str_from(hop, 1)) || hop.len + 1 == route.len)
            return false;
        route = str_from(route, hop.len + 1);
    }
    *path = str_from(*path, colon + 1);
    return true;
}

/* The index of the > that closes the < at the head of s, not counting those in quotes; s.len: there is none. */
static size_t find_closing(struct str s)
{
    for (size_t i = 1; i < s.len; i++) {
        size_t quoted = s.ptr[i] == '"' ? quoted_length(str_from(s, i)) : 0;
        if (s.ptr[i] == '>')
            return i;
        i += quoted ? quoted - 1 : 0;
    }
    return s.len;
}

enum smtp_path_result smtp_path_parse(struct str argument, enum smtp_path_kind kind, struct smtp_path *path,
                                      struct str *rest)
{
    struct str keyword = kind == SMTP_REVERSE_PATH ? STR("FROM:") : STR("TO:");
    *path = (struct smtp_path){0};
    *rest = STR_NONE;
    if (str_has_control(argument))
        return SMTP_PATH_CONTROL;
    if (!str_starts_nocase(argument, keyword))
        return SMTP_PATH_NO_KEYWORD;
    struct str s = str_trim(str_from(argument, keyword.len));
    size_t closing = s.len && s.ptr[0] == '<' ? find_closing(s) : s.len;
    if (closing == s.len)
        return SMTP_PATH_NO_BRACKET;
    struct str inside = str_sub(s, 1, closing - 1);
    *rest = str_from(s, closing + 1);
    if (rest->len && rest->ptr[0] != ' ')
        return SMTP_PATH_REST;
    *rest = str_trim(*rest);
    if (inside.len == 0) {
        path->null = kind == SMTP_REVERSE_PATH;
        return path->null ? SMTP_PATH_OK : SMTP_PATH_EMPTY;
    }
    if (inside.ptr[0] == '@' && !drop_route(&inside))
        return SMTP_PATH_DOMAIN;
    return parse_address(inside, kind == SMTP_FORWARD_PATH, path);
}

const char *smtp_path_fault(enum smtp_path_result result)
{
    switch (result) {
    case SMTP_PATH_OK:
        return "nothing is wrong";
    case SMTP_PATH_NO_KEYWORD:
        return "the command is MAIL FROM:<address> or RCPT TO:<address>";
    case SMTP_PATH_NO_BRACKET:
        return "the address must stand in < >";
    case SMTP_PATH_CONTROL:
        return "it holds a control character";
    case SMTP_PATH_LOCAL:
        return "the part before the @ is malformed";
    case SMTP_PATH_NO_DOMAIN:
        return "it has no @domain";
    case SMTP_PATH_DOMAIN:
        return "the domain is malformed";
    case SMTP_PATH_LONG:
        return "it is too long";
    case SMTP_PATH_EMPTY:
        return "it is empty";
    case SMTP_PATH_REST:
        return "a space must stand after the >";
    }
    return "it is malformed";
}

bool smtp_address_parse(struct str address, struct smtp_path *path)
{
    *path = (struct smtp_path){0};
    return !str_has_control(address) && parse_address(address, false, path) == SMTP_PATH_OK;
}

void smtp_address_split(struct str address, struct str *local, struct str *domain)
{
    size_t at = str_find_last(address, '@');
    *local = str_sub(address, 0, at);
    *domain = at < address.len ? str_from(address, at + 1) : STR_NONE;
}

static bool is_quoted(struct str local)
{
    return local.len >= 2 && quoted_length(local) == local.len;
}

struct str smtp_address_tag(struct str local)
{
    if (is_quoted(local))
        local = str_sub(local, 1, local.len - 2);
    size_t plus = str_find(str_from(local, 1), '+');
    return plus + 1 < local.len ? str_from(local, plus + 2) : STR_NONE;
}

static bool append_lower(struct buf *to, struct str s)
{
    char *out = s.len ? buf_reserve(to, s.len) : NULL;
    if (!out)
        return s.len == 0;
    for (size_t i = 0; i < s.len; i++)
        out[i] = ascii_lower(s.ptr[i]);
    buf_commit(to, s.len);
    return true;
}

static struct str without_tag(struct str local)
{
    size_t plus = str_find(str_from(local, 1), '+');
    return str_sub(local, 0, plus + 1);
}

/* A quoted local part in its one spelling: without quotes where it needs none, else with no backslash that is not
 * needed. */
static bool append_quoted_key(struct buf *to, struct str quoted, bool strips_tag)
{
    char plain[SMTP_LOCAL_MAX];
    size_t n = 0;
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        i += quoted.ptr[i] == '\\';
        if (n == sizeof plain) /* longer than any valid one: it counts as it is written */
            return append_lower(to, quoted);
        plain[n++] = quoted.ptr[i];
    }
    struct str content = str_of(plain, n);
    if (strips_tag)
        content = without_tag(content);
    if (is_dot_string(content))
        return append_lower(to, content);
    bool ok = buf_append_char(to, '"');
    for (size_t i = 0; ok && i < content.len; i++) {
        char c = ascii_lower(content.ptr[i]);
        ok = ((c != '"' && c != '\\') || buf_append_char(to, '\\')) && buf_append_char(to, c);
    }
    return ok && buf_append_char(to, '"');
}

bool smtp_address_key(struct buf *to, struct str address, bool strips_tag)
{
    size_t before = buf_len(to);
    struct str local, domain;
    smtp_address_split(address, &local, &domain);
    bool ok = is_quoted(local) ? append_quoted_key(to, local, strips_tag)
                               : append_lower(to, strips_tag ? without_tag(local) : local);
    if (ok && local.len < address.len)
        ok = buf_append_char(to, '@') && append_lower(to, domain);
    if (!ok)
        buf_truncate(to, before);
    return ok;
}

/*
 * header_address.c - the one address of a From: field (RFC 5322 3.4, 4.4). See header.h.
 *
 * A list of addresses is read token by token. What stands before a "<" is a display name and is thrown away, what
 * stands in < > or alone is an address, a group's name ends at its ":". Blanks and comments are not part of anything.
 * Where two mail programs could see different addresses the answer is none: the field is then no ground to decide on.
 */
#include <string.h>

#include "smtp/header.h"

enum token {
    TOKEN_END,
    TOKEN_WORD, /* an atom, a quoted string or a domain literal */
    TOKEN_SIGN, /* one of . @ , : ; < > */
    TOKEN_BAD
};

/* What stands for itself (specials, RFC 5322 3.2.3), and so ends an atom. */
static bool is_special(char c)
{
    return c != '\0' && strchr("()<>[]:;@\\,.\"", c) != NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves over blanks and comments, which may nest. False: a comment does not end. */
static bool skip_comments(struct str in, size_t *at)
{
    size_t depth = 0;
    for (; *at < in.len; *at += 1) {
        char c = in.ptr[*at];
        if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (c == '\\' && depth)
            *at += 1;
        else if (depth == 0 && !is_space(c))
            return true;
    }
    return depth == 0;
}

/* Moves behind the closing character of what begins at *at. False: it does not end. */
static bool skip_enclosed(struct str in, size_t *at, char closing)
{
    for (*at += 1; *at < in.len; *at += 1) {
        if (in.ptr[*at] == '\\')
            *at += 1;
        else if (in.ptr[*at] == closing) {
            *at += 1;
            return true;
        }
    }
    return false;
}

static enum token next_token(struct str in, size_t *at, struct str *text)
{
    if (!skip_comments(in, at))
        return TOKEN_BAD;
    if (*at >= in.len)
        return TOKEN_END;
    size_t from = *at;
    char c = in.ptr[from];
    if (c == '"' || c == '[') {
        if (!skip_enclosed(in, at, c == '"' ? '"' : ']'))
            return TOKEN_BAD;
    } else if (is_special(c)) {
        *at += 1;
        *text = str_sub(in, from, 1);
        return strchr(".@,:;<>", c) ? TOKEN_SIGN : TOKEN_BAD;
    } else {
        while (*at < in.len && !is_special(in.ptr[*at]) && !is_space(in.ptr[*at]))
            *at += 1;
    }
    *text = str_sub(in, from, *at - from);
    return TOKEN_WORD;
}

struct list {
    char text[SMTP_ADDRESS_MAX]; /* of the address at hand */
    size_t len;
    bool is_cut;       /* it was too long to be an address */
    bool after_word;   /* its last token was a word */
    bool has_adjacent; /* two words without a sign between: a name, no address */
    bool in_angle, had_angle, in_group;
    bool is_malformed;
    unsigned count;
    char first[SMTP_ADDRESS_MAX]; /* the first address */
    size_t first_len;
};

static void address_clear(struct list *list)
{
    list->len = 0;
    list->is_cut = list->after_word = list->has_adjacent = false;
}

static void address_add(struct list *list, struct str text, bool is_word)
{
    if (list->had_angle && !list->in_angle) /* text behind the > */
        list->is_malformed = true;
    list->has_adjacent |= is_word && list->after_word;
    list->after_word = is_word;
    if (text.len > sizeof list->text - list->len) {
        list->is_cut = true;
        return;
    }
    memcpy(list->text + list->len, text.ptr, text.len);
    list->len += text.len;
}

/* At a comma, a semicolon, a second "<", the end: what was collected is an address, or nothing at all. */
static void address_end(struct list *list)
{
    if (list->len || list->is_cut || list->had_angle) {
        list->is_malformed |= list->has_adjacent || list->is_cut || list->len == 0 || list->in_angle;
        if (list->count++ == 0) {
            memcpy(list->first, list->text, list->len);
            list->first_len = list->len;
        }
    }
    address_clear(list);
    list->in_angle = list->had_angle = false;
}

/* The colon after a group's name, or after a route in < >. */
static void read_colon(struct list *list)
{
    if (list->in_angle ? list->len == 0 || list->text[0] != '@' : list->in_group || list->had_angle || list->len == 0)
        list->is_malformed = true;
    list->in_group |= !list->in_angle;
    address_clear(list);
}

static void read_sign(struct list *list, struct str sign)
{
    switch (sign.ptr[0]) {
    case '<':
        if (list->had_angle)
            address_end(list);
        address_clear(list);
        list->in_angle = list->had_angle = true;
        break;
    case '>':
        list->is_malformed |= !list->in_angle;
        list->in_angle = false;
        break;
    case ',':
        if (list->in_angle && list->len && list->text[0] == '@') /* a route: <@one,@two:a@b> */
            address_add(list, sign, false);
        else
            address_end(list);
        break;
    case ':':
        read_colon(list);
        break;
    case ';':
        list->is_malformed |= !list->in_group;
        address_end(list);
        list->in_group = false;
        break;
    default:
        address_add(list, sign, false);
    }
}

bool smtp_header_single_address(struct str raw_value, struct buf *address, unsigned *count)
{
    struct list list = {0};
    struct str text;
    struct smtp_path path;
    enum token token;
    for (size_t at = 0; (token = next_token(raw_value, &at, &text)) != TOKEN_END && token != TOKEN_BAD;) {
        if (token == TOKEN_WORD)
            address_add(&list, text, true);
        else
            read_sign(&list, text);
    }
    address_end(&list);
    list.is_malformed |= token == TOKEN_BAD || list.in_group;
    *count = list.count;
    return list.count == 1 && !list.is_malformed && smtp_address_parse(str_of(list.first, list.first_len), &path) &&
           buf_append(address, list.first, list.first_len);
}

bool smtp_header_from(struct str block, struct buf *address)
{
    struct str value;
    unsigned count;
    return smtp_header_count(block, STR("From")) == 1 && smtp_header_first(block, STR("From"), &value) &&
           smtp_header_single_address(value, address, &count);
}

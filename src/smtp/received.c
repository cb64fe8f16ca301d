/* received.c - the trace field. See received.h. */
#include "smtp/received.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A name may have 255 bytes, escaped in a comment twice as many: no word comes near the 998 bytes of a line. */
enum { LINE_AIM = 78, NAME_MAX_BYTES = 255, ID_MAX_BYTES = 64 };

struct field {
    struct buf *to;
    size_t line_from; /* where its line at hand begins in `to` */
    bool ok;
    bool is_smtputf8;
};

static void put(struct field *f, struct str s)
{
    f->ok = f->ok && buf_append_str(f->to, s);
}

static void fold(struct field *f)
{
    put(f, STR("\r\n"));
    f->line_from = buf_len(f->to);
    put(f, STR("\t"));
}

/* A space before a word of so many bytes, or a fold if it would pass the aim. */
static void put_gap(struct field *f, size_t word_bytes)
{
    if (buf_len(f->to) - f->line_from + 1 + word_bytes > LINE_AIM)
        fold(f);
    else
        put(f, STR(" "));
}

/* The length of the UTF-8 character at the head of s that may be written, or 0. */
static size_t utf8_length(const struct field *f, struct str s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    struct str character = str_sub(s, 0, c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4);
    return f->is_smtputf8 && c > 127 && str_is_utf8(character) && !str_has_control(character) ? character.len : 0;
}

static bool fits_name(char c)
{
    return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' || c == ']';
}

static bool fits_comment(char c)
{
    return c >= 32 && c <= 126 && c != '(' && c != ')' && c != '\\';
}

/* Writes the head of text that may stand as it is, and returns what is left of it. */
static struct str put_run(struct field *f, struct str text, bool (*fits)(char c))
{
    size_t n = 0, character;
    while (n < text.len && fits(text.ptr[n]))
        n++;
    while (n < text.len && (character = utf8_length(f, str_from(text, n))) > 0)
        n += character;
    put(f, str_sub(text, 0, n));
    return str_from(text, n);
}

/* A name where a domain stands: what no domain and no address literal has becomes "?". */
static void put_name(struct field *f, struct str name)
{
    name = put_run(f, str_sub(name, 0, NAME_MAX_BYTES), fits_name);
    while (name.len) {
        if (!fits_name(name.ptr[0])) {
            put(f, STR("?"));
            name = str_from(name, 1);
        }
        name = put_run(f, name, fits_name);
    }
}

/* Any text within a comment (RFC 5322 3.2.2): brackets and backslashes get one, what is not printable becomes "?". */
static void put_comment(struct field *f, struct str text)
{
    text = put_run(f, str_sub(text, 0, NAME_MAX_BYTES), fits_comment);
    while (text.len) {
        char c = text.ptr[0];
        if (!fits_comment(c)) {
            bool is_quoted = c == '(' || c == ')' || c == '\\';
            put(f, is_quoted ? STR("\\") : STR("?"));
            put(f, str_sub(text, 0, is_quoted));
            text = str_from(text, 1);
        }
        text = put_run(f, text, fits_comment);
    }
}

static void put_literal(struct field *f, struct str address)
{
    put(f, str_find(address, ':') < address.len ? STR("[IPv6:") : STR("["));
    put_name(f, str_sub(address, 0, ID_MAX_BYTES));
    put(f, STR("]"));
}

/* "from HELO (NAME [ADDRESS])", RFC 5321 4.4 From-domain with its TCP-info. */
static void put_from(struct field *f, const struct smtp_received *r)
{
    put(f, STR(" from "));
    if (r->helo.len)
        put_name(f, r->helo);
    else
        put_literal(f, r->client);
    put_gap(f, MIN_OF(r->client_name.len, (size_t)NAME_MAX_BYTES) + r->client.len + 10);
    put(f, STR("("));
    if (r->client_name.len) {
        put_name(f, r->client_name);
        put(f, STR(" "));
    }
    put_literal(f, r->client);
    put(f, STR(")"));
    fold(f);
}

static void put_tls(struct field *f, const struct smtp_received *r)
{
    fold(f);
    put(f, STR("(using "));
    put_comment(f, str_sub(r->tls_version, 0, ID_MAX_BYTES));
    put(f, STR(" with cipher "));
    put_comment(f, str_sub(r->tls_cipher, 0, ID_MAX_BYTES));
    put(f, STR(")"));
}

static void put_login(struct field *f, const struct smtp_received *r)
{
    fold(f);
    put(f, STR("(Authenticated sender: "));
    put_comment(f, r->login);
    put(f, STR(")"));
}

bool smtp_received_write(struct buf *to, enum smtp_trace trace, const struct smtp_received *r)
{
    size_t before = buf_len(to);
    struct field f = {.to = to, .line_from = before, .ok = true, .is_smtputf8 = r->is_smtputf8};
    const char *protocol = smtp_protocol_name(r->is_esmtp, r->is_smtputf8, r->tls_version.len > 0, r->is_authenticated);
    if (trace == SMTP_TRACE_OFF)
        return true;
    put(&f, STR("Received:"));
    if (trace == SMTP_TRACE_ON)
        put_from(&f, r);
    put(&f, trace == SMTP_TRACE_ON ? STR("by ") : STR(" by "));
    put_name(&f, r->by);
    put_gap(&f, sizeof "with UTF8SMTPSA id" + r->id.len);
    put(&f, STR("with "));
    put(&f, str_of_z(protocol));
    put(&f, STR(" id "));
    put_name(&f, str_sub(r->id, 0, ID_MAX_BYTES));
    if (trace == SMTP_TRACE_ON && r->tls_version.len)
        put_tls(&f, r);
    if (trace == SMTP_TRACE_ON && r->login.len)
        put_login(&f, r);
    put(&f, STR(";"));
    fold(&f);
    f.ok = f.ok && smtp_date_write(to, r->time_s, r->utc_offset_s);
    put(&f, STR("\r\n"));
    if (!f.ok)
        buf_truncate(to, before);
    return f.ok;
}

const char *smtp_protocol_name(bool is_esmtp, bool is_smtputf8, bool has_tls, bool is_authenticated)
{
    static const char *const NAMES[2][4] = {{"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
                                            {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"}};
    return is_esmtp ? NAMES[is_smtputf8][2 * has_tls + is_authenticated] : "SMTP";
}

bool smtp_date_write(struct buf *to, int64_t time_s, int utc_offset_s)
{
    static const char *const DAYS[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    /* a busy worker dates thousands of mails in one second */
    static _Thread_local struct {
        int64_t time_s;
        int utc_offset_s, len;
        char text[64];
    } last;
    if (last.len == 0 || last.time_s != time_s || last.utc_offset_s != utc_offset_s) {
        struct tm tm;
        int minutes = abs(utc_offset_s) / 60;
        time_t local = (time_t)(time_s + utc_offset_s);
        if (!gmtime_r(&local, &tm))
            return false;
        last.len = snprintf(last.text, sizeof last.text, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d", DAYS[tm.tm_wday],
                            tm.tm_mday, MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
                            utc_offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
        last.time_s = time_s;
        last.utc_offset_s = utc_offset_s;
    }
    return buf_append(to, last.text, (size_t)last.len);
}

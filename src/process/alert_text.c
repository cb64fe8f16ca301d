/* alert_text.c - see alert_text.h. */
#include "process/alert_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/escape.h"

bool alert_text_json(struct buf *to, struct str event, uint32_t held_back)
{
    if (held_back == 0 || event.len < 2 || event.ptr[event.len - 1] != '}')
        return buf_append_str(to, event);
    bool is_empty = event.ptr[event.len - 2] == '{';
    return buf_append_str(to, str_sub(event, 0, event.len - 1)) &&
           buf_printf(to, "%s\"held_back\":%" PRIu32 "}", is_empty ? "" : ",", held_back);
}

bool alert_text_line(struct buf *to, struct str alert, struct str key, struct str json)
{
    bool ok = buf_append_str(to, STR("alert ")) && buf_append_str(to, alert);
    if (key.len)
        ok = ok && buf_append_char(to, ' ') && escape_text(to, key);
    return ok && buf_append_str(to, STR(": ")) && buf_append_str(to, json);
}

/* ---- mail: header ---- */

/* As many bytes of s, at most max, as end with a whole character. */
static size_t whole_characters(struct str s, size_t max)
{
    size_t n = MIN_OF(s.len, max);
    while (n > 0 && n < s.len && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* A header's text in encoded words (RFC 2047 2), each on a line of its own. */
static bool write_encoded_words(struct buf *to, struct str text)
{
    enum { WORD_BYTES = 39 }; /* with its frame and "Subject:" below 76 characters */
    bool ok = true;
    while (ok && text.len) {
        size_t n = whole_characters(text, WORD_BYTES);
        ok = n > 0 && buf_append_str(to, STR(" =?utf-8?B?")) && base64_encode(to, str_sub(text, 0, n)) &&
             buf_append_str(to, STR("?="));
        text = str_from(text, n);
        if (text.len)
            ok = ok && buf_append_str(to, STR("\r\n"));
    }
    return ok;
}

static bool write_subject(struct buf *to, const struct alert_mail *m)
{
    struct buf text;
    buf_init(&text, 1024 + 4 * ALERT_SUBJECT_KEY_MAX_BYTES);
    struct str key = str_sub(m->key, 0, whole_characters(m->key, ALERT_SUBJECT_KEY_MAX_BYTES));
    bool ok = buf_append_str(&text, STR("[mailweir] ")) && buf_append_str(&text, str_sub(m->alert, 0, 255));
    if (key.len)
        ok = ok && buf_append_str(&text, STR(": ")) && escape_text(&text, key);
    struct str subject = buf_str(&text);
    ok = ok && buf_append_str(to, STR("Subject:"));
    if (ok && str_is_ascii(subject))
        ok = buf_append_char(to, ' ') && buf_append_str(to, subject);
    else if (ok)
        ok = write_encoded_words(to, subject);
    buf_fini(&text);
    return ok && buf_append_str(to, STR("\r\n"));
}

/* Mon, 02 Jan 2006 15:04:05 +0000 (RFC 5322 3.3), whatever the locale. */
static bool write_date(struct buf *to, int64_t wall_us)
{
    static const char DAYS[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t t = (time_t)(wall_us / 1000000);
    gmtime_r(&t, &tm);
    return buf_printf(to, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", DAYS[tm.tm_wday], tm.tm_mday,
                      MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static bool write_header(struct buf *to, const struct alert_mail *m)
{
    bool ok = write_date(to, m->wall_us) &&
              buf_printf(to, "From: mailweir <mailweir@" PRI_STR ">\r\nTo: ", STR_ARG(m->hostname));
    for (size_t i = 0; i < m->to_count; i++)
        ok = ok && buf_printf(to, "%s" PRI_STR, i ? ",\r\n " : "", STR_ARG(m->to[i]));
    ok = ok && buf_append_str(to, STR("\r\n")) && write_subject(to, m);
    return ok && buf_printf(to,
                            "Message-ID: <%" PRIx64 ".%" PRIx64 "@" PRI_STR ">\r\n"
                            "Auto-Submitted: auto-generated\r\n"
                            "MIME-Version: 1.0\r\n"
                            "Content-Type: text/plain; charset=utf-8\r\n"
                            "Content-Transfer-Encoding: quoted-printable\r\n"
                            "\r\n",
                            (uint64_t)m->wall_us, m->id, STR_ARG(m->hostname));
}

/* ---- mail: body ---- */

/* A member of the event: "client: 192.0.2.1"; what has parts stays as it is. */
static bool write_member(struct buf *to, const char *name, json_t *value)
{
    bool ok = buf_append_str(to, str_of_z(name)) && buf_append_str(to, STR(": "));
    if (json_is_string(value))
        return ok && escape_text(to, str_of(json_string_value(value), json_string_length(value))) &&
               buf_append_char(to, '\n');
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ok = ok && text && buf_append_str(to, str_of_z(text)) && buf_append_char(to, '\n');
    free(text);
    return ok;
}

static bool write_members(struct buf *to, struct str event)
{
    const char *name;
    json_t *value, *root = json_loadb(event.ptr ? event.ptr : "", event.len, 0, NULL);
    bool ok = true;
    json_object_foreach(root, name, value) ok = ok && write_member(to, name, value);
    json_decref(root);
    return ok;
}

static bool write_words(struct buf *to, const struct alert_mail *m)
{
    bool ok = buf_printf(to, "The alert \"" PRI_STR "\" of mailweir on " PRI_STR " was raised", STR_ARG(m->alert),
                         STR_ARG(m->hostname));
    if (m->key.len)
        ok = ok && buf_append_str(to, STR(" for ")) && escape_text(to, m->key);
    ok = ok && buf_append_str(to, STR(".\n"));
    if (m->held_back)
        ok = ok && buf_printf(to, "%" PRIu32 " more like it %s held back since the last mail about it.\n", m->held_back,
                              m->held_back == 1 ? "was" : "were");
    return ok && buf_append_str(to, STR("\n")) && write_members(to, m->json) && buf_append_str(to, STR("\n")) &&
           buf_append_str(to, m->json) && buf_append_str(to, STR("\n"));
}

/* Quoted-printable (RFC 2045 6.7) of LF-ended lines. A dot is always encoded where it begins a line: nothing needs to
 * be stuffed. */
static bool write_quoted(struct buf *to, struct str text)
{
    enum { LINE_MAX_CHARS = 76 };
    size_t column = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool ends_line = i + 1 == text.len || text.ptr[i + 1] == '\n';
        if (c == '\n') {
            ok = buf_append_str(to, STR("\r\n"));
            column = 0;
            continue;
        }
        if (column > LINE_MAX_CHARS - 4) { /* the longest form, and the "=" that breaks the line */
            ok = buf_append_str(to, STR("=\r\n"));
            column = 0;
        }
        bool is_plain = c > ' ' && c < 127 && c != '=' && !(c == '.' && column == 0);
        if (is_plain || (c == ' ' && !ends_line)) {
            ok = ok && buf_append_char(to, (char)c);
            column++;
        } else {
            ok = ok && buf_printf(to, "=%02X", c);
            column += 3;
        }
    }
    return ok;
}

bool alert_text_mail(struct buf *to, const struct alert_mail *m)
{
    struct buf words;
    buf_init(&words, ALERT_MAIL_MAX_BYTES);
    bool ok = write_words(&words, m) && write_header(to, m) && write_quoted(to, buf_str(&words));
    buf_fini(&words);
    return ok;
}

/* verdict.c - what the client may hear of the MTA's reply. See verdict.h. */
#include "mta/verdict.h"

#include <string.h>

#include "smtp/replies.h"

/* What a client does wrong never reaches the MTA as a wrong command; and that it wants a login, or TLS, is between it
 * and us. Of XCLIENT also: 501 (an attribute it does not take) and 550 5.7.0 (we are not authorised). */
static bool is_our_fault(enum mta_state state, const struct smtp_answer *answer)
{
    switch (answer->code) {
    case 500:
    case 502:
    case 503:
    case 530:
    case 535:
    case 538:
        return true;
    case 501:
        return state == MTA_AT_XCLIENT;
    case 550:
        return state == MTA_AT_XCLIENT && strcmp(answer->enhanced, "5.7.0") == 0;
    default:
        return false;
    }
}

/* For replies that bear none. RFC 3463: x.0.0 where the code says no more than its class. */
static const char *default_enhanced(enum mta_state state, unsigned code)
{
    switch (code / 100) {
    case 2:
        return state == MTA_AT_MAIL ? "2.1.0" : state == MTA_AT_RCPT ? "2.1.5" : "2.0.0";
    case 3:
        return ""; /* RFC 2034 3: 354 bears none */
    case 4:
        return code == 452 && state == MTA_AT_RCPT ? "4.5.3" : "4.0.0";
    default:
        return code == 552 && state != MTA_AT_RCPT ? "5.3.4" : "5.0.0";
    }
}

bool mta_verdict(enum mta_state state, const struct smtp_answer *answer, struct mta_reply *reply)
{
    *reply = (struct mta_reply){.code = (int)answer->code, .text = answer->text};
    if (is_our_fault(state, answer)) {
        const struct smtp_reply_row *row = smtp_reply_row(REPLY_RELAY_MISCONFIGURED);
        reply->code = (int)row->code;
        reply->text = str_of_z(row->text);
        str_copy_into(reply->enhanced, sizeof reply->enhanced, str_of_z(row->enhanced));
        return true;
    }
    if (answer->code == 421)
        reply->code = 451;
    const char *enhanced = answer->code == 354 ? "" : answer->enhanced;
    if (*enhanced == '\0')
        enhanced = answer->code == 421 ? "4.4.2" : default_enhanced(state, answer->code);
    str_copy_into(reply->enhanced, sizeof reply->enhanced, str_of_z(enhanced));
    return false;
}

/* ---- texts ---- */

static bool is_clean(char c)
{
    return (c >= 32 && c < 127) || c == '\n';
}

/* The length of the well-formed UTF-8 character at i, which is no control; 0: none. */
static size_t utf8_at(struct str s, size_t i)
{
    for (size_t len = 2; len <= 4 && i + len <= s.len; len++) {
        struct str character = str_sub(s, i, len);
        if (str_is_utf8(character))
            return str_has_control(character) ? 0 : len;
    }
    return 0;
}

bool mta_clean_text(struct buf *to, struct str text, bool allows_utf8)
{
    size_t i = 0;
    while (i < text.len) {
        size_t run = i;
        while (run < text.len && is_clean(text.ptr[run]))
            run++;
        if (run == i && allows_utf8)
            run += utf8_at(text, i);
        if (!buf_append_str(to, str_sub(text, i, run - i)))
            return false;
        if (run == i) {
            if (text.ptr[i] == '\t' && !buf_append_char(to, ' '))
                return false;
            run++;
        }
        i = run;
    }
    return true;
}

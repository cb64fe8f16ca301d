/* words.c - see words.h. */
#include "policy/words.h"

enum { DURATION_TEXT_MAX = 48 };

bool words_duration(struct buf *to, uint64_t ms)
{
    char text[DURATION_TEXT_MAX];
    bool has_seconds = ms >= 1000 || ms == 0;
    return (!has_seconds || buf_append_str(to, limit_duration_text(text, sizeof text, ms / 1000))) &&
           (ms % 1000 == 0 || buf_printf(to, "%llums", (unsigned long long)(ms % 1000)));
}

bool words_decimal(struct buf *to, int64_t millionths)
{
    uint64_t n = millionths < 0 ? 0 - (uint64_t)millionths : (uint64_t)millionths;
    uint64_t fraction = n % NUMBER_ONE;
    int digits = 6;
    bool ok = buf_printf(to, "%s%llu", millionths < 0 ? "-" : "", (unsigned long long)(n / NUMBER_ONE));
    for (; fraction && fraction % 10 == 0; fraction /= 10)
        digits--;
    return ok && (fraction == 0 || buf_printf(to, ".%0*llu", digits, (unsigned long long)fraction));
}

static bool write_ban(struct buf *to, const struct policy_action *action)
{
    return buf_printf(to, " %s ", key_rows[action->whom].word) && words_duration(to, (uint64_t)action->ban_s * 1000) &&
           (action->ban_max_s == 0 ||
            (buf_append_str(to, STR(" doubling to ")) && words_duration(to, (uint64_t)action->ban_max_s * 1000)));
}

bool words_action(struct buf *to, const struct policy_action *action)
{
    if (!buf_append_str(to, str_of_z(action_rows[action->kind].word)))
        return false;
    switch (action->kind) {
    case ACTION_REJECT:
    case ACTION_DEFER:
    case ACTION_DISCONNECT:
        return action->code == 0 || buf_printf(to, " %d %s", action->code, action->enhanced);
    case ACTION_BAN:
        return write_ban(to, action);
    case ACTION_TARPIT:
        return buf_append_char(to, ' ') && words_duration(to, action->tarpit_ms);
    case ACTION_SCORE:
        return buf_append_char(to, ' ') && words_decimal(to, action->number);
    case ACTION_CHARGE:
        return buf_printf(to, " " PRI_STR " %lld", STR_ARG(action->name), (long long)action->number);
    case ACTION_TAG:
    case ACTION_ALERT:
        return buf_printf(to, " " PRI_STR, STR_ARG(action->name));
    case ACTION_ADD_HEADER:
    case ACTION_REMOVE_HEADER:
        return buf_printf(to, " \"" PRI_STR "\"", STR_ARG(action->name));
    case ACTION_RELAY:
        return buf_printf(to, " to " PRI_STR, STR_ARG(action->name));
    default:
        return true;
    }
}

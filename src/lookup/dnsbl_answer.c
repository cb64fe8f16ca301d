/* dnsbl_answer.c - what a DNS list's answer means. Pure. PROTOCOLS.md 6. */
#include <string.h>

#include "lookup/dnsbl_inside.h"

#define LOCAL(a, b, c)                                                                                                 \
    {                                                                                                                  \
        .family = ADDR_IPV4, .bytes = { 127, a, b, c }                                                                 \
    }

/* .10 and .11 are home lines, where a submission port's own users sit. */
static const struct ip_span listed_by_default[] = {
    {LOCAL(0, 0, 2), LOCAL(0, 0, 9)},
    {LOCAL(0, 0, 12), LOCAL(0, 0, 254)},
};

/* Spamhaus: wrong name, public resolver, too many questions; others: asking is not allowed. Never "listed". */
static const struct ip_span errors[] = {
    {LOCAL(255, 255, 0), LOCAL(255, 255, 255)},
    {LOCAL(0, 0, 1), LOCAL(0, 0, 1)},
    {LOCAL(0, 1, 255), LOCAL(0, 1, 255)},
};

static const struct ip_span local = {LOCAL(0, 0, 0), LOCAL(255, 255, 255)};

static bool is_in(const struct ip_span *spans, size_t count, const struct ip *ip)
{
    for (size_t i = 0; i < count; i++)
        if (ip_span_contains(&spans[i], ip))
            return true;
    return false;
}

/* Servers shuffle their records: ascending, each once, the lowest where there are too many. */
static void add_code(struct dnsbl_answer *answer, const uint8_t *code)
{
    size_t at = 0, count = answer->code_count;
    while (at < count && memcmp(answer->codes[at], code, 4) < 0)
        at++;
    if (at == DNSBL_MAX_CODES || (at < count && memcmp(answer->codes[at], code, 4) == 0))
        return;
    count = MIN_OF(count + 1, DNSBL_MAX_CODES);
    memmove(answer->codes[at + 1], answer->codes[at], (count - at - 1) * 4);
    memcpy(answer->codes[at], code, 4);
    answer->code_count = (uint8_t)count;
}

static enum dnsbl_meaning shown_by(const struct ip *address, enum dnsbl_meaning meaning, struct dnsbl_answer *answer)
{
    *answer = (struct dnsbl_answer){.result = DNSBL_UNKNOWN, .code_count = 1};
    memcpy(answer->codes[0], address->bytes, 4);
    return meaning;
}

enum dnsbl_meaning dnsbl_meaning_of(const struct ip *addresses, size_t count, const struct ip_span *spans,
                                    size_t span_count, struct dnsbl_answer *answer)
{
    if (span_count == 0) {
        spans = listed_by_default;
        span_count = COUNT_OF(listed_by_default);
    }
    *answer = (struct dnsbl_answer){.result = DNSBL_NOT_LISTED};
    for (size_t i = 0; i < count; i++)
        if (!ip_span_contains(&local, &addresses[i]))
            return shown_by(&addresses[i], DNSBL_MEANS_FOREIGN, answer);
    for (size_t i = 0; i < count; i++)
        if (is_in(errors, COUNT_OF(errors), &addresses[i]))
            return shown_by(&addresses[i], DNSBL_MEANS_ERROR, answer);
    for (size_t i = 0; i < count; i++)
        if (is_in(spans, span_count, &addresses[i]))
            add_code(answer, addresses[i].bytes);
    if (answer->code_count == 0)
        return DNSBL_MEANS_NOT_LISTED;
    answer->result = DNSBL_LISTED;
    return DNSBL_MEANS_LISTED;
}

/* suggest.c - the nearest word. See suggest.h. */
#include "rules/suggest.h"

unsigned suggest_distance(struct str a, struct str b)
{
    if (a.len > SUGGEST_MAX_LEN || b.len > SUGGEST_MAX_LEN)
        return SUGGEST_MAX_LEN + 1;
    /* three rows of the usual table: this letter of a, the one before, the one before that (for swaps) */
    unsigned rows[3][SUGGEST_MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);
            unsigned best = last[j - 1] + (x != y);
            best = MIN_OF(best, MIN_OF(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) && y == ascii_lower(a.ptr[i - 2]))
                best = MIN_OF(best, before[j - 2] + 1);
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.len];
}

void suggest_init(struct suggestion *s, struct str wrong)
{
    *s = (struct suggestion){.wrong = wrong, .best = STR_NONE, .distance = SUGGEST_MAX_LEN + 1};
}

void suggest_offer(struct suggestion *s, struct str candidate)
{
    if (!candidate.len)
        return;
    size_t longer = MAX_OF(s->wrong.len, candidate.len);
    size_t allowed = MAX_OF(longer / 3, (size_t)1);
    if (longer - MIN_OF(s->wrong.len, candidate.len) > allowed)
        return; /* by their lengths alone too far apart: most are */
    if (longer - MIN_OF(s->wrong.len, candidate.len) > allowed)
        return; /* so many letters must be added at least */
    unsigned distance = suggest_distance(s->wrong, candidate);
    if (distance > allowed || distance >= longer || distance >= s->distance)
        return;
    s->best = candidate;
    s->distance = distance;
}

struct str suggest_best(const struct suggestion *s)
{
    return s->best;
}

struct str suggest(struct str wrong, const struct str *candidates, size_t count)
{
    struct suggestion s;
    suggest_init(&s, wrong);
    for (size_t i = 0; i < count; i++)
        suggest_offer(&s, candidates[i]);
    return suggest_best(&s);
}

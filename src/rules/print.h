/*
 * print.h - what is wrong with a configuration: collected while it is read and checked, printed all at once, sorted by
 * place.
 *
 *     rules/submission.rules:14:33: error: unknown attribute "recipient.domain"
 *        14 |     rule no-relay reject unless recipient.domain in local-domains
 *           |                                 ^^^^^^^^^^^^^^^^ did you mean "rcpt.domain"?
 *
 * Errors and warnings may come in any order from any pass; the same words at the same place are kept once. What is
 * printed holds no control character, whatever the file held. Up to DIAG_MAX_SHOWN errors and as many warnings are
 * shown, the rest counted.
 */
#ifndef RULES_PRINT_H
#define RULES_PRINT_H

#include "base/buf.h"
#include "rules/source.h"

enum { DIAG_MAX_SHOWN = 50, DIAG_MAX_KEPT = 5000 };

struct diagnostic {
    struct place at; /* PLACE_NONE: of no file; printed without place and marker */
    bool is_warning;
    bool is_hidden; /* beyond DIAG_MAX_SHOWN: set by diag_sort */
    uint32_t order; /* of arrival: decides between equal places */
    struct str text;
    struct str hint; /* behind the marker; empty: none */
};

struct diagnostics {
    const struct source_set *sources; /* borrowed */
    struct arena arena;
    struct diagnostic *items; /* in order of place after diag_sort */
    size_t count;
    size_t cap;
    size_t error_count; /* all, kept or not */
    size_t warning_count;
    size_t last; /* what diag_hint speaks of; DIAG_MAX_KEPT: it was not kept */
};

void diag_init(struct diagnostics *d, const struct source_set *sources);
void diag_fini(struct diagnostics *d);

/* An error at a place. Always false: `return diag_error(…)`. Without memory the error still counts, so a configuration
 * that is wrong is never taken for right. */
bool diag_error(struct diagnostics *d, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void diag_warning(struct diagnostics *d, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds what may help to what was said last: "a text needs quotes". */
void diag_hint(struct diagnostics *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds `did you mean "nearest"?` to what was said last; nothing when nearest is empty. */
void diag_did_you_mean(struct diagnostics *d, struct str nearest);

static inline bool diag_has_errors(const struct diagnostics *d)
{
    return d->error_count > 0;
}

/* By place; errors and warnings among each other. Printing does it itself; `--json` calls it and walks items. */
void diag_sort(struct diagnostics *d);
/* False: the buffer is full. */
MUST_USE bool diag_print(struct diagnostics *d, struct buf *to);
/* One of them, in the same form. */
MUST_USE bool diag_print_one(const struct diagnostics *d, const struct diagnostic *item, struct buf *to);
/* What no terminal and no JSON takes – control characters, what is no UTF-8 – is escaped. */
MUST_USE bool print_clean(struct buf *to, struct str s);
/* "FILE:LINE:COL", escaped. */
MUST_USE bool place_print(const struct source_set *sources, struct place at, struct buf *to);

#endif

/*
 * thresholds.h - from the counts a store saw to what they mean: which limit refuses, until when, and which thresholds
 * act.
 *
 * GRAMMAR.md 4, "Threshold". Pure: reads the takes that belong to a reservation's readings, writes its answer.
 */
#ifndef LIMITS_THRESHOLDS_H
#define LIMITS_THRESHOLDS_H

#include "limits/limiter.h"

/* Writes used and refuses of every reading from its take; names the refusal if there is one. True: something refuses.
 */
bool thresholds_judge(struct reservation *r);
/* Lists in r->passed what acts, after judging. Reserved: every threshold that is passed. Settling: only those that the
 * growth passed. Refused: those of the refusing limit up to the one that refuses, and of the others what does not count
 * the mail. */
void thresholds_list(struct reservation *r, bool refusal_is_new);

/* The same of an event, which is counted whatever is allowed, and of the question whether its count is above. */
bool thresholds_judge_event(struct reservation *r);
void thresholds_list_event(struct reservation *r);

/* The column of its take that a reading reads. */
enum column thresholds_column(const struct reading *reading);

#endif

/* words.h - compiled things as rules files write them: for explain, and for what tests say. */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H

#include "policy/compiled.h"

/* "1m1s500ms", "0s". False, here and below: the buffer is full. */
MUST_USE bool words_duration(struct buf *to, uint64_t ms);
/* "2.5", "-0.25", of millionths. */
MUST_USE bool words_decimal(struct buf *to, int64_t millionths);
/* "reject 550 5.7.1", "ban client 15m doubling to 1d", "tag x"; without texts, which are shown where they are read. */
MUST_USE bool words_action(struct buf *to, const struct policy_action *action);

#endif

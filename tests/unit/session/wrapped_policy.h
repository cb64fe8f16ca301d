/* wrapped_policy.h - policy_ask_start and policy_ask_cancel, which the linker's --wrap puts a test's or a fuzzer's own
 * in front of, so that rules may take their time. */
#ifndef TESTS_WRAPPED_POLICY_H
#define TESTS_WRAPPED_POLICY_H

#include "policy/ask.h"

enum started __real_policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                                     struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                     void *arg);
enum started __wrap_policy_ask_start(struct policy_engine *engine, enum phase phase, struct policy_case *question,
                                     struct policy_answer *answer, int64_t deadline_ms, void (*cb)(void *arg),
                                     void *arg);
void __real_policy_ask_cancel(struct policy_engine *engine, struct policy_case *question);
void __wrap_policy_ask_cancel(struct policy_engine *engine, struct policy_case *question);

#endif

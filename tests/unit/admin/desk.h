/* desk.h - the handlers of the control socket over a service that is none: rules, a store, tables of bans and of
 * allowances, a supervisor that writes down what it is asked. */
#ifndef TESTS_ADMIN_DESK_H
#define TESTS_ADMIN_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../limits/late_store.h"
#include "admin/admin.h"
#include "base/clock.h"
#include "net/conn_memory.h"

struct desk {
    struct loop loop;
    struct admin admin;
    struct admin_service service;
    struct config config;
    struct listener_config listener;
    struct endpoint endpoint;
    struct mta_pool_options pool;
    struct counters *counters;
    struct store store;
    void *store_memory, *ban_memory, *allowance_memory;
    struct event_log events;
    int event_pipe[2];
    struct control_options options;
    struct control *control;
    struct conn *conn;
    unsigned reloads, stops;
    uint64_t last_reload;
    bool is_deaf; /* the supervisor */
    struct admin_health health[1];
};

extern struct desk D;

/* cmocka's setup and teardown; the second one over a store that answers later (late_store.h). */
int desk_open(void **state);
int desk_open_late(void **state);
int desk_close(void **state);
/* Sends a question and takes what was answered by now: a line, or "". A static buffer. */
const char *desk_ask(const char *question);
/* What was answered since. */
const char *desk_answer(void);
/* As JSON; the caller's. Fails the test if it is no answer, or one that does not say yes (no). */
json_t *desk_yes(const char *question);
json_t *desk_no(const char *question);
/* Event lines since the last call. A static buffer. */
const char *desk_events(void);
/* So many mails of this user are counted now. */
void desk_count(const char *entity, uint32_t period_s, uint32_t messages, uint32_t recipients);

#endif

/*
 * service.c - reload and stop: the supervisor does it, we pass the question on and its word back.
 *
 * A reload's question waits in this process, which belongs to the old configuration; when the new one is in force this
 * process takes leave, but not before it has answered.
 */
#include <stdlib.h>
#include <unistd.h>

#include "admin/admin.h"

/* A question that waits. */
struct reload {
    struct list node;
    uint64_t id;
    struct control_ask *ask;
};

static void forget(struct control_ask *ask)
{
    struct reload *r = ask->state;
    list_remove(&r->node);
    free(r);
}

void admin_reload(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct err err = {0};
    struct reload *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(&err);
        control_refuse(ask, &err, true);
        return;
    }
    if (!a->service->reload(a->service->arg, a->last_reload + 1)) {
        free(r);
        err_set(&err, "the supervisor does not listen");
        control_refuse(ask, &err, true);
        return;
    }
    *r = (struct reload){.id = ++a->last_reload, .ask = ask};
    list_add_last(&a->reloads, &r->node);
    ask->state = r;
    ask->on_cancel = forget;
}

static void refuse_reload(struct control_ask *ask, struct str why, struct str report)
{
    json_t *answer =
        json_pack("{s:b, s:o, s:o}", "ok", 0, "error", control_json_of(why), "report", control_json_of_lines(report));
    control_answer_no(ask, answer);
}

void admin_reload_done(struct admin *a, uint64_t id, bool ok, struct str why, struct str report)
{
    LIST_EACH(node, &a->reloads)
    {
        struct reload *r = CONTAINER_OF(node, struct reload, node);
        struct control_ask *ask = r->ask;
        struct admin_state state;
        if (r->id != id)
            continue;
        forget(ask);
        a->service->state(a->service->arg, &state);
        if (ok)
            control_answer(ask, json_pack("{s:I, s:o}", "generation", (json_int_t)state.generation, "report",
                                          control_json_of_lines(report)));
        else
            refuse_reload(ask, why, report);
        return;
    }
}

void admin_stop(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct admin_state state;
    struct err err = {0};
    a->service->state(a->service->arg, &state);
    if (!a->service->stop(a->service->arg, "by command")) {
        err_set(&err, "the supervisor does not listen");
        control_refuse(ask, &err, true);
        return;
    }
    uint64_t open = counters_sum(a->counters, COUNTER_OPEN_CONNECTIONS);
    control_answer(ask, json_pack("{s:i, s:I, s:b}", "pid", state.supervisor_pid, "connections", (json_int_t)open,
                                  "was_stopping", state.is_stopping));
}

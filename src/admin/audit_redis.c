/*
 * audit_redis.c - `store audit` of a store in Redis: limits/audit.h looks, this says what it found. One at a time: it
 * reads every key there is.
 */
#include <stdlib.h>

#include "admin/admin.h"
#include "limits/audit.h"

enum { AUDIT_MS = 120000 }; /* less than a question may take */

struct admin_audit {
    struct admin *admin;
    struct control_ask *ask; /* NULL: nobody waits any more */
    struct audit *audit;
};

static json_t *finding_json(const struct audit_finding *f)
{
    static const char *const SEVERITIES[] = {"note", "warning", "error"};
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:b, s:b}", "severity", SEVERITIES[f->severity], "server",
                     control_json_of(str_of_z(f->shard)), "key", control_json_of(str_of_z(f->key)), "what",
                     control_json_of(str_of_z(f->what)), "to_do", control_json_of(str_of_z(f->to_do)), "repairable",
                     f->is_repairable, "repaired", f->is_repaired);
}

static json_t *findings_json(const struct audit_report *report)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < report->finding_count; i++)
        if (json_array_append_new(array, finding_json(&report->findings[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *kinds_json(const struct audit_report *report)
{
    json_t *object = json_object();
    for (enum audit_kind kind = 0; object && kind < AUDIT_KINDS; kind++)
        if (json_object_set_new(object, audit_kind_name(kind),
                                json_pack("{s:I, s:I}", "keys", (json_int_t)report->keys[kind], "bytes",
                                          (json_int_t)report->bytes[kind])) != 0) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

static json_t *report_json(const struct audit_report *report)
{
    json_t *json = json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:o}", "kind", "redis", "clean",
                             report->is_complete && report->open == 0, "complete", report->is_complete, "open",
                             (json_int_t)report->open, "repaired", (json_int_t)report->repaired, "failed",
                             (json_int_t)report->failed, "unlisted", (json_int_t)report->unlisted, "kinds",
                             kinds_json(report), "findings", findings_json(report));
    if (json && report->why[0])
        json_object_set_new(json, "why", control_json_of(str_of_z(report->why)));
    return json;
}

static void on_done(void *arg, const struct audit_report *report)
{
    struct admin_audit *r = arg;
    if (r->ask)
        control_answer(r->ask, report_json(report));
    admin_audit_end(r->admin);
}

/* What was begun goes on to its end. */
static void forget(struct control_ask *ask)
{
    struct admin_audit *r = ask->state;
    r->ask = NULL;
}

static struct admin_audit *start(struct admin *a, bool repairs, struct err *err)
{
    struct admin_audit *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err);
        return NULL;
    }
    struct audit_options options = {.loop = a->loop,
                                    .redis = a->redis,
                                    .shape = a->config->store.redis.shape,
                                    .prefix = a->config->store.prefix,
                                    .repairs = repairs,
                                    .deadline_ms = AUDIT_MS};
    r->admin = a;
    r->audit = audit_start(&options, NULL, on_done, r, err);
    if (r->audit)
        return r;
    free(r);
    return NULL;
}

void admin_audit_redis(struct admin *a, struct control_ask *ask, bool repairs)
{
    struct err err = {0};
    if (a->audit) {
        err_set(&err, "an audit is under way already");
        control_refuse(ask, &err, true);
        return;
    }
    a->audit = start(a, repairs, &err);
    if (!a->audit) {
        control_refuse(ask, &err, true);
        return;
    }
    a->audit->ask = ask;
    ask->state = a->audit;
    ask->on_cancel = forget;
}

void admin_audit_end(struct admin *a)
{
    if (!a->audit)
        return;
    audit_free(&a->audit->audit);
    free(a->audit);
    a->audit = NULL;
}

/* alert_outlet.c - see alert_outlet.h. */
#include "process/alert_outlet.h"

#include <stdio.h>
#include <stdlib.h>

#include "process/alert_text.h"
#include "process/alert_ways.h"

const struct alert_times ALERT_TIMES = {.deadline_ms = 10000, .rest_ms = {0, 1000, 5000, 30000}};

static struct alert_job *job_of(struct list *node)
{
    return CONTAINER_OF(node, struct alert_job, node);
}

static void advance_soon(struct alert_outlet *o)
{
    task_defer(o->loop, &o->advance);
}

/* ---- a job's end ---- */

static void job_free(struct alert_job *job)
{
    list_remove(&job->node);
    timer_cancel(&job->deadline);
    free(job);
}

/* The next event about the same is sent again, though it may come before its time. */
static void give_up(struct alert_job *job)
{
    struct alert_outlet *o = job->outlet;
    counter_add(o->counters, COUNTER_ALERTS_FAILED, 1);
    alert_rates_give_back(o->rates, job->id, job->held_back);
    job_free(job);
}

static void note_sent(struct alert_outlet *o)
{
    counter_add(o->counters, COUNTER_ALERTS_SENT, 1);
    if (o->is_failing)
        log_info("alert \"" PRI_STR "\": %s is reached again", STR_ARG(o->config->name), alert_way_place(o->config));
    o->is_failing = false;
}

static void note_failed(struct alert_outlet *o, const char *why)
{
    if (!o->is_failing)
        log_warning("alert \"" PRI_STR "\": cannot reach %s: %s; tried again, mail goes on", STR_ARG(o->config->name),
                    alert_way_place(o->config), why);
    o->is_failing = true;
}

static void finish(struct alert_job *job, const char *why)
{
    struct alert_outlet *o = job->outlet;
    timer_cancel(&job->deadline);
    list_remove(&job->node);
    o->running_count--;
    job->work = NULL;
    if (!why) {
        note_sent(o);
        job_free(job);
        return;
    }
    note_failed(o, why);
    if (o->is_ending || ++job->tries >= ALERT_TRIES_MAX) {
        give_up(job);
        return;
    }
    list_add_first(&o->waiting, &job->node);
    o->waiting_count++;
    timer_start(&o->rest, loop_now_ms(o->loop) + o->times->rest_ms[job->tries]);
}

void alert_job_done(struct alert_job *job, const char *why)
{
    struct alert_outlet *o = job->outlet;
    finish(job, why);
    advance_soon(o);
}

static void on_deadline(void *arg)
{
    struct alert_job *job = arg;
    const struct alert_outlet *o = job->outlet;
    char why[64];
    snprintf(why, sizeof why, "no answer within %lld ms", (long long)o->times->deadline_ms);
    o->way->cancel(o->ways, job);
    alert_job_done(job, why);
}

/* ---- what waits ---- */

static void start_first(struct alert_outlet *o)
{
    struct alert_job *job = job_of(o->waiting.next);
    struct err err = {0};
    list_remove(&job->node);
    o->waiting_count--;
    list_add_last(&o->running, &job->node);
    o->running_count++;
    if (o->way->start(o->ways, job, &err) == STARTED)
        timer_start(&job->deadline, loop_now_ms(o->loop) + o->times->deadline_ms);
    else
        finish(job, err.text[0] ? err.text : NULL);
}

static void advance(void *arg)
{
    struct alert_outlet *o = arg;
    while (!list_is_empty(&o->waiting) && !timer_is_running(&o->rest) &&
           o->running_count < (o->is_failing && !o->is_ending ? 1 : ALERT_RUNNING_MAX))
        start_first(o);
    if (alert_outlet_is_idle(o))
        o->on_idle(o->arg);
}

static struct alert_job *job_new(struct alert_outlet *o, const struct alert_message *m)
{
    struct buf json;
    buf_init(&json, ALERT_JSON_MAX_BYTES);
    bool ok = alert_text_json(&json, m->event, m->held_back);
    struct str text = buf_str(&json);
    struct alert_job *job = ok ? calloc(1, sizeof *job + m->key.len + text.len + 2) : NULL;
    if (job) {
        char *key = (char *)(job + 1);
        job->key = str_copy_into(key, m->key.len + 1, m->key);
        job->json = str_copy_into(key + m->key.len + 1, text.len + 1, text);
        job->outlet = o;
        job->id = m->id;
        job->held_back = m->held_back;
        timer_init(&job->deadline, o->loop, on_deadline, job);
    }
    buf_fini(&json);
    return job;
}

void alert_outlet_take(struct alert_outlet *o, const struct alert_message *m)
{
    bool is_full = o->waiting_count >= ALERT_WAITING_MAX;
    struct alert_job *job = is_full ? NULL : job_new(o, m);
    if (!job) {
        counter_add(o->counters, COUNTER_ALERTS_DROPPED, 1);
        alert_rates_give_back(o->rates, m->id, m->held_back);
        if (!o->said_full)
            log_warning("alert \"" PRI_STR "\": %s; more are dropped (mailweir_alerts_dropped_total counts)",
                        STR_ARG(o->config->name), is_full ? "too many wait already" : "out of memory");
        o->said_full = true;
        return;
    }
    o->said_full = o->said_full && o->waiting_count > ALERT_WAITING_MAX / 2;
    list_add_last(&o->waiting, &job->node);
    o->waiting_count++;
    advance_soon(o);
}

/* ---- life ---- */

static void on_rested(void *arg)
{
    advance_soon(arg);
}

void alert_outlet_init(struct alert_outlet *o)
{
    list_init(&o->waiting);
    list_init(&o->running);
    timer_init(&o->rest, o->loop, on_rested, o);
    task_init(&o->advance, advance, o);
}

void alert_outlet_fini(struct alert_outlet *o)
{
    LIST_EACH(node, &o->running)
    {
        o->way->cancel(o->ways, job_of(node));
        give_up(job_of(node));
    }
    LIST_EACH(node, &o->waiting)
    give_up(job_of(node));
    timer_cancel(&o->rest);
    task_cancel(&o->advance);
}

bool alert_outlet_is_idle(const struct alert_outlet *o)
{
    return list_is_empty(&o->waiting) && list_is_empty(&o->running);
}

void alert_outlet_end(struct alert_outlet *o)
{
    o->is_ending = true;
    timer_cancel(&o->rest);
    advance_soon(o);
}

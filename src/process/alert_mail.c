/*
 * alert_mail.c - an alert goes by mail, through the MTA behind (the pool `default`), as any mail does: MAIL, RCPT,
 * DATA.
 *
 * The sender is <>: nobody is told if it cannot be delivered, and no vacation programme answers it. If the MTA takes
 * some of the recipients, they get it, and those refused are said once in the log.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "mta/exchange.h"
#include "process/alert_text.h"
#include "process/alert_ways.h"

enum { ARENA_BYTES = 1 << 20 };

struct letter {
    struct alert_ways *ways;
    struct alert_job *job;
    struct mta_exchange exchange;
    struct mta_client client;
    struct arena arena;
    struct buf text;
    size_t answered_count, accepted_count;
    char refusal[256]; /* of a recipient, the last one */
};

static void letter_free(struct letter *l)
{
    mta_end(&l->exchange);
    buf_fini(&l->text);
    arena_fini(&l->arena);
    free(l);
}

static void end(struct letter *l, const char *why)
{
    struct alert_job *job = l->job;
    char text[sizeof l->refusal];
    if (why)
        str_copy_into(text, sizeof text, str_of_z(why));
    letter_free(l);
    alert_job_done(job, why ? text : NULL);
}

static void note_refusal(struct letter *l, const struct mta_reply *reply)
{
    snprintf(l->refusal, sizeof l->refusal, "%d %s " PRI_STR, reply->code, reply->enhanced, STR_ARG(reply->text));
    for (char *p = l->refusal; *p; p++)
        *p = *p == '\n' ? ' ' : *p;
}

static void on_rcpt(struct letter *l, size_t index, const struct mta_reply *reply)
{
    struct alert_outlet *o = l->job->outlet;
    l->answered_count++;
    if (reply->code / 100 == 2) {
        l->accepted_count++;
    } else {
        note_refusal(l, reply);
        if (o->config->address_count > 1 && !o->said_partly)
            log_warning("alert \"" PRI_STR "\": " PRI_STR " is refused: %s", STR_ARG(o->config->name),
                        STR_ARG(o->config->addresses[index]), l->refusal);
        o->said_partly = o->said_partly || o->config->address_count > 1;
    }
    if (l->answered_count < o->config->address_count)
        return;
    if (l->accepted_count > 0)
        mta_data(&l->exchange);
    else
        end(l, l->refusal);
}

static void on_reply(void *arg, enum mta_step step, size_t index, const struct mta_reply *reply)
{
    struct letter *l = arg;
    if (step == MTA_STEP_RCPT) {
        on_rcpt(l, index, reply);
        return;
    }
    if (reply->code / 100 > 3) {
        note_refusal(l, reply);
        end(l, l->refusal);
    } else if (step == MTA_STEP_DATA) {
        if (mta_body(&l->exchange, buf_str(&l->text))) /* else on_failed comes */
            mta_dot(&l->exchange, true);
    } else if (step == MTA_STEP_DOT) {
        end(l, NULL);
    }
}

static void on_drained(void *arg)
{
    (void)arg; /* it was written at once */
}

static void on_failed(void *arg, enum mta_failure failure, const char *text)
{
    (void)failure;
    end(arg, text);
}

static const struct mta_ops OPS = {on_reply, on_drained, on_failed};

static bool compose(struct letter *l)
{
    const struct alert_config *config = l->job->outlet->config;
    struct alert_mail m = {.hostname = str_of_z(l->ways->config->hostname),
                           .alert = config->name,
                           .key = l->job->key,
                           .json = l->job->json,
                           .held_back = l->job->held_back,
                           .to = config->addresses,
                           .to_count = config->address_count,
                           .wall_us = loop_wall_us(l->ways->loop),
                           .id = l->job->id};
    return alert_text_mail(&l->text, &m);
}

/* Addresses were checked with the configuration. */
static bool say_envelope(struct letter *l)
{
    const struct alert_config *config = l->job->outlet->config;
    struct smtp_path sender = {.whole = STR(""), .null = true};
    struct smtp_mail_params mail = {0};
    struct smtp_path path;
    for (size_t i = 0; i < config->address_count; i++)
        mail.smtputf8 |= smtp_address_parse(config->addresses[i], &path) && path.needs_utf8;
    if (!mta_mail(&l->exchange, &sender, &mail))
        return false;
    for (size_t i = 0; i < config->address_count; i++)
        if (!smtp_address_parse(config->addresses[i], &path) ||
            !mta_rcpt(&l->exchange, &path, &(struct smtp_rcpt_params){0}))
            return false;
    return true;
}

static enum started start_mail(struct alert_ways *ways, struct alert_job *job, struct err *err)
{
    struct letter *l = calloc(1, sizeof *l);
    if (!l) {
        err_no_memory(err);
        return DONE;
    }
    l->ways = ways;
    l->job = job;
    arena_init(&l->arena, ARENA_BYTES);
    buf_init(&l->text, ALERT_MAIL_MAX_BYTES);
    mta_begin(&l->exchange, ways->pool, &l->client, &l->arena, &OPS, l);
    if (compose(l) && say_envelope(l)) {
        job->work = l;
        return STARTED;
    }
    letter_free(l);
    err_no_memory(err);
    return DONE;
}

static void cancel_mail(struct alert_ways *ways, struct alert_job *job)
{
    (void)ways;
    letter_free(job->work);
}

const struct alert_way alert_way_mail = {start_mail, cancel_mail};

/* alert_ways.c - the rows of alert_ways.h, and the shortest of the ways: syslog. */
#include "process/alert_ways.h"

#include <stdio.h>

#include "process/alert_text.h"

const struct alert_way *alert_way_of(enum alert_kind kind)
{
    static const struct alert_way *const WAYS[] = {[ALERT_WEBHOOK] = &alert_way_webhook,
                                                   [ALERT_MAIL] = &alert_way_mail,
                                                   [ALERT_SYSLOG] = &alert_way_syslog,
                                                   [ALERT_EXEC] = &alert_way_exec};
    return WAYS[kind];
}

/* https://user:password@host:port/path: host:port. */
static struct str host_of(struct str url)
{
    struct str host = str_from(url, str_find(url, '/') + 2);
    size_t end = 0;
    while (end < host.len && !strchr("/?#", host.ptr[end]))
        end++;
    host = str_sub(host, 0, end);
    size_t at = str_find_last(host, '@');
    return at < host.len ? str_from(host, at + 1) : host;
}

const char *alert_way_place(const struct alert_config *config)
{
    static char text[320];
    switch (config->kind) {
    case ALERT_WEBHOOK:
        return str_copy_into(text, sizeof text, host_of(str_of_z(config->url))).ptr;
    case ALERT_MAIL:
        return "anybody by mail";
    case ALERT_SYSLOG:
        return "syslog";
    case ALERT_EXEC:
        return config->program;
    }
    return "nobody";
}

static enum started start_syslog(struct alert_ways *ways, struct alert_job *job, struct err *err)
{
    struct buf line;
    buf_init(&line, ALERT_JSON_MAX_BYTES + 5 * ALERT_KEY_MAX_BYTES);
    if (alert_text_line(&line, job->outlet->config->name, job->key, job->json))
        log_socket_send(&ways->syslog, LOG_SEVERITY_WARNING, loop_wall_us(ways->loop), buf_str(&line), err);
    else
        err_no_memory(err);
    buf_fini(&line);
    return DONE;
}

static void cancel_syslog(struct alert_ways *ways, struct alert_job *job)
{
    (void)ways, (void)job; /* never STARTED */
}

const struct alert_way alert_way_syslog = {start_syslog, cancel_syslog};

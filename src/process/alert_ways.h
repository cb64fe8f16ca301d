/*
 * alert_ways.h - the ways to reach somebody: webhook, mail, syslog, exec. A row and a file each.
 */
#ifndef PROCESS_ALERT_WAYS_H
#define PROCESS_ALERT_WAYS_H

#include "process/alert_outlet.h"
#include "process/log_socket.h"

struct alert_hooks;

/* What the ways need; made once a process. */
struct alert_ways {
    struct loop *loop;
    const struct config *config;
    struct alert_hooks *hooks; /* NULL: there is no webhook */
    struct mta_pool *pool;     /* NULL: there is no mail */
    struct log_socket syslog;
};

extern const struct alert_way alert_way_webhook, alert_way_mail, alert_way_syslog, alert_way_exec;

/* By kind. */
const struct alert_way *alert_way_of(enum alert_kind kind);
/* Whom the log says cannot be reached. Of a URL only its host, because its path is often a secret. Borrowed until the
 * next call. */
const char *alert_way_place(const struct alert_config *config);

/* webhook: libcurl on the loop. NULL with a reason. */
struct alert_hooks *alert_hooks_new(struct loop *loop, struct err *err);
void alert_hooks_free(struct alert_hooks **hooks);

#endif

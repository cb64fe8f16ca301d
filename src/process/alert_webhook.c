/*
 * alert_webhook.c - an alert is POSTed as JSON to a URL, by libcurl's multi interface on our loop.
 *
 *   curl: socket callback ─▶ watch ─▶ curl_multi_socket_action ─┐
 *         timer callback ──▶ timer ─▶ curl_multi_socket_action ─┴▶ collect what is done ─▶ alert_job_done
 *
 * The server's certificate is verified; nothing but http and https is spoken, a redirection is not followed (the event
 * goes where the administrator said, or nowhere), what the server says beyond its status is dropped. Names are resolved
 * by libcurl in a thread; one that hangs is left behind at the deadline, not waited for (CURLOPT_QUICK_EXIT).
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "process/alert_ways.h"

enum { IDLE_CONNECTIONS_MAX = 8 };

struct alert_hooks {
    struct loop *loop;
    CURLM *multi;
    struct curl_slist *header;
    struct timer timer;
};

struct post {
    CURL *easy;
    char error[CURL_ERROR_SIZE];
};

/* One of libcurl's sockets. */
struct hook_socket {
    struct alert_hooks *hooks;
    struct watch watch;
    curl_socket_t fd;
};

/* ---- the end of a try ---- */

static void post_free(struct alert_hooks *h, struct post *p)
{
    curl_multi_remove_handle(h->multi, p->easy);
    curl_easy_cleanup(p->easy);
    free(p);
}

static void finish(struct alert_hooks *h, CURL *easy, CURLcode result)
{
    struct alert_job *job = NULL;
    char why[CURL_ERROR_SIZE + 32] = "";
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    struct post *p = job->work;
    bool is_sent = result == CURLE_OK && status >= 200 && status < 300;
    if (result != CURLE_OK)
        snprintf(why, sizeof why, "%s", p->error[0] ? p->error : curl_easy_strerror(result));
    else if (!is_sent)
        snprintf(why, sizeof why, "it answers with HTTP status %ld", status);
    post_free(h, p);
    alert_job_done(job, is_sent ? NULL : why);
}

static void collect(struct alert_hooks *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            finish(h, m->easy_handle, m->data.result);
}

/* ---- libcurl on the loop ---- */

static void act(struct alert_hooks *h, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(h->multi, fd, events, &running);
    collect(h);
}

static void on_socket_ready(void *arg, bool readable, bool writable)
{
    const struct hook_socket *s = arg; /* gone when libcurl closes the socket */
    act(s->hooks, s->fd, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

static void on_due(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct alert_hooks *h = arg;
    (void)multi;
    if (ms < 0)
        timer_cancel(&h->timer);
    else
        timer_start(&h->timer, loop_now_ms(h->loop) + ms);
    return 0;
}

static struct hook_socket *watch_socket(struct alert_hooks *h, curl_socket_t fd)
{
    struct hook_socket *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->hooks = h;
    s->fd = fd;
    watch_init(&s->watch, h->loop, fd, on_socket_ready, s);
    curl_multi_assign(h->multi, fd, s);
    return s;
}

/* Without memory the socket is not watched: the try ends by its deadline. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct alert_hooks *h = arg;
    struct hook_socket *s = socket_arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            watch_set(&s->watch, false, false);
        free(s);
        return 0;
    }
    if (!s)
        s = watch_socket(h, fd);
    if (s)
        watch_set(&s->watch, what & CURL_POLL_IN, what & CURL_POLL_OUT);
    return 0;
}

/* ---- a try ---- */

static size_t drop_body(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes, (void)arg;
    return size * count;
}

static bool set_options(struct alert_hooks *h, struct post *p, struct alert_job *job)
{
    CURL *e = p->easy;
    return !curl_easy_setopt(e, CURLOPT_URL, job->outlet->config->url) &&
           !curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)job->json.len) &&
           !curl_easy_setopt(e, CURLOPT_POSTFIELDS, job->json.ptr) &&
           !curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->header) &&
           !curl_easy_setopt(e, CURLOPT_USERAGENT, "mailweir/" MAILWEIR_VERSION) &&
           !curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) && !curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) &&
           !curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) && !curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) && !curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, drop_body) &&
           !curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->error) && !curl_easy_setopt(e, CURLOPT_PRIVATE, job);
}

static enum started start_webhook(struct alert_ways *ways, struct alert_job *job, struct err *err)
{
    struct alert_hooks *h = ways->hooks;
    struct post *p = calloc(1, sizeof *p);
    if (p)
        p->easy = curl_easy_init();
    if (p && p->easy && set_options(h, p, job) && curl_multi_add_handle(h->multi, p->easy) == CURLM_OK) {
        job->work = p;
        return STARTED;
    }
    if (p)
        curl_easy_cleanup(p->easy);
    free(p);
    err_set(err, "libcurl does not take the request");
    return DONE;
}

static void cancel_webhook(struct alert_ways *ways, struct alert_job *job)
{
    post_free(ways->hooks, job->work);
}

const struct alert_way alert_way_webhook = {start_webhook, cancel_webhook};

/* ---- life ---- */

struct alert_hooks *alert_hooks_new(struct loop *loop, struct err *err)
{
    struct alert_hooks *h = calloc(1, sizeof *h);
    if (!h) {
        err_no_memory(err);
        return NULL;
    }
    h->loop = loop;
    timer_init(&h->timer, loop, on_due, h);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        h->multi = curl_multi_init();
        h->header = curl_slist_append(NULL, "Content-Type: application/json");
    }
    if (!h->multi || !h->header) {
        err_set(err, "libcurl cannot be used");
        alert_hooks_free(&h);
        return NULL;
    }
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return h;
}

void alert_hooks_free(struct alert_hooks **hooks)
{
    struct alert_hooks *h = *hooks;
    if (!h)
        return;
    curl_multi_cleanup(h->multi);
    timer_cancel(&h->timer);
    curl_slist_free_all(h->header);
    curl_global_cleanup();
    free(h);
    *hooks = NULL;
}

/* load.c - the load generator's clock and loop; load.h says what it does. */
#include "load.h"
#include "waits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"

enum {
    EVENTS = 256,
    OPENING_MAX = 100, /* idle: so many may be between connect and EHLO's reply, or a listener's backlog overflows */
    LINE_BYTES = 76,   /* of a message's body, as base64 of an attachment has them */
    LOGIN_MAX_BYTES = 1024
};

NORETURN void load_fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct str make_message(size_t size)
{
    static const char header[] = "From: <user@example.org>\r\nTo: <friend@example.net>\r\nSubject: bench\r\n"
                                 "Message-ID: <bench@example.org>\r\nDate: Mon, 05 Jan 2026 12:00:00 +0000\r\n\r\n";
    static const char end[] = "\r\n.\r\n";
    struct buf b;
    char line[LINE_BYTES + 2];

    memset(line, 'x', sizeof line);
    memcpy(line + LINE_BYTES, "\r\n", 2);
    buf_init(&b, size + sizeof header + sizeof line);
    bool fits = buf_append(&b, header, sizeof header - 1);
    while (fits && buf_len(&b) + sizeof line < size)
        fits = buf_append(&b, line, sizeof line);
    while (fits && buf_len(&b) + 2 < size)
        fits = buf_append_char(&b, 'y');
    /* Never freed: the buffer is the text for as long as the program runs. */
    if (!fits || !buf_append(&b, end, sizeof end - 1))
        load_fail("message");
    return buf_str(&b);
}

static void make_logins(struct load *load)
{
    const struct load_options *o = &load->options;

    load->texts.logins = calloc(o->users, sizeof *load->texts.logins);
    if (!load->texts.logins)
        load_fail("logins");
    for (unsigned i = 0; i < o->users; i++) {
        struct buf *line = &load->texts.logins[i], secret;
        buf_init(line, LOGIN_MAX_BYTES);
        buf_init(&secret, LOGIN_MAX_BYTES);
        bool fits = buf_append_char(&secret, '\0') && buf_printf(&secret, "user%u@example.org", i) &&
                    buf_append_char(&secret, '\0') && buf_append_str(&secret, str_of_z(o->password)) &&
                    buf_append_str(line, STR("AUTH PLAIN ")) && base64_encode(line, buf_str(&secret)) &&
                    buf_append_str(line, STR("\r\n"));
        if (!fits)
            load_fail("logins");
        buf_fini(&secret);
    }
}

/* OpenSSL hands over every ticket; the newest serves the next connections. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct load *load = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(load->session);
    load->session = session;
    return 1;
}

static SSL_CTX *make_tls(struct load *load)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        load_fail("TLS");
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_app_data(ctx, load);
    if (load->options.resumes) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    }
    return ctx;
}

static bool wants_client(const struct load *load)
{
    const struct load_options *o = &load->options;

    switch (o->mode) {
    case MODE_PERSISTENT:
        return load->begun_clients < o->connections;
    case MODE_SINGLE:
        return load->begun_clients < o->mails && load->open_clients < o->connections;
    case MODE_IDLE:
        return load->begun_clients < o->connections && load->open_clients - load->idle_clients < OPENING_MAX;
    }
    return false;
}

static bool is_done(const struct load *load)
{
    const struct load_options *o = &load->options;
    return o->mode == MODE_IDLE ? load->idle_clients == o->connections
                                : load->done_mails == o->mails && load->open_clients == 0;
}

static void on_alarm(int number)
{
    static const char text[] = "load: it took too long\n";
    (void)number;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(3);
    _exit(1);
}

/* For as long as nothing is due: epoll_wait knows milliseconds only. */
static int wait_for_events(struct load *load, struct epoll_event *events, int64_t wait_us)
{
    const struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    return epoll_pwait2(load->poller, events, EVENTS, wait_us < 0 ? NULL : &wait, NULL);
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS];

    while (!is_done(load)) {
        while (wants_client(load))
            load_client_open(load);
        int count = wait_for_events(load, events, load_clients_wake(load));
        if (count < 0 && errno != EINTR)
            load_fail("epoll_pwait2");
        for (int i = 0; i < count; i++)
            if (load_client_on_socket(events[i].data.ptr))
                load->open_clients--;
    }
}

int main(int argc, char **argv)
{
    struct load load = {0};
    struct rlimit files;
    char byte;

    load_options_read(&load.options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm(load.options.seconds);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    list_init(&load.resting);
    load.took_us = calloc(MAX_OF(load.options.mails, 1u), sizeof *load.took_us);
    if (!load.took_us)
        load_fail("memory");
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    if (load.poller < 0)
        load_fail("epoll_create1");
    load.texts.hello = STR("EHLO client.example.org\r\n");
    load.texts.envelope = STR("MAIL FROM:<user@example.org>\r\nRCPT TO:<friend@example.net>\r\nDATA\r\n");
    load.texts.message = make_message(load.options.size_bytes);
    make_logins(&load);
    if (load.options.is_tls)
        load.tls = make_tls(&load);

    int64_t began_us = clock_monotonic_us();
    run(&load);
    if (load.options.mode == MODE_IDLE) {
        alarm(0);
        printf("ready\n");
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0)
            ;
        return 0;
    }
    double seconds = (double)(clock_monotonic_us() - (load.first_due_us ? load.first_due_us : began_us)) / 1e6;
    waits_sort(load.took_us, load.done_mails);
    printf("mails=%u seconds=%.3f resumed=%u p50_us=%u p99_us=%u\n", load.done_mails, seconds, load.resumed,
           waits_at(load.took_us, load.done_mails, 50), waits_at(load.took_us, load.done_mails, 99));
    return 0;
}

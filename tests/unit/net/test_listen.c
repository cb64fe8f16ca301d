/* Listening sockets and the acceptor. */
#include "side.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "net/listen.h"

static struct endpoint endpoint_at(const char *text)
{
    struct endpoint e;
    struct err err;
    /* Port 0, which asks the kernel for a free one, is no endpoint of a configuration. */
    assert_true(endpoint_parse(str_of_z(text), &e, &err));
    e.port = 0;
    return e;
}

static int open_at(const char *text, uint16_t *port)
{
    struct endpoint at = endpoint_at(text);
    struct err err;
    int fd = listen_open(&at, 200, &err);
    if (fd < 0)
        fail_msg("%s", err.text);
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    struct ip ip;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    ip_from_sockaddr(&address, &ip, port);
    return fd;
}

static int connect_to(const char *ip, uint16_t port)
{
    struct endpoint to = {.kind = ENDPOINT_IP, .port = port};
    struct sockaddr_storage address;
    assert_true(ip_parse(str_of_z(ip), &to.ip));
    socklen_t len = endpoint_to_sockaddr(&to, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, len) == 0)
        return fd;
    close(fd);
    return -1;
}

static struct {
    int fds[200];
    unsigned count, stop_at;
    char peer[IP_TEXT_MAX];
    uint16_t port;
    struct acceptor *acceptor;
} accepted;

static void on_accept(void *arg, int fd, const struct ip *peer, uint16_t port)
{
    assert_ptr_equal(arg, &accepted);
    assert_true(accepted.count < COUNT_OF(accepted.fds));
    accepted.fds[accepted.count++] = fd;
    ip_format(peer, accepted.peer);
    accepted.port = port;
    if (accepted.count == accepted.stop_at) {
        acceptor_stop(accepted.acceptor);
        free(accepted.acceptor);
    }
}

static void close_accepted(void)
{
    for (unsigned i = 0; i < accepted.count; i++)
        close(accepted.fds[i]);
    memset(&accepted, 0, sizeof accepted);
}

static void what_is_accepted(void **state)
{
    (void)state;
    struct acceptor a;
    uint16_t port;
    int listener = open_at("127.0.0.1:1", &port);
    acceptor_init(&a, &loop, listener, on_accept, &accepted);
    int client = connect_to("127.0.0.1", port);
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    struct ip ip;
    uint16_t from;
    assert_int_equal(getsockname(client, (struct sockaddr *)&address, &len), 0);
    ip_from_sockaddr(&address, &ip, &from);
    RUN_UNTIL(accepted.count == 1);
    assert_string_equal(accepted.peer, "127.0.0.1");
    assert_int_equal(accepted.port, from);

    int fd = accepted.fds[0], on = 0;
    len = sizeof on;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    acceptor_stop(&a);
    close(client);
    close(listener);
    close_accepted();
}

static void any_ipv6_takes_ipv4(void **state)
{
    (void)state;
    struct acceptor a;
    uint16_t port;
    int listener = open_at("[::]:1", &port);
    acceptor_init(&a, &loop, listener, on_accept, &accepted);
    int v4 = connect_to("127.0.0.1", port);
    RUN_UNTIL(accepted.count == 1);
    assert_string_equal(accepted.peer, "127.0.0.1"); /* never ::ffff:127.0.0.1 */
    int v6 = connect_to("::1", port);
    RUN_UNTIL(accepted.count == 2);
    assert_string_equal(accepted.peer, "::1");
    acceptor_stop(&a);
    close(v4);
    close(v6);
    close(listener);
    close_accepted();

    listener = open_at("[::1]:1", &port);
    assert_int_equal(connect_to("127.0.0.1", port), -1);
    close(listener);
}

static void slots_share_a_port(void **state)
{
    (void)state;
    uint16_t port;
    struct err err;
    int first = open_at("127.0.0.1:1", &port);
    struct endpoint at = endpoint_at("127.0.0.1:1");
    at.port = port;
    int second = listen_open(&at, 10, &err);
    assert_true(second >= 0);
    close(first);
    close(second);
}

static void why_it_cannot_listen(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    struct endpoint path = {.kind = ENDPOINT_UNIX, .name = "/x"}, taken, foreign = endpoint_at("192.0.2.1:1");
    assert_int_equal(listen_open(&path, 10, &err), -1);
    assert_string_equal(err.text, "cannot listen at unix:/x: it is no IP address");
    int other = tcp_listen(&taken); /* without SO_REUSEPORT */
    assert_int_equal(listen_open(&taken, 10, &err), -1);
    assert_non_null(strstr(err.text, ": Address already in use"));
    assert_non_null(strstr(err.hint, "ss -ltnp"));
    close(other);
    foreign.port = 2525;
    assert_int_equal(listen_open(&foreign, 10, &err), -1);
    assert_string_equal(err.text, "cannot listen at 192.0.2.1:2525: Cannot assign requested address");
}

/* A rush is taken in bounded batches, and completely. */
static void rush(void **state)
{
    (void)state;
    struct acceptor a;
    uint16_t port;
    int listener = open_at("127.0.0.1:1", &port), clients[150];
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        clients[i] = connect_to("127.0.0.1", port);
    acceptor_init(&a, &loop, listener, on_accept, &accepted);
    unsigned most = 0;
    for (int turn = 0; turn < 50 && accepted.count < COUNT_OF(clients); turn++) {
        unsigned before = accepted.count;
        loop_run_once(&loop, 10);
        most = MAX_OF(most, accepted.count - before);
    }
    assert_int_equal(accepted.count, COUNT_OF(clients));
    assert_true(most <= 64);
    loop_run_once(&loop, 0);
    acceptor_stop(&a);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        close(clients[i]);
    close(listener);
    close_accepted();
}

static void stopped_and_freed_while_accepting(void **state)
{
    (void)state;
    uint16_t port;
    int listener = open_at("127.0.0.1:1", &port), clients[10];
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        clients[i] = connect_to("127.0.0.1", port);
    accepted.acceptor = malloc(sizeof *accepted.acceptor);
    accepted.stop_at = 3;
    assert_non_null(accepted.acceptor);
    acceptor_init(accepted.acceptor, &loop, listener, on_accept, &accepted);
    run_turns(5);
    assert_int_equal(accepted.count, 3);
    /* The backlog waits for the next one. */
    struct acceptor next;
    accepted.stop_at = 0;
    acceptor_init(&next, &loop, listener, on_accept, &accepted);
    RUN_UNTIL(accepted.count == 10);
    acceptor_stop(&next);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        close(clients[i]);
    close(listener);
    close_accepted();
}

static void out_of_descriptors_it_rests(void **state)
{
    (void)state;
    struct acceptor a;
    struct rlimit before, none;
    uint16_t port;
    int listener = open_at("127.0.0.1:1", &port);
    int client = connect_to("127.0.0.1", port);
    acceptor_init(&a, &loop, listener, on_accept, &accepted);
    loop_run_once(&loop, 0); /* libev has what descriptors it needs */
    close_accepted();
    int second = connect_to("127.0.0.1", port);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    loop_run_once(&loop, 50);
    bool rests = timer_is_running(&a.pause) && !ev_is_active(&a.watch.ev);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(rests);
    assert_int_equal(accepted.count, 0);
    int third = connect_to("127.0.0.1", port);
    RUN_UNTIL(accepted.count >= 1); /* after its rest (valgrind's accept(2) has closed the second one) */
    acceptor_stop(&a);
    close(client);
    close(second);
    close(third);
    close(listener);
    close_accepted();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(what_is_accepted),
        LOOP_TEST(any_ipv6_takes_ipv4),
        LOOP_TEST(slots_share_a_port),
        LOOP_TEST(why_it_cannot_listen),
        LOOP_TEST(rush),
        LOOP_TEST(stopped_and_freed_while_accepting),
        LOOP_TEST(out_of_descriptors_it_rests),
    };
    return cmocka_run_group_tests_name("net/listen", tests, NULL, NULL);
}

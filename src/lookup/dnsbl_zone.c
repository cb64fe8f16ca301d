/*
 * dnsbl_zone.c - the health of a zone: its tests, and what its answers to clients show. See dnsbl.h for the states.
 *
 *   test of a family    its entry listed, the counterpart not: served · neither: absent · one failed: not known
 *   test of a zone      the counterpart listed, a foreign address: off · an error code: paused · a family served: on
 *                       nothing known: as it was, tested again soon · no family served: off
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "lookup/dnsbl_inside.h"

static const char *const state_words[] = {"testing", "on", "silent", "paused", "off"};

const char *dnsbl_state_word(enum dnsbl_state state)
{
    return state_words[state];
}

static void tell(const struct dnsbl_zone *z)
{
    struct event_log *events = z->all->events;
    if (z->state == DNSBL_ON)
        log_info("dnsbl %s: %s is asked again", z->options->name, z->options->zone);
    else
        log_warning("dnsbl %s: %s is not asked: %s", z->options->name, z->options->zone, z->why);
    if (!events)
        return;
    event_begin(events, "dnsbl", loop_wall_us(z->all->loop));
    event_z(events, "dnsbl", z->options->name);
    event_z(events, "zone", z->options->zone);
    event_z(events, "state", dnsbl_state_word(z->state));
    event_z(events, "text", z->why[0] ? z->why : NULL);
    event_end(events);
}

static void stop_tests(struct dnsbl_zone *z)
{
    for (size_t i = 0; i < DNSBL_TESTS; i++) {
        dns_forget(z->tests[i].question);
        z->tests[i].question = NULL;
    }
    z->tests_left = 0;
}

/* Every way into a state. fmt: why; NULL: all is well. */
static void enter(struct dnsbl_zone *z, enum dnsbl_state state, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void enter(struct dnsbl_zone *z, enum dnsbl_state state, const char *fmt, ...)
{
    enum dnsbl_state before = z->state;
    stop_tests(z);
    timer_start(&z->next_test,
                loop_now_ms(z->all->loop) + (state == DNSBL_SILENT ? DNSBL_TEST_AGAIN_MS : DNSBL_TEST_EVERY_MS));
    z->failures = 0;
    if (state != before) {
        z->state = state;
        z->why[0] = '\0';
        if (fmt) {
            va_list args;
            va_start(args, fmt);
            vsnprintf(z->why, sizeof z->why, fmt, args);
            va_end(args);
        }
        if (before == DNSBL_ON)
            z->life++;
        if (before != DNSBL_TESTING || state != DNSBL_ON)
            tell(z);
    }
    while (!list_is_empty(&z->held)) {
        struct dnsbl_question *q = LIST_FIRST(&z->held, struct dnsbl_question, node);
        list_remove(&q->node);
        dnsbl_question_go(q);
    }
}

#define PRI_IP4     "%u.%u.%u.%u"
#define IP4_ARG(ip) (ip)[0], (ip)[1], (ip)[2], (ip)[3]

void dnsbl_zone_saw_error(struct dnsbl_zone *z, const uint8_t code[4])
{
    enter(z, DNSBL_PAUSED,
          "it answers with the error code " PRI_IP4
          ", which means that it does not serve this DNS server; it is tested "
          "again in an hour",
          IP4_ARG(code));
}

void dnsbl_zone_saw_foreign(struct dnsbl_zone *z, const uint8_t address[4])
{
    enter(z, DNSBL_OFF, "it answers with " PRI_IP4 ", which no DNS list does: it may have been given up",
          IP4_ARG(address));
}

void dnsbl_zone_saw_failure(struct dnsbl_zone *z, const char *error)
{
    if (++z->failures >= DNSBL_SILENT_AFTER && z->state == DNSBL_ON)
        enter(z, DNSBL_SILENT, "%s, %u times in a row; it is tested every %d seconds", error, z->failures,
              DNSBL_TEST_AGAIN_MS / 1000);
}

void dnsbl_zone_saw_answer(struct dnsbl_zone *z)
{
    z->failures = 0;
}

/* ---- the self-test ---- */

/* In the order of tests[]: of each family the entry that must be listed, and the one that must not. */
static const struct ip test_addresses[DNSBL_TESTS] = {
    {ADDR_IPV4, {127, 0, 0, 2}},
    {ADDR_IPV4, {127, 0, 0, 1}},
    {ADDR_IPV6, {[10] = 0xff, 0xff, 0x7f, 0, 0, 2}}, /* ::ffff:7f00:2 as IPv6, for once */
    {ADDR_IPV6, {[10] = 0xff, 0xff, 0x7f, 0, 0, 1}},
};
static const char *const test_names[DNSBL_TESTS] = {"127.0.0.2", "127.0.0.1", "::ffff:7f00:2", "::ffff:7f00:1"};

static enum dnsbl_family_state judge_family(const struct dnsbl_test *listed, const struct dnsbl_test *unlisted)
{
    if (listed->error || unlisted->error)
        return FAMILY_UNTESTED;
    return listed->meaning == DNSBL_MEANS_LISTED ? FAMILY_SERVED : FAMILY_ABSENT;
}

/* Does one of the answers alone condemn the zone? */
static bool has_condemned(struct dnsbl_zone *z)
{
    for (size_t i = 0; i < DNSBL_TESTS; i++) {
        const struct dnsbl_test *t = &z->tests[i];
        if (t->error)
            continue;
        if (t->meaning == DNSBL_MEANS_FOREIGN)
            dnsbl_zone_saw_foreign(z, t->answer.codes[0]);
        else if (t->meaning == DNSBL_MEANS_ERROR)
            dnsbl_zone_saw_error(z, t->answer.codes[0]);
        else if (t->meaning == DNSBL_MEANS_LISTED && i % 2 == 1)
            enter(z, DNSBL_OFF, "it lists %s, so it may list everything", test_names[i]);
        else
            continue;
        return true;
    }
    return false;
}

static const char *first_error(const struct dnsbl_zone *z)
{
    size_t i = 0;
    while (i < DNSBL_TESTS - 1 && !z->tests[i].error)
        i++;
    return z->tests[i].error;
}

static void judge(struct dnsbl_zone *z)
{
    unsigned served = 0, untested = 0;
    if (has_condemned(z))
        return;
    for (size_t i = 0; i < COUNT_OF(z->families); i++) {
        enum dnsbl_family_state found = judge_family(&z->tests[2 * i], &z->tests[2 * i + 1]);
        served += found == FAMILY_SERVED;
        untested += found == FAMILY_UNTESTED;
        if (found != FAMILY_UNTESTED)
            z->families[i] = found;
    }
    if (served)
        enter(z, DNSBL_ON, NULL);
    else if (!untested)
        enter(z, DNSBL_OFF, "it lists neither %s nor %s, as every DNS list must", test_names[0], test_names[2]);
    else if (z->state == DNSBL_TESTING)
        enter(z, DNSBL_SILENT, "of its test entries: %s; it is tested every %d seconds", first_error(z),
              DNSBL_TEST_AGAIN_MS / 1000);
    if (untested) /* the hour is too long for what is not known */
        timer_start(&z->next_test, loop_now_ms(z->all->loop) + DNSBL_TEST_AGAIN_MS);
}

static void on_test_reply(void *arg, const struct dns_reply *reply)
{
    static const struct ip_span ANY[] = {{{ADDR_IPV4, {127}}, {ADDR_IPV4, {127, 255, 255, 255}}}};
    struct dnsbl_test *t = arg;
    struct dnsbl_zone *z = t->zone;
    struct ip found[DNS_MAX_ADDRESSES];
    size_t count = 0;
    t->question = NULL;
    t->error = reply->error;
    if (reply->status == DNS_FOUND && !dns_message_addresses(reply->message, DNS_A, found, COUNT_OF(found), &count))
        t->error = DNSBL_MALFORMED;
    t->meaning = dnsbl_meaning_of(found, count, ANY, COUNT_OF(ANY), &t->answer); /* whatever the filter takes */
    if (--z->tests_left == 0)
        judge(z);
}

void dnsbl_zone_test(struct dnsbl_zone *z)
{
    int64_t deadline_ms = loop_now_ms(z->all->loop) + MAX_OF((int64_t)z->options->timeout_ms, DNSBL_TEST_MIN_MS);
    stop_tests(z);
    for (size_t i = 0; i < DNSBL_TESTS; i++) {
        struct dnsbl_test *t = &z->tests[i];
        char name[DNS_NAME_MAX];
        *t = (struct dnsbl_test){.zone = z, .error = "there are too many questions to DNS under way"};
        if (dns_name_of_ip(&test_addresses[i], str_of_z(z->options->zone), name))
            t->question = dns_ask(z->all->dns, name, DNS_A, deadline_ms, on_test_reply, t);
        z->tests_left += t->question != NULL;
    }
    if (z->tests_left == 0)
        judge(z); /* no memory, or DNS is flooded */
}

static void on_hour(void *arg)
{
    dnsbl_zone_test(arg);
}

void dnsbl_zone_init(struct dnsbl_zone *z, struct dnsbl *all, const struct dnsbl_zone_options *options)
{
    z->all = all;
    z->options = options;
    timer_init(&z->next_test, all->loop, on_hour, z);
    list_init(&z->held);
}

void dnsbl_zone_fini(struct dnsbl_zone *z)
{
    stop_tests(z);
    timer_cancel(&z->next_test);
}

enum dnsbl_state dnsbl_zone_state(const struct dnsbl *d, unsigned zone, const char **why)
{
    const struct dnsbl_zone *z = &d->zones[zone];
    if (why)
        *why = z->why[0] ? z->why : NULL;
    return z->state;
}

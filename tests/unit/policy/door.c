/* door.c - see door.h. */
#include "door.h"

#include "../limits/late_store.h"
#include "policy_of_text.h"

enum { ENTRIES = 1024, BANS = BAN_TABLE_MIN };

struct door T;

/* ---- facts ---- */

static size_t recipient_count(void)
{
    size_t n = 0;
    while (n < COUNT_OF(T.facts.recipients) && T.facts.recipients[n])
        n++;
    return n;
}

static struct fact text_fact(const char *z)
{
    return z ? (struct fact){.kind = FACT_TEXT, .text = str_of_z(z)} : (struct fact){.kind = FACT_NONE};
}

static const char *domain_of(const char *address)
{
    return address && strchr(address, '@') ? strchr(address, '@') + 1 : NULL;
}

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    const char *rcpt = facts->rcpt < recipient_count() ? T.facts.recipients[facts->rcpt] : NULL;
    struct ip ip;
    (void)name;
    assert_true(ip_parse(str_of_z(T.facts.client ? T.facts.client : "192.0.2.7"), &ip));
    *out = (struct fact){.kind = FACT_NONE};
    switch (attribute) {
    case ATTRIBUTE_CLIENT:
        *out = (struct fact){.kind = FACT_IP, .ip = ip};
        break;
    case ATTRIBUTE_CLIENT_NETWORK:
        *out = (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&ip, ip.family == ADDR_IPV4 ? 24 : 56)};
        break;
    case ATTRIBUTE_USER:
        *out = text_fact(T.facts.user);
        break;
    case ATTRIBUTE_AUTH_USER:
        *out = text_fact(T.facts.login);
        break;
    case ATTRIBUTE_USER_DOMAIN:
        *out = text_fact(domain_of(T.facts.user));
        break;
    case ATTRIBUTE_AUTHENTICATED:
        *out = (struct fact){.kind = FACT_TRUTH, .truth = T.facts.user != NULL};
        break;
    case ATTRIBUTE_SENDER:
        *out = text_fact(T.facts.sender);
        break;
    case ATTRIBUTE_SENDER_DOMAIN:
        *out = text_fact(domain_of(T.facts.sender));
        break;
    case ATTRIBUTE_RCPT:
        *out = text_fact(rcpt);
        break;
    case ATTRIBUTE_RCPT_DOMAIN:
        *out = text_fact(domain_of(rcpt));
        break;
    case ATTRIBUTE_MAIL_RECIPIENTS:
        *out = (struct fact){.kind = FACT_NUMBER, .number = (int64_t)recipient_count()};
        break;
    default:
        break;
    }
}

/* ---- the stage ---- */

static int open_with(const struct store_ops *ops)
{
    struct err err;
    memset(&T, 0, sizeof T);
    T.now_us = NOW;
    T.memory = aligned_alloc(64, (store_memory_size(ENTRIES) + 63) / 64 * 64);
    assert_non_null(T.memory);
    memset(T.memory, 0, store_memory_size(ENTRIES));
    assert_true(store_memory_init(T.memory, ENTRIES, &err));
    const struct store_options options = {.memory = T.memory, .owner = 1};
    assert_true(store_open(&T.store, ops, &options, &err));
    assert_true(limiter_init(&T.limiter, &T.store));
    T.ban_memory = aligned_alloc(64, (ban_table_size(BANS) + 63) / 64 * 64);
    assert_non_null(T.ban_memory);
    memset(T.ban_memory, 0, ban_table_size(BANS));
    assert_ptr_equal(ban_table_init(T.ban_memory, BANS, &err), T.ban_memory);
    arena_init(&T.arena, 1 << 22);
    arena_init(&T.connection_arena, 1 << 16);
    return 0;
}

int door_open(void **state)
{
    (void)state;
    return open_with(&store_memory_ops);
}

int door_open_late(void **state)
{
    (void)state;
    int failed = open_with(&late_store_ops);
    late_of(&T.store)->remembers = true;
    return failed;
}

void door_again(void **state)
{
    bool is_late = T.store.ops == &late_store_ops;
    door_close(state);
    if (is_late)
        door_open_late(state);
    else
        door_open(state);
}

int door_close(void **state)
{
    (void)state;
    policy_give_back(&T.engine, &T.mail);
    policy_connection_end(&T.engine, &T.connection);
    policy_login_give_back(&T.engine, &T.login);
    policy_free(&T.policy);
    ban_table_fini(T.ban_memory);
    free(T.ban_memory);
    arena_fini(&T.arena);
    arena_fini(&T.connection_arena);
    limiter_fini(&T.limiter);
    store_close(&T.store);
    store_memory_fini(T.memory);
    free(T.memory);
    return 0;
}

void door_load(const char *rules)
{
    char why[1024];
    policy_free(&T.policy);
    T.policy = policy_of_text(rules, why, sizeof why);
    if (!T.policy)
        fail_msg("%s: %s", rules, why);
    T.engine = (struct policy_engine){.policy = T.policy, .limiter = &T.limiter, .bans = T.ban_memory};
}

struct policy_case door_question(enum phase phase, const struct mail *mail)
{
    T.facts = *mail;
    return (struct policy_case){
        .facts = {.get = get},
        .arena = &T.arena,
        .connection_arena = &T.connection_arena,
        .connection = &T.connection,
        .mail = phase >= PHASE_MAIL ? &T.mail : NULL,
        .login = phase == PHASE_AUTH ? &T.login : NULL,
        .password = STR("secret"),
        .recipient_count = MAX_OF(recipient_count(), 1), /* a mail has one */
        .size_bytes = mail->size,
        .now_us = T.now_us,
    };
}

void door_on_answer(void *arg)
{
    assert_ptr_equal(arg, &T);
    T.answered++;
}

void door_wait(enum started started)
{
    T.answered = 0;
    if (T.store.ops == &store_memory_ops)
        assert_int_equal(started, DONE);
    while (started == STARTED && T.answered == 0)
        late_answer_all(&T.store);
    assert_int_equal(T.answered, started == STARTED);
}

enum policy_verdict door_ask(enum phase phase, const struct mail *mail)
{
    struct policy_case question = door_question(phase, mail);
    door_wait(policy_ask_start(&T.engine, phase, &question, &T.answer, 0, door_on_answer, &T));
    return T.answer.verdict;
}

bool door_settle(uint64_t bytes)
{
    struct policy_case question = {.facts = {.get = get},
                                   .arena = &T.arena,
                                   .connection = &T.connection,
                                   .mail = &T.mail,
                                   .size_bytes = bytes,
                                   .now_us = T.now_us};
    door_wait(policy_settle_start(&T.engine, &question, &T.answer, 0, door_on_answer, &T));
    return T.answer.verdict == POLICY_GO_ON;
}

enum policy_verdict door_send(const struct mail *mail)
{
    enum policy_verdict verdict = door_ask(PHASE_DATA, mail);
    policy_keep(&T.engine, &T.mail, T.now_us);
    return verdict;
}

void door_expect(int code, const char *enhanced, const char *text)
{
    assert_int_equal(T.answer.code, code);
    assert_string_equal(T.answer.enhanced, enhanced);
    if (!str_starts(T.answer.text, str_of_z(text)))
        fail_msg("\"" PRI_STR "\", not \"%s\"", STR_ARG(T.answer.text), text);
}

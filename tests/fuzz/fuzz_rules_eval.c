// uses: policy
/*
 * fuzz_rules_eval.c - rules that nothing is wrong with, asked: conditions, texts, lists, limits, thresholds. Promises
 * held: what check found right compiles; its tests end, and what they say is told with places that lie in the text;
 * explain's answer is that of the same mail when nobody watches, each time; a reply is one line with a code that
 * refuses; what goes into a mail's header keeps to its line.
 *
 * The input: a rules file; behind a NUL, a line each, the client's address, helo, user, sender, recipients, name and
 * country; then the header block. What is missing is as in a `test` block.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "policy/explain.h"
#include "policy/test_block.h"
#include "rules/check.h"
#include "smtp/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS_MAX = 8, TESTS_MAX_MS = 50 };

static const struct trial_listener LISTENERS[] = {
    {{"submission", 10}, false},
    {{"submissions", 11}, true},
    {{"smtp", 4}, false},
};

/* ---- who sends what ---- */

struct mail {
    struct str client, helo, user, sender, name, country, block;
    struct str rcpts[RECIPIENTS_MAX];
    size_t rcpt_count;
};

static bool is_address(struct str text)
{
    struct smtp_path path;
    return smtp_address_parse(text, &path);
}

static bool is_word(struct str text)
{
    return text.len && text.len < 256 && str_is_utf8(text) && !str_has_control(text);
}

static struct mail read_mail(struct str text)
{
    struct mail m = {0};
    m.client = str_split(text, '\n', &text);
    m.helo = str_split(text, '\n', &text);
    m.user = str_split(text, '\n', &text);
    m.sender = str_split(text, '\n', &text);
    struct str rcpts = str_split(text, '\n', &text);
    m.name = str_split(text, '\n', &text);
    m.country = str_split(text, '\n', &text);
    m.block = text;
    while (rcpts.len && m.rcpt_count < RECIPIENTS_MAX) {
        struct str rcpt = str_split(rcpts, ' ', &rcpts);
        if (is_address(rcpt))
            m.rcpts[m.rcpt_count++] = rcpt;
    }
    return m;
}

/* What a session would not get as far as rules with is left as it was. */
static void set(struct trial *t, const struct mail *m)
{
    struct trial_settings *set = &t->settings;
    struct ip client;
    if (ip_parse(m->client, &client))
        set->client = client;
    if (is_word(m->helo))
        set->helo = m->helo;
    if (is_word(m->user))
        set->user = m->user;
    set->has_sender = str_equal(m->sender, STR("<>")) || is_address(m->sender);
    if (set->has_sender && m->sender.ptr[0] != '<')
        set->sender = m->sender;
    if (m->rcpt_count) {
        set->rcpts = m->rcpts;
        set->rcpt_count = m->rcpt_count;
    }
    if (is_word(m->name))
        t->given.name = m->name;
    if (is_word(m->country))
        t->given.country = m->country;
    set->block = m->block;
}

/* ---- what must hold ---- */

static void check_result(const struct trial_result *r)
{
    struct str text = str_of(r->text, r->text_len);
    PANIC_IF(r->code && (r->code < 400 || r->code > 599), "it refuses with %d", r->code);
    PANIC_IF(r->verdict == POLICY_GO_ON && r->code, "accepted, with %d", r->code);
    PANIC_IF(r->text_len > TRIAL_TEXT_MAX_BYTES || str_has_control(text), "a reply of several lines");
}

static void check_edits(const struct trial *t)
{
    for (const struct policy_edit *e = t->mail ? t->mail->edits : NULL; e; e = e->next)
        PANIC_IF(str_has_control(e->name) || str_has_control(e->text), "a field of several lines");
}

static bool is_same(const struct trial_result *a, const struct trial_result *b)
{
    return a->verdict == b->verdict && a->at == b->at && a->code == b->code && a->by_what == b->by_what &&
           str_equal(a->by, b->by) && str_equal(str_of(a->text, a->text_len), str_of(b->text, b->text_len));
}

static struct trial *begin(const struct trial_world *world, const struct mail *m)
{
    struct trial *t = trial_new(world);
    PANIC_IF(!t, "no memory");
    set(t, m);
    return t;
}

/* Explained, explained again, and merely sent. */
static void explain_mail(const struct trial_world *world, const struct mail *m)
{
    struct trial *first = begin(world, m), *again = begin(world, m), *silent = begin(world, m);
    struct buf told, retold;
    buf_init(&told, EXPLAIN_MAX_BYTES);
    buf_init(&retold, EXPLAIN_MAX_BYTES);
    PANIC_IF(!explain(first, EXPLAIN_MAIL, &told) || !explain(again, EXPLAIN_MAIL, &retold), "no memory");
    PANIC_IF(!trial_send(silent, 1, 0, NULL), "no memory");
    PANIC_IF(!str_equal(buf_str(&told), buf_str(&retold)), "told in two ways");
    PANIC_IF(!is_same(&first->outcome.last, &silent->outcome.last), "explain says one thing and does another");
    PANIC_IF(trial_tarpit_ms(first) != trial_tarpit_ms(silent), "explain waits for another while");
    check_result(&first->outcome.last);
    check_edits(first);
    buf_fini(&told);
    buf_fini(&retold);
    trial_free(&first);
    trial_free(&again);
    trial_free(&silent);
}

static bool is_late(void *deadline_ms)
{
    return clock_monotonic_ms() >= *(const int64_t *)deadline_ms;
}

static void run_tests(const struct trial_world *world, const struct tree *tree, struct diagnostics *d)
{
    int64_t deadline_ms = clock_monotonic_ms() + TESTS_MAX_MS;
    struct test_blocks tests = {.world = world, .is_over = is_late, .arg = &deadline_ms};
    struct buf said;
    (void)!test_blocks_run(&tests, tree, d); /* stopped, or all done */
    for (size_t i = 0; i < d->count; i++) {
        struct place at = d->items[i].at;
        PANIC_IF(place_is_known(at) && at.offset > source_file_get(tree->sources, at.file)->text.len,
                 "beyond the text");
    }
    buf_init(&said, 64u << 20);
    PANIC_IF(!diag_print(d, &said), "more than 64M to say");
    PANIC_IF(!str_is_utf8(buf_str(&said)), "not UTF-8");
    buf_fini(&said);
}

/* Files are whatever this machine has, and sockets are not for here: of /dev/null everybody knows that it is empty. */
static bool is_of_this_machine(const struct table *table)
{
    return table->source != TABLE_INLINE &&
           !(table->source == TABLE_FILE && str_equal(table->file.text, STR("/dev/null")));
}

static bool has_files(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->statements[i]->kind == STATEMENT_TABLE && is_of_this_machine(&tree->statements[i]->table))
            return true;
    return false;
}

static void ask(const struct tree *tree, const struct mail *m, struct diagnostics *d)
{
    struct policy *policy = policy_compile(tree, d);
    PANIC_IF(!policy != diag_has_errors(d), "what is right and what can be asked are two things");
    if (!policy) /* too much of something: said */
        return;
    struct trial_world world = {.policy = policy,
                                .node = STR("mx.example.org"),
                                .listeners = LISTENERS,
                                .listener_count = COUNT_OF(LISTENERS),
                                .ipv4_prefix = 24,
                                .ipv6_prefix = 56};
    explain_mail(&world, m);
    run_tests(&world, tree, d);
    policy_free(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str sent, rules = str_split(str_of((const char *)data, size), '\0', &sent);
    struct mail mail = read_mail(sent);
    struct source_set sources;
    struct diagnostics d;
    struct tree tree;
    log_set_level(LOG_LEVEL_ERROR); /* patterns that meet their limit would be told of, each */
    source_set_init(&sources, NULL, 0);
    diag_init(&d, &sources);
    tree_init(&tree, &sources);
    if (rules_parse_text(&sources, "fuzz.rules", rules, &d, &tree) && rules_check(&tree, &d) && !has_files(&tree))
        ask(&tree, &mail, &d);
    tree_fini(&tree);
    diag_fini(&d);
    source_set_fini(&sources);
    return 0;
}

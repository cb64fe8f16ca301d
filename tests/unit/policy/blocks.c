/* blocks.c - see blocks.h. */
#include "blocks.h"

static const struct trial_listener LISTENERS[] = {
    {{"submission", 10}, false},
    {{"submissions", 11}, true},
    {{"smtp", 4}, false},
};

void compiled_open(struct compiled *k, const char *text)
{
    source_set_init(&k->sources, NULL, 0);
    diag_init(&k->d, &k->sources);
    tree_init(&k->tree, &k->sources);
    bool is_fine = rules_parse_text(&k->sources, "t", str_of_z(text), &k->d, &k->tree) && rules_check_all(&k->tree, &k->d, true);
    k->policy = is_fine ? policy_compile(&k->tree, &k->d) : NULL;
    if (!k->policy || k->d.count) {
        char said[4096];
        compiled_said(k, said, sizeof said);
        fail_msg("%s\nis wrong:\n%s", text, said);
    }
    k->world = (struct trial_world){.policy = k->policy,
                                    .node = STR("mx.example.org"),
                                    .listeners = LISTENERS,
                                    .listener_count = COUNT_OF(LISTENERS),
                                    .ipv4_prefix = 24,
                                    .ipv6_prefix = 56};
}

void compiled_close(struct compiled *k)
{
    policy_free(&k->policy);
    tree_fini(&k->tree);
    diag_fini(&k->d);
    source_set_fini(&k->sources);
}

void compiled_said(struct compiled *k, char *to, size_t size)
{
    size_t len = 0;
    to[0] = '\0';
    diag_sort(&k->d);
    for (size_t i = 0; i < k->d.count && len < size; i++) {
        const struct diagnostic *e = &k->d.items[i];
        len += (size_t)snprintf(to + len, size - len, "%s%u:%u+%u " PRI_STR, i ? "\n" : "", e->at.line, e->at.col,
                                e->at.len, STR_ARG(e->text));
        if (e->hint.len && len < size)
            len += (size_t)snprintf(to + len, size - len, " | " PRI_STR, STR_ARG(e->hint));
    }
}

void check_blocks(const struct block_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct compiled k;
        char text[4096], said[4096];
        snprintf(text, sizeof text, "%s%s\n", cases[i].rules, cases[i].tests);
        compiled_open(&k, text);
        struct test_blocks tests = {.world = &k.world};
        assert_true(test_blocks_run(&tests, &k.tree, &k.d));
        compiled_said(&k, said, sizeof said);
        if (strcmp(said, cases[i].said) != 0)
            fail_msg("%s\n%s\nexpected:\n%s\nsaid:\n%s", cases[i].name, text, cases[i].said, said);
        compiled_close(&k);
    }
}

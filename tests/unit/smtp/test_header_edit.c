/* test_header_edit.c - a header block before and after its edits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header_edit.h"

/* A case fails by name: cmocka only knows lines. */
#define CHECK(name, cond)                                                                                              \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("%s: %s", name, #cond);                                                                           \
    } while (0)

#define DATE "Date: Mon, 5 Jan 2026 12:00:00 +0000\r\n"
#define ID   "Message-ID: <1@mx.example>\r\n"

enum { EDITS_MAX = 6 };

/* edits: "+Name:text", "-Name", "?": add-missing; "" ends them. sender: of add-missing. */
static const struct {
    const char *name, *fields, *edits[EDITS_MAX], *sender, *result;
} CASES[] = {
    {"nothing to do", "A: 1\r\nB: 2\r\n", {""}, "", "A: 1\r\nB: 2\r\n"},
    {"added on top, in order", "A: 1\r\n", {"+X:1", "+Y:2", ""}, "", "X: 1\r\nY: 2\r\nA: 1\r\n"},
    {"added to nothing", "", {"+X:1", ""}, "", "X: 1\r\n"},
    {"a second of that name", "X: old\r\n", {"+X:new", ""}, "", "X: new\r\nX: old\r\n"},
    {"removed, all and folded", "A: 1\r\na: 2\r\n 3\r\n\t4\r\nB: 5\r\nA : 6\r\n", {"-A", ""}, "", "B: 5\r\n"},
    {"not there", "A: 1\r\n", {"-B", ""}, "", "A: 1\r\n"},
    {"part of a name is no name", "Subject: x\r\n", {"-Sub", ""}, "", "Subject: x\r\n"},
    {"replaced", "X: old\r\nA: 1\r\n", {"-X", "+X:new", ""}, "", "X: new\r\nA: 1\r\n"},
    {"added, then removed", "A: 1\r\n", {"+X:1", "-x", ""}, "", "A: 1\r\n"},
    {"added, removed, added", "X: 0\r\n", {"+X:1", "-X", "+X:2", ""}, "", "X: 2\r\n"},
    {"folds stay as they are",
     "A: 1\r\n\t 2  \r\nB:3\r\n",
     {"-C", "+C:4", ""},
     "",
     "C: 4\r\nA: 1\r\n\t 2  \r\nB:3\r\n"},
    {"no last CRLF", "A: 1\r\nB: 2", {"+X:1", ""}, "", "X: 1\r\nA: 1\r\nB: 2"},
    {"an mbox line stays on top", "From a@b Mon\r\nA: 1\r\n", {"+X:1", "-A", ""}, "", "From a@b Mon\r\nX: 1\r\n"},
    {"an mbox line alone", "From a@b Mon", {"+X:1", ""}, "", "From a@b Mon\r\nX: 1\r\n"},
    {"a stuffed field", "..A: 1\r\nB: 2\r\n", {"-.A", ""}, "", "B: 2\r\n"},
    {"a stuffed field by its name", "..A: 1\r\nB: 2\r\n", {"-B", ""}, "", "..A: 1\r\n"},
    {"a name with a dot is stuffed", "A: 1\r\n", {"+.X:1", ""}, "", "..X: 1\r\nA: 1\r\n"},
    {"everything is missing", "A: 1\r\n", {"?", ""}, "", DATE ID "A: 1\r\n"},
    {"nothing is missing", "date: x\r\nMESSAGE-ID: y\r\n", {"?", ""}, "", "date: x\r\nMESSAGE-ID: y\r\n"},
    {"the sender is who From says",
     DATE ID "From: Al <al@a.example>\r\n",
     {"?", ""},
     "Al@A.example",
     DATE ID "From: Al <al@a.example>\r\n"},
    {"the sender is somebody else",
     DATE ID "From: bob@a.example\r\n",
     {"?", ""},
     "al@a.example",
     "Sender: al@a.example\r\n" DATE ID "From: bob@a.example\r\n"},
    {"two authors need a sender",
     DATE ID "From: al@a.example, b@a.example\r\n",
     {"?", ""},
     "al@a.example",
     "Sender: al@a.example\r\n" DATE ID "From: al@a.example, b@a.example\r\n"},
    {"there is a sender",
     DATE ID "From: b@a.example\r\nSender: c@a.example\r\n",
     {"?", ""},
     "al@a.example",
     DATE ID "From: b@a.example\r\nSender: c@a.example\r\n"},
    {"no From at all", DATE ID, {"?", ""}, "al@a.example", "Sender: al@a.example\r\n" DATE ID},
    {"missing because it was removed", "Date: old\r\n" ID, {"-Date", "?", ""}, "", DATE ID},
    {"missing, then removed", ID, {"?", "-Date", ""}, "", ID},
    {"added before", "A: 1\r\n", {"+Date:x", "+Message-ID:y", "?", ""}, "", "Date: x\r\nMessage-ID: y\r\nA: 1\r\n"},
    {"twice is once", "A: 1\r\n", {"?", "?", ""}, "", DATE ID "A: 1\r\n"},
    {"removed in between", "A: 1\r\n", {"?", "-Date", "?", ""}, "", ID DATE "A: 1\r\n"},
    {"From was rewritten",
     DATE ID "From: x@a.example\r\n",
     {"-From", "+From:al@a.example", "?", ""},
     "al@a.example",
     "From: al@a.example\r\n" DATE ID},
};

static size_t read_edits(const char *const *from, struct smtp_header_edit *to)
{
    size_t n = 0;
    for (; n < EDITS_MAX && from[n] && from[n][0]; n++) {
        struct str text, name = str_split(str_of_z(from[n] + 1), ':', &text);
        enum smtp_header_edit_kind kind = from[n][0] == '+'   ? SMTP_HEADER_ADD
                                          : from[n][0] == '-' ? SMTP_HEADER_REMOVE
                                                              : SMTP_HEADER_ADD_MISSING;
        to[n] = (struct smtp_header_edit){kind, name, text};
    }
    return n;
}

static bool edit(size_t i, struct buf *to)
{
    struct smtp_header_edit edits[EDITS_MAX];
    size_t count = read_edits(CASES[i].edits, edits);
    const struct smtp_header_missing missing = {
        .time_s = 1767614400, .message_id = STR("<1@mx.example>"), .sender = str_of_z(CASES[i].sender)};
    return smtp_header_edit(to, str_of_z(CASES[i].fields), edits, count, &missing);
}

static void cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct buf out;
        buf_init(&out, 4096);
        CHECK(CASES[i].name, edit(i, &out));
        if (!str_equal(buf_str(&out), str_of_z(CASES[i].result)))
            fail_msg("%s: got\n%.*s", CASES[i].name, (int)buf_len(&out), buf_str(&out).ptr);
        buf_fini(&out);
    }
}

/* Whatever its size, it is whole or it is said. */
static void full_buffers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        size_t need = strlen(CASES[i].result);
        for (size_t max = 1; max <= need; max++) {
            struct buf out;
            buf_init(&out, max);
            CHECK(CASES[i].name, edit(i, &out) == (max >= need));
            buf_fini(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases), cmocka_unit_test(full_buffers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

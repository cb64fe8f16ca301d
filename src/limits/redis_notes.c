/* redis_notes.c - telling Redis what was seen for good. See redis_notes.h. */
#include "limits/redis_notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "limits/redis_commands.h"
#include "limits/redis_many.h"
#include "limits/redis_values.h"
#include "limits/window.h"

struct redis_notes {
    struct store_redis *store;
    struct list waiting; /* for Redis to be back */
    size_t waiting_count;
    struct list told; /* an errand is under way with it */
    struct timer look;
    unsigned said; /* how often something was told */
};

struct kept_note {
    struct list node;
    struct redis_notes *notes;
    struct note note;
    unsigned tries;
    char key[REDIS_STEM_MAX_BYTES];
    struct take_member values[];
};

/* ---- what is said ---- */

/* What finds no room in an errand breaks it: it is not sent, and the note waits. */

/* "PFADD KEY VALUE…" */
static bool add_many(struct redis_call *call, struct str key, const struct note *n)
{
    struct member_command m;
    char text[VALUE_TEXT_BYTES];
    member_command_begin(&m, call, STR("PFADD"), key);
    for (size_t i = 0; i < n->count; i++)
        member_command_add(&m, value_text(&n->values[i], text));
    return member_command_end(&m);
}

/* What counts no longer goes, now and then: kept ones below its time, and holds that nobody let go. */
static void purge(struct errand *e, struct str key, int64_t from_us)
{
    char texts[2][1 + SCORE_TEXT_BYTES] = {"(-", "("};
    size_t len = score_text(from_us, texts[1] + 1).len;
    memcpy(texts[0] + 2, texts[1] + 1, len);
    const struct str words[] = {STR("ZREMRANGEBYSCORE"), key, str_of(texts[0], 2 + len), str_of(texts[1], 1 + len)};
    errand_add(e, words, COUNT_OF(words));
}

static bool is_time_to_purge(struct store_redis *s)
{
    return s->values->notes->said++ % 8 == 0;
}

static void say_kept(struct errand *e, const struct note *n, int64_t now_us)
{
    struct redis_call *call = &e->call;
    /* First: at no moment is the value neither kept nor held. */
    (void)redis_values_add_seen(call, n->key, n->values, n->count, n->at_us);
    if (n->token)
        (void)redis_values_set_holds(call, n->key, n->values, n->count, n->token, 0);
    (void)redis_values_add_expiry(e->store, call, n->key, redis_values_end_us(n->period_s, now_us), now_us);
    if (is_time_to_purge(e->store))
        purge(e, n->key, seen_kept_from_us(n->period_s, now_us));
}

static void say_known(struct errand *e, const struct note *n, int64_t now_us)
{
    int64_t period_us = n->period_s * INT64_C(1000000);
    (void)redis_values_add_seen(&e->call, n->key, n->values, n->count, n->at_us);
    (void)redis_values_add_expiry(e->store, &e->call, n->key, now_us + period_us, now_us);
    if (is_time_to_purge(e->store))
        purge(e, n->key, now_us - period_us);
}

static void say_many(struct errand *e, const struct note *n, int64_t now_us)
{
    char key_text[REDIS_KEY_MAX_BYTES], holds_text[REDIS_KEY_MAX_BYTES], hold[MAIL_HOLD_TEXT_BYTES];
    uint64_t quarter = redis_quarter(n->period_s, n->at_us);
    struct str key = redis_key_of_window(n->key, quarter, key_text, sizeof key_text);
    int64_t end_us = redis_quarter_start_us(n->period_s, quarter + QUARTERS);
    (void)add_many(&e->call, key, n);
    (void)redis_values_add_expiry(e->store, &e->call, key, end_us, now_us);
    if (n->token == 0)
        return;
    struct str holds = redis_many_holds_key(n->key, e->store->options.prefix.len, holds_text, sizeof holds_text);
    const struct str words[] = {STR("ZREM"), holds, mail_hold_text(n->token, n->held_count, hold)};
    errand_add(e, words, COUNT_OF(words));
}

static bool is_over(const struct note *n, int64_t now_us)
{
    return now_us - n->at_us > n->period_s * INT64_C(1000000) * (WINDOW_CELLS + 1) / WINDOW_SLOTS;
}

/* ---- telling, and telling again ---- */

static void forget(struct kept_note *k)
{
    list_remove(&k->node);
    free(k);
}

static void wait_for_redis(struct kept_note *k)
{
    struct redis_notes *notes = k->notes;
    list_remove(&k->node);
    if (notes->waiting_count == NOTES_MAX) {
        struct kept_note *oldest = LIST_FIRST(&notes->waiting, struct kept_note, node);
        notes->waiting_count--;
        forget(oldest);
    }
    list_add_last(&notes->waiting, &k->node);
    notes->waiting_count++;
    struct loop *l = notes->store->options.loop;
    if (!timer_is_running(&notes->look))
        timer_start(&notes->look, loop_now_ms(l) + NOTES_LOOK_MS);
}

static void on_told(struct errand *e, enum redis_result result, bool has_errors)
{
    struct kept_note *k;
    memcpy(&k, e->room, sizeof k);
    if (result == REDIS_DONE && has_errors && ++k->tries >= NOTE_TRIES_MAX)
        has_errors = false; /* it never will be */
    if (result == REDIS_DONE && !has_errors)
        forget(k);
    else
        wait_for_redis(k);
}

static void tell(struct kept_note *k)
{
    struct redis_notes *notes = k->notes;
    const struct note *n = &k->note;
    list_remove(&k->node);
    list_add_last(&notes->told, &k->node);
    struct errand *e = errand_new(notes->store, n->key);
    if (!e) {
        wait_for_redis(k);
        return;
    }
    int64_t now_us = MAX_OF(n->at_us, store_redis_now_us(notes->store, n->key, n->at_us));
    memcpy(e->room, &k, sizeof(struct kept_note *));
    e->on_end = on_told;
    if (n->kind == NOTE_KEPT)
        say_kept(e, n, now_us);
    else if (n->kind == NOTE_MANY)
        say_many(e, n, now_us);
    else
        say_known(e, n, now_us);
    errand_send(e);
}

static void on_look(void *arg)
{
    struct redis_notes *notes = arg;
    struct store_redis *s = notes->store;
    size_t told = 0;
    for (size_t left = MIN_OF(notes->waiting_count, (size_t)NOTES_A_TURN); left > 0; left--) {
        struct kept_note *k = LIST_FIRST(&notes->waiting, struct kept_note, node);
        notes->waiting_count--;
        if (is_over(&k->note, store_redis_now_us(s, k->note.key, k->note.at_us))) {
            forget(k);
        } else if (redis_is_up(s->options.redis, k->note.key)) {
            tell(k);
            told++;
        } else { /* those of other shards have their turn */
            list_remove(&k->node);
            list_add_last(&notes->waiting, &k->node);
            notes->waiting_count++;
        }
    }
    if (notes->waiting_count)
        timer_start(&notes->look, loop_now_ms(s->options.loop) + (told == NOTES_A_TURN ? 10 : NOTES_LOOK_MS));
}

static void tell_some(struct store_redis *s, const struct note *note)
{
    struct kept_note *k = malloc(sizeof *k + note->count * sizeof k->values[0]);
    if (!k)
        return; /* as if Redis had lost it */
    *k = (struct kept_note){.notes = s->values->notes, .note = *note};
    list_init(&k->node);
    if (note->count)
        memcpy(k->values, note->values, note->count * sizeof k->values[0]);
    memcpy(k->key, note->key.ptr, note->key.len);
    k->note.key.ptr = k->key;
    k->note.values = k->values;
    tell(k);
}

void redis_notes_tell(struct store_redis *s, const struct note *note)
{
    struct note part = *note;
    PANIC_IF(note->key.len > REDIS_STEM_MAX_BYTES, "a counter's name is too long");
    for (size_t from = 0; from < note->count; from += part.count) {
        part.values = note->values + from;
        part.count = MIN_OF(note->count - from, (size_t)NOTE_VALUES_MAX);
        bool is_last = from + part.count == note->count;
        part.token = note->kind == NOTE_KEPT || is_last ? note->token : 0; /* a mail's one hold goes after all else */
        tell_some(s, &part);
    }
}

size_t redis_notes_waiting(const struct store_redis *s)
{
    return s->values->notes->waiting_count;
}

/* ---- life ---- */

struct redis_notes *redis_notes_new(struct store_redis *s)
{
    struct redis_notes *notes = calloc(1, sizeof *notes);
    if (!notes)
        return NULL;
    notes->store = s;
    list_init(&notes->waiting);
    list_init(&notes->told);
    timer_init(&notes->look, s->options.loop, on_look, notes);
    return notes;
}

void redis_notes_free(struct redis_notes **notes)
{
    struct redis_notes *n = *notes;
    if (!n)
        return;
    timer_cancel(&n->look);
    LIST_EACH(node, &n->waiting)
    {
        forget(CONTAINER_OF(node, struct kept_note, node));
    }
    LIST_EACH(node, &n->told)
    {
        forget(CONTAINER_OF(node, struct kept_note, node));
    }
    free(n);
    *notes = NULL;
}

/*
 * bans.c - bans, as an administrator sees, makes and ends them. They lie in the memory that all workers look into at
 * accept and at AUTH (limits/ban.h): what is done here holds from the next connection on.
 */
#include <stdlib.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/grow.h"
#include "rules/shape.h"
#include "stats/event.h"

enum { SCRATCH_MAX_BYTES = 65536 };

#define SECOND_US INT64_C(1000000)
#define BAN_MAX_S (INT64_C(366) * 86400)
#define NO_LOCK   "the table of bans is held by a worker that stands still"

/* ---- bans ---- */

struct ban_list {
    struct ban *items;
    size_t count, room;
};

static bool add(struct ban_list *list, const struct ban *ban)
{
    if (!GROW(&list->items, list->count + 1, &list->room, 64))
        return false;
    list->items[list->count++] = *ban;
    return true;
}

static int compare_ends(const void *a, const void *b)
{
    const struct ban *x = a, *y = b;
    return x->until_us < y->until_us ? -1 : x->until_us > y->until_us;
}

/* Bans go by a clock that nobody sets (base/clock.h); people have another. */
static json_t *time_json(int64_t us, int64_t now_us)
{
    return control_json_of_time(us - now_us + clock_wall_us());
}

static json_t *ban_json(const struct ban *ban, int64_t now_us, struct arena *arena)
{
    struct str key = policy_key_text(str_of_z(ban->entity), arena);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "key", control_json_of(key), "by",
                     control_json_of(str_of_z(ban->by)), "reason", control_json_of(str_of_z(ban->reason)), "since",
                     time_json(ban->since_us, now_us), "until", time_json(ban->until_us, now_us), "left",
                     (json_int_t)((ban->until_us - now_us + SECOND_US - 1) / SECOND_US), "strikes",
                     (json_int_t)ban->strikes);
}

static json_t *bans_json(const struct ban_list *list, int64_t now_us)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count && array; i++) {
        struct arena scratch;
        arena_init(&scratch, SCRATCH_MAX_BYTES);
        if (json_array_append_new(array, ban_json(&list->items[i], now_us, &scratch)) != 0) {
            json_decref(array);
            array = NULL;
        }
        arena_fini(&scratch);
    }
    return array;
}

void admin_bans(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct ban_list list = {0};
    struct ban_table_stats stats;
    struct ban ban;
    int64_t now_us = clock_steady_us();
    bool ok = true;
    for (size_t at = 0; ok && ban_next(a->bans, &at, now_us, &ban);)
        ok = add(&list, &ban);
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_ends);
    ban_table_stats_get(a->bans, &stats);
    control_answer(ask, ok ? json_pack("{s:o, s:I, s:I}", "bans", bans_json(&list, now_us), "places",
                                       (json_int_t)stats.places, "evicted", (json_int_t)stats.evicted)
                           : NULL);
    free(list.items);
}

/* ---- ban, unban ---- */

bool admin_find_ban(const struct admin *a, const struct whom *whom, struct arena *arena, struct ban *ban,
                    struct str *key)
{
    const struct whom_prefixes prefixes = {a->config->ipv4_prefix, a->config->ipv6_prefix};
    int64_t now_us = clock_steady_us();
    struct whom network;
    *key = whom->text;
    if (ban_find(a->bans, whom->entity, now_us, ban))
        return true;
    if (!whom_network_of(&network, whom, &prefixes, arena) || !ban_find(a->bans, network.entity, now_us, ban))
        return false;
    *key = network.text;
    return true;
}

/* Whom the question names: the first of the guesses, in their room. False: refused. */
static bool read_banned(struct admin *a, struct control_ask *ask, struct whom guesses[WHOM_GUESSES_MAX],
                        struct arena *arena)
{
    const struct whom_prefixes prefixes = {a->config->ipv4_prefix, a->config->ipv6_prefix};
    struct err err = {0};
    struct str key;
    size_t count;
    if (!control_need_text(ask, "key", &key))
        return false;
    whom_read(guesses, &count, key, &prefixes, arena, &err);
    enum key kind = guesses[0].keys[0];
    if (count && (guesses[0].key_count != 1 || (kind != KEY_CLIENT && kind != KEY_NETWORK && kind != KEY_USER))) {
        err_set(&err, "a ban is of a client, a network or a user, not of " PRI_STR, STR_ARG(guesses[0].text));
        count = 0;
    }
    if (!count)
        control_refuse(ask, &err, false);
    return count > 0;
}

static bool read_duration(struct control_ask *ask, uint32_t *seconds)
{
    struct err err = {0}, ignored;
    struct value v = {.shape = SHAPE_NONE};
    struct str text;
    if (!control_need_text(ask, "duration", &text))
        return false;
    if (shape_read(SHAPE_DURATION, text, NULL, &v, &ignored) != SHAPE_FITS || v.ms < 1000 || v.ms / 1000 > BAN_MAX_S) {
        err_set(&err, "\"" PRI_STR "\" is no duration from 1s to 366d, such as 15m, 2h or 7d", STR_ARG(text));
        control_refuse(ask, &err, false);
        return false;
    }
    *seconds = (uint32_t)(v.ms / 1000);
    return true;
}

/* "command of alice": no rule and no limit has such a name. */
static struct str who(const struct control_ask *ask, struct arena *arena)
{
    struct str name = control_text(ask, "who");
    if (name.len && !str_has_control(name))
        return arena_printf(arena, "command of %.40s", arena_copy(arena, name).ptr);
    return arena_printf(arena, "command of uid %u", (unsigned)ask->uid);
}

static void refuse_locked(struct control_ask *ask)
{
    struct err err = {0};
    err_set(&err, NO_LOCK);
    control_refuse(ask, &err, true);
}

static void begin_ban(struct admin *a, struct control_ask *ask, const struct whom *banned, uint32_t seconds,
                      struct arena *arena)
{
    int64_t now_us = clock_steady_us();
    struct ban_terms terms = {.duration_s = seconds, .by = who(ask, arena), .reason = control_text(ask, "why")};
    struct ban ban;
    if (!ban_add(a->bans, banned->entity, &terms, now_us, &ban)) {
        refuse_locked(ask);
        return;
    }
    bool is_new = ban.until_us == now_us + (int64_t)seconds * SECOND_US;
    if (is_new) {
        event_begin(a->events, "ban", clock_wall_us());
        event_str(a->events, "by", terms.by);
        event_str(a->events, "entity", banned->text);
        event_time(a->events, "until", ban.until_us - now_us + clock_wall_us());
        event_uint(a->events, "strikes", ban.strikes);
        event_str(a->events, "reason", ban.reason[0] ? str_of_z(ban.reason) : STR_NONE);
        event_end(a->events);
    }
    control_answer(ask, json_pack("{s:o, s:b, s:b}", "ban", ban_json(&ban, now_us, arena), "was_longer", !is_new,
                                  "waits_for_redis", admin_waits_for_redis(a)));
}

void admin_ban(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct arena scratch;
    struct whom banned[WHOM_GUESSES_MAX];
    uint32_t seconds;
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (read_banned(a, ask, banned, &scratch) && read_duration(ask, &seconds))
        begin_ban(a, ask, &banned[0], seconds, &scratch);
    arena_fini(&scratch);
}

static void refuse_unban(struct admin *a, struct control_ask *ask, const struct whom *whom, struct arena *arena)
{
    struct err err = {0};
    struct str key;
    struct ban ban;
    err_set(&err, PRI_STR " is not banned", STR_ARG(whom->text));
    if (admin_find_ban(a, whom, arena, &ban, &key)) {
        err_set(&err, PRI_STR " is not banned, but " PRI_STR " is", STR_ARG(whom->text), STR_ARG(key));
        err_set_hint(&err, "`mailweir unban " PRI_STR "` lets all in it in again", STR_ARG(key));
    }
    control_refuse(ask, &err, false);
}

static void end_ban(struct admin *a, struct control_ask *ask, const struct whom *whom, struct arena *arena)
{
    struct str key;
    struct ban ban;
    if (!ban_lift(a->bans, whom->entity, clock_steady_us())) {
        refuse_unban(a, ask, whom, arena);
        return;
    }
    event_begin(a->events, "unban", clock_wall_us());
    event_str(a->events, "by", who(ask, arena));
    event_str(a->events, "entity", whom->text);
    event_end(a->events);
    bool is_kept_out = admin_find_ban(a, whom, arena, &ban, &key);
    control_answer(ask, json_pack("{s:o, s:o, s:b}", "key", control_json_of(whom->text), "still_banned",
                                  is_kept_out ? control_json_of(key) : json_null(), "waits_for_redis",
                                  admin_waits_for_redis(a)));
}

void admin_unban(void *arg, struct control_ask *ask)
{
    struct admin *a = arg;
    struct arena scratch;
    struct whom banned[WHOM_GUESSES_MAX];
    arena_init(&scratch, SCRATCH_MAX_BYTES);
    if (read_banned(a, ask, banned, &scratch))
        end_ban(a, ask, &banned[0], &scratch);
    arena_fini(&scratch);
}

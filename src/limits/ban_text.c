/* ban_text.c - see ban_text.h. */
#include "limits/ban_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/json.h"

/* Who is ahead by less is not wrong. */
#define FUTURE_US INT64_C(1000000)

bool ban_entity_is_valid(struct str entity)
{
    size_t colon = str_find(entity, ':');
    if (entity.len > BAN_ENTITY_MAX_BYTES || colon == 0 || colon > 2 || colon + 1 >= entity.len)
        return false;
    for (size_t i = 0; i < colon; i++)
        if (!ascii_is_alpha(entity.ptr[i]))
            return false;
    return !str_has_control(entity) && str_is_utf8(entity);
}

static bool is_lifted(const struct ban_record *record)
{
    return record->ban.strikes == 0 || record->lifted_us >= record->changed_us;
}

static bool put_time(struct buf *to, const char *name, int64_t time_us, int64_t ahead_us)
{
    return buf_printf(to, "\"%s\":%" PRId64 ",", name, time_us + ahead_us);
}

static bool put_text(struct buf *to, const char *name, struct str text, const char *end)
{
    return buf_printf(to, "\"%s\":\"", name) && escape_json(to, text) && buf_printf(to, "\"%s", end);
}

bool ban_text_write(struct buf *to, const struct ban_record *record, int64_t ahead_us, struct str node)
{
    const struct ban *ban = &record->ban;
    if (!buf_append_char(to, '{') || (record->lifted_us && !put_time(to, "lifted", record->lifted_us, ahead_us)))
        return false;
    if (is_lifted(record))
        return put_text(to, "node", node, "}");
    return put_time(to, "since", ban->since_us, ahead_us) && put_time(to, "until", ban->until_us, ahead_us) &&
           put_time(to, "changed", record->changed_us, ahead_us) && buf_printf(to, "\"strikes\":%u,", ban->strikes) &&
           put_text(to, "by", str_of_z(ban->by), ",") && put_text(to, "reason", str_of_z(ban->reason), ",") &&
           put_text(to, "node", node, "}");
}

static void start(struct ban_record *record, struct str entity)
{
    *record = (struct ban_record){0};
    str_copy_into(record->ban.entity, sizeof record->ban.entity, entity);
}

static int64_t no_later(int64_t time_us, int64_t than_us)
{
    return MIN_OF(time_us, than_us);
}

/* One member of the object; those of other names are passed over. */
static bool read_member(struct ban_record *record, struct str name, const struct json_value *value, int64_t ahead_us)
{
    struct {
        struct str name;
        int64_t *to;
    } times[] = {{STR("since"), &record->ban.since_us},
                 {STR("until"), &record->ban.until_us},
                 {STR("changed"), &record->changed_us},
                 {STR("lifted"), &record->lifted_us}};
    struct {
        struct str name;
        char *to;
        size_t size;
    } texts[] = {{STR("by"), record->ban.by, sizeof record->ban.by},
                 {STR("reason"), record->ban.reason, sizeof record->ban.reason}};
    uint64_t n;
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        if (!str_equal(name, times[i].name))
            continue;
        if (!json_u64(value, INT64_MAX / 2, &n) || (int64_t)n <= ahead_us)
            return false;
        *times[i].to = (int64_t)n - ahead_us;
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!str_equal(name, texts[i].name))
            continue;
        if (value->kind != JSON_TEXT)
            return false;
        /* raw points into the copy that ban_text_read made. */
        str_copy_into(texts[i].to, texts[i].size, json_unescape((char *)(uintptr_t)value->raw.ptr, value->raw.len));
    }
    if (!str_equal(name, STR("strikes")))
        return true;
    if (!json_u64(value, UINT32_MAX, &n))
        return false;
    record->ban.strikes = (uint32_t)n;
    return true;
}

bool ban_text_read(struct str text, struct str entity, int64_t ahead_us, int64_t now_us, struct ban_record *record)
{
    char copy[BAN_TEXT_MAX_BYTES + 1];
    struct json_walk walk;
    struct json_value value;
    struct str name;
    if (text.len > BAN_TEXT_MAX_BYTES)
        return false;
    start(record, entity);
    json_walk_object(&walk, str_copy_into(copy, sizeof copy, text));
    while (json_next(&walk, &name, &value))
        if (!read_member(record, name, &value, ahead_us))
            return false;
    if (walk.is_wrong)
        return false;
    record->lifted_us = no_later(record->lifted_us, now_us + FUTURE_US);
    if (record->ban.strikes == 0) {
        record->ban.until_us = record->changed_us = 0;
        return record->lifted_us != 0;
    }
    record->changed_us = no_later(record->changed_us, now_us + FUTURE_US);
    record->ban.since_us = no_later(record->ban.since_us, now_us + FUTURE_US);
    record->ban.until_us = no_later(record->ban.until_us, now_us + BAN_LASTS_MAX_US);
    return record->changed_us && record->ban.since_us && record->ban.until_us;
}

struct str ban_strikes_write(const struct ban_record *record, int64_t ahead_us, char to[BAN_STRIKES_MAX_BYTES])
{
    int len = snprintf(to, BAN_STRIKES_MAX_BYTES, "%u %" PRId64, record->ban.strikes, record->ban.until_us + ahead_us);
    return str_of(to, (size_t)len);
}

bool ban_strikes_read(struct str text, struct str entity, int64_t ahead_us, int64_t now_us, struct ban_record *record)
{
    struct str until;
    uint64_t strikes, until_us;
    start(record, entity);
    if (!str_to_u64(str_split(text, ' ', &until), UINT32_MAX, &strikes) || strikes == 0 ||
        !str_to_u64(until, INT64_MAX / 2, &until_us) || (int64_t)until_us <= ahead_us)
        return false;
    record->ban.strikes = (uint32_t)strikes;
    /* The ban itself is not known any more, so it is over. */
    record->ban.until_us = no_later((int64_t)until_us - ahead_us, now_us);
    record->ban.since_us = record->changed_us = record->ban.until_us;
    return true;
}

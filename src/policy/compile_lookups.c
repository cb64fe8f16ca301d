/* compile_lookups.c - what conditions ask outside, with the options of its statements. */
#include "policy/compiling.h"

static int64_t option_ms(const struct options *options, enum option_kind kind, int64_t otherwise)
{
    const struct option *o = options_get(options, kind);
    return o ? values_arg(&o->values, 0)->ms : otherwise;
}

static enum policy_failure option_failure(const struct options *options, enum option_kind kind)
{
    const struct option *o = options_get(options, kind);
    return o ? (enum policy_failure)values_arg(&o->values, 0)->choice : POLICY_FAILURE_SKIP;
}

/* False: no memory. */
static bool compile_answers(struct policy *policy, const struct options *options, struct dnsbl_zone_options *to)
{
    const struct option *o = options_get(options, OPTION_DNSBL_ANSWERS);
    size_t count = o ? o->values.count : 0;
    struct ip_span *spans = arena_alloc(&policy->program.arena, (count + 1) * sizeof *spans);
    if (!spans)
        return false;
    for (size_t i = 0; i < count; i++)
        spans[i] = (struct ip_span){o->values.items[i].network.from, o->values.items[i].network.to};
    to->answers = spans;
    to->answer_count = count;
    return true;
}

static bool compile_dnsbl(struct policy *policy, const struct dnsbl *from, struct policy_dnsbl *to)
{
    struct arena *arena = &policy->program.arena;
    struct str zone = from->zone.text;
    if (zone.len && zone.ptr[zone.len - 1] == '.')
        zone.len--;
    to->failure = option_failure(&from->options, OPTION_DNSBL_FAILURE);
    to->zone = (struct dnsbl_zone_options){
        .name = arena_copy(arena, from->name.text).ptr,
        .zone = arena_copy(arena, zone).ptr,
        .timeout_ms = (unsigned)option_ms(&from->options, OPTION_DNSBL_TIMEOUT, DNSBL_TIMEOUT_MS),
        .cache_ms = option_ms(&from->options, OPTION_DNSBL_CACHE, DNSBL_CACHE_MS),
    };
    return to->zone.name && to->zone.zone && compile_answers(policy, &from->options, &to->zone);
}

static bool compile_socketmap(struct policy *policy, const struct table *from, struct policy_remote *to)
{
    struct arena *arena = &policy->program.arena;
    struct endpoint *endpoint = arena_alloc(arena, sizeof *endpoint);
    to->map = (struct socketmap_options){
        .name = to->name,
        .endpoint = endpoint,
        .map = arena_copy(arena, from->file.text).ptr,
        .timeout_ms = (unsigned)option_ms(&from->options, OPTION_TABLE_TIMEOUT, REMOTE_TIMEOUT_MS),
        .cache_ms = option_ms(&from->options, OPTION_TABLE_CACHE, REMOTE_CACHE_MS),
    };
    if (!endpoint || !to->map.map)
        return false;
    *endpoint = *from->endpoint.endpoint;
    return true;
}

static bool compile_redis(struct policy *policy, const struct table *from, struct policy_remote *to)
{
    to->redis = (struct table_redis_options){
        .name = to->name,
        .key = arena_copy(&policy->program.arena, from->file.text).ptr,
        .is_map = from->type == TABLE_MAP,
        .timeout_ms = (unsigned)option_ms(&from->options, OPTION_TABLE_TIMEOUT, REMOTE_TIMEOUT_MS),
        .cache_ms = option_ms(&from->options, OPTION_TABLE_CACHE, REMOTE_CACHE_MS),
    };
    return to->redis.key != NULL;
}

static bool compile_remote(struct policy *policy, const struct table *from, struct policy_remote *to)
{
    to->name = arena_copy(&policy->program.arena, from->name.text).ptr;
    to->type = from->type;
    to->failure = option_failure(&from->options, OPTION_TABLE_FAILURE);
    to->is_redis = from->source == TABLE_REDIS;
    if (!to->name)
        return false;
    return to->is_redis ? compile_redis(policy, from, to) : compile_socketmap(policy, from, to);
}

static bool limit_may_wait(const struct policy_limit *l)
{
    bool may_wait = eval_may_wait(l->condition);
    for (size_t i = 0; i < l->limit.threshold_count; i++) {
        const struct policy_actions *actions = l->limit.thresholds[i].actions;
        for (size_t k = 0; actions && k < actions->count; k++)
            may_wait = may_wait || (actions->items[k].text && text_may_wait(actions->items[k].text));
    }
    return may_wait;
}

static void note_count(void *arg, unsigned limit)
{
    bool *counts = arg;
    counts[limit] = true;
}

static void note_condition(struct policy *policy, enum phase phase, const struct test_node *condition)
{
    policy->phase_dnsbls[phase] |= eval_dnsbls(condition);
    eval_tell_counts(condition, note_count, policy->phase_counts[phase]);
}

/* Those of one phase are asked at the same time. What limits of events need is found out at connect (outside.c). False:
 * no memory. */
static bool note_phases(struct policy *policy)
{
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        policy->phase_counts[phase] = arena_alloc(&policy->program.arena, policy->limit_count * sizeof(bool));
        if (!policy->phase_counts[phase])
            return false;
        for (size_t i = 0; i < policy->rule_counts[phase]; i++)
            note_condition(policy, (enum phase)phase, policy->rules[phase][i].condition);
    }
    for (size_t i = 0; i < policy->limit_count; i++) {
        struct policy_limit *l = &policy->limits[i];
        if (l->phase != PHASE_COUNT)
            note_condition(policy, l->phase, l->condition);
        l->may_wait = limit_may_wait(l);
        policy->events_may_wait = policy->events_may_wait || (l->may_wait && l->phase == PHASE_COUNT);
    }
    return true;
}

/* What the protocols cannot say. */
static bool can_be_asked(const struct eval_program *p, struct diagnostics *d)
{
    bool ok = true;
    for (unsigned i = 0; i < p->dnsbl_count; i++)
        if (p->dnsbls[i]->zone.text.len > DNS_ZONE_MAX_BYTES)
            ok = diag_error(d, p->dnsbls[i]->zone.at, "a zone has at most %d bytes: an address stands before it",
                            (int)DNS_ZONE_MAX_BYTES);
    for (unsigned i = 0; i < p->remote_count; i++) {
        struct str map = p->remotes[i]->file.text;
        bool is_redis = p->remotes[i]->source == TABLE_REDIS;
        if (is_redis && map.len == 0)
            ok = diag_error(d, p->remotes[i]->file.at, "the key of a table in Redis is not empty");
        else if (!is_redis && (map.len == 0 || str_find(map, ' ') < map.len))
            ok = diag_error(d, p->remotes[i]->file.at, "a map's name has no spaces, and is not empty");
    }
    return ok;
}

bool compile_lookups(struct policy *policy, struct diagnostics *d)
{
    const struct eval_program *p = &policy->program;
    if (!can_be_asked(p, d))
        return false;
    policy->dnsbls = arena_alloc(&policy->program.arena, (p->dnsbl_count + 1) * sizeof *policy->dnsbls);
    policy->remotes = arena_alloc(&policy->program.arena, (p->remote_count + 1) * sizeof *policy->remotes);
    unsigned counts[2] = {0, 0}; /* socketmap, redis */
    bool ok = policy->dnsbls && policy->remotes;
    for (unsigned i = 0; i < p->dnsbl_count && ok; i++)
        ok = compile_dnsbl(policy, p->dnsbls[i], &policy->dnsbls[i]);
    for (unsigned i = 0; i < p->remote_count && ok; i++)
        if ((ok = compile_remote(policy, p->remotes[i], &policy->remotes[i])))
            policy->remotes[i].number = counts[policy->remotes[i].is_redis]++;
    if (!ok)
        return diag_error(d, PLACE_NONE, "out of memory");
    policy->dnsbl_count = p->dnsbl_count;
    policy->remote_count = p->remote_count;
    return note_phases(policy) || diag_error(d, PLACE_NONE, "out of memory");
}

const struct policy_dnsbl *policy_dnsbls(const struct policy *policy, size_t *count)
{
    *count = policy->dnsbl_count;
    return policy->dnsbls;
}

const struct policy_remote *policy_remotes(const struct policy *policy, size_t *count)
{
    *count = policy->remote_count;
    return policy->remotes;
}

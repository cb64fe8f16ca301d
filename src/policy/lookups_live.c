/* lookups_live.c - the outside as it is: DNS, the file of countries, socketmap servers, Redis. */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "policy/compiled.h"
#include "rules/table_forms.h"

enum { DNSBLS_MAX = EVAL_MAX_DNSBLS };

struct live {
    struct policy_lookups lookups;
    const struct policy *policy;
    struct loop *loop;
    struct dns *dns;             /* NULL: nobody asks */
    struct dnsbl *dnsbl;         /* likewise */
    struct reverse_names *names; /* likewise */
    struct geoip *geoip;         /* NULL: there is no file */
    struct socketmaps *maps;     /* NULL: nobody asks */
    struct table_redis *redis;   /* likewise */
    struct dnsbl_zone_options zones[DNSBLS_MAX];
    struct socketmap_options map_tables[EVAL_MAX_REMOTES];
    struct table_redis_options redis_tables[EVAL_MAX_REMOTES];
};

/* What a trip needs while it is under way, and where its answer lies. */
struct policy_trip_inside {
    struct live *live;
    struct policy_lookup *lookup;
    int64_t deadline_ms;
    struct reverse_wait name;
    struct dnsbl_check check;
    struct dnsbl_answer *answers; /* heap; one for each of zones */
    unsigned zones[DNSBLS_MAX];
    size_t zone_count;
    struct remote_query query;
    unsigned next_form;
    char form[TABLE_FORM_MAX_BYTES];
    char *value; /* heap */
};

static struct live *live_of(struct policy_lookups *l)
{
    return CONTAINER_OF(l, struct live, lookups);
}

static void tell(struct policy_trip_inside *in)
{
    in->lookup->on_answer(in->lookup->arg);
}

/* ---- the name ---- */

static void take_name(struct policy_trip_inside *in)
{
    bool is_known = in->name.answer.result == REVERSE_NAME;
    str_copy_into(in->lookup->name, sizeof in->lookup->name, is_known ? str_of_z(in->name.answer.name) : STR(""));
}

static void on_name(void *arg)
{
    take_name(arg);
    tell(arg);
}

static enum started start_name(struct policy_trip_inside *in)
{
    if (reverse_name_start(&in->name, in->live->names, &in->lookup->client, in->deadline_ms, on_name, in) == STARTED)
        return STARTED;
    take_name(in);
    return DONE;
}

/* ---- lists ---- */

static void take_lists(struct policy_trip_inside *in)
{
    for (size_t i = 0; i < in->zone_count; i++) {
        uint64_t bit = UINT64_C(1) << in->zones[i];
        if (in->answers[i].result == DNSBL_LISTED)
            in->lookup->listed |= bit;
        else if (in->answers[i].result == DNSBL_UNKNOWN)
            in->lookup->no_answer |= bit;
    }
}

static void on_lists(void *arg)
{
    take_lists(arg);
    tell(arg);
}

static enum started start_lists(struct policy_trip_inside *in)
{
    for (unsigned i = 0; i < in->live->policy->dnsbl_count; i++)
        if (in->lookup->dnsbls >> i & 1)
            in->zones[in->zone_count++] = i;
    in->answers = calloc(in->zone_count, sizeof *in->answers);
    if (!in->answers) {
        in->lookup->no_answer = in->lookup->dnsbls;
        return DONE;
    }
    if (dnsbl_start(&in->check, in->live->dnsbl, &in->lookup->client, in->zones, in->answers, in->zone_count,
                    in->deadline_ms, on_lists, in) == STARTED)
        return STARTED;
    take_lists(in);
    return DONE;
}

/* ---- tables elsewhere ---- */

/* False: no memory. */
static bool keep_value(struct policy_trip_inside *in, struct str value)
{
    in->value = malloc(value.len ? value.len : 1);
    if (!in->value)
        return false;
    if (value.len)
        memcpy(in->value, value.ptr, value.len);
    in->lookup->value = str_of(in->value, value.len);
    return true;
}

/* False: it is not found there, as far as it was asked. */
static bool take_found(struct policy_trip_inside *in)
{
    if (in->query.result == REMOTE_NOT_FOUND)
        return false;
    bool is_there = in->query.result == REMOTE_FOUND && keep_value(in, in->query.value);
    in->lookup->found = is_there ? POLICY_THERE : POLICY_NO_ANSWER;
    return true;
}

static void on_form(void *arg);

/* One form after the other, until one is there or there are no more. */
static enum started look_for_forms(struct policy_trip_inside *in)
{
    const struct policy_remote *remote = &in->live->policy->remotes[in->lookup->remote];
    struct str form;
    while (table_form(remote->type, in->lookup->key, in->next_form++, in->form, &form)) {
        if (socketmap_start(&in->query, in->live->maps, remote->number, form, in->deadline_ms, on_form, in) == STARTED)
            return STARTED;
        if (take_found(in))
            return DONE;
    }
    in->lookup->found = POLICY_NOT_THERE;
    return DONE;
}

static void on_form(void *arg)
{
    struct policy_trip_inside *in = arg;
    if (take_found(in) || look_for_forms(in) == DONE)
        tell(in);
}

/* ---- tables in Redis ---- */

static void take_redis(struct policy_trip_inside *in)
{
    if (!take_found(in))
        in->lookup->found = POLICY_NOT_THERE;
}

static void on_redis(void *arg)
{
    take_redis(arg);
    tell(arg);
}

/* False: beyond what is asked, or no memory. */
static bool join_forms(struct policy_trip_inside *in, struct buf *forms)
{
    const struct policy_remote *remote = &in->live->policy->remotes[in->lookup->remote];
    struct str form;
    for (unsigned n = 0; table_form(remote->type, in->lookup->key, n, in->form, &form); n++) {
        if (str_has_control(form)) /* no table holds that */
            continue;
        if ((buf_len(forms) && !buf_append_char(forms, '\n')) || !buf_append_str(forms, form))
            return false;
    }
    return true;
}

/* All forms at once. */
static enum started look_in_redis(struct policy_trip_inside *in)
{
    const struct policy_remote *remote = &in->live->policy->remotes[in->lookup->remote];
    struct buf forms;
    buf_init(&forms, TABLE_REDIS_FORMS_MAX_BYTES);
    enum started started = DONE;
    if (!join_forms(in, &forms)) {
        in->lookup->found = POLICY_NO_ANSWER;
    } else {
        started = table_redis_start(&in->query, in->live->redis, remote->number, buf_str(&forms), in->deadline_ms,
                                    on_redis, in);
        if (started == DONE)
            take_redis(in);
    }
    buf_fini(&forms);
    return started;
}

/* ---- one trip ---- */

static void place(struct policy_lookups *l, const struct ip *client, struct geoip_answer *answer)
{
    struct live *live = live_of(l);
    *answer = (struct geoip_answer){0};
    if (live->geoip)
        geoip_get(live->geoip, client, loop_now_ms(live->loop), answer);
}

static enum started have_no_answer(struct policy_lookup *lookup)
{
    lookup->no_answer = lookup->dnsbls;
    lookup->found = POLICY_NO_ANSWER;
    return DONE;
}

static enum started start(struct policy_lookups *l, struct policy_lookup *lookup, int64_t deadline_ms)
{
    struct live *live = live_of(l);
    lookup->name[0] = '\0';
    lookup->listed = lookup->no_answer = 0;
    lookup->found = POLICY_NOT_THERE;
    struct policy_trip_inside *in =
        deadline_ms > loop_now_ms(live->loop) ? calloc(1, sizeof *in) : NULL; /* too late: there is none */
    if (!in)
        return have_no_answer(lookup);
    in->live = live;
    in->lookup = lookup;
    in->deadline_ms = deadline_ms;
    lookup->inside = in;
    switch (lookup->kind) {
    case POLICY_LOOKUP_NAME:
        return start_name(in);
    case POLICY_LOOKUP_DNSBLS:
        return start_lists(in);
    case POLICY_LOOKUP_REMOTE:
        return live->policy->remotes[lookup->remote].is_redis ? look_in_redis(in) : look_for_forms(in);
    }
    return DONE;
}

static void cancel(struct policy_lookups *l, struct policy_lookup *lookup)
{
    struct policy_trip_inside *in = lookup->inside;
    (void)l;
    if (!in)
        return;
    reverse_name_cancel(&in->name);
    dnsbl_cancel(&in->check);
    remote_cancel(&in->query);
    free(in->answers);
    free(in->value);
    free(in);
    lookup->inside = NULL;
}

/* ---- life ---- */

static bool make_dns(struct live *live, const struct policy_live_options *o, struct err *err)
{
    const struct policy *policy = live->policy;
    bool uses_names = policy_uses(policy, ATTRIBUTE_CLIENT_NAME);
    if (!uses_names && policy->dnsbl_count == 0)
        return true;
    live->dns = dns_new(o->loop, NULL, err);
    if (!live->dns)
        return false;
    if (uses_names && !(live->names = reverse_names_new(o->loop, live->dns, err)))
        return false;
    for (size_t i = 0; i < policy->dnsbl_count; i++)
        live->zones[i] = policy->dnsbls[i].zone;
    if (policy->dnsbl_count)
        live->dnsbl = dnsbl_new(o->loop, live->dns, live->zones, policy->dnsbl_count, o->events, err);
    return policy->dnsbl_count == 0 || live->dnsbl;
}

static bool make_tables(struct live *live, const struct policy_live_options *o, struct err *err)
{
    const struct policy *policy = live->policy;
    unsigned map_count = 0, redis_count = 0;
    for (size_t i = 0; i < policy->remote_count; i++) {
        if (policy->remotes[i].is_redis)
            live->redis_tables[redis_count++] = policy->remotes[i].redis;
        else
            live->map_tables[map_count++] = policy->remotes[i].map;
    }
    PANIC_IF(redis_count && !o->redis, "there are tables in Redis, and no Redis");
    if (map_count && !(live->maps = socketmaps_new(o->loop, o->resolver, live->map_tables, map_count, o->events, err)))
        return false;
    return redis_count == 0 ||
           (live->redis = table_redis_new(o->loop, o->redis, live->redis_tables, redis_count, err)) != NULL;
}

struct policy_lookups *policy_live_new(const struct policy *policy, const struct policy_live_options *o,
                                       struct err *err)
{
    struct live *live = calloc(1, sizeof *live);
    if (!live) {
        err_no_memory(err);
        return NULL;
    }
    live->lookups = (struct policy_lookups){place, start, cancel};
    live->policy = policy;
    live->loop = o->loop;
    struct policy_lookups *made = &live->lookups;
    bool ok = make_dns(live, o, err) && make_tables(live, o, err);
    if (ok && o->geoip_file)
        ok = (live->geoip = geoip_open(o->geoip_file, loop_now_ms(o->loop), err)) != NULL;
    if (!ok)
        policy_live_free(&made);
    return made;
}

void policy_live_free(struct policy_lookups **l)
{
    if (!*l)
        return;
    struct live *live = live_of(*l);
    table_redis_free(&live->redis);
    socketmaps_free(&live->maps);
    dnsbl_free(&live->dnsbl);
    reverse_names_free(&live->names);
    dns_free(&live->dns);
    geoip_close(&live->geoip);
    free(live);
    *l = NULL;
}

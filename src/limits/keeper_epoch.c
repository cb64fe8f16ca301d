/*
 * keeper_epoch.c - is it still the same data set? And the secret that all nodes hash values with.
 *
 * Each tag has an epoch, a random id, made by whichever node first finds it missing. It lies where the tag's slot lies:
 * it moves with the slot, and is lost with the data. A tag's epoch that is another than this node knew: the data of the
 * shard that serves it now is not the one this node charged.
 *
 * What outage.h holds is the epoch whose loss has been dealt with; a keeper that dies while it pushes all begins again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "limits/keeper_inside.h"

#define TEXT_OF_LASTS STR("7776000000") /* KEEPER_KEY_LASTS_US in milliseconds */

_Static_assert(KEEPER_KEY_LASTS_US / 1000 == 7776000000, "the epochs' and the secret's expiry");

static int64_t now_ms(const struct keeper *k)
{
    return loop_now_ms(k->options.loop);
}

/* SET key value NX PX …, GET key, PEXPIREAT key …: made where it is missing, read, and kept from ending. */
static bool add_make(struct redis_call *c, struct str key, struct str value, int64_t now_us)
{
    char until[STR_OF_U64_MAX];
    struct str set[] = {STR("SET"), key, value, STR("NX"), STR("PX"), TEXT_OF_LASTS};
    struct str get[] = {STR("GET"), key};
    struct str expire[] = {STR("PEXPIREAT"), key, str_of_u64(until, (uint64_t)(now_us + KEEPER_KEY_LASTS_US) / 1000)};
    return redis_call_add(c, set, COUNT_OF(set)) && redis_call_add(c, get, COUNT_OF(get)) &&
           redis_call_add(c, expire, COUNT_OF(expire));
}

/* ---- epochs ---- */

static void on_tag_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper_tag *t = c->arg;
    uint64_t epoch = 0;
    if (reply->type == REDIS_REPLY_ERROR)
        t->call.has_failed = true;
    if (n != (t->may_make ? 1 : 0) || reply->type == REDIS_REPLY_NIL || reply->type == REDIS_REPLY_ERROR)
        return;
    /* What is no epoch of ours is a change like any other; the next loss of it will not be noticed, and that is all. */
    if (reply->type == REDIS_REPLY_STRING && keeper_read_hex(str_of(reply->str, reply->len), 16, &epoch) && epoch)
        t->read = epoch;
    else
        t->read = 1;
}

static void send_tag(struct keeper_tag *t, bool may_make)
{
    struct keeper *k = t->k;
    char key[DOMAINS_KEY_MAX_BYTES], value[17];
    uint64_t fresh;
    struct str name = keeper_key(k, STR("epoch"), t->number, key);
    struct str get[] = {STR("GET"), name};
    random_bytes(&fresh, sizeof fresh);
    snprintf(value, sizeof value, "%016llx", (unsigned long long)(fresh | 1));
    t->read = 0;
    t->may_make = may_make;
    if (may_make)
        t->next_renewal_ms = now_ms(k) + KEEPER_RENEW_MS;
    bool is_full = !(may_make ? add_make(&t->call.call, name, str_of(value, 16), keeper_now_us(k, t->number))
                              : redis_call_add(&t->call.call, get, COUNT_OF(get)));
    if (is_full)
        keeper_call_clear(&t->call.call);
    else
        (void)keeper_send(k, &t->call, name);
}

static void find_lost(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    k->losses++;
    d->must_push_all = true;
    keeper_push_all_again(d);
    world_data_lost(&d->world);
    keeper_tell_again(k);
    const char *text = "its data was lost: what this node counted is added again";
    log_warning("store redis: " PRI_STR ": %s", STR_ARG(redis_shard_name(k->options.redis, d->shard)), text);
    keeper_event(k, d->shard, "lost", NULL, text);
}

/* All tags of the domain were read: is it the data set that was known? */
static void judge(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    bool is_lost = false;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (keeper_domain_of_tag(k, i) == d && !k->tags[i].is_checked)
            return;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        struct keeper_tag *t = &k->tags[i];
        if (keeper_domain_of_tag(k, i) != d)
            continue;
        uint64_t known = t->epoch ? t->epoch : atomic_load(&k->options.outage->domains[i].epoch);
        is_lost |= known && known != t->read;
        t->epoch = t->read;
    }
    d->is_checked = true;
    if (is_lost)
        find_lost(d);
    else if (!d->must_push_all)
        keeper_epoch_keep(d);
    keeper_try_settle(d);
}

static void on_tag_done(struct redis_call *c, enum redis_result result)
{
    struct keeper_tag *t = c->arg;
    struct keeper *k = t->k;
    struct keeper_domain *d = keeper_domain_of_tag(k, t->number);
    bool is_fine = keeper_call_ended(&t->call, result);
    if (!d)
        return;
    if (!is_fine || (t->may_make && !t->read)) {
        t->next_renewal_ms = 0;
        d->next_check_ms = now_ms(k) + KEEPER_RETRY_MS;
    } else if (d->is_checked) {
        if (t->read != t->epoch)
            keeper_distrust(d);
    } else if (t->may_make) {
        t->is_checked = true;
        judge(d);
    }
}

/* ---- the secret ---- */

static void on_secret_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    struct keeper *k = c->arg;
    uint64_t words[2] = {0, 0};
    if (reply->type == REDIS_REPLY_ERROR)
        k->secret.has_failed = true;
    if (n != 1)
        return;
    bool is_ours = reply->type == REDIS_REPLY_STRING && keeper_read_hex(str_of(reply->str, reply->len), 32, words);
    k->secret_read = (struct hash_key){words[0], words[1]};
    if (!is_ours && !k->secret.has_failed && !k->said_no_secret)
        log_warning("store redis: the key " PRI_STR
                    "secret in Redis holds something else than mailweir's secret: delete it "
                    "(DEL " PRI_STR "secret). Until then nodes do not agree on what different values are",
                    STR_ARG(k->options.prefix), STR_ARG(k->options.prefix));
    k->said_no_secret |= !is_ours && !k->secret.has_failed;
    k->secret.has_failed |= !is_ours;
}

static void on_secret_done(struct redis_call *c, enum redis_result result)
{
    struct keeper *k = c->arg;
    if (!keeper_call_ended(&k->secret, result)) {
        k->next_secret_ms = now_ms(k) + KEEPER_RETRY_MS;
        return;
    }
    k->said_no_secret = false;
    k->is_secret_read = true;
    outage_set_values_key(k->options.outage, k->secret_read);
}

/* ---- life, and the turn ---- */

void keeper_epoch_init(struct keeper *k)
{
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        struct keeper_tag *t = &k->tags[i];
        t->k = k;
        t->number = i;
        redis_call_init(&t->call.call, on_tag_reply, on_tag_done, t);
    }
    redis_call_init(&k->secret.call, on_secret_reply, on_secret_done, k);
}

void keeper_epoch_fini(struct keeper *k)
{
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        redis_call_fini(&k->tags[i].call.call);
    redis_call_fini(&k->secret.call);
}

void keeper_epoch_keep(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++)
        if (keeper_domain_of_tag(k, i) == d)
            atomic_store(&k->options.outage->domains[i].epoch, k->tags[i].epoch);
}

void keeper_epoch_turn(struct keeper_domain *d)
{
    struct keeper *k = d->k;
    int64_t now = now_ms(k);
    if (now < (d->is_checked ? d->next_look_ms : d->next_check_ms))
        return;
    d->next_look_ms = now + KEEPER_LOOK_MS;
    for (unsigned i = 0; i < OUTAGE_DOMAINS; i++) {
        struct keeper_tag *t = &k->tags[i];
        if (keeper_domain_of_tag(k, i) != d || t->call.is_under_way)
            continue;
        if (i > 0 && k->options.shape != REDIS_CLUSTER) /* there is one epoch, whatever the tags */
            t->is_checked = true;
        else if (d->is_checked || !t->is_checked)
            send_tag(t, !t->is_checked || now >= t->next_renewal_ms);
    }
}

void keeper_secret_turn(struct keeper *k)
{
    char key[DOMAINS_KEY_MAX_BYTES], value[33];
    static const struct hash_key NONE;
    struct str name = domains_key(k->options.prefix, STR("secret"), false, 0, key);
    if (k->secret.is_under_way || now_ms(k) < k->next_secret_ms || !redis_is_up(k->options.redis, name))
        return;
    struct hash_key own = atomic_load(&k->options.outage->has_values_key) ? outage_values_key(k->options.outage, &NONE)
                                                                          : hash_key_random();
    snprintf(value, sizeof value, "%016llx%016llx", (unsigned long long)own.k0, (unsigned long long)own.k1);
    k->next_secret_ms = now_ms(k) + KEEPER_RENEW_MS;
    if (!add_make(&k->secret.call, name, str_of(value, 32), redis_now_us(k->options.redis, name)) ||
        !keeper_send(k, &k->secret, name)) {
        keeper_call_clear(&k->secret.call);
        k->next_secret_ms = now_ms(k) + KEEPER_RETRY_MS;
    }
}

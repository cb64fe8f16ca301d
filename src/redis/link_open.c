/*
 * link_open.c - what is said between connecting and READY. See link.h.
 *
 *   HELLO 2 [AUTH user password] · [SELECT n] · PING · TIME                      one write
 *     ├─ unknown command ─▶ [AUTH [user] password] · [SELECT n] · INFO · PING · TIME     before Redis 6
 *     └─ login refused ─▶ HELLO 2: is it a Sentinel, which knows nothing of Redis' users?
 *   [AUTH [user] password]                                                         a bare link
 *
 * All is asked at once, so the first thing that goes wrong decides: those behind it only fail for its sake. What a
 * server says of a login is never repeated, because an old one that does not know HELLO quotes the password.
 */
#include <stdarg.h>
#include <stdio.h>

#include "redis/redis_inside.h"

enum step { STEP_HELLO, STEP_AUTH, STEP_SELECT, STEP_INFO, STEP_PING, STEP_TIME };

static void note_fault(struct redis_opening *o, enum redis_down kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void note_fault(struct redis_opening *o, enum redis_down kind, const char *fmt, ...)
{
    if (o->has_fault)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(o->fault, sizeof o->fault, fmt, args);
    va_end(args);
    o->has_fault = true;
    o->kind = kind;
}

static bool starts_with_word(struct str text, const char *word)
{
    struct str rest;
    return str_equal(str_split(text, ' ', &rest), str_of_z(word));
}

/* ---- what went wrong ---- */

/* Where the configuration says who logs in. */
static const char *login_options(const struct redis_link *link)
{
    return link->options->is_bare ? "`sentinel-user` and `sentinel-password-file`" : "`user` and `password-file`";
}

static void note_login_error(struct redis_link *link, struct str text)
{
    struct redis_opening *o = &link->opening;
    struct str rest, word = str_split(text, ' ', &rest);
    o->is_refused = true;
    if (starts_with_word(text, "WRONGPASS"))
        note_fault(o, REDIS_DOWN_CONFIGURATION,
                   "refuses the login: no such user, or another password; see %s in `store`", login_options(link));
    else if (str_contains_nocase(rest, STR("without any password")) ||
             str_contains_nocase(rest, STR("no password is set")))
        note_fault(o, REDIS_DOWN_CONFIGURATION, "has no password, but `store` gives one: set it there, or take it out");
    else if (str_starts(rest, STR("max number of clients")))
        note_fault(o, REDIS_DOWN_BUSY, "has no room for more clients: raise its maxclients");
    else
        note_fault(o, REDIS_DOWN_CONFIGURATION, "refuses the login (" PRI_STR ")", STR_ARG(str_sub(word, 0, 32)));
}

static void note_error(struct redis_link *link, const char *asked, const redisReply *reply)
{
    struct redis_opening *o = &link->opening;
    struct str text = str_sub(redis_reply_text(reply), 0, 160);
    if (starts_with_word(text, "NOAUTH"))
        note_fault(o, REDIS_DOWN_CONFIGURATION, "wants a login: give %s in `store`", login_options(link));
    else if (starts_with_word(text, "NOPERM"))
        note_fault(o, REDIS_DOWN_CONFIGURATION, "does not allow its user %s: give it the ACL of the manual", asked);
    else if (starts_with_word(text, "DENIED"))
        note_fault(o, REDIS_DOWN_CONFIGURATION,
                   "runs in protected mode and takes no connection from here: give it a password, and us the same");
    else if (starts_with_word(text, "LOADING"))
        note_fault(o, REDIS_DOWN_BUSY, "is loading its data");
    else if (starts_with_word(text, "MASTERDOWN"))
        note_fault(o, REDIS_DOWN_BUSY, "is a replica that has lost its master");
    else if (starts_with_word(text, "BUSY"))
        note_fault(o, REDIS_DOWN_BUSY, "is busy with a script");
    else
        note_fault(o, REDIS_DOWN_CONFIGURATION, "refuses %s: " PRI_STR, asked, STR_ARG(text));
}

/* ---- what the server is ---- */

static enum redis_role role_of(struct str word)
{
    if (str_equal(word, STR("master")))
        return REDIS_ROLE_MASTER;
    bool is_replica = str_equal(word, STR("replica")) || str_equal(word, STR("slave"));
    return is_replica ? REDIS_ROLE_REPLICA : REDIS_ROLE_UNKNOWN;
}

static enum redis_mode mode_of(struct str word)
{
    if (str_equal(word, STR("standalone")))
        return REDIS_MODE_STANDALONE;
    if (str_equal(word, STR("cluster")))
        return REDIS_MODE_CLUSTER;
    return str_equal(word, STR("sentinel")) ? REDIS_MODE_SENTINEL : REDIS_MODE_UNKNOWN;
}

static void note_sentinel(struct redis_link *link)
{
    char at[ENDPOINT_TEXT_MAX];
    note_fault(&link->opening, REDIS_DOWN_CONFIGURATION,
               "is a Sentinel, which counts nothing: write `store redis sentinel NAME " PRI_STR
               "`, with the name that `sentinel monitor` gives the master",
               STR_ARG(endpoint_format(&link->endpoint, at)));
}

/* Names and values by turns; what is not known is left alone. */
static void take_hello(struct redis_link *link, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY) {
        note_fault(&link->opening, REDIS_DOWN_AWAY, "does not answer HELLO as Redis does");
        return;
    }
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        struct str name = redis_reply_text(reply->element[i]), value = redis_reply_text(reply->element[i + 1]);
        if (str_equal(name, STR("role")))
            link->server.role = role_of(value);
        else if (str_equal(name, STR("mode")))
            link->server.mode = mode_of(value);
        else if (str_equal(name, STR("version")) && !str_has_control(value))
            str_copy_into(link->server.version, sizeof link->server.version, value);
    }
    if (link->server.mode == REDIS_MODE_SENTINEL)
        note_sentinel(link);
}

static void take_info(struct redis_link *link, const redisReply *reply)
{
    struct str rest = redis_reply_text(reply);
    while (rest.ptr) {
        struct str line = str_split(rest, '\n', &rest);
        struct str value, name = str_split(line, ':', &value);
        value.len = str_find(value, '\r');
        if (str_equal(name, STR("role")))
            link->server.role = role_of(value);
        else if (str_equal(name, STR("redis_version")) && !str_has_control(value))
            str_copy_into(link->server.version, sizeof link->server.version, value);
    }
}

/* ---- the conversation ---- */

static bool add(struct redis_opening *o, enum step step, const struct str *words, size_t count)
{
    o->steps[o->call.command_count % REDIS_OPENING_STEPS_MAX] = (uint8_t)step;
    return redis_call_add(&o->call, words, count);
}

/* HELLO logs in together with its greeting; a password without a user is the default user's. */
static bool add_hello(struct redis_opening *o, const struct redis_link_options *options)
{
    struct str words[5] = {STR("HELLO"), STR("2"), STR("AUTH"), str_of_z(options->user), str_of_z(options->password)};
    if (!options->user)
        words[3] = STR("default");
    return add(o, STEP_HELLO, words, options->password ? 5 : 2);
}

static bool add_auth(struct redis_opening *o, const struct redis_link_options *options)
{
    struct str words[3] = {STR("AUTH")};
    size_t count = 1;
    if (!options->password)
        return true;
    if (options->user)
        words[count++] = str_of_z(options->user);
    words[count++] = str_of_z(options->password);
    return add(o, STEP_AUTH, words, count);
}

static bool add_select(struct redis_opening *o, unsigned db)
{
    char digits[STR_OF_U64_MAX];
    const struct str words[] = {STR("SELECT"), str_of_u64(digits, db)};
    return db == 0 || add(o, STEP_SELECT, words, 2);
}

static bool add_info(struct redis_opening *o)
{
    static const struct str WORDS[] = {{"INFO", 4}};
    return add(o, STEP_INFO, WORDS, 1);
}

static bool add_word(struct redis_opening *o, enum step step, struct str word)
{
    return add(o, step, &word, 1);
}

static bool add_all(struct redis_opening *o, const struct redis_link_options *options)
{
    return (o->is_without_hello ? add_auth(o, options) : add_hello(o, options)) && add_select(o, options->db) &&
           (!o->is_without_hello || add_info(o)) && add_word(o, STEP_PING, STR("PING")) &&
           add_word(o, STEP_TIME, STR("TIME"));
}

static void on_opening_reply(struct redis_call *c, size_t n, const redisReply *reply);
static void on_opening_done(struct redis_call *c, enum redis_result result);

static void converse(struct redis_link *link)
{
    struct redis_opening *o = &link->opening;
    const struct redis_link_options *options = link->options;
    redis_call_fini(&o->call);
    redis_call_init_inner(&o->call, on_opening_reply, on_opening_done, link);
    o->has_fault = false;
    link->time_sent_ms = loop_now_ms(link->loop);
    bool is_whole = (options->is_bare ? add_auth(o, options) : add_all(o, options)) &&
                    redis_link_send_inner(link, &o->call, options->password != NULL);
    buf_wipe(&o->call.wire);
    if (!is_whole)
        redis_link_fail(link, REDIS_DOWN_AWAY, "cannot be reached: out of memory");
}

void redis_link_begin_opening(struct redis_link *link)
{
    if (link->options->is_bare && !link->options->password) {
        redis_link_is_open(link);
        return;
    }
    link->state = REDIS_LINK_OPENING;
    link->opening.is_refused = link->opening.is_identifying = false;
    converse(link);
}

/* A Sentinel refuses a login that is meant for Redis, but says without one what it is. */
static void identify(struct redis_link *link)
{
    static const struct str WORDS[] = {{"HELLO", 5}, {"2", 1}};
    struct redis_opening *o = &link->opening;
    o->is_identifying = true;
    redis_call_fini(&o->call);
    redis_call_init_inner(&o->call, on_opening_reply, on_opening_done, link);
    if (!add(o, STEP_HELLO, WORDS, COUNT_OF(WORDS)) || !redis_link_send_inner(link, &o->call, false))
        redis_link_fail(link, o->kind, "%s", o->fault);
}

/* The fault that was found stands, unless this explains it. */
static void take_identity(struct redis_link *link, const redisReply *reply)
{
    struct redis_opening *o = &link->opening;
    if (redis_reply_is_error(reply) || reply->type != REDIS_REPLY_ARRAY)
        return;
    o->has_fault = false;
    take_hello(link, reply);
    o->has_fault = true;
}

static void take_answer(struct redis_link *link, enum step step, const redisReply *reply)
{
    switch (step) {
    case STEP_HELLO:
        take_hello(link, reply);
        return;
    case STEP_INFO:
        take_info(link, reply);
        return;
    case STEP_TIME:
        if (!redis_link_take_time(link, reply))
            note_fault(&link->opening, REDIS_DOWN_AWAY, "does not answer TIME as Redis does");
        return;
    case STEP_AUTH:
    case STEP_SELECT:
    case STEP_PING:
        return;
    }
}

static void on_opening_reply(struct redis_call *c, size_t n, const redisReply *reply)
{
    static const char *const NAMES[] = {"HELLO", "AUTH", "SELECT", "INFO", "PING", "TIME"};
    struct redis_link *link = c->arg;
    struct redis_opening *o = &link->opening;
    struct str text = redis_reply_text(reply);
    enum step step = (enum step)o->steps[n];
    if (o->is_identifying)
        take_identity(link, reply);
    if (o->has_fault)
        return;
    if (!redis_reply_is_error(reply))
        take_answer(link, step, reply);
    else if (step == STEP_HELLO && str_starts_nocase(text, STR("ERR unknown command")))
        o->is_without_hello = o->has_fault = true; /* the others will be asked again */
    else if ((step == STEP_HELLO || step == STEP_AUTH) && !starts_with_word(text, "NOAUTH") &&
             !starts_with_word(text, "NOPERM") && !starts_with_word(text, "DENIED"))
        note_login_error(link, text);
    else if (step == STEP_SELECT && starts_with_word(text, "ERR"))
        note_fault(o, REDIS_DOWN_CONFIGURATION, "has no database %u: " PRI_STR, link->options->db,
                   STR_ARG(str_sub(text, 0, 160)));
    else
        note_error(link, NAMES[step], reply);
}

static void on_opening_done(struct redis_call *c, enum redis_result result)
{
    struct redis_link *link = c->arg;
    struct redis_opening *o = &link->opening;
    if (result != REDIS_DONE)
        return; /* the connection ended: its end is told */
    if (o->is_without_hello && o->steps[0] == STEP_HELLO)
        converse(link);
    else if (o->is_refused && !o->is_identifying && !o->is_without_hello && !link->options->is_bare)
        identify(link);
    else if (o->has_fault)
        redis_link_fail(link, o->kind, "%s", o->fault);
    else
        redis_link_is_open(link);
}

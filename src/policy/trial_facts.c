/*
 * trial_facts.c - what rules may ask about a made-up session: the same attributes, at the same moments, as
 * session/facts.c answers for a live one.
 */
#include "policy/trial_inside.h"
#include "smtp/address.h"

static struct str part_of(struct str address, bool is_domain)
{
    struct str local, domain;
    smtp_address_split(address, &local, &domain);
    return is_domain ? domain : local;
}

#define MINUTES_A_DAY INT64_C(1440)

static struct fact local_time_fact(const struct trial *t, bool is_weekday)
{
    int64_t minutes = (t->now_us / 1000000 + t->utc_offset_s) / 60;
    int64_t days = minutes / MINUTES_A_DAY;
    if (is_weekday)
        return (struct fact){.kind = FACT_WEEKDAY, .number = (days + 3) % 7}; /* 1970 began on a Thursday */
    return (struct fact){.kind = FACT_TIME, .number = minutes % MINUTES_A_DAY};
}

static struct fact connection_fact(const struct trial *t, int attribute)
{
    const struct trial_settings *set = &t->settings;
    unsigned prefix = set->client.family == ADDR_IPV4 ? t->world->ipv4_prefix : t->world->ipv6_prefix;
    switch (attribute) {
    case ATTRIBUTE_CLIENT:
        return (struct fact){.kind = FACT_IP, .ip = set->client};
    case ATTRIBUTE_CLIENT_NETWORK:
        return (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&set->client, prefix)};
    case ATTRIBUTE_CLIENT_PORT:
        return fact_of_number(set->port);
    case ATTRIBUTE_LISTENER:
        return fact_of_text(set->listener);
    case ATTRIBUTE_NODE:
        return fact_of_text(set->node.len ? set->node : t->world->node);
    case ATTRIBUTE_NOW:
        return local_time_fact(t, false);
    case ATTRIBUTE_WEEKDAY:
        return local_time_fact(t, true);
    case ATTRIBUTE_STRESS:
        return fact_of_truth(false);
    case ATTRIBUTE_HELO:
        return fact_of_text(t->said_hello ? set->helo : STR_NONE);
    case ATTRIBUTE_TLS:
        return fact_of_truth(set->is_tls);
    case ATTRIBUTE_TLS_VERSION:
        return fact_of_text(set->is_tls ? set->tls_version : STR_NONE);
    case ATTRIBUTE_TLS_CIPHER:
        return fact_of_text(set->is_tls ? set->tls_cipher : STR_NONE);
    case ATTRIBUTE_SESSION_EARLY:
        return fact_of_truth(false);
    case ATTRIBUTE_SESSION_ERRORS:
        return fact_of_number(0);
    case ATTRIBUTE_SESSION_COMMANDS:
        return fact_of_number(t->commands);
    case ATTRIBUTE_SESSION_AGE:
        return (struct fact){.kind = FACT_DURATION, .number = (t->now_us - t->opened_us) / 1000};
    case ATTRIBUTE_SESSION_MESSAGES:
        return fact_of_number(t->messages);
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact login_fact(const struct trial *t, int attribute)
{
    struct str user = t->is_logged_in ? t->settings.user : STR_NONE;
    switch (attribute) {
    case ATTRIBUTE_AUTH_MECHANISM:
        return fact_of_text(t->gave_login ? t->settings.mechanism : STR_NONE);
    case ATTRIBUTE_AUTH_USER:
        return fact_of_text(t->gave_login ? t->settings.user : STR_NONE);
    case ATTRIBUTE_AUTHENTICATED:
        return fact_of_truth(user.len != 0);
    case ATTRIBUTE_USER:
        return fact_of_text(user);
    case ATTRIBUTE_USER_DOMAIN:
        return fact_of_text(part_of(user, true));
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static bool needs_utf8(const struct trial *t)
{
    bool is_ascii = str_is_ascii(t->sender);
    for (size_t i = 0; i < t->asked_count && is_ascii; i++)
        is_ascii = str_is_ascii(t->asked[i]);
    return !is_ascii;
}

static struct fact mail_fact(const struct trial *t, int attribute)
{
    switch (attribute) {
    case ATTRIBUTE_SENDER:
        return fact_of_text(t->sender);
    case ATTRIBUTE_SENDER_LOCAL:
        return fact_of_text(part_of(t->sender, false));
    case ATTRIBUTE_SENDER_DOMAIN:
        return fact_of_text(part_of(t->sender, true));
    case ATTRIBUTE_SENDER_NULL:
        return fact_of_truth(t->sender.len == 0);
    case ATTRIBUTE_MAIL_SIZE:
        return fact_of_number(t->settings.size_bytes);
    case ATTRIBUTE_MAIL_BODY:
        return fact_of_text(STR("7BIT"));
    case ATTRIBUTE_MAIL_SMTPUTF8:
        return fact_of_truth(needs_utf8(t));
    case ATTRIBUTE_MAIL_RECIPIENTS:
        return fact_of_number(t->accepted_count + t->has_one_at_hand);
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact recipient_fact(struct str rcpt, int attribute)
{
    switch (attribute) {
    case ATTRIBUTE_RCPT:
        return fact_of_text(rcpt);
    case ATTRIBUTE_RCPT_LOCAL:
        return fact_of_text(part_of(rcpt, false));
    case ATTRIBUTE_RCPT_DOMAIN:
        return fact_of_text(part_of(rcpt, true));
    case ATTRIBUTE_RCPT_TAG:
        return fact_of_text(smtp_address_tag(part_of(rcpt, false)));
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact milter_fact(const struct trial *t, struct str name)
{
    static const char *const WORDS[] = {
        [POLICY_GO_ON] = "accept", [POLICY_REJECT] = "reject", [POLICY_DEFER] = "defer"};
    for (size_t i = 0; i < t->settings.milter_count; i++)
        if (str_equal(t->settings.milters[i].name, name))
            return fact_of_text(str_of_z(WORDS[t->settings.milters[i].verdict]));
    return (struct fact){.kind = FACT_NONE};
}

/* What only who has all of it can say. */
static bool is_of_whole_header(int attribute)
{
    return attribute == ATTRIBUTE_HEADER_COUNT || attribute == ATTRIBUTE_HEADER_SIZE ||
           attribute == ATTRIBUTE_HEADER_LINES;
}

static struct fact message_fact(const struct trial *t, int attribute, struct str name)
{
    struct fact x = {.kind = FACT_NONE};
    if (t->settings.has_few_fields && is_of_whole_header(attribute))
        return x;
    if (t->header && header_facts_get(t->header, attribute, name, &x))
        return x;
    if (attribute == ATTRIBUTE_MESSAGE_SIZE && t->is_message)
        return fact_of_number(t->settings.size_bytes);
    if (attribute == ATTRIBUTE_MILTER && t->is_message)
        return milter_fact(t, name);
    if (attribute == ATTRIBUTE_RESULT_CODE && t->has_result)
        return fact_of_number(t->settings.result_code ? (uint64_t)t->settings.result_code : 250);
    if (attribute == ATTRIBUTE_RESULT_TEXT && t->has_result)
        return fact_of_text(t->settings.result_text.ptr ? t->settings.result_text : STR("Ok"));
    return x;
}

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    const struct trial *t = facts->about;
    *out = connection_fact(t, attribute);
    if (out->kind == FACT_NONE)
        *out = login_fact(t, attribute);
    if (out->kind == FACT_NONE && t->mail)
        *out = mail_fact(t, attribute);
    if (out->kind == FACT_NONE && t->mail && facts->rcpt < t->asked_count)
        *out = recipient_fact(t->asked[facts->rcpt], attribute);
    if (out->kind == FACT_NONE && t->mail)
        *out = message_fact(t, attribute, name);
}

void trial_facts(const struct trial *t, struct facts *facts)
{
    *facts = (struct facts){.get = get, .about = t};
}

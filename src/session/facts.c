/*
 * facts.c - what rules may ask about a live mail: a getter per attribute of rules/attributes.def that is known to a
 * session.
 */
#include "session/session.h"

#include <time.h>

static struct str domain_of(struct str address)
{
    struct str local, domain;
    smtp_address_split(address, &local, &domain);
    return domain;
}

static struct fact local_time_fact(const struct session *s, bool is_weekday)
{
    time_t now = (time_t)(loop_wall_us(s->worker->loop) / 1000000);
    struct tm tm;
    if (!localtime_r(&now, &tm))
        return (struct fact){.kind = FACT_NONE};
    if (is_weekday)
        return (struct fact){.kind = FACT_WEEKDAY, .number = (tm.tm_wday + 6) % 7};
    return (struct fact){.kind = FACT_TIME, .number = tm.tm_hour * 60 + tm.tm_min};
}

static struct fact connection_fact(const struct session *s, int attribute)
{
    const struct config *cfg = s->worker->config;
    unsigned prefix = s->client.family == ADDR_IPV4 ? cfg->ipv4_prefix : cfg->ipv6_prefix;
    switch (attribute) {
    case ATTRIBUTE_CLIENT:
        return (struct fact){.kind = FACT_IP, .ip = s->client};
    case ATTRIBUTE_CLIENT_NETWORK:
        return (struct fact){.kind = FACT_NETWORK, .network = ip_net_of(&s->client, prefix)};
    case ATTRIBUTE_CLIENT_PORT:
        return fact_of_number(s->port);
    case ATTRIBUTE_LISTENER:
        return fact_of_text(s->listener->name);
    case ATTRIBUTE_NODE:
        return fact_of_text(str_of_z(cfg->hostname));
    case ATTRIBUTE_NOW:
        return local_time_fact(s, false);
    case ATTRIBUTE_WEEKDAY:
        return local_time_fact(s, true);
    case ATTRIBUTE_STRESS: /* more than four fifths of the places are taken */
        return fact_of_truth(s->worker->session_count > s->worker->max_sessions - s->worker->max_sessions / 5);
    case ATTRIBUTE_HELO:
        return fact_of_text(str_of_z(s->helo));
    case ATTRIBUTE_TLS:
        return fact_of_truth(conn_is_tls(&s->conn));
    case ATTRIBUTE_TLS_VERSION:
        return fact_of_text(conn_tls_version(&s->conn));
    case ATTRIBUTE_TLS_CIPHER:
        return fact_of_text(conn_tls_cipher(&s->conn));
    case ATTRIBUTE_TLS_CERTIFICATE:
        return fact_of_text(str_of_z(s->certificate));
    case ATTRIBUTE_SESSION_EARLY:
        return fact_of_truth(s->flags & SESSION_IS_EARLY);
    case ATTRIBUTE_SESSION_ERRORS:
        return fact_of_number(s->errors);
    case ATTRIBUTE_SESSION_COMMANDS:
        return fact_of_number(s->commands);
    case ATTRIBUTE_SESSION_AGE:
        return (struct fact){.kind = FACT_DURATION, .number = (loop_wall_us(s->worker->loop) - s->opened_us) / 1000};
    case ATTRIBUTE_SESSION_MESSAGES:
        return fact_of_number(s->messages);
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact login_fact(const struct session *s, int attribute)
{
    switch (attribute) {
    case ATTRIBUTE_AUTH_MECHANISM:
        return fact_of_text(str_of_z(s->mechanism));
    case ATTRIBUTE_AUTH_USER:
        return fact_of_text(login_name(s));
    case ATTRIBUTE_AUTHENTICATED:
        return fact_of_truth(s->user != NULL);
    case ATTRIBUTE_USER:
        return fact_of_text(str_of_z(s->user));
    case ATTRIBUTE_USER_DOMAIN:
        return fact_of_text(domain_of(str_of_z(s->user)));
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact mail_fact(const struct transaction *tx, int attribute)
{
    static const char *const BODIES[] = {"7BIT", "7BIT", "8BITMIME"};
    switch (attribute) {
    case ATTRIBUTE_SENDER:
        return fact_of_text(tx->sender.whole);
    case ATTRIBUTE_SENDER_LOCAL:
        return fact_of_text(tx->sender.local);
    case ATTRIBUTE_SENDER_DOMAIN:
        return fact_of_text(tx->sender.domain);
    case ATTRIBUTE_SENDER_NULL:
        return fact_of_truth(tx->sender.null);
    case ATTRIBUTE_MAIL_SIZE:
        return tx->params.has_size ? fact_of_number(tx->params.size_bytes) : (struct fact){.kind = FACT_NONE};
    case ATTRIBUTE_MAIL_BODY:
        return fact_of_text(str_of_z(BODIES[tx->params.body]));
    case ATTRIBUTE_MAIL_SMTPUTF8:
        return fact_of_truth(tx->params.smtputf8);
    case ATTRIBUTE_MAIL_RECIPIENTS:
        return fact_of_number(tx->recipient_count - tx->refused_by_mta_count + (tx->at_hand ? 1 : 0));
    case ATTRIBUTE_MESSAGE_SIZE:
        return tx->is_whole ? fact_of_number(tx->dot.size_bytes) : (struct fact){.kind = FACT_NONE};
    case ATTRIBUTE_RESULT_CODE:
        return tx->answered_us ? fact_of_number((uint64_t)tx->relay_code) : (struct fact){.kind = FACT_NONE};
    case ATTRIBUTE_RESULT_TEXT:
        return fact_of_text(tx->answered_us ? tx->relay_text : STR_NONE);
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

static struct fact recipient_fact(const struct recipient *r, int attribute)
{
    switch (attribute) {
    case ATTRIBUTE_RCPT:
        return fact_of_text(r->path.whole);
    case ATTRIBUTE_RCPT_LOCAL:
        return fact_of_text(r->path.local);
    case ATTRIBUTE_RCPT_DOMAIN:
        return fact_of_text(r->path.domain);
    case ATTRIBUTE_RCPT_TAG:
        return fact_of_text(smtp_address_tag(r->path.local));
    default:
        return (struct fact){.kind = FACT_NONE};
    }
}

void session_fact(const struct session *s, struct transaction *tx, const struct recipient *r, int attribute,
                  struct str name, struct fact *out)
{
    *out = connection_fact(s, attribute);
    if (out->kind == FACT_NONE)
        *out = login_fact(s, attribute);
    if (out->kind == FACT_NONE && tx)
        *out = mail_fact(tx, attribute);
    if (out->kind == FACT_NONE && tx && tx->block_is_done && header_facts_get(&tx->header_facts, attribute, name, out))
        return;
    if (out->kind == FACT_NONE && r)
        *out = recipient_fact(r, attribute);
}

static void get(const struct facts *facts, int attribute, struct str name, struct fact *out)
{
    const struct session *s = facts->about;
    struct transaction *tx = s->tx;
    const struct recipient *r = tx && facts->rcpt < tx->asked_count ? tx->asked[facts->rcpt] : NULL;
    session_fact(s, tx, r, attribute, name, out);
}

void session_facts(const struct session *s, struct facts *facts)
{
    *facts = (struct facts){.get = get, .about = s};
}

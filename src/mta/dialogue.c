/* dialogue.c - the table of states: what is sent, which reply may come, where it leads. See dialogue.h. */
#include "mta/dialogue.h"

#include "mta/identity.h"

/* ---- what the EHLO reply says ---- */

static const struct {
    const char *keyword;
    unsigned extension;
} EXTENSIONS[] = {
    {"SIZE", SMTP_EXT_SIZE}, {"8BITMIME", SMTP_EXT_8BITMIME}, {"SMTPUTF8", SMTP_EXT_SMTPUTF8},
    {"DSN", SMTP_EXT_DSN},   {"AUTH", SMTP_EXT_AUTH},
};

static void read_keyword(struct mta_features *f, struct str line)
{
    size_t end = MIN_OF(str_find(line, ' '), str_find(line, '=')); /* AUTH=LOGIN is an old spelling */
    struct str keyword = str_sub(line, 0, end);
    struct str rest = str_trim(str_from(line, end + 1));
    for (size_t i = 0; i < COUNT_OF(EXTENSIONS); i++)
        if (str_equal_nocase(keyword, str_of_z(EXTENSIONS[i].keyword)))
            f->extensions |= EXTENSIONS[i].extension;
    if (str_equal_nocase(keyword, STR("SIZE"))) {
        if (!str_to_u64(rest, UINT64_MAX, &f->size_bytes))
            f->size_bytes = 0; /* without a number: no limit told (RFC 1870 4) */
    } else if (str_equal_nocase(keyword, STR("PIPELINING"))) {
        f->pipelining = true;
    } else if (str_equal_nocase(keyword, STR("STARTTLS"))) {
        f->starttls = true;
    } else if (str_equal_nocase(keyword, STR("XFORWARD"))) {
        f->xforward = mta_identity_read(MTA_XFORWARD, rest);
    } else if (str_equal_nocase(keyword, STR("XCLIENT"))) {
        f->xclient = mta_identity_read(MTA_XCLIENT, rest);
    }
}

void mta_features_read(struct mta_features *f, struct str text)
{
    *f = (struct mta_features){0};
    str_split(text, '\n', &text);
    while (text.len)
        read_keyword(f, str_trim(str_split(text, '\n', &text)));
}

void mta_forget_features(struct mta_dialogue *d)
{
    d->features = (struct mta_features){0};
}

/* ---- which step is missing ---- */

static struct mta_turn enters(enum mta_state next)
{
    return (struct mta_turn){.move = MTA_ENTERS, .next = next};
}

static struct mta_turn refuses(const char *why)
{
    return (struct mta_turn){.move = MTA_REFUSES, .why = why};
}

struct mta_turn mta_next_step(const struct mta_dialogue *d)
{
    if (d->tls != MTA_TLS_OFF && !d->tls_is_on) {
        if (d->features.starttls)
            return enters(MTA_AT_STARTTLS);
        if (d->tls != MTA_TLS_MAY)
            return refuses("it does not offer STARTTLS, which is required");
    }
    if (d->xclient != MTA_XCLIENT_OFF && !d->is_presented) {
        if (d->features.xclient == 0 && d->xclient == MTA_XCLIENT_ON)
            return refuses("it does not offer XCLIENT, which is required");
        if (d->features.xclient != 0 && d->client)
            return enters(MTA_AT_XCLIENT);
    }
    return enters(MTA_AT_READY);
}

/* ---- what is sent ---- */

typedef bool enter_fn(const struct mta_dialogue *d, const struct mta_command *command, unsigned number, struct buf *to);

/* After XCLIENT the name is the client's: the MTA takes HELO= from there (seen: the attribute is overwritten). */
static bool enter_hello(const struct mta_dialogue *d, struct str verb, struct buf *to)
{
    bool names_client = d->is_presented && d->client && d->client->helo.len;
    return buf_append_str(to, verb) &&
           (names_client ? mta_identity_write_helo(to, d->client->helo) : buf_append_str(to, str_of_z(d->hostname))) &&
           buf_append(to, "\r\n", 2);
}

static bool enter_ehlo(const struct mta_dialogue *d, const struct mta_command *command, unsigned number, struct buf *to)
{
    (void)command, (void)number;
    return enter_hello(d, STR("EHLO "), to);
}

static bool enter_helo(const struct mta_dialogue *d, const struct mta_command *command, unsigned number, struct buf *to)
{
    (void)command, (void)number;
    return enter_hello(d, STR("HELO "), to);
}

static bool enter_xclient(const struct mta_dialogue *d, const struct mta_command *command, unsigned number,
                          struct buf *to)
{
    (void)command, (void)number;
    return mta_identity_write(to, MTA_XCLIENT, d->features.xclient, d->client, d->xclient_number);
}

static bool enter_xforward(const struct mta_dialogue *d, const struct mta_command *command, unsigned number,
                           struct buf *to)
{
    (void)command;
    return mta_identity_write(to, MTA_XFORWARD, d->features.xforward, d->client, number);
}

static bool enter_mail(const struct mta_dialogue *d, const struct mta_command *command, unsigned number, struct buf *to)
{
    (void)number;
    const struct smtp_mail_params *params = command->mail;
    struct str auth = str_equal(params->auth, STR("<>")) ? STR("") : params->auth;
    return buf_append(to, "MAIL FROM:<", 11) && buf_append_str(to, command->path) && buf_append(to, ">", 1) &&
           smtp_mail_params_write(to, params, d->features.extensions, params->has_auth ? &auth : NULL) &&
           buf_append(to, "\r\n", 2);
}

static bool enter_rcpt(const struct mta_dialogue *d, const struct mta_command *command, unsigned number, struct buf *to)
{
    (void)number;
    return buf_append(to, "RCPT TO:<", 9) && buf_append_str(to, command->path) && buf_append(to, ">", 1) &&
           smtp_rcpt_params_write(to, &command->rcpt, d->features.extensions) && buf_append(to, "\r\n", 2);
}

/* ---- where a reply leads ---- */

typedef struct mta_turn reply_fn(struct mta_dialogue *d, const struct smtp_answer *answer);

static struct mta_turn to_ehlo(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return enters(MTA_AT_EHLO);
}

static struct mta_turn greeting_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return refuses("it refused the connection");
}

static struct mta_turn ehlo_done(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    mta_features_read(&d->features, answer->text);
    return mta_next_step(d);
}

static struct mta_turn helo_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)answer;
    if (d->is_presented) /* the name was the client's, and so is the refusal */
        return (struct mta_turn){.move = MTA_REFUSES_CLIENT};
    return refuses("it refused our EHLO");
}

static struct mta_turn ehlo_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    if (answer->code == 500 || answer->code == 502)
        return enters(MTA_AT_HELO);
    return helo_refused(d, answer);
}

/* A server that speaks HELO only has no features: the next step says whether that will do. */
static struct mta_turn helo_done(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)answer;
    mta_forget_features(d);
    return mta_next_step(d);
}

static struct mta_turn starttls_done(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)answer;
    mta_forget_features(d);
    return (struct mta_turn){.move = MTA_SHAKES_HANDS, .next = MTA_AT_EHLO};
}

static struct mta_turn starttls_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)answer;
    if (d->tls != MTA_TLS_MAY)
        return refuses("it refused STARTTLS, which is required");
    d->tls = MTA_TLS_OFF;
    return mta_next_step(d);
}

/* Its 220 is a new greeting. Several commands are sent one by one, EHLO after the last. */
static struct mta_turn xclient_done(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)answer;
    if (++d->xclient_number < mta_identity_count(MTA_XCLIENT, d->features.xclient, d->client))
        return enters(MTA_AT_XCLIENT);
    d->is_presented = true;
    mta_forget_features(d);
    return enters(MTA_AT_EHLO);
}

/* It is this client whom the access rules refuse, or its attributes that are not taken: not the server's health. */
static struct mta_turn xclient_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return (struct mta_turn){.move = MTA_REFUSES_CLIENT};
}

/* XFORWARD is for the MTA's log: a server that does not want it gets the mail all the same. */
static struct mta_turn to_mail(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return enters(MTA_AT_MAIL);
}

static struct mta_turn tells(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return (struct mta_turn){.move = MTA_TELLS};
}

static struct mta_turn to_ready(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return enters(MTA_AT_READY);
}

static struct mta_turn rset_refused(struct mta_dialogue *d, const struct smtp_answer *answer)
{
    (void)d, (void)answer;
    return (struct mta_turn){.move = MTA_BREAKS, .why = "it refused RSET"};
}

/* ---- the table ---- */

enum { NO_SUCCESS = 0, ANY_2XX = 2 };

static const struct {
    const char *name;
    const char *line; /* sent as it is; NULL: `enter` writes it, or nothing is said */
    enter_fn *enter;
    unsigned success;                  /* the one code, or ANY_2XX */
    reply_fn *on_success, *on_refusal; /* refusal NULL: 4xx and 5xx cannot be here */
} ROWS[MTA_STATE_COUNT] = {
    [MTA_AT_GREETING] = {"greeting", NULL, NULL, 220, to_ehlo, greeting_refused},
    [MTA_AT_EHLO] = {"EHLO", NULL, enter_ehlo, 250, ehlo_done, ehlo_refused},
    [MTA_AT_HELO] = {"HELO", NULL, enter_helo, 250, helo_done, helo_refused},
    [MTA_AT_STARTTLS] = {"STARTTLS", "STARTTLS\r\n", NULL, 220, starttls_done, starttls_refused},
    [MTA_AT_XCLIENT] = {"XCLIENT", NULL, enter_xclient, 220, xclient_done, xclient_refused},
    [MTA_AT_READY] = {"idle", NULL, NULL, NO_SUCCESS, NULL, NULL},
    [MTA_AT_XFORWARD] = {"XFORWARD", NULL, enter_xforward, ANY_2XX, to_mail, to_mail},
    [MTA_AT_MAIL] = {"MAIL", NULL, enter_mail, ANY_2XX, tells, tells},
    [MTA_AT_RCPT] = {"RCPT", NULL, enter_rcpt, ANY_2XX, tells, tells},
    [MTA_AT_DATA] = {"DATA", "DATA\r\n", NULL, 354, tells, tells},
    [MTA_AT_BODY] = {"body", NULL, NULL, NO_SUCCESS, NULL, NULL},
    [MTA_AT_DOT] = {"dot", ".\r\n", NULL, ANY_2XX, tells, tells},
    [MTA_AT_RSET] = {"RSET", "RSET\r\n", NULL, ANY_2XX, to_ready, rset_refused},
    [MTA_AT_QUIT] = {"QUIT", "QUIT\r\n", NULL, NO_SUCCESS, NULL, NULL},
};

const char *mta_state_name(enum mta_state state)
{
    return ROWS[state].name;
}

bool mta_enter(const struct mta_dialogue *d, enum mta_state state, const struct mta_command *command, unsigned number,
               struct buf *to)
{
    if (ROWS[state].line)
        return buf_append_str(to, str_of_z(ROWS[state].line));
    return !ROWS[state].enter || ROWS[state].enter(d, command, number, to);
}

/* By its first digit (RFC 5321 4.3.2: a client goes by it where it does not know the code), but for 220 and 221, which
 * say something else altogether: a server that greets or takes leave has lost its place. */
static bool is_success(unsigned success, unsigned code)
{
    if (success == ANY_2XX)
        return code / 100 == 2 && code != 220 && code != 221;
    return success != NO_SUCCESS && code == success;
}

struct mta_turn mta_on_reply(struct mta_dialogue *d, enum mta_state state, const struct smtp_answer *answer)
{
    if (is_success(ROWS[state].success, answer->code))
        return ROWS[state].on_success(d, answer);
    if (answer->code == 421)
        return (struct mta_turn){.move = MTA_CLOSES};
    if (answer->code >= 400 && answer->code <= 599 && ROWS[state].on_refusal)
        return ROWS[state].on_refusal(d, answer);
    bool is_asked = ROWS[state].on_success != NULL;
    return (struct mta_turn){.move = MTA_BREAKS,
                             .why = is_asked ? "a reply that cannot be in its place" : "a reply that nobody asked for"};
}

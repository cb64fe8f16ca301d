/* shape.c - the shapes of words. See shape.h. */
#include "rules/shape.h"

#include <string.h>
#include <time.h>

enum { LABEL_MAX = 63, DOMAIN_MAX = 253, ADDRESS_MAX = 320 };

/* Digits at the front of *s, taken from it. False: there are none. Saturates. */
static bool take_digits(struct str *s, int64_t *number)
{
    size_t len = 0;
    int64_t n = 0;
    for (; len < s->len && ascii_is_digit(s->ptr[len]); len++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, s->ptr[len] - '0', &n))
            n = INT64_MAX / 10;
    *number = n;
    *s = str_from(*s, len);
    return len > 0;
}

static int64_t multiply(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* Exactly `count` digits at the front. */
static bool take_two(struct str *s, size_t count, int *number)
{
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        if (i >= s->len || !ascii_is_digit(s->ptr[i]))
            return false;
        *number = *number * 10 + (s->ptr[i] - '0');
    }
    *s = str_from(*s, count);
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (!s->len || s->ptr[0] != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

static bool read_size(struct str s, int64_t *bytes)
{
    int64_t n;
    if (!take_digits(&s, &n) || s.len > 1)
        return false;
    if (s.len == 1) {
        if (s.ptr[0] != 'K' && s.ptr[0] != 'M' && s.ptr[0] != 'G')
            return false;
        n = multiply(n, s.ptr[0] == 'K' ? 1 << 10 : s.ptr[0] == 'M' ? 1 << 20 : 1 << 30);
    }
    *bytes = n;
    return true;
}

/* -?\d+(\.\d+)?, in millionths. More than six digits behind the point would be lost: they are no number. */
static bool read_number(struct str s, int64_t *number)
{
    bool negative = take_char(&s, '-');
    int64_t n, fraction = 0;
    if (!take_digits(&s, &n))
        return false;
    if (take_char(&s, '.')) {
        size_t digits = s.len;
        if (digits > 6 || !take_digits(&s, &fraction))
            return false;
        for (; digits < 6; digits++)
            fraction *= 10;
    }
    if (s.len)
        return false;
    n = multiply(n, NUMBER_ONE);
    n = n > INT64_MAX - fraction ? INT64_MAX : n + fraction;
    *number = negative ? -n : n;
    return true;
}

static bool read_duration(struct str s, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    int64_t sum = 0, n;
    size_t next = 0; /* units stand in this order, each once */
    if (!s.len)
        return false;
    while (s.len) {
        if (!take_digits(&s, &n))
            return false;
        size_t letters = 0;
        while (letters < s.len && ascii_is_alpha(s.ptr[letters]))
            letters++;
        size_t u = next;
        while (u < COUNT_OF(units) && !str_equal(str_sub(s, 0, letters), str_of_z(units[u].unit)))
            u++;
        if (u == COUNT_OF(units))
            return false;
        n = multiply(n, units[u].ms);
        sum = sum > INT64_MAX - n ? INT64_MAX : sum + n;
        s = str_from(s, letters);
        next = u + 1;
    }
    *ms = sum;
    return true;
}

static bool read_percent(struct str s, int64_t *percent)
{
    return take_digits(&s, percent) && take_char(&s, '%') && !s.len;
}

/* HH:MM, 00:00 to 24:00. */
static bool take_time(struct str *s, int *minutes)
{
    int h, m;
    if (!take_two(s, 2, &h) || !take_char(s, ':') || !take_two(s, 2, &m))
        return false;
    *minutes = h * 60 + m;
    return m < 60 && *minutes <= 24 * 60;
}

static bool read_range(struct str s, int *from, int *to)
{
    return take_time(&s, from) && take_char(&s, '-') && take_time(&s, to) && !s.len;
}

static bool read_date(struct str s, int64_t *seconds)
{
    int year, month, day, h, m, sec = 0;
    if (!take_two(&s, 4, &year) || !take_char(&s, '-') || !take_two(&s, 2, &month) || !take_char(&s, '-') ||
        !take_two(&s, 2, &day) || !take_char(&s, 'T') || !take_two(&s, 2, &h) || !take_char(&s, ':') ||
        !take_two(&s, 2, &m))
        return false;
    if (take_char(&s, ':') && !take_two(&s, 2, &sec))
        return false;
    if (s.len || h > 23 || m > 59 || sec > 59)
        return false;
    struct tm tm = {
        .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = h, .tm_min = m, .tm_sec = sec};
    *seconds = (int64_t)timegm(&tm);
    /* timegm makes 30 February a day in March; that is no date */
    return month >= 1 && month <= 12 && tm.tm_mday == day && tm.tm_mon == month - 1;
}

bool shape_is_name(struct str word)
{
    if (!word.len || !ascii_is_alpha(word.ptr[0]))
        return false;
    for (size_t i = 1; i < word.len; i++)
        if (!ascii_is_alnum(word.ptr[i]) && word.ptr[i] != '-' && word.ptr[i] != '_')
            return false;
    return true;
}

bool shape_is_dotted_name(struct str word)
{
    struct str rest = word;
    if (!word.len || word.ptr[word.len - 1] == '.')
        return false;
    while (rest.len)
        if (!shape_is_name(str_split(rest, '.', &rest)))
            return false;
    return true;
}

static bool is_label(struct str s)
{
    if (!s.len || s.len > LABEL_MAX || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_alnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_' && (unsigned char)s.ptr[i] < 0x80)
            return false;
    return true;
}

bool shape_is_domain(struct str word)
{
    take_char(&word, '.');
    if (!word.len || word.len > DOMAIN_MAX || word.ptr[word.len - 1] == '.')
        return false;
    while (word.len)
        if (!is_label(str_split(word, '.', &word)))
            return false;
    return true;
}

bool shape_is_address(struct str word)
{
    size_t at = str_find_last(word, '@');
    if (at == word.len || word.len > ADDRESS_MAX || str_has_control(word))
        return false;
    struct str domain = str_from(word, at + 1);
    return domain.len && domain.ptr[0] != '.' && shape_is_domain(domain);
}

/* An address alone, `a/len` or `a-b`. */
static enum shape_result read_network(struct str word, struct ip_range *range, struct err *err)
{
    struct ip_net net;
    if (ip_parse(word, &range->from)) {
        range->to = range->from;
        range->prefix = range->from.family == ADDR_IPV4 ? 32 : 128;
        return SHAPE_FITS;
    }
    struct str to, from = str_split(word, '/', &to);
    if (to.ptr) {
        struct ip ip;
        uint64_t len;
        if (!ip_parse(from, &ip) || !str_to_u64(to, ip.family == ADDR_IPV4 ? 32 : 128, &len))
            return SHAPE_OTHER;
        if (!ip_net_parse(word, &net, err))
            return SHAPE_WRONG;
        range->from = range->to = net.ip;
        range->prefix = net.prefix;
        for (unsigned bit = net.prefix, all = ip.family == ADDR_IPV4 ? 32 : 128; bit < all; bit++)
            range->to.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        return SHAPE_FITS;
    }
    from = str_split(word, '-', &to);
    if (!to.ptr || !ip_parse(from, &range->from) || !ip_parse(to, &range->to))
        return SHAPE_OTHER;
    range->prefix = -1;
    if (range->from.family == range->to.family && ip_compare(&range->from, &range->to) <= 0)
        return SHAPE_FITS;
    err_set(err, PRI_STR " ends before it begins", STR_ARG(word));
    return SHAPE_WRONG;
}

static enum shape_result read_endpoint(struct str word, struct arena *arena, struct value *v, struct err *err)
{
    struct endpoint e;
    if (!endpoint_parse(word, &e, err))
        return SHAPE_OTHER;
    if (e.kind == ENDPOINT_NAME && !shape_is_domain(str_of_z(e.name)))
        return SHAPE_OTHER;
    struct endpoint *kept = arena_alloc(arena, sizeof *kept);
    if (!kept)
        return SHAPE_NO_MEMORY;
    *kept = e;
    v->endpoint = kept;
    return SHAPE_FITS;
}

/* `200`, `500M`, `$count`. The place of a part is its word's: who needs it nearer counts from there. */
static bool read_rate_part(struct str s, bool is_count, struct rate_part *part)
{
    if (take_char(&s, '$')) {
        part->param = s;
        return shape_is_name(s);
    }
    if (!is_count) {
        part->shape = SHAPE_DURATION;
        return read_duration(s, &part->number);
    }
    part->shape = s.len && ascii_is_digit(s.ptr[s.len - 1]) ? SHAPE_NUMBER : SHAPE_SIZE;
    return read_size(s, &part->number);
}

static bool read_rate(struct str word, struct value *v)
{
    struct str period, count = str_split(word, '/', &period);
    memset(&v->rate, 0, sizeof v->rate);
    return period.ptr && read_rate_part(count, true, &v->rate.count) && read_rate_part(period, false, &v->rate.period);
}

static bool read_code(struct str word, struct value *v)
{
    int reply;
    if (!take_two(&word, 3, &reply) || word.len)
        return false;
    memset(&v->code, 0, sizeof v->code);
    v->code.reply = (uint16_t)reply;
    return true;
}

static bool read_truth(struct str word, bool *truth)
{
    bool yes = str_equal(word, STR("on")) || str_equal(word, STR("true"));
    *truth = yes;
    return yes || str_equal(word, STR("off")) || str_equal(word, STR("false"));
}

static bool read_phase(struct str word, enum phase *phase)
{
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        if (str_equal(word, str_of_z(phase_rows[i].word))) {
            *phase = (enum phase)i;
            return true;
        }
    }
    return false;
}

/* Shapes that are no more than a test of letters, or a number. */
static bool read_simple(enum shape shape, struct str word, struct value *v)
{
    int64_t bytes;
    switch (shape) {
    case SHAPE_NUMBER:
        if (read_number(word, &v->number))
            return true;
        if (!read_size(word, &bytes))
            return false;
        v->number = multiply(bytes, NUMBER_ONE);
        return true;
    case SHAPE_SIZE:
        return read_size(word, &v->bytes);
    case SHAPE_DURATION:
        return read_duration(word, &v->ms);
    case SHAPE_RATE:
        return read_rate(word, v);
    case SHAPE_PERCENT:
        return read_percent(word, &v->percent);
    case SHAPE_DATE:
        return read_date(word, &v->seconds);
    case SHAPE_TIME:
        return take_time(&word, &v->minutes) && !word.len;
    case SHAPE_RANGE:
        return read_range(word, &v->range.from, &v->range.to);
    case SHAPE_ADDRESS:
        return shape_is_address(word);
    case SHAPE_SENDER:
        return str_equal(word, STR("<>")) || shape_is_address(word);
    case SHAPE_DOMAIN:
        return shape_is_domain(word);
    case SHAPE_CODE:
        return read_code(word, v);
    case SHAPE_NAME:
        return shape_is_name(word) && !word_is_kept(word);
    case SHAPE_TRUTH:
        return read_truth(word, &v->truth);
    case SHAPE_PHASE:
        return read_phase(word, &v->phase);
    default: /* WORD, TEXT, FILE, HOST, LOGIN: any letters */
        return word.len > 0;
    }
}

enum shape_result shape_read(enum shape shape, struct str word, struct arena *arena, struct value *v, struct err *err)
{
    enum shape_result result;
    if (shape == SHAPE_NETWORK) {
        result = read_network(word, &v->network, err);
    } else if (shape == SHAPE_IP) {
        result = ip_parse(word, &v->network.from) ? SHAPE_FITS : SHAPE_OTHER;
        v->network.to = v->network.from;
        v->network.prefix = v->network.from.family == ADDR_IPV4 ? 32 : 128;
    } else if (shape == SHAPE_ENDPOINT) {
        result = read_endpoint(word, arena, v, err);
    } else {
        result = read_simple(shape, word, v) ? SHAPE_FITS : SHAPE_OTHER;
    }
    if (result == SHAPE_FITS)
        v->shape = shape;
    return result;
}

enum shape_result shape_guess(struct str word, struct arena *arena, struct value *v, struct err *err)
{
    static const enum shape order[] = {SHAPE_TRUTH,   SHAPE_NUMBER,   SHAPE_SIZE,  SHAPE_DURATION, SHAPE_RATE,
                                       SHAPE_PERCENT, SHAPE_DATE,     SHAPE_TIME,  SHAPE_RANGE,    SHAPE_NETWORK,
                                       SHAPE_ADDRESS, SHAPE_ENDPOINT, SHAPE_DOMAIN};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        int64_t number;
        /* here a size is a size, and a domain has a dot: a single label is a name */
        if (order[i] == SHAPE_NUMBER && !read_number(word, &number))
            continue;
        if (order[i] == SHAPE_DOMAIN && str_find(word, '.') == word.len)
            continue;
        enum shape_result result = shape_read(order[i], word, arena, v, err);
        if (result != SHAPE_OTHER)
            return result;
    }
    v->shape = shape_is_name(word) ? SHAPE_NAME : SHAPE_WORD;
    return SHAPE_FITS;
}

/* header_facts.c - see header_facts.h. */
#include "policy/header_facts.h"

#include "rules/tree.h"

/* A field's value, found once: rules are many, and a header may be long. */
struct header_value {
    struct header_value *next;
    struct str name, value; /* value: STR_NONE, there is none */
};

void header_facts_init(struct header_facts *h, const struct smtp_header *header, struct str block, struct arena *arena)
{
    struct buf address;
    *h = (struct header_facts){.fields = str_sub(block, 0, header->fields_end),
                               .size_bytes = header->fields_end,
                               .line_count = header->line_count,
                               .arena = arena};
    buf_init(&address, SMTP_ADDRESS_MAX);
    if (smtp_header_from(h->fields, &address))
        h->from = arena_copy(arena, buf_str(&address));
    buf_fini(&address);
}

static struct str unfolded(const struct header_facts *h, struct str raw)
{
    struct buf value;
    buf_init(&value, raw.len + 1);
    bool ok = smtp_header_unfold(&value, raw);
    struct str copy = ok ? arena_copy(h->arena, buf_len(&value) ? buf_str(&value) : STR("")) : STR_NONE;
    buf_fini(&value);
    return copy;
}

static struct str first_value(struct header_facts *h, struct str name)
{
    struct header_value *v = h->values;
    struct str raw;
    while (v && !str_equal_nocase(v->name, name))
        v = v->next;
    if (v)
        return v->value;
    struct str value = smtp_header_first(h->fields, name, &raw) ? unfolded(h, raw) : STR_NONE;
    v = arena_alloc(h->arena, sizeof *v);
    if (v) {
        *v = (struct header_value){.next = h->values, .name = name, .value = value};
        h->values = v;
    }
    return value;
}

static struct fact text_fact(struct str text)
{
    return text.ptr ? (struct fact){.kind = FACT_TEXT, .text = text} : (struct fact){.kind = FACT_NONE};
}

static struct fact number_fact(size_t n)
{
    return (struct fact){.kind = FACT_NUMBER, .number = (int64_t)n};
}

bool header_facts_get(struct header_facts *h, int attribute, struct str name, struct fact *out)
{
    struct str local, domain;
    switch (attribute) {
    case ATTRIBUTE_HEADER:
        *out = text_fact(first_value(h, name));
        return true;
    case ATTRIBUTE_HEADER_COUNT:
        *out = number_fact(smtp_header_count(h->fields, name));
        return true;
    case ATTRIBUTE_HEADER_FROM:
        *out = text_fact(h->from);
        return true;
    case ATTRIBUTE_HEADER_FROM_DOMAIN:
        smtp_address_split(h->from, &local, &domain);
        *out = text_fact(domain.len ? domain : STR_NONE);
        return true;
    case ATTRIBUTE_HEADER_SIZE:
        *out = number_fact(h->size_bytes);
        return true;
    case ATTRIBUTE_HEADER_LINES:
        *out = number_fact(h->line_count);
        return true;
    default:
        return false;
    }
}

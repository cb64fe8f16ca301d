/* list.h - an intrusive doubly linked ring. A list is its head node; an empty one points at itself. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/defs.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_insert_between(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}
static inline void list_add_last(struct list *l, struct list *node)
{
    list_insert_between(node, l->prev, l);
}
static inline void list_add_first(struct list *l, struct list *node)
{
    list_insert_between(node, l, l->next);
}
/* Takes a node out and makes it a ring of its own, so that removing it twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define LIST_FIRST(l, type, member) CONTAINER_OF((l)->next, type, member)

/* The current node may be removed in the body; no other may. */
#define LIST_EACH(node, l)                                                                                             \
    for (struct list *node = (l)->next, *node##_next = node->next; node != (l);                                        \
         node = node##_next, node##_next = node->next)

#endif

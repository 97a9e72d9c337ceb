// SPDX-License-Identifier: Apache-2.0
// A doubly linked list through nodes inside the objects. Removal needs no list and is safe on a node that is in none.
//
// Layer: base.  Thread: any, one list at a time.
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** A node inside an object, or the head of a list. All-zero: a node in no list. */
typedef struct pg_list {
    struct pg_list *prev;
    struct pg_list *next;
} pg_list;

/** Give the object of `type` whose member `member` is the node. */
#define PG_LIST_OBJECT(node, type, member)                                                         \
    ((type *) (void *) (((char *) (node)) - offsetof(type, member)))

/** Make `head` an empty list. */
static inline void pg_list_init(pg_list *head)
{
    head->prev = head;
    head->next = head;
}

/** Return true when the list holds nothing. */
static inline bool pg_list_is_empty(const pg_list *head)
{
    return head->next == head || head->next == NULL;
}

/** Return true when the node is in a list. */
static inline bool pg_list_is_linked(const pg_list *node)
{
    return node->next != NULL;
}

/** Put `node`, in no list so far, at the end. */
static inline void pg_list_append(pg_list *head, pg_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/** Take `node` out of its list, if it is in one. */
static inline void pg_list_remove(pg_list *node)
{
    if (node->next == NULL) {
        return;
    }
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = NULL;
    node->next = NULL;
}

/** Take the first node out and return it; NULL when the list is empty. */
static inline pg_list *pg_list_pop(pg_list *head)
{
    if (pg_list_is_empty(head)) {
        return NULL;
    }
    pg_list *node = head->next;
    pg_list_remove(node);
    return node;
}

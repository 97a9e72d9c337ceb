// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "runtime/timer_priv.h"

static bool is_before(const pg_timer *a, const pg_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

// Both are roots (no prev, no next) or NULL.
static pg_timer *meld(pg_timer *a, pg_timer *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    pg_timer *parent = is_before(a, b) ? a : b;
    pg_timer *child = parent == a ? b : a;
    child->prev = parent;
    child->next = parent->child;
    if (child->next != NULL) {
        child->next->prev = child;
    }
    parent->child = child;
    return parent;
}

static pg_timer *cut_first(pg_timer **list)
{
    pg_timer *timer = *list;
    if (timer != NULL) {
        *list = timer->next;
        timer->next = NULL;
        timer->prev = NULL;
    }
    return timer;
}

// The two passes of a pairing heap: meld neighbours left to right, then the results right to left.
static pg_timer *meld_children(pg_timer *list)
{
    pg_timer *pairs = NULL; // through `next`, last pair first
    while (list != NULL) {
        pg_timer *first = cut_first(&list);
        pg_timer *pair = meld(first, cut_first(&list));
        pair->next = pairs;
        pairs = pair;
    }
    pg_timer *root = NULL;
    while (pairs != NULL) {
        root = meld(root, cut_first(&pairs));
    }
    return root;
}

void pg_timers_add(pg_timers *timers, pg_timer *timer)
{
    timer->number = ++timers->started;
    timer->child = NULL;
    timer->next = NULL;
    timer->prev = NULL;
    timer->is_started = true;
    timers->root = meld(timers->root, timer);
}

void pg_timers_remove(pg_timers *timers, pg_timer *timer)
{
    pg_timer *below = meld_children(timer->child);
    timer->child = NULL;
    timer->is_started = false;
    if (timers->root == timer) {
        timers->root = below;
        return;
    }
    if (timer->prev->child == timer) {
        timer->prev->child = timer->next;
    } else {
        timer->prev->next = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->prev = timer->prev;
    }
    timer->next = NULL;
    timer->prev = NULL;
    timers->root = meld(timers->root, below);
}

pg_time pg_timers_next(const pg_timers *timers)
{
    return timers->root == NULL ? PG_FOREVER : timers->root->at;
}

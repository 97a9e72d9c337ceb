// SPDX-License-Identifier: Apache-2.0
// Bounded channels: items by value from fibers to fibers, in order. A full channel makes the sender wait: that is the
// back pressure of the program.
//
// Layer: runtime.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "runtime/fiber.h"

/** A queue of up to `cap` items of `item_bytes` each. */
typedef struct pg_chan {
    unsigned char *items; // items[cap][item_bytes], a ring
    size_t item_bytes;
    size_t cap;
    size_t head;
    size_t count;
    bool closed;
    pg_waitq senders;
    pg_waitq receivers;
} pg_chan;

/** Make an empty channel; `cap` at least 1. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_chan_init(pg_chan *chan, size_t item_bytes, size_t cap);

/** Put a copy of *item at the end, waiting for room. Parks: yes.
 *  Errors: PG_ERR_CLOSED, PG_ERR_TIMEOUT, PG_ERR_CANCELLED; the item is then still the caller's. */
PG_NODISCARD pg_err pg_chan_send(pg_chan *chan, const void *item, pg_time deadline);

/** As pg_chan_send without waiting; PG_ERR_BUSY when full. Parks: no. */
PG_NODISCARD pg_err pg_chan_try_send(pg_chan *chan, const void *item);

/** Take the first item into *out_item, waiting for one. Parks: yes.
 *  Errors: PG_ERR_CLOSED when closed and empty, PG_ERR_TIMEOUT, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_chan_recv(pg_chan *chan, void *out_item, pg_time deadline);

/** No more sends; what is inside can still be received. Wakes everybody. Parks: no. */
void pg_chan_close(pg_chan *chan);

/** Free the memory. Items left inside are the caller's: receive them first. Nobody may be waiting. */
void pg_chan_deinit(pg_chan *chan);

// SPDX-License-Identifier: Apache-2.0
#include "runtime/chan.h"

#include <string.h>

#include "base/mem.h"

pg_err pg_chan_init(pg_chan *chan, size_t item_bytes, size_t cap)
{
    pg_assert(cap > 0);
    unsigned char *items = pg_calloc(cap, item_bytes);
    if (items == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot make a channel of %zu items", cap);
    }
    *chan = (pg_chan){.items = items, .item_bytes = item_bytes, .cap = cap};
    pg_waitq_init(&chan->senders);
    pg_waitq_init(&chan->receivers);
    return PG_OK;
}

pg_err pg_chan_try_send(pg_chan *chan, const void *item)
{
    if (chan->closed) {
        return PG_ERR_CLOSED;
    }
    if (chan->count == chan->cap) {
        return PG_ERR_BUSY;
    }
    size_t place = (chan->head + chan->count) % chan->cap;
    memcpy(chan->items + place * chan->item_bytes, item, chan->item_bytes);
    chan->count++;
    pg_waitq_wake_one(&chan->receivers);
    return PG_OK;
}

pg_err pg_chan_send(pg_chan *chan, const void *item, pg_time deadline)
{
    pg_err err = pg_chan_try_send(chan, item);
    while (err == PG_ERR_BUSY) {
        PG_TRY(pg_waitq_wait(&chan->senders, deadline));
        err = pg_chan_try_send(chan, item);
    }
    return err;
}

pg_err pg_chan_recv(pg_chan *chan, void *out_item, pg_time deadline)
{
    while (chan->count == 0) {
        if (chan->closed) {
            return PG_ERR_CLOSED;
        }
        PG_TRY(pg_waitq_wait(&chan->receivers, deadline));
    }
    memcpy(out_item, chan->items + chan->head * chan->item_bytes, chan->item_bytes);
    chan->head = (chan->head + 1) % chan->cap;
    chan->count--;
    pg_waitq_wake_one(&chan->senders);
    return PG_OK;
}

void pg_chan_close(pg_chan *chan)
{
    chan->closed = true;
    pg_waitq_wake_all(&chan->senders);
    pg_waitq_wake_all(&chan->receivers);
}

void pg_chan_deinit(pg_chan *chan)
{
    pg_assert(pg_list_is_empty(&chan->senders.waiters));
    pg_assert(pg_list_is_empty(&chan->receivers.waiters));
    pg_mfree(chan->items);
    *chan = (pg_chan){0};
}

// SPDX-License-Identifier: Apache-2.0
#include "net/identify.h"

#include "base/mem.h"
#include "crypto/peer_record.h"
#include "crypto/public_key.h"
#include "net/framed.h"
#include "net/limits.h"

pg_err pg_identify_read(pg_stream *stream, pg_time deadline, pg_arena *arena,
                        pg_identify_msg *out_msg)
{
    pg_buf bodies = {.max_len = PG_NET_IDENTIFY_MESSAGES_MAX * PG_NET_IDENTIFY_BYTES_MAX};
    pg_err err = PG_OK;
    size_t count = 0;
    while (err == PG_OK && count <= PG_NET_IDENTIFY_MESSAGES_MAX) {
        err = pg_framed_read(stream, PG_NET_IDENTIFY_BYTES_MAX, deadline, &bodies);
        count += err == PG_OK ? 1U : 0U;
    }
    if (err == PG_OK) {
        err = pg_fail(PG_ERR_LIMIT, "more than %d identify messages", PG_NET_IDENTIFY_MESSAGES_MAX);
    } else if (err == PG_ERR_CLOSED && count == 0) {
        err = pg_fail(PG_ERR_TRUNCATED, "no identify message");
    } else if (err == PG_ERR_CLOSED) {
        pg_bytes copy;
        err = pg_arena_dup(arena, pg_buf_bytes(&bodies), &copy);
        if (err == PG_OK) {
            err = pg_identify_msg_decode(copy, arena, out_msg);
        }
    }
    pg_buf_deinit(&bodies);
    return err;
}

static pg_err key_check(const pg_book_peer *peer, pg_bytes key, bool is_push)
{
    if (key.len == 0 && is_push) {
        return PG_OK;
    }
    pg_public_key decoded;
    pg_peer_id named;
    PG_TRY(pg_public_key_decode(key, &decoded));
    pg_peer_id_of_key(key, &named);
    return pg_peer_id_equal(&named, &peer->id)
               ? PG_OK
               : pg_fail(PG_ERR_AUTH, "identify has the key of another peer");
}

// Addresses as they came, without those that nobody can use and without the name of the peer behind them.
static size_t addrs_read(const pg_book_peer *peer, const pg_bytes *in, size_t in_count,
                         pg_multiaddr *out_addrs, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < in_count && count < max; i++) {
        pg_multihash named;
        pg_multiaddr *addr = &out_addrs[count];
        if (pg_multiaddr_decode(in[i], addr) != PG_OK || addr->len == 0 ||
            pg_multiaddr_scope(addr) == PG_IP_SCOPE_UNUSABLE) {
            continue;
        }
        if (pg_multiaddr_cut_peer(addr, &named) &&
            !pg_bytes_equal(pg_multihash_bytes(&named), pg_peer_id_bytes(&peer->id))) {
            continue;
        }
        count++;
    }
    return count;
}

static pg_err record_apply(pg_book_peer *peer, pg_bytes envelope, pg_time now)
{
    pg_arena arena = pg_arena_make(PG_PEER_RECORD_ARENA_BYTES);
    pg_peer_record record;
    pg_multiaddr *addrs = pg_calloc(PG_NET_BOOK_ADDRS_MAX, sizeof(*addrs));
    pg_err err = addrs == NULL ? PG_ERR_NOMEM : pg_peer_record_decode(envelope, &arena, &record);
    if (err == PG_OK && !pg_peer_id_equal(&record.peer, &peer->id)) {
        err = pg_fail(PG_ERR_AUTH, "identify has the record of another peer");
    }
    if (err == PG_OK) {
        size_t count =
            addrs_read(peer, record.addrs, record.addr_count, addrs, PG_NET_BOOK_ADDRS_MAX);
        err = pg_book_peer_set_record(peer, envelope, record.seq, addrs, count, now);
        err = err == PG_ERR_EXISTS ? PG_OK : err;
    }
    pg_mfree(addrs);
    pg_arena_deinit(&arena);
    return err;
}

static pg_err addrs_apply(pg_book_peer *peer, const pg_identify_msg *msg, pg_time now)
{
    pg_multiaddr *addrs = pg_calloc(PG_NET_BOOK_ADDRS_MAX, sizeof(*addrs));
    if (addrs == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t count =
        addrs_read(peer, msg->listen_addrs, msg->listen_addr_count, addrs, PG_NET_BOOK_ADDRS_MAX);
    pg_err err = PG_OK;
    pg_book_peer_drop_addrs(peer, PG_BOOK_SOURCE_IDENTIFY);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_book_peer_add_addr(peer, &addrs[i], PG_BOOK_SOURCE_IDENTIFY,
                                    now + PG_MS(PG_NET_BOOK_ADDR_TTL_MS), now);
    }
    pg_mfree(addrs);
    return err;
}

pg_err pg_identify_apply(pg_book_peer *peer, const pg_identify_msg *msg, bool is_push, pg_time now)
{
    PG_TRY(key_check(peer, msg->public_key, is_push));
    if (msg->signed_peer_record.len > 0) {
        PG_TRY(record_apply(peer, msg->signed_peer_record, now));
    } else if (msg->listen_addr_count > 0) {
        PG_TRY(addrs_apply(peer, msg, now));
    }
    if (msg->protocol_count > 0 || !is_push) {
        PG_TRY(pg_book_peer_set_protocols(peer, msg->protocols, msg->protocol_count));
    }
    if (msg->agent_version.len > 0) {
        PG_TRY(pg_book_peer_set_agent(peer, msg->agent_version));
    }
    return PG_OK;
}

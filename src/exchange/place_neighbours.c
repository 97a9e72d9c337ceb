// SPDX-License-Identifier: Apache-2.0
#include "exchange/place_neighbours.h"

#include <string.h>

#include "base/mem.h"
#include "codec/frame.h"
#include "exchange/place_server_priv.h"
#include "runtime/offload.h"

static pg_ledger_key key_of(const pg_place_lease *lease)
{
    pg_ledger_key key = {.descriptor = lease->descriptor};
    memcpy(key.lease_key, lease->lease_key, sizeof(key.lease_key));
    return key;
}

// ---- Telling

pg_err pg_place_server_page(pg_place_server *server, int64_t after, pg_buf *out)
{
    pg_buf page PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_ledger_list(server->config.db, after, &page));
    pg_bytes rest = pg_buf_bytes(&page);
    for (; rest.len > 0; rest = pg_bytes_slice(rest, sizeof(pg_ledger_listed), rest.len)) {
        pg_ledger_listed listed;
        memcpy(&listed, rest.ptr, sizeof(listed));
        const pg_place_lease lease = pg_place_lease_of(&listed);
        PG_TRY(pg_buf_append(out, pg_bytes_make(&lease, sizeof(lease))));
    }
    return PG_OK;
}

pg_err pg_place_server_hosts(pg_place_server *server, int64_t lease, pg_buf *out)
{
    return pg_ledger_hosts(server->config.db, lease, out);
}

pg_err pg_place_server_hosts_page(pg_place_server *server, int64_t after, pg_buf *out)
{
    return pg_ledger_hosts_page(server->config.db, after, out);
}

pg_err pg_place_server_find(pg_place_server *server, const pg_cid *descriptor,
                            pg_place_lease *out_lease)
{
    pg_ledger_listed listed;
    PG_TRY(pg_ledger_listed_find(server->config.db, descriptor, &listed));
    *out_lease = pg_place_lease_of(&listed);
    return PG_OK;
}

pg_err pg_place_server_get(pg_place_server *server, int64_t id, pg_place_lease *out_lease)
{
    pg_ledger_listed listed;
    PG_TRY(pg_ledger_listed_get(server->config.db, id, &listed));
    *out_lease = pg_place_lease_of(&listed);
    return PG_OK;
}

pg_err pg_place_server_draw(pg_place_server *server, pg_place_lease *out_lease)
{
    pg_ledger_listed listed;
    PG_TRY(pg_ledger_listed_draw(server->config.db, &listed));
    *out_lease = pg_place_lease_of(&listed);
    return PG_OK;
}

/** Receipts being verified. */
typedef struct reading {
    pg_bytes framed;
    pg_place_holding *holding;
} reading;

// A job of the pool: 64 signatures take 4 ms.
static pg_err job_read(void *arg)
{
    const reading *work = arg;
    pg_bytes rest = work->framed;
    size_t count = 0;
    while (rest.len > 0 && count < PG_PLACE_RECEIPTS_MAX) {
        pg_bytes encoded;
        size_t len = 0;
        PG_TRY(pg_frame_decode(rest, PG_PLACE_SIGNED_BYTES_MAX, &encoded, &len));
        PG_TRY(pg_lease_receipt_decode(encoded, &work->holding->receipts[count]));
        rest = pg_bytes_slice(rest, len, rest.len);
        count++;
    }
    work->holding->receipt_count = count;
    return PG_OK;
}

static pg_err holding_fill(const pg_place_server *server, const pg_cid *descriptor,
                           const pg_ledger_holding *found, pg_place_holding *out_holding)
{
    pg_place_holding *holding = PG_NEW(pg_place_holding);
    if (holding == NULL) {
        return PG_ERR_NOMEM;
    }
    holding->slots = found->lease.slots;
    holding->sequence = found->lease.grant_sequence;
    holding->expiry_s = found->lease.expiry_s;
    holding->has_descriptor = pg_block_store_has(server->config.blocks, descriptor, NULL);
    reading work = {pg_buf_bytes(&found->receipts), holding};
    pg_err err = work.framed.len == 0 ? PG_OK : pg_offload(job_read, &work);
    if (err == PG_OK) {
        *out_holding = *holding;
    }
    pg_mfree(holding);
    return err;
}

pg_err pg_place_server_holding(pg_place_server *server, const pg_cid *descriptor,
                               pg_place_holding *out_holding)
{
    pg_ledger_holding found = {0};
    PG_TRY(pg_ledger_have(server->config.db, descriptor, true, &found));
    pg_err err = holding_fill(server, descriptor, &found, out_holding);
    pg_buf_deinit(&found.receipts);
    return err;
}

pg_err pg_place_server_receipts(pg_place_server *server, const pg_cid *descriptor, pg_buf *out)
{
    pg_ledger_holding found = {0};
    PG_TRY(pg_ledger_have(server->config.db, descriptor, true, &found));
    pg_err err = pg_buf_append(out, pg_buf_bytes(&found.receipts));
    pg_buf_deinit(&found.receipts);
    return err;
}

pg_err pg_place_server_grant(pg_place_server *server, const pg_place_lease *lease, pg_buf *out)
{
    const pg_ledger_key key = key_of(lease);
    return pg_ledger_grant_read(server->config.db, &key, out);
}

pg_err pg_place_server_receipt(pg_place_server *server, const pg_place_lease *lease, pg_buf *out)
{
    const pg_lease_receipt receipt = {
        .descriptor = lease->descriptor,
        .slots = lease->slots,
        .sequence = lease->sequence,
        .expiry_s = lease->expiry_s,
        .time_s = pg_place_now_s(),
    };
    return pg_lease_receipt_encode(server->config.device, &receipt, out);
}

// ---- What others promised

static pg_err receipt_take(const pg_place_server *server, const pg_place_lease *lease,
                           pg_bytes encoded, pg_ledger_receipt *out_receipt)
{
    pg_ledger_receipt read = {.encoded = encoded};
    PG_TRY(pg_lease_receipt_decode(encoded, &read.receipt));
    if (!pg_cid_equal(&read.receipt.descriptor, &lease->descriptor) ||
        pg_peer_id_equal(&read.receipt.host, &server->config.device->peer_id)) {
        return pg_fail(PG_ERR_AUTH, "the receipt is for something else");
    }
    *out_receipt = read;
    return PG_OK;
}

pg_err pg_place_server_note(pg_place_server *server, const pg_place_lease *lease, pg_bytes receipt)
{
    const pg_ledger_key key = key_of(lease);
    pg_ledger_receipt read;
    PG_TRY(receipt_take(server, lease, receipt, &read));
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = pg_ledger_receipts_write(server->config.db, &key, &read, 1);
    pg_place_ledger_unlock(server);
    return err;
}

static pg_err release_write(pg_place_server *server, const pg_lease_release *release)
{
    pg_ledger_change change = {0};
    bool make_room = server->tombs >= PG_PLACE_TOMBS_MAX;
    pg_err err = pg_ledger_release_write(server->config.db, release, make_room, &change);
    if (err == PG_OK) {
        pg_place_apply(server, &change, false);
    }
    pg_ledger_change_deinit(&change);
    return err;
}

pg_err pg_place_server_release(pg_place_server *server, const pg_lease_release *release)
{
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = release_write(server, release);
    pg_place_ledger_unlock(server);
    return err;
}

pg_slot_set pg_place_leaving_of(const pg_place_server *server, const pg_cid *descriptor)
{
    for (size_t i = 0; i < PG_PLACE_LEAVING_MAX; i++) {
        if (pg_cid_equal(&server->leaving[i].descriptor, descriptor)) {
            return server->leaving[i].slots;
        }
    }
    return 0;
}

pg_err pg_place_server_leaving(pg_place_server *server, const pg_cid *descriptor, pg_slot_set slots)
{
    pg_place_leaving *to = NULL;
    for (size_t i = 0; i < PG_PLACE_LEAVING_MAX; i++) {
        pg_place_leaving *one = &server->leaving[i];
        if (pg_cid_equal(&one->descriptor, descriptor)) {
            to = one;
            break;
        }
        to = one->slots == 0 ? one : to;
    }
    if (to == NULL) {
        return pg_fail(PG_ERR_LIMIT, "too many extents are being handed over");
    }
    *to = (pg_place_leaving){.slots = slots};
    if (slots != 0) {
        to->descriptor = *descriptor;
    }
    return PG_OK;
}

// As if the owner had released them: the next grant of the owner has a higher sequence all the same, since those count milliseconds.
static pg_err slots_drop(pg_place_server *server, const pg_place_lease *lease, pg_slot_set slots)
{
    const pg_ledger_key key = key_of(lease);
    pg_ledger_state state = {0};
    PG_TRY(pg_ledger_find(server->config.db, &key, &state));
    pg_lease_release release = {
        .descriptor = lease->descriptor,
        .host = server->config.device->peer_id,
        .slots = slots,
        .sequence = state.lease.sequence + 1,
    };
    memcpy(release.lease_key, lease->lease_key, sizeof(release.lease_key));
    return state.lease.id == 0 ? PG_ERR_NOT_FOUND : release_write(server, &release);
}

pg_err pg_place_server_hand_over(pg_place_server *server, const pg_place_lease *lease,
                                 pg_slot_set slots, pg_bytes receipt)
{
    pg_ledger_receipt read;
    PG_TRY(receipt_take(server, lease, receipt, &read));
    if ((slots & ~read.receipt.slots) != 0 || read.receipt.expiry_s < lease->expiry_s) {
        return pg_fail(PG_ERR_AUTH, "the receipt promises less than this node did");
    }
    PG_TRY(pg_place_server_note(server, lease, receipt));
    PG_TRY(pg_place_ledger_lock(server));
    pg_err err = slots_drop(server, lease, slots);
    pg_place_ledger_unlock(server);
    return err;
}

// SPDX-License-Identifier: Apache-2.0
#include "exchange/place_msg.h"

#include <string.h>

#include "codec/pb.h"
#include "exchange/place.pb-c.h"
#include "store/block_header.h"

_Static_assert(PG_PLACE_ASK_MAX *(PG_CID_BYTES_MAX - 32 + 2) + PG_PLACE_SIGNED_BYTES_MAX + 32 <
                   PG_PLACE_HEAD_BYTES_MAX,
               "an ASK and an ABANDON fit a head: CIDs that are kept have at most 38 bytes");

// ---- Statuses

static const struct {
    pg_err err;
    const char *text;
} statuses[PG_PLACE_STATUS_COUNT] = {
    [PG_PLACE_STATUS_OK] = {PG_OK, "it is done"},
    [PG_PLACE_STATUS_FULL] = {PG_ERR_FULL, "the host has no room for it"},
    [PG_PLACE_STATUS_NOT_ACCEPTED] = {PG_ERR_REFUSED, "the host takes nothing from us"},
    [PG_PLACE_STATUS_TOO_LARGE] = {PG_ERR_LIMIT, "the host takes no more from one uploader"},
    [PG_PLACE_STATUS_BAD_GRANT] = {PG_ERR_AUTH, "the host does not accept what was signed"},
    [PG_PLACE_STATUS_SUPERSEDED] = {PG_ERR_CHANGED, "the host knows a later grant"},
    [PG_PLACE_STATUS_CORRUPT] = {PG_ERR_CORRUPT, "the host got other bytes than the CID names"},
    [PG_PLACE_STATUS_MISSING] = {PG_ERR_MISSING, "the host lacks shards"},
    [PG_PLACE_STATUS_NOT_FOUND] = {PG_ERR_NOT_FOUND, "the host does not have it"},
    [PG_PLACE_STATUS_BUSY] = {PG_ERR_REFUSED, "the host is too busy"},
    [PG_PLACE_STATUS_HELD] = {PG_ERR_EXISTS, "the host finds that others still hold it"},
};

pg_err pg_place_status_err(pg_place_status status)
{
    return status < PG_PLACE_STATUS_COUNT ? statuses[status].err : PG_ERR_PROTOCOL;
}

const char *pg_place_status_text(pg_place_status status)
{
    return status < PG_PLACE_STATUS_COUNT ? statuses[status].text : "an unknown status";
}

// ---- Writing

static pg_err head_append(const ProtobufCMessage *message, pg_buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len > PG_PLACE_HEAD_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a placement message of %zu bytes, at most %u", len,
                       PG_PLACE_HEAD_BYTES_MAX);
    }
    return pg_pb_append_framed(out, message);
}

static pg_err cids_view(const pg_cid *cids, size_t count, pg_arena *arena,
                        ProtobufCBinaryData **out_views)
{
    ProtobufCBinaryData *views = count == 0 ? NULL : pg_arena_alloc(arena, count * sizeof(*views));
    if (views == NULL) {
        return count == 0 ? PG_OK : PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = pg_pb_view(pg_cid_bytes(&cids[i]));
    }
    *out_views = views;
    return PG_OK;
}

static pg_err bytes_view(const pg_bytes *items, size_t count, pg_arena *arena,
                         ProtobufCBinaryData **out_views)
{
    ProtobufCBinaryData *views = count == 0 ? NULL : pg_arena_alloc(arena, count * sizeof(*views));
    if (views == NULL) {
        return count == 0 ? PG_OK : PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = pg_pb_view(items[i]);
    }
    *out_views = views;
    return PG_OK;
}

pg_err pg_place_request_encode(const pg_place_request *request, pg_buf *out)
{
    Pangea__Exchange__Request message = PANGEA__EXCHANGE__REQUEST__INIT;
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_PLACE_ARENA_BYTES);
    if (request->cid_count > PG_PLACE_ASK_MAX ||
        request->receipt_count > PG_PLACE_COMMIT_RECEIPTS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%zu CIDs and %zu receipts in one request", request->cid_count,
                       request->receipt_count);
    }
    message.id = request->id;
    message.kind = request->kind;
    if (request->kind == PG_PLACE_KIND_OPEN) {
        message.lease_key = pg_pb_view(PG_BYTES_OF(request->lease_key));
    }
    message.expected_bytes = request->expected_bytes;
    message.n_cids = request->cid_count;
    PG_TRY(cids_view(request->cids, request->cid_count, &arena, &message.cids));
    message.body_bytes = request->body_bytes;
    message.grant = pg_pb_view(request->grant);
    message.slots = request->slots;
    message.n_receipts = request->receipt_count;
    PG_TRY(bytes_view(request->receipts, request->receipt_count, &arena, &message.receipts));
    message.release = pg_pb_view(request->release);
    message.abandon = pg_pb_view(request->abandon);
    message.owner = pg_pb_view(request->owner);
    message.without_receipts = request->without_receipts;
    return head_append(&message.base, out);
}

pg_err pg_place_response_encode(const pg_place_response *response, pg_buf *out)
{
    Pangea__Exchange__Response message = PANGEA__EXCHANGE__RESPONSE__INIT;
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_PLACE_ARENA_BYTES);
    if (response->missing_count > PG_PLACE_MISSING_MAX ||
        response->receipt_count > PG_PLACE_RECEIPTS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%zu CIDs and %zu receipts in one response",
                       response->missing_count, response->receipt_count);
    }
    message.id = response->id;
    message.status = response->status;
    message.has = pg_pb_view(response->has);
    message.receipt = pg_pb_view(response->receipt);
    message.known_sequence = response->known_sequence;
    message.n_missing = response->missing_count;
    PG_TRY(cids_view(response->missing, response->missing_count, &arena, &message.missing));
    message.slots = response->slots;
    message.has_descriptor = response->has_descriptor;
    message.sequence = response->sequence;
    message.expiry_s = response->expiry_s;
    message.n_receipts = response->receipt_count;
    PG_TRY(bytes_view(response->receipts, response->receipt_count, &arena, &message.receipts));
    message.fill = response->fill;
    message.leaving = response->leaving;
    return head_append(&message.base, out);
}

// ---- Reading

static pg_err head_check(pg_bytes in)
{
    return in.len <= PG_PLACE_HEAD_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_LIMIT, "a placement message of %zu bytes, at most %u", in.len,
                         PG_PLACE_HEAD_BYTES_MAX);
}

static pg_err cids_take(const ProtobufCBinaryData *fields, size_t count, size_t max,
                        pg_arena *arena, const pg_cid **out_cids)
{
    if (count > max) {
        return pg_fail(PG_ERR_LIMIT, "%zu CIDs in one message, at most %zu", count, max);
    }
    pg_cid *cids = count == 0 ? NULL : pg_arena_alloc(arena, count * sizeof(*cids));
    if (cids == NULL) {
        return count == 0 ? PG_OK : PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (pg_cid_decode(pg_pb_bytes(fields[i]), &cids[i]) != PG_OK ||
            !pg_block_cid_is_kept(&cids[i])) {
            return pg_fail(PG_ERR_MALFORMED, "not the CID of a block that can be kept");
        }
    }
    *out_cids = cids;
    return PG_OK;
}

static pg_err signed_check(pg_bytes field)
{
    return field.len >= 1 && field.len <= PG_PLACE_SIGNED_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_MALFORMED, "a signed statement of %zu bytes", field.len);
}

static pg_err receipts_take(const ProtobufCBinaryData *fields, size_t count, size_t max,
                            pg_arena *arena, const pg_bytes **out_receipts)
{
    if (count > max) {
        return pg_fail(PG_ERR_LIMIT, "%zu receipts in one message, at most %zu", count, max);
    }
    pg_bytes *receipts = count == 0 ? NULL : pg_arena_alloc(arena, count * sizeof(*receipts));
    if (receipts == NULL) {
        return count == 0 ? PG_OK : PG_ERR_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        receipts[i] = pg_pb_bytes(fields[i]);
        PG_TRY(signed_check(receipts[i]));
    }
    *out_receipts = receipts;
    return PG_OK;
}

static pg_err request_cids(const Pangea__Exchange__Request *message, size_t max, pg_arena *arena,
                           pg_place_request *request)
{
    if (message->n_cids < 1) {
        return pg_fail(PG_ERR_MALFORMED, "a request without a CID");
    }
    request->cid_count = message->n_cids;
    return cids_take(message->cids, message->n_cids, max, arena, &request->cids);
}

static pg_err push_take(const Pangea__Exchange__Request *message, pg_arena *arena,
                        pg_place_request *request)
{
    if (message->body_bytes > PG_BITSWAP_BLOCK_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a block of %u bytes, at most %u", message->body_bytes,
                       PG_BITSWAP_BLOCK_BYTES_MAX);
    }
    request->body_bytes = message->body_bytes;
    return request_cids(message, 1, arena, request);
}

static pg_err commit_take(const Pangea__Exchange__Request *message, pg_arena *arena,
                          pg_place_request *request)
{
    request->grant = pg_pb_bytes(message->grant);
    request->slots = message->slots;
    request->receipt_count = message->n_receipts;
    PG_TRY(signed_check(request->grant));
    request->owner = pg_pb_bytes(message->owner);
    if (request->owner.len > 0) {
        PG_TRY(signed_check(request->owner));
    }
    return receipts_take(message->receipts, message->n_receipts, PG_PLACE_COMMIT_RECEIPTS_MAX,
                         arena, &request->receipts);
}

static pg_err request_take(const Pangea__Exchange__Request *message, pg_arena *arena,
                           pg_place_request *request)
{
    switch (request->kind) {
    case PG_PLACE_KIND_OPEN:
        if (message->lease_key.len != PG_ED25519_PUBLIC_BYTES) {
            return pg_fail(PG_ERR_MALFORMED, "a lease key of %zu bytes", message->lease_key.len);
        }
        memcpy(request->lease_key, message->lease_key.data, PG_ED25519_PUBLIC_BYTES);
        request->expected_bytes = message->expected_bytes;
        return PG_OK;
    case PG_PLACE_KIND_PUSH:
        return push_take(message, arena, request);
    case PG_PLACE_KIND_ASK:
        return request_cids(message, PG_PLACE_ASK_MAX, arena, request);
    case PG_PLACE_KIND_COMMIT:
        return commit_take(message, arena, request);
    case PG_PLACE_KIND_RELEASE:
        request->release = pg_pb_bytes(message->release);
        return signed_check(request->release);
    case PG_PLACE_KIND_HAVE:
        request->without_receipts = message->without_receipts != 0;
        return request_cids(message, 1, arena, request);
    case PG_PLACE_KIND_ABANDON:
        request->abandon = pg_pb_bytes(message->abandon);
        PG_TRY(signed_check(request->abandon));
        return request_cids(message, PG_PLACE_ASK_MAX, arena, request);
    case PG_PLACE_KIND_COUNT:
        break;
    }
    return pg_fail(PG_ERR_UNSUPPORTED, "a request of kind %u", message->kind);
}

pg_err pg_place_request_decode(pg_bytes in, pg_arena *arena, pg_place_request *out_request)
{
    ProtobufCMessage *base = NULL;
    PG_TRY(head_check(in));
    PG_TRY(pg_pb_unpack(&pangea__exchange__request__descriptor, in, arena, &base));
    const Pangea__Exchange__Request *message = (const Pangea__Exchange__Request *) base;
    bool is_known = message->kind >= PG_PLACE_KIND_OPEN && message->kind < PG_PLACE_KIND_COUNT;
    pg_place_request request = {
        .id = message->id,
        .kind = is_known ? (pg_place_kind) message->kind : PG_PLACE_KIND_COUNT,
    };
    PG_TRY(request_take(message, arena, &request));
    *out_request = request;
    return PG_OK;
}

pg_err pg_place_response_decode(pg_bytes in, pg_arena *arena, pg_place_response *out_response)
{
    ProtobufCMessage *base = NULL;
    PG_TRY(head_check(in));
    PG_TRY(pg_pb_unpack(&pangea__exchange__response__descriptor, in, arena, &base));
    const Pangea__Exchange__Response *message = (const Pangea__Exchange__Response *) base;
    if (message->status >= PG_PLACE_STATUS_COUNT) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a response with status %u", message->status);
    }
    pg_place_response response = {
        .id = message->id,
        .status = (pg_place_status) message->status,
        .has = pg_pb_bytes(message->has),
        .receipt = pg_pb_bytes(message->receipt),
        .known_sequence = message->known_sequence,
        .missing_count = message->n_missing,
        .slots = message->slots,
        .has_descriptor = message->has_descriptor,
        .sequence = message->sequence,
        .expiry_s = message->expiry_s,
        .receipt_count = message->n_receipts,
        .fill = message->fill,
        .leaving = message->leaving,
    };
    if (message->fill > PG_PLACE_FILL_MAX + 1) {
        return pg_fail(PG_ERR_MALFORMED, "a host that is %u %% full", message->fill - 1);
    }
    PG_TRY(cids_take(message->missing, message->n_missing, PG_PLACE_MISSING_MAX, arena,
                     &response.missing));
    PG_TRY(receipts_take(message->receipts, message->n_receipts, PG_PLACE_RECEIPTS_MAX, arena,
                         &response.receipts));
    *out_response = response;
    return PG_OK;
}

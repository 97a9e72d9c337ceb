// SPDX-License-Identifier: Apache-2.0
#include "exchange/lease.h"

#include <string.h>

#include "base/arena.h"
#include "codec/pb.h"
#include "codec/varint.h"
#include "crypto/envelope.h"
#include "exchange/place.pb-c.h"
#include "store/block_header.h"

#define VERSION 1
// Field 1 with wire type 0: how every payload begins.
#define VERSION_FIELD 0x08
// What SQLite and others keep as a number.
#define NUMBER_MAX ((uint64_t) INT64_MAX)
// An envelope of at most PG_PLACE_SIGNED_BYTES_MAX bytes, its payload, and their structures.
#define ARENA_BYTES 8192

/** One kind of statement: a domain and a type of its own. */
typedef struct lease_kind {
    const char *what;
    const char *domain;
    const char *payload_type;
    const ProtobufCMessageDescriptor *message;
} lease_kind;

static const lease_kind grant_kind = {
    "grant",
    "pangea-lease-grant",
    "/pangea/lease-grant",
    &pangea__exchange__lease_grant__descriptor,
};

static const lease_kind release_kind = {
    "release",
    "pangea-lease-release",
    "/pangea/lease-release",
    &pangea__exchange__lease_release__descriptor,
};

static const lease_kind abandon_kind = {
    "abandonment",
    "pangea-lease-abandon",
    "/pangea/lease-abandon",
    &pangea__exchange__lease_abandon__descriptor,
};

static const lease_kind owner_kind = {
    "proof of the owner",
    "pangea-lease-owner",
    "/pangea/lease-owner",
    &pangea__exchange__lease_owner__descriptor,
};

static const lease_kind receipt_kind = {
    "receipt",
    "pangea-lease-receipt",
    "/pangea/lease-receipt",
    &pangea__exchange__lease_receipt__descriptor,
};

/** A statement that was opened. Its views live as long as the arena. */
typedef struct opened {
    pg_envelope envelope;
    pg_public_key key; // Ed25519
    ProtobufCMessage *message;
} opened;

static pg_err seal(const pg_identity *identity, const lease_kind *kind,
                   const ProtobufCMessage *message, pg_buf *out)
{
    pg_buf payload PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_pb_append(&payload, message));
    return pg_envelope_seal(identity, pg_bytes_cstr(kind->domain),
                            pg_bytes_cstr(kind->payload_type), pg_buf_bytes(&payload), out);
}

// The envelope in the one encoding that pg_envelope_seal writes, so that a statement has one spelling. All but the signature is
// known.
static pg_err check_envelope(pg_bytes in, const lease_kind *kind, const opened *statement)
{
    uint8_t space[PG_PLACE_SIGNED_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u8(&writer, 0x0a);
    pg_writer_uvarint_bytes(&writer, statement->envelope.public_key);
    pg_writer_u8(&writer, 0x12);
    pg_writer_uvarint_bytes(&writer, pg_bytes_cstr(kind->payload_type));
    pg_writer_u8(&writer, 0x1a);
    pg_writer_uvarint_bytes(&writer, statement->envelope.payload);
    pg_writer_u8(&writer, 0x2a);
    pg_writer_uvarint(&writer, PG_ED25519_SIGNATURE_BYTES);
    if (writer.failed || in.len != writer.len + PG_ED25519_SIGNATURE_BYTES ||
        !pg_bytes_starts_with(in, pg_writer_bytes(&writer))) {
        return pg_fail(PG_ERR_MALFORMED, "its envelope is not in the one encoding");
    }
    return PG_OK;
}

static pg_err check_version(pg_bytes payload)
{
    uint64_t version = 0;
    size_t len = 0;
    if (payload.len < 2 || payload.ptr[0] != VERSION_FIELD ||
        pg_uvarint_decode(pg_bytes_slice(payload, 1, payload.len), &version, &len) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "no version in front");
    }
    if (version != VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "it has version %llu; this program knows version %d: a newer one is needed",
                       (unsigned long long) version, VERSION);
    }
    return PG_OK;
}

static pg_err open_inside(pg_bytes in, const lease_kind *kind, pg_arena *arena, opened *out)
{
    opened statement = {0};
    if (in.len > PG_PLACE_SIGNED_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "it has %zu bytes, at most %u", in.len,
                       PG_PLACE_SIGNED_BYTES_MAX);
    }
    PG_TRY(pg_envelope_decode(in, pg_bytes_cstr(kind->domain), pg_bytes_cstr(kind->payload_type),
                              arena, &statement.envelope));
    PG_TRY(pg_public_key_decode(statement.envelope.public_key, &statement.key));
    if (statement.key.type != PG_KEY_TYPE_ED25519) {
        return pg_fail(PG_ERR_UNSUPPORTED, "it is signed by a key that is not Ed25519");
    }
    PG_TRY(check_envelope(in, kind, &statement));
    PG_TRY(check_version(statement.envelope.payload));
    PG_TRY(
        pg_pb_unpack_exact(kind->message, statement.envelope.payload, arena, &statement.message));
    *out = statement;
    return PG_OK;
}

static pg_err open_statement(pg_bytes in, const lease_kind *kind, pg_arena *arena, opened *out)
{
    return pg_error_wrap(open_inside(in, kind, arena, out), "%s", kind->what);
}

// ---- What the fields may say

// A block that can be kept: named by a hash of 32 bytes.
static pg_err cid_take(const char *what, ProtobufCBinaryData field, pg_cid *out_cid)
{
    pg_cid cid;
    pg_err err = pg_cid_decode(pg_pb_bytes(field), &cid);
    if (err == PG_OK && !pg_block_cid_is_kept(&cid)) {
        err = pg_fail(PG_ERR_MALFORMED, "a CID without a hash of 32 bytes");
    }
    if (err != PG_OK) {
        return pg_error_wrap(err == PG_ERR_UNSUPPORTED ? err : PG_ERR_MALFORMED, "%s", what);
    }
    *out_cid = cid;
    return PG_OK;
}

static pg_err number_check(const char *what, uint64_t number, uint64_t least)
{
    return number >= least && number <= NUMBER_MAX
               ? PG_OK
               : pg_fail(PG_ERR_MALFORMED, "%s %llu", what, (unsigned long long) number);
}

static pg_err slots_check(pg_slot_set slots)
{
    return slots != 0 ? PG_OK : pg_fail(PG_ERR_MALFORMED, "no slots");
}

static ProtobufCBinaryData cid_view(const pg_cid *cid)
{
    return pg_pb_view(pg_cid_bytes(cid));
}

// ---- Grants

pg_err pg_lease_grant_encode(const pg_identity *lease, const pg_lease_grant *grant, pg_buf *out)
{
    Pangea__Exchange__LeaseGrant message = PANGEA__EXCHANGE__LEASE_GRANT__INIT;
    message.version = VERSION;
    message.descriptor = cid_view(&grant->descriptor);
    message.is_whole = grant->is_whole;
    message.root = cid_view(&grant->root);
    message.expiry_s = grant->expiry_s;
    message.sequence = grant->sequence;
    return seal(lease, &grant_kind, &message.base, out);
}

static pg_err grant_take(const opened *statement, pg_lease_grant *out_grant)
{
    const Pangea__Exchange__LeaseGrant *message =
        (const Pangea__Exchange__LeaseGrant *) statement->message;
    pg_lease_grant grant = {
        .is_whole = message->is_whole,
        .expiry_s = message->expiry_s,
        .sequence = message->sequence,
    };
    memcpy(grant.lease_key, statement->key.data.ptr, PG_ED25519_PUBLIC_BYTES);
    PG_TRY(cid_take("descriptor", message->descriptor, &grant.descriptor));
    if (message->root.len > 0) {
        PG_TRY(cid_take("root", message->root, &grant.root));
    }
    if (grant.is_whole && grant.root.len > 0) {
        return pg_fail(PG_ERR_MALFORMED, "a root beside a block that is kept whole");
    }
    PG_TRY(number_check("expiry", grant.expiry_s, 0));
    PG_TRY(number_check("sequence", grant.sequence, 1));
    *out_grant = grant;
    return PG_OK;
}

pg_err pg_lease_grant_decode(pg_bytes in, pg_lease_grant *out_grant)
{
    opened statement = {0};
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    PG_TRY(open_statement(in, &grant_kind, &arena, &statement));
    return pg_error_wrap(grant_take(&statement, out_grant), "grant");
}

uint64_t pg_lease_grant_sequence(pg_bytes in)
{
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    pg_envelope envelope = {0};
    ProtobufCMessage *message = NULL;
    if (pg_envelope_reread(in, pg_bytes_cstr(grant_kind.payload_type), &arena, &envelope) !=
            PG_OK ||
        pg_pb_unpack(grant_kind.message, envelope.payload, &arena, &message) != PG_OK) {
        return 0;
    }
    return ((const Pangea__Exchange__LeaseGrant *) message)->sequence;
}

// ---- Releases

pg_err pg_lease_release_encode(const pg_identity *lease, const pg_lease_release *release,
                               pg_buf *out)
{
    Pangea__Exchange__LeaseRelease message = PANGEA__EXCHANGE__LEASE_RELEASE__INIT;
    message.version = VERSION;
    message.descriptor = cid_view(&release->descriptor);
    message.host = pg_pb_view(pg_peer_id_bytes(&release->host));
    message.slots = release->slots;
    message.sequence = release->sequence;
    return seal(lease, &release_kind, &message.base, out);
}

static pg_err release_take(const opened *statement, pg_lease_release *out_release)
{
    const Pangea__Exchange__LeaseRelease *message =
        (const Pangea__Exchange__LeaseRelease *) statement->message;
    pg_lease_release release = {.slots = message->slots, .sequence = message->sequence};
    memcpy(release.lease_key, statement->key.data.ptr, PG_ED25519_PUBLIC_BYTES);
    PG_TRY(cid_take("descriptor", message->descriptor, &release.descriptor));
    if (pg_peer_id_decode(pg_pb_bytes(message->host), &release.host) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "its host is no PeerId");
    }
    PG_TRY(slots_check(release.slots));
    PG_TRY(number_check("sequence", release.sequence, 1));
    *out_release = release;
    return PG_OK;
}

pg_err pg_lease_release_decode(pg_bytes in, pg_lease_release *out_release)
{
    opened statement = {0};
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    PG_TRY(open_statement(in, &release_kind, &arena, &statement));
    return pg_error_wrap(release_take(&statement, out_release), "release");
}

// ---- Abandonments

void pg_lease_blocks_digest(const pg_cid *cids, size_t count, uint8_t out_digest[PG_HASH_BYTES])
{
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    for (size_t i = 0; i < count; i++) {
        pg_blake3_stream_update(&stream, pg_cid_bytes(&cids[i]));
    }
    pg_blake3_stream_final(&stream, pg_mut_bytes_make(out_digest, PG_HASH_BYTES));
}

pg_err pg_lease_abandon_encode(const pg_identity *lease, const pg_lease_abandon *abandon,
                               pg_buf *out)
{
    Pangea__Exchange__LeaseAbandon message = PANGEA__EXCHANGE__LEASE_ABANDON__INIT;
    message.version = VERSION;
    message.host = pg_pb_view(pg_peer_id_bytes(&abandon->host));
    message.uploader = pg_pb_view(pg_peer_id_bytes(&abandon->uploader));
    message.blocks = pg_pb_view(PG_BYTES_OF(abandon->blocks));
    return seal(lease, &abandon_kind, &message.base, out);
}

static pg_err abandon_take(const opened *statement, pg_lease_abandon *out_abandon)
{
    const Pangea__Exchange__LeaseAbandon *message =
        (const Pangea__Exchange__LeaseAbandon *) statement->message;
    pg_lease_abandon abandon = {.host = {.len = 0}};
    memcpy(abandon.lease_key, statement->key.data.ptr, PG_ED25519_PUBLIC_BYTES);
    if (pg_peer_id_decode(pg_pb_bytes(message->host), &abandon.host) != PG_OK ||
        pg_peer_id_decode(pg_pb_bytes(message->uploader), &abandon.uploader) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "its host or uploader is no PeerId");
    }
    if (message->blocks.len != PG_HASH_BYTES) {
        return pg_fail(PG_ERR_MALFORMED, "a digest of %zu bytes", message->blocks.len);
    }
    memcpy(abandon.blocks, message->blocks.data, PG_HASH_BYTES);
    *out_abandon = abandon;
    return PG_OK;
}

pg_err pg_lease_abandon_decode(pg_bytes in, pg_lease_abandon *out_abandon)
{
    opened statement = {0};
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    PG_TRY(open_statement(in, &abandon_kind, &arena, &statement));
    return pg_error_wrap(abandon_take(&statement, out_abandon), "abandonment");
}

// ---- Who the owner is

pg_err pg_lease_owner_encode(const pg_identity *lease, const pg_lease_owner *owner, pg_buf *out)
{
    Pangea__Exchange__LeaseOwner message = PANGEA__EXCHANGE__LEASE_OWNER__INIT;
    message.version = VERSION;
    message.descriptor = cid_view(&owner->descriptor);
    message.host = pg_pb_view(pg_peer_id_bytes(&owner->host));
    message.uploader = pg_pb_view(pg_peer_id_bytes(&owner->uploader));
    return seal(lease, &owner_kind, &message.base, out);
}

static pg_err owner_take(const opened *statement, pg_lease_owner *out_owner)
{
    const Pangea__Exchange__LeaseOwner *message =
        (const Pangea__Exchange__LeaseOwner *) statement->message;
    pg_lease_owner owner = {.host = {.len = 0}};
    memcpy(owner.lease_key, statement->key.data.ptr, PG_ED25519_PUBLIC_BYTES);
    PG_TRY(cid_take("descriptor", message->descriptor, &owner.descriptor));
    if (pg_peer_id_decode(pg_pb_bytes(message->host), &owner.host) != PG_OK ||
        pg_peer_id_decode(pg_pb_bytes(message->uploader), &owner.uploader) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "its host or uploader is no PeerId");
    }
    *out_owner = owner;
    return PG_OK;
}

pg_err pg_lease_owner_decode(pg_bytes in, pg_lease_owner *out_owner)
{
    opened statement = {0};
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    PG_TRY(open_statement(in, &owner_kind, &arena, &statement));
    return pg_error_wrap(owner_take(&statement, out_owner), "proof of the owner");
}

// ---- Receipts

pg_err pg_lease_receipt_encode(const pg_identity *host, const pg_lease_receipt *receipt,
                               pg_buf *out)
{
    Pangea__Exchange__LeaseReceipt message = PANGEA__EXCHANGE__LEASE_RECEIPT__INIT;
    message.version = VERSION;
    message.descriptor = cid_view(&receipt->descriptor);
    message.slots = receipt->slots;
    message.sequence = receipt->sequence;
    message.expiry_s = receipt->expiry_s;
    message.time_s = receipt->time_s;
    return seal(host, &receipt_kind, &message.base, out);
}

static pg_err receipt_take(const opened *statement, pg_lease_receipt *out_receipt)
{
    const Pangea__Exchange__LeaseReceipt *message =
        (const Pangea__Exchange__LeaseReceipt *) statement->message;
    pg_lease_receipt receipt = {
        .host = statement->envelope.signer,
        .slots = message->slots,
        .sequence = message->sequence,
        .expiry_s = message->expiry_s,
        .time_s = message->time_s,
    };
    PG_TRY(cid_take("descriptor", message->descriptor, &receipt.descriptor));
    PG_TRY(slots_check(receipt.slots));
    PG_TRY(number_check("sequence", receipt.sequence, 1));
    PG_TRY(number_check("expiry", receipt.expiry_s, 1));
    PG_TRY(number_check("time", receipt.time_s, 0));
    *out_receipt = receipt;
    return PG_OK;
}

pg_err pg_lease_receipt_decode(pg_bytes in, pg_lease_receipt *out_receipt)
{
    opened statement = {0};
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(ARENA_BYTES);
    PG_TRY(open_statement(in, &receipt_kind, &arena, &statement));
    return pg_error_wrap(receipt_take(&statement, out_receipt), "receipt");
}

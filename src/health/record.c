// SPDX-License-Identifier: Apache-2.0
#include "health/record.h"

#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "crypto/envelope.h"
#include "crypto/hash.h"
#include "crypto/peer_id_text.h"
#include "health/limits.h"

#define DOMAIN PG_BYTES_LIT("pangea-health")
#define PAYLOAD_TYPE PG_BYTES_LIT("/pangea/health")
#define PROVIDER_DOMAIN "pangea-health-v1"
#define PAYLOAD_BYTES_MAX 70
#define POINTS_MAX 100
// An envelope, its payload and their structures.
#define ARENA_BYTES (8 * PG_HEALTH_RECORD_BYTES_MAX)

pg_err pg_health_record_key(const pg_peer_id *subject, const pg_peer_id *observer, pg_buf *out)
{
    char subject_text[PG_PEER_ID_TEXT_BYTES];
    char observer_text[PG_PEER_ID_TEXT_BYTES];
    pg_peer_id_format(subject, subject_text);
    pg_peer_id_format(observer, observer_text);
    return pg_buf_printf(out, "/" PG_HEALTH_RECORD_NAMESPACE "/%s/%s", subject_text, observer_text);
}

pg_multihash pg_health_provider_key(const pg_peer_id *subject)
{
    uint8_t text[sizeof(PROVIDER_DOMAIN) - 1 + PG_PEER_ID_BYTES_MAX];
    uint8_t digest[PG_HASH_BYTES];
    pg_multihash hash = {.len = 0};
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(text));
    pg_writer_put(&writer, PG_BYTES_LIT(PROVIDER_DOMAIN));
    pg_writer_put(&writer, pg_peer_id_bytes(subject));
    pg_sha256(pg_writer_bytes(&writer), digest);
    pg_ignore(pg_multihash_make(PG_MULTIHASH_CODE_SHA2_256, PG_BYTES_OF(digest), &hash),
              "code and length are right");
    return hash;
}

// ---- The payload: fields of fixed length but the PeerId, so that there is one spelling

static pg_bytes payload_write(const pg_health_record *record, uint8_t space[PAYLOAD_BYTES_MAX])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(space, PAYLOAD_BYTES_MAX));
    pg_writer_u8(&writer, PG_HEALTH_RECORD_VERSION);
    pg_writer_u8(&writer, record->subject.len);
    pg_writer_put(&writer, pg_peer_id_bytes(&record->subject));
    pg_writer_u64be(&writer, record->sequence);
    pg_writer_u16be(&writer, record->hours);
    pg_writer_u8(&writer, record->uptime);
    pg_writer_u8(&writer, record->latency);
    pg_writer_u8(&writer, record->availability);
    pg_assert(!writer.failed);
    return pg_writer_bytes(&writer);
}

static pg_err payload_read(pg_bytes payload, pg_health_record *record)
{
    pg_reader reader = pg_reader_make(payload);
    uint8_t version = pg_reader_u8(&reader);
    if (payload.len > 0 && version != PG_HEALTH_RECORD_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED, "it has version %u; this program knows version %d",
                       version, PG_HEALTH_RECORD_VERSION);
    }
    pg_bytes subject = pg_reader_take(&reader, pg_reader_u8(&reader));
    record->sequence = pg_reader_u64be(&reader);
    record->hours = pg_reader_u16be(&reader);
    record->uptime = pg_reader_u8(&reader);
    record->latency = pg_reader_u8(&reader);
    record->availability = pg_reader_u8(&reader);
    PG_TRY(pg_reader_finish(&reader));
    PG_TRY(pg_peer_id_decode(subject, &record->subject));
    if (record->sequence == 0 || record->hours > PG_HEALTH_HOURS || record->uptime > POINTS_MAX ||
        record->latency > POINTS_MAX || record->availability > POINTS_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "a number out of range");
    }
    if (pg_peer_id_equal(&record->subject, &record->observer)) {
        return pg_fail(PG_ERR_MALFORMED, "its observer is its subject");
    }
    return PG_OK;
}

pg_err pg_health_record_encode(const pg_identity *observer, const pg_health_record *record,
                               pg_buf *out)
{
    uint8_t space[PAYLOAD_BYTES_MAX];
    return pg_envelope_seal(observer, DOMAIN, PAYLOAD_TYPE, payload_write(record, space), out);
}

static pg_err record_open(pg_bytes in, pg_arena *arena, pg_health_record *out_record)
{
    pg_envelope envelope = {0};
    pg_health_record record = {.sequence = 0};
    PG_TRY(pg_envelope_decode(in, DOMAIN, PAYLOAD_TYPE, arena, &envelope));
    record.observer = envelope.signer;
    PG_TRY(payload_read(envelope.payload, &record));
    *out_record = record;
    return PG_OK;
}

pg_err pg_health_record_decode(pg_bytes in, pg_health_record *out_record)
{
    if (in.len > PG_HEALTH_RECORD_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "health record: has %zu bytes, at most %d", in.len,
                       PG_HEALTH_RECORD_BYTES_MAX);
    }
    pg_arena arena = pg_arena_make(ARENA_BYTES);
    pg_err err = record_open(in, &arena, out_record);
    pg_arena_deinit(&arena);
    return pg_error_wrap(err, "health record");
}

// ---- The namespace

static pg_err health_check(pg_bytes key, pg_bytes value, void *user)
{
    pg_buf expected PG_CLEANUP(pg_buf_deinit) = {0};
    pg_health_record record;
    (void) user;
    PG_TRY(pg_health_record_decode(value, &record));
    PG_TRY(pg_health_record_key(&record.subject, &record.observer, &expected));
    if (!pg_bytes_equal(key, pg_buf_bytes(&expected))) {
        return pg_fail(PG_ERR_AUTH,
                       "a health record of another subject or observer than its key's");
    }
    return PG_OK;
}

// Both were checked: one that cannot be read now, for want of memory, is not the better for it.
static int health_compare(pg_bytes a, pg_bytes b, void *user)
{
    pg_health_record left = {.sequence = 0};
    pg_health_record right = {.sequence = 0};
    (void) user;
    bool has_left = pg_health_record_decode(a, &left) == PG_OK;
    bool has_right = pg_health_record_decode(b, &right) == PG_OK;
    if (!has_left || !has_right) {
        return (int) has_left - (int) has_right;
    }
    if (left.sequence != right.sequence) {
        return left.sequence > right.sequence ? 1 : -1;
    }
    return pg_bytes_compare(a, b);
}

const pg_dht_validator pg_dht_validator_health = {
    .name_space = PG_HEALTH_RECORD_NAMESPACE,
    .is_mutable = true,
    .check = health_check,
    .compare = health_compare,
};

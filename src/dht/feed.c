// SPDX-License-Identifier: Apache-2.0
#include "dht/feed.h"

#include "base/str.h"
#include "codec/pb.h"
#include "crypto/envelope.h"
#include "crypto/peer_id_text.h"
#include "dht/feed.pb-c.h"

#define DOMAIN PG_BYTES_LIT("pangea-feed")
#define PAYLOAD_TYPE PG_BYTES_LIT("/pangea/feed")

static bool is_name(pg_bytes name)
{
    if (name.len == 0 || name.len > PG_FEED_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

pg_err pg_feed_key(const pg_peer_id *owner, pg_bytes name, pg_buf *out)
{
    char text[PG_PEER_ID_TEXT_BYTES];
    if (!is_name(name)) {
        return pg_fail(PG_ERR_INVALID, "the name of a feed is 1 to %d of a-z, 0-9 and '-'",
                       PG_FEED_NAME_BYTES_MAX);
    }
    pg_peer_id_format(owner, text);
    return pg_buf_printf(out, "/" PG_FEED_NAMESPACE "/%s/%.*s", text, (int) name.len,
                         (const char *) name.ptr);
}

pg_err pg_feed_encode(const pg_identity *owner, const pg_feed_record *record, pg_buf *out)
{
    if (!is_name(record->name) || record->sequence == 0) {
        return pg_fail(PG_ERR_INVALID, "a feed record without a good name, or with sequence 0");
    }
    if (record->value.len > PG_FEED_VALUE_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a feed points with at most %d bytes, not %zu",
                       PG_FEED_VALUE_BYTES_MAX, record->value.len);
    }
    Pangea__Dht__Feed message = PANGEA__DHT__FEED__INIT;
    message.has_version = true;
    message.version = PG_FEED_VERSION;
    message.has_name = true;
    message.name = pg_pb_view(record->name);
    message.has_sequence = true;
    message.sequence = record->sequence;
    message.has_published_s = true;
    message.published_s = record->published_s;
    message.has_value = true;
    message.value = pg_pb_view(record->value);
    pg_buf payload PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_pb_append(&payload, &message.base));
    return pg_envelope_seal(owner, DOMAIN, PAYLOAD_TYPE, pg_buf_bytes(&payload), out);
}

static pg_err payload_decode(const pg_envelope *envelope, pg_arena *arena,
                             pg_feed_record *out_record)
{
    ProtobufCMessage *unpacked = NULL;
    PG_TRY(pg_pb_unpack(&pangea__dht__feed__descriptor, envelope->payload, arena, &unpacked));
    const Pangea__Dht__Feed *message = (const Pangea__Dht__Feed *) unpacked;
    if (message->version != PG_FEED_VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED, "a feed record of version %u, this is for %d",
                       message->version, PG_FEED_VERSION);
    }
    const pg_feed_record record = {
        .owner = envelope->signer,
        .name = pg_pb_bytes(message->name),
        .sequence = message->sequence,
        .published_s = message->published_s,
        .value = pg_pb_bytes(message->value),
        .payload = envelope->payload,
    };
    if (!is_name(record.name) || record.sequence == 0 ||
        record.value.len > PG_FEED_VALUE_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "name, sequence or value out of range");
    }
    *out_record = record;
    return PG_OK;
}

pg_err pg_feed_decode(pg_bytes in, pg_arena *arena, pg_feed_record *out_record)
{
    if (in.len > PG_FEED_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "a feed record of %zu bytes, at most %d", in.len,
                       PG_FEED_BYTES_MAX);
    }
    pg_envelope envelope = {0};
    PG_TRY(pg_error_wrap(pg_envelope_decode(in, DOMAIN, PAYLOAD_TYPE, arena, &envelope),
                         "feed record"));
    return pg_error_wrap(payload_decode(&envelope, arena, out_record), "feed record");
}

int pg_feed_compare(const pg_feed_record *a, const pg_feed_record *b)
{
    if (a->sequence != b->sequence) {
        return a->sequence > b->sequence ? 1 : -1;
    }
    return pg_bytes_compare(a->payload, b->payload);
}

// ---- the namespace

static pg_err feed_check(pg_bytes key, pg_bytes value, void *user)
{
    (void) user;
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(PG_FEED_ARENA_BYTES);
    pg_buf expected PG_CLEANUP(pg_buf_deinit) = {0};
    pg_feed_record record;
    PG_TRY(pg_feed_decode(value, &arena, &record));
    PG_TRY(pg_feed_key(&record.owner, record.name, &expected));
    if (!pg_bytes_equal(key, pg_buf_bytes(&expected))) {
        return pg_fail(PG_ERR_AUTH, "a feed record of another peer or name than its key's");
    }
    return PG_OK;
}

// Both were checked when they came: a signature is verified once, not at every comparison.
static pg_err checked_read(pg_bytes in, pg_arena *arena, pg_feed_record *out_record)
{
    pg_envelope envelope = {0};
    PG_TRY(pg_envelope_reread(in, PAYLOAD_TYPE, arena, &envelope));
    return payload_decode(&envelope, arena, out_record);
}

static int values_compare(pg_bytes a, pg_bytes b, void *user)
{
    (void) user;
    pg_arena arena PG_CLEANUP(pg_arena_deinit) = pg_arena_make(2 * PG_FEED_ARENA_BYTES);
    pg_feed_record left;
    pg_feed_record right;
    bool has_left = checked_read(a, &arena, &left) == PG_OK;
    bool has_right = checked_read(b, &arena, &right) == PG_OK;
    if (!has_left || !has_right) { // memory is short, and neither is the better for it
        return (int) has_left - (int) has_right;
    }
    return pg_feed_compare(&left, &right);
}

const pg_dht_validator pg_dht_validator_feed = {
    .name_space = PG_FEED_NAMESPACE,
    .is_mutable = true,
    .check = feed_check,
    .compare = values_compare,
};

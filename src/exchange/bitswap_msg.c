// SPDX-License-Identifier: Apache-2.0
#include "exchange/bitswap_msg.h"

#include "base/mem.h"
#include "codec/pb_walk.h"
#include "codec/varint.h"
#include "crypto/hash.h"
#include "exchange/limits.h"

// Fields of the message, and of what it holds.
enum {
    MESSAGE_WANTLIST = 1,
    MESSAGE_BLOCKS = 2, // of version 1.0: data alone, of CIDs of version 0
    MESSAGE_PAYLOAD = 3,
    MESSAGE_PRESENCES = 4,

    WANTLIST_ENTRIES = 1,
    WANTLIST_FULL = 2,

    ENTRY_CID = 1,
    ENTRY_PRIORITY = 2,
    ENTRY_CANCEL = 3,
    ENTRY_TYPE = 4,
    ENTRY_SEND_DONT_HAVE = 5,

    PAYLOAD_PREFIX = 1,
    PAYLOAD_DATA = 2,

    PRESENCE_CID = 1,
    PRESENCE_TYPE = 2,
};

#define TYPE_HAVE 1U          // of an entry; 0 wants the block
#define PRESENCE_DONT_HAVE 1U // 0 has it

// What stands around the CID of an entry or a presence, with room for fields to come; a longer one is passed over.
#define SMALL_BYTES_MAX (PG_BITSWAP_CID_BYTES_MAX + 128U)

// What stands before the data of a large block: the prefix, and the head of the data.
#define PAYLOAD_HEAD_BYTES_MAX 128U

// The bytes of a block's CID before the digest: four varints.
#define PREFIX_BYTES_MAX (4 * PG_UVARINT_BYTES_MAX)

_Static_assert(PG_BITSWAP_WHOLE_BYTES_MAX + PG_PB_HEAD_BYTES_MAX <= PG_BITSWAP_WINDOW_BYTES &&
                   SMALL_BYTES_MAX + PG_PB_HEAD_BYTES_MAX <= PG_BITSWAP_WINDOW_BYTES,
               "what is given whole fits a window");

static const pg_bitswap_prefix prefix_v0 = {0, PG_CID_CODEC_DAG_PB, PG_MULTIHASH_CODE_SHA2_256,
                                            PG_HASH_BYTES};

// ---- Small messages inside, all of which is there

static bool cid_is_sound(pg_bytes cid)
{
    return cid.len > 0 && cid.len <= PG_BITSWAP_CID_BYTES_MAX;
}

static pg_err want_read(pg_bytes in, pg_bitswap_part *part)
{
    pg_bitswap_want want = {.priority = 0};
    pg_pb_walk walk = pg_pb_walk_make(in);
    pg_pb_field field;
    while (pg_pb_walk_next(&walk, &field)) {
        if (pg_pb_is_bytes(&field, ENTRY_CID)) {
            want.cid = field.bytes;
        } else if (pg_pb_is_varint(&field, ENTRY_PRIORITY)) {
            want.priority = (int32_t) (uint32_t) field.value;
        } else if (pg_pb_is_varint(&field, ENTRY_CANCEL)) {
            want.is_cancel = field.value != 0;
        } else if (pg_pb_is_varint(&field, ENTRY_TYPE)) {
            want.is_have = field.value == TYPE_HAVE;
        } else if (pg_pb_is_varint(&field, ENTRY_SEND_DONT_HAVE)) {
            want.send_dont_have = field.value != 0;
        }
    }
    if (walk.err == PG_OK && cid_is_sound(want.cid)) {
        part->kind = PG_BITSWAP_PART_WANT;
        part->want = want;
    }
    return walk.err;
}

static pg_err presence_read(pg_bytes in, pg_bitswap_part *part)
{
    uint64_t type = 0;
    pg_pb_walk walk = pg_pb_walk_make(in);
    pg_pb_field field;
    while (pg_pb_walk_next(&walk, &field)) {
        if (pg_pb_is_bytes(&field, PRESENCE_CID)) {
            part->cid = field.bytes;
        } else if (pg_pb_is_varint(&field, PRESENCE_TYPE)) {
            type = field.value;
        }
    }
    if (walk.err == PG_OK && cid_is_sound(part->cid) && type <= PRESENCE_DONT_HAVE) {
        part->kind = PG_BITSWAP_PART_PRESENCE;
        part->has = type != PRESENCE_DONT_HAVE;
    }
    return walk.err;
}

static pg_err prefix_read(pg_bytes in, pg_bitswap_prefix *out_prefix)
{
    pg_bitswap_prefix prefix = {0};
    pg_reader reader = pg_reader_make(in);
    PG_TRY(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &prefix.version));
    PG_TRY(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &prefix.codec));
    PG_TRY(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &prefix.hash));
    PG_TRY(pg_reader_uvarint(&reader, PG_UVARINT_MAX, &prefix.digest_len));
    PG_TRY(pg_reader_finish(&reader));
    *out_prefix = prefix;
    return PG_OK;
}

// A prefix that is none costs its sender the stream, whatever is wrong with it.
static pg_err prefix_take(pg_bytes in, pg_bitswap_part *part)
{
    pg_err err = prefix_read(in, &part->prefix);
    return err == PG_OK ? PG_OK
                        : pg_fail(PG_ERR_MALFORMED, "prefix of a block: %s", pg_error_detail(err));
}

static pg_err payload_read(pg_bytes in, pg_bitswap_part *part)
{
    pg_bytes prefix = PG_BYTES_EMPTY;
    pg_pb_walk walk = pg_pb_walk_make(in);
    pg_pb_field field;
    while (pg_pb_walk_next(&walk, &field)) {
        if (pg_pb_is_bytes(&field, PAYLOAD_PREFIX)) {
            prefix = field.bytes;
        } else if (pg_pb_is_bytes(&field, PAYLOAD_DATA)) {
            part->data = field.bytes;
        }
    }
    PG_TRY(walk.err);
    PG_TRY(prefix_take(prefix, part));
    part->kind = PG_BITSWAP_PART_BLOCK;
    return PG_OK;
}

// ---- A large block

static pg_err block_len_check(uint64_t len)
{
    return len <= PG_BITSWAP_BLOCK_BYTES_MAX
               ? PG_OK
               : pg_fail(PG_ERR_LIMIT, "a block of %llu bytes, at most %u",
                         (unsigned long long) len, PG_BITSWAP_BLOCK_BYTES_MAX);
}

// Read the wrapping of a large block up to its data. `in` shows the beginning of its `len` bytes.
static pg_err payload_head_read(pg_bytes in, size_t len, pg_bitswap_part *part, size_t *out_behind)
{
    pg_bytes prefix = PG_BYTES_EMPTY;
    pg_bytes rest = pg_bytes_slice(in, 0, PAYLOAD_HEAD_BYTES_MAX);
    size_t at = 0;
    for (;;) {
        pg_pb_field field = {0};
        pg_err err = pg_pb_head_decode(rest, &field);
        bool is_bytes = err == PG_OK && field.wire == PG_PB_WIRE_BYTES;
        if (is_bytes && field.value > len - at - field.head_len) {
            return pg_fail(PG_ERR_MALFORMED, "a block is longer than what it stands in");
        }
        if (is_bytes && field.number == PAYLOAD_DATA) {
            PG_TRY(block_len_check(field.value));
            PG_TRY(prefix_take(prefix, part));
            part->kind = PG_BITSWAP_PART_BLOCK_HEAD;
            part->used += at + field.head_len;
            part->follow = (size_t) field.value;
            *out_behind = len - at - field.head_len - part->follow;
            return PG_OK;
        }
        size_t step = field.head_len + (is_bytes ? (size_t) field.value : 0);
        if (err == PG_ERR_TRUNCATED || (err == PG_OK && step > rest.len)) {
            return in.len < PAYLOAD_HEAD_BYTES_MAX
                       ? pg_fail(PG_ERR_TRUNCATED, "more of a block is to come")
                       : pg_fail(PG_ERR_UNSUPPORTED, "a block with much before its data");
        }
        PG_TRY(err);
        if (is_bytes && field.number == PAYLOAD_PREFIX) {
            prefix = pg_bytes_slice(rest, field.head_len, (size_t) field.value);
        }
        rest = pg_bytes_slice(rest, step, rest.len);
        at += step;
    }
}

// ---- The reader

// Pass over the next `len` bytes, what is in the window and what is not.
static void part_skip(pg_bitswap_part *part, size_t len)
{
    part->kind = PG_BITSWAP_PART_NOTHING;
    part->follow = len;
}

// How much content a field has, of which `space` bytes hold all. Its head is there.
static pg_err content_len(const pg_pb_field *field, size_t space, size_t *out_len)
{
    uint64_t len = field->wire == PG_PB_WIRE_BYTES ? field->value : 0;
    if (len > space - field->head_len) {
        return pg_fail(PG_ERR_MALFORMED, "a field is longer than what it stands in");
    }
    *out_len = (size_t) len;
    return PG_OK;
}

static pg_err wantlist_next(pg_bitswap_msg_reader *reader, pg_bytes in, pg_bitswap_part *part)
{
    if (reader->wantlist_left == 0) {
        part->kind = PG_BITSWAP_PART_WANTS_END;
        part->is_full = reader->is_full;
        return PG_OK;
    }
    pg_bytes window = pg_bytes_slice(in, 0, reader->wantlist_left);
    pg_pb_field field;
    PG_TRY(pg_pb_head_decode(window, &field));
    size_t len = 0;
    PG_TRY(content_len(&field, reader->wantlist_left, &len));
    part->used = field.head_len;
    if (pg_pb_is_varint(&field, WANTLIST_FULL)) {
        reader->is_full = field.value != 0;
        return PG_OK;
    }
    if (!pg_pb_is_bytes(&field, WANTLIST_ENTRIES) || len > SMALL_BYTES_MAX) {
        part_skip(part, len);
        return PG_OK;
    }
    pg_bytes entry = pg_bytes_slice(window, field.head_len, len);
    if (entry.len < len) {
        return pg_fail(PG_ERR_TRUNCATED, "more of a want is to come");
    }
    part->used += len;
    return want_read(entry, part);
}

static pg_err block_next(pg_bitswap_msg_reader *reader, const pg_pb_field *field, pg_bytes content,
                         pg_bitswap_part *part)
{
    size_t len = (size_t) field->value;
    bool is_old = field->number == MESSAGE_BLOCKS;
    if (len <= PG_BITSWAP_WHOLE_BYTES_MAX) {
        if (content.len < len) {
            return pg_fail(PG_ERR_TRUNCATED, "more of a block is to come");
        }
        part->used += len;
        if (!is_old) {
            return payload_read(content, part);
        }
        part->kind = PG_BITSWAP_PART_BLOCK;
        part->prefix = prefix_v0;
        part->data = content;
        return PG_OK;
    }
    if (!is_old) {
        return payload_head_read(content, len, part, &reader->payload_left);
    }
    part->kind = PG_BITSWAP_PART_BLOCK_HEAD;
    part->prefix = prefix_v0;
    part->follow = len;
    return block_len_check(len);
}

static pg_err message_next(pg_bitswap_msg_reader *reader, pg_bytes window, pg_bitswap_part *part)
{
    pg_pb_field field;
    PG_TRY(pg_pb_head_decode(window, &field));
    size_t len = 0;
    PG_TRY(content_len(&field, reader->left, &len));
    part->used = field.head_len;
    if (pg_pb_is_bytes(&field, MESSAGE_WANTLIST)) {
        reader->in_wantlist = true;
        reader->is_full = false;
        reader->wantlist_left = len;
        return PG_OK;
    }
    pg_bytes content = pg_bytes_slice(window, field.head_len, len);
    if (pg_pb_is_bytes(&field, MESSAGE_PAYLOAD) || pg_pb_is_bytes(&field, MESSAGE_BLOCKS)) {
        return block_next(reader, &field, content, part);
    }
    if (!pg_pb_is_bytes(&field, MESSAGE_PRESENCES) || len > SMALL_BYTES_MAX) {
        part_skip(part, len);
        return PG_OK;
    }
    if (content.len < len) {
        return pg_fail(PG_ERR_TRUNCATED, "more of a message is to come");
    }
    part->used += len;
    return presence_read(content, part);
}

pg_err pg_bitswap_part_decode(pg_bitswap_msg_reader *reader, pg_bytes window,
                              pg_bitswap_part *out_part)
{
    pg_bitswap_part part = {.kind = PG_BITSWAP_PART_NOTHING};
    pg_bitswap_msg_reader next = *reader;
    size_t space = next.in_wantlist ? next.wantlist_left : next.left;
    pg_bytes in = pg_bytes_slice(window, 0, space);
    pg_err err = PG_OK;
    if (next.payload_left > 0) {
        part_skip(&part, next.payload_left);
        next.payload_left = 0;
    } else if (next.in_wantlist) {
        err = wantlist_next(&next, in, &part);
    } else if (next.left == 0) {
        part.kind = PG_BITSWAP_PART_END;
    } else {
        err = message_next(&next, in, &part);
    }
    if (err == PG_ERR_TRUNCATED && in.len == space) {
        return pg_fail(PG_ERR_MALFORMED, "a message ends inside a field");
    }
    PG_TRY(err);
    next.left -= part.used + part.follow;
    if (reader->in_wantlist) {
        next.wantlist_left -= part.used + part.follow;
        next.in_wantlist = part.kind != PG_BITSWAP_PART_WANTS_END;
    }
    *reader = next;
    *out_part = part;
    return PG_OK;
}

// ---- CIDs

pg_err pg_bitswap_prefix_cid(const pg_bitswap_prefix *prefix, pg_bytes data, pg_cid *out_cid)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_multihash hash;
    bool is_known = prefix->version <= 1 && prefix->codec <= PG_CID_CODEC_MAX &&
                    prefix->digest_len == PG_HASH_BYTES;
    if (is_known && prefix->hash == PG_MULTIHASH_CODE_BLAKE3) {
        pg_blake3(data, digest);
    } else if (is_known && prefix->hash == PG_MULTIHASH_CODE_SHA2_256) {
        pg_sha256(data, digest);
    } else {
        return pg_fail(PG_ERR_UNSUPPORTED, "a block whose CID we cannot make");
    }
    PG_TRY(pg_multihash_make(prefix->hash, PG_BYTES_OF(digest), &hash));
    if (prefix->version == 0) {
        return pg_cid_make_v0(&hash, out_cid) == PG_OK
                   ? PG_OK
                   : pg_fail(PG_ERR_UNSUPPORTED, "a block whose CID cannot be");
    }
    *out_cid = pg_cid_make((uint32_t) prefix->codec, &hash);
    return PG_OK;
}

// ---- Writing

// An int32 is widened by its sign.
static uint64_t priority_bits(int32_t priority)
{
    return (uint64_t) (int64_t) priority;
}

static pg_err flag_put(pg_buf *buf, uint32_t number, bool is_set)
{
    return is_set ? pg_pb_put_varint(buf, number, 1) : PG_OK;
}

pg_err pg_bitswap_want_encode(const pg_bitswap_want *want, pg_buf *entries)
{
    const size_t flag_len = 2;
    size_t len = 1 + pg_pb_varint_len(want->cid.len) + want->cid.len;
    len += want->priority != 0 ? 1 + pg_pb_varint_len(priority_bits(want->priority)) : 0;
    len += want->is_cancel ? flag_len : 0;
    len += want->is_have ? flag_len : 0;
    len += want->send_dont_have ? flag_len : 0;
    PG_TRY(pg_buf_reserve(entries, 2 * PG_PB_HEAD_BYTES_MAX + len)); // all of it or nothing
    PG_TRY(pg_pb_put_head(entries, WANTLIST_ENTRIES, len));
    PG_TRY(pg_pb_put_bytes(entries, ENTRY_CID, want->cid));
    if (want->priority != 0) {
        PG_TRY(pg_pb_put_varint(entries, ENTRY_PRIORITY, priority_bits(want->priority)));
    }
    PG_TRY(flag_put(entries, ENTRY_CANCEL, want->is_cancel));
    PG_TRY(flag_put(entries, ENTRY_TYPE, want->is_have));
    return flag_put(entries, ENTRY_SEND_DONT_HAVE, want->send_dont_have);
}

pg_err pg_bitswap_wantlist_encode(pg_bytes entries, bool is_full, pg_buf *message)
{
    size_t full_len = is_full ? 2 : 0;
    PG_TRY(pg_buf_reserve(message, PG_PB_HEAD_BYTES_MAX + entries.len + full_len));
    PG_TRY(pg_pb_put_head(message, MESSAGE_WANTLIST, entries.len + full_len));
    PG_TRY(pg_buf_append(message, entries));
    return is_full ? pg_pb_put_varint(message, WANTLIST_FULL, 1) : PG_OK;
}

pg_err pg_bitswap_presence_encode(pg_bytes cid, bool has, pg_buf *message)
{
    size_t len = 1 + pg_pb_varint_len(cid.len) + cid.len + 2;
    PG_TRY(pg_buf_reserve(message, 2 * PG_PB_HEAD_BYTES_MAX + len));
    PG_TRY(pg_pb_put_head(message, MESSAGE_PRESENCES, len));
    PG_TRY(pg_pb_put_bytes(message, PRESENCE_CID, cid));
    return pg_pb_put_varint(message, PRESENCE_TYPE, has ? 0 : PRESENCE_DONT_HAVE);
}

pg_err pg_bitswap_block_encode(const pg_cid *cid, size_t data_len, pg_buf *message)
{
    uint8_t space[PREFIX_BYTES_MAX];
    pg_writer prefix = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_multihash hash = pg_cid_multihash(cid);
    pg_writer_uvarint(&prefix, pg_cid_version(cid));
    pg_writer_uvarint(&prefix, pg_cid_codec(cid));
    pg_writer_uvarint(&prefix, (uint64_t) pg_multihash_code_of(&hash));
    pg_writer_uvarint(&prefix, pg_multihash_digest(&hash).len);
    size_t len = 1 + pg_pb_varint_len(prefix.len) + prefix.len;
    len += 1 + pg_pb_varint_len(data_len) + data_len;
    PG_TRY(pg_buf_reserve(message, 3 * PG_PB_HEAD_BYTES_MAX + prefix.len)); // all of it or nothing
    PG_TRY(pg_pb_put_head(message, MESSAGE_PAYLOAD, len));
    PG_TRY(pg_pb_put_bytes(message, PAYLOAD_PREFIX, pg_writer_bytes(&prefix)));
    return pg_pb_put_head(message, PAYLOAD_DATA, data_len);
}

// SPDX-License-Identifier: Apache-2.0
#include "files/extents.h"

#include "codec/varint.h"
#include "crypto/hash.h"
#include "files/format.pb-c.h"
#include "files/wire_priv.h"

// Field 1 of ExtentList, length-delimited.
#define EXTENT_FIELD 0x0a

// An entry: descriptor, length, and a full set of hosts, each with two bytes in front.
#define EXTENT_BYTES_MAX (64U + PG_CODE_SHARDS_MAX * (PG_HOST_ID_BYTES_MAX + 2U))

pg_cid pg_block_cid_of_digest(const uint8_t digest[PG_HASH_BYTES])
{
    pg_multihash hash;
    pg_err err =
        pg_multihash_make(PG_MULTIHASH_CODE_BLAKE3, pg_bytes_make(digest, PG_HASH_BYTES), &hash);
    pg_assert(err == PG_OK);
    return pg_cid_make(PG_CID_CODEC_RAW, &hash);
}

pg_cid pg_block_cid(pg_bytes block)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3(block, digest);
    return pg_block_cid_of_digest(digest);
}

pg_err pg_block_cid_decode(pg_bytes in, pg_cid *out_cid)
{
    pg_cid cid;
    pg_err err = pg_cid_decode(in, &cid);
    if (err == PG_OK) {
        pg_multihash hash = pg_cid_multihash(&cid);
        if (pg_cid_version(&cid) == 1 && pg_cid_codec(&cid) == PG_CID_CODEC_RAW &&
            pg_multihash_code_of(&hash) == PG_MULTIHASH_CODE_BLAKE3) {
            *out_cid = cid;
            return PG_OK;
        }
    }
    return pg_fail(PG_ERR_MALFORMED, "not the content id of a block (raw, BLAKE3)");
}

pg_err pg_extents_append(pg_buf *list, const pg_extent *extent)
{
    pg_assert(extent->host_count <= PG_CODE_SHARDS_MAX);
    ProtobufCBinaryData hosts[PG_CODE_SHARDS_MAX];
    for (size_t i = 0; i < extent->host_count; i++) {
        hosts[i] = pg_pb_view(extent->hosts[i]);
    }
    Pangea__Files__Extent entry = PANGEA__FILES__EXTENT__INIT;
    entry.descriptor = pg_pb_view(pg_cid_bytes(&extent->descriptor));
    entry.plain_bytes = extent->plain_bytes;
    entry.n_hosts = extent->host_count;
    entry.hosts = hosts;
    Pangea__Files__Extent *entries[1] = {&entry};
    Pangea__Files__ExtentList message = PANGEA__FILES__EXTENT_LIST__INIT;
    message.n_extents = 1;
    message.extents = entries;
    return pg_pb_append(list, &message.base);
}

static pg_err take_entry(const Pangea__Files__Extent *entry, pg_extent *out_extent)
{
    pg_extent extent = {.plain_bytes = entry->plain_bytes, .host_count = entry->n_hosts};
    PG_TRY(pg_block_cid_decode(pg_pb_bytes(entry->descriptor), &extent.descriptor));
    if (entry->plain_bytes < 1 || entry->plain_bytes > PG_EXTENT_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "has %llu bytes, an extent has 1 to %u",
                       (unsigned long long) entry->plain_bytes, PG_EXTENT_BYTES_MAX);
    }
    if (entry->n_hosts > PG_CODE_SHARDS_MAX) {
        return pg_fail(PG_ERR_LIMIT, "has %zu hosts, at most %u", entry->n_hosts,
                       PG_CODE_SHARDS_MAX);
    }
    for (size_t i = 0; i < entry->n_hosts; i++) {
        extent.hosts[i] = pg_pb_bytes(entry->hosts[i]);
        if (extent.hosts[i].len < 1 || extent.hosts[i].len > PG_HOST_ID_BYTES_MAX) {
            return pg_fail(PG_ERR_MALFORMED, "has a host id of %zu bytes", extent.hosts[i].len);
        }
    }
    *out_extent = extent;
    return PG_OK;
}

pg_err pg_extents_take(pg_bytes *list, pg_arena *arena, pg_extent *out_extent)
{
    pg_reader reader = pg_reader_make(*list);
    pg_bytes encoded = PG_BYTES_EMPTY;
    if (pg_reader_u8(&reader) != EXTENT_FIELD ||
        pg_reader_uvarint_bytes(&reader, EXTENT_BYTES_MAX, &encoded) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "list of extents: an entry ends too early or is none");
    }
    ProtobufCMessage *message = NULL;
    PG_TRY(pg_wire_read("list of extents", &pangea__files__extent__descriptor, encoded, arena,
                        &message));
    pg_err err = take_entry((const Pangea__Files__Extent *) message, out_extent);
    if (err != PG_OK) {
        return pg_error_wrap(err, "list of extents");
    }
    *list = reader.rest;
    return PG_OK;
}

pg_err pg_extents_sum(pg_bytes list, uint64_t *out_plain_bytes)
{
    uint64_t sum = 0; // cannot wrap: 64 MiB of list hold less than 2^21 extents of 2^30 bytes
    while (list.len > 0) {
        pg_arena arena = pg_wire_arena(EXTENT_BYTES_MAX);
        pg_extent extent;
        pg_err err = pg_extents_take(&list, &arena, &extent);
        pg_arena_deinit(&arena);
        if (err != PG_OK) {
            return err;
        }
        sum += extent.plain_bytes;
    }
    *out_plain_bytes = sum;
    return PG_OK;
}

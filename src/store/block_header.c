// SPDX-License-Identifier: Apache-2.0
#include "store/block_header.h"

#include <string.h>

#include "crypto/hash.h"
#include "store/limits.h"

#define MAGIC PG_BYTES_LIT("pgblock1")
#define FIELDS_BYTES 96
#define CID_ROOM 83

_Static_assert(CID_ROOM >= PG_CID_BYTES_MAX, "any CID fits");
_Static_assert(FIELDS_BYTES + PG_HASH_BYTES == PG_BLOCK_HEADER_BYTES, "size");

bool pg_block_cid_is_kept(const pg_cid *cid)
{
    if (cid->len == 0) {
        return false;
    }
    pg_multihash hash = pg_cid_multihash(cid);
    return pg_multihash_code_of(&hash) != PG_MULTIHASH_CODE_IDENTITY &&
           pg_multihash_digest(&hash).len == PG_HASH_BYTES;
}

uint32_t pg_block_units(uint32_t len)
{
    return (PG_BLOCK_HEADER_BYTES + len + PG_BLOCK_UNIT_BYTES - 1) / PG_BLOCK_UNIT_BYTES;
}

static void mac(const pg_key *key, pg_block_place place, pg_bytes fields,
                uint8_t out_mac[PG_HASH_BYTES])
{
    uint8_t input[4 + 8 + FIELDS_BYTES];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(input));
    pg_writer_u32be(&writer, place.pack);
    pg_writer_u64be(&writer, (uint64_t) place.unit * PG_BLOCK_UNIT_BYTES);
    pg_writer_put(&writer, fields);
    pg_blake3_keyed(key, pg_writer_bytes(&writer), out_mac);
}

void pg_block_header_encode(const pg_key *key, pg_block_place place, const pg_block_header *header,
                            uint8_t out[PG_BLOCK_HEADER_BYTES])
{
    memset(out, 0, PG_BLOCK_HEADER_BYTES);
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out, FIELDS_BYTES));
    pg_writer_put(&writer, MAGIC);
    pg_writer_u32be(&writer, header->len);
    pg_writer_u8(&writer, header->cid.len);
    pg_writer_put(&writer, pg_cid_bytes(&header->cid));
    mac(key, place, pg_bytes_make(out, FIELDS_BYTES), out + FIELDS_BYTES);
}

static pg_err fields_decode(pg_bytes fields, pg_block_header *out_header)
{
    pg_block_header header = {0};
    pg_reader reader = pg_reader_make(fields);
    (void) pg_reader_take(&reader, MAGIC.len);
    header.len = pg_reader_u32be(&reader);
    uint8_t cid_len = pg_reader_u8(&reader);
    pg_bytes cid = pg_reader_take(&reader, cid_len);
    if (reader.failed || header.len > PG_BLOCK_BYTES_MAX) {
        return PG_ERR_MALFORMED;
    }
    for (size_t i = 0; i < reader.rest.len; i++) {
        if (reader.rest.ptr[i] != 0) {
            return PG_ERR_MALFORMED;
        }
    }
    if (pg_cid_decode(cid, &header.cid) != PG_OK || !pg_block_cid_is_kept(&header.cid)) {
        return PG_ERR_MALFORMED;
    }
    *out_header = header;
    return PG_OK;
}

pg_err pg_block_header_decode(const pg_key *key, pg_block_place place, pg_bytes in,
                              pg_block_header *out_header)
{
    uint8_t want[PG_HASH_BYTES];
    if (in.len < PG_BLOCK_HEADER_BYTES) {
        return PG_ERR_TRUNCATED;
    }
    if (!pg_bytes_starts_with(in, MAGIC)) {
        return PG_ERR_MALFORMED;
    }
    pg_bytes fields = pg_bytes_slice(in, 0, FIELDS_BYTES);
    mac(key, place, fields, want);
    if (!pg_secret_equal(PG_BYTES_OF(want), pg_bytes_slice(in, FIELDS_BYTES, PG_HASH_BYTES))) {
        return PG_ERR_AUTH;
    }
    return fields_decode(fields, out_header);
}

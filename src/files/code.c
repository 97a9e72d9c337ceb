// SPDX-License-Identifier: Apache-2.0
#include "files/code.h"

#include "base/mem.h"
#include "files/limits.h"

pg_err pg_code_check(unsigned data, unsigned parity)
{
    if (data < 1 || parity < 1 || data >= PG_CODE_SHARDS_MAX ||
        parity > PG_CODE_SHARDS_MAX - data) {
        return pg_fail(PG_ERR_INVALID,
                       "a code has at least 1 data and 1 parity shard and at most %u together, not "
                       "%u+%u",
                       PG_CODE_SHARDS_MAX, data, parity);
    }
    return PG_OK;
}

pg_err pg_code_from_text(pg_str text, pg_code *out_code)
{
    pg_str head;
    pg_str rest = pg_str_split(text, '+', &head);
    uint64_t data = 0;
    uint64_t parity = 0;
    if (pg_str_to_u64(head, UINT8_MAX, &data) != PG_OK ||
        pg_str_to_u64(rest, UINT8_MAX, &parity) != PG_OK) {
        return pg_fail(PG_ERR_INVALID, "a code is written k+m, such as 8+2, not \"%.*s\"",
                       PG_STR_ARGS(text));
    }
    PG_TRY(pg_code_check((unsigned) data, (unsigned) parity));
    *out_code = (pg_code){(uint8_t) data, (uint8_t) parity};
    return PG_OK;
}

uint32_t pg_code_segment_bytes(pg_code code)
{
    return (uint32_t) pg_min_size(code.data * (size_t) PG_SHARD_PLAIN_BYTES_MAX,
                                  PG_SEGMENT_BYTES_MAX);
}

uint32_t pg_code_extent_segments(uint32_t segment_bytes)
{
    return (uint32_t) pg_min_size(PG_EXTENT_BYTES_MAX / segment_bytes, PG_EXTENT_SEGMENTS_MAX);
}

uint64_t pg_padme(uint64_t len)
{
    if (len < 2) {
        return len;
    }
    unsigned exponent = 63U - (unsigned) __builtin_clzll(len);
    unsigned kept = exponent == 0 ? 0 : 64U - (unsigned) __builtin_clzll(exponent);
    unsigned zero_bits = exponent - kept;
    uint64_t mask = ((uint64_t) 1 << zero_bits) - 1;
    return (len + mask) & ~mask;
}

uint32_t pg_segment_padded_bytes(uint32_t stored_bytes, uint32_t segment_bytes, bool full)
{
    if (full) {
        return segment_bytes;
    }
    uint64_t padded = pg_padme(stored_bytes);
    return padded < segment_bytes ? (uint32_t) padded : segment_bytes;
}

uint32_t pg_code_shard_bytes(pg_code code, uint32_t sealed_bytes)
{
    uint32_t part = (sealed_bytes + code.data - 1U) / code.data;
    return (part + PG_SHARD_UNIT_BYTES - 1U) / PG_SHARD_UNIT_BYTES * PG_SHARD_UNIT_BYTES;
}

unsigned pg_code_slot_of_shard(pg_code code, uint32_t segment, unsigned shard)
{
    unsigned n = pg_code_shards(code);
    return (shard + n - segment % n) % n;
}

unsigned pg_code_shard_of_slot(pg_code code, uint32_t segment, unsigned slot)
{
    unsigned n = pg_code_shards(code);
    return (slot + segment % n) % n;
}

unsigned pg_code_survives(pg_code code, unsigned holders)
{
    unsigned most = (pg_code_shards(code) + holders - 1) / holders;
    return code.parity / most;
}

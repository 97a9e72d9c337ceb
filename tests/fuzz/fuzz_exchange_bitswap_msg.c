// SPDX-License-Identifier: Apache-2.0
// Goal: a Bitswap message of any bytes is read to its end or refused, its parts lie inside it, the pieces it comes in change nothing,
// and wants, presences and small blocks written again are read the same.
#include "codec/pb_walk.h"
#include "exchange/bitswap_msg.h"
#include "exchange/limits.h"
#include "fuzz.h"

// Read the next part through a window that grows byte by byte, as from a slow stream.
static pg_err slow_decode(pg_bitswap_msg_reader *reader, pg_bytes rest, pg_bitswap_part *out_part)
{
    for (size_t window = 0;; window++) {
        pg_bitswap_msg_reader before = *reader;
        pg_err err = pg_bitswap_part_decode(reader, pg_bytes_slice(rest, 0, window), out_part);
        if (err != PG_ERR_TRUNCATED) {
            return err;
        }
        FUZZ_CHECK(window < PG_BITSWAP_WINDOW_BYTES && before.left == reader->left);
    }
}

static void parts_compare(const pg_bitswap_part *a, const pg_bitswap_part *b)
{
    FUZZ_CHECK(a->kind == b->kind && a->used == b->used && a->follow == b->follow);
    FUZZ_CHECK(pg_bytes_equal(a->want.cid, b->want.cid) && pg_bytes_equal(a->cid, b->cid));
    FUZZ_CHECK(pg_bytes_equal(a->data, b->data) && a->is_full == b->is_full);
}

// Write a part again and read it back.
static void part_rewrite(const pg_bitswap_part *part)
{
    pg_buf entries = {0};
    pg_buf message = {0};
    pg_cid cid;
    if (part->kind == PG_BITSWAP_PART_WANT) {
        FUZZ_CHECK(pg_bitswap_want_encode(&part->want, &entries) == PG_OK);
        FUZZ_CHECK(pg_bitswap_wantlist_encode(pg_buf_bytes(&entries), true, &message) == PG_OK);
    } else if (part->kind == PG_BITSWAP_PART_PRESENCE) {
        FUZZ_CHECK(pg_bitswap_presence_encode(part->cid, part->has, &message) == PG_OK);
    } else if (part->kind == PG_BITSWAP_PART_BLOCK &&
               pg_bitswap_prefix_cid(&part->prefix, part->data, &cid) == PG_OK) {
        FUZZ_CHECK(pg_bitswap_block_encode(&cid, part->data.len, &message) == PG_OK);
        FUZZ_CHECK(pg_buf_append(&message, part->data) == PG_OK);
    }
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(message.len);
    pg_bitswap_part back = {.kind = PG_BITSWAP_PART_END};
    size_t at = 0;
    while (message.len > 0 && back.kind != part->kind) {
        pg_bytes rest = pg_bytes_slice(pg_buf_bytes(&message), at, message.len);
        FUZZ_CHECK(pg_bitswap_part_decode(&reader, rest, &back) == PG_OK);
        FUZZ_CHECK(back.kind != PG_BITSWAP_PART_END);
        at += back.used + back.follow;
    }
    if (message.len > 0) {
        FUZZ_CHECK(pg_bytes_equal(back.want.cid, part->want.cid));
        FUZZ_CHECK(back.want.priority == part->want.priority);
        FUZZ_CHECK(back.want.is_have == part->want.is_have && back.has == part->has);
        FUZZ_CHECK(back.want.is_cancel == part->want.is_cancel);
        FUZZ_CHECK(back.want.send_dont_have == part->want.send_dont_have);
        FUZZ_CHECK(pg_bytes_equal(back.cid, part->cid) && pg_bytes_equal(back.data, part->data));
    }
    pg_buf_deinit(&entries);
    pg_buf_deinit(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes rest = pg_bytes_make(data, size);
    pg_bitswap_msg_reader reader = pg_bitswap_msg_reader_make(size);
    pg_bitswap_part part = {.kind = PG_BITSWAP_PART_NOTHING};
    pg_err err = PG_OK;
    while (err == PG_OK && part.kind != PG_BITSWAP_PART_END) {
        pg_bitswap_msg_reader slow = reader;
        pg_bitswap_part slow_part = {0};
        size_t left_before = reader.left;
        err = pg_bitswap_part_decode(&reader, pg_bytes_slice(rest, 0, PG_BITSWAP_WINDOW_BYTES),
                                     &part);
        FUZZ_CHECK(slow_decode(&slow, rest, &slow_part) == err && err != PG_ERR_TRUNCATED);
        if (err == PG_OK) {
            parts_compare(&part, &slow_part);
            part_rewrite(&part);
            FUZZ_CHECK(part.used + part.follow <= rest.len && reader.left <= left_before);
            FUZZ_CHECK(part.follow <= PG_BITSWAP_BLOCK_BYTES_MAX ||
                       part.kind == PG_BITSWAP_PART_NOTHING);
            rest = pg_bytes_slice(rest, part.used + part.follow, rest.len);
        }
    }
    FUZZ_CHECK(err != PG_OK || rest.len == 0);
    return 0;
}

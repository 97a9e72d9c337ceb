// SPDX-License-Identifier: Apache-2.0
// Bitswap messages, read part by part while they come and written without the blocks they carry: a block lies in no buffer but its
// own. Pure: bytes in, bytes out.
//
// A message is read through a window of a few KiB. Small parts are given when they are all there; of a large block its head is
// given, and its data is the caller's to take from the stream.
//
// Layer: exchange.  Thread: any.  Spec: IPFS Bitswap 1.2.0
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"

/** The window in which every part that is not given by its head fits. */
#define PG_BITSWAP_WINDOW_BYTES 8192U

/** A block up to this length is given whole, bytes: a small part of a window. */
#define PG_BITSWAP_WHOLE_BYTES_MAX 4096U

/** How a block's CID begins: all but the digest. */
typedef struct pg_bitswap_prefix {
    uint64_t version;
    uint64_t codec;
    uint64_t hash;
    uint64_t digest_len;
} pg_bitswap_prefix;

/** Make the CID of a block: hashes `data`.
 *  Errors: PG_ERR_UNSUPPORTED (a version, codec, hash or length that we do not know). */
PG_NODISCARD pg_err pg_bitswap_prefix_cid(const pg_bitswap_prefix *prefix, pg_bytes data,
                                          pg_cid *out_cid);

/** An entry of a wantlist. */
typedef struct pg_bitswap_want {
    pg_bytes cid; // as it came, 1..PG_BITSWAP_CID_BYTES_MAX; perhaps of a hash we do not know
    int32_t priority;
    bool is_cancel;
    bool is_have; // only whether it is there
    bool send_dont_have;
} pg_bitswap_want;

typedef enum pg_bitswap_part_kind {
    PG_BITSWAP_PART_END,        // of the message
    PG_BITSWAP_PART_NOTHING,    // nothing for us, but `follow` bytes to be thrown away may follow
    PG_BITSWAP_PART_WANT,       // want
    PG_BITSWAP_PART_WANTS_END,  // of a wantlist; is_full
    PG_BITSWAP_PART_BLOCK,      // prefix, data
    PG_BITSWAP_PART_BLOCK_HEAD, // prefix; `follow` bytes of data follow
    PG_BITSWAP_PART_PRESENCE,   // cid, has
} pg_bitswap_part_kind;

/** A part of a message. Views show the window. */
typedef struct pg_bitswap_part {
    pg_bitswap_part_kind kind;
    size_t used;   // bytes of the window that are done with
    size_t follow; // bytes behind those, in the window or not yet, that belong to the part
    pg_bitswap_want want;
    bool is_full; // the wantlist stands in place of all wants before it
    pg_bitswap_prefix prefix;
    pg_bytes data;
    pg_bytes cid; // 1..PG_BITSWAP_CID_BYTES_MAX
    bool has;
} pg_bitswap_part;

/** How far a message has been read. Begin with its length and zeros. */
typedef struct pg_bitswap_msg_reader {
    size_t left;          // of the message
    size_t wantlist_left; // of the wantlist in it
    size_t payload_left;  // of a block's wrapping, behind its data
    bool in_wantlist;
    bool is_full;
} pg_bitswap_msg_reader;

/** Begin to read a message of `len` bytes. */
static inline pg_bitswap_msg_reader pg_bitswap_msg_reader_make(size_t len)
{
    return (pg_bitswap_msg_reader){.left = len};
}

/** Read the next part at the front of `window`, which may show less of the message, or more than it.
 *  Errors: PG_ERR_TRUNCATED (a longer window will do; one of PG_BITSWAP_WINDOW_BYTES always), PG_ERR_MALFORMED, PG_ERR_LIMIT (a block over
 *  PG_BITSWAP_BLOCK_BYTES_MAX), PG_ERR_UNSUPPORTED (a large block with more than its prefix before its data). */
PG_NODISCARD pg_err pg_bitswap_part_decode(pg_bitswap_msg_reader *reader, pg_bytes window,
                                           pg_bitswap_part *out_part);

/** Append an entry to a list of entries. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_bitswap_want_encode(const pg_bitswap_want *want, pg_buf *entries);

/** Append a wantlist of entries to a message. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_bitswap_wantlist_encode(pg_bytes entries, bool is_full, pg_buf *message);

/** Append to a message that a block is here, or is not. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_bitswap_presence_encode(pg_bytes cid, bool has, pg_buf *message);

/** Append all of a block but its data, which go behind it. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_bitswap_block_encode(const pg_cid *cid, size_t data_len, pg_buf *message);

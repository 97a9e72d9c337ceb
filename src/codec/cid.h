// SPDX-License-Identifier: Apache-2.0
// Content identifiers: what kind of data, and its multihash, as a value. Version 0 (a bare sha2-256 multihash, `Qm...`)
// and version 1 (`bafk...`). The codec is told, not interpreted.
//
// Layer: codec.  Thread: any.  Spec: multiformats/cid
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/multibase.h"
#include "codec/multihash.h"

#define PG_CID_CODEC_RAW 0x55U
#define PG_CID_CODEC_DAG_PB 0x70U
#define PG_CID_CODEC_LIBP2P_KEY 0x72U
#define PG_CID_CODEC_MAX 0xffffU // codecs beyond are private or experimental

/** Version, codec in at most three bytes, multihash. */
#define PG_CID_BYTES_MAX (1 + 3 + PG_MULTIHASH_BYTES_MAX)
/** Characters of the text and a NUL: base 16 is the longest. */
#define PG_CID_TEXT_BYTES (1 + 2 * PG_CID_BYTES_MAX + 1)

/** A CID as it stands on the wire. Bytes beyond `len` are zero; all-zero is none. */
typedef struct pg_cid {
    uint8_t len;
    uint8_t bytes[PG_CID_BYTES_MAX];
} pg_cid;

/** Make a version 1 CID; `codec` is at most PG_CID_CODEC_MAX. */
pg_cid pg_cid_make(uint32_t codec, const pg_multihash *hash);

/** Make a version 0 CID, which is dag-pb. Errors: PG_ERR_INVALID when the hash is not sha2-256. */
PG_NODISCARD pg_err pg_cid_make_v0(const pg_multihash *hash, pg_cid *out_cid);

/** Read a binary CID that is all of `in`. Errors: PG_ERR_TRUNCATED, PG_ERR_MALFORMED, PG_ERR_LIMIT, PG_ERR_UNSUPPORTED
 *  (version, codec or hash function). */
PG_NODISCARD pg_err pg_cid_decode(pg_bytes in, pg_cid *out_cid);

/** Read a CID from text: `Qm...`, or any base of multibase.h. Errors as pg_cid_decode; PG_ERR_MALFORMED too when it begins with
 *  the letter of no base. */
PG_NODISCARD pg_err pg_cid_parse(pg_str text, pg_cid *out_cid);

/** Write the usual text and a NUL: base58 without a prefix for version 0, base32 for version 1. */
void pg_cid_format(const pg_cid *cid, char out_text[PG_CID_TEXT_BYTES]);

/** Write a version 1 CID in another base, and a NUL; version 0 as pg_cid_format. */
void pg_cid_format_base(const pg_cid *cid, pg_base base, char out_text[PG_CID_TEXT_BYTES]);

/** View the binary form. Borrowed from `cid`. */
static inline pg_bytes pg_cid_bytes(const pg_cid *cid)
{
    return pg_bytes_make(cid->bytes, cid->len);
}

/** Return 0 or 1. */
unsigned pg_cid_version(const pg_cid *cid);

/** Return the codec; dag-pb for version 0. */
uint32_t pg_cid_codec(const pg_cid *cid);

/** Return the multihash: what providers are looked up by. */
pg_multihash pg_cid_multihash(const pg_cid *cid);

/** Return true when version, codec and hash are the same. */
bool pg_cid_equal(const pg_cid *a, const pg_cid *b);

/** Return true when a PeerId may have this hash: sha2-256, or identity, which is the key itself. */
bool pg_peer_hash_is_valid(const pg_multihash *hash);

/** Characters of a PeerId's text and a NUL. */
#define PG_PEER_TEXT_BYTES 96

/** Read a PeerId from text: base58 of its multihash (`12D3KooW...`, `Qm...`) or a CID with codec libp2p-key.
 *  Errors as pg_cid_parse, PG_ERR_MALFORMED for a CID of another codec, PG_ERR_UNSUPPORTED for a hash function that
 *  PeerIds do not have. Source: libp2p specs, peer-ids */
PG_NODISCARD pg_err pg_peer_text_parse(pg_str text, pg_multihash *out_peer);

/** Write a PeerId, the bytes of its multihash, as base58 and a NUL. */
void pg_peer_text_format(pg_bytes peer, char out_text[PG_PEER_TEXT_BYTES]);

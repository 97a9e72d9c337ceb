// SPDX-License-Identifier: Apache-2.0
// PeerIds as people see them: base58btc of the multihash, "12D3KooW...". Read also as a CID of codec libp2p-key.
//
// Layer: crypto.  Thread: any.  Spec: libp2p peer-ids, "String representation"
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/peer_id.h"

/** Characters of any PeerId and a NUL. */
#define PG_PEER_ID_TEXT_BYTES 64

/** Write a PeerId as text and a NUL. */
void pg_peer_id_format(const pg_peer_id *id, char out_text[PG_PEER_ID_TEXT_BYTES]);

/** Read a PeerId from text, in base58btc or as CIDv1. Errors: PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (another hash or codec),
 *  PG_ERR_LIMIT, PG_ERR_TRUNCATED. */
PG_NODISCARD pg_err pg_peer_id_parse(pg_str text, pg_peer_id *out_id);

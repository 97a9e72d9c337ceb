// SPDX-License-Identifier: Apache-2.0
// What the feed of a catalogue says: the root of its newest version, sealed, so that nobody else learns which blocks it is. And the key of
// that version, which derives from the owner's secret: nothing else is at hand when all is lost.
//
// Layer: files.  Thread: any.  Spec: docs/protocols/catalogue.md, section "The feed"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/aead.h"
#include "crypto/peer_id.h"
#include "crypto/secret.h"

#define PG_POINTER_VERSION 1
#define PG_POINTER_BYTES (1 + PG_AEAD_NONCE_BYTES + 32 + PG_AEAD_TAG_BYTES)

/** Derive the key of all versions of the catalogue. The caller wipes it. */
void pg_catalogue_key(const pg_secret *owner, pg_key *out_key);

/** Seal the root of a version.
 *  person, sequence   of the record that it will stand in
 *  nonce              random
 *  Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_pointer_encode(const pg_secret *owner, const pg_peer_id *person,
                                      uint64_t sequence, const uint8_t nonce[PG_AEAD_NONCE_BYTES],
                                      const pg_cid *root, uint8_t out[PG_POINTER_BYTES]);

/** Open it. Errors: PG_ERR_MALFORMED (length), PG_ERR_UNSUPPORTED (version, named), PG_ERR_CORRUPT (not sealed by this owner for this
 *  record), PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_pointer_decode(pg_bytes in, const pg_secret *owner, const pg_peer_id *person,
                                      uint64_t sequence, pg_cid *out_root);

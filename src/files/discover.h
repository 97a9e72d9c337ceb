// SPDX-License-Identifier: Apache-2.0
// Finding who has a block, and where a host is, through the DHTs. A private block is announced under the hash of its CID, so that those
// who keep provider records cannot fetch what they point to; a public one under its own multihash.
//
// Layer: files, private.  Thread: loop thread only.  Spec: docs/protocols/files.md, section "Providers"
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "codec/multihash.h"
#include "files/service_priv.h"

/** Return the key under which a private block is announced. */
pg_multihash pg_provider_key(const pg_cid *cid);

/** Find hosts that announced a private block. Parks: yes.
 *  out_peers   out_peers[PG_PROVIDERS_MAX]
 *  Returns how many; 0 also without a DHT. */
size_t pg_discover_providers(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers);

/** Find nodes that announced that they archived a private block, likewise. */
size_t pg_discover_archived(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers);

/** Find hosts that announced a public block, likewise. */
size_t pg_discover_public(pg_files *files, const pg_cid *cid, pg_peer_id *out_peers);

/** See that an address of a peer is known, by the DHTs where it is not. Parks: yes. */
void pg_discover_peer(pg_files *files, const pg_peer_id *peer);

/** Announce what this node keeps for others and what is pinned, and no longer what is not: for ever, until cancelled. */
pg_err pg_files_announce_run(void *arg);

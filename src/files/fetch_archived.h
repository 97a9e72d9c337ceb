// SPDX-License-Identifier: Apache-2.0
// Shards and blocks that no host gives, out of an archive: of this node, or of nodes that announced that they archived them. The last resort of a get.
//
// Layer: files, private.  Thread: loop thread only.  Spec: docs/protocols/archive.md
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "files/vault.h"
#include "runtime/fiber.h"

/** Who archived one extent. In place; begin with pg_archived_init. */
typedef struct pg_archived {
    pg_waitq known;
    bool is_asking;
    bool is_known;   // the nodes were looked for
    bool is_working; // a shard came from one of them, or from this node's own archive
    size_t count;
    pg_peer_id
        peers[PG_PROVIDERS_MAX]; // that gave the descriptor, by which they have opened the extent
} pg_archived;

/** Make an empty one. */
void pg_archived_init(pg_archived *archived);

/** Append a root, descriptor or whole block, verified. Parks: yes. Errors: PG_ERR_NOT_FOUND (no archive has it that could be asked), PG_ERR_CANCELLED,
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_archived_block(pg_files *files, const pg_cid *cid, pg_buf *out);

/** Append a data shard, verified. Several may be asked for at once. Parks: yes. Errors likewise. */
PG_NODISCARD pg_err pg_archived_shard(pg_files *files, pg_archived *archived,
                                      const pg_vault_shard *what, pg_buf *out);

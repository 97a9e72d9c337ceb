// SPDX-License-Identifier: Apache-2.0
// Hearing evidence: other hosts of an extent tell of a holder that lied to them; what holds is given to whoever looks after the extent. What is
// about other extents or other holders, too old or known is refused before the shard is read, and what one peer and all together may tell is
// bounded. Asks nobody anything. Not for: what follows from it (guard.h).
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/audit.md, section "Evidence"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "exchange/place_server.h"
#include "files/evidence.h"
#include "net/host.h"
#include "store/blocks.h"
#include "store/db.h"

/** Something that was told and holds. Borrowed for the call. */
typedef struct pg_evidence_found {
    const pg_audit_statement *statement;
    pg_bytes encoded;
    unsigned slot; // of the holder
} pg_evidence_found;

/** What it stands on; all outlive it. */
typedef struct pg_evidence_server_config {
    pg_host *host;
    pg_block_store *blocks;
    pg_place_server *place; // says which extents are kept here, and who else holds them
    pg_db *db;              // says what is known of them
    /** Take what holds. May park; is called by a fiber of its own. */
    void (*take)(const pg_evidence_found *found, void *user);
    void *user;
} pg_evidence_server_config;

/** What it did. */
typedef struct pg_evidence_stats {
    uint64_t taken_total;
    uint64_t refused_total; // not ours, stale, unfounded, or too much
    uint64_t known_total;
} pg_evidence_stats;

typedef struct pg_evidence_server pg_evidence_server;

/** Serve. Errors: PG_ERR_EXISTS, PG_ERR_LIMIT, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_evidence_server_new(const pg_evidence_server_config *config,
                                           pg_evidence_server **out_server);

/** Return what it did. */
pg_evidence_stats pg_evidence_server_get_stats(const pg_evidence_server *server);

/** Serve no more, free, and set *server to NULL. NULL is fine. Parks: yes, briefly. */
void pg_evidence_server_free(pg_evidence_server **server);

/** Tell a host of a lie.
 *  statement    of the holder, encoded
 *  shard        that it is about
 *  out_status   what the host says to it in the end
 *  Errors: those of pg_host_open_stream, pg_framed_read and pg_stream_write, PG_ERR_PROTOCOL. Parks: yes. */
PG_NODISCARD pg_err pg_evidence_tell(pg_host *host, const pg_peer_id *peer, pg_bytes statement,
                                     pg_bytes shard, pg_evidence_status *out_status);

// SPDX-License-Identifier: Apache-2.0
// The hosts that hold what was put here, in memory, for who may not wait for the catalogue: a set, which grows as leases are made and is
// read anew from the catalogue now and then.
//
// Layer: files.  Thread: loop thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/map.h"
#include "crypto/peer_id.h"
#include "files/catalogue.h"
#include "store/db.h"

/** The set. All-zero: nobody; end it with pg_reliance_deinit. */
typedef struct pg_reliance {
    pg_map hosts;
} pg_reliance;

/** Read the hosts of all extents anew, those with most extents where they are more than PG_RELIANCE_HOSTS_MAX. Parks: yes.
 *  Errors: of the database, PG_ERR_NOMEM; the set is then as it was, or lacks some. */
PG_NODISCARD pg_err pg_reliance_read(pg_reliance *reliance, pg_db *db);

/** Add the hosts of one extent; who does not fit comes with the next reading. */
void pg_reliance_add(pg_reliance *reliance, const pg_catalogue_extent *extent);

/** Return true when the host is in the set. */
bool pg_reliance_has(const pg_reliance *reliance, const pg_peer_id *host);

/** List the hosts of the set, at most `max`.
 *  out_hosts   out_hosts[max]. Returns how many */
size_t pg_reliance_list(const pg_reliance *reliance, pg_peer_id *out_hosts, size_t max);

/** Free what it owns; it is all-zero then. */
void pg_reliance_deinit(pg_reliance *reliance);

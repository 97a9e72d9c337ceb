// SPDX-License-Identifier: Apache-2.0
// The owner's side of what hosts repaired among themselves: hosts that took over lost slots are learnt of from receipts and become the
// catalogue's; of a slot that two hold, one is told to drop it.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "exchange/place_client.h"
#include "files/catalogue.h"
#include "files/service_priv.h"

/** What one holder answered. */
typedef struct pg_adopt_claim {
    pg_peer_id peer;
    const pg_place_holding *holding;
} pg_adopt_claim;

/** Bring the holders of an extent up to what hosts told. Parks: yes.
 *  extent   its holders; those with `missed` 0 answered just now. Changed; the caller writes it to the catalogue
 *  claims   claims[count]: of those who answered
 *  out_is_changed   set to true when something changed; else left alone
 *  Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM, of the database. */
PG_NODISCARD pg_err pg_adopt(pg_files *files, pg_catalogue_extent *extent,
                             const pg_adopt_claim *claims, size_t count, bool *out_is_changed);

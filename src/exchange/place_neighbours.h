// SPDX-License-Identifier: Apache-2.0
// What a host knows of the other hosts of its extents, and what it may do for them: show the grant it holds an extent under to a new
// host, keep that one's receipt, and give up slots that another has taken over. What is looked after by it stands above (files/guard.h).
//
// Layer: exchange.  Thread: loop thread only; all calls park while the database works.  Spec: docs/protocols/place.md
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "exchange/place_client.h"
#include "exchange/place_server.h"

/** Append the leases after the id `after` (0: from the first) to `out`, pg_place_lease[] in the order of ids, some at a time; none at the end.
 *  Errors of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_page(pg_place_server *server, int64_t after, pg_buf *out);

/** Append the hosts that receipts of a lease name to `out`, pg_peer_id[]; at most PG_PLACE_RECEIPTS_MAX. Errors of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_hosts(pg_place_server *server, int64_t lease, pg_buf *out);

/** A host of a lease, as a receipt names it. */
typedef struct pg_place_lease_host {
    int64_t lease; // its id
    pg_cid descriptor;
    pg_peer_id host; // len 0: no receipt names one
} pg_place_lease_host;

/** Append the hosts of the leases after the id `after` (0: from the first) to `out`, pg_place_lease_host[] in the order of ids, all those of some leases at
 *  a time; none at the end. Errors of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_hosts_page(pg_place_server *server, int64_t after, pg_buf *out);

/** Give the lease of an extent, of several the one that ends last. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_place_server_find(pg_place_server *server, const pg_cid *descriptor,
                                         pg_place_lease *out_lease);

/** Give the lease with an id. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_place_server_get(pg_place_server *server, int64_t id,
                                        pg_place_lease *out_lease);

/** Draw a lease by lot. Errors: PG_ERR_NOT_FOUND (there is none), of the database. */
PG_NODISCARD pg_err pg_place_server_draw(pg_place_server *server, pg_place_lease *out_lease);

/** Tell of an extent what a peer would be told by HAVE, receipts verified. Errors of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_holding(pg_place_server *server, const pg_cid *descriptor,
                                            pg_place_holding *out_holding);

/** Append the receipts of other hosts of an extent as they were signed, each with its length in front (codec/frame.h). Errors of the database,
 *  PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_receipts(pg_place_server *server, const pg_cid *descriptor,
                                             pg_buf *out);

/** Append the grant of a lease as its owner signed it. Errors: PG_ERR_NOT_FOUND (no lease; or it is older than this program's habit to keep grants,
 *  and the DHTs have it), of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_grant(pg_place_server *server, const pg_place_lease *lease,
                                          pg_buf *out);

/** Sign a receipt for what the lease is held under now, and append it. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_place_server_receipt(pg_place_server *server, const pg_place_lease *lease,
                                            pg_buf *out);

/** Keep the receipt of another host of a lease. Errors: those of pg_lease_receipt_decode, PG_ERR_AUTH (for something else), PG_ERR_NOT_FOUND (no such
 *  lease), of the database. */
PG_NODISCARD pg_err pg_place_server_note(pg_place_server *server, const pg_place_lease *lease,
                                         pg_bytes receipt);

/** Take a release that this node itself signed as the owner: release->lease_key is believed. Errors: PG_ERR_CHANGED, PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_place_server_release(pg_place_server *server,
                                            const pg_lease_release *release);

/** Tell whoever asks that slots are being handed over; 0 slots: no longer. Between a new host's promise and pg_place_server_hand_over two hold them, and an owner
 *  that saw both might have the new one drop its own. Parks: no. Errors: PG_ERR_LIMIT (PG_PLACE_LEAVING_MAX are). */
PG_NODISCARD pg_err pg_place_server_leaving(pg_place_server *server, const pg_cid *descriptor,
                                            pg_slot_set slots);

/** Give up slots that another host has promised to keep: `receipt` is its receipt, by which the promise has moved. With its last slot the lease
 *  ends; blocks that nobody else needs are deleted. Errors: as pg_place_server_note; PG_ERR_AUTH also when it does not say all of `slots`. */
PG_NODISCARD pg_err pg_place_server_hand_over(pg_place_server *server, const pg_place_lease *lease,
                                              pg_slot_set slots, pg_bytes receipt);

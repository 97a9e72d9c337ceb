// SPDX-License-Identifier: Apache-2.0
// The inside of the files service, shared by service.c, put.c, get.c, inspect.c, spread.c and upload.c.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files/catalogue.h"
#include "files/grants.h"
#include "files/host_set.h"
#include "files/keep.h"
#include "files/peer_clock.h"
#include "files/publish.h"
#include "files/reliance.h"
#include "files/service.h"
#include "runtime/fiber.h"

struct pg_files {
    pg_files_config config;
    pg_place_server *place; // of this node; may be NULL
    struct pg_vault *vault; // the archive of this node; may be NULL
    pg_keep keep;
    pg_grants grants;
    pg_reliance reliance;
    pg_peer_clock peer_clock;
    pg_scope scope; // the fiber that spreads and drops
    pg_waitq wake;  // it, when a host appears or something is to be dropped
    bool is_woken;
    bool is_locked; // somebody moves or drops extents of the catalogue
    pg_waitq unlocked;
    unsigned transfers; // puts and gets that run
    pg_waitq transfer_ended;
    pg_list pinnings; // pins that run
    pg_waitq pins_found;
    bool has_found_pins; // in the catalogue of another device, to be got here
    pg_list puts;        // that run
    pg_waitq put_ended;
    pg_publisher publisher;
    pg_files_stats totals;
};

/** Put a version of the catalogue under its key, of so many bytes: a file that is in no list. Otherwise as pg_files_put. */
PG_NODISCARD pg_err pg_files_put_version(pg_files *files, const pg_key *key, uint64_t bytes,
                                         const pg_files_source *source, pg_file_entry *out_entry);

/** Be the only one who moves or drops extents. Parks: yes. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_files_lock(pg_files *files);

/** Let the next one. */
void pg_files_unlock(pg_files *files);

/** Read the hosts that hold what was put here anew. Parks: yes. */
void pg_files_rely(pg_files *files);

/** Count the files of each state anew, for the statistics. Parks: yes. */
void pg_files_recount(pg_files *files);

/** Wait for one of PG_TRANSFERS_MAX places. Parks: yes. Errors: PG_ERR_BUSY (none for PG_TRANSFER_WAIT_MINUTES), PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_files_transfer_begin(pg_files *files);

/** Give the place back. */
void pg_files_transfer_end(pg_files *files);

/** Give up puts that were not gone on with for PG_PUT_RESUME_S, and forget what was finished PG_PUT_REPEAT_S ago. Parks: yes. Errors of the database. */
PG_NODISCARD pg_err pg_files_puts_expire(pg_files *files);

/** Need the blocks of all pins, as they stand in the database. Parks: yes. Errors: of the database, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_files_pins_load(pg_files *files);

/** Get what the pins keep that were found in the catalogue of another device: for ever, until cancelled. */
pg_err pg_files_pin_again_run(void *arg);

/** Return true when a host broke what it took on; one that has no room, or sets a limit, did not. */
static inline bool pg_files_is_break(pg_err err)
{
    return err == PG_ERR_TIMEOUT || err == PG_ERR_CLOSED || err == PG_ERR_RESET ||
           err == PG_ERR_CORRUPT || err == PG_ERR_PROTOCOL;
}

/** List peers that take placements and are not barred, those that are connected first, then others that were met, without ourselves, and not those of `exclude[exclude_count]`.
 *  out_candidates   out_candidates[PG_FILES_CANDIDATES_MAX]
 *  out_connected    how many of them are connected */
size_t pg_files_candidates(pg_files *files, const pg_peer_id *exclude, size_t exclude_count,
                           pg_host_candidate *out_candidates, size_t *out_connected);

/** Return the next sequence of a lease: the clock, or one more than the last. */
uint64_t pg_files_next_sequence(uint64_t last);

/** Sign a grant for an extent; takes the next sequence and notes it and the expiry in `extent`.
 *  expiry_s   0 = drop
 *  out        appended to. Errors: PG_ERR_NOMEM */
PG_NODISCARD pg_err pg_files_grant(pg_files *files, pg_catalogue_extent *extent, uint64_t expiry_s,
                                   pg_buf *out);

/** Need the blocks of an extent that are on this node only; `on` false: no longer. The descriptor has to be here. Parks: yes.
 *  Errors: of the block store, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_files_local_need(pg_files *files, const pg_catalogue_extent *extent,
                                        pg_slot_set slots, bool on);

/** Spread files that are not on enough hosts, drop what was removed: for ever, until cancelled. */
pg_err pg_files_spread_run(void *arg);

/** Tell the fiber of pg_files_spread_run that there is something to do. Parks: no. */
void pg_files_spread_wake(pg_files *files);

/** Look after what was put here: ask hosts what they hold, renew leases, note what is lost. For ever, until cancelled. */
pg_err pg_files_tend_run(void *arg);

/** Tell the hosts of an extent to drop it, and forget it when all have, or it has expired. *out_dropped counts those that have. Parks: yes.
 *  Errors: of the database, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_files_drop_extent(pg_files *files, pg_catalogue_extent *extent,
                                         uint32_t *out_dropped);

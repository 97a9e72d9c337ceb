// SPDX-License-Identifier: Apache-2.0
// One extent on its way to its hosts, or a root that is kept whole: sessions with a host for each slot where there are enough, shards as
// they come, then descriptor and grant. A host that is lost on the way loses its slots to another, and what it had is rebuilt from the
// others. Where no host takes anything the blocks stay on this node.
//
//      new, go_on ----> shards ... ----> finish ----> seal ----> free
//      resume --------------------------^            ^
//      reopen ----------------------------------------+
//
// At any moment: abandon.
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/catalogue.h"
#include "files/encode.h"
#include "files/service_priv.h"

typedef struct pg_upload pg_upload;

/** What is to be uploaded. */
typedef struct pg_upload_spec {
    pg_code code;
    bool is_whole;
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    uint64_t expected_bytes; // of one slot; 0 = unknown
    uint64_t expiry_s;
    /** Note what hosts are about to be asked to promise, before they are: after a crash they can be told to drop it. May park. NULL = not
     *  wanted. */
    pg_err (*record)(pg_catalogue_extent *extent, void *user);
    void *user;
} pg_upload_spec;

/** Choose hosts and open sessions with them. Parks: yes.
 *  Errors: PG_ERR_FULL (hosts were there, and none has room), PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_upload_new(pg_files *files, const pg_upload_spec *spec,
                                  pg_upload **out_upload);

/** Go on with an extent of the catalogue: further hosts get slots that nobody has any more, that are here only, or that share a host with
 *  others; where there are none, a host that has some gets those that nobody has.
 *  *out_upload is NULL when there is nothing better to be had. Parks: yes. Errors as pg_upload_new. */
PG_NODISCARD pg_err pg_upload_resume(pg_files *files, const pg_catalogue_extent *extent,
                                     pg_upload **out_upload);

/** Go on with an extent that an earlier run left open: its hosts are asked for the shards of `so_far`; slots that are not all there, or whose host is
 *  gone, go to others and are rebuilt. Parks: yes.
 *  extent   its holders
 *  Errors as pg_upload_new; PG_ERR_UNREACHABLE when more are lost than the code can replace. */
PG_NODISCARD pg_err pg_upload_go_on(pg_files *files, const pg_upload_spec *spec,
                                    const pg_catalogue_extent *extent, const pg_descriptor *so_far,
                                    pg_upload **out_upload);

/** Open sessions with the hosts of an extent of the catalogue again, to give them the root. Parks: yes. Errors as pg_upload_new. */
PG_NODISCARD pg_err pg_upload_reopen(pg_files *files, const pg_catalogue_extent *extent,
                                     pg_upload **out_upload);

/** Tell on which hosts the extent is now. */
void pg_upload_describe(const pg_upload *upload, pg_catalogue_extent *out_extent);

/** Give the shards of one segment to their hosts; several fibers at once. Parks: yes.
 *  Errors: PG_ERR_UNREACHABLE (more hosts were lost than the code can replace), PG_ERR_FULL (so many had no room; or this node), PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_upload_shards(pg_upload *upload, const pg_shard *shards, unsigned count);

/** Give descriptor, or the whole block, and grant to the hosts, after replacing those that were lost; *extent is what has become of it, its id stays as it is. Parks: yes. Errors as pg_upload_shards. */
PG_NODISCARD pg_err pg_upload_finish(pg_upload *upload, pg_bytes block, const pg_cid *cid,
                                     pg_catalogue_extent *extent);

/** Hear that the extent stands in the catalogue: what is kept here of it is the catalogue's from now on. */
void pg_upload_recorded(pg_upload *upload);

/** Tell the hosts of each other, by their receipts, and give them the root, if there is one, which the grant names from then on.
 *  Parks: yes. Errors: PG_ERR_UNREACHABLE (too few took the root), as pg_upload_shards. */
PG_NODISCARD pg_err pg_upload_seal(pg_upload *upload, pg_bytes root, const pg_cid *root_cid,
                                   pg_catalogue_extent *extent);

/** Return how many hosts the extent has now. */
size_t pg_upload_host_count(const pg_upload *upload);

/** End the sessions and free. NULL is fine. Parks: yes, briefly. */
void pg_upload_free(pg_upload **upload);

/** Give up: let the hosts delete what they got and have not promised, where they hear of it within PG_UPLOAD_ABANDON_MS; then free. NULL is
 *  fine. Parks: yes. */
void pg_upload_abandon(pg_upload **upload);

// SPDX-License-Identifier: Apache-2.0
// The inside of an upload, shared by upload.c (hosts and shards) and upload_commit.c (gaps, grants, receipts).
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include "crypto/identity.h"
#include "exchange/place_client.h"
#include "files/upload.h"

/** Hosts of one upload, the lost ones too. */
#define PG_UPLOAD_HOSTS_MAX (2U * PG_PLACE_SLOTS_MAX)

/** A host of the extent. */
typedef struct upload_host {
    pg_peer_id peer;
    pg_place_session *session; // NULL: it held its slots before this upload
    pg_slot_set slots;         // that it is to hold, or holds when is_committed
    pg_slot_set had;           // held before this upload: where moved slots are read
    bool has_taken;            // a shard, in this upload
    bool is_lost;
    bool is_at_fault;  // it broke off, or refused what it had taken on
    bool is_committed; // all of `slots`, under the grant
    bool is_asked;   // for its promise: it may have given it, though it was lost before it said so
    pg_buf receipt;  // encoded; empty = none
    unsigned pushes; // under way
    pg_waitq turn;   // for one of PG_UPLOAD_PUSHES_MAX
} upload_host;

struct pg_upload {
    pg_files *files;
    pg_upload_spec spec;
    bool is_resumed; // the extent has its places in the catalogue already
    pg_identity lease;
    uint64_t sequence; // of the last grant or release
    pg_buf grant;      // encoded
    pg_cid descriptor;
    pg_cid root; // that the grant names; len 0 = none
    pg_host_candidate
        *spares; // spares[spare_count], best first; those before spare_next were tried
    size_t spare_count;
    size_t spare_next;
    upload_host hosts[PG_UPLOAD_HOSTS_MAX];
    size_t host_count;
    pg_slot_set gaps;   // slots whose host was lost
    pg_slot_set moving; // slots that have a host, and whose shards have to get there yet
    pg_slot_set local;  // slots that are here
    pg_buf kept;        // pg_cid of the blocks kept here, until the extent stands in the catalogue
    uint64_t slot_bytes[PG_PLACE_SLOTS_MAX];
    pg_err lost_err; // why the last host was lost
    char lost_why[256];
};

/** Add a host, at the end. There is room for it. */
void pg_upload_host_add(pg_upload *upload, const upload_host *host);

/** Return how many slots the extent has. */
unsigned pg_upload_slots(const pg_upload *upload);

/** Open sessions with the next candidates until `wanted` more are open or none is left. Parks: yes. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_upload_open(pg_upload *upload, size_t wanted, size_t *out_opened);

/** Return the host that a slot is to be on; NULL when that is this node, or a lost one. */
upload_host *pg_upload_host_of(pg_upload *upload, unsigned slot);

/** Give a block to a host, or keep it here (`host` NULL). A host that does not take it is lost, which is no error. Parks: yes. */
PG_NODISCARD pg_err pg_upload_push(pg_upload *upload, upload_host *host, const pg_cid *cid,
                                   pg_bytes bytes);

/** Note why a host is of no use, in the fiber that found out. */
void pg_upload_note(pg_upload *upload, pg_err err);

/** Note that a host is of no use any more; its slots are gaps. */
void pg_upload_lose(pg_upload *upload, upload_host *host, pg_err err);

/** Fail with the reason of the last loss. */
PG_NODISCARD pg_err pg_upload_fail(const pg_upload *upload);

/** Find hosts for the gaps, or this node where none is left, and bring the shards there. Parks: yes. */
PG_NODISCARD pg_err pg_upload_fill_gaps(pg_upload *upload, const pg_descriptor *descriptor);

/** Sign the next grant. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_upload_sign(pg_upload *upload);

/** Give the descriptor, or whole block, and the grant to all hosts that have not promised yet. Those that do not promise are lost. Parks: yes. */
PG_NODISCARD pg_err pg_upload_commit(pg_upload *upload, pg_bytes block);

/** Give root (empty = none), grant and the receipts of the others to all hosts with a session; *out_told is how many took them. Parks: yes. */
PG_NODISCARD pg_err pg_upload_tell(pg_upload *upload, pg_bytes root, size_t *out_told);

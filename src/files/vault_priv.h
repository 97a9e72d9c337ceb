// SPDX-License-Identifier: Apache-2.0
// The inside of the archive, which its parts share: rounds (vault.c), rows (vault_rows.c), uploads (vault_upload.c), reading (vault_read.c), what
// happens to what is archived (vault_tend.c).
//
// Layer: files, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "files/guard_priv.h"
#include "files/vault.h"
#include "runtime/fiber.h"

#define PG_VAULT_NAME_BYTES 128 // of an object

/** How far an extent has come. Numbers stand in the database. */
typedef enum pg_vault_state {
    PG_VAULT_STATE_UPLOADING = 0,
    PG_VAULT_STATE_STORED = 1,
    PG_VAULT_STATE_DAMAGED = 2, // to be uploaded once more
} pg_vault_state;

/** An extent, or a block that is kept whole, in the archive. */
typedef struct pg_vault_row {
    pg_cid descriptor; // or the whole block
    pg_cid root;       // stored beside it; len 0 = none
    bool is_whole;
    uint8_t lease_key[PG_ED25519_PUBLIC_BYTES];
    uint64_t sequence; // of the newest grant that is known
    uint64_t expiry_s;
    uint64_t bytes; // of its objects
    uint32_t block_bytes;
    uint32_t root_bytes;
    uint32_t segments;
    pg_vault_state state;
    uint64_t stored_s;
    uint64_t checked_s;
    // not in the database
    pg_time ask_at;  // when its newest grant is to be looked for, where no lease here tells
    bool is_dropped; // by its owner, as this node was told as a host
    uint64_t asks;   // how often it was
    uint64_t round;  // in which a lease of this node on it was last seen
} pg_vault_row;

/** A lease of this node. */
typedef struct vault_lease {
    pg_cid descriptor;
    uint64_t read_s; // wall clock; when it came, before its first read
    uint64_t round;  // in which it was last seen
    pg_time look_at; // not before
    pg_time due;     // to be archived then; 0 = it need not be
    bool is_changed; // read_s is not in the database yet
} vault_lease;

/** An extent whose shards can be asked for. */
typedef struct vault_open {
    pg_cid descriptor;
    pg_descriptor read;
    uint64_t used; // number of the last use
    size_t count;
    struct vault_place *places; // places[count], by `hash`
} vault_open;

struct pg_vault {
    pg_vault_config config;
    pg_objects objects;
    pg_scope scope;
    pg_map rows;   // by descriptor: pg_vault_row
    pg_map roots;  // by root: one of the rows that has it
    pg_map leases; // by descriptor: vault_lease
    pg_map reads;  // by CID: nothing; blocks that peers read since the last round
    bool has_more_reads;
    uint64_t mark;
    uint64_t uses;
    vault_open *open[PG_VAULT_OPEN_MAX];
    bool is_running; // a round
    pg_waitq wake;
    pg_waitq idle; // a reader has ended
    unsigned readers;
    bool is_ending;
    pg_time up_at; // when the next byte may go up, or down to others
    pg_time down_at;
    pg_vault_stats totals; // *_total, is_failing and failure
};

// vault_rows.c

/** Write a row. Errors of the database. Parks: yes, as all here. */
PG_NODISCARD pg_err pg_vault_row_write(pg_db *db, const pg_vault_row *row);

/** Remove a row. */
PG_NODISCARD pg_err pg_vault_row_remove(pg_db *db, const pg_cid *descriptor);

/** Append all rows, pg_vault_row[]. */
PG_NODISCARD pg_err pg_vault_rows_read(pg_db *db, pg_buf *out);

/** Append when leases were read, vault_lease[]. */
PG_NODISCARD pg_err pg_vault_reads_read(pg_db *db, pg_buf *out);

/** Write when leases were read, vault_lease[]; a read_s of 0 removes the row. */
PG_NODISCARD pg_err pg_vault_reads_write(pg_db *db, pg_bytes leases);

/** Keep credentials; NULL: none. */
PG_NODISCARD pg_err pg_vault_credentials_write(pg_db *db, const pg_s3_credentials *credentials);

/** Read them. Errors: PG_ERR_NOT_FOUND, of the database. */
PG_NODISCARD pg_err pg_vault_credentials_read(pg_db *db, pg_s3_credentials *out_credentials);

// vault.c

/** Note that something failed, or with PG_OK that it worked. */
void pg_vault_note(pg_vault *vault, pg_err err);

/** Wait until `bytes` may go, by the clock of one direction. Parks: yes. Errors: PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_vault_pace(const pg_vault *vault, pg_time *at, uint64_t bytes);

/** Return what is archived, or being archived, as a descriptor or whole block; NULL: nothing. */
pg_vault_row *pg_vault_row_of(const pg_vault *vault, const pg_cid *descriptor);

/** A row came, or is about to go: keep the map of roots in step. */
void pg_vault_index(pg_vault *vault, pg_vault_row *row, bool on);

/** Begin a read, which pg_vault_free waits for. Errors: PG_ERR_CLOSED, PG_ERR_KEY (no credentials). */
PG_NODISCARD pg_err pg_vault_enter(pg_vault *vault);

/** End it. */
void pg_vault_leave(pg_vault *vault);

// vault_name.c

/** Write the name of the object of a block. */
void pg_vault_block_name(const pg_cid *cid, char out_name[PG_VAULT_NAME_BYTES]);

/** Write what the names of all objects of an extent begin with. */
void pg_vault_prefix(const pg_cid *descriptor, char out_name[PG_VAULT_NAME_BYTES]);

/** Write the name of the object of a segment. */
void pg_vault_segment_name(const pg_cid *descriptor, uint32_t segment,
                           char out_name[PG_VAULT_NAME_BYTES]);

// vault_upload.c

/** Copy an extent that is kept here into the archive: what is there already stays. The row is there before the first object. Parks: yes.
 *  Errors: PG_ERR_MISSING (too few shards can be had), PG_ERR_FULL (the quota), PG_ERR_CHANGED (its lease ends), those of pg_objects, of the database. */
PG_NODISCARD pg_err pg_vault_upload(pg_vault *vault, const pg_place_lease *lease, guard_exam *exam);

/** Find out whether what a row says is in the archive: sizes by a list, some of the content by reading. Parks: yes.
 *  Errors: PG_ERR_CORRUPT (the detail says what is wrong; what is wrong is deleted), those of pg_objects. */
PG_NODISCARD pg_err pg_vault_verify(pg_vault *vault, const pg_vault_row *row);

// vault_tend.c

/** Look after all that is archived: expiry, drops, checks; `all` checks each now. Parks: yes. Errors: of the database, PG_ERR_CANCELLED. */
PG_NODISCARD pg_err pg_vault_tend(pg_vault *vault, bool all, pg_vault_round *round);

// vault_read.c

/** Serve peers out of the archive, or no longer. */
void pg_vault_serve(pg_vault *vault, bool on);

/** Forget an extent that was opened; all, when NULL. */
void pg_vault_close(pg_vault *vault, const pg_cid *descriptor);

// SPDX-License-Identifier: Apache-2.0
// The catalogue among the hosts: written as a file under a key of the owner's secret, behind the feed "catalogue" of the person. A version is
// placed first, then noted here, then the feed points to it, and only when enough peers have that record the version before is dropped; so at
// any moment what the feed points to is there. What other devices of the person published comes in by the same way, and after a loss of
// everything that is the restoring.
//
//      changed --> look the feed up --> take in what is newer --> snapshot --> place --> note --> sign, publish --> drop the old
//
// Layer: files, private.  Thread: loop thread only.  Spec: docs/protocols/catalogue.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "files/catalogue_feed.h"
#include "runtime/fiber.h"
#include "runtime/time.h"

/** Its state in the service. */
typedef struct pg_publisher {
    pg_feed_own own;
    pg_waitq wake;
    pg_waitq idle;
    bool is_busy;
    bool is_announced; // since the start: the DHTs publish it again from then on
    bool is_empty;     // there is nothing to publish
    bool is_behind;    // the last try failed
    bool is_dirty;     // the catalogue changed since `digest`
    bool is_too_large; // the last snapshot was, and nothing changed since
    bool is_current;   // what the standing record points to is what we have, whoever published it
    pg_time changed_first; // not published yet; 0 = nothing
    pg_time changed_last;
    pg_time look_at;
    int64_t retry_ns;
    uint8_t seen
        [PG_HASH_BYTES]; // what was signed of the record of another device that was taken in last
    uint8_t seen_digest[PG_HASH_BYTES]; // of the snapshot behind it
    pg_time seen_at;                    // 0 = none
    uint64_t seen_sequence;             // of that record
    uint64_t seen_published_s;
    pg_time unread_since; // a newer one of another device cannot be read; 0 = no
    uint64_t newest;      // the highest sequence met with
    uint64_t stored;      // peers that took our record
    uint64_t looks;
    uint64_t snapshots;                   // that were read for their digest since the start
    uint64_t bytes_max;                   // of one
    uint64_t snapshot_bytes;              // of the last
    pg_time rest_until;                   // no other version before, unless somebody asks
    uint8_t digest[PG_HASH_BYTES];        // of the last
    char reason[PG_ERROR_TEXT_BYTES_MAX]; // why the last try failed
} pg_publisher;

/** Begin: nothing is known to be published. */
void pg_publisher_init(pg_publisher *self);

/** Publish changes, look for those of others: for ever, until cancelled. */
pg_err pg_publish_run(void *arg);

/** Hear that the catalogue changed: after it was written, since a snapshot may be made at any time. Parks: no. */
void pg_publish_changed(pg_files *files);

/** Hear that a host appeared. Parks: no. */
void pg_publish_peer_appeared(pg_files *files);

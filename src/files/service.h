// SPDX-License-Identifier: Apache-2.0
// Files among nodes: put gives a stream to hosts and returns the link, get finds the blocks of a link and gives the stream back. Keeps
// the catalogue of what was put here, moves slots to hosts that appear, seeds what passes through. Not for: the formats and the
// pipelines (encode.h, decode.h), what this node keeps for others (exchange/place_server.h).
//
// Layer: files.  Thread: loop thread only.  Spec: docs/ARCHITECTURE.md, "Life of a file"
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "codec/cid.h"
#include "crypto/identity.h"
#include "crypto/peer_id.h"
#include "crypto/public_key.h"
#include "crypto/secret.h"
#include "dht/pair.h"
#include "exchange/bitswap.h"
#include "exchange/lease.h"
#include "exchange/limits.h"
#include "exchange/place_server.h"
#include "files/code.h"
#include "files/decode.h"
#include "files/encode.h"
#include "files/limits.h"
#include "files/link.h"
#include "health/health.h"
#include "net/host.h"
#include "store/blocks.h"
#include "store/db.h"

typedef struct pg_files pg_files;
struct pg_vault;

/** The tables of this room, step by step (store/db.h). */
extern const char *const pg_files_schema_1;
extern const char *const pg_files_schema_2;
extern const char *const pg_files_schema_3;
extern const char *const pg_files_schema_4;
extern const char *const pg_files_schema_5;
extern const char *const pg_files_schema_6;
extern const char *const pg_files_schema_7;

/** What it stands on; all outlive it. */
typedef struct pg_files_config {
    pg_host *host;
    pg_bitswap *bitswap;
    pg_block_store *blocks;
    pg_db *db;              // has the tables
    pg_health *health;      // who may be given shards, and what was seen of hosts; NULL = all may
    pg_place_server *place; // of this node; NULL where it keeps nothing for others
    const pg_secret *owner; // lease keys derive from it
    const pg_dht_pair *dht; // NULL = none: only connected peers and hints are asked
    const pg_identity *person; // signs the feed of the catalogue; NULL = none is published
    bool is_restored; // the identity was made from its secret: there is a catalogue to be found
    uint64_t cache_bytes_max; // of blocks kept because they passed through
    uint64_t ttl_s;           // of leases, unless a put names another
} pg_files_config;

/** Begin: goes on with what an earlier run left unfinished. Errors: of the database, PG_ERR_NOMEM. Parks: yes. */
PG_NODISCARD pg_err pg_files_new(const pg_files_config *config, pg_files **out_files);

/** Tell of this node's own ledger, which is made later since it asks pg_files_needs; NULL takes it away again. */
void pg_files_attach_place(pg_files *files, pg_place_server *place);

/** Tell of this node's archive (vault.h), out of which gets read what hosts do not have; NULL takes it away again. */
void pg_files_attach_vault(pg_files *files, struct pg_vault *vault);

/** End what is under way, free, and set *files to NULL. NULL is fine. Parks: yes. */
void pg_files_free(pg_files **files);

/** Return true when this room needs a block to stay here: own pending file, pinned block, cache. Parks: no. */
bool pg_files_needs(const pg_files *files, const pg_cid *cid);

/** Give back space of the cache for something that matters more: `bytes`, or what there is. Returns false when there was nothing. Parks: yes. */
bool pg_files_make_room(pg_files *files, uint64_t bytes);

/** Append the newest grant of a lease key that the DHTs have. Parks: yes. Errors: PG_ERR_NOT_FOUND, those of pg_dht_pair_get. */
PG_NODISCARD pg_err pg_files_newest_grant(pg_files *files,
                                          const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                                          pg_buf *out);

/** Return true when the catalogue has an extent. Parks: yes. */
bool pg_files_is_own(pg_files *files, const pg_cid *descriptor);

/** Find out which of the slots that somebody brings others still hold: the hosts of the extent that are known here, to the receipts that came and
 *  to the DHTs are asked, and those that say so have to prove it, about the very shards that were brought. Of a block that is kept whole slot 0
 *  counts as held when enough others do. Parks: at most PG_PLACE_CLAIM_MS. Errors: PG_ERR_BUSY (what one says cannot be judged), PG_ERR_NOT_FOUND (what was
 *  brought is not here), those of the block store, PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_files_held_elsewhere(pg_files *files, const pg_place_claim *claim,
                                            pg_slot_set *out_held);

/** Hear that the owner of something that is kept here has dropped it, by a verified grant. Parks: no. */
void pg_files_dropped(pg_files *files, const pg_lease_grant *grant);

/** Return true when the host holds something that was put here. Parks: no. */
bool pg_files_relies_on(const pg_files *files, const pg_peer_id *host);

/** List the hosts that hold something that was put here, out_hosts[max], and return how many. Parks: no. */
size_t pg_files_hosts(const pg_files *files, pg_peer_id *out_hosts, size_t max);

/** Hear that a block was found damaged and is gone (store/blocks.h). Parks: no. */
void pg_files_lost(pg_files *files, const pg_cid *cid);

/** How far a put or get has come. Borrowed for the call; must not park. */
typedef struct pg_transfer_progress {
    uint64_t bytes;       // of the file's plaintext that are placed, or given out
    uint64_t total_bytes; // 0 = not known
    uint32_t hosts;       // of the extent at hand
} pg_transfer_progress;

typedef void (*pg_transfer_listener)(const pg_transfer_progress *progress, void *user);

#define PG_PUT_SOURCE_BYTES 32

/** What a put is of, so that it can be gone on with: both are hashes that the caller makes. */
typedef struct pg_put_origin {
    uint8_t source[PG_PUT_SOURCE_BYTES];  // where the bytes come from, and the options of the put
    uint8_t version[PG_PUT_SOURCE_BYTES]; // differs when the bytes may differ
} pg_put_origin;

/** How to put. */
typedef struct pg_put_options {
    pg_bytes name; // empty = not told
    pg_file_kind kind;
    pg_code code;
    bool no_compress;
    uint64_t ttl_s;              // 0 = kept until it is removed; else its leases end then
    uint64_t total_bytes;        // of the source, for the progress; 0 = unknown
    const pg_put_origin *origin; // NULL = it cannot be gone on with
    uint64_t start; // of the source, as pg_files_put_start told: it gives the bytes from there on
    pg_transfer_listener progress; // NULL = not interested
    void *user;
} pg_put_options;

/** One host and what it holds of a file: slots of its extents, summed up. */
typedef struct pg_file_host {
    pg_peer_id peer;
    uint32_t slots; // counted over all extents
    uint64_t bytes; // of its shards
} pg_file_host;

#define PG_FILE_HOSTS_MAX 256

/** Where a file stands. */
typedef enum pg_file_state {
    PG_FILE_STATE_PENDING,  // on this node only: no host could be reached
    PG_FILE_STATE_PARTIAL,  // safe, but on fewer hosts than slots; spreads as hosts appear
    PG_FILE_STATE_COMPLETE, // every slot on a host of its own
    PG_FILE_STATE_COUNT,
} pg_file_state;

/** One file of the catalogue, or the result of a put. Owns its buffers: pg_file_entry_deinit. Holds a secret: the link. */
typedef struct pg_file_entry {
    pg_link link;
    pg_buf name;
    pg_file_kind kind;
    pg_code code;
    pg_file_state state;
    uint64_t size_bytes;
    uint64_t packed_bytes; // after compression
    uint64_t stored_bytes; // on all hosts together
    uint64_t extents;
    uint64_t segments;
    uint32_t survives; // losses of hosts that it survives for certain
    int64_t put_ms;    // wall clock
    uint64_t ttl_s;    // 0: its leases are renewed until it is removed; else they end after so long
    uint64_t expiry_s; // the earliest of its leases
    size_t host_count;
    pg_file_host hosts[PG_FILE_HOSTS_MAX];
} pg_file_entry;

/** Wipe and free. NULL is fine. */
void pg_file_entry_deinit(pg_file_entry *entry);

/** Choose the code for a put that leaves it to the node: 8 data shards, and the least parity of PG_AUTO_PARITY_MIN to PG_AUTO_PARITY_MAX with which the loss
 *  is at most PG_AUTO_LOSS_MAX, by the forecasts for the hosts it would be given to. A put that goes on has the code it began with.
 *  origin     of the put; NULL = none
 *  out_loss   the probability with this code; -1 where it is not computed: going on, or no hosts. Errors: PG_ERR_NOMEM, of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_choose_code(pg_files *files, const pg_put_origin *origin,
                                         pg_code *out_code, double *out_loss);

/** Put a stream. Where no host is reachable the file waits on this node and *out_entry says PENDING, which is no error here.
 *  out_entry   written only on PG_OK; large: not for a small stack
 *  Errors      those of the source, PG_ERR_FULL (no host has room, nor this node), PG_ERR_INVALID, PG_ERR_NOMEM, PG_ERR_CANCELLED, those of the database.
 *              PG_ERR_CHANGED (it cannot be gone on with at options->start), PG_ERR_BUSY (the same is being put).
 *              After an error nothing of the file is kept, and hosts are told to delete what they got of it, after a crash when the node starts again; but
 *              with an origin it stays for two days, to be gone on with, unless there was no room. Parks: yes. */
PG_NODISCARD pg_err pg_files_put(pg_files *files, const pg_put_options *options,
                                 const pg_files_source *source, pg_file_entry *out_entry);

/** Where the put of an origin goes on. */
typedef struct pg_put_start {
    uint64_t start;   // 0 = at its beginning
    bool was_changed; // one of another version was broken off, and is given up now
    bool is_done;     // it ended lately: there is nothing to put
    pg_cid root;      // of the file it made, when is_done
} pg_put_start;

/** Find out where the put of an origin goes on. Waits for one that is just ending.
 *  Errors: PG_ERR_BUSY (it is being put), of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_put_start(pg_files *files, const pg_put_origin *origin,
                                       pg_put_start *out_start);

/** How to get. */
typedef struct pg_get_options {
    uint64_t start;                // as pg_files_decode_stream
    pg_transfer_listener progress; // NULL = not interested
    void *user;
} pg_get_options;

/** How a host failed a get, the worst last. */
typedef enum pg_host_fault {
    PG_HOST_FAULT_LATE,    // gave nothing for so long that another was asked
    PG_HOST_FAULT_ABSENT,  // said it holds what it did not have
    PG_HOST_FAULT_CORRUPT, // gave other bytes
    PG_HOST_FAULT_COUNT,
} pg_host_fault;

/** A host that failed, and its worst fault. */
typedef struct pg_faulty_host {
    pg_peer_id peer;
    pg_host_fault fault;
} pg_faulty_host;

/** What a get met with. */
typedef struct pg_get_report {
    uint64_t shards_fetched; // over the network
    uint64_t shards_local;   // were here
    uint64_t shards_absent;  // looked for and not found
    uint64_t shards_corrupt; // failed their digest, and were replaced
    int64_t first_byte_ns;   // from the start to the first byte given out
    size_t faulty_count;
    pg_faulty_host faulty[PG_GET_FAULTY_MAX]; // of whom shards were asked; the first that failed
} pg_get_report;

/** Get a file. Errors as pg_files_decode_stream; PG_ERR_NOT_FOUND when nobody who could be asked has the root, PG_ERR_UNREACHABLE when there was
 *  nobody to ask. out_report may be NULL, and is written on failure too. Parks: yes. */
PG_NODISCARD pg_err pg_files_get(pg_files *files, const pg_link *link,
                                 const pg_get_options *options, const pg_files_output *output,
                                 pg_get_report *out_report);

// ---- Pins

/** A file that is pinned: what restores it stays on this node, within the quota, until it is unpinned. Owns its buffer: pg_pin_deinit.
 *  Holds a secret: the link. */
typedef struct pg_pin {
    pg_link link;
    pg_buf name;
    pg_file_kind kind;
    uint64_t size_bytes; // of the file; 0 until its root is known
    uint64_t kept_bytes; // of its blocks that are here
    bool is_complete;    // all of it is here
    int64_t pinned_ms;   // wall clock
} pg_pin;

/** Wipe and free. */
void pg_pin_deinit(pg_pin *pin);

/** How to pin. */
typedef struct pg_pin_options {
    pg_transfer_listener progress; // NULL = not interested
    void *user;
} pg_pin_options;

/** Pin a file: its root, its descriptors and k shards of each segment are got where they are not here, and kept. It can be broken off:
 *  what was got is noted and kept, and the next call goes on. The cache gives way, nothing else.
 *  out_pin   written only on PG_OK; end it with pg_pin_deinit
 *  Errors    as pg_files_get; PG_ERR_FULL (the quota has no room: a new pin leaves nothing), PG_ERR_BUSY (it is being pinned). Parks: yes. */
PG_NODISCARD pg_err pg_files_pin(pg_files *files, const pg_link *link,
                                 const pg_pin_options *options, pg_pin *out_pin);

/** Find a pin by the root. Errors: PG_ERR_NOT_FOUND, of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_pin_find(pg_files *files, const pg_cid *root, pg_pin *out_pin);

/** Call `each` for every pin, newest first, borrowed for the call. It must not park. Errors of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_pins(pg_files *files, void (*each)(const pg_pin *pin, void *user),
                                  void *user);

/** Pin no more: what nothing else needs is deleted. Errors: PG_ERR_NOT_FOUND, PG_ERR_BUSY (it is being pinned), of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_unpin(pg_files *files, const pg_cid *root);

/** One slot of an extent, as its hosts tell. */
typedef struct pg_slot_holder {
    pg_peer_id peer;
    pg_slot_set slots;
    bool is_reachable; // answered now; else a receipt says so
    uint64_t expiry_s;
} pg_slot_holder;

/** One extent of a file. */
typedef struct pg_extent_info {
    uint64_t number;
    uint64_t plain_bytes;
    pg_cid descriptor;
    pg_code code;
    size_t holder_count;
    pg_slot_holder holders[PG_PLACE_RECEIPTS_MAX];
} pg_extent_info;

/** What is found out about a link. */
typedef struct pg_link_info {
    uint64_t size_bytes;
    pg_file_kind kind;
    pg_bytes name; // borrowed for the call of `each`
    uint64_t extents;
    bool is_inline;
} pg_link_info;

/** Look a link up without fetching the file: `root` is called once, then `extent` for each until it returns false. Both may be NULL, and
 *  must not park. Errors as pg_files_get. Parks: yes. */
PG_NODISCARD pg_err pg_files_inspect(pg_files *files, const pg_link *link,
                                     void (*root)(const pg_link_info *info, void *user),
                                     bool (*extent)(const pg_extent_info *info, void *user),
                                     void *user);

/** A part of the list of files: behind one that may be gone by then. */
typedef struct pg_file_page {
    int64_t put_ms; // of that one; INT64_MAX, and a file of INT64_MAX: from the newest on
    int64_t file;   // its number in the catalogue
    uint32_t max;
    bool has_more;
} pg_file_page;

/** Call `each` for the files of a page, newest first; entries are borrowed for the call, without hosts. It must not park. The page is then the next
 *  one, and says whether there may be more. Errors of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_list(pg_files *files, pg_file_page *page,
                                  void (*each)(const pg_file_entry *entry, void *user), void *user);

/** Find one file of the catalogue, hosts included, by its root's CID. Errors: PG_ERR_NOT_FOUND, of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_find(pg_files *files, const pg_cid *root, pg_file_entry *out_entry);

/** Drop a file that was put here: hosts that are reachable drop it now, others when its lease ends.
 *  out_dropped, out_hosts   hosts that dropped it, of so many
 *  Errors: PG_ERR_NOT_FOUND (not of this catalogue), of the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_remove(pg_files *files, const pg_cid *root, uint32_t *out_dropped,
                                    uint32_t *out_hosts);

/** Keep a public block, readable by anyone, here: raw, sha2-256 as IPFS has it. At most PG_BITSWAP_BLOCK_BYTES_MAX.
 *  Errors: PG_ERR_LIMIT, those of pg_block_store_put and the database. Parks: yes. */
PG_NODISCARD pg_err pg_files_block_put(pg_files *files, pg_bytes bytes, pg_cid *out_cid);

/** Get a public block from here or from any connected peer. Errors as pg_bitswap_fetch_any. Parks: yes. */
PG_NODISCARD pg_err pg_files_block_get(pg_files *files, const pg_cid *cid, pg_time deadline,
                                       pg_buf *out);

// ---- The catalogue among the hosts

/** Where the copy stands from which the secret alone finds all files again. */
typedef enum pg_catalogue_phase {
    PG_CATALOGUE_PHASE_OFF,       // there is no DHT
    PG_CATALOGUE_PHASE_EMPTY,     // nothing was put
    PG_CATALOGUE_PHASE_RESTORING, // it is looked for, and was not found yet
    PG_CATALOGUE_PHASE_BEHIND,    // there are changes that are not published
    PG_CATALOGUE_PHASE_TOO_LARGE, // likewise, and none is before something is removed
    PG_CATALOGUE_PHASE_PUBLISHED,
    PG_CATALOGUE_PHASE_COUNT,
} pg_catalogue_phase;

/** The copy. */
typedef struct pg_catalogue_status {
    pg_catalogue_phase phase;
    uint64_t
        sequence; // of the record that was published last, from here or, when that is newer, was taken in; 0 = none
    uint64_t published_s; // wall clock
    uint64_t peers;       // that took it; 0 when it is not from here, or not since the start
    uint64_t looks;       // how often it was looked for since the start
    uint64_t snapshots;   // how often the catalogue was written down for it since the start
    const char *reason;   // why it is behind, or too large; NULL where there is none; borrowed
} pg_catalogue_status;

/** Return where the copy stands. */
pg_catalogue_status pg_files_catalogue_status(const pg_files *files);

/** Publish changes now that are not published yet, as far as it is done by the deadline. Parks: yes. */
void pg_files_flush(pg_files *files, pg_time deadline);

/** What the room does. */
typedef struct pg_files_stats {
    uint64_t files;
    uint64_t files_pending;
    uint64_t files_partial;
    uint64_t files_bytes; // of the files as they were put
    uint64_t cache_bytes;
    uint64_t cache_bytes_max;
    uint64_t pinned_blocks;
    uint64_t puts_total;
    uint64_t gets_total;
    uint64_t bytes_put_total;
    uint64_t bytes_got_total;
    uint64_t clock_hosts;  // that signed the time since the start
    int64_t clock_ahead_s; // the median of their clocks is ahead of ours
} pg_files_stats;

/** Return what the room does. */
pg_files_stats pg_files_get_stats(const pg_files *files);

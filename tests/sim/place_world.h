// SPDX-License-Identifier: Apache-2.0
// Machines that keep blocks for others and machines that place them, with a format of extents made up for the tests: what the scenarios of
// placement share.
#pragma once

#include "exchange/place_client.h"
#include "exchange/place_server.h"
#include "runtime/sim.h"
#include "sim_test.h"

/** Fail at once: the scenario's fibers are many, and the seed is printed when the program aborts. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void) fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__,     \
                           #condition, pg_error_last()->text);                                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_OK(expression) CHECK_ERR(expression, PG_OK)
#define CHECK_ERR(expression, wanted)                                                              \
    do {                                                                                           \
        pg_err check_err = (expression);                                                           \
        if (check_err != (wanted)) {                                                               \
            (void) fprintf(stderr, "%s:%d: %s: %s, wants %s: %s\n", __FILE__, __LINE__,            \
                           #expression, pg_err_name(check_err), pg_err_name(wanted),               \
                           pg_error_detail(check_err));                                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define PLACE_SLOTS_MAX 8U

typedef struct place_node place_node;

/** Something a node does, in a fiber of its machine. */
typedef pg_err (*place_task)(place_node *self, void *arg);

/** One machine. What is of its present life is NULL while it is down. */
struct place_node {
    pg_sim_machine *machine;
    bool is_host; // keeps blocks for others
    pg_key seed;
    pg_identity identity; // of the first life; the key is the same in all
    pg_multiaddr addr;
    pg_place_rules rules;
    bool is_unlisted; // serves, and does not tell
    bool is_up;
    bool stop;
    pg_host *host;
    pg_block_store *blocks;
    pg_db *db;
    pg_place_server *server;
    const pg_buf *
        newest; // what whoever is asked for the newest grant of any key answers; NULL = nobody knows
    uint64_t starts;      // with a server
    const pg_cid *needed; // needed[needed_count]: what its owner wants to keep
    size_t needed_count;
    place_task task;
    void *task_arg;
    pg_err task_err;
    bool task_done;
    pg_waitq told;     // there is something to do
    pg_waitq finished; // it is done
};

/** Make a machine, not started. `number` from 1 makes its key. */
void place_node_make(place_node *node, unsigned number, bool is_host);

/** Start it, and wait until it is up; a host whose disk fails ends instead, which is told. */
bool place_node_start(place_node *node);

/** Stop it in good order. */
void place_node_stop(place_node *node);

/** Pull its plug. */
void place_node_crash(place_node *node);

/** Free what outlives the machine. */
void place_node_free(place_node *node);

/** Let it run a task, and wait for its end. Script only. */
pg_err place_node_do(place_node *node, place_task task, void *arg);

/** The same without waiting; then place_node_wait, where PG_ERR_BUSY means that it goes on. */
void place_node_begin(place_node *node, place_task task, void *arg);
pg_err place_node_wait(place_node *node, int64_t within_ns);

/** Tell a node where another is. On its machine. */
void place_node_meet(place_node *self, const place_node *other);

// ---- Extents

/** An extent: shards by a formula, and a descriptor. */
typedef struct place_extent {
    pg_identity lease;
    uint32_t slots;
    uint32_t segments;
    uint32_t shard_bytes;
    uint64_t number; // decides the content
    pg_buf descriptor;
    pg_cid cid;
    pg_cid root; // len 0: none
    pg_buf root_block;
} place_extent;

/** The format, for the configuration of servers. */
extern const pg_extent_format place_format;

/** Make an extent; `number` decides its lease key and its content, up to 8 slots. */
void place_extent_make(place_extent *extent, uint64_t number, uint32_t slots, uint32_t segments,
                       uint32_t shard_bytes);

/** Give it a root. */
void place_extent_add_root(place_extent *extent, size_t len);

/** Free. */
void place_extent_free(place_extent *extent);

/** Append the content of a shard to an empty buffer, and tell its CID. */
void place_shard(const place_extent *extent, uint32_t slot, uint32_t segment, pg_buf *out,
                 pg_cid *out_cid);

/** What the slots and the descriptor, and the root, take in a block store. */
uint64_t place_extent_space(const place_extent *extent, pg_slot_set slots);

// ---- What an owner does, on its machine

/** Open a session with a host for an extent. */
pg_err place_open(place_node *self, const place_node *host, const place_extent *extent,
                  pg_place_session **out_session);

/** Push the descriptor, the root, and the shards of the slots, by several fibers at once. */
pg_err place_push_all(pg_place_session *session, const place_extent *extent, pg_slot_set slots);

/** The wall clock, seconds. */
uint64_t place_now_s(void);

/** Sign a grant for an extent; expiry_s and sequence as they are. Appended to an empty buffer. */
void place_grant(const place_extent *extent, uint64_t expiry_s, uint64_t sequence, pg_buf *out);

/** Sign and send a grant, for 30 days. */
pg_err place_commit(pg_place_session *session, const place_extent *extent, pg_slot_set slots,
                    uint64_t sequence, pg_lease_receipt *out_receipt);

/** Sign and send the grant that drops the extent. */
pg_err place_drop(pg_place_session *session, const place_extent *extent, uint64_t sequence);

/** Sign and send a release. */
pg_err place_release(pg_place_session *session, const place_extent *extent, pg_slot_set slots,
                     uint64_t sequence);

/** Open, push all, commit, and end the session. */
pg_err place_upload(place_node *self, const place_node *host, const place_extent *extent,
                    pg_slot_set slots, uint64_t sequence);

/** Ask a host what it has. */
pg_err place_have(place_node *self, const place_node *host, const place_extent *extent,
                  pg_place_holding *out_holding);

// ---- What a host is asked, on its machine

/** Return the bytes in the store that are not needed otherwise, as they are counted. */
uint64_t place_store_bytes(place_node *self);

/** Check that everything of the slots is there and right, the descriptor too. */
void place_check_blocks(place_node *self, const place_extent *extent, pg_slot_set slots);

/** Check that the account is that of the blocks, and no more than the quota. */
void place_check_account(place_node *self);

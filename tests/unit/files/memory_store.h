// SPDX-License-Identifier: Apache-2.0
// The blocks of a file in memory, as the sink of an encoding and the store of a decoding, with shards to lose and to corrupt; and
// random bytes that are the same in every run.
#pragma once

#include "files/decode.h"
#include "files/encode.h"

#define MEMORY_PROBLEMS_MAX 512

/** One block, owned. */
typedef struct memory_block {
    pg_cid cid;
    pg_buf bytes;
    bool is_shard;
    bool lost;
    uint64_t extent; // running number over all levels, of a shard's extent
    uint32_t segment;
    unsigned slot;
} memory_block;

/** All blocks of a file, and what is made of them. All-zero to begin. */
typedef struct memory_store {
    memory_block *blocks;
    size_t count;
    size_t room;
    uint64_t extent;   // being written
    pg_buf extent_ids; // of the extents before it
    uint32_t segment;
    size_t hosts;        // to name in each extent
    pg_err fail_with;    // of the next put or get after `fail_after` of them
    size_t fail_after;   // 0 = never
    bool is_verified;    // what it says of its shards
    size_t give_at_most; // shards a call, 0 = as many as asked
    pg_bytes source;     // rest of what is to be encoded
    pg_err source_err;   // when the source has ended
    pg_buf output;
    bool began;
    uint64_t progress;
    pg_shard_problem problems[MEMORY_PROBLEMS_MAX];
    size_t problem_count;
} memory_store;

/** Source, sink, store and output over one memory_store. */
pg_files_source memory_source(memory_store *store);
pg_files_sink memory_sink(memory_store *store);
pg_files_store memory_blocks(memory_store *store);
pg_files_output memory_output(memory_store *store);

/** Find a block; NULL when there is none. */
memory_block *memory_find(memory_store *store, const pg_cid *cid);

/** Find what a slot holds of a segment, by place: short segments have shards of equal content. */
memory_block *memory_shard(memory_store *store, uint64_t extent, uint32_t segment, unsigned slot);

/** Lose all shards of a slot. */
void memory_lose_slot(memory_store *store, unsigned slot);

/** Flip one bit in the middle of a block. */
void memory_corrupt(memory_block *block);

/** Forget output and problems, find everything again, keep the blocks. */
void memory_again(memory_store *store);

/** Free. */
void memory_free(memory_store *store);

/** Begin the stream of test_random anew. */
void test_random_seed(uint64_t seed);

/** Fill `out` with the next bytes of a stream that depends on the seed only. For nonces, ids and keys of tests. */
void test_random(pg_mut_bytes out);

/** Return a number below `limit` from a stream of its own. */
uint64_t test_below(uint64_t limit);

/** Make `len` bytes that compress (`text`) or not; free with pg_mfree. */
uint8_t *test_bytes(size_t len, bool text);

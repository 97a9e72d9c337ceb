// SPDX-License-Identifier: Apache-2.0
// The pack files of a block store: which there are, what is in them, and which of them are held open. What is inside is the
// block store's (blocks.c).
//
// Layer: store, private.  Thread: loop thread only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "runtime/fiber.h"
#include "runtime/file.h"

/** One pack file. */
typedef struct pg_pack {
    uint32_t number;
    uint32_t end_unit;   // where the next block goes
    uint32_t blocks;     // live, and on their way in or out
    uint32_t users;      // that hold it open
    uint64_t live_bytes; // that the blocks take, in whole units
    uint64_t dead_bytes; // that could not be given back, since the file system has no holes
    pg_file *file;       // NULL when it is not open
    bool is_opening;
    bool is_removed;    // has no name any more, freed with its last user
    pg_list open_node;  // in pg_packs.open while the file is open
    pg_list dirty_node; // in the store's list of packs to sync
} pg_pack;

/** All pack files of a folder. Own in place. */
typedef struct pg_packs {
    const char *dir; // borrowed from the store
    pg_pack **packs; // packs[count], by number
    size_t count;
    size_t cap;
    pg_list open; // least recently used first
    size_t open_count;
    pg_waitq opened; // for those who found a pack being opened
} pg_packs;

/** Make an empty set. */
void pg_packs_init(pg_packs *packs, const char *dir);

/** Close and free all. Nobody may use one. */
void pg_packs_deinit(pg_packs *packs);

/** Return a pack by number, or NULL. */
pg_pack *pg_packs_find(const pg_packs *packs, uint32_t number);

/** Return the pack of the highest number, or NULL. */
pg_pack *pg_packs_last(const pg_packs *packs);

/** Add a pack whose number is higher than all. Does not touch the file. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_packs_add(pg_packs *packs, uint32_t number, pg_pack **out_pack);

/** Hold a pack open; `mode` is 0, or PG_FILE_MODE_CREATE. Parks: when it is not open yet. Errors: as pg_file_open. */
PG_NODISCARD pg_err pg_packs_acquire(pg_packs *packs, pg_pack *pack, unsigned mode);

/** Let go of a pack; one that was removed is freed with its last user. */
void pg_packs_release(pg_packs *packs, pg_pack *pack);

/** Forget a pack, and remove its file. The caller holds it open, once at least, and releases it. Parks: yes. */
void pg_packs_remove(pg_packs *packs, pg_pack *pack);

/** Read the number from a file's name; false when it is not a pack's. */
bool pg_pack_name_parse(const char *name, uint32_t *out_number);

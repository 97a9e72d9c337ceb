// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/limits.h"
#include "store/packs_priv.h"

#define NAME_PREFIX "pack-"
#define NUMBER_CHARS 8

void pg_packs_init(pg_packs *packs, const char *dir)
{
    *packs = (pg_packs){.dir = dir};
    pg_list_init(&packs->open);
    pg_waitq_init(&packs->opened);
}

static void file_close(pg_packs *packs, pg_pack *pack)
{
    if (pack->file != NULL) {
        pg_list_remove(&pack->open_node);
        packs->open_count--;
        pg_file_free(&pack->file);
    }
}

static void pack_free(pg_packs *packs, pg_pack *pack)
{
    file_close(packs, pack);
    pg_mfree(pack);
}

void pg_packs_deinit(pg_packs *packs)
{
    for (size_t i = 0; i < packs->count; i++) {
        pack_free(packs, packs->packs[i]);
    }
    pg_mfree(packs->packs);
    packs->packs = NULL;
    packs->count = 0;
}

// The place of the first pack whose number is not below `number`.
static size_t place_of(const pg_packs *packs, uint32_t number)
{
    size_t low = 0;
    size_t high = packs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (packs->packs[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

pg_pack *pg_packs_find(const pg_packs *packs, uint32_t number)
{
    size_t place = place_of(packs, number);
    bool found = place < packs->count && packs->packs[place]->number == number;
    return found ? packs->packs[place] : NULL;
}

pg_pack *pg_packs_last(const pg_packs *packs)
{
    return packs->count == 0 ? NULL : packs->packs[packs->count - 1];
}

pg_err pg_packs_add(pg_packs *packs, uint32_t number, pg_pack **out_pack)
{
    pg_assert(packs->count == 0 || pg_packs_last(packs)->number < number);
    if (packs->count == packs->cap) {
        size_t cap = packs->cap == 0 ? 16 : 2 * packs->cap;
        pg_pack **grown = pg_realloc(packs->packs, cap * sizeof(void *));
        if (grown == NULL) {
            return pg_fail(PG_ERR_NOMEM, "no memory for %zu pack files", cap);
        }
        packs->packs = grown;
        packs->cap = cap;
    }
    pg_pack *pack = PG_NEW(pg_pack);
    if (pack == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a pack file");
    }
    pack->number = number;
    packs->packs[packs->count++] = pack;
    *out_pack = pack;
    return PG_OK;
}

bool pg_pack_name_parse(const char *name, uint32_t *out_number)
{
    uint8_t bytes[NUMBER_CHARS / 2];
    pg_str text = pg_str_make(name);
    if (!pg_str_starts_with(text, PG_STR(NAME_PREFIX))) {
        return false;
    }
    text = pg_str_make_len(text.ptr + strlen(NAME_PREFIX), text.len - strlen(NAME_PREFIX));
    if (text.len != NUMBER_CHARS || pg_hex_decode(text, PG_MUT_BYTES_OF(bytes)) != PG_OK) {
        return false;
    }
    pg_reader reader = pg_reader_make(PG_BYTES_OF(bytes));
    *out_number = pg_reader_u32be(&reader);
    return true;
}

static pg_err path_of(const pg_packs *packs, const pg_pack *pack, pg_buf *out_path)
{
    return pg_buf_printf(out_path, "%s/" NAME_PREFIX "%08x", packs->dir, pack->number);
}

// Close files that nobody uses, so that one more can be opened. All in use: the limit is exceeded for a while.
static void make_room(pg_packs *packs)
{
    pg_list *node = packs->open.next;
    while (packs->open_count >= PG_PACKS_OPEN_MAX && node != &packs->open) {
        pg_pack *pack = PG_LIST_OBJECT(node, pg_pack, open_node);
        node = node->next;
        if (pack->users == 0) {
            file_close(packs, pack);
        }
    }
}

static pg_err file_open(pg_packs *packs, pg_pack *pack, unsigned mode)
{
    pg_buf path = {0};
    pg_err err = path_of(packs, pack, &path);
    if (err == PG_OK) {
        err = pg_file_open((const char *) path.ptr,
                           PG_FILE_MODE_WRITE | PG_FILE_MODE_UNCACHED | mode, &pack->file);
    }
    pg_buf_deinit(&path);
    return err;
}

pg_err pg_packs_acquire(pg_packs *packs, pg_pack *pack, unsigned mode)
{
    pg_err err = PG_OK;
    pack->users++; // holds the pack itself, too, while we wait
    while (pack->is_opening && err == PG_OK) {
        err = pg_waitq_wait(&packs->opened, PG_FOREVER);
    }
    if (err == PG_OK && pack->file == NULL) {
        make_room(packs);
        pack->is_opening = true;
        err = file_open(packs, pack, mode);
        pack->is_opening = false;
        packs->open_count += err == PG_OK;
        pg_waitq_wake_all(&packs->opened);
    }
    if (err != PG_OK) {
        pg_packs_release(packs, pack);
        return err;
    }
    pg_list_remove(&pack->open_node);
    pg_list_append(&packs->open, &pack->open_node);
    return PG_OK;
}

void pg_packs_release(pg_packs *packs, pg_pack *pack)
{
    pg_assert(pack->users > 0);
    pack->users--;
    if (pack->users == 0 && pack->is_removed) {
        pack_free(packs, pack);
    }
}

void pg_packs_remove(pg_packs *packs, pg_pack *pack)
{
    pg_buf path = {0};
    size_t place = place_of(packs, pack->number);
    pg_assert(pack->users > 0 && packs->packs[place] == pack);
    memmove(&packs->packs[place], &packs->packs[place + 1],
            (packs->count - place - 1) * sizeof(pg_pack *));
    packs->count--;
    pack->is_removed = true;
    if (path_of(packs, pack, &path) == PG_OK) {
        // A file that stays has nothing in it but holes, and goes when the index is next rebuilt.
        pg_ignore(pg_path_remove((const char *) path.ptr), "it is empty");
    }
    pg_buf_deinit(&path);
}

// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/sim_disk_priv.h"

// A name in a folder. In a change: the folder holds a reference.
typedef struct name_place {
    pg_sim_inode *folder; // NULL = no such place
    size_t name_len;
    uint8_t name[PG_SIM_NAME_BYTES_MAX];
} name_place;

// One change of names that a crash may undo:
//      make     from: -             to: the name     replaced: -
//      remove   from: the name      to: -            replaced: -
//      rename   from: the old name  to: the new one  replaced: what stood there, or NULL
typedef struct pg_sim_change {
    pg_list node;
    pg_time at_ns;
    pg_sim_inode *inode;
    pg_sim_inode *replaced;
    bool marked;
    name_place from;
    name_place to;
} pg_sim_change;

#define CHANGE_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_change, node)
#define INODE_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_inode, node)

// ---- Inodes

static pg_sim_inode *inode_new(pg_sim_disk *disk, pg_file_type type)
{
    pg_sim_inode *inode = PG_NEW(pg_sim_inode);
    if (inode == NULL) {
        return NULL;
    }
    inode->number = ++disk->inode_next;
    inode->type = type;
    inode->permissions = type == PG_FILE_TYPE_FOLDER ? 0700 : 0600;
    pg_sim_pages_init(&inode->pages);
    pg_list_append(&disk->inodes, &inode->node);
    return inode;
}

void pg_sim_inode_charge(pg_sim_disk *disk, pg_sim_inode *inode)
{
    uint64_t pages = inode->names != 0 || inode->opens != 0 ? inode->pages.allocated : 0;
    disk->used_pages += pages - inode->charged_pages;
    inode->charged_pages = pages;
}

// Take the names out of a folder that goes away; inodes without any other reference follow it.
static void folder_empty(pg_sim_disk *disk, pg_sim_inode *folder)
{
    pg_map_cursor cursor = {0};
    while (pg_map_next(&folder->entries, &cursor)) {
        pg_sim_inode *inode = cursor.value;
        inode->names--;
        inode->parent = NULL;
        pg_sim_inode_charge(disk, inode);
        if (--inode->refs == 0) {
            pg_list_remove(&inode->node);
            pg_list_append(&disk->dead, &inode->node);
        }
    }
    pg_map_deinit(&folder->entries);
}

static void inode_unref(pg_sim_disk *disk, pg_sim_inode *inode)
{
    pg_sim_inode_charge(disk, inode);
    if (--inode->refs != 0) {
        return;
    }
    // A list, not recursion: folders may be deep.
    pg_list_remove(&inode->node);
    pg_list_append(&disk->dead, &inode->node);
    for (pg_list *node = pg_list_pop(&disk->dead); node != NULL; node = pg_list_pop(&disk->dead)) {
        pg_sim_inode *gone = INODE_OF(node);
        folder_empty(disk, gone);
        pg_sim_pages_deinit(&gone->pages);
        pg_sim_inode_charge(disk, gone);
        pg_mfree(gone);
    }
}

void pg_sim_inode_open(pg_sim_inode *inode)
{
    inode->opens++;
    inode->refs++;
}

void pg_sim_inode_close(pg_sim_disk *disk, pg_sim_inode *inode)
{
    inode->opens--;
    inode_unref(disk, inode);
}

uint64_t pg_sim_disk_free_pages(const pg_sim_disk *disk)
{
    return disk->used_pages < disk->quota_pages ? disk->quota_pages - disk->used_pages : 0;
}

pg_err pg_sim_disk_init(pg_sim_disk *disk, uint64_t seed, uint64_t number)
{
    *disk = (pg_sim_disk){.quota_pages = PG_SIM_DISK_BYTES / PG_SIM_PAGE_BYTES};
    pg_list_init(&disk->inodes);
    pg_list_init(&disk->dead);
    pg_list_init(&disk->journal);
    pg_sim_rng_init(&disk->rng, seed, PG_SIM_LABEL_DISK, number);
    disk->root = inode_new(disk, PG_FILE_TYPE_FOLDER);
    if (disk->root == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a simulated disk");
    }
    disk->root->refs = 1;
    disk->root->names = 1;
    return PG_OK;
}

// ---- Names

static pg_err entry_put(pg_sim_inode *folder, pg_bytes name, pg_sim_inode *inode)
{
    PG_TRY(pg_map_add(&folder->entries, name, inode));
    inode->names++;
    inode->refs++;
    inode->parent = folder;
    return PG_OK;
}

static void entry_take(pg_sim_disk *disk, pg_sim_inode *folder, pg_bytes name)
{
    pg_sim_inode *inode = pg_map_take(&folder->entries, name);
    if (inode != NULL) {
        inode->names--;
        inode->parent = NULL;
        inode_unref(disk, inode);
    }
}

pg_err pg_sim_disk_find(const pg_sim_disk *disk, const char *path, pg_sim_place *out_place)
{
    pg_str rest = pg_str_make(path);
    if (rest.len > PG_SIM_PATH_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "path of %zu bytes", rest.len);
    }
    pg_sim_place place = {NULL, PG_BYTES_EMPTY, disk->root};
    while (rest.len != 0) {
        pg_str part = {NULL, 0};
        rest = pg_str_split(rest, '/', &part);
        if (part.len == 0 || pg_str_equal(part, PG_STR("."))) {
            continue;
        }
        if (part.len > PG_SIM_NAME_BYTES_MAX) {
            return pg_fail(PG_ERR_LIMIT, "%s: name of %zu bytes", path, part.len);
        }
        if (place.inode == NULL || place.inode->type != PG_FILE_TYPE_FOLDER) {
            return pg_fail(PG_ERR_NOT_FOUND, "%s: no such folder", path);
        }
        place.folder = place.inode;
        place.name = pg_bytes_make(part.ptr, part.len);
        place.inode = pg_map_get(&place.folder->entries, place.name);
    }
    *out_place = place;
    return PG_OK;
}

// ---- The journal of names

static void place_hold(name_place *held, pg_sim_inode *folder, pg_bytes name)
{
    held->folder = folder;
    held->name_len = name.len;
    memcpy(held->name, name.ptr, name.len);
    folder->refs++;
}

static pg_bytes place_name(const name_place *place)
{
    return pg_bytes_make(place->name, place->name_len);
}

static void change_free(pg_sim_disk *disk, pg_sim_change *change)
{
    pg_list_remove(&change->node);
    disk->journal_len--;
    pg_sim_inode *held[] = {change->inode, change->replaced, change->from.folder,
                            change->to.folder};
    for (size_t i = 0; i < PG_ARRAY_LEN(held); i++) {
        if (held[i] != NULL) {
            inode_unref(disk, held[i]);
        }
    }
    pg_mfree(change);
}

static pg_sim_change *change_new(pg_sim_disk *disk, pg_time now_ns, pg_sim_inode *inode,
                                 pg_sim_inode *replaced)
{
    pg_sim_change *change = PG_NEW(pg_sim_change);
    if (change == NULL) {
        return NULL;
    }
    change->at_ns = now_ns;
    change->inode = inode;
    change->replaced = replaced;
    inode->refs++;
    if (replaced != NULL) {
        replaced->refs++;
    }
    pg_list_append(&disk->journal, &change->node);
    disk->journal_len++;
    return change;
}

// What is old, or too much, has reached the disk by itself.
static void journal_age(pg_sim_disk *disk, pg_time now_ns)
{
    while (!pg_list_is_empty(&disk->journal)) {
        pg_sim_change *oldest = CHANGE_OF(disk->journal.next);
        if (disk->journal_len <= PG_SIM_JOURNAL_MAX &&
            now_ns - oldest->at_ns <= PG_SIM_WRITEBACK_NS) {
            return;
        }
        change_free(disk, oldest);
    }
}

pg_err pg_sim_disk_make(pg_sim_disk *disk, pg_time now_ns, const pg_sim_place *place,
                        pg_file_type type, pg_sim_inode **out_inode)
{
    pg_err err = PG_ERR_NOMEM;
    pg_sim_inode *inode = inode_new(disk, type);
    if (inode == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a simulated file");
    }
    inode->refs++; // ours
    pg_sim_change *change = change_new(disk, now_ns, inode, NULL);
    if (change == NULL) {
        err = pg_fail(PG_ERR_NOMEM, "no memory for a simulated file");
        goto out;
    }
    place_hold(&change->to, place->folder, place->name);
    err = entry_put(place->folder, place->name, inode);
    if (err != PG_OK) {
        change_free(disk, change);
        goto out;
    }
    journal_age(disk, now_ns);
    *out_inode = inode;

out:
    inode_unref(disk, inode);
    return err;
}

pg_err pg_sim_disk_remove(pg_sim_disk *disk, pg_time now_ns, const pg_sim_place *place)
{
    pg_sim_inode *inode = place->inode;
    if (place->folder == NULL) {
        return pg_fail(PG_ERR_ACCESS, "the root folder stays");
    }
    if (pg_map_count(&inode->entries) != 0) {
        return pg_fail(PG_ERR_BUSY, "folder is not empty");
    }
    pg_sim_change *change = change_new(disk, now_ns, inode, NULL);
    if (change == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a change of names");
    }
    place_hold(&change->from, place->folder, place->name);
    entry_take(disk, place->folder, place->name);
    journal_age(disk, now_ns);
    return PG_OK;
}

static pg_err rename_check(const pg_sim_place *from, const pg_sim_place *to)
{
    if (from->inode == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "nothing to rename");
    }
    for (const pg_sim_inode *up = to->folder; up != NULL; up = up->parent) {
        if (up == from->inode) {
            return pg_fail(PG_ERR_INVALID, "a folder cannot move into itself");
        }
    }
    if (from->folder == NULL || to->folder == NULL) {
        return pg_fail(PG_ERR_INVALID, "the root folder stays");
    }
    if (to->inode != NULL &&
        (to->inode->type != from->inode->type || pg_map_count(&to->inode->entries) != 0)) {
        return pg_fail(PG_ERR_EXISTS, "the new name is taken");
    }
    return PG_OK;
}

pg_err pg_sim_disk_rename(pg_sim_disk *disk, pg_time now_ns, const pg_sim_place *from,
                          const pg_sim_place *to)
{
    PG_TRY(rename_check(from, to));
    if (from->inode == to->inode) {
        return PG_OK;
    }
    pg_sim_change *change = change_new(disk, now_ns, from->inode, to->inode);
    if (change == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a change of names");
    }
    place_hold(&change->from, from->folder, from->name);
    place_hold(&change->to, to->folder, to->name);
    entry_take(disk, to->folder, to->name);
    pg_err err = entry_put(to->folder, to->name, from->inode);
    if (err != PG_OK) {
        if (to->inode != NULL) {
            pg_ignore(entry_put(to->folder, to->name, to->inode), "memory is out twice");
        }
        change_free(disk, change);
        return err;
    }
    entry_take(disk, from->folder, from->name);
    from->inode->parent = to->folder; // entry_take has cleared it
    journal_age(disk, now_ns);
    return PG_OK;
}

static bool place_is_shared(const name_place *a, const name_place *b)
{
    return a->folder != NULL && a->folder == b->folder &&
           pg_bytes_equal(place_name(a), place_name(b));
}

static bool change_is_of(const pg_sim_change *change, const pg_sim_inode *inode)
{
    return inode != NULL && (change->inode == inode || change->replaced == inode);
}

// Two changes of the same name or the same file: the later rests on the earlier.
static bool change_is_on(const pg_sim_change *later, const pg_sim_change *earlier)
{
    return place_is_shared(&later->from, &earlier->from) ||
           place_is_shared(&later->from, &earlier->to) ||
           place_is_shared(&later->to, &earlier->from) ||
           place_is_shared(&later->to, &earlier->to) || change_is_of(later, earlier->inode) ||
           change_is_of(later, earlier->replaced);
}

// One makes or removes the folder in which the other happens.
static bool change_is_inside(const pg_sim_change *a, const pg_sim_change *b)
{
    return change_is_of(a, b->from.folder) || change_is_of(a, b->to.folder) ||
           change_is_of(b, a->from.folder) || change_is_of(b, a->to.folder);
}

void pg_sim_disk_sync_names(pg_sim_disk *disk, const pg_sim_inode *folder)
{
    // From the youngest back: one is made durable with all it rests on.
    for (pg_list *node = disk->journal.prev; node != &disk->journal; node = node->prev) {
        pg_sim_change *change = CHANGE_OF(node);
        change->marked = change->from.folder == folder || change->to.folder == folder;
        for (pg_list *after = node->next; after != &disk->journal && !change->marked;
             after = after->next) {
            change->marked = CHANGE_OF(after)->marked && change_is_on(CHANGE_OF(after), change);
        }
    }
    pg_list *node = disk->journal.next;
    while (node != &disk->journal) {
        pg_sim_change *change = CHANGE_OF(node);
        node = node->next;
        if (change->marked) {
            change_free(disk, change);
        }
    }
}

// ---- Crash

static void change_undo(pg_sim_disk *disk, pg_sim_change *change)
{
    // Where memory is out a name is lost: no worse than a crash may be.
    if (change->to.folder != NULL) {
        entry_take(disk, change->to.folder, place_name(&change->to));
    }
    if (change->replaced != NULL) {
        pg_ignore(entry_put(change->to.folder, place_name(&change->to), change->replaced),
                  "see above");
    }
    if (change->from.folder != NULL) {
        pg_ignore(entry_put(change->from.folder, place_name(&change->from), change->inode),
                  "see above");
    }
}

// Mark what is undone: by chance, and what rests on something undone.
static void journal_mark_undone(pg_sim_disk *disk, pg_time now_ns)
{
    for (pg_list *node = disk->journal.next; node != &disk->journal; node = node->next) {
        pg_sim_change *change = CHANGE_OF(node);
        bool is_old = now_ns - change->at_ns > PG_SIM_WRITEBACK_NS;
        change->marked = !is_old && pg_sim_rng_below(&disk->rng, 2) == 0;
        for (pg_list *before = disk->journal.next; before != node && !change->marked;
             before = before->next) {
            const pg_sim_change *earlier = CHANGE_OF(before);
            change->marked = earlier->marked &&
                             (change_is_on(change, earlier) || change_is_inside(change, earlier));
        }
    }
}

static void journal_crash(pg_sim_disk *disk, pg_time now_ns)
{
    journal_mark_undone(disk, now_ns);
    for (pg_list *node = disk->journal.prev; node != &disk->journal; node = node->prev) {
        if (CHANGE_OF(node)->marked) {
            change_undo(disk, CHANGE_OF(node));
            disk->counts.names_undone++;
        } else {
            disk->counts.names_kept++;
        }
    }
    while (!pg_list_is_empty(&disk->journal)) {
        change_free(disk, CHANGE_OF(disk->journal.next));
    }
}

void pg_sim_disk_crash(pg_sim_disk *disk, pg_time now_ns)
{
    journal_crash(disk, now_ns);
    pg_sim_moment when = {now_ns, &disk->rng};
    for (pg_list *node = disk->inodes.next; node != &disk->inodes; node = node->next) {
        pg_sim_inode *inode = INODE_OF(node);
        inode->locker = NULL;
        pg_sim_pages_crash(&inode->pages, when, &disk->counts);
        pg_sim_inode_charge(disk, inode);
    }
}

void pg_sim_disk_deinit(pg_sim_disk *disk)
{
    if (disk->root == NULL) {
        return;
    }
    while (!pg_list_is_empty(&disk->journal)) {
        change_free(disk, CHANGE_OF(disk->journal.next));
    }
    disk->root->names--;
    inode_unref(disk, disk->root);
    disk->root = NULL;
}

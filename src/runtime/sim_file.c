// SPDX-License-Identifier: Apache-2.0
// Files of a simulated machine: the waits and the faults in front of its disk.
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/sim_disk_priv.h"
#include "runtime/sim_file_priv.h"

#define CALL_NS_MAX                                                                                \
    PG_US(10) // the least a call takes is drawn below this, so that fibers interleave

/** An open file. */
typedef struct pg_sim_file {
    pg_list node;
    pg_sim_machine *machine; // NULL once the machine has crashed under it
    pg_sim_inode *inode;
    bool can_write;
} pg_sim_file;

#define FILE_OF(list_node) PG_LIST_OBJECT(list_node, pg_sim_file, node)

static pg_sim_moment moment(pg_sim_machine *machine)
{
    return (pg_sim_moment){machine->world->now_ns, &machine->disk.rng};
}

// Every call takes time, which cancellation does not shorten once it has begun: the real one happens on another thread.
// In a job it happens at once.
static pg_err call_wait(pg_sim_machine *machine)
{
    pg_sim_rng *rng = &machine->disk.rng;
    int64_t wait_ns =
        1 + machine->faults.latency_ns + (int64_t) pg_sim_rng_below(rng, (uint64_t) CALL_NS_MAX);
    if (pg_job_is_running()) {
        return PG_OK;
    }
    PG_TRY(pg_fiber_checkpoint());
    pg_fiber_shield(true);
    pg_err err = pg_fiber_park(machine->world->now_ns + wait_ns);
    pg_fiber_shield(false);
    return err == PG_ERR_TIMEOUT ? PG_OK : err;
}

static pg_err file_begin(pg_file *base, pg_sim_file **out_file)
{
    pg_sim_file *file = (pg_sim_file *) base;
    if (file->machine == NULL) {
        return PG_ERR_CANCELLED;
    }
    PG_TRY(call_wait(file->machine));
    if (file->machine == NULL) {
        return PG_ERR_CANCELLED;
    }
    *out_file = file;
    return PG_OK;
}

static pg_err path_begin(const char *path, pg_sim_machine **out_machine, pg_sim_place *out_place)
{
    pg_sim_machine *machine = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    PG_TRY(call_wait(machine));
    PG_TRY(pg_sim_disk_find(&machine->disk, path, out_place));
    *out_machine = machine;
    return PG_OK;
}

// ---- Open files

static pg_err inode_for_open(pg_sim_machine *machine, const char *path, unsigned mode,
                             uint32_t permissions, pg_sim_inode **out_inode)
{
    pg_sim_place place = {0};
    PG_TRY(pg_sim_disk_find(&machine->disk, path, &place));
    if (place.inode != NULL) {
        if ((mode & PG_FILE_MODE_CREATE) != 0 && (mode & PG_FILE_MODE_EXCLUSIVE) != 0) {
            return pg_fail(PG_ERR_EXISTS, "%s: exists", path);
        }
        if (place.inode->type == PG_FILE_TYPE_FOLDER) {
            return pg_fail(PG_ERR_IO, "%s: is a folder", path);
        }
        *out_inode = place.inode;
        return PG_OK;
    }
    if ((mode & PG_FILE_MODE_CREATE) == 0) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s: not found", path);
    }
    if (pg_sim_disk_free_pages(&machine->disk) == 0) {
        return pg_fail(PG_ERR_FULL, "%s: no space left", path);
    }
    pg_sim_inode *inode = NULL;
    PG_TRY(pg_sim_disk_make(&machine->disk, machine->world->now_ns, &place, PG_FILE_TYPE_REGULAR,
                            &inode));
    inode->permissions = permissions;
    inode->modified_ms = pg_wall_ms();
    *out_inode = inode;
    return PG_OK;
}

static pg_err on_open(pg_world *world, const char *path, unsigned mode, uint32_t permissions,
                      pg_file **out_file)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_inode *inode = NULL;
    PG_TRY(pg_sim_machine_self(&machine));
    PG_TRY(call_wait(machine));
    pg_sim_file *file = PG_NEW(pg_sim_file);
    if (file == NULL) {
        return pg_fail(PG_ERR_NOMEM, "%s: no memory for an open file", path);
    }
    pg_err err = inode_for_open(machine, path, mode, permissions, &inode);
    if (err != PG_OK) {
        goto out;
    }
    if ((mode & PG_FILE_MODE_TRUNCATE) != 0) {
        err = pg_sim_pages_truncate(&inode->pages, moment(machine), 0);
        if (err != PG_OK) {
            goto out;
        }
        pg_sim_inode_charge(&machine->disk, inode);
    }
    file->machine = machine;
    file->inode = inode;
    file->can_write = (mode & PG_FILE_MODE_WRITE) != 0;
    pg_sim_inode_open(file->inode);
    pg_list_append(&machine->files, &file->node);
    *out_file = (pg_file *) file;
    return PG_OK;

out:
    pg_mfree(file);
    return err;
}

static void file_detach(pg_sim_file *file)
{
    pg_sim_machine *machine = file->machine;
    pg_assert(file->inode != NULL); // they go together
    if (file->inode->locker == file) {
        file->inode->locker = NULL;
    }
    pg_sim_inode_close(&machine->disk, file->inode);
    pg_list_remove(&file->node);
    file->inode = NULL;
    file->machine = NULL;
}

static void on_free(pg_file *base)
{
    pg_sim_file *file = (pg_sim_file *) base;
    if (file->machine != NULL) {
        file_detach(file);
    }
    pg_mfree(file);
}

void pg_sim_files_crash(pg_sim_machine *machine)
{
    for (pg_list *node = pg_list_pop(&machine->files); node != NULL;
         node = pg_list_pop(&machine->files)) {
        file_detach(FILE_OF(node));
    }
}

static pg_err on_read_at(pg_file *base, uint64_t offset, pg_mut_bytes space, size_t *out_len)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    size_t len = pg_sim_pages_read(&file->inode->pages, offset, space);
    pg_sim_rng *rng = &file->machine->disk.rng;
    if (len != 0 && pg_sim_rng_chance(rng, file->machine->faults.read_flip_ppm)) {
        uint64_t bit = pg_sim_rng_below(rng, 8 * len);
        space.ptr[bit / 8] = (uint8_t) (space.ptr[bit / 8] ^ (1u << bit % 8));
    }
    *out_len = len;
    return PG_OK;
}

// How much of a write fits on the disk: all, or up to the page that does not.
static size_t len_that_fits(const pg_sim_machine *machine, const pg_sim_inode *inode,
                            uint64_t offset, size_t len)
{
    uint64_t free_pages = pg_sim_disk_free_pages(&machine->disk);
    if (len / PG_SIM_PAGE_BYTES + 2 <= free_pages) {
        return len;
    }
    size_t fits = 0;
    uint64_t taken = 0;
    while (fits < len) {
        size_t inside = (size_t) ((offset + fits) % PG_SIM_PAGE_BYTES);
        size_t part = pg_min_size(len - fits, PG_SIM_PAGE_BYTES - inside);
        taken += pg_sim_pages_needed(&inode->pages, offset + fits, part);
        if (taken > free_pages) {
            break;
        }
        fits += part;
    }
    return fits;
}

static pg_err check_writable(const pg_sim_file *file)
{
    return file->can_write ? PG_OK : pg_fail(PG_ERR_IO, "the file is open for reading only");
}

static pg_err on_write_at(pg_file *base, uint64_t offset, pg_bytes bytes)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    PG_TRY(check_writable(file));
    pg_sim_machine *machine = file->machine;
    pg_sim_inode *inode = file->inode;
    pg_err fault = PG_OK;
    if (offset > PG_SIM_FILE_BYTES_MAX || bytes.len > PG_SIM_FILE_BYTES_MAX - offset) {
        return pg_fail(PG_ERR_FULL, "a file has at most %llu bytes",
                       (unsigned long long) PG_SIM_FILE_BYTES_MAX);
    }
    size_t fits = len_that_fits(machine, inode, offset, bytes.len);
    if (fits < bytes.len) {
        fault = pg_fail(PG_ERR_FULL, "no space left on the simulated disk");
    }
    if (pg_sim_rng_chance(&machine->disk.rng, machine->faults.write_error_ppm)) {
        fault = pg_fail(PG_ERR_IO, "simulated write error");
        fits = (size_t) pg_sim_rng_below(&machine->disk.rng, fits + 1);
    }
    pg_err err =
        pg_sim_pages_write(&inode->pages, moment(machine), offset, pg_bytes_make(bytes.ptr, fits));
    pg_sim_inode_charge(&machine->disk, inode);
    inode->modified_ms = pg_wall_ms();
    return err == PG_OK ? fault : err;
}

static pg_err on_sync(pg_file *base)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    pg_sim_machine *machine = file->machine;
    if (pg_sim_rng_chance(&machine->disk.rng, machine->faults.sync_error_ppm)) {
        pg_sim_pages_sync_fail(&file->inode->pages, moment(machine));
        pg_sim_inode_charge(&machine->disk, file->inode);
        return pg_fail(PG_ERR_IO, "simulated sync error");
    }
    pg_sim_pages_sync(&file->inode->pages);
    return PG_OK;
}

static pg_err on_truncate(pg_file *base, uint64_t size_bytes)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    PG_TRY(check_writable(file));
    if (size_bytes > PG_SIM_FILE_BYTES_MAX) {
        return pg_fail(PG_ERR_FULL, "a file has at most %llu bytes",
                       (unsigned long long) PG_SIM_FILE_BYTES_MAX);
    }
    pg_err err = pg_sim_pages_truncate(&file->inode->pages, moment(file->machine), size_bytes);
    pg_sim_inode_charge(&file->machine->disk, file->inode);
    file->inode->modified_ms = pg_wall_ms();
    return err;
}

static pg_err on_punch(pg_file *base, uint64_t offset, uint64_t len)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    PG_TRY(check_writable(file));
    pg_err err = pg_sim_pages_punch(&file->inode->pages, moment(file->machine), offset, len);
    pg_sim_inode_charge(&file->machine->disk, file->inode);
    return err;
}

static pg_err on_lock(pg_file *base)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    if (file->inode->locker != NULL && file->inode->locker != file) {
        return pg_fail(PG_ERR_BUSY, "the file is locked");
    }
    file->inode->locker = file;
    return PG_OK;
}

static pg_file_info inode_info(const pg_sim_inode *inode)
{
    return (pg_file_info){
        .type = inode->type,
        .size_bytes = inode->pages.size_bytes,
        .allocated_bytes = inode->pages.allocated * PG_SIM_PAGE_BYTES,
        .modified_ms = inode->modified_ms,
        .permissions = inode->permissions,
        .inode = inode->number,
    };
}

static pg_err on_stat(pg_file *base, pg_file_info *out_info)
{
    pg_sim_file *file = NULL;
    PG_TRY(file_begin(base, &file));
    *out_info = inode_info(file->inode);
    return PG_OK;
}

// ---- Names

static pg_err find_existing(const char *path, pg_sim_machine **out_machine, pg_sim_place *out_place)
{
    pg_sim_place place = {0};
    PG_TRY(path_begin(path, out_machine, &place));
    if (place.inode == NULL) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s: not found", path);
    }
    *out_place = place;
    return PG_OK;
}

static pg_err find_folder(const char *path, pg_sim_machine **out_machine, pg_sim_place *out_place)
{
    pg_sim_place place = {0};
    PG_TRY(find_existing(path, out_machine, &place));
    if (place.inode->type != PG_FILE_TYPE_FOLDER) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s: no folder", path);
    }
    *out_place = place;
    return PG_OK;
}

static pg_err on_path_stat(pg_world *world, const char *path, pg_file_info *out_info)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_existing(path, &machine, &place));
    *out_info = inode_info(place.inode);
    return PG_OK;
}

static pg_err on_path_rename(pg_world *world, const char *from, const char *to)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place old = {0};
    pg_sim_place new = {0};
    PG_TRY(path_begin(from, &machine, &old));
    PG_TRY(pg_sim_disk_find(&machine->disk, to, &new));
    pg_err err = pg_sim_disk_rename(&machine->disk, machine->world->now_ns, &old, &new);
    return pg_error_wrap(err, "%s to %s", from, to);
}

static pg_err on_path_remove(pg_world *world, const char *path)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_existing(path, &machine, &place));
    if (place.inode->type == PG_FILE_TYPE_FOLDER) {
        return pg_fail(PG_ERR_ACCESS, "%s: is a folder", path);
    }
    pg_err err = pg_sim_disk_remove(&machine->disk, machine->world->now_ns, &place);
    return pg_error_wrap(err, "%s", path);
}

static pg_err on_dir_make(pg_world *world, const char *path)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(path_begin(path, &machine, &place));
    if (place.inode != NULL) {
        return pg_fail(PG_ERR_EXISTS, "%s: exists", path);
    }
    if (pg_sim_disk_free_pages(&machine->disk) == 0) {
        return pg_fail(PG_ERR_FULL, "%s: no space left", path);
    }
    pg_sim_inode *inode = NULL;
    PG_TRY(pg_sim_disk_make(&machine->disk, machine->world->now_ns, &place, PG_FILE_TYPE_FOLDER,
                            &inode));
    inode->modified_ms = pg_wall_ms();
    return PG_OK;
}

static pg_err on_dir_remove(pg_world *world, const char *path)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_folder(path, &machine, &place));
    pg_err err = pg_sim_disk_remove(&machine->disk, machine->world->now_ns, &place);
    return pg_error_wrap(err, "%s", path);
}

static pg_err on_dir_sync(pg_world *world, const char *path)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_folder(path, &machine, &place));
    if (pg_sim_rng_chance(&machine->disk.rng, machine->faults.sync_error_ppm)) {
        return pg_fail(PG_ERR_IO, "%s: simulated sync error", path);
    }
    pg_sim_disk_sync_names(&machine->disk, place.inode);
    return PG_OK;
}

static pg_err on_dir_list(pg_world *world, const char *path, pg_buf *out_names)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_folder(path, &machine, &place));
    if (pg_map_count(&place.inode->entries) > PG_DIR_NAMES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s: more than %d names", path, PG_DIR_NAMES_MAX);
    }
    pg_map_cursor cursor = {0};
    while (pg_map_next(&place.inode->entries, &cursor)) {
        PG_TRY(pg_buf_append(out_names, cursor.key));
        PG_TRY(pg_buf_append(out_names, pg_bytes_make("", 1)));
    }
    return PG_OK;
}

static pg_err on_disk_space(pg_world *world, const char *path, uint64_t *out_total,
                            uint64_t *out_free)
{
    (void) world;
    pg_sim_machine *machine = NULL;
    pg_sim_place place = {0};
    PG_TRY(find_existing(path, &machine, &place));
    *out_total = machine->disk.quota_pages * PG_SIM_PAGE_BYTES;
    *out_free = pg_sim_disk_free_pages(&machine->disk) * PG_SIM_PAGE_BYTES;
    return PG_OK;
}

const pg_file_ops pg_sim_file_ops = {
    .open = on_open,
    .read_at = on_read_at,
    .write_at = on_write_at,
    .sync = on_sync,
    .truncate = on_truncate,
    .punch = on_punch,
    .lock = on_lock,
    .stat = on_stat,
    .free = on_free,
    .path_stat = on_path_stat,
    .path_rename = on_path_rename,
    .path_remove = on_path_remove,
    .dir_make = on_dir_make,
    .dir_remove = on_dir_remove,
    .dir_sync = on_dir_sync,
    .dir_list = on_dir_list,
    .disk_space = on_disk_space,
};

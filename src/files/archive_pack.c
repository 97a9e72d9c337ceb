// SPDX-License-Identifier: Apache-2.0
#include <locale.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/archive.h"
#include "files/archive_tree_priv.h"

#define TAR_BLOCK_BYTES 512U
#define HEADER_BLOCKS 3U // of most entries: the extended one, its content (the time), the plain one
#define PERMISSIONS_KEPT 0777U

struct pg_packer {
    pg_tree tree;
    pg_archive_notes notes;
    pg_archive_sum sum;
    pg_map linked; // device and inode to the first path of a file with several names
    struct archive *archive;
    struct archive_entry *entry;
    locale_t plain;   // names are bytes to us: libarchive must not read them by somebody's locale
    pg_mut_bytes out; // where the stream goes now
    size_t out_len;
    pg_buf spill; // what did not fit there; from spill_begin on
    size_t spill_begin;
    pg_err write_err;
    bool is_done;  // the stream is complete
    bool is_ended; // nobody wants what libarchive still writes
    // The file being packed.
    pg_file *file;
    pg_buf file_path;
    pg_file_info file_info;
    uint64_t file_offset;
    bool is_sparse;
    uint64_t data_begin; // of the range of data at hand, or next, of a sparse file
    uint64_t data_end;
    uint8_t zeros[PG_ARCHIVE_STEP_BYTES]; // what is in a hole
    uint8_t step[PG_ARCHIVE_STEP_BYTES];
};

static uint64_t blocks(uint64_t bytes)
{
    return (bytes + TAR_BLOCK_BYTES - 1) / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES;
}

static const char *special_name(const pg_tree_entry *entry)
{
    return entry->is.type == PG_FILE_TYPE_OTHER ? "a device, pipe or socket" : NULL;
}

static pg_err count_entry(pg_archive_sum *sum, const pg_tree_entry *entry)
{
    if (sum->entries == PG_ARCHIVE_ENTRIES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s: the folder holds more than %u files",
                       pg_folder_path(entry->folder), PG_ARCHIVE_ENTRIES_MAX);
    }
    sum->entries++;
    return PG_OK;
}

pg_err pg_archive_measure(const char *folder, pg_archive_sum *out_sum, uint64_t *out_stream_bytes)
{
    pg_tree tree;
    pg_tree_entry entry;
    pg_archive_sum sum = {0};
    uint64_t stream_bytes = 2 * TAR_BLOCK_BYTES;
    bool more = true;
    pg_err err = pg_tree_init(&tree, folder);
    while (err == PG_OK && more) {
        err = pg_tree_next(&tree, &entry, &more);
        if (err != PG_OK || !more) {
            break;
        }
        if (special_name(&entry) != NULL) {
            sum.skipped++;
            continue;
        }
        err = count_entry(&sum, &entry);
        uint64_t bytes = entry.is.type == PG_FILE_TYPE_REGULAR ? entry.is.size_bytes : 0;
        sum.bytes += bytes;
        stream_bytes += HEADER_BLOCKS * TAR_BLOCK_BYTES + blocks(bytes);
    }
    pg_tree_deinit(&tree);
    if (err == PG_OK) {
        *out_sum = sum;
        *out_stream_bytes = stream_bytes;
    }
    return err;
}

// ---- The stream

static la_ssize_t on_archive_write(struct archive *archive, void *user, const void *bytes,
                                   size_t len)
{
    pg_packer *packer = user;
    (void) archive;
    if (packer->is_ended) {
        return -1;
    }
    size_t fits = pg_min_size(len, packer->out.len - packer->out_len);
    if (fits > 0) {
        memcpy(packer->out.ptr + packer->out_len, bytes, fits);
        packer->out_len += fits;
    }
    packer->write_err =
        pg_buf_append(&packer->spill, pg_bytes_make((const uint8_t *) bytes + fits, len - fits));
    return packer->write_err == PG_OK ? (la_ssize_t) len : -1;
}

// The result of a call of libarchive. Its warnings are about names that are no UTF-8: they are stored as they are.
static pg_err archive_check(const pg_packer *packer, la_int64_t result)
{
    if (result >= ARCHIVE_WARN) {
        return PG_OK;
    }
    if (packer->write_err != PG_OK) {
        return packer->write_err;
    }
    const char *text = archive_error_string(packer->archive);
    return pg_fail(PG_ERR_IO, "cannot pack: %s", text == NULL ? "libarchive failed" : text);
}

static pg_err archive_open(pg_packer *packer)
{
    packer->archive = archive_write_new();
    packer->entry = archive_entry_new();
    packer->plain = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    if (packer->archive == NULL || packer->entry == NULL || packer->plain == (locale_t) 0) {
        return pg_fail(PG_ERR_NOMEM, "cannot begin an archive");
    }
    // Blocks of no particular length, and none to fill the last: the stream is no tape.
    PG_TRY(archive_check(packer, archive_write_set_format_pax(packer->archive)));
    PG_TRY(archive_check(packer, archive_write_set_bytes_per_block(packer->archive, 0)));
    return archive_check(packer,
                         archive_write_open(packer->archive, packer, NULL, on_archive_write, NULL));
}

pg_err pg_packer_new(const char *folder, const pg_archive_notes *notes, pg_packer **out_packer)
{
    pg_packer *packer = PG_NEW(pg_packer);
    if (packer == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot pack %s", folder);
    }
    packer->notes = *notes;
    pg_err err = pg_tree_init(&packer->tree, folder);
    if (err == PG_OK) {
        err = archive_open(packer);
    }
    if (err != PG_OK) {
        pg_packer_free(&packer);
        return err;
    }
    *out_packer = packer;
    return PG_OK;
}

// ---- Entries

static void entry_fill(const pg_packer *packer, const pg_tree_entry *from)
{
    struct archive_entry *entry = packer->entry;
    archive_entry_clear(entry);
    archive_entry_copy_pathname(entry, from->path);
    archive_entry_set_perm(entry, from->is.permissions & PERMISSIONS_KEPT);
    archive_entry_set_mtime(entry, from->is.modified_s, (long) from->is.modified_ns);
}

static pg_err header_write(pg_packer *packer)
{
    return archive_check(packer, archive_write_header(packer->archive, packer->entry));
}

static pg_err folder_begin(pg_packer *packer)
{
    archive_entry_set_filetype(packer->entry, AE_IFDIR);
    return header_write(packer);
}

static pg_err link_begin(pg_packer *packer, const pg_tree_entry *from)
{
    pg_buf target = {0};
    pg_err err = pg_folder_read_link(from->folder, from->name, &target);
    if (err == PG_OK) {
        archive_entry_set_filetype(packer->entry, AE_IFLNK);
        archive_entry_copy_symlink(packer->entry, (const char *) target.ptr);
        err = header_write(packer);
    }
    pg_buf_deinit(&target);
    return err;
}

// When the file was packed before under another name: *out_first is that name. Else it is remembered.
static pg_err linked_find(pg_packer *packer, const pg_tree_entry *from, const char **out_first)
{
    const uint64_t id[2] = {from->is.device, from->is.inode};
    pg_bytes key = PG_BYTES_OF(id);
    *out_first = NULL;
    if (from->is.links < 2) {
        return PG_OK;
    }
    *out_first = pg_map_get(&packer->linked, key);
    if (*out_first != NULL || pg_map_count(&packer->linked) == PG_ARCHIVE_LINKED_MAX) {
        return PG_OK;
    }
    char *path = pg_str_dup(pg_str_make(from->path));
    if (path == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot remember %s", from->path);
    }
    pg_err err = pg_map_add(&packer->linked, key, path);
    if (err != PG_OK) {
        pg_mfree(path);
    }
    return err;
}

static pg_err fail_changed(const pg_packer *packer)
{
    return pg_fail(PG_ERR_CHANGED, "%s changed while it was read",
                   (const char *) packer->file_path.ptr);
}

// Tell libarchive where a sparse file has data. It drops what lies between when it is given the whole content.
static pg_err ranges_add(pg_packer *packer)
{
    uint64_t size_bytes = packer->file_info.size_bytes;
    uint64_t offset = 0;
    for (unsigned i = 0; i < PG_ARCHIVE_RANGES_MAX && offset < size_bytes; i++) {
        uint64_t begin = 0;
        uint64_t end = 0;
        pg_err err = pg_file_next_data(packer->file, offset, &begin, &end);
        if (err != PG_OK) {
            return i == 0 ? PG_OK : err; // a file system that cannot tell: all is data
        }
        end = i + 1 == PG_ARCHIVE_RANGES_MAX || end > size_bytes ? size_bytes : end;
        begin = begin > size_bytes ? size_bytes : begin;
        archive_entry_sparse_add_entry(packer->entry, (la_int64_t) begin,
                                       (la_int64_t) (end - begin));
        offset = end;
        packer->is_sparse = true;
    }
    return PG_OK;
}

static pg_err file_begin(pg_packer *packer, const pg_tree_entry *from)
{
    const char *first = NULL;
    PG_TRY(linked_find(packer, from, &first));
    archive_entry_set_filetype(packer->entry, AE_IFREG);
    if (first != NULL) {
        archive_entry_copy_hardlink(packer->entry, first);
        return header_write(packer);
    }
    pg_buf_clear(&packer->file_path);
    PG_TRY(pg_buf_printf(&packer->file_path, "%s/%s", pg_folder_path(from->folder), from->name));
    pg_err err = pg_folder_open_file(from->folder, from->name, PG_FILE_MODE_READ, 0, &packer->file);
    if (err == PG_ERR_NOT_FOUND || err == PG_ERR_INVALID) {
        return fail_changed(packer);
    }
    PG_TRY(err);
    PG_TRY(pg_file_stat(packer->file, &packer->file_info));
    if (packer->file_info.type != PG_FILE_TYPE_REGULAR ||
        packer->file_info.inode != from->is.inode ||
        packer->file_info.size_bytes != from->is.size_bytes) {
        return fail_changed(packer);
    }
    packer->file_offset = packer->data_begin = packer->data_end = 0;
    packer->is_sparse = false;
    archive_entry_set_size(packer->entry, (la_int64_t) packer->file_info.size_bytes);
    if (packer->file_info.allocated_bytes < packer->file_info.size_bytes) {
        PG_TRY(ranges_add(packer));
    }
    packer->sum.bytes += packer->file_info.size_bytes;
    return header_write(packer);
}

static pg_err file_end(pg_packer *packer)
{
    pg_file_info now;
    PG_TRY(pg_file_stat(packer->file, &now));
    if (now.size_bytes != packer->file_info.size_bytes ||
        now.modified_ms != packer->file_info.modified_ms) {
        return fail_changed(packer);
    }
    pg_file_free(&packer->file);
    return PG_OK;
}

// How much from the file's offset on is in a hole, and so not worth reading.
static pg_err hole_find(pg_packer *packer, uint64_t *out_len)
{
    *out_len = 0;
    if (!packer->is_sparse) {
        return PG_OK;
    }
    if (packer->file_offset >= packer->data_end) {
        PG_TRY(pg_file_next_data(packer->file, packer->file_offset, &packer->data_begin,
                                 &packer->data_end));
    }
    uint64_t begin = packer->data_begin < packer->file_info.size_bytes
                         ? packer->data_begin
                         : packer->file_info.size_bytes;
    *out_len = begin > packer->file_offset ? begin - packer->file_offset : 0;
    return PG_OK;
}

static pg_err data_write(pg_packer *packer, const uint8_t *bytes, size_t len)
{
    packer->file_offset += len;
    return archive_check(packer, archive_write_data(packer->archive, bytes, len));
}

// The next step of the file at hand.
static pg_err file_step(pg_packer *packer)
{
    uint64_t rest = packer->file_info.size_bytes - packer->file_offset;
    uint64_t hole = 0;
    size_t got = 0;
    if (rest == 0) {
        return file_end(packer);
    }
    PG_TRY(hole_find(packer, &hole));
    if (hole > 0) {
        size_t len = hole < sizeof(packer->zeros) ? (size_t) hole : sizeof(packer->zeros);
        return data_write(packer, packer->zeros, len);
    }
    size_t len = rest < PG_ARCHIVE_STEP_BYTES ? (size_t) rest : PG_ARCHIVE_STEP_BYTES;
    PG_TRY(pg_file_read_at(packer->file, packer->file_offset, pg_mut_bytes_make(packer->step, len),
                           &got));
    return got < len ? fail_changed(packer) : data_write(packer, packer->step, len);
}

static pg_err entry_step(pg_packer *packer)
{
    pg_tree_entry entry;
    bool more = false;
    PG_TRY(pg_tree_next(&packer->tree, &entry, &more));
    if (!more) {
        packer->is_done = true;
        return archive_check(packer, archive_write_close(packer->archive));
    }
    if (special_name(&entry) != NULL) {
        packer->sum.skipped++;
        if (packer->notes.skipped != NULL) {
            packer->notes.skipped(entry.path, special_name(&entry), packer->notes.user);
        }
        return PG_OK;
    }
    PG_TRY(count_entry(&packer->sum, &entry));
    entry_fill(packer, &entry);
    if (entry.is.type == PG_FILE_TYPE_FOLDER) {
        return folder_begin(packer);
    }
    return entry.is.type == PG_FILE_TYPE_LINK ? link_begin(packer, &entry)
                                              : file_begin(packer, &entry);
}

// Give out what did not fit the last time.
static void spill_take(pg_packer *packer)
{
    size_t len =
        pg_min_size(packer->spill.len - packer->spill_begin, packer->out.len - packer->out_len);
    if (len > 0) {
        memcpy(packer->out.ptr + packer->out_len, packer->spill.ptr + packer->spill_begin, len);
        packer->out_len += len;
        packer->spill_begin += len;
    }
    if (packer->spill_begin == packer->spill.len) {
        pg_buf_clear(&packer->spill);
        packer->spill_begin = 0;
    }
}

pg_err pg_packer_read(pg_mut_bytes space, size_t *out_len, void *user)
{
    pg_packer *packer = user;
    pg_err err = PG_OK;
    locale_t before = uselocale(packer->plain);
    packer->out = space;
    packer->out_len = 0;
    spill_take(packer);
    while (err == PG_OK && packer->out_len < space.len && !packer->is_done) {
        err = packer->file != NULL ? file_step(packer) : entry_step(packer);
    }
    packer->out = (pg_mut_bytes){NULL, 0};
    (void) uselocale(before);
    PG_TRY(err);
    *out_len = packer->out_len;
    return PG_OK;
}

pg_archive_sum pg_packer_sum(const pg_packer *packer)
{
    return packer->sum;
}

void pg_packer_free(pg_packer **packer)
{
    pg_packer *self = *packer;
    if (self == NULL) {
        return;
    }
    pg_map_cursor cursor = {0};
    while (pg_map_next(&self->linked, &cursor)) {
        pg_mfree(cursor.value);
    }
    pg_map_deinit(&self->linked);
    self->is_ended = true; // an archive that is not finished would fill up the file at hand first
    (void) archive_write_free(self->archive);
    archive_entry_free(self->entry);
    if (self->plain != (locale_t) 0) {
        freelocale(self->plain);
    }
    pg_file_free(&self->file);
    pg_tree_deinit(&self->tree);
    pg_buf_deinit(&self->file_path);
    pg_buf_deinit(&self->spill);
    pg_mfree(self);
    *packer = NULL;
}

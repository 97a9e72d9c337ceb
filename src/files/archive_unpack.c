// SPDX-License-Identifier: Apache-2.0
// libarchive only reads the format here; its own way of writing files to disk is not used. That guards against links by
// comparing paths before it follows them and wants the process's working directory for it; here each component is opened in the
// folder above it, so there is no path to be led astray.
#include <locale.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/mem.h"
#include "base/str.h"
#include "files/archive.h"
#include "files/limits.h"
#include "runtime/folder.h"
#include "runtime/random.h"

#define NAME_BYTES_MAX 255 // of one component, as the system's
#define HIDDEN_BYTES 32
#define PERMISSIONS_KEPT 0777U
#define PERMISSIONS_NEEDED 0700U // of a folder while it is filled

/** A folder being filled, with what it gets when nothing more comes into it. */
typedef struct level {
    pg_folder *folder;
    char name[NAME_BYTES_MAX + 1];
    uint32_t permissions_now;
    uint32_t permissions;
    int64_t modified_s;
    uint32_t modified_ns;
} level;

/** An archive being unpacked. */
typedef struct unpacker {
    const pg_unpack_options *options;
    pg_archive_source source;
    void *user;
    pg_err source_err;
    bool source_ended;
    pg_archive_sum sum;
    struct archive *archive;
    pg_folder *parent; // of the target
    char hidden[HIDDEN_BYTES];
    char aside[HIDDEN_BYTES];     // where what is replaced goes meanwhile
    uint32_t permissions_allowed; // 0777 less the process's mask
    level *levels;                // levels[PG_ARCHIVE_DEPTH_MAX], the first is the top
    size_t depth;
    uint8_t step[PG_ARCHIVE_STEP_BYTES];
} unpacker;

static level *deepest(unpacker *self)
{
    return &self->levels[self->depth - 1];
}

// ---- The stream

static la_ssize_t on_archive_read(struct archive *archive, void *user, const void **out_bytes)
{
    unpacker *self = user;
    size_t len = 0;
    (void) archive;
    self->source_err = self->source(PG_MUT_BYTES_OF(self->step), &len, self->user);
    if (self->source_err != PG_OK) {
        return -1;
    }
    self->source_ended |= len == 0;
    *out_bytes = self->step;
    return (la_ssize_t) len;
}

// Warnings are about what is not taken over in any case.
static bool is_good(int result)
{
    return result == ARCHIVE_OK || result == ARCHIVE_WARN;
}

// What went wrong when libarchive could not go on.
static pg_err archive_fail(const unpacker *self)
{
    const char *text = archive_error_string(self->archive);
    if (self->source_err != PG_OK) {
        return self->source_err;
    }
    return pg_fail(self->source_ended ? PG_ERR_TRUNCATED : PG_ERR_MALFORMED,
                   "this is no whole archive: %s",
                   text == NULL ? "libarchive cannot read it" : text);
}

// ---- Paths

/** Take the next component off a path. Empty ones and "." say nothing and are passed over; *out_name is empty at the end. */
static pg_err path_step(const char **path, char out_name[NAME_BYTES_MAX + 1])
{
    const char *rest = *path;
    while (rest[0] == '/' || (rest[0] == '.' && (rest[1] == '/' || rest[1] == '\0'))) {
        rest++;
    }
    size_t len = strcspn(rest, "/");
    if (len > NAME_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the archive has a name of %zu bytes, at most %d can be", len,
                       NAME_BYTES_MAX);
    }
    memcpy(out_name, rest, len);
    out_name[len] = '\0';
    *path = rest + len;
    return strcmp(out_name, "..") == 0
               ? pg_fail(PG_ERR_MALFORMED, "the archive has a path with \"..\" in it")
               : PG_OK;
}

static pg_err path_check(const char *path)
{
    if (path == NULL || path[0] == '\0') {
        return pg_fail(PG_ERR_MALFORMED, "the archive has an entry without a readable name");
    }
    if (strlen(path) > PG_ARCHIVE_PATH_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the archive has a path of %zu bytes, at most %u can be",
                       strlen(path), PG_ARCHIVE_PATH_BYTES_MAX);
    }
    return path[0] == '/' ? pg_fail(PG_ERR_MALFORMED, "the archive has an absolute path: %s", path)
                          : PG_OK;
}

// ---- Folders

static pg_err level_close(unpacker *self)
{
    level *last = deepest(self);
    pg_err err = last->permissions == last->permissions_now
                     ? PG_OK
                     : pg_folder_set_permissions(last->folder, last->permissions);
    if (err == PG_OK) {
        err = pg_folder_set_modified(last->folder, NULL, last->modified_s, last->modified_ns);
    }
    pg_folder_free(&last->folder);
    self->depth--;
    return err;
}

// Take over an open folder as the deepest level. When nothing more comes into it, it gets back what it has now.
static pg_err level_open(unpacker *self, pg_folder *folder, const char *name)
{
    pg_folder_entry entry = {0};
    pg_err err =
        self->depth < PG_ARCHIVE_DEPTH_MAX
            ? pg_folder_look(folder, NULL, &entry)
            : pg_fail(PG_ERR_LIMIT, "the archive is deeper than %u folders", PG_ARCHIVE_DEPTH_MAX);
    uint32_t permissions = entry.permissions | PERMISSIONS_NEEDED;
    if (err == PG_OK && permissions != entry.permissions) {
        err = pg_folder_set_permissions(folder, permissions);
    }
    if (err != PG_OK) {
        pg_folder_free(&folder);
        return err;
    }
    self->depth++;
    *deepest(self) = (level){
        .folder = folder,
        .permissions_now = permissions,
        .permissions = entry.permissions,
        .modified_s = entry.modified_s,
        .modified_ns = entry.modified_ns,
    };
    memcpy(deepest(self)->name, name, strlen(name) + 1);
    return PG_OK;
}

// Go into a folder of the deepest level, which is made when it is not there.
static pg_err level_enter(unpacker *self, const char *name)
{
    pg_folder *inner = NULL;
    const pg_folder *folder = deepest(self)->folder;
    pg_err err = pg_folder_enter(folder, name, &inner);
    if (err == PG_ERR_NOT_FOUND) {
        PG_TRY(pg_folder_make(folder, name, PERMISSIONS_KEPT));
        err = pg_folder_enter(folder, name, &inner);
    }
    if (err == PG_ERR_INVALID) {
        return pg_fail(PG_ERR_MALFORMED, "the archive has a path through %s, which is no folder",
                       name);
    }
    PG_TRY(err);
    return level_open(self, inner, name);
}

// Be in the folder that holds `path`, and give the path's last component, empty for the top itself.
static pg_err path_enter(unpacker *self, const char *path, char out_name[NAME_BYTES_MAX + 1])
{
    size_t depth = 1; // levels that are right
    PG_TRY(path_step(&path, out_name));
    for (;;) {
        char next[NAME_BYTES_MAX + 1];
        PG_TRY(path_step(&path, next));
        if (next[0] == '\0') {
            break;
        }
        if (depth < self->depth && strcmp(self->levels[depth].name, out_name) != 0) {
            while (self->depth > depth) {
                PG_TRY(level_close(self));
            }
        }
        if (depth == self->depth) {
            PG_TRY(level_enter(self, out_name));
        }
        depth++;
        memcpy(out_name, next, sizeof(next));
    }
    while (self->depth > depth) {
        PG_TRY(level_close(self));
    }
    return PG_OK;
}

// ---- Entries

// A name that is taken already is no accident: no folder has one twice.
static pg_err twice_if_there(pg_err err, const char *path)
{
    return err == PG_ERR_EXISTS ? pg_fail(PG_ERR_MALFORMED, "the archive has %s twice", path) : err;
}

static uint32_t permissions_of(const unpacker *self, struct archive_entry *entry)
{
    return (uint32_t) archive_entry_perm(entry) & self->permissions_allowed;
}

static pg_err folder_take(unpacker *self, struct archive_entry *entry, const char *name)
{
    if (name[0] != '\0') {
        PG_TRY(level_enter(self, name));
    }
    // A set-group-ID bit can only be the system's, handed down from the folder above.
    level *last = deepest(self);
    last->permissions = (last->permissions & ~PERMISSIONS_KEPT) | permissions_of(self, entry);
    if (archive_entry_mtime_is_set(entry)) {
        last->modified_s = archive_entry_mtime(entry);
        last->modified_ns = (uint32_t) archive_entry_mtime_nsec(entry);
    }
    return PG_OK;
}

static pg_err content_write(unpacker *self, struct archive_entry *entry, pg_file *file)
{
    uint64_t size_bytes = (uint64_t) archive_entry_size(entry);
    uint64_t end = 0;
    for (;;) {
        const void *bytes = NULL;
        size_t len = 0;
        la_int64_t offset = 0;
        int result = archive_read_data_block(self->archive, &bytes, &len, &offset);
        if (result == ARCHIVE_EOF) {
            break;
        }
        if (!is_good(result) || offset < 0) {
            return archive_fail(self);
        }
        PG_TRY(pg_file_write_at(file, (uint64_t) offset, pg_bytes_make(bytes, len)));
        end = (uint64_t) offset + len;
    }
    self->sum.bytes += size_bytes;
    return end == size_bytes ? PG_OK : pg_file_truncate(file, size_bytes); // ends with a hole
}

static pg_err modified_set(unpacker *self, struct archive_entry *entry, const char *name)
{
    if (!archive_entry_mtime_is_set(entry)) {
        return PG_OK;
    }
    return pg_folder_set_modified(deepest(self)->folder, name, archive_entry_mtime(entry),
                                  (uint32_t) archive_entry_mtime_nsec(entry));
}

static pg_err file_take(unpacker *self, struct archive_entry *entry, const char *name)
{
    pg_file *file = NULL;
    PG_TRY(pg_folder_open_file(deepest(self)->folder, name,
                               PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_EXCLUSIVE,
                               permissions_of(self, entry), &file));
    pg_err err = content_write(self, entry, file);
    pg_file_free(&file);
    return err == PG_OK ? modified_set(self, entry, name) : err;
}

static pg_err symlink_take(unpacker *self, struct archive_entry *entry, const char *name)
{
    const char *target = archive_entry_symlink(entry);
    if (target == NULL || target[0] == '\0' || strlen(target) > PG_ARCHIVE_PATH_BYTES_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "the archive has a link, %s, that points to nothing",
                       name);
    }
    PG_TRY(pg_folder_make_link(deepest(self)->folder, name, target));
    return modified_set(self, entry, name);
}

// Open the folder that holds `path`, which has to be there, beside the levels. The top is not opened but borrowed.
static pg_err folder_find(unpacker *self, const char *path, pg_folder **out_owned,
                          char out_name[NAME_BYTES_MAX + 1])
{
    pg_folder *folder = NULL;
    pg_err err = path_step(&path, out_name);
    while (err == PG_OK) {
        char next[NAME_BYTES_MAX + 1];
        pg_folder *inner = NULL;
        err = path_step(&path, next);
        if (err != PG_OK || next[0] == '\0') {
            break;
        }
        err = pg_folder_enter(folder != NULL ? folder : self->levels[0].folder, out_name, &inner);
        pg_folder_free(&folder);
        folder = inner;
        memcpy(out_name, next, sizeof(next));
    }
    if (err != PG_OK) {
        pg_folder_free(&folder);
        return err;
    }
    *out_owned = folder;
    return PG_OK;
}

static pg_err hardlink_take(unpacker *self, const char *first, const char *name)
{
    pg_folder *folder = NULL;
    char first_name[NAME_BYTES_MAX + 1];
    PG_TRY(path_check(first));
    pg_err err = folder_find(self, first, &folder, first_name);
    if (err == PG_OK) {
        err = pg_folder_add_name(folder != NULL ? folder : self->levels[0].folder, first_name,
                                 deepest(self)->folder, name);
    }
    pg_folder_free(&folder);
    if (err == PG_ERR_NOT_FOUND || err == PG_ERR_INVALID || err == PG_ERR_ACCESS) {
        return pg_fail(PG_ERR_MALFORMED,
                       "the archive has %s as one more name of %s, which is no "
                       "file in it",
                       name, first);
    }
    return err;
}

// What the entry is that no folder of ours gets; NULL when it may be made.
static const char *special_name(struct archive_entry *entry)
{
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
        return NULL;
    default:
        return archive_entry_hardlink(entry) != NULL ? NULL : "a device, pipe or socket";
    }
}

static pg_err entry_make(unpacker *self, struct archive_entry *entry, const char *path)
{
    char name[NAME_BYTES_MAX + 1];
    const char *first = archive_entry_hardlink(entry);
    PG_TRY(path_enter(self, path, name));
    if (first == NULL && archive_entry_filetype(entry) == AE_IFDIR) {
        return folder_take(self, entry, name);
    }
    if (name[0] == '\0') {
        return pg_fail(PG_ERR_MALFORMED, "the archive has a file in the place of its folder");
    }
    if (first != NULL) {
        return twice_if_there(hardlink_take(self, first, name), path);
    }
    if (archive_entry_filetype(entry) == AE_IFLNK) {
        return twice_if_there(symlink_take(self, entry, name), path);
    }
    return twice_if_there(file_take(self, entry, name), path);
}

static pg_err entry_take(unpacker *self, struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    uint64_t max =
        self->options->entries_max != 0 ? self->options->entries_max : PG_ARCHIVE_ENTRIES_MAX;
    PG_TRY(path_check(path));
    if (self->sum.entries + self->sum.skipped == max) {
        return pg_fail(PG_ERR_LIMIT, "the archive has more than %llu entries",
                       (unsigned long long) max);
    }
    if (special_name(entry) != NULL) {
        self->sum.skipped++;
        if (self->options->notes.skipped != NULL) {
            self->options->notes.skipped(path, special_name(entry), self->options->notes.user);
        }
        return PG_OK;
    }
    self->sum.entries++;
    return entry_make(self, entry, path);
}

// Only a source that was read to its end has told whether all of it came.
static pg_err source_drain(unpacker *self)
{
    PG_TRY(
        self->source_err); // where it failed behind the last entry, that is no failure to libarchive
    while (!self->source_ended) {
        size_t len = 0;
        PG_TRY(self->source(PG_MUT_BYTES_OF(self->step), &len, self->user));
        self->source_ended = len == 0;
    }
    return PG_OK;
}

static pg_err entries_take(unpacker *self)
{
    for (;;) {
        struct archive_entry *entry = NULL;
        int result = archive_read_next_header(self->archive, &entry);
        if (result == ARCHIVE_EOF) {
            break;
        }
        if (!is_good(result)) {
            return archive_fail(self);
        }
        PG_TRY(entry_take(self, entry));
    }
    while (self->depth > 0) {
        PG_TRY(level_close(self));
    }
    return source_drain(self);
}

static pg_err archive_unpack(unpacker *self)
{
    self->archive = archive_read_new();
    if (self->archive == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot unpack");
    }
    if (archive_read_support_filter_none(self->archive) != ARCHIVE_OK ||
        archive_read_support_format_tar(self->archive) != ARCHIVE_OK ||
        archive_read_open(self->archive, self, NULL, on_archive_read, NULL) != ARCHIVE_OK) {
        return archive_fail(self);
    }
    return entries_take(self);
}

// ---- The target

// Cut a path into the folder that holds its last component, and that component.
static pg_err target_open(unpacker *self, pg_buf *out_parent, pg_buf *out_name)
{
    pg_str path = pg_str_make(self->options->target);
    while (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    size_t name_at = path.len;
    while (name_at > 0 && path.ptr[name_at - 1] != '/') {
        name_at--;
    }
    pg_str name = pg_str_make_len(path.ptr + name_at, path.len - name_at);
    if (name.len == 0 || pg_str_equal(name, PG_STR(".")) || pg_str_equal(name, PG_STR(".."))) {
        return pg_fail(PG_ERR_INVALID, "%s cannot be made anew", self->options->target);
    }
    PG_TRY(pg_buf_printf(out_name, "%.*s", PG_STR_ARGS(name)));
    PG_TRY(pg_buf_printf(out_parent, "%.*s", (int) name_at, path.ptr));
    if (name_at == 0) {
        PG_TRY(pg_buf_printf(out_parent, "."));
    }
    return pg_folder_open((const char *) out_parent->ptr, &self->parent);
}

static pg_err target_check(const unpacker *self, const char *name, bool *out_is_there)
{
    pg_folder_entry entry;
    pg_err err = pg_folder_look(self->parent, name, &entry);
    *out_is_there = err == PG_OK;
    if (err == PG_OK && !self->options->replace) {
        return pg_fail(PG_ERR_EXISTS, "%s is there already; --force replaces it",
                       self->options->target);
    }
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static void hidden_name(const char *id, const char *end, char out_name[HIDDEN_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_name, HIDDEN_BYTES - 1));
    pg_writer_put(&writer, PG_BYTES_LIT(".pangea-"));
    pg_writer_put(&writer, pg_bytes_cstr(id));
    pg_writer_put(&writer, pg_bytes_cstr(end));
    out_name[writer.len] = '\0';
}

// Make the hidden folder. Made with all permissions it shows which of them the process's mask lets through.
static pg_err hidden_make(unpacker *self)
{
    uint8_t id[8];
    char hex[2 * sizeof(id) + 1];
    char name[HIDDEN_BYTES];
    pg_folder *top = NULL;
    pg_random_bytes(PG_MUT_BYTES_OF(id));
    pg_hex_encode(PG_BYTES_OF(id), hex);
    hidden_name(hex, "", name);
    hidden_name(hex, "-old", self->aside);
    PG_TRY(pg_folder_make(self->parent, name, PERMISSIONS_KEPT));
    memcpy(self->hidden, name, sizeof(name));
    PG_TRY(pg_folder_enter(self->parent, name, &top));
    PG_TRY(level_open(self, top, ""));
    self->permissions_allowed = deepest(self)->permissions & PERMISSIONS_KEPT;
    deepest(self)->permissions_now =
        PERMISSIONS_NEEDED; // nobody else looks into it before it is whole
    return pg_folder_set_permissions(top, PERMISSIONS_NEEDED);
}

// Give the whole folder its name. What it replaces is put aside first and comes back when that fails.
static pg_err target_finish(unpacker *self, const char *name)
{
    bool is_there = false;
    PG_TRY(pg_folder_sync_disk(self->parent));
    PG_TRY(target_check(self, name, &is_there));
    if (is_there) {
        PG_TRY(pg_folder_rename(self->parent, name, self->aside));
    }
    pg_err err = pg_folder_rename(self->parent, self->hidden, name);
    if (is_there && err != PG_OK) {
        pg_error_record record = pg_error_keep();
        pg_ignore(pg_folder_rename(self->parent, self->aside, name), "the first failure counts");
        return pg_error_again(&record, err);
    }
    PG_TRY(err);
    self->hidden[0] = '\0';
    if (!is_there) {
        return PG_OK;
    }
    return pg_error_wrap(pg_folder_remove(self->parent, self->aside),
                         "%s is replaced, but what stood there is left beside it", name);
}

static pg_err unpack_to(unpacker *self, const char *name)
{
    bool is_there = false;
    PG_TRY(target_check(self, name, &is_there));
    PG_TRY(hidden_make(self));
    PG_TRY(archive_unpack(self));
    return target_finish(self, name);
}

static void unpacker_free(unpacker *self)
{
    while (self->depth > 0) {
        pg_folder_free(&deepest(self)->folder);
        self->depth--;
    }
    if (self->hidden[0] != '\0') {
        pg_ignore(pg_folder_remove(self->parent, self->hidden), "an error is on its way already");
    }
    (void) archive_read_free(self->archive);
    pg_folder_free(&self->parent);
    pg_mfree(self->levels);
    pg_mfree(self);
}

// Names of other programs' archives are UTF-8, which libarchive converts to the locale's characters.
static pg_err unpack_in_utf8(unpacker *self, const char *name)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);
    if (utf8 == (locale_t) 0) {
        return unpack_to(self, name); // names beyond ASCII are refused then
    }
    locale_t before = uselocale(utf8);
    pg_err err = unpack_to(self, name);
    (void) uselocale(before);
    freelocale(utf8);
    return err;
}

pg_err pg_archive_unpack(const pg_unpack_options *options, pg_archive_source source, void *user,
                         pg_archive_sum *out_sum)
{
    pg_buf parent = {0};
    pg_buf name = {0};
    unpacker *self = PG_NEW(unpacker);
    level *levels = pg_calloc(PG_ARCHIVE_DEPTH_MAX, sizeof(level));
    if (self == NULL || levels == NULL) {
        pg_mfree(self);
        pg_mfree(levels);
        return pg_fail(PG_ERR_NOMEM, "cannot unpack to %s", options->target);
    }
    self->options = options;
    self->source = source;
    self->user = user;
    self->levels = levels;
    pg_err err = target_open(self, &parent, &name);
    if (err == PG_OK) {
        err = unpack_in_utf8(self, (const char *) name.ptr);
    }
    pg_error_record record = pg_error_keep(); // the clean-up may fail too, and say so
    pg_archive_sum sum = self->sum;
    unpacker_free(self);
    pg_buf_deinit(&name);
    pg_buf_deinit(&parent);
    if (err != PG_OK) {
        return pg_error_again(&record, err);
    }
    *out_sum = sum;
    return PG_OK;
}

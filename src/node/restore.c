// SPDX-License-Identifier: Apache-2.0
// Reading a backup, twice: first every digest, then into place. What is placed is checked once more on the way, since the file could
// have changed in between.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "node/backup.h"
#include "node/data.h"
#include "node/node.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/folder.h"
#include "runtime/offload.h"

#define STEP_BYTES (1U << 20)
#define TEMPORARY_END ".restoring"

/** Who takes the entries of a backup: each is begun, its bytes come in order, and it ends. */
typedef struct taker {
    pg_err (*begin)(const pg_backup_entry *entry, void *user);
    pg_err (*bytes)(pg_bytes bytes, void *user);
    pg_err (*end)(const pg_backup_entry *entry, void *user);
    void *user;
} taker;

/** A walk through a backup. */
typedef struct walk {
    pg_file *file;
    uint64_t offset;
    uint64_t made_s;
    pg_buf lines; // as the list ought to have them
    uint8_t *step;
    pg_buf *list; // appended to
    pg_backup_sum sum;
} walk;

// ---- Walking

static pg_err take(walk *self, uint8_t *space, size_t len)
{
    size_t got = 0;
    PG_TRY(pg_file_read_at(self->file, self->offset, pg_mut_bytes_make(space, len), &got));
    self->offset += got;
    return got == len ? PG_OK
                      : pg_fail(PG_ERR_TRUNCATED, "the backup ends after %llu bytes, too early",
                                (unsigned long long) self->offset);
}

static pg_err content_take(walk *self, const pg_backup_entry *entry, const taker *to)
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream hash;
    pg_blake3_stream_init(&hash, NULL);
    PG_TRY(to->begin(entry, to->user));
    for (uint64_t left = entry->size_bytes; left > 0;) {
        size_t len = left < STEP_BYTES ? (size_t) left : STEP_BYTES;
        PG_TRY(take(self, self->step, len));
        pg_blake3_stream_update(&hash, pg_bytes_make(self->step, len));
        PG_TRY(to->bytes(pg_bytes_make(self->step, len), to->user));
        left -= len;
    }
    pg_blake3_stream_final(&hash, PG_MUT_BYTES_OF(digest));
    PG_TRY(pg_backup_line_write(entry, digest, &self->lines));
    return to->end(entry, to->user);
}

static pg_err list_take(walk *self, const pg_backup_entry *entry)
{
    uint8_t *space = NULL;
    if (entry->size_bytes > PG_BACKUP_LIST_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "the list of the backup is too long");
    }
    PG_TRY(pg_buf_extend(self->list, (size_t) entry->size_bytes, &space));
    return take(self, space, (size_t) entry->size_bytes);
}

static pg_err zeros_take(walk *self, size_t len)
{
    uint8_t zeros[PG_BACKUP_BLOCK_BYTES];
    pg_assert(len <= sizeof(zeros));
    PG_TRY(take(self, zeros, len));
    for (size_t i = 0; i < len; i++) {
        if (zeros[i] != 0) {
            return pg_fail(PG_ERR_MALFORMED, "the backup is damaged: no zeros between its parts");
        }
    }
    return PG_OK;
}

static pg_err filling_take(walk *self)
{
    size_t over = (size_t) (self->offset % PG_BACKUP_BLOCK_BYTES);
    return over == 0 ? PG_OK : zeros_take(self, PG_BACKUP_BLOCK_BYTES - over);
}

static pg_err end_take(walk *self)
{
    uint8_t more = 0;
    size_t len = 0;
    PG_TRY(filling_take(self));
    PG_TRY(zeros_take(self, PG_BACKUP_BLOCK_BYTES));
    PG_TRY(zeros_take(self, PG_BACKUP_BLOCK_BYTES));
    PG_TRY(pg_file_read_at(self->file, self->offset, pg_mut_bytes_make(&more, 1), &len));
    return len == 0 ? PG_OK
                    : pg_fail(PG_ERR_MALFORMED, "the backup is damaged: it goes on behind its end");
}

static void sum_note(pg_backup_sum *sum, const pg_backup_entry *entry)
{
    sum->entries++;
    sum->has_settings |= entry->kind == PG_BACKUP_KIND_SETTINGS;
    sum->has_network_key |= entry->kind == PG_BACKUP_KIND_NETWORK_KEY;
    sum->has_database |= entry->kind == PG_BACKUP_KIND_DATABASE;
    sum->has_blocks |= entry->kind == PG_BACKUP_KIND_STORE;
    sum->packs += entry->kind == PG_BACKUP_KIND_PACK && entry->offset == 0 ? 1 : 0;
}

// One after the other up to the list, whose kinds do not go back: so each but a pack's comes once.
static pg_err entries_walk(walk *self, const taker *to)
{
    pg_backup_entry before = {.kind = PG_BACKUP_KIND_IDENTITY};
    for (uint64_t i = 0; i <= PG_BACKUP_ENTRIES_MAX; i++) {
        uint8_t header[PG_BACKUP_BLOCK_BYTES];
        pg_backup_entry entry;
        bool is_end = false;
        PG_TRY(take(self, header, sizeof(header)));
        PG_TRY(pg_backup_header_decode(header, &entry, &self->made_s, &is_end));
        if (is_end) {
            return pg_fail(PG_ERR_TRUNCATED, "the backup ends without its list");
        }
        bool is_in_order =
            i == 0 ? entry.kind == PG_BACKUP_KIND_IDENTITY
                   : entry.kind > before.kind ||
                         (entry.kind == PG_BACKUP_KIND_PACK && before.kind == PG_BACKUP_KIND_PACK);
        if (!is_in_order) {
            return pg_fail(PG_ERR_MALFORMED, "the parts of the backup are in a wrong order");
        }
        if (entry.kind == PG_BACKUP_KIND_LIST) {
            PG_TRY(list_take(self, &entry));
            return end_take(self);
        }
        PG_TRY(content_take(self, &entry, to));
        PG_TRY(filling_take(self));
        sum_note(&self->sum, &entry);
        before = entry;
    }
    return pg_fail(PG_ERR_LIMIT, "the backup has too many parts");
}

// Name the first line that differs.
static pg_err lines_compare(pg_str told, pg_str found)
{
    if (pg_str_equal(told, found)) {
        return PG_OK;
    }
    while (told.len > 0 && found.len > 0) {
        pg_str told_line;
        pg_str found_line;
        told = pg_str_split(told, '\n', &told_line);
        found = pg_str_split(found, '\n', &found_line);
        if (!pg_str_equal(told_line, found_line)) {
            const char *name = memchr(found_line.ptr, 'p', found_line.len);
            name = name == NULL ? found_line.ptr : name;
            return pg_fail(PG_ERR_CORRUPT, "the backup is damaged: %.*s is not what was written",
                           (int) (found_line.ptr + found_line.len - name), name);
        }
    }
    return pg_fail(PG_ERR_CORRUPT, "the backup is damaged: it lacks parts that its list names");
}

static pg_err walk_run(const char *file, const taker *to, pg_buf *list, pg_backup_sum *out_sum)
{
    walk self = {.list = list, .lines = {.max_len = PG_BACKUP_LIST_BYTES_MAX}};
    pg_backup_head head;
    pg_str lines;
    self.step = pg_malloc(STEP_BYTES);
    pg_err err =
        self.step == NULL ? PG_ERR_NOMEM : pg_file_open(file, PG_FILE_MODE_READ, &self.file);
    if (err == PG_OK) {
        err = entries_walk(&self, to);
    }
    if (err == PG_OK) {
        err = pg_backup_list_decode(pg_buf_bytes(list), &head, &lines);
    }
    if (err == PG_OK) {
        err = lines_compare(lines, pg_buf_str(&self.lines));
    }
    if (err == PG_OK) {
        self.sum.bytes = self.offset;
        *out_sum = self.sum;
    }
    pg_file_free(&self.file);
    pg_buf_deinit(&self.lines);
    pg_mfree(self.step);
    return pg_error_wrap(err, "%s", file);
}

// ---- Reading

/** What the first walk keeps. */
typedef struct reading {
    pg_backup *backup;
    bool is_identity; // the entry at hand
} reading;

static pg_err read_begin(const pg_backup_entry *entry, void *user)
{
    reading *self = user;
    self->is_identity = entry->kind == PG_BACKUP_KIND_IDENTITY;
    return self->is_identity && entry->size_bytes > PG_KEYSTORE_BYTES_MAX
               ? pg_fail(PG_ERR_MALFORMED, "the identity in the backup is none")
               : PG_OK;
}

static pg_err read_bytes(pg_bytes bytes, void *user)
{
    reading *self = user;
    return self->is_identity ? pg_buf_append(&self->backup->keystore, bytes) : PG_OK;
}

static pg_err read_end(const pg_backup_entry *entry, void *user)
{
    (void) entry;
    (void) user;
    return PG_OK;
}

/** Opening the identity, which takes Argon2id: a job. */
typedef struct unlocking {
    pg_bytes file;
    pg_bytes passphrase;
    pg_keystore *keystore;
} unlocking;

static pg_err unlock_run(void *arg)
{
    unlocking *self = arg;
    return pg_keystore_decode(self->file, self->passphrase, self->keystore);
}

static pg_err identity_open(pg_backup *backup, pg_bytes passphrase)
{
    bool is_locked = false;
    unlocking job = {pg_buf_bytes(&backup->keystore), passphrase, &backup->identity};
    PG_TRY(pg_keystore_is_locked(job.file, &is_locked));
    if (is_locked && passphrase.len == 0) {
        return pg_fail(PG_ERR_KEY,
                       "the backup is locked: give its passphrase, by --passphrase-file");
    }
    return pg_offload(unlock_run, &job);
}

static pg_err backup_read(pg_backup *backup, pg_bytes passphrase)
{
    reading kept = {.backup = backup};
    const taker to = {read_begin, read_bytes, read_end, &kept};
    PG_TRY(
        pg_buf_reserve(&backup->keystore, PG_KEYSTORE_BYTES_MAX)); // growing leaves secrets behind
    PG_TRY(walk_run(backup->file, &to, &backup->list, &backup->sum));
    PG_TRY(pg_backup_list_decode(pg_buf_bytes(&backup->list), &backup->head, &backup->lines));
    PG_TRY(pg_error_wrap(identity_open(backup, passphrase), "%s", backup->file));
    pg_backup_keys_derive(&backup->identity.owner, &backup->keys);
    return pg_error_wrap(pg_backup_mac_check(&backup->keys.list, pg_buf_bytes(&backup->list)), "%s",
                         backup->file);
}

pg_err pg_backup_read(const char *file, pg_bytes passphrase, pg_backup *out_backup)
{
    *out_backup = (pg_backup){.file = file, .list = {.max_len = PG_BACKUP_LIST_BYTES_MAX}};
    pg_err err = backup_read(out_backup, passphrase);
    if (err != PG_OK) {
        pg_backup_close(out_backup);
    }
    return err;
}

void pg_backup_close(pg_backup *backup)
{
    pg_keystore_deinit(&backup->identity);
    if (backup->keystore.ptr != NULL) {
        pg_wipe(backup->keystore.ptr, backup->keystore.cap);
    }
    pg_buf_deinit(&backup->keystore);
    pg_buf_deinit(&backup->list);
    pg_wipe(&backup->keys, sizeof(backup->keys));
    *backup = (pg_backup){.file = NULL};
}

// ---- Placing

/** The second walk. */
typedef struct placing {
    const pg_backup *backup;
    const char *folder; // under its other name
    pg_file *file;      // of the entry at hand, where it is one of a file
    uint64_t offset;
    pg_buf sealed; // the entry at hand, where it is one to be opened
    bool has_blocks;
} placing;

static pg_err path_of(const placing *self, const pg_backup_entry *entry, pg_buf *out)
{
    switch (entry->kind) {
    case PG_BACKUP_KIND_IDENTITY:
        return pg_data_name(self->folder, "identity", out);
    case PG_BACKUP_KIND_DATABASE:
        return pg_data_name(self->folder, "pangea.db", out);
    case PG_BACKUP_KIND_STORE:
        return pg_data_name(self->folder, "blocks/store", out);
    case PG_BACKUP_KIND_PACK:
        return pg_buf_printf(out, "%s/blocks/pack-%08x", self->folder, entry->pack);
    case PG_BACKUP_KIND_SETTINGS:
    case PG_BACKUP_KIND_NETWORK_KEY:
    case PG_BACKUP_KIND_LIST:
    case PG_BACKUP_KIND_COUNT:
        break;
    }
    return PG_ERR_BUG;
}

static bool is_sealed(const pg_backup_entry *entry)
{
    return entry->kind == PG_BACKUP_KIND_SETTINGS || entry->kind == PG_BACKUP_KIND_NETWORK_KEY;
}

static pg_err place_begin(const pg_backup_entry *entry, void *user)
{
    placing *self = user;
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf_clear(&self->sealed);
    if (is_sealed(entry)) {
        return entry->size_bytes > PG_BACKUP_SEALED_BYTES_MAX
                   ? pg_fail(PG_ERR_LIMIT, "a part of the backup is too long")
                   : PG_OK;
    }
    if (entry->kind == PG_BACKUP_KIND_STORE) {
        PG_TRY(pg_data_name(self->folder, "blocks", &path));
        PG_TRY(pg_dir_make((const char *) path.ptr));
        pg_buf_clear(&path);
        self->has_blocks = true;
    }
    PG_TRY(path_of(self, entry, &path));
    self->offset = entry->offset;
    return pg_file_open((const char *) path.ptr, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE,
                        &self->file);
}

static pg_err place_bytes(pg_bytes bytes, void *user)
{
    placing *self = user;
    if (self->file == NULL) {
        return pg_buf_append(&self->sealed, bytes);
    }
    PG_TRY(pg_file_write_at(self->file, self->offset, bytes));
    self->offset += bytes.len;
    return PG_OK;
}

static pg_err text_place(const placing *self, const char *name, pg_bytes content)
{
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    PG_TRY(pg_data_name(self->folder, name, &path));
    return pg_file_replace((const char *) path.ptr, content, 0600);
}

// "name\ncontent". The name is the owner's word; all the same it may not lead elsewhere, nor be one of ours.
static pg_err network_key_place(const placing *self, pg_str text)
{
    static const char *const ours[] = {"identity", "pangea.db", "pangea.conf", "blocks", "lock"};
    pg_str line;
    pg_str content = pg_str_split(text, '\n', &line);
    char name[PG_CONFIG_LINE_BYTES_MAX + 1] = "";
    bool is_good = content.ptr != NULL && line.len > 0 && line.len < sizeof(name) &&
                   line.ptr[0] != '.' && memchr(line.ptr, '/', line.len) == NULL;
    for (size_t i = 0; i < PG_ARRAY_LEN(ours) && is_good; i++) {
        is_good = !pg_str_equal(line, pg_str_make(ours[i]));
    }
    if (!is_good) {
        return pg_fail(PG_ERR_MALFORMED, "the network's key in the backup has no usable name");
    }
    memcpy(name, line.ptr, line.len);
    return text_place(self, name, pg_bytes_make(content.ptr, content.len));
}

static pg_err sealed_place(const placing *self, const pg_backup_entry *entry)
{
    pg_buf text = {0};
    PG_TRY(pg_buf_reserve(&text, PG_BACKUP_SEALED_BYTES_MAX)); // growing leaves secrets behind
    pg_err err =
        pg_backup_open(&self->backup->keys, entry->kind, pg_buf_bytes(&self->sealed), &text);
    if (err == PG_OK) {
        err = entry->kind == PG_BACKUP_KIND_SETTINGS
                  ? text_place(self, PG_CONFIG_NAME, pg_buf_bytes(&text))
                  : network_key_place(self, pg_buf_str(&text));
    }
    pg_wipe(text.ptr, text.cap);
    pg_buf_deinit(&text);
    return err;
}

static pg_err place_end(const pg_backup_entry *entry, void *user)
{
    placing *self = user;
    if (self->file == NULL) {
        return sealed_place(self, entry);
    }
    pg_err err = pg_file_sync(self->file);
    pg_file_free(&self->file);
    return err;
}

static pg_err folder_fill(placing *self)
{
    pg_buf list PG_CLEANUP(pg_buf_deinit) = {.max_len = PG_BACKUP_LIST_BYTES_MAX};
    pg_buf blocks PG_CLEANUP(pg_buf_deinit) = {0};
    const taker to = {place_begin, place_bytes, place_end, self};
    pg_backup_sum sum;
    PG_TRY(walk_run(self->backup->file, &to, &list, &sum));
    if (!pg_bytes_equal(pg_buf_bytes(&list), pg_buf_bytes(&self->backup->list))) {
        return pg_fail(PG_ERR_CHANGED, "%s changed while it was read", self->backup->file);
    }
    if (self->has_blocks) {
        PG_TRY(pg_data_name(self->folder, "blocks", &blocks));
        PG_TRY(pg_dir_sync((const char *) blocks.ptr));
    }
    return pg_dir_sync(self->folder);
}

/** A folder to be removed, in a job. */
typedef struct removal {
    const char *parent;
    const char *name;
} removal;

static pg_err remove_run(void *arg)
{
    const removal *self = arg;
    pg_folder *parent = NULL;
    PG_TRY(pg_folder_open(self->parent, &parent));
    pg_err err = pg_folder_remove(parent, self->name);
    pg_folder_free(&parent);
    return err;
}

static pg_err on_name(const char *name, void *user)
{
    (void) name;
    return pg_fail(PG_ERR_EXISTS, "%s is not empty: restore into a new directory",
                   (const char *) user);
}

// A data directory in which there is something, be it a lock file, may be in use.
static pg_err target_check(const char *data)
{
    char *named = pg_str_dup(pg_str_make(data));
    if (named == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = pg_dir_each(data, on_name, named);
    pg_mfree(named);
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

static pg_err place_in(placing *self, const char *parent, const char *name, const char *data)
{
    const removal old = {parent, name};
    pg_err err = pg_offload_io(remove_run, (void *) (uintptr_t) &old); // of an attempt before this
    if (err != PG_OK && err != PG_ERR_NOT_FOUND) {
        return err;
    }
    PG_TRY(pg_dir_make(self->folder));
    err = folder_fill(self);
    pg_file_free(&self->file);
    if (err == PG_OK) {
        err = pg_path_rename(self->folder, data);
    }
    if (err == PG_OK) {
        return pg_dir_sync(parent);
    }
    const pg_error_record kept = pg_error_keep();
    pg_fiber_shield(true);
    pg_ignore(pg_offload_io(remove_run, (void *) (uintptr_t) &old), "the first failure counts");
    pg_fiber_shield(false);
    return pg_error_again(&kept, err);
}

pg_err pg_backup_place(const pg_backup *backup, const char *data)
{
    size_t len = strlen(data);
    while (len > 1 && data[len - 1] == '/') {
        len--;
    }
    char *target = pg_str_dup(pg_str_make_len(data, len));
    char *parent = pg_str_dup(pg_str_make_len(data, len));
    pg_buf folder = {0};
    placing self = {.backup = backup};
    pg_err err = target == NULL || parent == NULL ? PG_ERR_NOMEM : target_check(target);
    if (err == PG_OK) {
        err = pg_buf_printf(&folder, "%s" TEMPORARY_END, target);
    }
    if (err == PG_OK) {
        char *slash = strrchr(parent, '/');
        const char *path = (const char *) folder.ptr;
        const char *name = slash == NULL ? path : path + (slash - parent) + 1;
        if (slash != NULL) {
            slash[slash == parent ? 1 : 0] = '\0';
        }
        self.folder = path;
        err = pg_data_folders_make(slash == NULL ? "." : parent);
        if (err == PG_OK) {
            err = place_in(&self, slash == NULL ? "." : parent, name, target);
        }
    }
    pg_buf_deinit(&self.sealed);
    pg_buf_deinit(&folder);
    pg_mfree(target);
    pg_mfree(parent);
    return err;
}

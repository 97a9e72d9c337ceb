// SPDX-License-Identifier: Apache-2.0
#include "cli/partial.h"

#include <string.h>

#include "base/mem.h"
#include "cli/target.h"
#include "runtime/fiber.h"

/** Between two notes, bytes: what a killed command has to get again at most. */
#define NOTE_BYTES (UINT64_C(32) << 20)

/** What is shorter is not worth a file that stays behind: a segment. */
#define KEEP_BYTES_MIN (UINT64_C(8) << 20)

#define READ_BYTES (1U << 20)

// The note has two records, written in turn, each within one sector: whatever tears, the other one stands.
#define RECORD_BYTES 512U
#define MAGIC "pangea-partial-1"
#define MAGIC_BYTES 16U

/** A record, as it stands in the file; the rest of its sector is zero. */
typedef struct record {
    uint8_t magic[MAGIC_BYTES];
    uint8_t id[PG_HASH_BYTES];
    uint8_t len[8]; // big-endian
    uint8_t digest[PG_HASH_BYTES];
    uint8_t check[PG_HASH_BYTES]; // BLAKE3 of what stands before, under the key of the link
} record;

static const char *text_of(const pg_buf *path)
{
    return (const char *) path->ptr;
}

// ---- Names

/** Return the folder that the file goes to, empty for the working directory; *out_slash is what has to follow. */
static pg_str folder_find(const char *output, const char **out_slash)
{
    pg_file_info info;
    *out_slash = "";
    if (output == NULL) {
        return PG_STR("");
    }
    if (pg_path_stat(output, &info) == PG_OK && info.type == PG_FILE_TYPE_FOLDER) {
        *out_slash = output[strlen(output) - 1] == '/' ? "" : "/";
        return pg_str_make(output);
    }
    const char *slash = strrchr(output, '/');
    return pg_str_make_len(output, slash == NULL ? 0 : (size_t) (slash + 1 - output));
}

static pg_err paths_make(pg_partial *partial, const char *output, const pg_cid *root)
{
    const char *slash = NULL;
    pg_str folder = folder_find(output, &slash);
    char hex[2 * 8 + 1];
    pg_blake3_stream name;
    pg_blake3_stream_init(&name, NULL);
    pg_blake3_stream_update(&name, pg_cid_bytes(root));
    pg_blake3_stream_update(&name, pg_bytes_cstr(output == NULL ? "" : output));
    pg_blake3_stream_final(&name, PG_MUT_BYTES_OF(partial->id));
    pg_hex_encode(pg_bytes_make(partial->id, 8), hex);
    PG_TRY(pg_buf_printf(&partial->data_path, "%.*s%s.pangea-%s.part", PG_STR_ARGS(folder), slash,
                         hex));
    return pg_buf_printf(&partial->note_path, "%.*s%s.pangea-%s.note", PG_STR_ARGS(folder), slash,
                         hex);
}

// ---- The note

static uint64_t len_of(const record *from)
{
    pg_reader reader = pg_reader_make(PG_BYTES_OF(from->len));
    return pg_reader_u64be(&reader);
}

static void record_check(const pg_partial *partial, const record *from,
                         uint8_t out_check[PG_HASH_BYTES])
{
    pg_blake3_keyed(&partial->key, pg_bytes_make(from, offsetof(record, check)), out_check);
}

/** Write how much is on the disk, after it is. The note need not be: an older one is as true. */
static pg_err note_write(pg_partial *partial)
{
    uint8_t sector[RECORD_BYTES] = {0};
    record made = {.magic = MAGIC};
    PG_TRY(pg_file_sync(partial->data));
    memcpy(made.id, partial->id, sizeof(made.id));
    pg_writer len = pg_writer_make(PG_MUT_BYTES_OF(made.len));
    pg_writer_u64be(&len, partial->len);
    pg_blake3_stream_final(&partial->hash, PG_MUT_BYTES_OF(made.digest));
    record_check(partial, &made, made.check);
    memcpy(sector, &made, sizeof(made));
    PG_TRY(pg_file_write_at(partial->note, (uint64_t) partial->turn * RECORD_BYTES,
                            PG_BYTES_OF(sector)));
    partial->turn = 1 - partial->turn;
    partial->noted = partial->len;
    return PG_OK;
}

/** Find the record that tells most; false when there is none. */
static bool note_read(pg_partial *partial, record *out_record)
{
    bool is_found = false;
    for (unsigned i = 0; i < 2; i++) {
        record read = {.magic = {0}};
        uint8_t check[PG_HASH_BYTES];
        size_t len = 0;
        if (pg_file_read_at(partial->note, (uint64_t) i * RECORD_BYTES,
                            pg_mut_bytes_make((uint8_t *) &read, sizeof(read)), &len) != PG_OK ||
            len != sizeof(read)) {
            continue;
        }
        record_check(partial, &read, check);
        bool is_ours = memcmp(read.magic, MAGIC, MAGIC_BYTES) == 0 &&
                       memcmp(read.id, partial->id, sizeof(read.id)) == 0 &&
                       memcmp(read.check, check, sizeof(check)) == 0;
        if (is_ours && (!is_found || len_of(&read) > len_of(out_record))) {
            *out_record = read;
            partial->turn = 1 - i;
            is_found = true;
        }
    }
    return is_found;
}

// ---- What an earlier run left

/** Hash the first `len` bytes of the file; *out_len is short when it has fewer. */
static pg_err data_hash(pg_partial *partial, uint64_t len, pg_err (*check)(void *user), void *user,
                        uint64_t *out_len)
{
    uint8_t *space = pg_malloc(READ_BYTES);
    pg_err err = space == NULL ? PG_ERR_NOMEM : PG_OK;
    pg_blake3_stream_init(&partial->hash, NULL);
    *out_len = 0;
    while (err == PG_OK && *out_len < len) {
        size_t wanted = len - *out_len < READ_BYTES ? (size_t) (len - *out_len) : READ_BYTES;
        size_t got = 0;
        err = pg_file_read_at(partial->data, *out_len, pg_mut_bytes_make(space, wanted), &got);
        if (err != PG_OK || got == 0) {
            break;
        }
        pg_blake3_stream_update(&partial->hash, pg_bytes_make(space, got));
        *out_len += got;
        err = check == NULL ? PG_OK : check(user);
    }
    pg_mfree(space);
    return err;
}

/** Open a file that is there, but none that others can write, nor through a link that somebody laid. */
static pg_err own_open(const pg_buf *path, pg_file **out_file)
{
    pg_file_info named;
    pg_file_info opened;
    PG_TRY(pg_path_stat(text_of(path), &named));
    if (named.type != PG_FILE_TYPE_REGULAR || (named.permissions & 077) != 0) {
        return pg_fail(PG_ERR_ACCESS, "%s is not ours alone", text_of(path));
    }
    PG_TRY(pg_file_open(text_of(path), PG_FILE_MODE_READ | PG_FILE_MODE_WRITE, out_file));
    pg_err err = pg_file_stat(*out_file, &opened);
    if (err == PG_OK && opened.inode != named.inode) {
        err = pg_fail(PG_ERR_ACCESS, "%s changed while it was opened", text_of(path));
    }
    if (err != PG_OK) {
        pg_file_free(out_file);
    }
    return err;
}

static pg_err lock_take(pg_partial *partial)
{
    return pg_file_lock(partial->data) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_BUSY, "another `pangea get` of this link to this place is running");
}

static pg_err open_both(pg_partial *partial)
{
    PG_TRY(own_open(&partial->data_path, &partial->data));
    PG_TRY(lock_take(partial));
    return own_open(&partial->note_path, &partial->note);
}

static pg_err new_open(const pg_buf *path, pg_file **out_file)
{
    pg_ignore(pg_path_remove(text_of(path)), "it is not there, as a rule");
    return pg_file_open(text_of(path),
                        PG_FILE_MODE_READ | PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE |
                            PG_FILE_MODE_EXCLUSIVE,
                        out_file);
}

static pg_err verify(pg_partial *partial, pg_err (*check)(void *user), void *user)
{
    record note;
    uint8_t digest[PG_HASH_BYTES];
    uint64_t len = 0;
    if (!note_read(partial, &note)) {
        return PG_OK;
    }
    uint64_t noted = len_of(&note);
    PG_TRY(data_hash(partial, noted, check, user, &len));
    pg_blake3_stream_final(&partial->hash, PG_MUT_BYTES_OF(digest));
    if (len != noted || memcmp(digest, note.digest, sizeof(digest)) != 0) {
        partial->was_changed = true;
        return PG_OK;
    }
    partial->len = noted;
    partial->noted = noted;
    return PG_OK;
}

pg_err pg_partial_find(pg_partial *partial, const char *output, const pg_link *link,
                       pg_err (*check)(void *user), void *user)
{
    *partial = (pg_partial){.len = 0};
    pg_blake3_stream_init(&partial->hash, NULL);
    partial->key = link->key;
    PG_TRY(paths_make(partial, output, &link->root));
    pg_err err = open_both(partial);
    if (err == PG_OK) {
        err = verify(partial, check, user);
    } else if (err != PG_ERR_BUSY && err != PG_ERR_NOMEM) {
        err = PG_OK; // nothing there, or nothing that can be gone on with
    }
    if (err != PG_OK) {
        pg_file_free(&partial->note); // what is there stays as it is
    } else if (partial->len == 0) {
        pg_blake3_stream_init(&partial->hash, NULL);
    }
    return err;
}

pg_err pg_partial_begin(pg_partial *partial)
{
    if (partial->len > 0) {
        return pg_file_truncate(partial->data, partial->len);
    }
    pg_file_free(&partial->data);
    pg_file_free(&partial->note);
    PG_TRY(pg_error_wrap(new_open(&partial->data_path, &partial->data),
                         "cannot write where the file is to go"));
    PG_TRY(lock_take(partial));
    return new_open(&partial->note_path, &partial->note);
}

pg_err pg_partial_write(pg_partial *partial, pg_bytes bytes)
{
    PG_TRY(pg_file_write_at(partial->data, partial->len, bytes));
    pg_blake3_stream_update(&partial->hash, bytes);
    partial->len += bytes.len;
    return partial->len - partial->noted >= NOTE_BYTES ? note_write(partial) : PG_OK;
}

static void remove_both(const pg_partial *partial)
{
    pg_ignore(pg_path_remove(text_of(&partial->note_path)), "it may not be there");
    pg_ignore(pg_path_remove(text_of(&partial->data_path)), "it may have its name already");
}

pg_err pg_partial_finish(pg_partial *partial, const char *path, bool replace)
{
    PG_TRY(pg_file_sync(partial->data));
    PG_TRY(pg_target_check(path, replace));
    PG_TRY(pg_path_rename(text_of(&partial->data_path), path));
    remove_both(partial);
    partial->len = 0;
    partial->noted = 0;
    pg_file_free(&partial->data);
    return PG_OK;
}

uint64_t pg_partial_close(pg_partial *partial)
{
    uint64_t left = 0;
    pg_fiber_shield(true);
    if (partial->data != NULL && partial->note != NULL) {
        if (partial->len >= KEEP_BYTES_MIN && partial->len > partial->noted) {
            pg_ignore(note_write(partial), "then the note before it stands");
        }
        left = partial->noted >= KEEP_BYTES_MIN ? partial->noted : 0;
        if (left == 0) {
            remove_both(partial);
        }
    }
    pg_file_free(&partial->data);
    pg_file_free(&partial->note);
    pg_fiber_shield(false);
    pg_buf_deinit(&partial->data_path);
    pg_buf_deinit(&partial->note_path);
    pg_key_wipe(&partial->key);
    return left;
}

// SPDX-License-Identifier: Apache-2.0
#include "node/data.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "runtime/offload.h"
#include "runtime/random.h"
#include "runtime/time.h"

#define IDENTITY_NAME "identity"
#define LOCK_NAME "lock"
#define RESTORED_NAME "restored" // empty: the identity was made from its secret

pg_err pg_data_name(const char *folder, const char *name, pg_buf *out)
{
    return pg_buf_printf(out, "%s/%s", folder, name);
}

/** Make one folder; its name survives a crash. */
static pg_err folder_make(const char *path)
{
    pg_err err = pg_dir_make(path);
    if (err == PG_ERR_EXISTS) {
        return PG_OK;
    }
    PG_TRY(err);
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t) (slash - path);
    pg_str parent = slash == NULL ? PG_STR(".") : pg_str_make_len(path, len > 0 ? len : 1);
    char *name = pg_str_dup(parent);
    if (name == NULL) {
        return PG_ERR_NOMEM;
    }
    err = pg_dir_sync(name);
    pg_mfree(name);
    return err;
}

pg_err pg_data_folders_make(const char *path)
{
    char *copy = pg_str_dup(pg_str_make(path));
    if (copy == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = PG_OK;
    for (size_t i = 1; err == PG_OK && i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        copy[i] = '\0';
        err = folder_make(copy);
        copy[i] = path[i];
    }
    pg_mfree(copy);
    return err;
}

static pg_err lock_take(const char *path, pg_file **out_lock)
{
    pg_buf name = {0};
    pg_file *lock = NULL;
    pg_err err = pg_data_name(path, LOCK_NAME, &name);
    if (err == PG_OK) {
        err =
            pg_file_open((const char *) name.ptr, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE, &lock);
    }
    if (err == PG_OK) {
        err = pg_file_lock(lock);
    }
    if (err == PG_ERR_BUSY) {
        err = pg_fail(err, "another node is running on %s", path);
    }
    if (err == PG_OK) {
        *out_lock = lock;
    } else {
        pg_file_free(&lock);
    }
    pg_buf_deinit(&name);
    return err;
}

pg_err pg_data_open(const char *path, pg_data *out_data)
{
    pg_data data = {0};
    PG_TRY(pg_data_folders_make(path));
    PG_TRY(lock_take(path, &data.lock));
    data.path = pg_str_dup(pg_str_make(path));
    if (data.path == NULL) {
        pg_file_free(&data.lock);
        return PG_ERR_NOMEM;
    }
    *out_data = data;
    return PG_OK;
}

void pg_data_close(pg_data *data)
{
    pg_file_free(&data->lock);
    pg_mfree(data->path);
    *data = (pg_data){0};
}

// ---- the identity ----

// Argon2id takes half a second: a job.
typedef struct keystore_job {
    pg_keystore *keystore;
    pg_keystore_lock lock;
    pg_bytes passphrase;
    pg_buf file;
} keystore_job;

static pg_err encode_run(void *arg)
{
    keystore_job *job = arg;
    return pg_keystore_encode(job->keystore, job->passphrase.len > 0 ? &job->lock : NULL,
                              &job->file);
}

static pg_err decode_run(void *arg)
{
    keystore_job *job = arg;
    return pg_keystore_decode(pg_buf_bytes(&job->file), job->passphrase, job->keystore);
}

static void job_end(keystore_job *job)
{
    if (job->file.ptr != NULL) {
        pg_wipe(job->file.ptr, job->file.cap);
    }
    pg_buf_deinit(&job->file);
}

static pg_err identity_write(const char *path, pg_keystore *keystore, pg_bytes passphrase)
{
    keystore_job job = {.keystore = keystore, .passphrase = passphrase};
    job.file.max_len = PG_KEYSTORE_BYTES_MAX;
    job.lock.passphrase = passphrase;
    job.lock.cost = PG_ARGON2_COST_DEFAULT;
    pg_random_bytes(PG_MUT_BYTES_OF(job.lock.salt));
    pg_random_bytes(PG_MUT_BYTES_OF(job.lock.nonce));
    pg_err err =
        pg_buf_reserve(&job.file, PG_KEYSTORE_BYTES_MAX); // at once: growing leaves secrets behind
    if (err == PG_OK) {
        err = pg_offload(encode_run, &job);
    }
    if (err == PG_OK) {
        err = pg_file_replace(path, pg_buf_bytes(&job.file), 0600);
    }
    job_end(&job);
    return err;
}

static pg_err absent_check(const char *folder, const char *name)
{
    pg_buf path = {0};
    pg_file_info info;
    pg_err err = pg_data_name(folder, name, &path);
    if (err == PG_OK) {
        err = pg_path_stat((const char *) path.ptr, &info);
        if (err == PG_OK) {
            err = pg_fail(PG_ERR_EXISTS, "%s is there already", (const char *) path.ptr);
        } else if (err == PG_ERR_NOT_FOUND) {
            err = PG_OK;
        }
    }
    pg_buf_deinit(&path);
    return err;
}

static pg_err identity_write_new(const char *folder, const pg_keystore_seeds *seeds,
                                 pg_bytes passphrase, pg_keystore *out_keystore)
{
    pg_buf path = {0};
    pg_keystore keystore = {0};
    pg_err err = pg_data_name(folder, IDENTITY_NAME, &path);
    if (err == PG_OK) {
        err = pg_keystore_init(&keystore, seeds, (uint64_t) pg_wall_ms() / 1000);
    }
    if (err == PG_OK) {
        err = identity_write((const char *) path.ptr, &keystore, passphrase);
    }
    pg_buf_deinit(&path);
    if (err != PG_OK) {
        pg_keystore_deinit(&keystore);
        return err;
    }
    *out_keystore = keystore;
    return PG_OK;
}

pg_err pg_identity_make(const char *folder, pg_bytes passphrase, pg_keystore *out_keystore)
{
    PG_TRY(absent_check(folder, IDENTITY_NAME));
    return identity_write_new(folder, NULL, passphrase, out_keystore);
}

static pg_err restored_note(const char *folder)
{
    pg_buf path = {0};
    pg_err err = pg_data_name(folder, RESTORED_NAME, &path);
    if (err == PG_OK) {
        err = pg_file_replace((const char *) path.ptr, PG_BYTES_EMPTY, 0600);
    }
    pg_buf_deinit(&path);
    return err;
}

pg_err pg_identity_restore(const char *folder, const pg_keystore_seeds *seeds, pg_bytes passphrase,
                           pg_keystore *out_keystore)
{
    static const char *const others[] = {"pangea.db", "blocks"};
    PG_TRY(absent_check(folder, IDENTITY_NAME));
    for (size_t i = 0; i < PG_ARRAY_LEN(others); i++) {
        PG_TRY(pg_error_wrap(absent_check(folder, others[i]),
                             "data of another identity; restore into an empty directory"));
    }
    PG_TRY(restored_note(
        folder)); // before the identity: a crash in between leaves nothing that counts
    return identity_write_new(folder, seeds, passphrase, out_keystore);
}

bool pg_identity_is_restored(const char *folder)
{
    pg_buf path = {0};
    pg_file_info info;
    bool is_restored = pg_data_name(folder, RESTORED_NAME, &path) == PG_OK &&
                       pg_path_stat((const char *) path.ptr, &info) == PG_OK;
    pg_buf_deinit(&path);
    return is_restored;
}

static pg_err identity_read(const char *path, keystore_job *job)
{
    bool is_locked = false;
    PG_TRY(pg_file_load(path, PG_KEYSTORE_BYTES_MAX, &job->file));
    PG_TRY(pg_keystore_is_locked(pg_buf_bytes(&job->file), &is_locked));
    if (is_locked && job->passphrase.len == 0) {
        return pg_fail(PG_ERR_KEY,
                       "the identity is locked: give its passphrase, by --passphrase-file");
    }
    return is_locked ? pg_offload(decode_run, job) : decode_run(job);
}

pg_err pg_identity_load(const char *folder, pg_bytes passphrase, pg_keystore *out_keystore)
{
    pg_buf path = {0};
    pg_keystore keystore = {0};
    keystore_job job = {.keystore = &keystore, .passphrase = passphrase};
    pg_err err = pg_data_name(folder, IDENTITY_NAME, &path);
    if (err == PG_OK) {
        err = pg_buf_reserve(&job.file, PG_KEYSTORE_BYTES_MAX + 1);
    }
    if (err == PG_OK) {
        err = identity_read((const char *) path.ptr, &job);
    }
    if (err == PG_ERR_NOT_FOUND) {
        err = pg_fail(err, "no identity in %s: make one with `pangea init`", folder);
    } else if (err != PG_OK) {
        err = pg_error_wrap(err, "%s", (const char *) path.ptr);
    } else {
        *out_keystore = keystore;
    }
    job_end(&job);
    pg_buf_deinit(&path);
    return err;
}

pg_err pg_identity_file(const char *folder, pg_buf *out, bool *out_locked)
{
    pg_buf path = {0};
    pg_err err = pg_data_name(folder, IDENTITY_NAME, &path);
    if (err == PG_OK) {
        err = pg_buf_reserve(out, PG_KEYSTORE_BYTES_MAX + 1);
    }
    if (err == PG_OK) {
        err = pg_file_load((const char *) path.ptr, PG_KEYSTORE_BYTES_MAX, out);
    }
    if (err == PG_OK) {
        err = pg_keystore_is_locked(pg_buf_bytes(out), out_locked);
    }
    pg_buf_deinit(&path);
    return err;
}

/** Locking takes Argon2id: a job. */
typedef struct lock_job {
    const pg_keystore *keystore;
    pg_keystore_lock lock;
    pg_buf *out;
} lock_job;

static pg_err lock_run(void *arg)
{
    const lock_job *job = arg;
    return pg_keystore_encode(job->keystore, &job->lock, job->out);
}

pg_err pg_identity_lock(const pg_keystore *keystore, pg_bytes passphrase, pg_buf *out)
{
    lock_job job = {keystore, pg_keystore_lock_make(passphrase), out};
    PG_TRY(pg_buf_reserve(out, PG_KEYSTORE_BYTES_MAX));
    return pg_offload(lock_run, &job);
}

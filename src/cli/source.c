// SPDX-License-Identifier: Apache-2.0
#include "cli/source.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"

pg_err pg_source_open(pg_source *source, const char *path)
{
    *source = (pg_source){.path = path};
    if (strcmp(path, "-") == 0) {
        source->is_stream = true;
        return pg_file_from_fd(STDIN_FILENO, &source->file);
    }
    PG_TRY(pg_path_stat(path, &source->info));
    if (source->info.type == PG_FILE_TYPE_FOLDER) {
        return pg_fail(PG_ERR_INVALID,
                       "%s is a folder; pack it first: tar -c %s | pangea shards encode - ...",
                       path, path);
    }
    // What tells no size, such as a file of /proc, is read until it ends.
    source->is_stream = source->info.type != PG_FILE_TYPE_REGULAR || source->info.size_bytes == 0;
    return pg_file_open(path, PG_FILE_MODE_READ, &source->file);
}

static pg_err fail_changed(const pg_source *source, uint64_t size_bytes)
{
    return pg_fail(PG_ERR_CHANGED, "%s changed while it was read: it had %llu bytes, now %llu",
                   source->path, (unsigned long long) source->info.size_bytes,
                   (unsigned long long) size_bytes);
}

pg_err pg_source_read(pg_source *source, pg_mut_bytes space, size_t *out_len)
{
    size_t len = 0;
    if (source->is_stream) {
        PG_TRY(pg_error_wrap(pg_file_read(source->file, space, out_len), "%s", source->path));
        source->offset += *out_len;
        return PG_OK;
    }
    // A file that grows is read to where it ended: the check afterwards refuses it.
    uint64_t rest = source->info.size_bytes - source->offset;
    space.len = rest < space.len ? (size_t) rest : space.len;
    PG_TRY(pg_error_wrap(pg_file_read_at(source->file, source->offset, space, &len), "%s",
                         source->path));
    source->offset += len;
    if (len < space.len) {
        return fail_changed(source, source->offset);
    }
    *out_len = len;
    return PG_OK;
}

pg_err pg_source_check(pg_source *source)
{
    if (source->is_stream) {
        return PG_OK;
    }
    pg_file_info info;
    PG_TRY(pg_file_stat(source->file, &info));
    if (info.size_bytes != source->info.size_bytes) {
        return fail_changed(source, info.size_bytes);
    }
    if (info.modified_ms != source->info.modified_ms) {
        return pg_fail(PG_ERR_CHANGED, "%s was written to while it was read", source->path);
    }
    return PG_OK;
}

pg_bytes pg_source_name(const pg_source *source)
{
    if (strcmp(source->path, "-") == 0) {
        return PG_BYTES_EMPTY;
    }
    const char *slash = strrchr(source->path, '/');
    return pg_bytes_cstr(slash == NULL ? source->path : slash + 1);
}

void pg_source_close(pg_source *source)
{
    pg_file_free(&source->file);
}

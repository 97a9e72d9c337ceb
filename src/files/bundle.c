// SPDX-License-Identifier: Apache-2.0
#include "files/bundle.h"

#include <archive.h>
#include <archive_entry.h>

/** Where the archive goes, and what went wrong there. */
typedef struct sink {
    pg_buf *out;
    pg_err err;
} sink;

static la_ssize_t on_write(struct archive *archive, void *user, const void *bytes, size_t len)
{
    sink *self = user;
    self->err = pg_buf_append(self->out, pg_bytes_make(bytes, len));
    if (self->err != PG_OK) {
        archive_set_error(archive, -1, "no memory");
        return -1;
    }
    return (la_ssize_t) len;
}

static pg_err check(struct archive *archive, const sink *to, int code)
{
    if (code >= ARCHIVE_OK) {
        return PG_OK;
    }
    return to->err != PG_OK
               ? to->err
               : pg_fail(PG_ERR_UNSUPPORTED, "bundle: %s", archive_error_string(archive));
}

static pg_err text_add(struct archive *archive, struct archive_entry *entry, const sink *to,
                       const pg_bundle_text *text, int64_t now_s)
{
    archive_entry_clear(entry);
    archive_entry_copy_pathname(entry, text->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, now_s, 0);
    archive_entry_set_size(entry, (la_int64_t) text->content.len);
    PG_TRY(check(archive, to, archive_write_header(archive, entry)));
    la_ssize_t written = archive_write_data(archive, text->content.ptr, text->content.len);
    return check(archive, to, written < 0 ? (int) written : ARCHIVE_OK);
}

static pg_err texts_write(struct archive *archive, struct archive_entry *entry, sink *to,
                          const pg_bundle_text *texts, size_t count, int64_t now_s)
{
    PG_TRY(check(archive, to, archive_write_set_format_ustar(archive)));
    PG_TRY(check(archive, to, archive_write_add_filter_gzip(archive)));
    PG_TRY(check(archive, to, archive_write_set_bytes_in_last_block(archive, 1)));
    PG_TRY(check(archive, to, archive_write_open(archive, to, NULL, on_write, NULL)));
    for (size_t i = 0; i < count; i++) {
        PG_TRY(text_add(archive, entry, to, &texts[i], now_s));
    }
    return check(archive, to, archive_write_close(archive));
}

pg_err pg_bundle_pack(const pg_bundle_text *texts, size_t count, int64_t now_s, pg_buf *out)
{
    sink to = {.out = out};
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    pg_err err = archive == NULL || entry == NULL
                     ? PG_ERR_NOMEM
                     : texts_write(archive, entry, &to, texts, count, now_s);
    archive_entry_free(entry);
    (void) archive_write_free(archive);
    return err;
}

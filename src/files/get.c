// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "files/fetch.h"
#include "files/service_priv.h"
#include "runtime/time.h"
#include "runtime/trace.h"

/** A get: counts what goes out. */
typedef struct get {
    pg_fetch fetch;
    const pg_get_options *options;
    const pg_files_output *output;
    pg_time started_at;
    pg_transfer_progress progress;
} get;

static pg_err on_begin(const pg_root *root, void *user)
{
    get *self = user;
    self->progress.total_bytes = root->size_bytes;
    return self->output->begin == NULL ? PG_OK : self->output->begin(root, self->output->user);
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    get *self = user;
    if (self->fetch.report.first_byte_ns == 0) {
        self->fetch.report.first_byte_ns = pg_now() - self->started_at;
    }
    PG_TRY(self->output->write(bytes, self->output->user));
    self->progress.bytes += bytes.len;
    self->fetch.files->totals.bytes_got_total += bytes.len;
    if (self->options->progress != NULL) {
        self->options->progress(&self->progress, self->options->user);
    }
    return PG_OK;
}

pg_err pg_files_get(pg_files *files, const pg_link *link, const pg_get_options *options,
                    const pg_files_output *output, pg_get_report *out_report)
{
    pg_span span;
    PG_TRY(pg_files_transfer_begin(files));
    pg_span_begin(&span, "files.get");
    get self = {.options = options, .output = output, .started_at = pg_now()};
    self.progress.bytes = options->start;
    pg_fetch_init(&self.fetch, files);
    const pg_files_store store = pg_fetch_store(&self.fetch);
    const pg_files_output counted = {on_begin, on_write, &self};
    pg_err err = pg_files_decode_stream(link, options->start, &store, &counted);
    files->totals.gets_total += err == PG_OK ? 1 : 0;
    if (out_report != NULL) {
        *out_report = self.fetch.report;
    }
    pg_fetch_deinit(&self.fetch);
    pg_span_set_u64(&span, "pangea.bytes", self.progress.bytes - options->start);
    pg_span_end(&span, err);
    pg_files_transfer_end(files);
    return err;
}

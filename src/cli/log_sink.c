// SPDX-License-Identifier: Apache-2.0
#include "cli/log_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/log_file.h"
#include "net/redact.h"
#include "node/data.h"
#include "runtime/time.h"

/** Fields of a line; more are left out. */
#define FIELDS_MAX 16

/** The sink, one for the process. */
static struct log_sink {
    pg_pseudonyms *pseudonyms;
    pg_log_file file;
    bool is_json;
    bool is_journal;
} sink;

// systemd says which file the journal reads: device and inode, as numbers.
static bool stderr_is_journal(void)
{
    struct stat info;
    char names[64];
    const char *journal = getenv("JOURNAL_STREAM");
    if (journal == NULL || fstat(STDERR_FILENO, &info) != 0) {
        return false;
    }
    (void) snprintf(names, sizeof(names), "%llu:%llu", (unsigned long long) info.st_dev,
                    (unsigned long long) info.st_ino);
    return strcmp(names, journal) == 0;
}

// Copy a line with pseudonyms for all that stands in its texts, which are in `texts` then.
static pg_err line_redact(const pg_log_line *line, pg_log_field fields[FIELDS_MAX], pg_buf *texts,
                          pg_log_line *out_line)
{
    size_t count = pg_min_size(line->field_count, FIELDS_MAX);
    size_t offsets[FIELDS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        fields[i] = line->fields[i];
        offsets[i] = texts->len;
        if (fields[i].type == PG_LOG_TYPE_STR && fields[i].str != NULL) {
            PG_TRY(pg_redact(sink.pseudonyms, pg_str_make(fields[i].str), texts));
            PG_TRY(pg_buf_append(texts, PG_BYTES_LIT("\0")));
        }
    }
    for (size_t i = 0; i < count; i++) { // where they stand is known when all are there
        if (fields[i].type == PG_LOG_TYPE_STR && fields[i].str != NULL) {
            fields[i].str = (const char *) texts->ptr + offsets[i];
        }
    }
    *out_line = *line;
    out_line->fields = fields;
    out_line->field_count = count;
    return PG_OK;
}

static pg_err line_write(const pg_log_line *line, pg_buf *out)
{
    static const int priorities[PG_LOG_LEVEL_COUNT] = {3, 4, 6, 7, 7}; // of syslog
    long long now_ms = (long long) pg_wall_ms();
    if (sink.is_json) {
        pg_buf object = {0};
        pg_err err = pg_log_format_json(line, &object);
        if (err == PG_OK) { // the time becomes its first member
            err = pg_buf_printf(out, "{\"time_ms\":%lld,%.*s", now_ms, (int) object.len - 1,
                                (const char *) object.ptr + 1);
        }
        pg_buf_deinit(&object);
        PG_TRY(err);
    } else {
        PG_TRY(sink.is_journal ? pg_buf_printf(out, "<%d>", priorities[line->level])
                               : pg_buf_printf(out, "%lld.%03lld ", now_ms / 1000, now_ms % 1000));
        PG_TRY(pg_log_format_text(line, out));
    }
    return pg_buf_append(out, PG_BYTES_LIT("\n"));
}

static void on_log_line(const pg_log_line *line, void *user)
{
    pg_log_field fields[FIELDS_MAX];
    pg_log_line redacted;
    pg_buf texts = {0};
    pg_buf text = {0};
    (void) user;
    pg_err err = line_redact(line, fields, &texts, &redacted);
    if (err == PG_OK) {
        err = line_write(&redacted, &text);
    }
    if (err == PG_OK &&
        (!sink.file.is_open || !pg_log_file_write(&sink.file, pg_buf_bytes(&text)))) {
        (void) fwrite(text.ptr, 1, text.len, stderr);
    }
    pg_buf_deinit(&text);
    pg_buf_deinit(&texts);
}

static pg_err file_open(const pg_config *config, const char *folder, pg_log_file *out_file)
{
    pg_buf path = {0};
    if (config->log_file[0] == '\0') {
        return PG_OK;
    }
    pg_err err = config->log_file[0] == '/' ? pg_buf_printf(&path, "%s", config->log_file)
                                            : pg_data_name(folder, config->log_file, &path);
    if (err == PG_OK) {
        err = pg_log_file_open((const char *) path.ptr, config->log_file_bytes,
                               config->log_file_count, out_file);
    }
    pg_buf_deinit(&path);
    return err;
}

pg_err pg_log_sink_start(const pg_config *config, const char *folder, pg_pseudonyms *pseudonyms)
{
    pg_log_level level = PG_LOG_LEVEL_INFO;
    pg_log_file file = {.is_open = false};
    pg_ignore(pg_log_level_from_name(pg_str_make(config->log_level), &level),
              "the configuration took no other name");
    PG_TRY(file_open(config, folder, &file));
    pg_log_file_close(&sink.file);
    sink.file = file;
    sink.pseudonyms = pseudonyms;
    sink.is_json = strcmp(config->log_format, "json") == 0;
    sink.is_journal = !file.is_open && stderr_is_journal();
    pg_log_set_sink(on_log_line, NULL, level);
    return PG_OK;
}

void pg_log_sink_stop(void)
{
    pg_log_set_sink(NULL, NULL, PG_LOG_LEVEL_ERROR);
    pg_log_file_close(&sink.file);
    sink.pseudonyms = NULL;
}

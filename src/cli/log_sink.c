// SPDX-License-Identifier: Apache-2.0
#include "cli/log_sink.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "runtime/time.h"

/** How lines look; the sink is one for the process. */
static bool is_json;

static void on_log_line(const pg_log_line *line, void *user)
{
    pg_buf text = {0};
    int64_t now_ms = pg_wall_ms();
    (void) user;
    pg_err err = is_json ? pg_log_format_json(line, &text) : pg_log_format_text(line, &text);
    if (err != PG_OK) {
        pg_buf_deinit(&text);
        return;
    }
    if (is_json && text.len > 1) { // an object: the time becomes its first member
        (void) fprintf(stderr, "{\"time_ms\":%lld,%.*s\n", (long long) now_ms, (int) text.len - 1,
                       (const char *) text.ptr + 1);
    } else {
        (void) fprintf(stderr, "%lld.%03lld %.*s\n", (long long) (now_ms / 1000),
                       (long long) (now_ms % 1000), (int) text.len, (const char *) text.ptr);
    }
    pg_buf_deinit(&text);
}

void pg_log_sink_start(const pg_config *config)
{
    pg_log_level level = PG_LOG_LEVEL_INFO;
    pg_ignore(pg_log_level_from_name(pg_str_make(config->log_level), &level),
              "the configuration took no other name");
    is_json = strcmp(config->log_format, "json") == 0;
    pg_log_set_sink(on_log_line, NULL, level);
}

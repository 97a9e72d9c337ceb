// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

#define BAR_CHARS 24
#define TERMINAL_INTERVAL PG_MS(100)
#define PLAIN_INTERVAL PG_SECONDS(5)

void pg_progress_begin(pg_progress *progress, const pg_output *output, const char *title,
                       uint64_t total)
{
    pg_time now = pg_now();
    bool terminal = isatty(STDERR_FILENO) == 1;
    *progress = (pg_progress){
        .title = title,
        .total = total,
        .started = now,
        .shown = now,
        .visible = !output->quiet && (!output->json || terminal),
        .terminal = terminal,
    };
}

double pg_progress_seconds(const pg_progress *progress)
{
    double seconds = (double) (pg_now() - progress->started) / 1e9;
    return seconds > 1e-6 ? seconds : 1e-6;
}

/** Write how much is done, of what, and how fast: "118.0 MiB of 262.0 MiB, 310 MB/s". */
static void put_numbers(const pg_progress *progress)
{
    char done[PG_SIZE_TEXT_BYTES];
    char total[PG_SIZE_TEXT_BYTES];
    char speed_text[PG_SPEED_TEXT_BYTES];
    double speed = (double) (progress->done - progress->first) / pg_progress_seconds(progress);
    pg_size_format(progress->done, done);
    pg_size_format(progress->total, total);
    pg_speed_format(speed, speed_text);
    (void) fprintf(stderr, "%s%s%s, %s", done, progress->total == 0 ? "" : " of ",
                   progress->total == 0 ? "" : total, speed_text);
    if (progress->total > progress->done && speed > 0) {
        uint64_t left = (uint64_t) ((double) (progress->total - progress->done) / speed);
        (void) fprintf(stderr, ", %llu:%02llu left", (unsigned long long) left / 60,
                       (unsigned long long) left % 60);
    }
}

static void put_bar(pg_progress *progress)
{
    (void) fprintf(stderr, "\r\033[K%s ", progress->title);
    if (progress->total > 0) {
        uint64_t done = progress->done < progress->total ? progress->done : progress->total;
        double part = (double) done / (double) progress->total;
        int filled = (int) (part * BAR_CHARS);
        (void) fprintf(stderr, "[%.*s%*s] %3.0f %%  ", filled, "########################",
                       BAR_CHARS - filled, "", part * 100);
    }
    put_numbers(progress);
    (void) fflush(stderr);
    progress->drawn = true;
}

void pg_progress_update(pg_progress *progress, uint64_t done)
{
    progress->done = done;
    pg_time now = pg_now();
    int64_t interval = progress->terminal ? TERMINAL_INTERVAL : PLAIN_INTERVAL;
    bool last = progress->terminal && progress->total > 0 && done >= progress->total;
    if (!progress->visible || (now - progress->shown < interval && !last)) {
        return;
    }
    if (!progress->terminal && done == progress->shown_done) {
        return; // a source that is silent fills no log
    }
    progress->shown = now;
    progress->shown_done = done;
    if (progress->terminal) {
        put_bar(progress);
        return;
    }
    (void) fprintf(stderr, "%s: ", progress->title);
    put_numbers(progress);
    (void) fputc('\n', stderr);
}

void pg_progress_clear(pg_progress *progress)
{
    if (progress->drawn) {
        (void) fputs("\r\033[K", stderr);
        (void) fflush(stderr);
        progress->drawn = false;
    }
}

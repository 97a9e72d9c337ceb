// SPDX-License-Identifier: Apache-2.0
// Pins that a restored node found in the catalogue: what they keep is got again, one after the other, until all of it is here.
#include "base/log.h"
#include "base/mem.h"
#include "files/limits.h"
#include "files/pin_rows.h"
#include "files/service_priv.h"
#include "runtime/time.h"

/** Get one. Returns PG_OK also when it was let go of meanwhile, or somebody is getting it. */
static pg_err pin_again(pg_files *files, int64_t number)
{
    const pg_pin_options options = {.progress = NULL};
    pg_pin pin = {.kind = 0};
    pg_pin done = {.kind = 0};
    pg_err err = pg_pin_rows_read(files->config.db, number, &pin);
    if (err != PG_OK) {
        return err == PG_ERR_NOT_FOUND ? PG_OK : err;
    }
    err = pg_files_pin(files, &pin.link, &options, &done);
    pg_pin_deinit(&pin);
    if (err == PG_OK) {
        pg_log(PG_LOG_LEVEL_INFO, "files.pin.restored", PG_LOG_U64("bytes", done.kept_bytes));
        pg_pin_deinit(&done);
        return PG_OK;
    }
    if (err != PG_ERR_CANCELLED && err != PG_ERR_BUSY) { // without room the owner has to act
        pg_log(err == PG_ERR_FULL ? PG_LOG_LEVEL_WARN : PG_LOG_LEVEL_INFO, "files.pin.unrestored",
               PG_LOG_STR("error", pg_err_name(err)), PG_LOG_STR("detail", pg_error_detail(err)));
    }
    return err;
}

/** Try all; *out_left tells whether any is still not here. */
static pg_err pins_again(pg_files *files, bool *out_left)
{
    int64_t *numbers = NULL;
    size_t count = 0;
    *out_left = true;
    PG_TRY(pg_pin_rows_restored(files->config.db, &numbers, &count));
    *out_left = false;
    pg_err err = PG_OK;
    for (size_t i = 0; i < count && err != PG_ERR_CANCELLED; i++) {
        err = pin_again(files, numbers[i]);
        *out_left |= err != PG_OK;
    }
    pg_mfree(numbers);
    return err == PG_ERR_CANCELLED ? err : PG_OK;
}

pg_err pg_files_pin_again_run(void *arg)
{
    pg_files *files = arg;
    const int64_t most = PG_MINUTES(PG_PIN_AGAIN_MINUTES_MAX);
    int64_t wait_ns = PG_MINUTES(PG_PIN_AGAIN_MINUTES);
    pg_time until = pg_after(wait_ns);
    for (;;) {
        bool is_left = false;
        pg_err err = PG_OK;
        while (!files->has_found_pins && err == PG_OK) {
            err = pg_waitq_wait(&files->pins_found, until);
        }
        if (err != PG_OK && err != PG_ERR_TIMEOUT) {
            return err;
        }
        wait_ns = files->has_found_pins ? PG_MINUTES(PG_PIN_AGAIN_MINUTES) : 2 * wait_ns;
        wait_ns = wait_ns < most ? wait_ns : most;
        files->has_found_pins = false;
        err = pins_again(files, &is_left);
        if (err == PG_ERR_CANCELLED) {
            return err;
        }
        if (err != PG_OK) {
            pg_log(PG_LOG_LEVEL_WARN, "files.pins.failed", PG_LOG_STR("error", pg_err_name(err)));
        }
        until = is_left ? pg_after(wait_ns) : PG_FOREVER;
    }
}

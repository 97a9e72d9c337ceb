// SPDX-License-Identifier: Apache-2.0
#include "cli/passphrase.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/str.h"
#include "crypto/kdf.h"
#include "runtime/file.h"

// One line from the terminal, not shown. The terminal is as before afterwards, whatever happens.
static pg_err line_ask(const char *prompt, pg_mut_bytes space, size_t *out_len)
{
    struct termios before;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0 || tcgetattr(terminal, &before) != 0) {
        if (terminal >= 0) {
            (void) close(terminal);
        }
        return pg_fail(PG_ERR_INVALID, "no terminal to ask on");
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t) ECHO;
    (void) tcsetattr(terminal, TCSAFLUSH, &silent);
    (void) dprintf(terminal, "%s: ", prompt);
    ssize_t len = read(terminal, space.ptr, space.len);
    (void) tcsetattr(terminal, TCSAFLUSH, &before);
    (void) dprintf(terminal, "\n");
    (void) close(terminal);
    if (len <= 0) {
        return pg_fail(PG_ERR_CANCELLED, "nothing was typed");
    }
    *out_len = (size_t) len;
    return PG_OK;
}

// Cut the line's end off, and check what is left.
static pg_err line_take(pg_bytes text, pg_secret *out_passphrase)
{
    pg_str line;
    (void) pg_str_split(pg_str_make_len((const char *) text.ptr, text.len), '\n', &line);
    if (line.len == 0 || line.len > PG_ARGON2_PASSPHRASE_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "a passphrase has 1 to %d characters",
                       PG_ARGON2_PASSPHRASE_BYTES_MAX);
    }
    PG_TRY(pg_secret_init(out_passphrase, line.len));
    memcpy(out_passphrase->ptr, line.ptr, line.len);
    return PG_OK;
}

static pg_err passphrase_ask(bool is_new, pg_secret *out_passphrase)
{
    uint8_t first[PG_ARGON2_PASSPHRASE_BYTES_MAX + 2] = {0};
    uint8_t second[sizeof(first)] = {0};
    size_t first_len = 0;
    size_t second_len = 0;
    pg_err err = line_ask("Passphrase", PG_MUT_BYTES_OF(first), &first_len);
    if (err == PG_OK && is_new) {
        err = line_ask("Once more", PG_MUT_BYTES_OF(second), &second_len);
        if (err == PG_OK && !pg_secret_equal(PG_BYTES_OF(first), PG_BYTES_OF(second))) {
            err = pg_fail(PG_ERR_INVALID, "the two passphrases differ");
        }
    }
    if (err == PG_OK) {
        err = line_take(pg_bytes_make(first, first_len), out_passphrase);
    }
    pg_wipe(first, sizeof(first));
    pg_wipe(second, sizeof(second));
    return err;
}

static pg_err line_load(const char *path, pg_secret *out_line)
{
    pg_buf text = {0};
    pg_err err = pg_buf_reserve(&text, 2 * PG_ARGON2_PASSPHRASE_BYTES_MAX);
    if (err == PG_OK) {
        err = pg_file_load(path, 2 * PG_ARGON2_PASSPHRASE_BYTES_MAX - 1, &text);
    }
    if (err == PG_OK) {
        err = line_take(pg_buf_bytes(&text), out_line);
    }
    if (text.ptr != NULL) {
        pg_wipe(text.ptr, text.cap);
    }
    pg_buf_deinit(&text);
    return err;
}

pg_err pg_passphrase_read(const pg_invocation *invocation, bool is_new, pg_secret *out_passphrase)
{
    return pg_passphrase_read_option(invocation, "passphrase-file", is_new, out_passphrase);
}

pg_err pg_passphrase_read_option(const pg_invocation *invocation, const char *option, bool is_new,
                                 pg_secret *out_passphrase)
{
    const char *path = pg_invocation_option(invocation, option);
    if (path == NULL) {
        *out_passphrase = (pg_secret){0};
        return PG_OK;
    }
    return strcmp(path, "-") == 0 ? passphrase_ask(is_new, out_passphrase)
                                  : line_load(path, out_passphrase);
}

pg_err pg_secret_text_read(const pg_invocation *invocation, pg_secret *out_secret)
{
    const char *path = pg_invocation_option(invocation, "secret-file");
    if (path != NULL && strcmp(path, "-") != 0) {
        return line_load(path, out_secret);
    }
    uint8_t typed[PG_ARGON2_PASSPHRASE_BYTES_MAX + 2] = {0};
    size_t len = 0;
    pg_err err = line_ask("Secret", PG_MUT_BYTES_OF(typed), &len);
    if (err == PG_OK) {
        err = line_take(pg_bytes_make(typed, len), out_secret);
    }
    pg_wipe(typed, sizeof(typed));
    return err;
}

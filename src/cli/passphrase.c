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

// ---- Keys of a store

#define KEYS_BYTES_MAX (PG_S3_ACCESS_KEY_BYTES_MAX + PG_S3_SECRET_KEY_BYTES_MAX + 4)

// Without the runtime: it is a command that does not wait.
static pg_err all_read(int file, pg_mut_bytes space, size_t *out_len)
{
    size_t len = 0;
    while (len < space.len) {
        ssize_t got = read(file, space.ptr + len, space.len - len);
        if (got < 0) {
            return pg_fail(PG_ERR_IO, "the keys cannot be read");
        }
        if (got == 0) {
            *out_len = len;
            return PG_OK;
        }
        len += (size_t) got;
    }
    return pg_fail(PG_ERR_INVALID, "more than two keys came");
}

/** Two lines; a carriage return at their ends does not count. */
static pg_err keys_take(pg_str text, pg_s3_credentials *out_credentials)
{
    pg_str lines[2];
    pg_str rest = pg_str_split(text, '\n', &lines[0]);
    rest = pg_str_split(rest, '\n', &lines[1]);
    if (rest.len > 0) {
        return pg_fail(PG_ERR_INVALID, "the file has more than two lines: the access key and, "
                                       "on the next line, the secret key");
    }
    for (size_t i = 0; i < 2; i++) {
        lines[i].len -= lines[i].len > 0 && lines[i].ptr[lines[i].len - 1] == '\r' ? 1 : 0;
    }
    return pg_s3_credentials_make(lines[0], lines[1], out_credentials);
}

static pg_err keys_load(const char *path, pg_s3_credentials *out_credentials)
{
    char text[KEYS_BYTES_MAX + 1];
    size_t len = 0;
    bool is_piped = strcmp(path, "-") == 0;
    int file = is_piped ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return pg_fail(PG_ERR_NOT_FOUND, "%s cannot be opened", path);
    }
    pg_err err = all_read(file, PG_MUT_BYTES_OF(text), &len);
    if (err == PG_OK) {
        err = keys_take(pg_str_make_len(text, len), out_credentials);
    }
    pg_wipe(text, sizeof(text));
    if (!is_piped) {
        (void) close(file);
    }
    return err;
}

pg_err pg_s3_keys_read(const pg_invocation *invocation, pg_s3_credentials *out_credentials)
{
    const char *path = pg_invocation_option(invocation, "key-file");
    char typed[2 * KEYS_BYTES_MAX] = "";
    size_t access_len = 0;
    size_t secret_len = 0;
    if (path != NULL) {
        return keys_load(path, out_credentials);
    }
    pg_err err = line_ask("Access key", pg_mut_bytes_make(typed, KEYS_BYTES_MAX), &access_len);
    if (err == PG_OK) {
        err = line_ask("Secret key", pg_mut_bytes_make(typed + access_len, KEYS_BYTES_MAX),
                       &secret_len);
    }
    if (err == PG_OK) {
        err = keys_take(pg_str_make_len(typed, access_len + secret_len), out_credentials);
    }
    pg_wipe(typed, sizeof(typed));
    return err;
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

// SPDX-License-Identifier: Apache-2.0
#include "cli/link_text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "crypto/secret.h"

#define LINE_BYTES_MAX 512
#define BODY_BYTES (PG_LINK_TEXT_BYTES + 64)

// The first line of standard input, without what follows it.
static pg_err line_read(char line[LINE_BYTES_MAX], size_t *out_len)
{
    size_t len = 0;
    while (len < LINE_BYTES_MAX && memchr(line, '\n', len) == NULL) {
        ssize_t got = read(STDIN_FILENO, line + len, LINE_BYTES_MAX - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t) got;
    }
    const char *end = memchr(line, '\n', len);
    *out_len = end == NULL ? len : (size_t) (end - line);
    return *out_len > 0 ? PG_OK : pg_fail(PG_ERR_INVALID, "no link came from standard input");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static pg_err link_take(pg_str text, pg_link_text *out_link)
{
    while (text.len > 0 && is_space(text.ptr[text.len - 1])) {
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    PG_TRY(pg_link_parse(text, &out_link->link));
    pg_link_format(&out_link->link, out_link->text);
    return PG_OK;
}

pg_err pg_link_text_take(const pg_invocation *invocation, size_t argument, pg_link_text *out_link)
{
    const char *word = invocation->arguments[argument];
    if (strcmp(word, "-") == 0) {
        char line[LINE_BYTES_MAX] = {0};
        size_t len = 0;
        pg_err err = line_read(line, &len);
        if (err == PG_OK) {
            err = link_take(pg_str_make_len(line, len), out_link);
        }
        pg_wipe(line, sizeof(line));
        return err;
    }
    PG_TRY(link_take(pg_str_make(word), out_link));
    // The words of the command line are ours to write to, and others see them in the list of processes.
    char *secret = strchr((char *) (uintptr_t) word, '#');
    for (; secret != NULL && *secret != '\0'; secret++) {
        *secret = '#';
    }
    return PG_OK;
}

pg_err pg_link_text_body_from(const pg_link_text *link, uint64_t start, pg_buf *out)
{
    PG_TRY(pg_buf_reserve(out, BODY_BYTES)); // so that it does not move, and leave a copy behind
    return pg_buf_printf(out, "{\"link\": \"%s\", \"start\": %llu}", link->text,
                         (unsigned long long) start);
}

void pg_link_text_wipe(pg_link_text *link)
{
    pg_wipe(link, sizeof(*link));
}

// SPDX-License-Identifier: Apache-2.0
#include "api/uri.h"

#include <string.h>

// Decode one name or value to *write, which moves on, and end it with a NUL.
static pg_err part_decode(pg_str raw, char **write)
{
    char *to = *write;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '%') {
            uint8_t byte = 0;
            if (raw.len - i < 3 || pg_hex_decode(pg_str_make_len(raw.ptr + i + 1, 2),
                                                 pg_mut_bytes_make(&byte, 1)) != PG_OK) {
                return pg_fail(PG_ERR_INVALID, "the query has a '%%' without two digits");
            }
            c = (char) byte;
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c == '\0') { // as it came, or as %00
            return pg_fail(PG_ERR_INVALID, "the query has a zero byte");
        }
        *to++ = c;
    }
    *to++ = '\0';
    *write = to;
    return PG_OK;
}

static pg_err param_add(pg_uri *uri, pg_str raw, char **write)
{
    pg_str name;
    pg_str value = pg_str_split(raw, '=', &name);
    if (uri->param_count == PG_API_PARAMS_MAX) {
        return pg_fail(PG_ERR_INVALID, "the query has more than %d parameters", PG_API_PARAMS_MAX);
    }
    pg_uri_param *param = &uri->params[uri->param_count];
    param->name = *write;
    PG_TRY(part_decode(name, write));
    param->value = *write;
    PG_TRY(part_decode(value, write));
    if (pg_uri_get(uri, param->name) != NULL) {
        return pg_fail(PG_ERR_INVALID, "the query has '%s' twice", param->name);
    }
    uri->param_count++;
    return PG_OK;
}

pg_err pg_uri_decode(pg_str in, pg_uri *out_uri)
{
    if (in.len > PG_API_URI_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "path and query have more than %d bytes",
                       PG_API_URI_BYTES_MAX);
    }
    pg_str path;
    pg_str rest = pg_str_split(in, '?', &path);
    if (path.len > 0 && memchr(path.ptr, '\0', path.len) != NULL) {
        return pg_fail(PG_ERR_INVALID, "the path has a zero byte");
    }
    out_uri->param_count = 0;
    out_uri->path = out_uri->text;
    char *write = out_uri->text;
    if (path.len > 0) {
        memcpy(write, path.ptr, path.len);
    }
    write[path.len] = '\0';
    write += path.len + 1;
    while (rest.len > 0) {
        pg_str raw;
        rest = pg_str_split(rest, '&', &raw);
        if (raw.len > 0) {
            PG_TRY(param_add(out_uri, raw, &write));
        }
    }
    return PG_OK;
}

static bool is_listed(const char *name, const char *names)
{
    pg_str rest = pg_str_make(names);
    while (rest.len > 0) {
        pg_str head;
        rest = pg_str_split(rest, ' ', &head);
        if (pg_str_equal(head, pg_str_make(name))) {
            return true;
        }
    }
    return false;
}

pg_err pg_uri_check(const pg_uri *uri, const char *names)
{
    for (size_t i = 0; i < uri->param_count; i++) {
        if (!is_listed(uri->params[i].name, names)) {
            return pg_fail(PG_ERR_INVALID, "'%s' is no parameter of this path",
                           uri->params[i].name);
        }
    }
    return PG_OK;
}

const char *pg_uri_get(const pg_uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->param_count; i++) {
        if (strcmp(uri->params[i].name, name) == 0) {
            return uri->params[i].value;
        }
    }
    return NULL;
}

pg_err pg_uri_u64(const pg_uri *uri, const char *name, uint64_t max, uint64_t missing,
                  uint64_t *out_value)
{
    const char *value = pg_uri_get(uri, name);
    if (value == NULL) {
        *out_value = missing;
        return PG_OK;
    }
    return pg_error_wrap(pg_str_to_u64(pg_str_make(value), max, out_value), "%s", name);
}

pg_err pg_uri_bool(const pg_uri *uri, const char *name, bool *out_value)
{
    const char *value = pg_uri_get(uri, name);
    if (value != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return pg_fail(PG_ERR_INVALID, "%s: true or false, not '%s'", name, value);
    }
    *out_value = value != NULL && value[0] == 't';
    return PG_OK;
}

bool pg_uri_match(const char *path, const char *pattern, const char **out_param)
{
    const char *brace = strchr(pattern, '{');
    if (brace == NULL) {
        *out_param = "";
        return strcmp(path, pattern) == 0;
    }
    size_t len = (size_t) (brace - pattern);
    if (strncmp(path, pattern, len) != 0 || path[len] == '\0' || strchr(path + len, '/') != NULL) {
        return false;
    }
    *out_param = path + len;
    return true;
}

pg_err pg_uri_escape(pg_bytes text, pg_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        const uint8_t escaped[3] = {'%', (uint8_t) digits[c >> 4], (uint8_t) digits[c & 15]};
        PG_TRY(pg_buf_append(out, is_plain ? pg_bytes_make(&c, 1) : PG_BYTES_OF(escaped)));
    }
    PG_TRY(pg_buf_reserve(out, 1));
    out->ptr[out->len] = '\0';
    return PG_OK;
}

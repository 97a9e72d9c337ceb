// SPDX-License-Identifier: Apache-2.0
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

#define LINE_CHARS_MAX 16384

vectors vectors_open(const char *path)
{
    char full[512];
    int len = snprintf(full, sizeof(full), "%s/%s", VECTORS_DIR, path);
    assert_true(len > 0 && (size_t) len < sizeof(full));
    vectors file = {.file = fopen(full, "r")};
    if (file.file == NULL) {
        fail_msg("cannot open %s", full);
    }
    return file;
}

static void record_clear(vectors *file)
{
    for (size_t i = 0; i < file->field_count; i++) {
        pg_mfree(file->fields[i].text);
        pg_mfree(file->fields[i].bytes.ptr);
    }
    file->field_count = 0;
}

static void field_add(vectors *file, char *line)
{
    assert_true(file->field_count < VECTOR_FIELDS_MAX);
    size_t at = file->field_count++;
    pg_str name;
    pg_str value = pg_str_split(pg_str_make(line), ' ', &name);
    assert_true(name.len < sizeof(file->fields[at].name));
    memset(file->fields[at].name, 0, sizeof(file->fields[at].name));
    memcpy(file->fields[at].name, name.ptr, name.len);
    file->fields[at].text = pg_str_dup(value.ptr == NULL ? pg_str_make("") : value);
    file->fields[at].bytes = pg_mut_bytes_make(pg_malloc(value.len / 2), value.len / 2);
    assert_non_null(file->fields[at].text);
    assert_non_null(file->fields[at].bytes.ptr);
    if (value.len % 2 != 0 ||
        (value.len != 0 && pg_hex_decode(value, file->fields[at].bytes) != PG_OK)) {
        file->fields[at].bytes.len = 0;
    }
}

bool vectors_next(vectors *file)
{
    record_clear(file);
    char line[LINE_CHARS_MAX];
    while (fgets(line, sizeof(line), file->file) != NULL) {
        size_t len = strcspn(line, "\n");
        assert_true(line[len] == '\n');
        line[len] = '\0';
        if (len == 0 && file->field_count != 0) {
            file->count++;
            return true;
        }
        if (len != 0) {
            field_add(file, line);
        }
    }
    assert_int_equal(file->field_count, 0);
    (void) fclose(file->file);
    return false;
}

static size_t find(const vectors *file, const char *name)
{
    for (size_t i = 0; i < file->field_count; i++) {
        if (strcmp(file->fields[i].name, name) == 0) {
            return i;
        }
    }
    fail_msg("record %zu has no field %s", file->count, name);
    return 0;
}

pg_bytes vectors_bytes(const vectors *file, const char *name)
{
    return pg_bytes_const(file->fields[find(file, name)].bytes);
}

const char *vectors_text(const vectors *file, const char *name)
{
    return file->fields[find(file, name)].text;
}

// SPDX-License-Identifier: Apache-2.0
// inih says what the lines are, for reading and for editing alike, so that both agree on what a file means.
#include "node/config_file.h"

#include <string.h>

#include <ini.h>

#include "base/list.h"
#include "base/mem.h"

// ---- Walking over the lines

typedef struct file_walk file_walk;

struct file_walk {
    pg_str rest;
    unsigned line; // the one being read, from 1
    // Called for each pair. An error ends the walk.
    pg_err (*on_pair)(file_walk *walk, pg_str name, pg_str value);
    // Called for a line that cannot be read, with its detail in the error record. An error ends the walk.
    pg_err (*on_bad_line)(file_walk *walk, pg_err err);
    pg_err err;
};

static pg_err line_check(pg_str line, size_t space_len)
{
    if (line.len > PG_CONFIG_LINE_BYTES_MAX || line.len + 2 > space_len) {
        return pg_fail(PG_ERR_INVALID, "longer than %d characters", PG_CONFIG_LINE_BYTES_MAX);
    }
    if (memchr(line.ptr, '\0', line.len) != NULL) {
        return pg_fail(PG_ERR_INVALID, "has a NUL character");
    }
    return PG_OK;
}

// Give inih the next line, as fgets would.
static char *on_ini_line(char *space, int space_len, void *user)
{
    file_walk *walk = user;
    if (walk->rest.len == 0 || walk->err != PG_OK) {
        return NULL;
    }
    walk->line++;
    pg_str line;
    walk->rest = pg_str_split(walk->rest, '\n', &line);
    pg_err err = line_check(line, (size_t) space_len);
    if (err != PG_OK) {
        walk->err = walk->on_bad_line(walk, err);
        line.len = 0;
    }
    memcpy(space, line.ptr, line.len);
    memcpy(space + line.len, "\n", 2);
    return walk->err == PG_OK ? space : NULL;
}

static int on_ini_pair(void *user, const char *section, const char *key, const char *value)
{
    file_walk *walk = user;
    if (walk->err != PG_OK) {
        return 1;
    }
    pg_buf name = {.max_len = 2 * PG_CONFIG_LINE_BYTES_MAX};
    walk->err = pg_buf_printf(&name, "%s.%s", section, key);
    if (walk->err == PG_OK) {
        walk->err = walk->on_pair(walk, pg_buf_str(&name), pg_str_make(value));
    }
    pg_buf_deinit(&name);
    return 1;
}

// Walk over the whole text. The first line that is neither section nor pair is told last.
static pg_err file_walk_run(file_walk *walk, pg_bytes text)
{
    walk->rest = pg_str_make_len((const char *) text.ptr, text.len);
    walk->err = PG_OK;
    int line = ini_parse_stream(on_ini_line, walk, on_ini_pair, walk);
    if (walk->err != PG_OK) {
        return walk->err;
    }
    if (line < 0) {
        return PG_ERR_NOMEM;
    }
    if (line > 0) {
        walk->line = (unsigned) line;
        return walk->on_bad_line(walk,
                                 pg_fail(PG_ERR_INVALID, "neither '[section]' nor 'key = value'"));
    }
    return PG_OK;
}

// ---- Reading

typedef struct file_reader {
    file_walk walk;
    pg_config *config;
    const char *name;
} file_reader;

static pg_err on_reader_bad_line(file_walk *walk, pg_err err)
{
    const file_reader *reader = PG_LIST_OBJECT(walk, file_reader, walk);
    return pg_error_wrap(err, "%s: line %u", reader->name, walk->line);
}

static pg_err on_reader_pair(file_walk *walk, pg_str name, pg_str value)
{
    const file_reader *reader = PG_LIST_OBJECT(walk, file_reader, walk);
    pg_err err = pg_config_set(reader->config, PG_CONFIG_LAYER_FILE, name, value);
    return err == PG_OK ? PG_OK : on_reader_bad_line(walk, err);
}

pg_err pg_config_parse(pg_config *config, pg_bytes text, const char *name)
{
    if (text.len > PG_CONFIG_FILE_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "%s: %zu bytes, at most %d", name, text.len,
                       PG_CONFIG_FILE_BYTES_MAX);
    }
    file_reader reader = {
        .walk = {.on_pair = on_reader_pair, .on_bad_line = on_reader_bad_line},
        .config = config,
        .name = name,
    };
    return file_walk_run(&reader.walk, text);
}

// ---- Checking

typedef struct file_checker {
    file_walk walk;
    pg_config config;
    pg_config_mistake_fn each;
    void *user;
    size_t count;
} file_checker;

static pg_err on_checker_bad_line(file_walk *walk, pg_err err)
{
    file_checker *checker = PG_LIST_OBJECT(walk, file_checker, walk);
    if (err != PG_ERR_INVALID) {
        return err;
    }
    checker->count++;
    checker->each(walk->line, pg_error_detail(err), checker->user);
    return PG_OK;
}

static pg_err on_checker_pair(file_walk *walk, pg_str name, pg_str value)
{
    file_checker *checker = PG_LIST_OBJECT(walk, file_checker, walk);
    pg_err err = pg_config_set(&checker->config, PG_CONFIG_LAYER_FILE, name, value);
    return err == PG_OK ? PG_OK : on_checker_bad_line(walk, err);
}

pg_err pg_config_check(pg_bytes text, pg_config_mistake_fn each, void *user, size_t *out_count)
{
    file_checker checker = {
        .walk = {.on_pair = on_checker_pair, .on_bad_line = on_checker_bad_line},
        .each = each,
        .user = user,
    };
    pg_err err = PG_OK;
    if (text.len > PG_CONFIG_FILE_BYTES_MAX) {
        err = on_checker_bad_line(&checker.walk, pg_fail(PG_ERR_INVALID, "%zu bytes, at most %d",
                                                         text.len, PG_CONFIG_FILE_BYTES_MAX));
    } else {
        PG_TRY(pg_config_init(&checker.config));
        err = file_walk_run(&checker.walk, text);
        pg_config_deinit(&checker.config);
    }
    if (err == PG_OK) {
        *out_count = checker.count;
    }
    return err;
}

// ---- Editing

typedef enum line_kind {
    LINE_KIND_OTHER,
    LINE_KIND_SECTION, // of the key's section: its head, or a pair in it
    LINE_KIND_KEY,
} line_kind;

typedef struct file_editor {
    file_walk walk;
    const pg_config_key *key;
    pg_str section;
    uint8_t *kinds; // [line]: a line_kind
} file_editor;

static pg_err on_editor_bad_line(file_walk *walk, pg_err err)
{
    return pg_error_wrap(err, "line %u", walk->line);
}

static pg_err on_editor_pair(file_walk *walk, pg_str name, pg_str value)
{
    file_editor *editor = PG_LIST_OBJECT(walk, file_editor, walk);
    pg_str section;
    (void) value;
    (void) pg_str_split(name, '.', &section);
    if (pg_str_equal(name, pg_str_make(editor->key->name))) {
        editor->kinds[walk->line] = LINE_KIND_KEY;
    } else if (pg_str_equal(section, editor->section)) {
        editor->kinds[walk->line] = LINE_KIND_SECTION;
    }
    return PG_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static size_t blanks_at(pg_str line, size_t from)
{
    size_t at = from;
    while (at < line.len && is_blank(line.ptr[at])) {
        at++;
    }
    return at - from;
}

// A pair was told of by the walk, so that what begins with a bracket and is none is a head.
static bool is_head(pg_str line, pg_str section)
{
    size_t at = blanks_at(line, 0);
    return at + section.len + 2 <= line.len && line.ptr[at] == '[' &&
           memcmp(line.ptr + at + 1, section.ptr, section.len) == 0 &&
           line.ptr[at + 1 + section.len] == ']';
}

// Cut a line of the key at its value: what stands before it, and the comment behind it with the space in front.
static void pair_cut(pg_str line, pg_str *out_before, pg_str *out_after)
{
    size_t at = 0;
    while (at < line.len && line.ptr[at] != '=' && line.ptr[at] != ':') {
        at++;
    }
    at = pg_min_size(at + 1, line.len);
    size_t value = at + blanks_at(line, at);
    size_t end = value;
    while (end < line.len && !(line.ptr[end] == ';' && is_blank(line.ptr[end - 1]))) {
        end++;
    }
    while (end > value && is_blank(line.ptr[end - 1])) {
        end--;
    }
    *out_before = pg_str_make_len(line.ptr, value);
    *out_after = pg_str_make_len(line.ptr + end, line.len - end);
}

static pg_err values_write(const file_editor *editor, const pg_str *values, size_t count,
                           pg_buf *out)
{
    const char *name = editor->key->name + editor->section.len + 1;
    for (size_t i = 0; i < count; i++) {
        PG_TRY(pg_buf_printf(out, "%s = %.*s\n", name, PG_STR_ARGS(values[i])));
    }
    return PG_OK;
}

// The first line of the key keeps its look.
static pg_err pair_replace(const file_editor *editor, pg_str line, const pg_str *values,
                           size_t count, pg_buf *out)
{
    pg_str before;
    pg_str after;
    if (count == 0) {
        return PG_OK;
    }
    pair_cut(line, &before, &after);
    bool has_space = before.len > 0 && is_blank(before.ptr[before.len - 1]);
    bool is_bare = before.len == line.len && !has_space;  // "key =" and nothing behind it
    bool is_tight = after.len > 0 && after.ptr[0] == ';'; // of an empty value
    PG_TRY(pg_buf_printf(out, "%.*s%s%.*s%s%.*s\n", PG_STR_ARGS(before), is_bare ? " " : "",
                         PG_STR_ARGS(values[0]), is_tight ? " " : "", PG_STR_ARGS(after)));
    return values_write(editor, values + 1, count - 1, out);
}

// Mark the lines, and find where the key's values go: *out_at is a line, 0 where the file has no such section.
static pg_err lines_mark(file_editor *editor, pg_bytes text, size_t *out_at)
{
    PG_TRY(file_walk_run(&editor->walk, text));
    pg_str rest = pg_str_make_len((const char *) text.ptr, text.len);
    size_t behind = 0;
    for (size_t line = 1; rest.len > 0; line++) {
        pg_str content;
        rest = pg_str_split(rest, '\n', &content);
        if (editor->kinds[line] == LINE_KIND_KEY) {
            *out_at = line;
            return PG_OK;
        }
        if (editor->kinds[line] == LINE_KIND_OTHER && is_head(content, editor->section)) {
            editor->kinds[line] = LINE_KIND_SECTION;
        }
        behind = editor->kinds[line] == LINE_KIND_SECTION ? line : behind;
    }
    *out_at = behind;
    return PG_OK;
}

static pg_err lines_write(const file_editor *editor, pg_bytes text, size_t at, const pg_str *values,
                          size_t count, pg_buf *out)
{
    pg_str rest = pg_str_make_len((const char *) text.ptr, text.len);
    for (size_t line = 1; rest.len > 0; line++) {
        pg_str content;
        rest = pg_str_split(rest, '\n', &content);
        bool is_key = editor->kinds[line] == LINE_KIND_KEY;
        if (is_key && line == at) {
            PG_TRY(pair_replace(editor, content, values, count, out));
        } else if (!is_key) {
            PG_TRY(pg_buf_append(out, pg_bytes_make(content.ptr, content.len)));
            PG_TRY(pg_buf_append(out, PG_BYTES_LIT("\n")));
            if (line == at) {
                PG_TRY(values_write(editor, values, count, out));
            }
        }
    }
    if (at == 0 && count > 0) {
        PG_TRY(pg_buf_printf(out, "%s[%.*s]\n", text.len == 0 ? "" : "\n",
                             PG_STR_ARGS(editor->section)));
        PG_TRY(values_write(editor, values, count, out));
    }
    return PG_OK;
}

// Whatever was meant, what counts is how the new file reads.
static pg_err edit_verify(const pg_config_key *key, const pg_str *values, size_t count,
                          pg_bytes text)
{
    pg_config read;
    pg_config meant = {0};
    pg_buf got = {0};
    pg_buf wanted = {0};
    PG_TRY(pg_config_init(&read));
    pg_err err = pg_config_init(&meant);
    for (size_t i = 0; i < count && err == PG_OK; i++) {
        err = pg_config_set(&meant, PG_CONFIG_LAYER_FILE, pg_str_make(key->name), values[i]);
    }
    if (err == PG_OK) {
        err = pg_config_parse(&read, text, "the file");
    }
    if (err == PG_OK) {
        err = pg_config_format(&read, key, &got);
    }
    if (err == PG_OK) {
        err = pg_config_format(&meant, key, &wanted);
    }
    if (err == PG_OK && !pg_bytes_equal(pg_buf_bytes(&got), pg_buf_bytes(&wanted))) {
        err = pg_fail(PG_ERR_INVALID,
                      "%s: '%.*s' cannot stand in a file: it has a space at an end, or ';' behind "
                      "one, or begins a comment",
                      key->name, PG_STR_ARGS(values[0]));
    }
    pg_buf_deinit(&wanted);
    pg_buf_deinit(&got);
    pg_config_deinit(&meant);
    pg_config_deinit(&read);
    return err;
}

static pg_err values_check(const pg_config_key *key, const pg_str *values, size_t count)
{
    if (count > 1 && !pg_config_is_list(key)) {
        return pg_fail(PG_ERR_INVALID, "%s has one value, not %zu", key->name, count);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < values[i].len; at++) {
            if ((unsigned char) values[i].ptr[at] < ' ') {
                return pg_fail(PG_ERR_INVALID, "%s: the value has a control character", key->name);
            }
        }
    }
    return PG_OK;
}

pg_err pg_config_edit(pg_bytes text, const pg_config_key *key, const pg_str *values,
                      size_t value_count, pg_buf *out)
{
    file_editor editor = {
        .walk = {.on_pair = on_editor_pair, .on_bad_line = on_editor_bad_line},
        .key = key,
    };
    pg_buf written = {0};
    size_t at = 0;
    (void) pg_str_split(pg_str_make(key->name), '.', &editor.section);
    PG_TRY(values_check(key, values, value_count));
    if (text.len > PG_CONFIG_FILE_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "the file has %zu bytes, at most %d", text.len,
                       PG_CONFIG_FILE_BYTES_MAX);
    }
    editor.kinds = pg_calloc(text.len + 2, 1); // there are at most as many lines
    if (editor.kinds == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = lines_mark(&editor, text, &at);
    if (err == PG_OK) {
        err = lines_write(&editor, text, at, values, value_count, &written);
    }
    if (err == PG_OK) {
        err = edit_verify(key, values, value_count, pg_buf_bytes(&written));
    }
    if (err == PG_OK) {
        err = pg_buf_append(out, pg_buf_bytes(&written));
    }
    pg_buf_deinit(&written);
    pg_mfree(editor.kinds);
    return err;
}

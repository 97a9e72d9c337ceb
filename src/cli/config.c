// SPDX-License-Identifier: Apache-2.0
// `pangea config get | set | unset | check`: the configuration file of a node, which need not run. What keys there are, and whether a change
// takes effect when the node rereads the file, is said by the table of src/node/config_table.c.
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/config_file_edit.h"
#include "cli/data_folder.h"
#include "cli/invocation.h"
#include "node/config_file.h"
#include "node/data.h"
#include "node/node.h"
#include "runtime/file.h"

/** The file a command is about. */
typedef struct config_file {
    pg_buf path;
    pg_buf text;
    uint32_t permissions;
} config_file;

static void file_deinit(config_file *file)
{
    pg_buf_deinit(&file->path);
    pg_buf_deinit(&file->text);
}

static pg_err path_find(const pg_invocation *invocation, const char *named, pg_buf *out)
{
    pg_buf folder = {0};
    if (named != NULL) {
        return pg_buf_printf(out, "%s", named);
    }
    pg_err err = pg_data_folder(invocation, &folder);
    if (err == PG_OK) {
        err = pg_data_name((const char *) folder.ptr, PG_CONFIG_NAME, out);
    }
    pg_buf_deinit(&folder);
    return err;
}

// Read the file; that of the data directory may be missing, which is an empty one.
static pg_err file_read(const pg_invocation *invocation, const char *named, config_file *out_file)
{
    pg_file_info info;
    PG_TRY(path_find(invocation, named, &out_file->path));
    const char *path = (const char *) out_file->path.ptr;
    pg_err err = pg_path_stat(path, &info);
    out_file->permissions = err == PG_OK ? info.permissions & 0777 : 0600;
    if (err == PG_OK) {
        err = pg_file_load(path, PG_CONFIG_FILE_BYTES_MAX, &out_file->text);
    }
    return err == PG_ERR_NOT_FOUND && named == NULL ? PG_OK : err;
}

// ---- get

static const char *effect_of(const pg_config_key *key)
{
    return key->reloads ? "reload" : "restart";
}

static json_object *value_make(const pg_config_key *key, pg_str text)
{
    if (!pg_config_is_list(key)) {
        return json_object_new_string_len(text.ptr, (int) text.len);
    }
    json_object *list = json_object_new_array();
    while (text.len > 0) {
        pg_str item;
        text = pg_str_split(text, '\n', &item);
        (void) json_object_array_add(list, json_object_new_string_len(item.ptr, (int) item.len));
    }
    return list;
}

static json_object *key_make(const pg_config *config, const pg_config_key *key, pg_str value)
{
    bool is_set = pg_config_layer_of(config, key) != PG_CONFIG_LAYER_DEFAULT;
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "key", json_object_new_string(key->name));
    (void) json_object_object_add(object, "value", value_make(key, value));
    (void) json_object_object_add(object, "source",
                                  json_object_new_string(is_set ? "file" : "default"));
    (void) json_object_object_add(object, "default", json_object_new_string(key->initial));
    (void) json_object_object_add(object, "takes_effect", json_object_new_string(effect_of(key)));
    (void) json_object_object_add(object, "help", json_object_new_string(key->help));
    return object;
}

static void key_tell(const pg_output *output, const pg_config *config, const pg_config_key *key,
                     pg_str value)
{
    bool is_set = pg_config_layer_of(config, key) != PG_CONFIG_LAYER_DEFAULT;
    const char *mark = is_set ? "" : "  (default)";
    do { // a list without values has a line too
        pg_str line;
        value = pg_str_split(value, '\n', &line);
        pg_output_line(output, "%s = %.*s%s", key->name, PG_STR_ARGS(line), mark);
    } while (value.len > 0);
}

// Tell of one key, or add it to a list of all.
static pg_err key_show(const pg_output *output, const pg_config *config, const pg_config_key *key,
                       json_object *list)
{
    pg_buf value = {0};
    pg_err err = pg_config_format(config, key, &value);
    if (err == PG_OK && list != NULL) {
        key_tell(output, config, key, pg_buf_str(&value));
        (void) json_object_array_add(list, key_make(config, key, pg_buf_str(&value)));
    } else if (err == PG_OK) {
        pg_output_line(output, "%.*s", PG_STR_ARGS(pg_buf_str(&value)));
        pg_output_object(output, key_make(config, key, pg_buf_str(&value)));
    }
    pg_buf_deinit(&value);
    return err;
}

static pg_err all_show(const pg_output *output, const pg_config *config)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    json_object *object = json_object_new_object();
    json_object *list = json_object_new_array();
    (void) json_object_object_add(object, "settings", list);
    for (size_t i = 0; i < count; i++) {
        pg_err err = key_show(output, config, &keys[i], list);
        if (err != PG_OK) {
            json_object_put(object);
            return err;
        }
    }
    pg_output_object(output, object);
    return PG_OK;
}

static pg_err get_show(pg_invocation *invocation, const config_file *file, pg_config *config)
{
    const pg_config_key *key = NULL;
    if (invocation->argument_count > 0) {
        PG_TRY(pg_config_find(pg_str_make(invocation->arguments[0]), &key));
    }
    PG_TRY(pg_config_parse(config, pg_buf_bytes(&file->text), (const char *) file->path.ptr));
    return key == NULL ? all_show(&invocation->output, config)
                       : key_show(&invocation->output, config, key, NULL);
}

static pg_err get_run(pg_invocation *invocation)
{
    config_file file = {0};
    pg_config config = {0};
    pg_err err = file_read(invocation, pg_invocation_option(invocation, "config"), &file);
    if (err == PG_OK) {
        err = pg_config_init(&config);
    }
    if (err == PG_OK) {
        err = get_show(invocation, &file, &config);
    }
    pg_config_deinit(&config);
    file_deinit(&file);
    return err;
}

// ---- set, unset

static void change_tell(const pg_invocation *invocation, const config_file *file,
                        const pg_config_key *key, bool changed)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "key", json_object_new_string(key->name));
    (void) json_object_object_add(object, "file",
                                  json_object_new_string((const char *) file->path.ptr));
    (void) json_object_object_add(object, "changed", json_object_new_boolean(changed));
    (void) json_object_object_add(object, "takes_effect", json_object_new_string(effect_of(key)));
    if (!changed) {
        pg_output_note(&invocation->output, "%s stood so already", key->name);
    } else if (key->reloads) {
        pg_output_note(&invocation->output,
                       "a running node takes %s when it rereads its settings: `pangea reload`",
                       key->name);
    } else {
        pg_output_note(&invocation->output, "a running node takes %s when it is started again",
                       key->name);
    }
    pg_output_object(&invocation->output, object);
}

static pg_err file_edit(const config_file *file, const pg_config_key *key, const pg_str *values,
                        size_t count, bool *out_changed)
{
    pg_buf text = {0};
    const char *path = (const char *) file->path.ptr;
    pg_err err = pg_config_edit(pg_buf_bytes(&file->text), key, values, count, &text);
    *out_changed = !pg_bytes_equal(pg_buf_bytes(&text), pg_buf_bytes(&file->text));
    if (err == PG_OK && *out_changed) {
        err = pg_error_wrap(pg_file_replace(path, pg_buf_bytes(&text), file->permissions), "%s",
                            path);
    }
    pg_buf_deinit(&text);
    return err;
}

static pg_err file_change(const pg_invocation *invocation, const config_file *file,
                          const pg_str *values, size_t count)
{
    const pg_config_key *key = NULL;
    bool changed = false;
    PG_TRY(pg_config_find(pg_str_make(invocation->arguments[0]), &key));
    PG_TRY(file_edit(file, key, values, count, &changed));
    change_tell(invocation, file, key, changed);
    return PG_OK;
}

pg_err pg_config_file_set(const pg_invocation *invocation, const char *key, const char *value,
                          bool *out_changed)
{
    config_file file = {0};
    const pg_config_key *found = NULL;
    const pg_str text = pg_str_make(value);
    PG_TRY(pg_config_find(pg_str_make(key), &found));
    pg_err err = file_read(invocation, pg_invocation_option(invocation, "config"), &file);
    if (err == PG_OK) {
        err = file_edit(&file, found, &text, 1, out_changed);
    }
    file_deinit(&file);
    return err;
}

static pg_err change_run(const pg_invocation *invocation, size_t count)
{
    config_file file = {0};
    pg_str values[PG_CONFIG_LIST_MAX];
    if (count > PG_CONFIG_LIST_MAX) {
        return pg_fail(PG_ERR_INVALID, "more than %d values", PG_CONFIG_LIST_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        values[i] = pg_str_make(invocation->arguments[1 + i]);
    }
    pg_err err = file_read(invocation, pg_invocation_option(invocation, "config"), &file);
    if (err == PG_OK) {
        err = file_change(invocation, &file, values, count);
    }
    file_deinit(&file);
    return err;
}

static pg_err set_run(pg_invocation *invocation)
{
    return change_run(invocation, invocation->argument_count - 1);
}

static pg_err unset_run(pg_invocation *invocation)
{
    return change_run(invocation, 0);
}

// ---- check

typedef struct checking {
    const pg_invocation *invocation;
    const char *path;
    json_object *mistakes;
} checking;

static void on_mistake(unsigned line, const char *detail, void *user)
{
    const checking *self = user;
    json_object *mistake = json_object_new_object();
    (void) json_object_object_add(mistake, "line", json_object_new_int64(line));
    (void) json_object_object_add(mistake, "text", json_object_new_string(detail));
    (void) json_object_array_add(self->mistakes, mistake);
    pg_output_line(&self->invocation->output, "%s: line %u: %s", self->path, line, detail);
}

static pg_err file_check(pg_invocation *invocation, const config_file *file)
{
    size_t count = 0;
    checking self = {
        .invocation = invocation,
        .path = (const char *) file->path.ptr,
        .mistakes = json_object_new_array(),
    };
    pg_err err = pg_config_check(pg_buf_bytes(&file->text), on_mistake, &self, &count);
    if (err != PG_OK) {
        json_object_put(self.mistakes);
        return err;
    }
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "file", json_object_new_string(self.path));
    (void) json_object_object_add(object, "mistakes", self.mistakes);
    pg_output_object(&invocation->output, object);
    if (count > 0) {
        pg_output_told(&invocation->output);
        return pg_fail(PG_ERR_INVALID, "%zu mistake%s in %s", count, count == 1 ? "" : "s",
                       (const char *) file->path.ptr);
    }
    pg_output_note(&invocation->output, "%s has no mistakes", (const char *) file->path.ptr);
    return PG_OK;
}

static pg_err check_run(pg_invocation *invocation)
{
    config_file file = {0};
    const char *named = invocation->argument_count > 0 ? invocation->arguments[0] : NULL;
    pg_err err = file_read(invocation, named, &file);
    if (err == PG_OK) {
        err = file_check(invocation, &file);
    }
    file_deinit(&file);
    return err;
}

// ---- The commands

static const pg_option config_options[] = {
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

static const pg_argument get_arguments[] = {
    {"KEY", PG_VALUE_KIND_SETTING, true, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument set_arguments[] = {
    {"KEY", PG_VALUE_KIND_SETTING, false, false},
    {"VALUE", PG_VALUE_KIND_TEXT, false, true},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument unset_arguments[] = {
    {"KEY", PG_VALUE_KIND_SETTING, false, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

static const pg_argument check_arguments[] = {
    {"FILE", PG_VALUE_KIND_FILE, true, false},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_config_get = {
    .name = "config get",
    .summary = "show the settings of the configuration file, or one",
    .description = "What the file says, and the default where it says nothing. With KEY only the\n"
                   "value, those of a list a line each. With --json what each is for, too, and\n"
                   "whether a change takes effect by `pangea reload` or wants a restart.",
    .example = "pangea config get storage.quota",
    .arguments = get_arguments,
    .options = config_options,
    .run = get_run,
    .waits = true,
};

const pg_command pg_command_config_set = {
    .name = "config set",
    .summary = "change one setting in the configuration file",
    .description =
        "Every other line stays as it is, comments too. A list is replaced by all VALUEs\n"
        "given; an empty one empties it. What does not fit, or a file with another mistake,\n"
        "changes nothing. A value that begins with a dash stands behind `--`.",
    .example = "pangea config set storage.quota 50GiB",
    .arguments = set_arguments,
    .options = config_options,
    .run = set_run,
    .waits = true,
};

const pg_command pg_command_config_unset = {
    .name = "config unset",
    .summary = "remove a setting from the configuration file: its default holds",
    .example = "pangea config unset storage.quota",
    .arguments = unset_arguments,
    .options = config_options,
    .run = unset_run,
    .waits = true,
};

const pg_command pg_command_config_check = {
    .name = "config check",
    .summary = "look for mistakes in a configuration file",
    .description =
        "FILE is that of the data directory unless named. Each mistake is told with its\n"
        "line and the nearest known key.",
    .arguments = check_arguments,
    .run = check_run,
    .waits = true,
};

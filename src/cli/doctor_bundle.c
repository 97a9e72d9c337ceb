// SPDX-License-Identifier: Apache-2.0
// A bundle that can be shown to others: numbers, states and names of ours as they are; every other text (addresses, peers, paths, blocks,
// what strangers call themselves) under a pseudonym that is the same throughout one bundle and means nothing outside of it. So it is a
// list of what may pass, not of what may not.
#include <stdio.h>
#include <string.h>

#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/doctor.h"
#include "files/bundle.h"
#include "files/limits.h"
#include "net/pseudonym.h"
#include "node/data.h"
#include "node/storage.h"
#include "runtime/file.h"
#include "runtime/offload.h"
#include "runtime/time.h"

#define LOG_BYTES_MAX (4U << 20) // of the file that is read
#define LOG_LINES 500            // the last ones
#define DEPTH_MAX 16
#define TEXTS 6
#define PLAIN_IN_DOCUMENTS "status name state direction transport security muxer realm version"
#define PLAIN_IN_LOG "time level event error"
#define NOT_OURS "(not a line of ours)"

/** A bundle being made. */
typedef struct bundle {
    const pg_doctor *doctor;
    pg_pseudonyms pseudonyms;
    const char *plain; // names of fields whose texts are ours
    pg_buf texts[TEXTS];
    const char *names[TEXTS];
    size_t count;
    pg_buf packed;
} bundle;

static void pseudonym_make(bundle *self, const char *text, size_t len,
                           char out[PG_PSEUDONYM_TEXT_BYTES])
{
    pg_pseudonym_make(&self->pseudonyms, pg_bytes_make(text, len), out);
}

// ---- Texts

// A number, a version, or an IPv4 address.
static bool is_number(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((text[i] < '0' || text[i] > '9') && text[i] != '.') {
            return false;
        }
    }
    return len > 0;
}

// What is to be hidden of a sentence of ours: paths and multiaddrs, IP addresses, and whatever looks like a name made of random letters.
static bool is_telling(const char *word, size_t len)
{
    const char *colon = memchr(word, ':', len);
    size_t host = colon == NULL ? len : (size_t) (colon - word);
    size_t dots = 0;
    for (size_t i = 0; i < host; i++) {
        dots += word[i] == '.' ? 1 : 0;
    }
    bool is_ip = (dots == 3 && is_number(word, host)) ||
                 (colon != NULL && memchr(colon + 1, ':', len - host - 1) != NULL);
    return is_ip || memchr(word, '/', len) != NULL || len >= 24;
}

static bool is_edge(char c)
{
    return c == '\0' || strchr(" ,;'\"()<>=[]\n", c) != NULL;
}

// What stands between quotes came from outside; the rest is looked at word by word.
static pg_err sentence_append(bundle *self, const char *text, pg_buf *out)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    bool is_quoted = false;
    while (*text != '\0') {
        size_t len = 0;
        while (!is_edge(text[len])) {
            len++;
        }
        if (len > 0 && (is_quoted || is_telling(text, len))) {
            pseudonym_make(self, text, len, name);
            PG_TRY(pg_buf_printf(out, "<%s>", name));
        } else {
            PG_TRY(pg_buf_append(out, pg_bytes_make(text, len)));
        }
        text += len;
        if (*text != '\0') {
            is_quoted = *text == '\'' || *text == '"' ? !is_quoted : is_quoted;
            PG_TRY(pg_buf_append(out, pg_bytes_make(text++, 1)));
        }
    }
    return PG_OK;
}

static bool is_word_of(const char *list, const char *word)
{
    size_t len = strlen(word);
    const char *at = list;
    while (len > 0 && (at = strstr(at, word)) != NULL) {
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
        at += len;
    }
    return false;
}

// ---- Documents

static json_object *value_scrub(bundle *self, const char *key, json_object *value, unsigned depth);

static json_object *text_scrub(bundle *self, const char *key, json_object *value)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    const char *text = json_object_get_string(value);
    if (is_word_of(self->plain, key)) {
        return json_object_new_string(text);
    }
    if (strcmp(key, "found") == 0 || strcmp(key, "fault") == 0) {
        pg_buf sentence PG_CLEANUP(pg_buf_deinit) = {0};
        pg_err err = sentence_append(self, text, &sentence);
        return err == PG_OK
                   ? json_object_new_string_len((const char *) sentence.ptr, (int) sentence.len)
                   : NULL;
    }
    pseudonym_make(self, text, strlen(text), name);
    return json_object_new_string(name);
}

static json_object *object_scrub(bundle *self, json_object *value, unsigned depth)
{
    json_object *clean = json_object_new_object();
    json_object_object_foreach(value, key, field)
    {
        if (strcmp(key, "fix") != 0 && strcmp(key, "protocols") != 0) {
            (void) json_object_object_add(clean, key, value_scrub(self, key, field, depth + 1));
        }
    }
    return clean;
}

static json_object *list_scrub(bundle *self, const char *key, json_object *value, unsigned depth)
{
    json_object *clean = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        (void) json_object_array_add(
            clean, value_scrub(self, key, json_object_array_get_idx(value, i), depth + 1));
    }
    return clean;
}

// The depth is bounded: the documents come from the node, which is of this user, but perhaps of another version.
// NOLINTNEXTLINE(misc-no-recursion)
static json_object *value_scrub(bundle *self, const char *key, json_object *value, unsigned depth)
{
    if (value == NULL || depth > DEPTH_MAX) {
        return NULL;
    }
    if (json_object_is_type(value, json_type_object)) {
        return object_scrub(self, value, depth);
    }
    if (json_object_is_type(value, json_type_array)) {
        return list_scrub(self, key, value, depth);
    }
    return json_object_is_type(value, json_type_string) ? text_scrub(self, key, value)
                                                        : json_object_get(value);
}

static pg_buf *text_begin(bundle *self, const char *name)
{
    pg_assert(self->count < TEXTS);
    self->names[self->count] = name;
    return &self->texts[self->count++];
}

static pg_err document_add(bundle *self, const char *name, json_object *document)
{
    json_object *clean = value_scrub(self, "", document, 0);
    const char *text =
        json_object_to_json_string_ext(clean, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
    pg_err err = pg_buf_printf(text_begin(self, name), "%s\n", text);
    json_object_put(clean);
    return err;
}

// ---- Version, settings, log

static pg_err version_add(bundle *self)
{
    json_object *database = pg_answer_object(self->doctor->facts, "database");
    return pg_buf_printf(text_begin(self, "version.txt"),
                         "pangea %s\nfiles format %d\nschema of this program %u\nschema of the "
                         "database %llu\nnode %s\n",
                         PANGEA_VERSION, PG_FILES_VERSION, pg_storage_schema_version(),
                         (unsigned long long) pg_answer_u64(database, "version"),
                         self->doctor->is_running ? "running" : "not running");
}

static pg_err list_append(bundle *self, const pg_config_list *list, pg_buf *out)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    for (size_t i = 0; i < list->count; i++) {
        pseudonym_make(self, list->items[i], strlen(list->items[i]), name);
        PG_TRY(pg_buf_printf(out, " <%s>", name));
    }
    return pg_buf_append(out, PG_BYTES_LIT("\n"));
}

static pg_err setting_append(bundle *self, const pg_config_key *key, pg_buf *out)
{
    const uint8_t *at = (const uint8_t *) &self->doctor->config + key->offset;
    PG_TRY(pg_buf_printf(out, "%s =", key->name));
    switch (key->type) {
    case PG_CONFIG_TYPE_BOOL:
        return pg_buf_printf(out, " %s\n", *(const bool *) (const void *) at ? "true" : "false");
    case PG_CONFIG_TYPE_NUMBER:
    case PG_CONFIG_TYPE_BYTES:
    case PG_CONFIG_TYPE_DURATION:
        return pg_buf_printf(out, " %llu\n",
                             (unsigned long long) *(const uint64_t *) (const void *) at);
    case PG_CONFIG_TYPE_CHOICE:
        return pg_buf_printf(out, " %s\n", *(const char *const *) (const void *) at);
    case PG_CONFIG_TYPE_TEXT: // a path or an address
    case PG_CONFIG_TYPE_DOOR:
    case PG_CONFIG_TYPE_URL:
    case PG_CONFIG_TYPE_COLLECTOR:
        return pg_buf_printf(out, " %s\n",
                             **(const char *const *) (const void *) at == '\0' ? "" : "(set)");
    case PG_CONFIG_TYPE_ADDRS:
    case PG_CONFIG_TYPE_PEERS:
        return list_append(self, (const pg_config_list *) (const void *) at, out);
    }
    return PG_OK;
}

static pg_err settings_add(bundle *self)
{
    size_t count = 0;
    const pg_config_key *keys = pg_config_keys(&count);
    pg_buf *out = text_begin(self, "settings.txt");
    for (size_t i = 0; i < count; i++) {
        if (self->doctor->config.layers[i] != PG_CONFIG_LAYER_DEFAULT) {
            PG_TRY(setting_append(self, &keys[i], out));
        }
    }
    return PG_OK;
}

// A line of the other format: one object.
static pg_err log_object_append(bundle *self, const char *line, pg_buf *out)
{
    json_object *object = json_tokener_parse(line);
    self->plain = PLAIN_IN_LOG;
    json_object *clean =
        json_object_is_type(object, json_type_object) ? value_scrub(self, "", object, 0) : NULL;
    self->plain = PLAIN_IN_DOCUMENTS;
    pg_err err = pg_buf_printf(
        out, "%s\n",
        clean == NULL ? NOT_OURS : json_object_to_json_string_ext(clean, JSON_C_TO_STRING_PLAIN));
    json_object_put(clean);
    json_object_put(object);
    return err;
}

// "1795779761.935 info  node.ready .."; what others wrote into the same file may be anything.
static bool is_log_line(const char *line)
{
    size_t time = strcspn(line, " ");
    const char *level = line + time + strspn(line + time, " ");
    size_t len = strcspn(level, " ");
    char word[8] = "";
    if (len == 0 || len >= sizeof(word) || !is_number(line, time)) {
        return false;
    }
    memcpy(word, level, len);
    return is_word_of("error warn info debug trace", word);
}

// One line of our log has a time, a level and an event, then fields: of these the names stay, and what is a number or names an error.
static pg_err log_line_append(bundle *self, char *line, pg_buf *out)
{
    char *rest = NULL;
    unsigned number = 0;
    if (!is_log_line(line)) {
        return pg_buf_append(out, PG_BYTES_LIT(NOT_OURS "\n"));
    }
    for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char name[PG_PSEUDONYM_TEXT_BYTES];
        char *value = strchr(word, '=');
        const char *shown = word;
        if (value != NULL) {
            *value++ = '\0';
            size_t len = strlen(value);
            pseudonym_make(self, value, len, name);
            bool is_plain =
                (is_number(value, len) && !is_telling(value, len)) || strcmp(word, "error") == 0;
            PG_TRY(pg_buf_printf(out, " %s=%s", word, is_plain ? value : name));
            number++;
            continue;
        }
        if (number++ >= 3 || is_telling(word, strlen(word))) { // the rest of a quoted value
            pseudonym_make(self, word, strlen(word), name);
            shown = name;
        }
        PG_TRY(pg_buf_printf(out, "%s%s", number == 1 ? "" : " ", shown));
    }
    return pg_buf_append(out, PG_BYTES_LIT("\n"));
}

// The file that the settings name, if it is there; a name without a slash in front is one in the data directory.
static pg_err log_find(const pg_doctor *doctor, pg_buf *out_path)
{
    const char *name = doctor->config.log_file;
    pg_file_info info;
    if (name[0] == '\0') {
        return PG_OK;
    }
    PG_TRY(name[0] == '/' ? pg_buf_printf(out_path, "%s", name)
                          : pg_data_name((const char *) doctor->folder.ptr, name, out_path));
    if (pg_path_stat((const char *) out_path->ptr, &info) != PG_OK) {
        pg_buf_deinit(out_path);
    }
    return PG_OK;
}

static pg_err log_add(bundle *self)
{
    const char *path = pg_invocation_option(self->doctor->invocation, "log");
    pg_buf named PG_CLEANUP(pg_buf_deinit) = {0};
    pg_buf text PG_CLEANUP(pg_buf_deinit) = {0};
    pg_file *file = NULL;
    pg_file_info info;
    uint8_t *space = NULL;
    size_t len = 0;
    if (path == NULL) {
        PG_TRY(log_find(self->doctor, &named));
        path = (const char *) named.ptr;
    }
    if (path == NULL) {
        return PG_OK;
    }
    PG_TRY(pg_file_open(path, PG_FILE_MODE_READ, &file));
    pg_err err = pg_file_stat(file, &info);
    uint64_t start =
        err == PG_OK && info.size_bytes > LOG_BYTES_MAX ? info.size_bytes - LOG_BYTES_MAX : 0;
    if (err == PG_OK) {
        err = pg_buf_extend(&text, LOG_BYTES_MAX + 1, &space);
    }
    if (err == PG_OK) {
        err = pg_file_read_at(file, start, pg_mut_bytes_make(space, LOG_BYTES_MAX), &len);
    }
    pg_file_free(&file);
    PG_TRY(err);
    space[len] = '\0';
    size_t lines = 0;
    const char *from = (const char *) space + len;
    while (from > (const char *) space && (from[-1] != '\n' || lines++ < LOG_LINES)) {
        from--;
    }
    pg_buf *out = text_begin(self, "log.txt");
    char *rest = NULL;
    for (char *line = strtok_r((char *) space + (from - (const char *) space), "\n", &rest);
         line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        PG_TRY(line[0] == '{' ? log_object_append(self, line, out)
                              : log_line_append(self, line, out));
    }
    return PG_OK;
}

// ---- All

static json_object *node_make(const pg_doctor *doctor)
{
    json_object *const parts[] = {doctor->node, doctor->peers, doctor->stat, doctor->dht,
                                  doctor->facts};
    static const char *const names[] = {"node", "peers", "stat", "dht", "facts"};
    json_object *document = json_object_new_object();
    for (size_t i = 0; i < PG_ARRAY_LEN(parts); i++) {
        (void) json_object_object_add(document, names[i], json_object_get(parts[i]));
    }
    return document;
}

static pg_err pack_run(void *arg)
{
    bundle *self = arg;
    pg_bundle_text texts[TEXTS];
    char names[TEXTS][64];
    for (size_t i = 0; i < self->count; i++) {
        (void) snprintf(names[i], sizeof(names[i]), "pangea-support/%s", self->names[i]);
        texts[i] = (pg_bundle_text){names[i], pg_buf_bytes(&self->texts[i])};
    }
    return pg_bundle_pack(texts, self->count, pg_wall_ms() / 1000, &self->packed);
}

static pg_err bundle_make(bundle *self)
{
    json_object *node = node_make(self->doctor);
    PG_TRY(version_add(self));
    PG_TRY(document_add(self, "doctor.json", self->doctor->checks));
    pg_err err = document_add(self, "node.json", node);
    json_object_put(node);
    PG_TRY(err);
    PG_TRY(settings_add(self));
    PG_TRY(log_add(self));
    return pg_offload(pack_run, self);
}

pg_err pg_doctor_bundle(const pg_doctor *doctor, const char *path)
{
    bundle self = {.doctor = doctor, .plain = PLAIN_IN_DOCUMENTS};
    pg_file_info info;
    pg_err err = pg_path_stat(path, &info);
    if (err == PG_OK) {
        return pg_fail(PG_ERR_EXISTS, "%s is there already", path);
    }
    err = err == PG_ERR_NOT_FOUND ? bundle_make(&self) : err;
    if (err == PG_OK) {
        err = pg_file_replace(path, pg_buf_bytes(&self.packed), 0644);
    }
    for (size_t i = 0; i < self.count; i++) {
        pg_buf_deinit(&self.texts[i]);
    }
    pg_buf_deinit(&self.packed);
    pg_pseudonyms_deinit(&self.pseudonyms);
    return err;
}

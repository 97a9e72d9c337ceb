// SPDX-License-Identifier: Apache-2.0
// What pangea doctor looks at: the running node by its API, or the data directory itself where none runs; and this machine.
#include <stdlib.h>
#include <string.h>

#include "api/doctor.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/data_folder.h"
#include "cli/doctor.h"
#include "cli/passphrase.h"
#include "node/data.h"
#include "node/node.h"
#include "node/storage.h"
#include "runtime/file.h"
#include "runtime/offload.h"

#define SYNCS 5
#define SYNC_NAME "doctor.tmp"

// ---- The node

static pg_err node_ask(pg_doctor *doctor)
{
    const pg_invocation *invocation = doctor->invocation;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/node", NULL, &doctor->node));
    doctor->is_running = true;
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/peers", NULL, &doctor->peers));
    PG_TRY(pg_client_ask(invocation, "GET", "/api/v1/stat", NULL, &doctor->stat));
    pg_err err = pg_client_ask(invocation, "GET", "/api/v1/dht", NULL, &doctor->dht);
    if (err != PG_OK && err != PG_ERR_UNSUPPORTED) { // it takes part in none
        return err;
    }
    const char *path = doctor->is_deep ? "/api/v1/doctor?deep=true" : "/api/v1/doctor";
    err = pg_client_ask(invocation, "GET", path, NULL, &doctor->facts);
    if (err == PG_ERR_NOT_FOUND) { // an older program runs
        return pg_buf_printf(&doctor->unread, "the running node is too old to tell");
    }
    return err;
}

// ---- The data directory, with nobody in it but us

static pg_err storage_look(pg_doctor *doctor, const pg_keystore *identity)
{
    pg_storage storage = {0};
    pg_err err =
        pg_storage_inspect(&storage, (const char *) doctor->folder.ptr, identity, &doctor->config);
    if (err == PG_OK) {
        const pg_doctor_parts parts = {.blocks = storage.blocks, .db = storage.db};
        err = pg_doctor_facts(&parts, doctor->is_deep, &doctor->facts);
    }
    pg_storage_close(&storage);
    return err;
}

static pg_err identity_look(pg_doctor *doctor)
{
    pg_secret passphrase = {0};
    pg_keystore identity = {0};
    pg_data data = {0};
    const char *folder = (const char *) doctor->folder.ptr;
    pg_err err = pg_passphrase_read(doctor->invocation, false, &passphrase);
    if (err == PG_OK) {
        err = pg_data_open(folder, &data);
    }
    if (err == PG_OK) {
        err = pg_identity_load(folder, pg_secret_bytes(&passphrase), &identity);
    }
    if (err == PG_OK) {
        err = storage_look(doctor, &identity);
    }
    pg_keystore_deinit(&identity);
    pg_data_close(&data);
    pg_secret_deinit(&passphrase);
    return err;
}

// ---- This machine

static pg_err config_look(pg_doctor *doctor)
{
    const pg_node_options options = {
        .data = (const char *) doctor->folder.ptr,
        .config_file = pg_invocation_option(doctor->invocation, "config"),
    };
    pg_err err = pg_node_configure(&options, &doctor->config);
    if (err == PG_ERR_NOMEM) {
        return err;
    }
    if (err != PG_OK) {
        PG_TRY(pg_buf_printf(&doctor->config_fault, "%s", pg_error_detail(err)));
        PG_TRY(pg_config_init(&doctor->config)); // the defaults, for what follows
    }
    doctor->has_config = true;
    return PG_OK;
}

static void port_add(pg_doctor *doctor, const char *addr, const char *word, bool is_udp)
{
    const char *at = strstr(addr, word);
    uint64_t number = 0;
    size_t digits = at == NULL ? 0 : strspn(at + strlen(word), "0123456789");
    bool is_known = at == NULL || pg_str_to_u64(pg_str_make_len(at + strlen(word), digits),
                                                UINT16_MAX, &number) != PG_OK;
    is_known = is_known || number == 0;
    for (size_t i = 0; i < doctor->port_count && !is_known; i++) {
        is_known = doctor->ports[i].is_udp == is_udp && doctor->ports[i].number == number;
    }
    if (!is_known && doctor->port_count < PG_DOCTOR_PORTS_MAX) {
        doctor->ports[doctor->port_count++] =
            (pg_doctor_port){.is_udp = is_udp, .number = (uint16_t) number};
    }
}

static void ports_list(pg_doctor *doctor)
{
    json_object *addrs = pg_answer_object(doctor->node, "addrs");
    for (size_t i = 0; i < pg_answer_count(addrs); i++) {
        const char *addr = json_object_get_string(json_object_array_get_idx(addrs, i));
        port_add(doctor, addr, "/tcp/", false);
        port_add(doctor, addr, "/udp/", true);
    }
    for (size_t i = 0; i < doctor->config.net_listen.count && !doctor->is_running; i++) {
        port_add(doctor, doctor->config.net_listen.items[i], "/tcp/", false);
        port_add(doctor, doctor->config.net_listen.items[i], "/udp/", true);
    }
}

static pg_err secret_add(pg_doctor *doctor, const char *name, const char *path)
{
    const char *folder = (const char *) doctor->folder.ptr;
    pg_doctor_secret *secret = &doctor->secrets[doctor->secret_count];
    secret->name = name;
    PG_TRY(path[0] == '\0' || path[0] == '/'
               ? pg_buf_printf(&secret->path, "%s", path[0] == '\0' ? folder : path)
               : pg_data_name(folder, path, &secret->path));
    doctor->secret_count++;
    return PG_OK;
}

static pg_err secrets_list(pg_doctor *doctor)
{
    const char *swarm_key = doctor->config.net_swarm_key;
    PG_TRY(secret_add(doctor, "the directory", ""));
    PG_TRY(secret_add(doctor, "identity", "identity"));
    PG_TRY(secret_add(doctor, "pangea.db", "pangea.db"));
    PG_TRY(secret_add(doctor, "api.token", "api.token"));
    return swarm_key[0] == '\0' ? PG_OK : secret_add(doctor, "the network's key", swarm_key);
}

static int sync_compare(const void *a, const void *b)
{
    int64_t first = *(const int64_t *) a;
    int64_t second = *(const int64_t *) b;
    return (first > second) - (first < second);
}

// What a put waits for: a page written and made durable.
static pg_err sync_time(const char *path, int64_t *out_ns)
{
    static const uint8_t page[4096] = {1};
    int64_t spans[SYNCS];
    pg_file *file = NULL;
    PG_TRY(pg_file_open(path, PG_FILE_MODE_WRITE | PG_FILE_MODE_CREATE | PG_FILE_MODE_TRUNCATE,
                        &file));
    pg_err err = PG_OK;
    for (size_t i = 0; i < SYNCS && err == PG_OK; i++) {
        pg_time begin = pg_now();
        err = pg_file_write_at(file, i * sizeof(page), PG_BYTES_OF(page));
        if (err == PG_OK) {
            err = pg_file_sync(file);
        }
        spans[i] = pg_now() - begin;
    }
    pg_file_free(&file);
    pg_ignore(pg_path_remove(path), "nobody reads it");
    PG_TRY(err);
    qsort(spans, SYNCS, sizeof(spans[0]), sync_compare);
    *out_ns = spans[SYNCS / 2];
    return PG_OK;
}

static pg_err machine_run(void *arg)
{
    pg_doctor *doctor = arg;
    const char *folder = (const char *) doctor->folder.ptr;
    pg_buf path PG_CLEANUP(pg_buf_deinit) = {0};
    doctor->disk_err = pg_machine_disk_look(folder, &doctor->disk);
    for (size_t i = 0; i < doctor->secret_count; i++) {
        pg_doctor_secret *secret = &doctor->secrets[i];
        secret->is_there =
            pg_machine_owner_look((const char *) secret->path.ptr, &secret->owner) == PG_OK;
    }
    for (size_t i = 0; i < doctor->port_count; i++) {
        pg_doctor_port *port = &doctor->ports[i];
        pg_machine_port_look(port->is_udp, port->number, &port->found);
    }
    PG_TRY(pg_data_name(folder, SYNC_NAME, &path));
    pg_ignore(sync_time((const char *) path.ptr, &doctor->sync_ns), "0 says that it failed");
    return PG_OK;
}

// ---- All

static pg_err folder_find(pg_doctor *doctor)
{
    pg_file_info info;
    PG_TRY(pg_data_folder(doctor->invocation, &doctor->folder));
    const char *folder = (const char *) doctor->folder.ptr;
    pg_err err = pg_path_stat(folder, &info);
    return err == PG_ERR_NOT_FOUND
               ? pg_fail(err, "%s is not there: `pangea init` makes an identity in it", folder)
               : err;
}

pg_err pg_doctor_gather(pg_doctor *doctor, const pg_invocation *invocation)
{
    doctor->invocation = invocation;
    doctor->is_deep = pg_invocation_has(invocation, "deep");
    PG_TRY(folder_find(doctor));
    PG_TRY(config_look(doctor));
    pg_err err = node_ask(doctor);
    if (err == PG_ERR_NO_NODE) {
        err = identity_look(doctor);
        if (err != PG_OK && err != PG_ERR_NOMEM && err != PG_ERR_CANCELLED) {
            doctor->unread_err = err;
            err = pg_buf_printf(&doctor->unread, "%s", pg_error_detail(err));
        }
    }
    PG_TRY(err);
    ports_list(doctor);
    PG_TRY(secrets_list(doctor));
    return pg_offload_io(machine_run, doctor);
}

void pg_doctor_deinit(pg_doctor *doctor)
{
    json_object *const objects[] = {doctor->node, doctor->peers, doctor->stat,
                                    doctor->dht,  doctor->facts, doctor->checks};
    for (size_t i = 0; i < PG_ARRAY_LEN(objects); i++) {
        (void) json_object_put(objects[i]);
    }
    for (size_t i = 0; i < PG_DOCTOR_SECRETS_MAX; i++) {
        pg_buf_deinit(&doctor->secrets[i].path);
    }
    if (doctor->has_config) {
        pg_config_deinit(&doctor->config);
    }
    pg_buf_deinit(&doctor->config_fault);
    pg_buf_deinit(&doctor->unread);
    pg_buf_deinit(&doctor->folder);
    *doctor = (pg_doctor){.is_running = false};
}

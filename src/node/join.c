// SPDX-License-Identifier: Apache-2.0
#include "node/join.h"

#include <string.h>

#include "base/str.h"
#include "crypto/peer_id_text.h"
#include "net/limits.h"
#include "net/pnet.h"
#include "node/config.h"
#include "node/data.h"
#include "node/node.h"

#define KEY_NAME "swarm.key"
#define BOOTSTRAP "bootstrap = "

static pg_err is_there(const char *path, bool *out_is_there)
{
    pg_file_info info;
    pg_err err = pg_path_stat(path, &info);
    *out_is_there = err == PG_OK;
    return err == PG_ERR_NOT_FOUND ? PG_OK : err;
}

// ---- the configuration ----

static pg_err config_write_line(pg_buf *text, const pg_invite *invite, const pg_multiaddr *addr,
                                size_t *count)
{
    pg_multiaddr full = *addr;
    char line[PG_MULTIADDR_TEXT_BYTES];
    if (pg_multiaddr_append(&full, PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(&invite->peer)) !=
        PG_OK) {
        return PG_OK;
    }
    pg_multiaddr_format(&full, line);
    if (strlen(BOOTSTRAP) + strlen(line) > PG_CONFIG_LINE_BYTES_MAX) {
        return PG_OK;
    }
    *count += 1;
    return pg_buf_printf(text, BOOTSTRAP "%s\n", line);
}

static pg_err config_make(const pg_invite *invite, pg_buf *text)
{
    size_t count = 0;
    PG_TRY(pg_buf_printf(text, "# Written by `pangea join`.\n[net]\n"));
    if (invite->is_private) {
        PG_TRY(pg_buf_printf(text, "swarm_key = %s\n", KEY_NAME));
    }
    for (size_t i = 0; i < invite->addr_count; i++) {
        PG_TRY(config_write_line(text, invite, &invite->addrs[i], &count));
    }
    return count > 0 ? PG_OK
                     : pg_fail(PG_ERR_LIMIT, "the invitation's addresses are too long for a "
                                             "configuration");
}

static pg_err config_check_absent(const char *folder, const char *path)
{
    bool has_config = false;
    PG_TRY(is_there(path, &has_config));
    return has_config ? pg_fail(PG_ERR_EXISTS,
                                "%s is there already, so %s is not fresh: join with a data "
                                "directory of its own, by --data",
                                path, folder)
                      : PG_OK;
}

// ---- the key ----

// A key left by an attempt that was interrupted is as good as a new one.
static pg_err key_check(const char *path, const pg_key *wanted)
{
    pg_buf text = {0};
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    pg_err err = pg_file_load(path, PG_NET_SWARM_KEY_BYTES_MAX, &text);
    if (err == PG_ERR_NOT_FOUND) {
        return PG_OK;
    }
    if (err == PG_OK && (pg_swarm_key_parse(pg_buf_bytes(&text), &key) != PG_OK ||
                         !pg_secret_equal(pg_key_bytes(&key), pg_key_bytes(wanted)))) {
        err = pg_fail(PG_ERR_EXISTS, "%s is there already, with another key: it is left as it is",
                      path);
    }
    if (text.ptr != NULL) {
        pg_wipe(text.ptr, text.cap);
    }
    pg_buf_deinit(&text);
    return err;
}

static pg_err key_write(const char *path, const pg_key *key)
{
    char text[PG_SWARM_KEY_TEXT_BYTES];
    PG_TRY(key_check(path, key));
    pg_swarm_key_format(key, text);
    pg_err err = pg_file_replace(path, pg_bytes_cstr(text), 0600);
    pg_wipe(text, sizeof(text));
    return err;
}

// ---- the whole ----

// The key first: only the configuration makes it count.
static pg_err files_write(const char *folder, const pg_invite *invite)
{
    pg_buf text = {0};
    pg_buf config_path = {0};
    pg_buf key_path = {0};
    pg_err err = pg_data_name(folder, PG_CONFIG_NAME, &config_path);
    if (err == PG_OK) {
        err = pg_data_name(folder, KEY_NAME, &key_path);
    }
    if (err == PG_OK) {
        err = config_check_absent(folder, (const char *) config_path.ptr);
    }
    if (err == PG_OK) {
        err = config_make(invite, &text);
    }
    if (err == PG_OK && invite->is_private) {
        err = key_write((const char *) key_path.ptr, &invite->network_key);
    }
    if (err == PG_OK) {
        err = pg_file_replace((const char *) config_path.ptr, pg_buf_bytes(&text), 0600);
    }
    pg_buf_deinit(&text);
    pg_buf_deinit(&config_path);
    pg_buf_deinit(&key_path);
    return err;
}

pg_err pg_node_join(const char *folder, const pg_invite *invite)
{
    pg_data data = {0};
    PG_TRY(pg_data_open(folder, &data));
    pg_err err = files_write(folder, invite);
    pg_data_close(&data);
    return err;
}

// SPDX-License-Identifier: Apache-2.0
// The program itself with a node that cheats: the linker puts the functions below between its rooms. What it does at the moment stands in
// the file that PG_HOSTILE names, one word; what it did is appended to that file's name with ".out".
//
//      honest        what it should
//      bytes         give other bytes of what it keeps
//      descriptors   give the descriptor of another extent in the place of one
//      receipts      sign receipts that do not say what they should, in four ways by turns
//      silent        answer nothing that has to do with blocks
//      drip          answer a byte every five seconds
//      discard       delete all it keeps, once, and claim it still
//      replay        send the grants it has seen, and forged ones, to everybody, once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "exchange/bitswap.h"
#include "exchange/lease.h"
#include "exchange/place_client.h"
#include "exchange/place_server.h"
#include "net/host.h"
#include "runtime/fiber.h"
#include "runtime/random.h"
#include "runtime/stream.h"

#define LOOK_MS 50
#define DRIP_S 5
#define GRANTS_MAX 64

typedef enum mode {
    MODE_HONEST,
    MODE_BYTES,
    MODE_DESCRIPTORS,
    MODE_RECEIPTS,
    MODE_SILENT,
    MODE_DRIP,
    MODE_DISCARD,
    MODE_REPLAY,
    MODE_COUNT,
} mode;

static const char *const mode_names[MODE_COUNT] = {
    "honest", "bytes", "descriptors", "receipts", "silent", "drip", "discard", "replay",
};

/** A grant that was sent to us, as it came. */
typedef struct seen_grant {
    uint8_t encoded[PG_PLACE_SIGNED_BYTES_MAX];
    size_t len;
    pg_lease_grant grant;
} seen_grant;

static mode now_mode;
static pg_scope control;
static pg_place_server_config config;
static seen_grant seen[GRANTS_MAX];
static size_t seen_count;
static pg_buf foreign; // the first descriptor that came
static pg_cid foreign_cid;
static unsigned receipts_made;

static void tell(const char *what, const char *how)
{
    char path[512];
    (void) snprintf(path, sizeof(path), "%s.out", getenv("PG_HOSTILE"));
    FILE *out = fopen(path, "a");
    if (out != NULL) {
        (void) fprintf(out, "%s %s\n", what, how);
        (void) fclose(out);
    }
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out);
pg_err __wrap_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out);
pg_err __real_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes);
pg_err __wrap_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes);
pg_err __real_pg_lease_receipt_encode(const pg_identity *host, const pg_lease_receipt *receipt,
                                      pg_buf *out);
pg_err __wrap_pg_lease_receipt_encode(const pg_identity *host, const pg_lease_receipt *receipt,
                                      pg_buf *out);
pg_err __real_pg_lease_grant_decode(pg_bytes in, pg_lease_grant *out_grant);
pg_err __wrap_pg_lease_grant_decode(pg_bytes in, pg_lease_grant *out_grant);
pg_err __real_pg_host_serve(pg_host *host, const pg_net_protocol *protocol);
pg_err __wrap_pg_host_serve(pg_host *host, const pg_net_protocol *protocol);
pg_err __real_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol);
pg_err __wrap_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol);
pg_err __real_pg_place_server_new(const pg_place_server_config *settings,
                                  pg_place_server **out_server);
pg_err __wrap_pg_place_server_new(const pg_place_server_config *settings,
                                  pg_place_server **out_server);
void __real_pg_place_server_free(pg_place_server **server);
void __wrap_pg_place_server_free(pg_place_server **server);

// ---- What it keeps

// Both kinds begin with the version and field 2; that of a root has 32 bytes, that of a descriptor more.
static bool is_descriptor(pg_bytes block)
{
    static const uint8_t head[] = {0x08, 0x01, 0x12};
    return block.len > 64 && memcmp(block.ptr, head, sizeof(head)) == 0 && block.ptr[3] != 32;
}

pg_err __wrap_pg_block_store_get(pg_block_store *store, const pg_cid *cid, pg_buf *out)
{
    size_t before = out->len;
    PG_TRY(__real_pg_block_store_get(store, cid, out));
    pg_bytes block = pg_bytes_make(out->ptr + before, out->len - before);
    if (now_mode == MODE_BYTES && block.len > 0) {
        out->ptr[out->len - 1] ^= 1;
    } else if (now_mode == MODE_DESCRIPTORS && is_descriptor(block) && foreign.len > 0 &&
               !pg_cid_equal(cid, &foreign_cid)) {
        out->len = before;
        PG_TRY(pg_buf_append(out, pg_buf_bytes(&foreign)));
    }
    return PG_OK;
}

pg_err __wrap_pg_block_store_put(pg_block_store *store, const pg_cid *cid, pg_bytes bytes)
{
    if (foreign.len == 0 && is_descriptor(bytes)) {
        PG_TRY(pg_buf_append(&foreign, bytes));
        foreign_cid = *cid;
    }
    return __real_pg_block_store_put(store, cid, bytes);
}

static pg_err on_discard(const pg_cid *cid, uint32_t len, void *user)
{
    (void) len;
    return pg_block_store_delete(user, cid);
}

// ---- What it signs

pg_err __wrap_pg_lease_receipt_encode(const pg_identity *host, const pg_lease_receipt *receipt,
                                      pg_buf *out)
{
    if (now_mode != MODE_RECEIPTS) {
        return __real_pg_lease_receipt_encode(host, receipt, out);
    }
    pg_lease_receipt forged = *receipt;
    pg_identity other;
    pg_key seed;
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    PG_TRY(pg_identity_init(&other, &seed));
    switch (receipts_made++ % 4) {
    case 0:
        forged.descriptor.bytes[forged.descriptor.len - 1] ^= 1; // of another extent
        break;
    case 1:
        forged.sequence--; // under the grant before
        break;
    case 2:
        host = &other; // by somebody else
        break;
    default:
        forged.slots = ~forged.slots; // of all slots but those
        break;
    }
    pg_err err = __real_pg_lease_receipt_encode(host, &forged, out);
    pg_identity_deinit(&other);
    tell("receipt", "forged");
    return err;
}

pg_err __wrap_pg_lease_grant_decode(pg_bytes in, pg_lease_grant *out_grant)
{
    PG_TRY(__real_pg_lease_grant_decode(in, out_grant));
    if (now_mode != MODE_REPLAY && seen_count < GRANTS_MAX) {
        seen_grant *grant = &seen[seen_count++];
        memcpy(grant->encoded, in.ptr, in.len);
        grant->len = in.len;
        grant->grant = *out_grant;
    }
    return PG_OK;
}

// ---- How it answers

/** A stream whose writes are lost, or trickle. */
typedef struct lazy_stream {
    pg_stream base;
    pg_stream *inner;
} lazy_stream;

static pg_err lazy_read(pg_stream *stream, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    return pg_stream_read(((lazy_stream *) stream)->inner, space, deadline, out_len);
}

static pg_err lazy_write(pg_stream *stream, const pg_bytes *parts, size_t part_count,
                         pg_time deadline)
{
    pg_stream *inner = ((lazy_stream *) stream)->inner;
    if (now_mode == MODE_SILENT) {
        return PG_OK;
    }
    if (now_mode != MODE_DRIP) {
        return pg_stream_writev(inner, parts, part_count, deadline);
    }
    for (size_t i = 0; i < part_count; i++) {
        for (size_t at = 0; at < parts[i].len; at++) {
            PG_TRY(pg_sleep_until(pg_after(PG_SECONDS(DRIP_S))));
            PG_TRY(pg_stream_write(inner, pg_bytes_make(parts[i].ptr + at, 1), PG_FOREVER));
        }
    }
    return PG_OK;
}

static pg_err lazy_close_write(pg_stream *stream, pg_time deadline)
{
    return now_mode == MODE_SILENT
               ? PG_OK
               : pg_stream_close_write(((lazy_stream *) stream)->inner, deadline);
}

static void lazy_reset(pg_stream *stream)
{
    pg_stream_reset(((lazy_stream *) stream)->inner);
}

static void lazy_free(pg_stream *stream)
{
    pg_stream_free(&((lazy_stream *) stream)->inner);
    pg_mfree(stream);
}

static const pg_stream_ops lazy_ops = {lazy_read, lazy_write, lazy_close_write, lazy_reset,
                                       lazy_free};

/** The handlers of the protocols about blocks, as they were given. */
static pg_net_protocol served[2];
static size_t served_count;

static pg_err on_stream(pg_net_stream_ctx *ctx)
{
    const pg_net_protocol *protocol = ctx->user;
    lazy_stream stream = {{&lazy_ops}, ctx->stream};
    pg_net_stream_ctx own = *ctx;
    own.stream = &stream.base;
    own.user = protocol->user;
    return protocol->handler(&own);
}

pg_err __wrap_pg_host_serve(pg_host *host, const pg_net_protocol *protocol)
{
    if (strcmp(protocol->id, PG_PLACE_ID) != 0 && strcmp(protocol->id, PG_BITSWAP_ID) != 0) {
        return __real_pg_host_serve(host, protocol);
    }
    pg_assert(served_count < PG_ARRAY_LEN(served));
    served[served_count] = *protocol;
    pg_net_protocol own = *protocol;
    own.handler = on_stream;
    own.user = &served[served_count++];
    return __real_pg_host_serve(host, &own);
}

pg_err __wrap_pg_host_open_stream(pg_host *host, const pg_peer_id *peer, const char *const *ids,
                                  pg_time deadline, pg_stream **out_stream,
                                  const char **out_protocol)
{
    pg_stream *stream = NULL;
    PG_TRY(__real_pg_host_open_stream(host, peer, ids, deadline, &stream, out_protocol));
    if (strcmp(ids[0], PG_BITSWAP_ID) != 0) {
        *out_stream = stream;
        return PG_OK;
    }
    lazy_stream *lazy = PG_NEW(lazy_stream);
    if (lazy == NULL) {
        pg_stream_free(&stream);
        return PG_ERR_NOMEM;
    }
    *lazy = (lazy_stream){{&lazy_ops}, stream};
    *out_stream = &lazy->base;
    return PG_OK;
}

// ---- What it tries with other hosts

static void grant_send(const pg_peer_id *peer, const uint8_t *lease_key, pg_bytes grant,
                       const char *what)
{
    pg_place_session *session = NULL;
    pg_lease_receipt receipt = {.slots = 0};
    const pg_place_commit commit = {.grant = grant, .slots = 1};
    pg_time deadline = pg_after(PG_SECONDS(10));
    pg_err err = pg_place_open(config.host, peer, lease_key, 0, deadline, &session);
    if (err == PG_OK) {
        err = pg_place_commit_send(session, &commit, deadline, &receipt, NULL, NULL);
    }
    pg_place_session_free(&session);
    tell(what, pg_err_name(err));
}

// Grants of a key of our own for somebody's extent: to keep it, and to drop it, in a session under our key and under his.
static void forged_send(const pg_peer_id *peer, const seen_grant *of)
{
    pg_identity own;
    pg_key seed;
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    if (pg_identity_init(&own, &seed) != PG_OK) {
        return;
    }
    pg_lease_grant grant = of->grant;
    grant.sequence += 1000;
    for (int drops = 0; drops < 2; drops++) {
        pg_buf encoded = {0};
        grant.expiry_s = drops == 1 ? 0 : of->grant.expiry_s;
        if (pg_lease_grant_encode(&own, &grant, &encoded) == PG_OK) {
            grant_send(peer, of->grant.lease_key, pg_buf_bytes(&encoded), "forged-foreign");
            grant_send(peer, own.public_key, pg_buf_bytes(&encoded),
                       drops == 1 ? "forged-drop" : "forged-keep");
        }
        pg_buf_deinit(&encoded);
    }
    pg_identity_deinit(&own);
}

/** Peers that are connected. */
typedef struct peer_list {
    pg_peer_id ids[64];
    size_t count;
} peer_list;

static void on_conn(const pg_host_conn *conn, void *user)
{
    peer_list *self = user;
    if (self->count < PG_ARRAY_LEN(self->ids)) {
        self->ids[self->count++] = *conn->info.peer;
    }
}

static void replay(void)
{
    peer_list peers = {.count = 0};
    pg_host_conns_each(config.host, on_conn, &peers);
    for (size_t i = 0; i < peers.count; i++) {
        for (size_t g = 0; g < seen_count; g++) {
            if (seen[g].grant.expiry_s != 0 && !seen[g].grant.is_whole) {
                bool is_latest = g + 1 == seen_count;
                grant_send(&peers.ids[i], seen[g].grant.lease_key,
                           pg_bytes_make(seen[g].encoded, seen[g].len),
                           is_latest ? "repeated" : "replayed");
                forged_send(&peers.ids[i], &seen[g]);
            }
        }
    }
}

// ---- What it is told

static mode mode_read(void)
{
    char word[32] = "";
    FILE *in = fopen(getenv("PG_HOSTILE"), "r");
    if (in != NULL) {
        if (fscanf(in, "%31s", word) != 1) {
            word[0] = '\0';
        }
        (void) fclose(in);
    }
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(word, mode_names[i]) == 0) {
            return (mode) i;
        }
    }
    return now_mode;
}

static pg_err control_run(void *arg)
{
    (void) arg;
    for (;;) {
        mode next = mode_read();
        if (next != now_mode) {
            now_mode = next;
            if (next == MODE_DISCARD) {
                PG_TRY(pg_block_store_walk(config.blocks, on_discard, config.blocks));
            } else if (next == MODE_REPLAY) {
                replay();
            }
            tell("now", mode_names[next]);
        }
        PG_TRY(pg_sleep_until(pg_after(PG_MS(LOOK_MS))));
    }
}

pg_err __wrap_pg_place_server_new(const pg_place_server_config *settings,
                                  pg_place_server **out_server)
{
    pg_assert(getenv("PG_HOSTILE") != NULL);
    config = *settings;
    now_mode = mode_read();
    PG_TRY(__real_pg_place_server_new(settings, out_server));
    pg_scope_init_tolerant(&control);
    return pg_scope_spawn(&control, "hostile", control_run, NULL);
}

void __wrap_pg_place_server_free(pg_place_server **server)
{
    if (*server != NULL) {
        pg_scope_close(&control);
    }
    pg_buf_deinit(&foreign);
    __real_pg_place_server_free(server);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

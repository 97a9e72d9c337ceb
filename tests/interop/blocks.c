// SPDX-License-Identifier: Apache-2.0
// A node with a block store and Bitswap for the interoperability tests, told what to do line by line on standard input; each line is
// answered by one JSON object on standard output. The first object says who it is and where it listens.
//
//      blocks FOLDER
//
//      dial ADDR                          be connected, and wait for identify
//      put HASH FIRST COUNT BYTES         make blocks of known content and announce them; HASH is sha2-256, blake3, or v0 (sha2-256 in a
//                                         version 0 CID, dag-pb)
//      get PEER HASH FIRST COUNT BYTES    fetch such blocks, 32 at once, and compare them
//      any HASH FIRST BYTES               fetch one from whoever has it
//      ask PEER HASH FIRST COUNT BYTES    ask which of them the peer has
//      stats
//
// Byte i of block n: x_0 = n, x_(i+1) = x_i * 1664525 + 1013904223 (mod 2^32), the upper eight bits of x_(i+1).
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "crypto/identity.h"
#include "crypto/peer_id_text.h"
#include "exchange/bitswap.h"
#include "exchange/limits.h"
#include "net/host.h"
#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define STEP_TIMEOUT PG_SECONDS(60)
#define LINE_BYTES_MAX 512
#define FIBERS 32

struct session {
    const char *folder;
    pg_host *host;
    pg_block_store *blocks;
    pg_bitswap *bitswap;
    pg_buf answer; // members of the answer's object
};

/** What a line asks for. */
typedef struct request {
    struct session *session;
    pg_str hash;
    pg_peer_id peer;
    uint64_t first;
    uint64_t count;
    uint64_t bytes;
    uint64_t next; // of several fibers
} request;

// ---- Blocks

static pg_err block_make(const request *it, uint64_t number, pg_buf *out, pg_cid *out_cid)
{
    uint8_t *space = NULL;
    uint32_t x = (uint32_t) number;
    PG_TRY(pg_buf_extend(out, (size_t) it->bytes, &space));
    for (uint64_t i = 0; i < it->bytes; i++) {
        x = x * 1664525U + 1013904223U;
        space[i] = (uint8_t) (x >> 24);
    }
    pg_bytes bytes = pg_buf_bytes(out);
    if (pg_str_equal(it->hash, PG_STR("blake3"))) {
        *out_cid = pg_cid_of_blake3(bytes);
        return PG_OK;
    }
    *out_cid = pg_cid_of_sha256(bytes);
    if (pg_str_equal(it->hash, PG_STR("v0"))) {
        pg_multihash hash = pg_cid_multihash(out_cid);
        return pg_cid_make_v0(&hash, out_cid);
    }
    return pg_str_equal(it->hash, PG_STR("sha2-256"))
               ? PG_OK
               : pg_fail(PG_ERR_INVALID, "no hash '%.*s'", PG_STR_ARGS(it->hash));
}

static pg_err block_put(const request *it, uint64_t number)
{
    pg_buf block = {0};
    pg_cid cid;
    pg_err err = block_make(it, number, &block, &cid);
    if (err == PG_OK) {
        err = pg_block_store_put(it->session->blocks, &cid, pg_buf_bytes(&block));
    }
    if (err == PG_OK) {
        pg_bitswap_announce(it->session->bitswap, &cid);
    }
    pg_buf_deinit(&block);
    return err;
}

// Fetch one block, from `peer` or (NULL) anybody.
static pg_err block_get(const request *it, const pg_peer_id *peer, uint64_t number)
{
    pg_buf block = {0};
    pg_buf got = {0};
    pg_cid cid;
    pg_bitswap *bitswap = it->session->bitswap;
    pg_err err = block_make(it, number, &block, &cid);
    if (err == PG_OK) {
        err = peer != NULL
                  ? pg_bitswap_fetch(bitswap, peer, &cid, pg_after(STEP_TIMEOUT), &got)
                  : pg_bitswap_fetch_any(bitswap, NULL, &cid, pg_after(STEP_TIMEOUT), &got, NULL);
    }
    if (err == PG_OK && !pg_bytes_equal(pg_buf_bytes(&block), pg_buf_bytes(&got))) {
        err = pg_fail(PG_ERR_CORRUPT, "block %" PRIu64 " differs", number);
    }
    pg_buf_deinit(&block);
    pg_buf_deinit(&got);
    return err;
}

// ---- Steps

static pg_err step_put(request *it)
{
    for (uint64_t i = 0; i < it->count; i++) {
        PG_TRY(block_put(it, it->first + i));
    }
    return PG_OK;
}

static pg_err get_run(void *arg)
{
    request *it = arg;
    while (it->next < it->count) {
        PG_TRY(block_get(it, &it->peer, it->first + it->next++));
    }
    return PG_OK;
}

static pg_err step_get(request *it)
{
    pg_scope scope;
    pg_err err = PG_OK;
    pg_scope_init(&scope);
    for (size_t i = 0; i < FIBERS && i < it->count && err == PG_OK; i++) {
        err = pg_scope_spawn(&scope, "interop.get", get_run, it);
    }
    pg_err joined = pg_scope_join(&scope);
    return err == PG_OK ? joined : err;
}

static pg_err step_any(request *it)
{
    return block_get(it, NULL, it->first);
}

static pg_err step_ask(request *it)
{
    if (it->count > PG_BITSWAP_WANTS_MAX) {
        return pg_fail(PG_ERR_INVALID, "at most %u", PG_BITSWAP_WANTS_MAX);
    }
    pg_cid *cids = pg_calloc(it->count, sizeof(pg_cid));
    bool *has = pg_calloc(it->count, sizeof(bool));
    pg_err err = cids == NULL || has == NULL ? PG_ERR_NOMEM : PG_OK;
    for (uint64_t i = 0; i < it->count && err == PG_OK; i++) {
        pg_buf block = {0};
        err = block_make(it, it->first + i, &block, &cids[i]);
        pg_buf_deinit(&block);
    }
    if (err == PG_OK) {
        err = pg_bitswap_ask(it->session->bitswap, &it->peer, cids, it->count,
                             pg_after(STEP_TIMEOUT), has);
    }
    uint64_t count = 0;
    for (uint64_t i = 0; i < it->count && err == PG_OK; i++) {
        count += has[i] ? 1U : 0U;
    }
    pg_mfree(cids);
    pg_mfree(has);
    return err == PG_OK ? pg_buf_printf(&it->session->answer, ",\"has\":%" PRIu64, count) : err;
}

static pg_err step_stats(request *it)
{
    pg_bitswap_stats stats = pg_bitswap_get_stats(it->session->bitswap);
    return pg_buf_printf(&it->session->answer,
                         ",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"refused\":%" PRIu64
                         ",\"held\":%" PRIu32 ",\"unserved\":%" PRIu64 ",\"offences\":%" PRIu64,
                         stats.blocks_sent, stats.blocks_received, stats.blocks_refused,
                         stats.wants_held, stats.wants_unserved,
                         pg_host_get_stats(it->session->host).offences);
}

static pg_err step_dial(struct session *session, pg_str text)
{
    pg_multiaddr addr;
    pg_id conn = 0;
    PG_TRY(pg_multiaddr_parse(text, &addr));
    PG_TRY(pg_host_dial(session->host, &addr, NULL, pg_after(STEP_TIMEOUT), &conn));
    return pg_host_await_identify(session->host, conn, pg_after(STEP_TIMEOUT));
}

// ---- Lines

static const struct {
    const char *name;
    const char *words; // what follows: p a peer, h a hash, f c b numbers
    pg_err (*run)(request *it);
} steps[] = {
    {"put", "hfcb", step_put},  {"get", "phfcb", step_get}, {"any", "hfb", step_any},
    {"ask", "phfcb", step_ask}, {"stats", "", step_stats},
};

static pg_err word_take(request *it, char kind, pg_str word)
{
    if (kind == 'h') {
        it->hash = word;
        return PG_OK;
    }
    if (kind == 'p') {
        return pg_peer_id_parse(word, &it->peer);
    }
    uint64_t *number = kind == 'f' ? &it->first : kind == 'c' ? &it->count : &it->bytes;
    return pg_str_to_u64(word, UINT32_MAX, number);
}

static pg_err line_run(struct session *session, pg_str line)
{
    pg_str name;
    pg_str rest = pg_str_split(line, ' ', &name);
    if (pg_str_equal(name, PG_STR("dial"))) {
        return step_dial(session, rest);
    }
    request it = {.session = session};
    for (size_t i = 0; i < PG_ARRAY_LEN(steps); i++) {
        if (!pg_str_equal(name, pg_str_make(steps[i].name))) {
            continue;
        }
        for (const char *kind = steps[i].words; *kind != '\0'; kind++) {
            pg_str word;
            rest = pg_str_split(rest, ' ', &word);
            PG_TRY(word_take(&it, *kind, word));
        }
        return steps[i].run(&it);
    }
    return pg_fail(PG_ERR_INVALID, "no step '%.*s'", PG_STR_ARGS(name));
}

// Read a line, byte by byte: a pipe is read until the space is full. *out_more false: the input has ended.
static pg_err line_read(pg_file *in, pg_buf *line, bool *out_more)
{
    pg_buf_clear(line);
    for (;;) {
        uint8_t byte = 0;
        size_t len = 0;
        PG_TRY(pg_file_read(in, pg_mut_bytes_make(&byte, 1), &len));
        *out_more = len > 0;
        if (len == 0 || byte == '\n') {
            return PG_OK;
        }
        PG_TRY(pg_buf_append(line, pg_bytes_make(&byte, 1)));
    }
}

static pg_err lines_run(struct session *session)
{
    pg_file *in = NULL;
    pg_buf line = {.max_len = LINE_BYTES_MAX};
    bool has_more = true;
    PG_TRY(pg_file_from_fd(0, &in));
    pg_err err = line_read(in, &line, &has_more);
    while (err == PG_OK && has_more) {
        pg_buf_clear(&session->answer);
        pg_err result = line_run(session, pg_buf_str(&line));
        if (result == PG_OK) {
            (void) printf("{\"ok\":true%.*s}\n", PG_STR_ARGS(pg_buf_str(&session->answer)));
        } else {
            (void) printf("{\"ok\":false,\"error\":\"%s\"}\n", pg_err_name(result));
            (void) fprintf(stderr, "blocks: %.*s: %s\n", PG_STR_ARGS(pg_buf_str(&line)),
                           pg_error_detail(result));
        }
        (void) fflush(stdout);
        err = line_read(in, &line, &has_more);
    }
    pg_buf_deinit(&line);
    pg_file_free(&in);
    return err;
}

// ---- The node

static pg_err hello_say(struct session *session)
{
    char id[PG_PEER_ID_TEXT_BYTES];
    char addr[PG_MULTIADDR_TEXT_BYTES];
    pg_multiaddr addrs[PG_NET_ADVERTISED_MAX];
    if (pg_host_addrs(session->host, addrs) == 0) {
        return pg_fail(PG_ERR_BUG, "no address");
    }
    pg_peer_id_format(pg_host_id(session->host), id);
    pg_multiaddr_format(&addrs[0], addr);
    (void) printf("{\"peerId\":\"%s\",\"addrs\":[\"%s/p2p/%s\"]}\n", id, addr, id);
    (void) fflush(stdout);
    return PG_OK;
}

static pg_err session_run(struct session *session)
{
    static const pg_key key = {.bytes = {1}};
    pg_multiaddr listen;
    const pg_block_store_config config = {
        .dir = session->folder, .quota_bytes = UINT64_C(4) << 30, .key = &key};
    PG_TRY(pg_multiaddr_parse(PG_STR("/ip4/127.0.0.1/tcp/0"), &listen));
    PG_TRY(pg_block_store_open(&config, &session->blocks));
    PG_TRY(pg_bitswap_new(session->host, session->blocks, &session->bitswap));
    PG_TRY(pg_host_listen(session->host, &listen));
    PG_TRY(hello_say(session));
    return lines_run(session);
}

static pg_err blocks_main(void *arg)
{
    struct session *session = arg;
    pg_identity identity;
    pg_key seed PG_CLEANUP(pg_key_wipe) = {0};
    pg_random_bytes(PG_MUT_BYTES_OF(seed.bytes));
    PG_TRY(pg_identity_init(&identity, &seed));
    pg_host_config config = pg_host_config_default(&identity);
    pg_err err = pg_host_new(&config, &session->host);
    if (err == PG_OK) {
        err = session_run(session);
        pg_bitswap_free(&session->bitswap);
        pg_block_store_close(&session->blocks);
        pg_host_close(session->host, pg_after(PG_SECONDS(2)));
    }
    pg_host_free(&session->host);
    pg_identity_deinit(&identity);
    pg_buf_deinit(&session->answer);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void) fprintf(stderr, "usage: blocks FOLDER\n");
        return 2;
    }
    struct session session = {.folder = argv[1]};
    pg_err err = pg_runtime_run(NULL, blocks_main, &session);
    if (err != PG_OK) {
        (void) fprintf(stderr, "blocks: %s\n", pg_error_detail(err));
        return 1;
    }
    return 0;
}

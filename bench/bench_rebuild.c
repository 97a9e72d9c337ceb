// SPDX-License-Identifier: Apache-2.0
// What a repair computes: two lost slots of an extent from the other eight, as src/files/rebuild.c does it, against the sum of the stages of
// decoding and encoding the same bytes measured alone in the same run: a copy, the digests of eight shards, restoring two lost data
// shards, the parity anew, the digests of what was made. The shards are in a block store, in the page cache, so that reading and checking
// them as the store does is part of the repair. CPU seconds of one thread; what the network costs is bench_repair.py's. And what an audit costs both
// sides, without reading the shard.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "codec/rs.h"
#include "crypto/hash.h"
#include "files/audit_msg.h"
#include "files/encode.h"
#include "files/rebuild.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define SEGMENTS 16U
#define SEGMENT_BYTES (8U << 20)
#define FILE_BYTES ((size_t) SEGMENTS * SEGMENT_BYTES)
#define SHARDS 10U
#define LOST ((pg_slot_set) 0x3) // slots 0 and 1

/** The extent. */
static struct {
    char folder[64];
    pg_key key;
    pg_block_store *blocks;
    pg_buf descriptor;
    pg_descriptor read;
    uint32_t segment; // being put
    size_t given;     // bytes
    uint8_t *rows[SHARDS];
    uint8_t *work;
    size_t shard_bytes;
    pg_rs *rs;
    pg_identity holder;
    uint8_t zeros[PG_AUDIT_BLOCK_BYTES];
} extent;

static void check(pg_err err)
{
    pg_assert(err == PG_OK);
}

// Only the slots that are left are stored.
static pg_err on_put_shards(const pg_shard *shards, unsigned count, void *user)
{
    (void) user;
    for (unsigned slot = 0; slot < count; slot++) {
        unsigned shard = pg_code_shard_of_slot(PG_CODE_DEFAULT, extent.segment, slot);
        if ((LOST >> slot & 1) == 0) {
            PG_TRY(pg_block_store_put(extent.blocks, &shards[shard].cid, shards[shard].bytes));
        }
        memcpy(extent.rows[shard], shards[shard].bytes.ptr, shards[shard].bytes.len);
        extent.shard_bytes = shards[shard].bytes.len;
    }
    extent.segment++;
    return PG_OK;
}

static pg_err on_put_descriptor(pg_bytes block, pg_extent *made, void *user)
{
    (void) made;
    (void) user;
    return pg_buf_append(&extent.descriptor, block);
}

static pg_err on_put_root(pg_bytes block, const pg_cid *cid, void *user)
{
    (void) block;
    (void) cid;
    (void) user;
    return PG_OK;
}

static pg_err encode_run(void *arg)
{
    const pg_files_encoding encoding = {
        .code = PG_CODE_DEFAULT, .file_key = &extent.key, .random = pg_random_bytes};
    pg_bytes rest = {arg, FILE_BYTES};
    const pg_files_source source = pg_files_source_of(&rest);
    const pg_files_sink sink = {
        .put_shards = on_put_shards, .put_descriptor = on_put_descriptor, .put_root = on_put_root};
    const pg_block_store_config config = {
        .dir = extent.folder, .quota_bytes = 1 << 30, .key = &extent.key};
    pg_files_encoded encoded;
    PG_TRY(pg_block_store_open(&config, &extent.blocks));
    pg_err err = pg_files_encode_stream(&encoding, &source, &sink, &encoded);
    pg_block_store_close(&extent.blocks);
    return err;
}

static pg_err on_shard(unsigned slot, const pg_cid *cid, pg_bytes shard, void *user)
{
    (void) cid;
    (void) user;
    pg_assert((LOST >> slot & 1) != 0);
    extent.given += shard.len;
    return PG_OK;
}

static pg_err rebuild_run(void *arg)
{
    (void) arg;
    const pg_block_store_config config = {
        .dir = extent.folder, .quota_bytes = 1 << 30, .key = &extent.key};
    PG_TRY(pg_block_store_open(&config, &extent.blocks));
    const pg_rebuild rebuild = {
        .blocks = extent.blocks, .descriptor = &extent.read, .give = on_shard};
    pg_err err = pg_rebuild_slots(&rebuild, LOST);
    pg_block_store_close(&extent.blocks);
    return err;
}

static void rebuild_case(void *user)
{
    static const pg_runtime_config one_thread = {.cpu_threads = 1};
    (void) user;
    extent.given = 0;
    check(pg_runtime_run(&one_thread, rebuild_run, NULL));
    pg_assert(extent.given == 2 * SEGMENTS * extent.shard_bytes);
}

/** Decoding and encoding, on this thread: the data from eight shards, and the parity from the data. */
static void stages_case(void *user)
{
    size_t len = extent.shard_bytes;
    uint8_t digest[PG_HASH_BYTES];
    (void) user;
    for (unsigned g = 0; g < SEGMENTS; g++) {
        const uint8_t *have[SHARDS] = {NULL};
        uint8_t *want[SHARDS] = {NULL};
        const uint8_t *data[8];
        uint8_t *parity[2] = {extent.work + 8 * len, extent.work + 9 * len};
        for (unsigned i = 0; i < SHARDS; i++) {
            uint8_t *row = extent.work + i * len;
            if (i < 2) {
                want[i] = row;
            } else {
                have[i] = row;
                memcpy(row, extent.rows[i], len);
                pg_blake3(pg_bytes_make(row, len), digest);
            }
        }
        check(pg_rs_reconstruct(extent.rs, len, have, want));
        for (unsigned i = 0; i < 8; i++) {
            data[i] = extent.work + i * len;
        }
        check(pg_rs_encode(extent.rs, len, data, parity));
        for (unsigned i = 0; i < 2; i++) {
            pg_blake3(pg_bytes_make(want[i], len), digest);
        }
    }
}

// ---- Audits

/** What a holder does for one challenge, the reading left out: a sum over its shard, and a signature. */
static void answer_case(void *user)
{
    pg_audit_statement *statement = user;
    pg_buf encoded PG_CLEANUP(pg_buf_deinit) = {0};
    pg_audit_challenge challenge = {.auditor = pg_peer_id_bytes(&statement->auditor)};
    pg_audit_compute(&challenge, pg_bytes_make(extent.rows[0], extent.shard_bytes),
                     statement->answer.sum);
    check(pg_audit_statement_encode(&extent.holder, statement, &encoded));
}

/** What an auditor does with ten answers: ten signatures, and whether they fit together. */
static void judge_case(void *user)
{
    static pg_audit_statement statement;
    const uint8_t *answers[SHARDS];
    pg_rs_verdict verdict;
    for (unsigned i = 0; i < SHARDS; i++) {
        check(pg_audit_statement_decode(pg_buf_bytes(user), &statement));
        answers[i] = extent.zeros; // nothing at all is a codeword, too
    }
    check(pg_audit_judge(PG_CODE_DEFAULT, answers, &verdict));
    pg_assert(verdict.finding == PG_RS_FINDING_CONSISTENT);
}

int main(int argc, char **argv)
{
    uint8_t *plain = bench_alloc(FILE_BYTES);
    bench_begin(argc, argv);
    memcpy(extent.folder, "/tmp/pangea-bench-rebuild-XXXXXX", 33);
    pg_assert(mkdtemp(extent.folder) != NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        extent.rows[i] = bench_alloc(PG_SHARD_BYTES_MAX);
    }
    extent.work = bench_alloc((size_t) SHARDS * PG_SHARD_BYTES_MAX);
    bench_fill_random(plain, FILE_BYTES, 1);
    check(pg_rs_new(8, 2, &extent.rs));
    check(pg_runtime_run(NULL, encode_run, plain));
    check(pg_descriptor_decode(pg_buf_bytes(&extent.descriptor), &extent.read));
    static pg_audit_statement statement;
    pg_buf encoded = {0};
    check(pg_identity_init(&extent.holder, &extent.key));
    statement.auditor = extent.holder.peer_id;
    statement.descriptor = pg_cid_of_blake3(pg_buf_bytes(&extent.descriptor));
    check(pg_audit_statement_encode(&extent.holder, &statement, &encoded));
    const bench_case cases[] = {
        {"decode and encode, the stages alone", FILE_BYTES, stages_case, NULL, NULL},
        {"rebuild two lost slots, one thread", FILE_BYTES, rebuild_case, NULL,
         "decode and encode, the stages alone"},
        {"answer an audit of one shard", (double) extent.shard_bytes, answer_case, &statement,
         NULL},
        {"judge ten answers", 0, judge_case, &encoded, NULL},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    bench_folder_remove(extent.folder);
    return 0;
}

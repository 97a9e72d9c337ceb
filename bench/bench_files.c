// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding through the real pipelines, with blocks in memory, against the sum of their own stages measured alone in
// the same run: reading (a copy from memory), compression or its probe, sealing, coding, digests; fetching (a copy), digests, restoring two
// lost shards, opening, decompression. On random bytes and on text, in CPU seconds and wall time on all cores.
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "codec/rs.h"
#include "codec/zstd.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "files/decode.h"
#include "files/encode.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

#define SEGMENTS 64U
#define SEGMENT_BYTES (8U << 20)
#define FILE_BYTES ((size_t) SEGMENTS * SEGMENT_BYTES)

/** The blocks of the last encoding. Shards stand in the order they came in, extent after extent. */
typedef struct blocks {
    uint8_t *shards; // [SEGMENTS][10][shard_bytes], row by row
    pg_cid cids[SEGMENTS * 10];
    uint8_t *rows[SEGMENTS * 10];
    size_t used;
    size_t count;
    pg_buf descriptor;
    pg_buf root;
} blocks;

/** One kind of content on its way, whole and stage by stage. */
typedef struct subject {
    uint8_t *plain;
    size_t read; // of plain
    bool keep;   // the blocks of this encoding
    blocks blocks;
    pg_key key;
    pg_files_encoded encoded;
    uint8_t *packed[SEGMENTS]; // each segment as it is sealed
    size_t packed_len[SEGMENTS];
    bool is_packed[SEGMENTS];
    uint8_t *segment;
    uint8_t *work; // one segment with its parity
    pg_aead aead;
    pg_rs *rs;
    pg_zstd *zstd;
    size_t written;
} subject;

static pg_err on_put_shards(const pg_shard *shards, unsigned count, void *user)
{
    subject *s = user;
    blocks *to = &s->blocks;
    for (unsigned i = 0; s->keep && i < count; i++) {
        to->rows[to->count] = to->shards + to->used;
        to->cids[to->count++] = shards[i].cid;
        memcpy(to->shards + to->used, shards[i].bytes.ptr, shards[i].bytes.len);
        to->used += shards[i].bytes.len;
    }
    return PG_OK;
}

static pg_err on_put_descriptor(pg_bytes block, pg_extent *extent, void *user)
{
    (void) extent;
    subject *s = user;
    return s->keep ? pg_buf_append(&s->blocks.descriptor, block) : PG_OK;
}

static pg_err on_put_root(pg_bytes block, const pg_cid *cid, void *user)
{
    (void) cid;
    subject *s = user;
    return s->keep ? pg_buf_append(&s->blocks.root, block) : PG_OK;
}

static pg_err on_get_block(const pg_cid *cid, const pg_extent *extent, pg_buf *out, void *user)
{
    (void) extent;
    subject *s = user;
    bool is_root = pg_cid_equal(cid, &s->encoded.root);
    return pg_buf_append(out, pg_buf_bytes(is_root ? &s->blocks.root : &s->blocks.descriptor));
}

/** The two shards that bear data and are lost: as after the loss of two hosts. */
static bool is_lost(unsigned shard)
{
    return shard == 2 || shard == 5;
}

static pg_err on_get_shards(const pg_shards_want *want, pg_shard_set *out_got,
                            pg_shard_set *out_absent, void *user)
{
    const blocks *from = &((subject *) user)->blocks;
    (void) out_absent;
    for (unsigned i = 0; i < 10; i++) {
        if (!is_lost(i)) {
            memcpy(want->shards + (size_t) i * want->shard_bytes,
                   from->rows[want->segment * 10 + i], want->shard_bytes);
            *out_got |= (pg_shard_set) 1 << i;
        }
    }
    return PG_OK;
}

static pg_err on_write(pg_bytes bytes, void *user)
{
    subject *s = user;
    s->written += bytes.len;
    return memcmp(s->plain + s->written - bytes.len, bytes.ptr, 64) == 0 ? PG_OK : PG_ERR_CORRUPT;
}

static pg_err encode_run(void *arg)
{
    subject *s = arg;
    pg_files_encoding encoding = {
        .code = PG_CODE_DEFAULT, .file_key = &s->key, .random = pg_random_bytes};
    pg_bytes rest = {s->plain, FILE_BYTES};
    const pg_files_source source = pg_files_source_of(&rest);
    pg_files_sink sink = {.put_shards = on_put_shards,
                          .put_descriptor = on_put_descriptor,
                          .put_root = on_put_root,
                          .user = s};
    pg_files_encoded encoded;
    PG_TRY(pg_files_encode_stream(&encoding, &source, &sink, &encoded));
    s->encoded = s->keep ? encoded : s->encoded;
    s->keep = false;
    return PG_OK;
}

static pg_err decode_run(void *arg)
{
    subject *s = arg;
    pg_link link = {s->encoded.root, s->key};
    pg_files_store store = {.get_block = on_get_block, .get_shards = on_get_shards, .user = s};
    pg_files_output output = {NULL, on_write, s};
    s->written = 0;
    return pg_files_decode_stream(&link, 0, &store, &output);
}

static void check(pg_err err)
{
    pg_assert(err == PG_OK);
}

// The stages alone run on one core. Two cores that wait for one memory spend more CPU time on the same work, which is no
// fault of the pipeline: its ratio is taken with one thread in the pool, its speed with all.
static const pg_runtime_config one_thread = {.cpu_threads = 1};

static void encode_case(void *user)
{
    check(pg_runtime_run(NULL, encode_run, user));
}

static void encode_one_case(void *user)
{
    check(pg_runtime_run(&one_thread, encode_run, user));
}

static void decode_case(void *user)
{
    check(pg_runtime_run(NULL, decode_run, user));
}

static void decode_one_case(void *user)
{
    check(pg_runtime_run(&one_thread, decode_run, user));
}

/** Length of the shards that `packed_len` bytes become. */
static size_t shard_bytes(size_t packed_len)
{
    uint32_t padded = pg_segment_padded_bytes((uint32_t) packed_len, SEGMENT_BYTES, false);
    return pg_code_shard_bytes(PG_CODE_DEFAULT, padded + PG_AEAD_TAG_BYTES);
}

/** The stages of an encoding one after the other over all segments, on this thread: what it cannot do without. */
static void encode_stages(void *user)
{
    subject *s = user;
    uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
    uint8_t digest[PG_HASH_BYTES];
    for (unsigned g = 0; g < SEGMENTS; g++) {
        uint8_t *plain = s->segment;
        size_t len = SEGMENT_BYTES;
        memcpy(plain, s->plain + (size_t) g * SEGMENT_BYTES, len);
        if (pg_zstd_probe(s->zstd, pg_bytes_make(plain, len))) {
            check(pg_zstd_compress(s->zstd, PG_ZSTD_LEVEL_DEFAULT, pg_bytes_make(plain, len),
                                   pg_mut_bytes_make(s->packed[g], SEGMENT_BYTES), &len));
        }
        s->is_packed[g] = len < SEGMENT_BYTES;
        s->packed_len[g] = len;
        size_t shard = shard_bytes(len);
        size_t padded = pg_segment_padded_bytes((uint32_t) len, SEGMENT_BYTES, false);
        check(pg_aead_seal(&s->aead, nonce, PG_BYTES_EMPTY,
                           pg_bytes_make(s->is_packed[g] ? s->packed[g] : plain, padded), s->work));
        const uint8_t *data[8];
        uint8_t *parity[2] = {s->work + 8 * shard, s->work + 9 * shard};
        for (unsigned i = 0; i < 8; i++) {
            data[i] = s->work + i * shard;
        }
        check(pg_rs_encode(s->rs, shard, data, parity));
        for (unsigned i = 0; i < 10; i++) {
            pg_blake3(pg_bytes_make(s->work + i * shard, shard), digest);
        }
    }
}

/** The stages of a decoding with two data shards lost: digests, inversion, opening, decompression. */
static void decode_stages(void *user)
{
    subject *s = user;
    uint8_t nonce[PG_AEAD_NONCE_BYTES] = {0};
    uint8_t digest[PG_HASH_BYTES];
    for (unsigned g = 0; g < SEGMENTS; g++) {
        size_t shard = shard_bytes(s->packed_len[g]);
        size_t padded = pg_segment_padded_bytes((uint32_t) s->packed_len[g], SEGMENT_BYTES, false);
        const uint8_t *have[10] = {NULL};
        uint8_t *want[10] = {NULL};
        for (unsigned i = 0; i < 10; i++) {
            uint8_t *row = s->work + i * shard;
            if (is_lost(i)) {
                want[i] = row;
            } else {
                have[i] = row;
                memcpy(row, s->blocks.rows[g * 10 + i], shard);
                pg_blake3(pg_bytes_make(row, shard), digest);
            }
        }
        check(pg_rs_reconstruct(s->rs, shard, have, want));
        // What is opened has no right tag here; opening costs what sealing costs.
        check(
            pg_aead_seal(&s->aead, nonce, PG_BYTES_EMPTY, pg_bytes_make(s->work, padded), s->work));
        if (s->is_packed[g]) {
            check(pg_zstd_decompress(s->zstd, pg_bytes_make(s->packed[g], s->packed_len[g]),
                                     pg_mut_bytes_make(s->segment, SEGMENT_BYTES)));
        }
    }
}

static void subject_init(subject *s)
{
    const pg_key key = {{1}};
    s->plain = bench_alloc(FILE_BYTES);
    s->segment = bench_alloc(SEGMENT_BYTES);
    s->work = bench_alloc(12 * (size_t) (1 << 20) + SEGMENT_BYTES);
    s->blocks.shards = bench_alloc(FILE_BYTES / 8 * 10 + FILE_BYTES / 64);
    for (unsigned g = 0; g < SEGMENTS; g++) {
        s->packed[g] = bench_alloc(SEGMENT_BYTES);
    }
    s->key = key;
    check(pg_aead_init(&s->aead, PG_AEAD_ALG_AES_256_GCM, &key));
    check(pg_rs_new(8, 2, &s->rs));
    check(pg_zstd_new(&s->zstd));
}

int main(int argc, char **argv)
{
    static subject random;
    static subject text;
    bench_begin(argc, argv);
    subject_init(&random);
    subject_init(&text);
    bench_fill_random(random.plain, FILE_BYTES, 1);
    bench_fill_text(text.plain, FILE_BYTES, 1);
    random.keep = true;
    text.keep = true;
    encode_stages(&random); // decode_stages needs what they make
    encode_stages(&text);
    encode_case(&random);
    encode_case(&text);
    const bench_case cases[] = {
        {"encode random, its stages alone", FILE_BYTES, encode_stages, &random, NULL},
        {"encode random, one thread", FILE_BYTES, encode_one_case, &random,
         "encode random, its stages alone"},
        {"encode random, all cores", FILE_BYTES, encode_case, &random, NULL},
        {"decode random, its stages alone", FILE_BYTES, decode_stages, &random, NULL},
        {"decode random, two lost, one thread", FILE_BYTES, decode_one_case, &random,
         "decode random, its stages alone"},
        {"decode random, two lost, all cores", FILE_BYTES, decode_case, &random, NULL},
        {"encode text, its stages alone", FILE_BYTES, encode_stages, &text, NULL},
        {"encode text, one thread", FILE_BYTES, encode_one_case, &text,
         "encode text, its stages alone"},
        {"encode text, all cores", FILE_BYTES, encode_case, &text, NULL},
        {"decode text, its stages alone", FILE_BYTES, decode_stages, &text, NULL},
        {"decode text, two lost, one thread", FILE_BYTES, decode_one_case, &text,
         "decode text, its stages alone"},
        {"decode text, two lost, all cores", FILE_BYTES, decode_case, &text, NULL},
    };
    bench_run(cases, PG_ARRAY_LEN(cases), NULL);
    return 0;
}

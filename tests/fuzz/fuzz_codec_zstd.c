// SPDX-License-Identifier: Apache-2.0
// Goal: no frame yields more than its declared length; what is compressed comes back; the probe reads in bounds.
// Input: two bytes of declared length, then a frame or plain text.
#include <string.h>

#include "base/mem.h"
#include "codec/zstd.h"
#include "fuzz.h"

static void check_round_trip(pg_zstd *zstd, pg_bytes plain)
{
    size_t cap = pg_zstd_bound(plain.len);
    uint8_t *stored = pg_malloc(cap);
    uint8_t *back = pg_malloc(plain.len);
    size_t len = 0;
    FUZZ_CHECK(stored != NULL && back != NULL);
    FUZZ_CHECK(pg_zstd_compress(zstd, 1, plain, pg_mut_bytes_make(stored, cap), &len) == PG_OK);
    FUZZ_CHECK(pg_zstd_decompress(zstd, pg_bytes_make(stored, len),
                                  pg_mut_bytes_make(back, plain.len)) == PG_OK);
    FUZZ_CHECK(pg_bytes_equal(plain, pg_bytes_make(back, plain.len)));
    pg_mfree(stored);
    pg_mfree(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_reader reader = pg_reader_make(pg_bytes_make(data, size));
    size_t declared = pg_reader_u16be(&reader);
    uint8_t *plain = pg_malloc(declared); // of its exact size, for AddressSanitizer
    pg_zstd *zstd = NULL;
    FUZZ_CHECK(plain != NULL && pg_zstd_new(&zstd) == PG_OK);
    pg_ignore(pg_zstd_decompress(zstd, reader.rest, pg_mut_bytes_make(plain, declared)),
              "only that it stays in bounds");
    check_round_trip(zstd, reader.rest);
    (void) pg_zstd_probe(zstd, reader.rest);
    pg_zstd_free(&zstd);
    pg_mfree(plain);
    return 0;
}

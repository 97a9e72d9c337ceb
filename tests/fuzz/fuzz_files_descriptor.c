// SPDX-License-Identifier: Apache-2.0
// Goal: what is read of a descriptor is within the limits that memory and shards are sized by.
#include "files/descriptor.h"
#include "files/limits.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pg_key key;
    pg_descriptor descriptor;
    if (pg_descriptor_decode(pg_bytes_make(data, size), &descriptor) == PG_OK) {
        FUZZ_CHECK(pg_code_check(descriptor.code.data, descriptor.code.parity) == PG_OK);
        FUZZ_CHECK(descriptor.segment_count >= 1);
        FUZZ_CHECK((uint64_t) descriptor.segment_count * descriptor.segment_bytes <=
                   PG_EXTENT_BYTES_MAX);
        for (uint32_t g = 0; g < descriptor.segment_count; g++) {
            FUZZ_CHECK(descriptor.segments[g].shard_bytes <= PG_SHARD_BYTES_MAX);
        }
        pg_err err = pg_descriptor_open(&descriptor, &key, 0);
        FUZZ_CHECK(err != PG_OK || descriptor.is_open);
        pg_descriptor_deinit(&descriptor);
    }
    return 0;
}

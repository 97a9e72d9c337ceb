// SPDX-License-Identifier: Apache-2.0
// Goal: an audit answer that is read is written again as the same bytes.
#include "files/audit.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pg_bytes in = pg_bytes_make(data, size);
    pg_audit_answer answer;
    pg_buf again = {0};
    if (pg_audit_answer_decode(in, &answer) == PG_OK) {
        FUZZ_CHECK(pg_audit_answer_encode(&answer, &again) == PG_OK);
        FUZZ_CHECK(pg_bytes_equal(pg_buf_bytes(&again), in));
        pg_buf_deinit(&again);
    }
    return 0;
}

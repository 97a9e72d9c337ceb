// SPDX-License-Identifier: Apache-2.0
// Goal: a header of a backup is refused or is what would be written, and names nothing but what a backup may hold; so is its list, of any
// content. The first byte says which; what was sealed opens only under its key.
#include <string.h>

#include "fuzz.h"
#include "node/backup_format.h"
#include "store/limits.h"

static const pg_key key = {.bytes = {1}};

static void check_header(const uint8_t *data, size_t size)
{
    uint8_t block[PG_BACKUP_BLOCK_BYTES] = {0};
    uint8_t again[PG_BACKUP_BLOCK_BYTES];
    pg_backup_entry entry;
    uint64_t made_s = 0;
    bool is_end = false;
    memcpy(block, data, size < sizeof(block) ? size : sizeof(block));
    if (pg_backup_header_decode(block, &entry, &made_s, &is_end) != PG_OK || is_end) {
        return;
    }
    FUZZ_CHECK(entry.kind < PG_BACKUP_KIND_COUNT && entry.size_bytes <= PG_BACKUP_ENTRY_BYTES_MAX);
    FUZZ_CHECK(entry.offset < PG_PACK_BYTES_MAX && entry.offset % PG_BLOCK_UNIT_BYTES == 0);
    FUZZ_CHECK(pg_backup_header_encode(&entry, made_s, again) == PG_OK);
    FUZZ_CHECK(memcmp(block, again, sizeof(block)) == 0);
}

static void check_list(pg_bytes in)
{
    pg_backup_head head;
    pg_str lines;
    pg_buf again = {0};
    if (pg_backup_list_decode(in, &head, &lines) == PG_OK) {
        FUZZ_CHECK(pg_backup_head_write(&head, &again) == PG_OK);
        FUZZ_CHECK(again.len + lines.len < in.len && lines.ptr >= (const char *) in.ptr);
        FUZZ_CHECK(pg_buf_append(&again, pg_bytes_make(lines.ptr, lines.len)) == PG_OK);
        FUZZ_CHECK(pg_backup_mac_write(&key, &again) == PG_OK);
        FUZZ_CHECK(pg_backup_mac_check(&key, pg_buf_bytes(&again)) == PG_OK);
        again.ptr[0] ^= 1;
        FUZZ_CHECK(pg_backup_mac_check(&key, pg_buf_bytes(&again)) == PG_ERR_AUTH);
    }
    pg_buf_deinit(&again);
}

static void check_sealed(pg_bytes in)
{
    const pg_backup_keys keys = {key, key};
    pg_buf out = {0};
    FUZZ_CHECK(pg_backup_open(&keys, PG_BACKUP_KIND_SETTINGS, in, &out) != PG_OK && out.len == 0);
    pg_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0) {
        pg_bytes rest = pg_bytes_make(data + 1, size - 1);
        if (data[0] % 3 == 0) {
            check_header(rest.ptr, rest.len);
        } else if (data[0] % 3 == 1) {
            check_list(rest);
        } else {
            check_sealed(rest);
        }
    }
    return 0;
}

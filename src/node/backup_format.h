// SPDX-License-Identifier: Apache-2.0
// How a backup looks: a tar archive of ordinary files whose last one lists the others with their digests, authenticated under the
// owner's secret. Pure: headers, names and the list; the files are read and written elsewhere (backup.h).
//
// Layer: node.  Thread: any.  Spec: docs/protocols/backup.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

/** A header of the archive, and what contents are filled up to. */
#define PG_BACKUP_BLOCK_BYTES 512U

/** A name, bytes without its NUL. */
#define PG_BACKUP_NAME_BYTES_MAX 99

/** One entry: what the header of a tar can say. */
#define PG_BACKUP_ENTRY_BYTES_MAX ((UINT64_C(1) << 33) - 1)

/** Entries of one backup: 64 for each of 16,000 full pack files, 4 TiB. */
#define PG_BACKUP_ENTRIES_MAX 1000000U

/** The list of them, bytes. */
#define PG_BACKUP_LIST_BYTES_MAX (160U << 20)

/** The file with the settings, or with the network's key. */
#define PG_BACKUP_SEALED_BYTES_MAX (256U << 10)

/** What an entry is. */
typedef enum pg_backup_kind {
    PG_BACKUP_KIND_IDENTITY,    // the keystore, as it is
    PG_BACKUP_KIND_SETTINGS,    // pangea.conf, sealed
    PG_BACKUP_KIND_NETWORK_KEY, // its name and a newline, then its content; sealed
    PG_BACKUP_KIND_DATABASE,    // sealed as ever
    PG_BACKUP_KIND_STORE,       // the file that names the block store
    PG_BACKUP_KIND_PACK,        // a part of a pack file
    PG_BACKUP_KIND_LIST,        // the last one
    PG_BACKUP_KIND_COUNT,
} pg_backup_kind;

/** One entry. */
typedef struct pg_backup_entry {
    pg_backup_kind kind;
    uint32_t pack;       // of PACK: number of the file
    uint64_t offset;     // of PACK: where in it, a multiple of 4,096 below 2^28
    uint64_t size_bytes; // of the content
} pg_backup_entry;

/** Write the header of an entry, made at `made_s` (below 2^33). Errors: PG_ERR_LIMIT (too large). */
PG_NODISCARD pg_err pg_backup_header_encode(const pg_backup_entry *entry, uint64_t made_s,
                                            uint8_t out[PG_BACKUP_BLOCK_BYTES]);

/** Read a header: one that pg_backup_header_encode would not have written is refused. *out_is_end: two blocks of zeros end an
 *  archive, this is one. Errors: PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (a name of a later version, which is told). */
PG_NODISCARD pg_err pg_backup_header_decode(const uint8_t in[PG_BACKUP_BLOCK_BYTES],
                                            pg_backup_entry *out_entry, uint64_t *out_made_s,
                                            bool *out_is_end);

/** Write the name of an entry inside the archive, and a NUL. */
void pg_backup_name_format(const pg_backup_entry *entry, char out[PG_BACKUP_NAME_BYTES_MAX + 1]);

/** What stands before the list. Texts are borrowed from what was read. */
typedef struct pg_backup_head {
    uint64_t made_s; // wall clock
    uint64_t schema; // of the database; 0 = there is none
    pg_str device;   // PeerId of the node, as text
    pg_str program;  // version that made it
} pg_backup_head;

/** Append the head. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_backup_head_write(const pg_backup_head *head, pg_buf *out);

/** Append the line of one entry. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_backup_line_write(const pg_backup_entry *entry,
                                         const uint8_t digest[PG_HASH_BYTES], pg_buf *out);

/** Append the last line, which authenticates all before it. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_backup_mac_write(const pg_key *key, pg_buf *out);

/** Read a list.
 *  out_head    borrows from `in`
 *  out_lines   what stands between the head and the last line: to be compared with the lines of what was read
 *  Errors: PG_ERR_MALFORMED, PG_ERR_UNSUPPORTED (a later version). */
PG_NODISCARD pg_err pg_backup_list_decode(pg_bytes in, pg_backup_head *out_head, pg_str *out_lines);

/** Check the last line of a list that was read. Errors: PG_ERR_AUTH. */
PG_NODISCARD pg_err pg_backup_mac_check(const pg_key *key, pg_bytes in);

/** The keys of a backup, for its list and for what it seals. */
typedef struct pg_backup_keys {
    pg_key list;
    pg_key seal;
} pg_backup_keys;

/** Derive them. Wipe them with pg_wipe. */
void pg_backup_keys_derive(const pg_secret *owner, pg_backup_keys *out_keys);

/** Append `content` sealed as an entry of this kind. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_backup_seal(const pg_backup_keys *keys, pg_backup_kind kind,
                                   pg_bytes content, pg_buf *out);

/** Append what was sealed. Errors: PG_ERR_AUTH, PG_ERR_TRUNCATED, as pg_buf_reserve. */
PG_NODISCARD pg_err pg_backup_open(const pg_backup_keys *keys, pg_backup_kind kind, pg_bytes sealed,
                                   pg_buf *out);

// SPDX-License-Identifier: Apache-2.0
#include "node/backup_format.h"

#include <string.h>

#include "crypto/kdf.h"
#include "crypto/xchacha.h"
#include "runtime/random.h"
#include "store/limits.h"

#define FOLDER "pangea-backup/"
#define FIRST_LINE "pangea backup 1\n"
#define MAC_WORD "mac "
#define MAC_LINE_BYTES (sizeof(MAC_WORD) - 1 + 2 * PG_HASH_BYTES + 1)
#define NUMBER_MAX ((UINT64_C(1) << 33) - 1) // eleven octal digits

static const char *const names[PG_BACKUP_KIND_COUNT] = {
    [PG_BACKUP_KIND_IDENTITY] = "identity",
    [PG_BACKUP_KIND_SETTINGS] = "settings",
    [PG_BACKUP_KIND_NETWORK_KEY] = "network-key",
    [PG_BACKUP_KIND_DATABASE] = "database",
    [PG_BACKUP_KIND_STORE] = "blocks/store",
    [PG_BACKUP_KIND_PACK] = "blocks/pack", // and numbers
    [PG_BACKUP_KIND_LIST] = "list",
};

// Four bytes as eight digits.
static void hex_put(pg_writer *writer, uint32_t value)
{
    uint8_t bytes[4];
    char text[2 * sizeof(bytes) + 1];
    pg_writer inner = pg_writer_make(PG_MUT_BYTES_OF(bytes));
    pg_writer_u32be(&inner, value);
    pg_hex_encode(PG_BYTES_OF(bytes), text);
    pg_writer_put(writer, pg_bytes_cstr(text));
}

void pg_backup_name_format(const pg_backup_entry *entry, char out[PG_BACKUP_NAME_BYTES_MAX + 1])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out, PG_BACKUP_NAME_BYTES_MAX + 1));
    pg_writer_put(&writer, PG_BYTES_LIT(FOLDER));
    pg_writer_put(&writer, pg_bytes_cstr(names[entry->kind]));
    if (entry->kind == PG_BACKUP_KIND_PACK) {
        pg_writer_put(&writer, PG_BYTES_LIT("-"));
        hex_put(&writer, entry->pack);
        pg_writer_put(&writer, PG_BYTES_LIT("."));
        hex_put(&writer, (uint32_t) entry->offset);
    }
    pg_writer_u8(&writer, '\0');
    pg_assert(!writer.failed);
}

// ---- Headers

// A number of the header: octal digits and a NUL.
static void octal_write(uint8_t *at, size_t digits, uint64_t value)
{
    for (size_t i = digits; i > 0; i--) {
        at[i - 1] = (uint8_t) ('0' + (value & 7));
        value >>= 3;
    }
}

static uint64_t octal_read(const uint8_t *at, size_t digits)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        value = value << 3 | (at[i] & 7U);
    }
    return value;
}

static void sum_write(uint8_t block[PG_BACKUP_BLOCK_BYTES])
{
    uint64_t sum = 0;
    memset(block + 148, ' ', 8);
    for (size_t i = 0; i < PG_BACKUP_BLOCK_BYTES; i++) {
        sum += block[i];
    }
    octal_write(block + 148, 6, sum);
    block[154] = '\0';
}

pg_err pg_backup_header_encode(const pg_backup_entry *entry, uint64_t made_s,
                               uint8_t out[PG_BACKUP_BLOCK_BYTES])
{
    uint8_t block[PG_BACKUP_BLOCK_BYTES] = {0};
    char name[PG_BACKUP_NAME_BYTES_MAX + 1];
    if (entry->size_bytes > PG_BACKUP_ENTRY_BYTES_MAX || made_s > NUMBER_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%s has %llu bytes, more than a backup takes",
                       names[entry->kind], (unsigned long long) entry->size_bytes);
    }
    pg_backup_name_format(entry, name);
    memcpy(block, name, strlen(name));
    octal_write(block + 100, 7, 0600); // mode
    octal_write(block + 108, 7, 0);    // owner
    octal_write(block + 116, 7, 0);    // and group
    octal_write(block + 124, 11, entry->size_bytes);
    octal_write(block + 136, 11, made_s);
    block[156] = '0'; // an ordinary file
    memcpy(block + 257, "ustar", 6);
    memcpy(block + 263, "00", 2);
    sum_write(block);
    memcpy(out, block, sizeof(block));
    return PG_OK;
}

static bool hex_read(const char *text, size_t digits, uint64_t *out_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = text[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
        value = value << 4 | (uint64_t) (c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out_value = value;
    return true;
}

// "pangea-backup/blocks/pack-NNNNNNNN.OOOOOOOO"
static bool pack_read(const char *rest, pg_backup_entry *entry)
{
    uint64_t numbers[2] = {0, 0};
    if (strlen(rest) != 18 || rest[0] != '-' || rest[9] != '.' ||
        !hex_read(rest + 1, 8, &numbers[0]) || !hex_read(rest + 10, 8, &numbers[1]) ||
        numbers[1] >= PG_PACK_BYTES_MAX || numbers[1] % PG_BLOCK_UNIT_BYTES != 0) {
        return false;
    }
    entry->pack = (uint32_t) numbers[0];
    entry->offset = numbers[1];
    return true;
}

static bool name_read(const char *name, pg_backup_entry *entry)
{
    size_t folder = strlen(FOLDER);
    if (strncmp(name, FOLDER, folder) != 0) {
        return false;
    }
    for (unsigned kind = 0; kind < PG_BACKUP_KIND_COUNT; kind++) {
        size_t len = strlen(names[kind]);
        *entry = (pg_backup_entry){.kind = (pg_backup_kind) kind};
        if (kind == PG_BACKUP_KIND_PACK ? strncmp(name + folder, names[kind], len) == 0 &&
                                              pack_read(name + folder + len, entry)
                                        : strcmp(name + folder, names[kind]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const uint8_t in[PG_BACKUP_BLOCK_BYTES])
{
    return in[0] == 0 && memcmp(in, in + 1, PG_BACKUP_BLOCK_BYTES - 1) == 0;
}

pg_err pg_backup_header_decode(const uint8_t in[PG_BACKUP_BLOCK_BYTES], pg_backup_entry *out_entry,
                               uint64_t *out_made_s, bool *out_is_end)
{
    uint8_t again[PG_BACKUP_BLOCK_BYTES];
    char name[PG_BACKUP_NAME_BYTES_MAX + 1] = "";
    pg_backup_entry entry;
    if (is_zero(in)) {
        *out_is_end = true;
        return PG_OK;
    }
    if (memcmp(in + 257, "ustar", 6) != 0 || in[PG_BACKUP_NAME_BYTES_MAX] != 0 ||
        memcmp(in, FOLDER, strlen(FOLDER)) != 0) {
        return pg_fail(PG_ERR_MALFORMED, "this is no backup of a node");
    }
    memcpy(name, in, PG_BACKUP_NAME_BYTES_MAX);
    if (!name_read(name, &entry)) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the backup holds a part this program does not know: it was made by a "
                       "newer one, or damaged");
    }
    entry.size_bytes = octal_read(in + 124, 11);
    uint64_t made_s = octal_read(in + 136, 11);
    if (pg_backup_header_encode(&entry, made_s, again) != PG_OK ||
        memcmp(in, again, sizeof(again)) != 0) {
        return pg_fail(PG_ERR_MALFORMED,
                       "the backup is damaged: a header is not as it was written");
    }
    *out_entry = entry;
    *out_made_s = made_s;
    *out_is_end = false;
    return PG_OK;
}

// ---- The list

pg_err pg_backup_head_write(const pg_backup_head *head, pg_buf *out)
{
    return pg_buf_printf(out, FIRST_LINE "made %llu\nschema %llu\ndevice %.*s\nprogram %.*s\n",
                         (unsigned long long) head->made_s, (unsigned long long) head->schema,
                         PG_STR_ARGS(head->device), PG_STR_ARGS(head->program));
}

pg_err pg_backup_line_write(const pg_backup_entry *entry, const uint8_t digest[PG_HASH_BYTES],
                            pg_buf *out)
{
    char name[PG_BACKUP_NAME_BYTES_MAX + 1];
    char hex[2 * PG_HASH_BYTES + 1];
    pg_backup_name_format(entry, name);
    pg_hex_encode(pg_bytes_make(digest, PG_HASH_BYTES), hex);
    return pg_buf_printf(out, "%s %llu %s\n", hex, (unsigned long long) entry->size_bytes, name);
}

pg_err pg_backup_mac_write(const pg_key *key, pg_buf *out)
{
    uint8_t mac[PG_HASH_BYTES];
    char hex[2 * PG_HASH_BYTES + 1];
    pg_blake3_keyed(key, pg_buf_bytes(out), mac);
    pg_hex_encode(PG_BYTES_OF(mac), hex);
    return pg_buf_printf(out, MAC_WORD "%s\n", hex);
}

// The value of a line "word value" at the front of *rest, which moves behind it.
static pg_err line_take(pg_str *rest, pg_str word, pg_str *out_value)
{
    pg_str line;
    pg_str after = pg_str_split(*rest, '\n', &line);
    if (after.ptr == NULL || !pg_str_starts_with(line, word)) {
        return pg_fail(PG_ERR_MALFORMED, "the backup is damaged: its list has no line \"%.*s\"",
                       PG_STR_ARGS(word));
    }
    *out_value = pg_str_make_len(line.ptr + word.len, line.len - word.len);
    *rest = after;
    return PG_OK;
}

static pg_err number_take(pg_str *rest, pg_str word, uint64_t *out_value)
{
    pg_str text;
    PG_TRY(line_take(rest, word, &text));
    return pg_str_to_u64(text, NUMBER_MAX, out_value) == PG_OK
               ? PG_OK
               : pg_fail(PG_ERR_MALFORMED, "the backup is damaged: its list has a wrong number");
}

pg_err pg_backup_list_decode(pg_bytes in, pg_backup_head *out_head, pg_str *out_lines)
{
    pg_str rest = pg_str_make_len((const char *) in.ptr, in.len);
    pg_backup_head head;
    if (!pg_str_starts_with(rest, PG_STR("pangea backup "))) {
        return pg_fail(PG_ERR_MALFORMED, "the backup is damaged: its list is none");
    }
    if (!pg_str_starts_with(rest, PG_STR(FIRST_LINE))) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the backup has another version; this program knows 1");
    }
    rest = pg_str_make_len(rest.ptr + strlen(FIRST_LINE), rest.len - strlen(FIRST_LINE));
    PG_TRY(number_take(&rest, PG_STR("made "), &head.made_s));
    PG_TRY(number_take(&rest, PG_STR("schema "), &head.schema));
    PG_TRY(line_take(&rest, PG_STR("device "), &head.device));
    PG_TRY(line_take(&rest, PG_STR("program "), &head.program));
    if (rest.len < MAC_LINE_BYTES ||
        memcmp(rest.ptr + rest.len - MAC_LINE_BYTES, MAC_WORD, strlen(MAC_WORD)) != 0) {
        return pg_fail(PG_ERR_MALFORMED, "the backup is damaged: its list has no end");
    }
    *out_head = head;
    *out_lines = pg_str_make_len(rest.ptr, rest.len - MAC_LINE_BYTES);
    return PG_OK;
}

pg_err pg_backup_mac_check(const pg_key *key, pg_bytes in)
{
    uint8_t mac[PG_HASH_BYTES];
    char hex[2 * PG_HASH_BYTES + 1];
    if (in.len < MAC_LINE_BYTES) {
        return pg_fail(PG_ERR_AUTH, "the list of the backup is too short");
    }
    pg_blake3_keyed(key, pg_bytes_slice(in, 0, in.len - MAC_LINE_BYTES), mac);
    pg_hex_encode(PG_BYTES_OF(mac), hex);
    pg_bytes told = pg_bytes_slice(in, in.len - 1 - 2 * PG_HASH_BYTES, 2 * PG_HASH_BYTES);
    return pg_secret_equal(told, pg_bytes_make(hex, 2 * PG_HASH_BYTES))
               ? PG_OK
               : pg_fail(PG_ERR_AUTH, "the list of the backup was not made by its owner");
}

// ---- What is sealed

void pg_backup_keys_derive(const pg_secret *owner, pg_backup_keys *out_keys)
{
    pg_hkdf(PG_BYTES_EMPTY, pg_secret_bytes(owner), PG_BYTES_LIT("pangea backup v1 list"),
            PG_MUT_BYTES_OF(out_keys->list.bytes));
    pg_hkdf(PG_BYTES_EMPTY, pg_secret_bytes(owner), PG_BYTES_LIT("pangea backup v1 seal"),
            PG_MUT_BYTES_OF(out_keys->seal.bytes));
}

pg_err pg_backup_seal(const pg_backup_keys *keys, pg_backup_kind kind, pg_bytes content,
                      pg_buf *out)
{
    uint8_t *space = NULL;
    PG_TRY(pg_buf_extend(out, PG_XCHACHA_NONCE_BYTES + content.len + PG_XCHACHA_TAG_BYTES, &space));
    uint8_t *body = space + PG_XCHACHA_NONCE_BYTES;
    pg_random_bytes(pg_mut_bytes_make(space, PG_XCHACHA_NONCE_BYTES));
    pg_xchacha_seal(&keys->seal, space, pg_bytes_cstr(names[kind]), content, body,
                    body + content.len);
    return PG_OK;
}

pg_err pg_backup_open(const pg_backup_keys *keys, pg_backup_kind kind, pg_bytes sealed, pg_buf *out)
{
    uint8_t *space = NULL;
    const size_t around = PG_XCHACHA_NONCE_BYTES + PG_XCHACHA_TAG_BYTES;
    if (sealed.len < around) {
        return pg_fail(PG_ERR_TRUNCATED, "%s is too short", names[kind]);
    }
    size_t len = sealed.len - around;
    PG_TRY(pg_buf_extend(out, len, &space));
    const uint8_t *body = sealed.ptr + PG_XCHACHA_NONCE_BYTES;
    pg_err err = pg_xchacha_open(&keys->seal, sealed.ptr, pg_bytes_cstr(names[kind]),
                                 pg_bytes_make(body, len), body + len, space);
    if (err != PG_OK) {
        out->len -= len;
        return pg_fail(err, "%s of the backup does not open", names[kind]);
    }
    return PG_OK;
}

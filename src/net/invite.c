// SPDX-License-Identifier: Apache-2.0
#include "net/invite.h"

#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "codec/multibase.h"
#include "codec/varint.h"
#include "crypto/hash.h"

#define SCHEME "pangea-invite:"
#define VERSION 1
#define FLAG_PRIVATE 0x01
#define CHECKSUM_BYTES 4

_Static_assert(PG_INVITE_BYTES_MAX <= PG_BASE_BYTES_MAX, "one call of the base codec");
_Static_assert(PG_INVITE_TEXT_BYTES >= sizeof(SCHEME) + 1 + (PG_INVITE_BYTES_MAX * 8 + 4) / 5,
               "scheme, base letter, 5 bits a character");

static void checksum(pg_bytes content, uint8_t out_sum[CHECKSUM_BYTES])
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    pg_blake3_stream_update(&stream, PG_BYTES_LIT("pangea invite"));
    pg_blake3_stream_update(&stream, content);
    pg_blake3_stream_final(&stream, PG_MUT_BYTES_OF(digest));
    memcpy(out_sum, digest, CHECKSUM_BYTES);
    pg_wipe(&stream, sizeof(stream));
}

// ---- writing ----

// Write the addresses that fit, with their number before them. Returns how many.
static uint8_t addrs_write(pg_writer *writer, const pg_invite *invite)
{
    size_t count_at = writer->len;
    uint8_t count = 0;
    pg_writer_u8(writer, 0);
    for (size_t i = 0; i < invite->addr_count && count < PG_INVITE_ADDRS_MAX; i++) {
        pg_bytes addr = pg_multiaddr_bytes(&invite->addrs[i]);
        size_t needs = pg_uvarint_len(addr.len) + addr.len + CHECKSUM_BYTES;
        if (!writer->failed && writer->cap - writer->len >= needs) {
            pg_writer_uvarint_bytes(writer, addr);
            count++;
        }
    }
    if (!writer->failed) {
        writer->ptr[count_at] = count;
    }
    return count;
}

pg_err pg_invite_format(const pg_invite *invite, char out_text[PG_INVITE_TEXT_BYTES])
{
    uint8_t space[PG_INVITE_BYTES_MAX];
    uint8_t sum[CHECKSUM_BYTES];
    if (invite->peer.len == 0 || invite->addr_count == 0) {
        return pg_fail(PG_ERR_INVALID, "an invitation names a peer and an address of it");
    }
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(space));
    pg_writer_u8(&writer, VERSION);
    pg_writer_u8(&writer, invite->is_private ? FLAG_PRIVATE : 0);
    if (invite->is_private) {
        pg_writer_put(&writer, pg_key_bytes(&invite->network_key));
    }
    pg_writer_uvarint(&writer, invite->expires_s);
    pg_writer_uvarint_bytes(&writer, pg_peer_id_bytes(&invite->peer));
    uint8_t count = addrs_write(&writer, invite);
    checksum(pg_writer_bytes(&writer), sum);
    pg_writer_put(&writer, PG_BYTES_OF(sum));
    pg_err err = PG_OK;
    if (writer.failed || count == 0) {
        err = pg_fail(PG_ERR_LIMIT, "the addresses are too long for an invitation");
    } else {
        pg_writer text = pg_writer_make(pg_mut_bytes_make(out_text, PG_INVITE_TEXT_BYTES - 1));
        pg_writer_put(&text, PG_BYTES_LIT(SCHEME));
        pg_writer_multibase(&text, PG_BASE_32, pg_writer_bytes(&writer));
        pg_assert(!text.failed);
        out_text[text.len] = '\0';
    }
    pg_wipe(space, sizeof(space));
    return err;
}

// ---- reading ----

static pg_err fail_mistyped(void)
{
    return pg_fail(PG_ERR_MALFORMED,
                   "the invitation is mistyped or cut off: its checksum does not match");
}

// The checksum is right, so whoever wrote it meant it.
static pg_err fail_form(void)
{
    return pg_fail(PG_ERR_MALFORMED, "the invitation breaks its own format");
}

static bool has_scheme(pg_str text)
{
    for (size_t i = 0; i < strlen(SCHEME); i++) {
        char c = i < text.len ? text.ptr[i] : '\0';
        c = (char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (c != SCHEME[i]) {
            return false;
        }
    }
    return true;
}

static pg_err addrs_read(pg_reader *reader, pg_invite *invite)
{
    uint8_t count = pg_reader_u8(reader);
    if (count == 0 || count > PG_INVITE_ADDRS_MAX) {
        return fail_form();
    }
    for (uint8_t i = 0; i < count; i++) {
        pg_bytes bytes;
        pg_multiaddr *addr = &invite->addrs[invite->addr_count];
        pg_multiaddr bare;
        pg_multihash peer;
        if (pg_reader_uvarint_bytes(reader, PG_MULTIADDR_BYTES_MAX, &bytes) != PG_OK ||
            bytes.len == 0) {
            return fail_form();
        }
        pg_err err = pg_multiaddr_decode(bytes, addr);
        if (err == PG_ERR_UNSUPPORTED) {
            continue;
        }
        bare = *addr;
        if (err != PG_OK || pg_multiaddr_cut_peer(&bare, &peer)) {
            return fail_form();
        }
        invite->addr_count++;
    }
    return PG_OK;
}

static pg_err content_read(pg_bytes content, pg_invite *invite)
{
    pg_reader reader = pg_reader_make(content);
    pg_bytes peer;
    uint8_t version = pg_reader_u8(&reader);
    if (version != VERSION) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the invitation has version %u; this program knows version %d: a newer one "
                       "is needed",
                       version, VERSION);
    }
    uint8_t flags = pg_reader_u8(&reader);
    if ((flags & ~FLAG_PRIVATE) != 0) {
        return pg_fail(PG_ERR_UNSUPPORTED, "the invitation has what a newer program is needed for");
    }
    invite->is_private = (flags & FLAG_PRIVATE) != 0;
    if (invite->is_private) {
        pg_reader_copy(&reader, invite->network_key.bytes, PG_KEY_BYTES);
    }
    if (pg_reader_uvarint(&reader, PG_UVARINT_MAX, &invite->expires_s) != PG_OK ||
        pg_reader_uvarint_bytes(&reader, PG_PEER_ID_BYTES_MAX, &peer) != PG_OK ||
        pg_peer_id_decode(peer, &invite->peer) != PG_OK) {
        return fail_form();
    }
    PG_TRY(addrs_read(&reader, invite));
    if (pg_reader_finish(&reader) != PG_OK) {
        return fail_form();
    }
    if (invite->addr_count == 0) {
        return pg_fail(PG_ERR_UNSUPPORTED,
                       "the invitation has no address of a kind that this program knows");
    }
    return PG_OK;
}

static pg_err binary_read(pg_bytes binary, pg_invite *out_invite)
{
    uint8_t sum[CHECKSUM_BYTES];
    if (binary.len <= CHECKSUM_BYTES) {
        return fail_mistyped();
    }
    pg_bytes content = pg_bytes_slice(binary, 0, binary.len - CHECKSUM_BYTES);
    checksum(content, sum);
    if (!pg_secret_equal(PG_BYTES_OF(sum), pg_bytes_slice(binary, content.len, CHECKSUM_BYTES))) {
        return fail_mistyped();
    }
    pg_invite *invite = PG_NEW(pg_invite); // large
    if (invite == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = content_read(content, invite);
    if (err == PG_OK) {
        *out_invite = *invite;
    }
    pg_invite_wipe(invite);
    pg_mfree(invite);
    return err;
}

pg_err pg_invite_parse(pg_str text, pg_invite *out_invite)
{
    uint8_t space[PG_INVITE_BYTES_MAX];
    pg_base base = PG_BASE_COUNT;
    size_t len = 0;
    if (!has_scheme(text)) {
        return pg_fail(PG_ERR_INVALID, "not an invitation: it does not begin with \"%s\"", SCHEME);
    }
    pg_str rest = pg_str_make_len(text.ptr + strlen(SCHEME), text.len - strlen(SCHEME));
    if (rest.len == 0) {
        return pg_fail(PG_ERR_TRUNCATED, "the invitation ends behind \"%s\"", SCHEME);
    }
    pg_err err = pg_multibase_decode(rest, PG_MUT_BYTES_OF(space), &base, &len);
    if (err != PG_OK || base != PG_BASE_32) {
        err = fail_mistyped();
    } else {
        err = binary_read(pg_bytes_make(space, len), out_invite);
    }
    pg_wipe(space, sizeof(space));
    return err;
}

pg_err pg_invite_check(const pg_invite *invite, uint64_t now_s)
{
    if (invite->expires_s == 0 || now_s < invite->expires_s) {
        return PG_OK;
    }
    uint64_t ago_s = now_s - invite->expires_s;
    const char *unit = ago_s < 7200 ? "minutes" : ago_s < 172800 ? "hours" : "days";
    uint64_t divisor = ago_s < 7200 ? 60 : ago_s < 172800 ? 3600 : 86400;
    return pg_fail(PG_ERR_INVALID,
                   "the invitation has expired %llu %s ago: ask for a new one (or is the clock of "
                   "this machine wrong?)",
                   (unsigned long long) (ago_s / divisor), unit);
}

// ---- addresses ----

// How far an address reaches, the farthest first; negative for those of no use.
static int reach_of(const pg_multiaddr *addr)
{
    switch (pg_multiaddr_scope(addr)) {
    case PG_IP_SCOPE_NONE:
    case PG_IP_SCOPE_PUBLIC:
        return 0;
    case PG_IP_SCOPE_PRIVATE:
        return 1;
    case PG_IP_SCOPE_LOOPBACK:
        return 2;
    case PG_IP_SCOPE_LINK_LOCAL:
    case PG_IP_SCOPE_UNUSABLE:
        break;
    }
    return -1;
}

size_t pg_invite_choose_addrs(const pg_multiaddr *ours, size_t count,
                              pg_multiaddr out_addrs[PG_INVITE_ADDRS_TOLD])
{
    size_t chosen = 0;
    for (int reach = 0; reach <= 2; reach++) {
        if (reach == 2 && chosen > 0) {
            break;
        }
        for (size_t i = 0; i < count && chosen < PG_INVITE_ADDRS_TOLD; i++) {
            if (reach_of(&ours[i]) == reach) {
                out_addrs[chosen] = ours[i];
                chosen++;
            }
        }
    }
    return chosen;
}

void pg_invite_wipe(pg_invite *invite)
{
    if (invite != NULL) {
        pg_key_wipe(&invite->network_key);
    }
}

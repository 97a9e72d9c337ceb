// SPDX-License-Identifier: Apache-2.0
#include "codec/multiaddr.h"

#include <arpa/inet.h>
#include <string.h>

#include "codec/cid.h"
#include "codec/varint.h"

#define NAME_CHARS_MAX 253 // of a host name, RFC 1035

// What value a part has. HASH and PEER are both a multihash; they differ in their text.
typedef enum value_kind {
    VALUE_KIND_NONE,
    VALUE_KIND_IP4,
    VALUE_KIND_IP6,
    VALUE_KIND_PORT,
    VALUE_KIND_NAME,
    VALUE_KIND_PEER,
    VALUE_KIND_HASH,
} value_kind;

typedef struct part_row {
    pg_multiaddr_code code;
    value_kind kind;
    pg_str name;
} part_row;

static const part_row part_rows[] = {
#define PART_ROW(symbol, number, text, value)                                                      \
    {.code = PG_MULTIADDR_CODE_##symbol, .kind = VALUE_KIND_##value, .name = PG_STR(text)},
    PG_MULTIADDR_TABLE(PART_ROW)
#undef PART_ROW
};

static const part_row *row_by_code(uint64_t code)
{
    for (size_t i = 0; i < PG_ARRAY_LEN(part_rows); i++) {
        if ((uint64_t) part_rows[i].code == code) {
            return &part_rows[i];
        }
    }
    return NULL;
}

static const part_row *row_by_name(pg_str name)
{
    if (pg_str_equal(name, PG_STR("ipfs"))) {
        return row_by_code(PG_MULTIADDR_CODE_P2P);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(part_rows); i++) {
        if (pg_str_equal(part_rows[i].name, name)) {
            return &part_rows[i];
        }
    }
    return NULL;
}

// Returns the bytes of a value of fixed size, or -1 for one with its length in front.
static int value_size(value_kind kind)
{
    switch (kind) {
    case VALUE_KIND_NONE:
        return 0;
    case VALUE_KIND_PORT:
        return 2;
    case VALUE_KIND_IP4:
        return 4;
    case VALUE_KIND_IP6:
        return 16;
    case VALUE_KIND_NAME:
    case VALUE_KIND_PEER:
    case VALUE_KIND_HASH:
        break;
    }
    return -1;
}

static bool name_char_is_ok(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static pg_err name_check(pg_bytes name)
{
    if (name.len == 0 || name.len > NAME_CHARS_MAX) {
        return pg_fail(PG_ERR_MALFORMED, "host name of %zu characters", name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!name_char_is_ok(name.ptr[i])) {
            return pg_fail(PG_ERR_MALFORMED, "host name with character 0x%02x", name.ptr[i]);
        }
    }
    return PG_OK;
}

static pg_err value_check(const part_row *row, pg_bytes value)
{
    pg_multihash hash;
    int size = value_size(row->kind);
    if (size >= 0 && value.len != (size_t) size) {
        return pg_fail(PG_ERR_MALFORMED, "%zu bytes, wants %d", value.len, size);
    }
    if (row->kind == VALUE_KIND_NAME) {
        return name_check(value);
    }
    if (size >= 0) {
        return PG_OK;
    }
    PG_TRY(pg_multihash_decode(value, &hash));
    if (row->kind == VALUE_KIND_PEER && !pg_peer_hash_is_valid(&hash)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "PeerId with hash function 0x%x",
                       (unsigned) pg_multihash_code_of(&hash));
    }
    return PG_OK;
}

static pg_err part_read(pg_reader *reader, const part_row **out_row, pg_bytes *out_value)
{
    uint64_t code = 0;
    PG_TRY(pg_reader_uvarint(reader, PG_UVARINT_MAX, &code));
    const part_row *row = row_by_code(code);
    if (row == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "part with code %llu", (unsigned long long) code);
    }
    int size = value_size(row->kind);
    pg_bytes value = PG_BYTES_EMPTY;
    if (size < 0) {
        PG_TRY(pg_reader_uvarint_bytes(reader, PG_MULTIADDR_BYTES_MAX, &value));
    } else {
        value = pg_reader_take(reader, (size_t) size);
        if (reader->failed) {
            return pg_fail(PG_ERR_TRUNCATED, "/%.*s wants %d bytes", PG_STR_ARGS(row->name), size);
        }
    }
    *out_row = row;
    *out_value = value;
    return PG_OK;
}

static pg_err parts_check(pg_bytes in)
{
    if (in.len == 0) {
        return pg_fail(PG_ERR_MALFORMED, "no parts");
    }
    if (in.len > PG_MULTIADDR_BYTES_MAX) {
        return pg_fail(PG_ERR_LIMIT, "%zu bytes, at most %d", in.len, PG_MULTIADDR_BYTES_MAX);
    }
    pg_reader reader = pg_reader_make(in);
    for (size_t count = 0; reader.rest.len != 0; count++) {
        const part_row *row = NULL;
        pg_bytes value = PG_BYTES_EMPTY;
        if (count == PG_MULTIADDR_PARTS_MAX) {
            return pg_fail(PG_ERR_LIMIT, "more than %d parts", PG_MULTIADDR_PARTS_MAX);
        }
        PG_TRY(part_read(&reader, &row, &value));
        PG_TRY(pg_error_wrap(value_check(row, value), "/%.*s", PG_STR_ARGS(row->name)));
    }
    return PG_OK;
}

pg_err pg_multiaddr_decode(pg_bytes in, pg_multiaddr *out_addr)
{
    PG_TRY(pg_error_wrap(parts_check(in), "address"));
    memcpy(out_addr->bytes, in.ptr, in.len);
    out_addr->len = (uint16_t) in.len;
    return PG_OK;
}

static pg_err ip_parse(int family, pg_str text, pg_writer *writer)
{
    char terminated[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    size_t size = family == AF_INET ? 4 : 16;
    if (text.len >= sizeof(terminated)) {
        return pg_fail(PG_ERR_MALFORMED, "not an IP address");
    }
    memcpy(terminated, text.ptr, text.len);
    terminated[text.len] = '\0';
    if (strlen(terminated) != text.len || inet_pton(family, terminated, ip) != 1) {
        return pg_fail(PG_ERR_MALFORMED, "'%s' is not an IP address", terminated);
    }
    pg_writer_put(writer, pg_bytes_make(ip, size));
    return PG_OK;
}

static pg_err port_parse(pg_str text, pg_writer *writer)
{
    uint64_t port = 0;
    if (pg_str_to_u64(text, UINT16_MAX, &port) != PG_OK) {
        return pg_fail(PG_ERR_MALFORMED, "'%.*s' is not a port", PG_STR_ARGS(text));
    }
    pg_writer_u16be(writer, (uint16_t) port);
    return PG_OK;
}

static pg_err hash_parse(value_kind kind, pg_str text, pg_writer *writer)
{
    pg_multihash hash;
    if (kind == VALUE_KIND_PEER) {
        PG_TRY(pg_peer_text_parse(text, &hash));
    } else {
        uint8_t bytes[PG_MULTIHASH_BYTES_MAX];
        pg_base base = PG_BASE_64URL;
        size_t len = 0;
        PG_TRY(pg_multibase_decode(text, PG_MUT_BYTES_OF(bytes), &base, &len));
        PG_TRY(pg_multihash_decode(pg_bytes_make(bytes, len), &hash));
    }
    pg_writer_uvarint_bytes(writer, pg_multihash_bytes(&hash));
    return PG_OK;
}

static pg_err value_parse(value_kind kind, pg_str text, pg_writer *writer)
{
    switch (kind) {
    case VALUE_KIND_IP4:
        return ip_parse(AF_INET, text, writer);
    case VALUE_KIND_IP6:
        return ip_parse(AF_INET6, text, writer);
    case VALUE_KIND_PORT:
        return port_parse(text, writer);
    case VALUE_KIND_PEER:
    case VALUE_KIND_HASH:
        return hash_parse(kind, text, writer);
    case VALUE_KIND_NAME:
        pg_writer_uvarint_bytes(writer, pg_bytes_make(text.ptr, text.len));
        break;
    case VALUE_KIND_NONE:
        break;
    }
    return PG_OK;
}

// Writes the part at the front of `text`, which stands behind a slash, and returns what follows its value.
static pg_err part_parse(pg_str text, pg_writer *writer, pg_str *out_rest)
{
    pg_str name;
    pg_str value = PG_STR("");
    pg_str rest = pg_str_split(text, '/', &name);
    const part_row *row = row_by_name(name);
    if (row == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "part '%.*s'", PG_STR_ARGS(name));
    }
    if (row->kind != VALUE_KIND_NONE) {
        if (rest.ptr == NULL) {
            return pg_fail(PG_ERR_MALFORMED, "/%.*s has no value", PG_STR_ARGS(row->name));
        }
        rest = pg_str_split(rest, '/', &value);
    }
    pg_writer_uvarint(writer, (uint64_t) row->code);
    PG_TRY(pg_error_wrap(value_parse(row->kind, value, writer), "/%.*s", PG_STR_ARGS(row->name)));
    *out_rest = rest;
    return PG_OK;
}

pg_err pg_multiaddr_parse(pg_str text, pg_multiaddr *out_addr)
{
    uint8_t bytes[PG_MULTIADDR_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(bytes));
    if (text.len >= PG_MULTIADDR_TEXT_BYTES) {
        return pg_fail(PG_ERR_LIMIT, "address of %zu characters", text.len);
    }
    if (!pg_str_starts_with(text, PG_STR("/"))) {
        return pg_fail(PG_ERR_MALFORMED, "an address begins with '/'");
    }
    pg_str rest = pg_str_make_len(text.ptr + 1, text.len - 1);
    while (rest.ptr != NULL && !writer.failed) {
        PG_TRY(pg_error_wrap(part_parse(rest, &writer, &rest), "address"));
    }
    if (writer.failed) {
        return pg_fail(PG_ERR_LIMIT, "address of more than %d bytes", PG_MULTIADDR_BYTES_MAX);
    }
    return pg_multiaddr_decode(pg_writer_bytes(&writer), out_addr);
}

static void text_put(pg_writer *writer, const char *text)
{
    pg_writer_put(writer, pg_bytes_cstr(text));
}

static void port_format(uint16_t port, pg_writer *writer)
{
    char digits[5];
    size_t at = sizeof(digits);
    unsigned value = port;
    do {
        digits[--at] = (char) ('0' + value % 10);
        value /= 10;
    } while (value != 0);
    pg_writer_put(writer, pg_bytes_make(digits + at, sizeof(digits) - at));
}

static uint16_t port_of(pg_bytes value)
{
    pg_reader reader = pg_reader_make(value);
    return pg_reader_u16be(&reader);
}

static void value_format(value_kind kind, pg_bytes value, pg_writer *writer)
{
    char ip[INET6_ADDRSTRLEN] = "";
    switch (kind) {
    case VALUE_KIND_IP4:
    case VALUE_KIND_IP6:
        (void) inet_ntop(kind == VALUE_KIND_IP4 ? AF_INET : AF_INET6, value.ptr, ip, sizeof(ip));
        text_put(writer, ip);
        break;
    case VALUE_KIND_PORT:
        port_format(port_of(value), writer);
        break;
    case VALUE_KIND_NAME:
        pg_writer_put(writer, value);
        break;
    case VALUE_KIND_PEER:
        pg_writer_base(writer, PG_BASE_58BTC, value);
        break;
    case VALUE_KIND_HASH:
        pg_writer_multibase(writer, PG_BASE_64URL, value);
        break;
    case VALUE_KIND_NONE:
        break;
    }
}

void pg_multiaddr_format(const pg_multiaddr *addr, char out_text[PG_MULTIADDR_TEXT_BYTES])
{
    pg_writer writer = pg_writer_make(pg_mut_bytes_make(out_text, PG_MULTIADDR_TEXT_BYTES));
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part part;
    while (pg_multiaddr_next(&cursor, &part)) {
        const part_row *row = row_by_code((uint64_t) part.code);
        pg_writer_u8(&writer, '/');
        pg_writer_put(&writer, pg_bytes_make(row->name.ptr, row->name.len));
        if (row->kind != VALUE_KIND_NONE) {
            pg_writer_u8(&writer, '/');
            value_format(row->kind, part.value, &writer);
        }
    }
    pg_writer_u8(&writer, 0);
    pg_assert(!writer.failed);
}

bool pg_multiaddr_equal(const pg_multiaddr *a, const pg_multiaddr *b)
{
    return pg_bytes_equal(pg_multiaddr_bytes(a), pg_multiaddr_bytes(b));
}

bool pg_multiaddr_next(pg_multiaddr_cursor *cursor, pg_multiaddr_part *out_part)
{
    if (cursor->reader.rest.len == 0) {
        return false;
    }
    const part_row *row = NULL;
    pg_err err = part_read(&cursor->reader, &row, &out_part->value);
    pg_assert(err == PG_OK); // checked when the address was made
    out_part->code = row->code;
    return true;
}

pg_err pg_multiaddr_append(pg_multiaddr *addr, pg_multiaddr_code code, pg_bytes value)
{
    uint8_t bytes[PG_MULTIADDR_BYTES_MAX];
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(bytes));
    const part_row *row = row_by_code((uint64_t) code);
    if (row == NULL) {
        return pg_fail(PG_ERR_UNSUPPORTED, "part with code %d", (int) code);
    }
    // A value of fixed size must have it before the parts are read again, else it would pass as the next part.
    PG_TRY(pg_error_wrap(value_check(row, value), "/%.*s", PG_STR_ARGS(row->name)));
    pg_writer_put(&writer, pg_multiaddr_bytes(addr));
    pg_writer_uvarint(&writer, (uint64_t) code);
    if (value_size(row->kind) < 0) {
        pg_writer_uvarint_bytes(&writer, value);
    } else {
        pg_writer_put(&writer, value);
    }
    if (writer.failed) {
        return pg_fail(PG_ERR_LIMIT, "address of more than %d bytes", PG_MULTIADDR_BYTES_MAX);
    }
    return pg_multiaddr_decode(pg_writer_bytes(&writer), addr);
}

pg_multiaddr pg_multiaddr_make(pg_bytes ip, pg_multiaddr_transport transport, uint16_t port)
{
    pg_assert((ip.len == 4 || ip.len == 16) && transport < PG_MULTIADDR_TRANSPORT_OTHER);
    pg_multiaddr addr = {0};
    pg_writer writer = pg_writer_make(PG_MUT_BYTES_OF(addr.bytes));
    pg_writer_uvarint(&writer, ip.len == 4 ? PG_MULTIADDR_CODE_IP4 : PG_MULTIADDR_CODE_IP6);
    pg_writer_put(&writer, ip);
    pg_writer_uvarint(&writer, transport == PG_MULTIADDR_TRANSPORT_TCP ? PG_MULTIADDR_CODE_TCP
                                                                       : PG_MULTIADDR_CODE_UDP);
    pg_writer_u16be(&writer, port);
    if (transport == PG_MULTIADDR_TRANSPORT_QUIC) {
        pg_writer_uvarint(&writer, PG_MULTIADDR_CODE_QUIC_V1);
    }
    addr.len = (uint16_t) writer.len;
    return addr;
}

static bool is_host(pg_multiaddr_code code)
{
    return code == PG_MULTIADDR_CODE_IP4 || code == PG_MULTIADDR_CODE_IP6 ||
           code == PG_MULTIADDR_CODE_DNS || code == PG_MULTIADDR_CODE_DNS4 ||
           code == PG_MULTIADDR_CODE_DNS6;
}

static bool ends_hop(pg_multiaddr_code code)
{
    return code == PG_MULTIADDR_CODE_P2P || code == PG_MULTIADDR_CODE_P2P_CIRCUIT;
}

// What stands between the port and the end of the hop decides.
static pg_multiaddr_transport transport_of(pg_multiaddr_code port_code, pg_multiaddr_cursor cursor)
{
    pg_multiaddr_transport transport = port_code == PG_MULTIADDR_CODE_TCP
                                           ? PG_MULTIADDR_TRANSPORT_TCP
                                           : PG_MULTIADDR_TRANSPORT_UDP;
    pg_multiaddr_part part;
    while (pg_multiaddr_next(&cursor, &part) && !ends_hop(part.code)) {
        bool is_quic =
            transport == PG_MULTIADDR_TRANSPORT_UDP && part.code == PG_MULTIADDR_CODE_QUIC_V1;
        transport = is_quic ? PG_MULTIADDR_TRANSPORT_QUIC : PG_MULTIADDR_TRANSPORT_OTHER;
    }
    return transport;
}

pg_err pg_multiaddr_first_hop(const pg_multiaddr *addr, pg_multiaddr_hop *out_hop)
{
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part host;
    pg_multiaddr_part port;
    if (!pg_multiaddr_next(&cursor, &host) || !is_host(host.code) ||
        !pg_multiaddr_next(&cursor, &port) ||
        (port.code != PG_MULTIADDR_CODE_TCP && port.code != PG_MULTIADDR_CODE_UDP)) {
        return pg_fail(PG_ERR_UNSUPPORTED, "address does not begin with host and port");
    }
    *out_hop = (pg_multiaddr_hop){
        .host_code = host.code,
        .host = host.value,
        .transport = transport_of(port.code, cursor),
        .port = port_of(port.value),
    };
    return PG_OK;
}

bool pg_multiaddr_cut_peer(pg_multiaddr *addr, pg_multihash *out_peer)
{
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part part = {0};
    size_t last_at = 0;
    for (size_t at = 0; pg_multiaddr_next(&cursor, &part);) {
        last_at = at;
        at = addr->len - cursor.reader.rest.len;
    }
    if (part.code != PG_MULTIADDR_CODE_P2P) {
        return false;
    }
    pg_multihash peer;
    pg_err err = pg_multihash_decode(part.value, &peer);
    pg_assert(err == PG_OK);
    addr->len = (uint16_t) last_at;
    *out_peer = peer;
    return true;
}

// Returns where "/p2p-circuit" stands; the length of the address when it is nowhere.
static size_t relay_find(const pg_multiaddr *addr)
{
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part part;
    size_t at = 0;
    while (pg_multiaddr_next(&cursor, &part) && part.code != PG_MULTIADDR_CODE_P2P_CIRCUIT) {
        at = addr->len - cursor.reader.rest.len;
    }
    return at;
}

bool pg_multiaddr_is_relay(const pg_multiaddr *addr)
{
    return relay_find(addr) < addr->len;
}

bool pg_multiaddr_relay(const pg_multiaddr *addr, pg_multiaddr *out_relay)
{
    size_t at = relay_find(addr);
    if (at == addr->len || at == 0) {
        return false;
    }
    pg_multiaddr relay = {.len = (uint16_t) at};
    memcpy(relay.bytes, addr->bytes, at);
    *out_relay = relay;
    return true;
}

typedef struct scope_row {
    uint8_t prefix[4];
    uint8_t bits;
    pg_ip_scope scope;
} scope_row;

// The first row that fits decides. Both tables end with a row that fits everything.
static const scope_row ip4_scopes[] = {
    {{0}, 8, PG_IP_SCOPE_UNUSABLE},             // "this network"
    {{10}, 8, PG_IP_SCOPE_PRIVATE},             // RFC 1918
    {{100, 64}, 10, PG_IP_SCOPE_PRIVATE},       // carrier NAT, RFC 6598
    {{127}, 8, PG_IP_SCOPE_LOOPBACK},           //
    {{169, 254}, 16, PG_IP_SCOPE_LINK_LOCAL},   //
    {{172, 16}, 12, PG_IP_SCOPE_PRIVATE},       // RFC 1918
    {{192, 0, 0}, 24, PG_IP_SCOPE_UNUSABLE},    // protocol assignments
    {{192, 0, 2}, 24, PG_IP_SCOPE_UNUSABLE},    // documentation
    {{192, 168}, 16, PG_IP_SCOPE_PRIVATE},      // RFC 1918
    {{198, 18}, 15, PG_IP_SCOPE_UNUSABLE},      // benchmarks
    {{198, 51, 100}, 24, PG_IP_SCOPE_UNUSABLE}, // documentation
    {{203, 0, 113}, 24, PG_IP_SCOPE_UNUSABLE},  // documentation
    {{224}, 3, PG_IP_SCOPE_UNUSABLE},           // multicast, reserved, broadcast
    {{0}, 0, PG_IP_SCOPE_PUBLIC},
};

static const scope_row ip6_scopes[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 32, PG_IP_SCOPE_PUBLIC},   // NAT64 to the IPv4 internet
    {{0x20, 0x01, 0x0d, 0xb8}, 32, PG_IP_SCOPE_UNUSABLE}, // documentation
    {{0x20}, 3, PG_IP_SCOPE_PUBLIC},                      // global unicast
    {{0xfc}, 7, PG_IP_SCOPE_PRIVATE},                     // RFC 4193
    {{0xfe, 0x80}, 10, PG_IP_SCOPE_LINK_LOCAL},           //
    {{0}, 0, PG_IP_SCOPE_UNUSABLE},
};

static uint32_t first_word(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 |
           bytes[3];
}

static pg_ip_scope scope_find(const scope_row *rows, const uint8_t *ip)
{
    for (;; rows++) {
        unsigned rest = 32U - rows->bits;
        if (rest == 32 || first_word(rows->prefix) >> rest == first_word(ip) >> rest) {
            return rows->scope;
        }
    }
}

pg_ip_scope pg_ip_scope_of(pg_bytes ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t loopback[16] = {[15] = 1};
    if (ip.len == 4) {
        return scope_find(ip4_scopes, ip.ptr);
    }
    if (ip.len != 16) {
        return PG_IP_SCOPE_NONE;
    }
    if (pg_bytes_starts_with(ip, PG_BYTES_OF(mapped))) {
        return scope_find(ip4_scopes, ip.ptr + sizeof(mapped));
    }
    return pg_bytes_equal(ip, PG_BYTES_OF(loopback)) ? PG_IP_SCOPE_LOOPBACK
                                                     : scope_find(ip6_scopes, ip.ptr);
}

pg_ip_scope pg_multiaddr_scope(const pg_multiaddr *addr)
{
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(addr);
    pg_multiaddr_part part;
    if (!pg_multiaddr_next(&cursor, &part) ||
        (part.code != PG_MULTIADDR_CODE_IP4 && part.code != PG_MULTIADDR_CODE_IP6)) {
        return PG_IP_SCOPE_NONE;
    }
    return pg_ip_scope_of(part.value);
}

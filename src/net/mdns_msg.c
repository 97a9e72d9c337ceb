// SPDX-License-Identifier: Apache-2.0
#include "net/mdns_msg.h"

#include <string.h>

#include "base/mem.h"

#define HEAD_BYTES 12
#define NAME_BYTES_MAX 255
#define LABEL_BYTES_MAX 63
#define JUMPS_MAX 32 // pointers followed in one name; honest ones have one or two

#define FLAGS_ANSWER 0x8400 // a response, authoritative
#define FLAG_RESPONSE 0x8000
#define FLAGS_OPCODE 0x7800
#define FLAGS_RCODE 0x000f

#define TYPE_PTR 12
#define TYPE_TXT 16
#define TYPE_ANY 255
#define CLASS_IN 1
#define CLASS_FLUSH                                                                                \
    0x8000 // in answers: replaces what is cached; in questions: an answer to the asker alone will do
#define TTL_SECONDS 120 // as js-libp2p

#define SERVICE "\x04_p2p\x04_udp\x05local" // the name as labels, its end being the literal's NUL
#define ADDR_KEY "dnsaddr="

// ---- names ----

/** A name as labels without the end, letters in lower case. */
typedef struct dns_name {
    uint8_t bytes[NAME_BYTES_MAX];
    size_t len;
} dns_name;

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t) (c - 'A' + 'a') : c;
}

static pg_err label_take(pg_bytes label, dns_name *out_name)
{
    if (out_name->len + 1 + label.len >= NAME_BYTES_MAX) {
        return PG_ERR_MALFORMED;
    }
    out_name->bytes[out_name->len++] = (uint8_t) label.len;
    for (size_t i = 0; i < label.len; i++) {
        out_name->bytes[out_name->len++] = lower(label.ptr[i]);
    }
    return PG_OK;
}

// Read the name at *at, and set *at behind it. A pointer leads to before the labels it ends, so this comes to an end.
static pg_err name_read(pg_bytes message, size_t *at, dns_name *out_name)
{
    size_t here = *at;
    size_t began = here;
    size_t end = 0; // known from the first pointer on
    unsigned jumps = 0;
    out_name->len = 0;
    while (here < message.len) {
        uint8_t head = message.ptr[here];
        if (head == 0) {
            *at = jumps > 0 ? end : here + 1;
            return PG_OK;
        }
        if (head <= LABEL_BYTES_MAX) {
            pg_bytes label = pg_bytes_slice(message, here + 1, head);
            PG_TRY(label.len == head ? label_take(label, out_name) : PG_ERR_TRUNCATED);
            here += 1U + head;
            continue;
        }
        if (head < 0xc0 || jumps == JUMPS_MAX) {
            return PG_ERR_MALFORMED;
        }
        if (here + 1 >= message.len) {
            return PG_ERR_TRUNCATED;
        }
        size_t target = (size_t) (head & 0x3fU) << 8 | message.ptr[here + 1];
        end = jumps == 0 ? here + 2 : end;
        jumps++;
        if (target >= began) {
            return PG_ERR_MALFORMED;
        }
        began = target;
        here = target;
    }
    return PG_ERR_TRUNCATED;
}

static bool is_service(pg_bytes labels)
{
    return pg_bytes_equal(labels, PG_BYTES_LIT(SERVICE));
}

static bool is_service_name(const dns_name *name)
{
    return is_service(pg_bytes_make(name->bytes, name->len));
}

// "NAME._p2p._udp.local"
static bool is_peer_name(const dns_name *name)
{
    if (name->len == 0) {
        return false;
    }
    return is_service(
        pg_bytes_slice(pg_bytes_make(name->bytes, name->len), 1U + name->bytes[0], SIZE_MAX));
}

// ---- reading ----

typedef struct dns_record {
    dns_name name;
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    pg_bytes data;
} dns_record;

static pg_err question_read(pg_bytes message, size_t *at, dns_record *out_record)
{
    PG_TRY(name_read(message, at, &out_record->name));
    pg_reader reader = pg_reader_make(pg_bytes_slice(message, *at, SIZE_MAX));
    out_record->type = pg_reader_u16be(&reader);
    out_record->class = pg_reader_u16be(&reader);
    *at = message.len - reader.rest.len;
    return reader.failed ? PG_ERR_TRUNCATED : PG_OK;
}

static pg_err record_read(pg_bytes message, size_t *at, dns_record *out_record)
{
    PG_TRY(question_read(message, at, out_record));
    pg_reader reader = pg_reader_make(pg_bytes_slice(message, *at, SIZE_MAX));
    out_record->ttl = pg_reader_u32be(&reader);
    uint16_t len = pg_reader_u16be(&reader);
    out_record->data = pg_reader_take(&reader, len);
    *at = message.len - reader.rest.len;
    return reader.failed ? PG_ERR_TRUNCATED : PG_OK;
}

static void addr_take(pg_bytes text, pg_mdns_msg *msg)
{
    if (msg->addr_count == PG_NET_MDNS_ADDRS_MAX ||
        !pg_bytes_starts_with(text, PG_BYTES_LIT(ADDR_KEY))) {
        return;
    }
    pg_multiaddr bare;
    pg_multihash peer;
    pg_multiaddr *addr = &msg->addrs[msg->addr_count];
    pg_bytes value = pg_bytes_slice(text, strlen(ADDR_KEY), SIZE_MAX);
    if (pg_multiaddr_parse(pg_str_make_len((const char *) value.ptr, value.len), addr) != PG_OK) {
        return;
    }
    bare = *addr;
    msg->addr_count += pg_multiaddr_cut_peer(&bare, &peer) && bare.len > 0 ? 1U : 0U;
}

static pg_err texts_read(pg_bytes data, pg_mdns_msg *msg)
{
    pg_reader reader = pg_reader_make(data);
    while (reader.rest.len > 0) {
        uint8_t len = pg_reader_u8(&reader);
        pg_bytes text = pg_reader_take(&reader, len);
        if (reader.failed) {
            return PG_ERR_TRUNCATED;
        }
        addr_take(text, msg);
    }
    return PG_OK;
}

static pg_err questions_read(pg_bytes in, size_t count, size_t *at, pg_mdns_msg *msg)
{
    dns_record record;
    for (size_t i = 0; i < count; i++) {
        PG_TRY(question_read(in, at, &record));
        bool fits = (record.type == TYPE_PTR || record.type == TYPE_ANY) &&
                    (record.class & ~CLASS_FLUSH) == CLASS_IN;
        msg->asks = msg->asks || (fits && is_service_name(&record.name));
    }
    return PG_OK;
}

// Answers, authorities and additional records alike: some put their addresses here, some there.
static pg_err records_read(pg_bytes in, size_t count, size_t *at, pg_mdns_msg *msg)
{
    dns_record record;
    for (size_t i = 0; i < count; i++) {
        PG_TRY(record_read(in, at, &record));
        if (record.type == TYPE_TXT && (record.class & ~CLASS_FLUSH) == CLASS_IN &&
            record.ttl > 0 && is_peer_name(&record.name)) {
            PG_TRY(texts_read(record.data, msg));
        }
    }
    return PG_OK;
}

pg_err pg_mdns_msg_decode(pg_bytes in, pg_mdns_msg *out_msg)
{
    out_msg->asks = false;
    out_msg->addr_count = 0;
    if (in.len > PG_NET_MDNS_MESSAGE_BYTES_MAX) {
        return PG_ERR_LIMIT;
    }
    pg_reader reader = pg_reader_make(in);
    (void) pg_reader_u16be(&reader); // the id means nothing here
    uint16_t flags = pg_reader_u16be(&reader);
    size_t questions = pg_reader_u16be(&reader);
    size_t records = 0;
    for (int section = 0; section < 3; section++) {
        records += pg_reader_u16be(&reader);
    }
    if (reader.failed) {
        return PG_ERR_TRUNCATED;
    }
    if ((flags & (FLAGS_OPCODE | FLAGS_RCODE)) != 0) {
        return PG_OK; // of another kind of exchange: silently ignored (RFC 6762, section 18)
    }
    if (questions + records > PG_NET_MDNS_RECORDS_MAX) {
        return PG_ERR_LIMIT;
    }
    size_t at = HEAD_BYTES;
    PG_TRY(questions_read(in, questions, &at, out_msg));
    if ((flags & FLAG_RESPONSE) == 0) {
        return PG_OK; // what an asker knows already
    }
    out_msg->asks = false;
    return records_read(in, records, &at, out_msg);
}

// ---- writing ----

static void head_write(pg_writer *writer, uint16_t flags, uint16_t questions, uint16_t answers)
{
    pg_writer_u16be(writer, 0);
    pg_writer_u16be(writer, flags);
    pg_writer_u16be(writer, questions);
    pg_writer_u16be(writer, answers);
    pg_writer_u16be(writer, 0);
    pg_writer_u16be(writer, answers); // as many additional ones
}

static void service_write(pg_writer *writer)
{
    pg_writer_put(writer, pg_bytes_make(SERVICE, sizeof(SERVICE)));
}

pg_err pg_mdns_question_encode(pg_mut_bytes space, size_t *out_len)
{
    pg_writer writer = pg_writer_make(space);
    head_write(&writer, 0, 1, 0);
    service_write(&writer);
    pg_writer_u16be(&writer, TYPE_PTR);
    pg_writer_u16be(&writer, CLASS_IN);
    if (writer.failed) {
        return PG_ERR_LIMIT;
    }
    *out_len = writer.len;
    return PG_OK;
}

// The peer's own name; the service's stands behind the head.
static void name_write(pg_writer *writer, pg_str name)
{
    pg_writer_u8(writer, (uint8_t) name.len);
    pg_writer_put(writer, pg_bytes_make(name.ptr, name.len));
    pg_writer_u16be(writer, 0xc000 | HEAD_BYTES);
}

// Write "dnsaddr=ADDR/p2p/ID" as one string of a TXT record; what does not fit leaves nothing.
static void addr_write(pg_writer *writer, const pg_multiaddr *addr, const pg_peer_id *peer)
{
    pg_multiaddr full = *addr;
    char text[PG_MULTIADDR_TEXT_BYTES];
    if (pg_multiaddr_append(&full, PG_MULTIADDR_CODE_P2P, pg_peer_id_bytes(peer)) != PG_OK) {
        return;
    }
    pg_multiaddr_format(&full, text);
    size_t len = strlen(ADDR_KEY) + strlen(text);
    if (len > UINT8_MAX || writer->cap - writer->len < 1 + len) {
        return;
    }
    pg_writer_u8(writer, (uint8_t) len);
    pg_writer_put(writer, PG_BYTES_LIT(ADDR_KEY));
    pg_writer_put(writer, pg_bytes_cstr(text));
}

pg_err pg_mdns_answer_encode(const pg_mdns_answer *answer, pg_mut_bytes space, size_t *out_len)
{
    if (answer->addr_count == 0 || answer->name.len != PG_MDNS_NAME_CHARS) {
        return pg_fail(PG_ERR_INVALID, "an answer has a name and addresses");
    }
    pg_writer writer = pg_writer_make(space);
    head_write(&writer, FLAGS_ANSWER, 0, 1);
    service_write(&writer);
    pg_writer_u16be(&writer, TYPE_PTR);
    pg_writer_u16be(&writer, CLASS_IN);
    pg_writer_u32be(&writer, TTL_SECONDS);
    pg_writer_u16be(&writer, (uint16_t) (1 + answer->name.len + 2));
    name_write(&writer, answer->name);

    name_write(&writer, answer->name);
    pg_writer_u16be(&writer, TYPE_TXT);
    pg_writer_u16be(&writer, CLASS_IN | CLASS_FLUSH);
    pg_writer_u32be(&writer, TTL_SECONDS);
    size_t len_at = writer.len;
    pg_writer_u16be(&writer, 0);
    size_t data_at = writer.len;
    for (size_t i = 0; i < answer->addr_count && !writer.failed; i++) {
        addr_write(&writer, &answer->addrs[i], answer->peer);
    }
    size_t data_len = writer.len - data_at;
    if (writer.failed || data_len == 0 || data_len > UINT16_MAX) {
        return pg_fail(PG_ERR_LIMIT, "no room for an address in %zu bytes", space.len);
    }
    space.ptr[len_at] = (uint8_t) (data_len >> 8);
    space.ptr[len_at + 1] = (uint8_t) data_len;
    *out_len = writer.len;
    return PG_OK;
}

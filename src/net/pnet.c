// SPDX-License-Identifier: Apache-2.0
#include "net/pnet.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "codec/multibase.h"
#include "crypto/xsalsa20.h"
#include "net/limits.h"
#include "runtime/random.h"

// ---- The file

#define BASE64_CHARS 44 // of 32 bytes, padding included

static pg_str line_take(pg_str *rest)
{
    pg_str line = PG_STR("");
    *rest = pg_str_split(*rest, '\n', &line);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

// Standard base64 with its padding, by way of the URL alphabet that codec reads.
static pg_err base64_decode(pg_str text, pg_key *out_key)
{
    char url[BASE64_CHARS];
    size_t len = 0;
    if (text.len != BASE64_CHARS || text.ptr[BASE64_CHARS - 1] != '=') {
        return PG_ERR_MALFORMED;
    }
    for (size_t i = 0; i < BASE64_CHARS - 1; i++) {
        char c = text.ptr[i];
        if (c == '-' || c == '_') {
            return PG_ERR_MALFORMED;
        }
        url[i] = (char) (c == '+' ? '-' : c == '/' ? '_' : c);
    }
    pg_str unpadded = pg_str_make_len(url, BASE64_CHARS - 1);
    pg_err err = pg_base_decode(PG_BASE_64URL, unpadded, PG_MUT_BYTES_OF(out_key->bytes), &len);
    pg_wipe(url, sizeof(url));
    return err == PG_OK && len != PG_KEY_BYTES ? PG_ERR_MALFORMED : err;
}

static pg_err base16_decode(pg_str text, pg_key *out_key)
{
    return pg_hex_decode(text, PG_MUT_BYTES_OF(out_key->bytes));
}

static pg_err bin_decode(pg_str text, pg_key *out_key)
{
    if (text.len != PG_KEY_BYTES) {
        return PG_ERR_MALFORMED;
    }
    memcpy(out_key->bytes, text.ptr, PG_KEY_BYTES);
    return PG_OK;
}

static bool is_blank(pg_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\n' && text.ptr[i] != '\r' && text.ptr[i] != ' ') {
            return false;
        }
    }
    return true;
}

pg_err pg_swarm_key_parse(pg_bytes text, pg_key *out_key)
{
    if (text.len > PG_NET_SWARM_KEY_BYTES_MAX) {
        return pg_fail(PG_ERR_INVALID, "swarm key: %zu bytes, at most %d", text.len,
                       PG_NET_SWARM_KEY_BYTES_MAX);
    }
    pg_str rest = pg_str_make_len((const char *) text.ptr, text.len);
    if (!pg_str_equal(line_take(&rest), PG_STR("/key/swarm/psk/1.0.0/"))) {
        return pg_fail(PG_ERR_INVALID, "swarm key: the first line is not /key/swarm/psk/1.0.0/");
    }
    pg_str encoding = line_take(&rest);
    pg_key key PG_CLEANUP(pg_key_wipe) = {0};
    pg_err err = PG_OK;
    if (pg_str_equal(encoding, PG_STR("/bin/"))) {
        pg_str body = pg_str_make_len(rest.ptr, pg_min_size(rest.len, PG_KEY_BYTES));
        err = bin_decode(body, &key); // may contain what looks like the end of a line
        rest = pg_str_make_len(rest.ptr + body.len, rest.len - body.len);
    } else if (pg_str_equal(encoding, PG_STR("/base16/"))) {
        err = base16_decode(line_take(&rest), &key);
    } else if (pg_str_equal(encoding, PG_STR("/base64/"))) {
        err = base64_decode(line_take(&rest), &key);
    } else {
        return pg_fail(PG_ERR_INVALID,
                       "swarm key: the second line is not /base16/, /base64/ or /bin/");
    }
    if (err != PG_OK || !is_blank(rest)) {
        return pg_fail(PG_ERR_INVALID, "swarm key: the third line is not a key of 32 bytes");
    }
    *out_key = key;
    return PG_OK;
}

void pg_swarm_key_format(const pg_key *key, char out_text[PG_SWARM_KEY_TEXT_BYTES])
{
    static const char head[] = "/key/swarm/psk/1.0.0/\n/base16/\n";
    size_t head_len = sizeof(head) - 1;
    _Static_assert(sizeof(head) - 1 + 2 * PG_KEY_BYTES + 2 == PG_SWARM_KEY_TEXT_BYTES,
                   "head, digits, end of line, NUL");
    memcpy(out_text, head, head_len);
    pg_hex_encode(pg_key_bytes(key), out_text + head_len);
    memcpy(out_text + head_len + 2 * PG_KEY_BYTES, "\n", 2);
}

// ---- The stream

#define BATCH_BYTES_MAX 65536

typedef struct pnet_stream {
    pg_stream base;
    pg_stream *raw;
    pg_xsalsa20 receive;
    size_t nonce_have; // bytes of the peer's nonce that have come
    pg_xsalsa20 send;
    bool nonce_sent;
    pg_buf out;
} pnet_stream;

static pnet_stream *pnet_of(pg_stream *base)
{
    return PG_LIST_OBJECT(base, pnet_stream, base);
}

static pg_err pnet_read(pg_stream *base, pg_mut_bytes space, pg_time deadline, size_t *out_len)
{
    pnet_stream *stream = pnet_of(base);
    size_t len = 0;
    while (stream->nonce_have < PG_XSALSA20_NONCE_BYTES) {
        pg_mut_bytes rest = {stream->receive.nonce + stream->nonce_have,
                             PG_XSALSA20_NONCE_BYTES - stream->nonce_have};
        PG_TRY(pg_stream_read(stream->raw, rest, deadline, &len));
        if (len == 0) {
            *out_len = 0;
            return PG_OK;
        }
        stream->nonce_have += len;
    }
    PG_TRY(pg_stream_read(stream->raw, space, deadline, &len));
    pg_xsalsa20_xor(&stream->receive, pg_bytes_make(space.ptr, len), space.ptr);
    *out_len = len;
    return PG_OK;
}

static pg_err pnet_flush(pnet_stream *stream, pg_time deadline)
{
    PG_TRY(pg_stream_write(stream->raw, pg_buf_bytes(&stream->out), deadline));
    pg_buf_clear(&stream->out);
    return PG_OK;
}

static pg_err pnet_put_nonce(pnet_stream *stream)
{
    if (!stream->nonce_sent) {
        PG_TRY(pg_buf_append(&stream->out, PG_BYTES_OF(stream->send.nonce)));
        stream->nonce_sent = true;
    }
    return PG_OK;
}

static pg_err pnet_write(pg_stream *base, const pg_bytes *parts, size_t part_count,
                         pg_time deadline)
{
    pnet_stream *stream = pnet_of(base);
    PG_TRY(pnet_put_nonce(stream));
    for (size_t i = 0; i < part_count; i++) {
        for (pg_bytes rest = parts[i]; rest.len > 0;) {
            pg_bytes piece = pg_bytes_slice(rest, 0, BATCH_BYTES_MAX - stream->out.len);
            uint8_t *space = NULL;
            PG_TRY(pg_buf_extend(&stream->out, piece.len, &space));
            pg_xsalsa20_xor(&stream->send, piece, space);
            rest = pg_bytes_slice(rest, piece.len, rest.len);
            if (stream->out.len == BATCH_BYTES_MAX) {
                PG_TRY(pnet_flush(stream, deadline));
            }
        }
    }
    return stream->out.len > 0 ? pnet_flush(stream, deadline) : PG_OK;
}

static pg_err pnet_close_write(pg_stream *base, pg_time deadline)
{
    return pg_stream_close_write(pnet_of(base)->raw, deadline);
}

static void pnet_reset(pg_stream *base)
{
    pg_stream_reset(pnet_of(base)->raw);
}

static void pnet_free(pg_stream *base)
{
    pnet_stream *stream = pnet_of(base);
    pg_stream_free(&stream->raw);
    pg_buf_deinit(&stream->out);
    pg_wipe(stream, sizeof(*stream));
    pg_mfree(stream);
}

static const pg_stream_ops pnet_ops = {
    .read = pnet_read,
    .write = pnet_write,
    .close_write = pnet_close_write,
    .reset = pnet_reset,
    .free = pnet_free,
};

pg_err pg_pnet_protect(pg_stream **raw, const pg_key *network, pg_stream **out_stream)
{
    pnet_stream *stream = PG_NEW(pnet_stream);
    if (stream == NULL) {
        return pg_fail(PG_ERR_NOMEM, "no memory for a private connection");
    }
    stream->base.ops = &pnet_ops;
    stream->receive.key = *network;
    stream->send.key = *network;
    pg_random_bytes(PG_MUT_BYTES_OF(stream->send.nonce));
    stream->raw = *raw;
    *raw = NULL;
    *out_stream = &stream->base;
    return PG_OK;
}

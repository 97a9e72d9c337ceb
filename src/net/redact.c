// SPDX-License-Identifier: Apache-2.0
#include "net/redact.h"

#include <string.h>

#include "codec/multiaddr.h"
#include "crypto/peer_id_text.h"

/** The shortest PeerId as text, "Qm...", has 46 characters. */
#define PEER_ID_CHARS_MIN 46

/** The longest IP address as text, and the longest name. */
#define WORD_CHARS_MAX 255

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == ':' || c == '-' || c == '_' || c == '%';
}

static pg_err pseudonym_put(pg_pseudonyms *pseudonyms, pg_bytes of, pg_buf *out)
{
    char name[PG_PSEUDONYM_TEXT_BYTES];
    pg_pseudonym_make(pseudonyms, of, name);
    return pg_buf_append(out, pg_bytes_cstr(name));
}

// Read an IP address of either family by the parser of multiaddrs.
static bool ip_read(pg_str word, pg_multiaddr *out_addr, pg_bytes *out_ip)
{
    char text[WORD_CHARS_MAX + 8];
    bool is_v6 = word.len > 0 && memchr(word.ptr, ':', word.len) != NULL;
    if (word.len == 0 || word.len > WORD_CHARS_MAX) {
        return false;
    }
    memcpy(text, is_v6 ? "/ip6/" : "/ip4/", 5);
    memcpy(text + 5, word.ptr, word.len);
    if (pg_multiaddr_parse(pg_str_make_len(text, word.len + 5), out_addr) != PG_OK) {
        return false;
    }
    pg_multiaddr_part part;
    pg_multiaddr_cursor cursor = pg_multiaddr_walk(out_addr);
    if (!pg_multiaddr_next(&cursor, &part)) {
        return false;
    }
    *out_ip = part.value;
    return true;
}

// The longest front of a word that is an IP address: behind it may stand a port, a zone, or the end of a sentence.
static size_t ip_len(pg_str word, pg_multiaddr *out_addr, pg_bytes *out_ip)
{
    for (size_t len = word.len; len > 0; len--) {
        bool may_end = len == word.len || word.ptr[len] == ':' || word.ptr[len] == '%' ||
                       (word.ptr[len] == '.' && len + 1 == word.len) || word.ptr[len] == '-' ||
                       word.ptr[len] == '_';
        if (may_end && ip_read(pg_str_make_len(word.ptr, len), out_addr, out_ip)) {
            return len;
        }
    }
    return 0;
}

// The name without what ends a sentence.
static size_t name_len(pg_str word)
{
    size_t len = word.len;
    while (len > 0 && (word.ptr[len - 1] == ':' || word.ptr[len - 1] == '.')) {
        len--;
    }
    return len;
}

static bool ends_with(pg_str before, const char *end)
{
    size_t len = strlen(end);
    return before.len >= len && memcmp(before.ptr + before.len - len, end, len) == 0;
}

static bool is_name_behind(pg_str before)
{
    static const char *const codes[] = {"/dns/", "/dns4/", "/dns6/", "/dnsaddr/"};
    bool is = false;
    for (size_t i = 0; i < PG_ARRAY_LEN(codes); i++) {
        is = is || ends_with(before, codes[i]);
    }
    return is;
}

// The host of a URL: what a setting of the archive or of traces names.
static size_t url_host_len(pg_str word)
{
    const char *port = memchr(word.ptr, ':', word.len);
    return port == NULL ? name_len(word) : (size_t) (port - word.ptr);
}

static bool may_be_ip(pg_str word)
{
    return word.len > 1 &&
           (memchr(word.ptr, '.', word.len) != NULL || memchr(word.ptr, ':', word.len) != NULL);
}

static pg_err word_put(pg_pseudonyms *pseudonyms, pg_str before, pg_str word, pg_buf *out)
{
    pg_multiaddr addr;
    pg_bytes ip = PG_BYTES_EMPTY;
    pg_peer_id peer;
    size_t hidden = 0;
    if (is_name_behind(before)) {
        hidden = name_len(word);
        PG_TRY(pseudonym_put(pseudonyms, pg_bytes_make(word.ptr, hidden), out));
        return pg_buf_append(out, pg_bytes_make(word.ptr + hidden, word.len - hidden));
    }
    if (word.len >= PEER_ID_CHARS_MIN && pg_peer_id_parse(word, &peer) == PG_OK) {
        return pseudonym_put(pseudonyms, pg_peer_id_bytes(&peer), out);
    }
    if (may_be_ip(word)) {
        hidden = ip_len(word, &addr, &ip);
    }
    if (hidden == 0 && ends_with(before, "://")) {
        hidden = url_host_len(word);
        ip = pg_bytes_make(word.ptr, hidden);
    }
    if (hidden > 0) {
        PG_TRY(pseudonym_put(pseudonyms, ip, out));
    }
    return pg_buf_append(out, pg_bytes_make(word.ptr + hidden, word.len - hidden));
}

static pg_err words_put(pg_pseudonyms *pseudonyms, pg_str text, pg_buf *out)
{
    size_t at = 0;
    while (at < text.len) {
        size_t end = at;
        while (end < text.len && is_word_char(text.ptr[end])) {
            end++;
        }
        if (end > at) {
            PG_TRY(word_put(pseudonyms, pg_str_make_len(text.ptr, at),
                            pg_str_make_len(text.ptr + at, end - at), out));
            at = end;
        } else {
            PG_TRY(pg_buf_append(out, pg_bytes_make(text.ptr + at, 1)));
            at++;
        }
    }
    return PG_OK;
}

pg_err pg_redact(pg_pseudonyms *pseudonyms, pg_str text, pg_buf *out)
{
    pg_error_record own = {.code = PG_OK}; // of the parsers, for which most words are mistakes
    pg_error_record *kept = pg_error_swap(&own);
    pg_err err = words_put(pseudonyms, text, out);
    (void) pg_error_swap(kept);
    return err;
}

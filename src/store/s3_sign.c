// SPDX-License-Identifier: Apache-2.0
#include "store/s3_sign.h"

#include <stdio.h>
#include <string.h>

#include "crypto/secret.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DATE_CHARS 8 // of the time

// ---- Credentials

static pg_err key_take(const char *what, pg_str text, char *out, size_t max)
{
    if (text.len == 0 || text.len > max) {
        return pg_fail(PG_ERR_INVALID, "%s has %zu characters, 1 to %zu are possible", what,
                       text.len, max);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return pg_fail(PG_ERR_INVALID, "%s has a character that no key has", what);
        }
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return PG_OK;
}

pg_err pg_s3_credentials_make(pg_str access_key, pg_str secret_key,
                              pg_s3_credentials *out_credentials)
{
    pg_s3_credentials made = {.access_key = ""};
    PG_TRY(key_take("the access key", access_key, made.access_key, PG_S3_ACCESS_KEY_BYTES_MAX));
    if (strpbrk(made.access_key, "/,") != NULL) { // it stands in a header, before a slash
        return pg_fail(PG_ERR_INVALID, "the access key has a character that no key has");
    }
    PG_TRY(key_take("the secret key", secret_key, made.secret_key, PG_S3_SECRET_KEY_BYTES_MAX));
    *out_credentials = made;
    pg_wipe(&made, sizeof(made));
    return PG_OK;
}

// ---- Texts

void pg_s3_time_format(int64_t wall_ms, char out_text[PG_S3_TIME_BYTES])
{
    enum { SECONDS_OF_DAY = 86400, MINUTE = 60, HOUR = 3600, YEARS_MAX = 9999 };
    uint64_t seconds = wall_ms < 0 ? 0 : (uint64_t) wall_ms / 1000;
    uint64_t days = seconds / SECONDS_OF_DAY;
    unsigned rest = (unsigned) (seconds % SECONDS_OF_DAY);
    // Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin in March.
    uint64_t shifted = days + 719468;
    uint64_t era = shifted / 146097;
    unsigned of_era = (unsigned) (shifted % 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * of_year + 2) / 153; // 0 is March
    unsigned day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    uint64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
    year = year > YEARS_MAX ? YEARS_MAX : year;
    (void) snprintf(out_text, PG_S3_TIME_BYTES, "%04u%02u%02uT%02u%02u%02uZ",
                    (unsigned) year % (YEARS_MAX + 1U), month % 100U, day % 100U,
                    rest / HOUR % 100U, rest / MINUTE % MINUTE, rest % MINUTE);
}

void pg_s3_digest_format(pg_bytes body, char out_text[PG_S3_DIGEST_TEXT_BYTES])
{
    uint8_t digest[PG_HASH_BYTES];
    pg_sha256(body, digest);
    pg_hex_encode(PG_BYTES_OF(digest), out_text);
}

pg_err pg_s3_escape(pg_str name, bool keeps_slash, pg_buf *out)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
                        (c == '/' && keeps_slash);
        PG_TRY(pg_buf_printf(out, is_plain ? "%c" : "%%%02X", (unsigned char) c));
    }
    return PG_OK;
}

// ---- The signature

static pg_err header_names(const pg_s3_request *request, pg_buf *out)
{
    for (size_t i = 0; i < request->header_count; i++) {
        PG_TRY(pg_buf_printf(out, "%s%s", i == 0 ? "" : ";", request->headers[i].name));
    }
    return PG_OK;
}

/** The request as both sides write it. */
static pg_err canonical(const pg_s3_request *request, pg_buf *out)
{
    PG_TRY(pg_buf_printf(out, "%s\n%s\n%s\n", request->method, request->path, request->query));
    for (size_t i = 0; i < request->header_count; i++) {
        PG_TRY(pg_buf_printf(out, "%s:%s\n", request->headers[i].name, request->headers[i].value));
    }
    PG_TRY(pg_buf_printf(out, "\n"));
    PG_TRY(header_names(request, out));
    return pg_buf_printf(out, "\n%s", request->payload);
}

static pg_err string_to_sign(const pg_s3_request *request, pg_buf *out)
{
    char digest[PG_S3_DIGEST_TEXT_BYTES];
    pg_buf whole = {.ptr = NULL};
    pg_err err = canonical(request, &whole);
    if (err == PG_OK) {
        pg_s3_digest_format(pg_buf_bytes(&whole), digest);
        err = pg_buf_printf(out, "%s\n%s\n%.*s/%s/s3/aws4_request\n%s", ALGORITHM, request->time,
                            DATE_CHARS, request->time, request->region, digest);
    }
    pg_buf_deinit(&whole);
    return err;
}

/** A key for this day, region and service: each from the one before. */
static void key_derive(const pg_s3_request *request, const pg_s3_credentials *credentials,
                       uint8_t out_key[PG_HASH_BYTES])
{
    static const char first[] = "AWS4";
    char secret[sizeof(first) + PG_S3_SECRET_KEY_BYTES_MAX];
    int len = snprintf(secret, sizeof(secret), "%s%s", first, credentials->secret_key);
    pg_hmac_sha256(pg_bytes_make(secret, (size_t) len), pg_bytes_make(request->time, DATE_CHARS),
                   out_key);
    pg_wipe(secret, sizeof(secret));
    const pg_bytes steps[] = {pg_bytes_cstr(request->region), PG_BYTES_LIT("s3"),
                              PG_BYTES_LIT("aws4_request")};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint8_t key[PG_HASH_BYTES];
        memcpy(key, out_key, sizeof(key));
        pg_hmac_sha256(PG_BYTES_OF(key), steps[i], out_key);
        pg_wipe(key, sizeof(key));
    }
}

pg_err pg_s3_sign(const pg_s3_request *request, const pg_s3_credentials *credentials, pg_buf *out)
{
    uint8_t key[PG_HASH_BYTES];
    uint8_t mac[PG_HASH_BYTES];
    char signature[PG_S3_DIGEST_TEXT_BYTES];
    pg_buf text PG_CLEANUP(pg_buf_deinit) = {.ptr = NULL};
    PG_TRY(string_to_sign(request, &text));
    key_derive(request, credentials, key);
    pg_hmac_sha256(PG_BYTES_OF(key), pg_buf_bytes(&text), mac);
    pg_wipe(key, sizeof(key));
    pg_hex_encode(PG_BYTES_OF(mac), signature);
    PG_TRY(pg_buf_printf(out, "%s Credential=%s/%.*s/%s/s3/aws4_request, SignedHeaders=", ALGORITHM,
                         credentials->access_key, DATE_CHARS, request->time, request->region));
    PG_TRY(header_names(request, out));
    return pg_buf_printf(out, ", Signature=%s", signature);
}

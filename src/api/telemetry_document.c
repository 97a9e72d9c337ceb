// SPDX-License-Identifier: Apache-2.0
#include "api/telemetry_document.h"

#include <string.h>

#include <json-c/json_object.h>

#include "api/fields.h"
#include "api/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "crypto/hash.h"

#define FORMAT "pangea-telemetry-1"
#define FEW 8U         // below it a number would be about single files or peers
#define PERCENT_STEP 5 // shares are rounded to
#define SECONDS_HOUR 3600U

#if defined(__linux__)
#define OS "linux"
#else
#define OS "other"
#endif

#if defined(__x86_64__)
#define ARCH "x86_64"
#elif defined(__aarch64__)
#define ARCH "aarch64"
#elif defined(__arm__)
#define ARCH "arm"
#elif defined(__riscv)
#define ARCH "riscv"
#else
#define ARCH "other"
#endif

typedef enum row_kind {
    ROW_KIND_FORMAT,
    ROW_KIND_TAG,
    ROW_KIND_VERSION,
    ROW_KIND_OS,
    ROW_KIND_ARCH,
    ROW_KIND_COUNT,   // uint64_t
    ROW_KIND_HOURS,   // uint64_t, seconds
    ROW_KIND_SHARE,   // pg_usage_rate
    ROW_KIND_PERCENT, // pg_usage_spread
} row_kind;

/** One field. */
typedef struct row {
    const char *name;
    row_kind kind;
    size_t at;     // in pg_telemetry_facts
    uint32_t most; // of a count: nothing above it is told; of a percentile: which
    const char *meaning;
} row;

#define AT(member) offsetof(pg_telemetry_facts, member)

static const row table[] = {
    {"format", ROW_KIND_FORMAT, 0, 0, "always " FORMAT},
    {"tag", ROW_KIND_TAG, 0, 0,
     "16 random bytes, drawn anew every week, made of nothing and kept nowhere else"},
    {"version", ROW_KIND_VERSION, 0, 0, "version of the program, its numbers alone"},
    {"os", ROW_KIND_OS, 0, 0, "family of the operating system: linux or other"},
    {"arch", ROW_KIND_ARCH, 0, 0,
     "architecture of the program: x86_64, aarch64, arm, riscv or other"},
    {"period_hours", ROW_KIND_HOURS, AT(period_s), 1024,
     "hours that this document is about: since the one before, or the start; a power of two, 1024 "
     "at most"},
    {"uptime_hours", ROW_KIND_HOURS, AT(uptime_s), 1024,
     "hours since the node was started; a power of two, 1024 at most"},
    {"peers", ROW_KIND_COUNT, AT(peers), 256, "peers connected now; a power of two, 256 at most"},
    {"files", ROW_KIND_COUNT, AT(files), 1024, "files put here; a power of two, 1024 at most"},
    {"leases", ROW_KIND_COUNT, AT(leases), 65536,
     "extents kept for others; a power of two, 65536 at most"},
    {"puts", ROW_KIND_COUNT, AT(usage.put.ended.good), 1024,
     "puts that ended well; a power of two, 1024 at most"},
    {"put_percent", ROW_KIND_SHARE, AT(usage.put.ended), 0,
     "share of puts that ended well, in steps of 5 %; null below 8 puts"},
    {"put_ms_p50", ROW_KIND_PERCENT, AT(usage.put.ms), 50,
     "milliseconds that half of the puts took at most; a power of two, null below 8"},
    {"put_ms_p95", ROW_KIND_PERCENT, AT(usage.put.ms), 95, "the same of 95 % of the puts"},
    {"put_speed_p50", ROW_KIND_PERCENT, AT(usage.put.speeds), 50,
     "bytes a second that half of the puts of 1 MiB and more had at most; a power of two, null "
     "below 8"},
    {"put_speed_p5", ROW_KIND_PERCENT, AT(usage.put.speeds), 5,
     "the same of 5 % of these puts, the slowest"},
    {"gets", ROW_KIND_COUNT, AT(usage.get.ended.good), 1024,
     "gets that ended well; a power of two, 1024 at most"},
    {"get_percent", ROW_KIND_SHARE, AT(usage.get.ended), 0,
     "share of gets that ended well, in steps of 5 %; null below 8 gets"},
    {"get_ms_p50", ROW_KIND_PERCENT, AT(usage.get.ms), 50,
     "milliseconds that half of the gets took at most; a power of two, null below 8"},
    {"get_ms_p95", ROW_KIND_PERCENT, AT(usage.get.ms), 95, "the same of 95 % of the gets"},
    {"get_speed_p50", ROW_KIND_PERCENT, AT(usage.get.speeds), 50,
     "bytes a second that half of the gets of 1 MiB and more had at most; a power of two, null "
     "below 8"},
    {"get_speed_p5", ROW_KIND_PERCENT, AT(usage.get.speeds), 5,
     "the same of 5 % of these gets, the slowest"},
    {"repairs", ROW_KIND_COUNT, AT(sums.repairs.good), 1024,
     "repairs of extents that ended well; a power of two, 1024 at most"},
    {"repair_percent", ROW_KIND_SHARE, AT(sums.repairs), 0,
     "share of repairs that ended well, in steps of 5 %; null below 8 repairs"},
    {"audit_percent", ROW_KIND_SHARE, AT(sums.audits), 0,
     "share of audited pieces that were proven to be there, in steps of 5 %; null below 8 pieces"},
};

pg_telemetry_field pg_telemetry_field_at(size_t index)
{
    return index < PG_ARRAY_LEN(table)
               ? (pg_telemetry_field){table[index].name, table[index].meaning}
               : (pg_telemetry_field){NULL, NULL};
}

// ---- Values

static json_object *count_make(uint64_t value, uint64_t most)
{
    uint64_t held = value < most ? value : most;
    uint64_t rounded = held == 0 ? 0 : UINT64_C(1) << (63U - (unsigned) __builtin_clzll(held));
    return json_object_new_uint64(rounded);
}

static json_object *share_make(const pg_usage_rate *rate)
{
    uint64_t total = rate->good + rate->bad;
    if (total < FEW) {
        return NULL;
    }
    double percent = 100.0 * (double) rate->good / (double) total;
    return json_object_new_uint64(PERCENT_STEP * (uint64_t) (percent / PERCENT_STEP + 0.5));
}

static json_object *tag_make(const uint8_t tag[PG_TELEMETRY_TAG_BYTES])
{
    char text[2 * PG_TELEMETRY_TAG_BYTES + 1];
    pg_hex_encode(pg_bytes_make(tag, PG_TELEMETRY_TAG_BYTES), text);
    return json_object_new_string(text);
}

/** The numbers alone: what a builder adds behind them may be theirs alone. */
static json_object *version_make(const char *version)
{
    return json_object_new_string_len(version, (int) strspn(version, "0123456789."));
}

static json_object *value_make(const row *field, const pg_telemetry_facts *facts)
{
    const char *at = (const char *) facts + field->at;
    uint64_t number = 0;
    pg_usage_rate rate;
    pg_usage_spread spread;
    switch (field->kind) {
    case ROW_KIND_FORMAT:
        return json_object_new_string(FORMAT);
    case ROW_KIND_TAG:
        return tag_make(facts->tag);
    case ROW_KIND_VERSION:
        return version_make(facts->version);
    case ROW_KIND_OS:
        return json_object_new_string(OS);
    case ROW_KIND_ARCH:
        return json_object_new_string(ARCH);
    case ROW_KIND_COUNT:
    case ROW_KIND_HOURS:
        memcpy(&number, at, sizeof(number));
        return count_make(field->kind == ROW_KIND_HOURS ? number / SECONDS_HOUR : number,
                          field->most);
    case ROW_KIND_SHARE:
        memcpy(&rate, at, sizeof(rate));
        return share_make(&rate);
    case ROW_KIND_PERCENT:
        memcpy(&spread, at, sizeof(spread));
        return spread.count < FEW
                   ? NULL
                   : json_object_new_uint64(pg_usage_spread_at(&spread, field->most));
    }
    return NULL;
}

pg_err pg_telemetry_write(const pg_telemetry_facts *facts, pg_buf *out)
{
    json_object *document = json_object_new_object();
    for (size_t i = 0; i < PG_ARRAY_LEN(table); i++) {
        pg_field_add(document, table[i].name, value_make(&table[i], facts));
    }
    const char *text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN);
    pg_err err = text == NULL ? PG_ERR_NOMEM : pg_buf_append(out, pg_bytes_cstr(text));
    json_object_put(document);
    return err;
}

void pg_telemetry_list_id(const char *url, char out_id[PG_TELEMETRY_LIST_ID_CHARS + 1])
{
    uint8_t digest[PG_HASH_BYTES];
    pg_blake3_stream stream;
    pg_blake3_stream_init(&stream, NULL);
    for (size_t i = 0; i < PG_ARRAY_LEN(table); i++) {
        pg_blake3_stream_update(&stream, pg_bytes_cstr(table[i].name));
        pg_blake3_stream_update(&stream, PG_BYTES_LIT("\t"));
        pg_blake3_stream_update(&stream, pg_bytes_cstr(table[i].meaning));
        pg_blake3_stream_update(&stream, PG_BYTES_LIT("\n"));
    }
    pg_blake3_stream_update(&stream, pg_bytes_cstr(url));
    pg_blake3_stream_final(&stream, pg_mut_bytes_make(digest, sizeof(digest)));
    pg_hex_encode(pg_bytes_make(digest, sizeof(digest)), out_id);
}

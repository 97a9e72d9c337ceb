// SPDX-License-Identifier: Apache-2.0
// A client of S3-compatible object stores (AWS, Ceph, MinIO, Garage): put, get with ranges, head, delete, list. Requests are signed (s3_sign.h), run
// on threads of their own, and are tried again when the store is overloaded or the line breaks. Credentials stand in guarded memory and in no message.
// Not for: what is stored, and whether it is what it should be (files/vault.h).
//
// Layer: store.  Thread: loop thread only.  Spec: docs/protocols/archive.md
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "store/objects.h"
#include "store/s3_sign.h"

typedef struct pg_s3 pg_s3;

/** Settings. Copied. */
typedef struct pg_s3_config {
    const char *endpoint; // "https://s3.example.org", maybe with a port; no path
    const char *bucket;   // 3 to 63 of a-z 0-9 . -
    const char *region;   // "us-east-1"
    const char *proxy;    // "socks5h://127.0.0.1:9050"; NULL or empty = none
    const char
        *ca_file; // trust this file of certificates alone; NULL or empty = those of the system
    bool in_host; // the bucket stands in the name of the host, not in the path
    uint32_t timeout_ms; // of one exchange; 0 = PG_S3_TIMEOUT_MS
} pg_s3_config;

/** What was done. */
typedef struct pg_s3_stats {
    uint64_t requests_total; // exchanges, each try counted
    uint64_t retries_total;
    uint64_t failures_total; // requests that failed in the end, but for what was not found
    uint64_t bytes_up_total; // of bodies that the store took
    uint64_t bytes_down_total;
} pg_s3_stats;

/** Check the settings alone. Errors: PG_ERR_INVALID with the name of the setting in the detail. */
PG_NODISCARD pg_err pg_s3_config_check(const pg_s3_config *config);

/** Make a client; nothing is asked yet. Errors: PG_ERR_INVALID, PG_ERR_NOMEM, PG_ERR_LIMIT. Parks: yes. */
PG_NODISCARD pg_err pg_s3_new(const pg_s3_config *config, pg_s3 **out_s3);

/** Sign with these from now on; NULL: with none, and every request fails with PG_ERR_KEY. Copied. Errors: PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_s3_credentials_set(pg_s3 *s3, const pg_s3_credentials *credentials);

/** Return true when there are credentials. */
bool pg_s3_has_credentials(const pg_s3 *s3);

/** Return it as a store of objects. Borrowed. */
pg_objects pg_s3_objects(pg_s3 *s3);

/** Return what was done. */
pg_s3_stats pg_s3_get_stats(const pg_s3 *s3);

/** Let what is under way, and what comes, fail with PG_ERR_CANCELLED within a second or two. NULL is fine. Parks: no. */
void pg_s3_end(pg_s3 *s3);

/** Wipe, free; no call of it may be on, and set *s3 to NULL. NULL is fine. Parks: yes. */
void pg_s3_free(pg_s3 **s3);

// SPDX-License-Identifier: Apache-2.0
// What a record may say: a validator for each namespace, registered by whoever knows its values, and the choice among
// several values of one key. Of our own: "pk", libp2p's public keys, and "test", unsigned, for trying things out.
//
// Layer: dht.  Thread: loop thread only.  Spec: libp2p kad-dht, "Entry validation"; docs/protocols/dht.md
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "dht/limits.h"

/** How to judge the values of one namespace. Keys are "/NAMESPACE/rest"; `rest` may be any bytes. */
typedef struct pg_dht_validator {
    const char *name_space; // "pk", or of two parts, "pangea/feed"; static
    bool
        is_mutable; // the value of a key may change: a quorum is asked, and the better value counts
    /** Check a value under a key, both within their limits. Must not park.
     *  Errors: PG_ERR_MALFORMED, PG_ERR_AUTH, PG_ERR_CORRUPT (the sender's fault), PG_ERR_UNSUPPORTED (a version or kind not known here) */
    pg_err (*check)(pg_bytes key, pg_bytes value, void *user);
    /** Compare two values of one key that passed the check, which need not be checked again: positive when `a` is the better, that is the newer, one. NULL: never differ in worth. */
    int (*compare)(pg_bytes a, pg_bytes b, void *user);
    void *user;
} pg_dht_validator;

/** The validators of a node. All-zero is an empty set. */
typedef struct pg_dht_validators {
    pg_dht_validator list[PG_DHT_VALIDATORS_MAX];
    size_t count;
} pg_dht_validators;

/** Register a validator, copied. Errors: PG_ERR_EXISTS, PG_ERR_LIMIT. */
PG_NODISCARD pg_err pg_dht_validators_add(pg_dht_validators *validators,
                                          const pg_dht_validator *validator);

/** Find the validator of a key. Errors: PG_ERR_INVALID (no "/namespace/rest", or too long), PG_ERR_UNSUPPORTED (no validator). */
PG_NODISCARD pg_err pg_dht_validators_find(const pg_dht_validators *validators, pg_bytes key,
                                           const pg_dht_validator **out_validator);

/** Check a value under its key. Errors: PG_ERR_LIMIT (too long), and those of pg_dht_validators_find and of the check. */
PG_NODISCARD pg_err pg_dht_validators_check(const pg_dht_validators *validators, pg_bytes key,
                                            pg_bytes value, const pg_dht_validator **out_validator);

/** "/pk/" and a PeerId: the value is the public key that hashes to it. Source: libp2p kad-dht */
extern const pg_dht_validator pg_dht_validator_pk;

/** "/test/" and anything: any value will do, and of two the one that sorts later is the newer. Nobody signs it: only for tests. */
extern const pg_dht_validator pg_dht_validator_test;

/** How a value compares with the best so far. */
typedef enum pg_dht_verdict {
    PG_DHT_VERDICT_BETTER, // it is the best now
    PG_DHT_VERDICT_SAME,   // as good as the best
    PG_DHT_VERDICT_WORSE,
    PG_DHT_VERDICT_INVALID,
} pg_dht_verdict;

/** The choice among the values that peers give for one key. Own in place, end with pg_dht_choice_deinit. */
typedef struct pg_dht_choice {
    const pg_dht_validators *validators;
    const pg_dht_validator *validator; // of the key
    pg_buf key;
    pg_buf best;
    uint32_t valid;    // values that passed the check
    uint32_t invalid;  // and that did not
    uint32_t quorum;   // values needed for a choice
    uint32_t improved; // how often a better one came
    bool is_found;
} pg_dht_choice;

/** Begin. Of what cannot change one value is enough; else PG_DHT_QUORUM are. Errors: as pg_dht_validators_find, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_dht_choice_init(pg_dht_choice *choice, const pg_dht_validators *validators,
                                       pg_bytes key);

/** Judge one more value, one that is the best already without checking it again, and keep a copy when it is the best. */
pg_dht_verdict pg_dht_choice_add(pg_dht_choice *choice, pg_bytes value);

/** Return true when enough peers have been heard. */
bool pg_dht_choice_is_enough(const pg_dht_choice *choice);

/** Free; all-zero is fine. */
void pg_dht_choice_deinit(pg_dht_choice *choice);

#define PG_DHT_TIME_TEXT_BYTES 32

/** Write a time, milliseconds since 1970, as RFC 3339 text with nanoseconds: "2006-01-02T15:04:05.123000000Z". Times before
 *  1970 and after the year 9999 are written as the nearest of these. */
void pg_dht_time_format(int64_t wall_ms, char out_text[PG_DHT_TIME_TEXT_BYTES]);

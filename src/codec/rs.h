// SPDX-License-Identifier: Apache-2.0
// Reed-Solomon over GF(2^8): k data shards and m parity shards of one length, any k of which give all others back, and
// the check of an audit, which rests on the code being linear byte by byte. Arithmetic by ISA-L.
//
// The code, so that others can write it: the field is modulo x^8+x^4+x^3+x^2+1 (0x11d); shard j < k is data; parity shard
// i, k <= i < k+m, is the sum over j of data shard j times 1/(i xor j), a Cauchy matrix.
//
// Layer: codec.  Thread: any; a pg_rs never changes once made and may be shared.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** The most shards, data and parity: i xor j has to be a byte and never 0. In practice at most some dozens: finding lost
 *  shards inverts a matrix of k by k. */
#define PG_RS_SHARDS_MAX 255
/** The longest shard: ISA-L counts in int. Ours have a little over 1 MiB. */
#define PG_RS_SHARD_BYTES_MAX (64U << 20)

/** A code k+m with its tables. */
typedef struct pg_rs pg_rs;

/** Make the code with `k` data and `m` parity shards; 1 <= k, 0 <= m, k + m <= PG_RS_SHARDS_MAX. Free with pg_rs_free.
 *  Errors: PG_ERR_INVALID, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_rs_new(unsigned k, unsigned m, pg_rs **out_rs);

/** Free a code and null the pointer. NULL is fine. */
void pg_rs_free(pg_rs **rs);

/** Return the number of data shards. */
unsigned pg_rs_k(const pg_rs *rs);

/** Return the number of parity shards. */
unsigned pg_rs_m(const pg_rs *rs);

/** Compute the parity.
 *  data[k]      shards of `shard_bytes`
 *  parity[m]    written, `shard_bytes` each; no overlap with data
 *  Errors: PG_ERR_INVALID beyond PG_RS_SHARD_BYTES_MAX. Cost: about m passes over the data; takes no memory. */
PG_NODISCARD pg_err pg_rs_encode(const pg_rs *rs, size_t shard_bytes, const uint8_t *const *data,
                                 uint8_t *const *parity);

/** Compute missing shards, data or parity.
 *  have[k+m]    shards of `shard_bytes`, NULL where missing; the first k that are there are used and must be right
 *  want[k+m]    where to write, NULL where not wanted; never for a shard that is there
 *  Errors: PG_ERR_MISSING with fewer than k, PG_ERR_INVALID, PG_ERR_NOMEM; nothing is then written. */
PG_NODISCARD pg_err pg_rs_reconstruct(const pg_rs *rs, size_t shard_bytes,
                                      const uint8_t *const *have, uint8_t *const *want);

/** What the answers to an audit say. */
typedef enum pg_rs_finding {
    PG_RS_FINDING_UNPROVEN,     // k answers or fewer: any such answers fit some data
    PG_RS_FINDING_CONSISTENT,   // all fit the same data
    PG_RS_FINDING_LIAR,         // all but one fit the same data, and at least k + 2 answered
    PG_RS_FINDING_INCONSISTENT, // somebody lies, and the answers do not tell who
} pg_rs_finding;

/** The result of a check. */
typedef struct pg_rs_verdict {
    pg_rs_finding finding;
    unsigned liar; // shard number; with PG_RS_FINDING_LIAR only
} pg_rs_verdict;

/** Judge vectors that must form a codeword at every byte, as the audit's answers do: the same linear combination of each
 *  shard's blocks. With 8+2: ten answers name one liar, nine show that there is one, eight prove nothing.
 *  answers[k+m] vectors of `answer_bytes`, in order of shard number; NULL where none came. At most PG_RS_SHARD_BYTES_MAX
 *  The verdict is certain when at most one lies. Two who agree on their lies can let a third look like the liar, and
 *  m + 1 who agree can lie unseen: act on LIAR and INCONSISTENT by fetching whole shards and checking their digests.
 *  Errors: PG_ERR_INVALID, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_rs_check(const pg_rs *rs, size_t answer_bytes, const uint8_t *const *answers,
                                pg_rs_verdict *out_verdict);

/** Sum up blocks with coefficients: *out = the sum over b of coefficients[b] times block b of `data` in GF(2^8).
 *  data          cut in blocks of out.len bytes; the last may be shorter and counts as filled with zeros
 *  coefficients  one for each block, the last one too: as many as data.len divided by out.len, rounded up
 *  out           not empty, at most PG_RS_SHARD_BYTES_MAX; no overlap with data. Cost: one pass over the data. */
void pg_gf_combine(pg_bytes data, const uint8_t *coefficients, pg_mut_bytes out);

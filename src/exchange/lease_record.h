// SPDX-License-Identifier: Apache-2.0
// The newest grant of a lease key as a record in the DHT, "/pangea/grant/<lease key>": a host that missed a grant finds it there. The value is
// the grant as its hosts have it (lease.h); the higher sequence counts.
//
// Layer: exchange.  Thread: any.  Spec: docs/protocols/place.md, "In the DHT"
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "crypto/public_key.h"
#include "dht/record.h"

#define PG_LEASE_RECORD_NAMESPACE "pangea/grant"

/** Append the key of a record: the lease key stands in it as 64 lower-case hexadecimal digits. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_lease_record_key(const uint8_t lease_key[PG_ED25519_PUBLIC_BYTES],
                                        pg_buf *out);

/** A grant under the key that signed it; of two the one with the higher sequence is the newer, of two with one the one that sorts later. */
extern const pg_dht_validator pg_dht_validator_grant;

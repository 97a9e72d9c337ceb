// SPDX-License-Identifier: Apache-2.0
// Short words to the hosts of an extent, outside an upload: a later grant, a release.
//
// Layer: files, private.  Thread: loop thread only.  Spec: docs/protocols/place.md
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "files/catalogue.h"
#include "files/service_priv.h"

/** One host of an extent, and what it is told. All is borrowed but the release. */
typedef struct pg_notice {
    pg_files *files;
    const pg_catalogue_extent *extent;
    const pg_catalogue_holder *holder;
    pg_bytes grant; // encoded: this is sent, or
    pg_buf release; // encoded: this
    bool is_done;   // the host heard it, or it makes no difference to it any more
    uint64_t known; // sequence of the later grant that it keeps to instead; 0 = none
} pg_notice;

/** Tell all at once. That one is not reached is no error: see is_done. Parks: yes. Errors: PG_ERR_CANCELLED, PG_ERR_NOMEM. */
PG_NODISCARD pg_err pg_notices_send(pg_notice *notices, size_t count);

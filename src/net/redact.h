// SPDX-License-Identifier: Apache-2.0
// Text for the log without addresses and peers: whatever looks like an IP address, a name in a multiaddr or a URL, or a PeerId is replaced by
// its pseudonym, the same that a log line names it by on purpose. The details of errors are written for the person who typed an
// address, and so may quote it; a log is kept and given on.
//
// Layer: net.  Thread: any, one set of pseudonyms at a time.
#pragma once

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/str.h"
#include "net/pseudonym.h"

/** Append `text` with pseudonyms to `out`. The error record stays as it is. Errors as pg_buf_reserve. */
PG_NODISCARD pg_err pg_redact(pg_pseudonyms *pseudonyms, pg_str text, pg_buf *out);

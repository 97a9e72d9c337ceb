// SPDX-License-Identifier: Apache-2.0
// A store of objects by name, somewhere else: what the archive needs of one, whatever it is. One is S3 (s3.h); the simulation has one in
// memory. Nothing that it gives is trusted: whoever reads verifies.
//
// Layer: store.  Thread: loop thread only.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

/** Bytes of an object. */
typedef struct pg_object_range {
    uint64_t offset;
    uint64_t len; // at least 1
} pg_object_range;

/** Told of each object of a list. Must not park. An error ends the list and is returned. */
typedef pg_err (*pg_object_fn)(const char *name, uint64_t bytes, void *user);

/** The store. All calls park; all may fail with PG_ERR_UNREACHABLE, PG_ERR_TIMEOUT, PG_ERR_BUSY (it is overloaded), PG_ERR_KEY (credentials), PG_ERR_ACCESS
 *  (not allowed), PG_ERR_IO, PG_ERR_PROTOCOL, PG_ERR_CANCELLED, PG_ERR_NOMEM. */
typedef struct pg_objects {
    /** Put an object in the place of one of this name; it is there whole or not at all. Also PG_ERR_FULL. */
    pg_err (*put)(void *self, const char *name, pg_bytes body);
    /** Append a part of an object, or all of it up to `out`'s limit (range NULL). Also PG_ERR_NOT_FOUND, PG_ERR_CORRUPT (it is shorter), PG_ERR_LIMIT. */
    pg_err (*get)(void *self, const char *name, const pg_object_range *range, pg_buf *out);
    /** Tell the size of an object. Also PG_ERR_NOT_FOUND. */
    pg_err (*head)(void *self, const char *name, uint64_t *out_bytes);
    /** Delete an object; one that is not there is deleted. */
    pg_err (*remove)(void *self, const char *name);
    /** List the objects whose names begin with `prefix`, in the order of their names. */
    pg_err (*list)(void *self, const char *prefix, pg_object_fn each, void *user);
    void *self;
} pg_objects;

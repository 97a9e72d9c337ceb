// SPDX-License-Identifier: Apache-2.0
// How likely it is that what was coded cannot be read, given how likely each of its hosts is there: exact, for hosts that fail
// independently of each other. Pure.
//
// Layer: health.  Thread: any.  Spec: docs/protocols/health.md, "Which code"
#pragma once

#include <stddef.h>

/** One host: how likely it is there, 0..1, and how many shards of each segment it has. */
typedef struct pg_durability_host {
    double up;
    unsigned shards;
} pg_durability_host;

#define PG_DURABILITY_SHARDS_MAX 64

/** Return the probability that fewer than `needed` shards can be had.
 *  hosts   hosts[count]; beyond PG_DURABILITY_SHARDS_MAX shards in all the rest is not counted */
double pg_durability_loss(const pg_durability_host *hosts, size_t count, unsigned needed);

/** What a parity is chosen for. */
typedef struct pg_durability_aim {
    unsigned data;
    unsigned least; // parity
    unsigned most;
    double loss_max;
} pg_durability_aim;

/** Return the least parity of aim->least..aim->most with which the loss is at most aim->loss_max when n = data + parity shards are dealt to the first of these
 *  hosts as evenly as can be; aim->most where none is enough.
 *  up         up[count], best first; count > 0
 *  out_loss   with that parity; may be NULL */
unsigned pg_durability_parity(const double *up, size_t count, const pg_durability_aim *aim,
                              double *out_loss);

// SPDX-License-Identifier: Apache-2.0
#include "health/durability.h"

#include <string.h>

#include "base/mem.h"

double pg_durability_loss(const pg_durability_host *hosts, size_t count, unsigned needed)
{
    double chance[PG_DURABILITY_SHARDS_MAX + 1] = {1}; // chance[s]: exactly s shards can be had
    size_t most = 0;
    for (size_t i = 0; i < count && most + hosts[i].shards <= PG_DURABILITY_SHARDS_MAX; i++) {
        unsigned shards = hosts[i].shards;
        most += shards;
        for (size_t s = most + 1; s-- > 0;) {
            double with = s >= shards ? chance[s - shards] : 0;
            chance[s] = hosts[i].up * with + (1 - hosts[i].up) * chance[s];
        }
    }
    double loss = 0;
    for (size_t s = 0; s < needed && s <= most; s++) {
        loss += chance[s];
    }
    return needed > most ? 1 : loss;
}

static double loss_of(const double *up, size_t count, unsigned data, unsigned parity)
{
    pg_durability_host hosts[PG_DURABILITY_SHARDS_MAX];
    size_t n = pg_min_size((size_t) data + parity, PG_DURABILITY_SHARDS_MAX);
    size_t used = pg_min_size(count, n);
    for (size_t i = 0; i < used; i++) {
        hosts[i] = (pg_durability_host){up[i], (unsigned) (n / used + (i < n % used ? 1 : 0))};
    }
    return pg_durability_loss(hosts, used, data);
}

unsigned pg_durability_parity(const double *up, size_t count, const pg_durability_aim *aim,
                              double *out_loss)
{
    unsigned parity = aim->least;
    double loss = loss_of(up, count, aim->data, parity);
    while (loss > aim->loss_max && parity < aim->most) {
        parity++;
        loss = loss_of(up, count, aim->data, parity);
    }
    if (out_loss != NULL) {
        *out_loss = loss;
    }
    return parity;
}

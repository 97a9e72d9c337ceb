// SPDX-License-Identifier: Apache-2.0
// The code of a put that leaves it to the node (`--code auto`): the least parity with which the hosts at hand are likely enough to be there.
#include "base/mem.h"
#include "files/host_set.h"
#include "files/limits.h"
#include "files/service_priv.h"
#include "files/unfinished.h"
#include "health/durability.h"
#include "runtime/random.h"

// ---- A put that goes on has the code it began with

static pg_err code_begun(pg_files *files, const pg_put_origin *origin, pg_code *out_code)
{
    pg_unfinished put = {.file = 0};
    if (origin == NULL) {
        return PG_ERR_NOT_FOUND;
    }
    pg_err err = pg_unfinished_find(files->config.db, origin->source, &put);
    if (err == PG_OK) {
        *out_code = put.code;
        pg_unfinished_deinit(&put);
    }
    return err;
}

/** Tell how likely each of the hosts is there that an extent would be given to. */
static size_t hosts_rate(pg_files *files, pg_host_candidate *candidates, double *out_up, size_t max)
{
    uint8_t extent_id[PG_EXTENT_ID_BYTES];
    size_t connected = 0;
    size_t count = pg_files_candidates(files, NULL, 0, candidates, &connected);
    pg_random_bytes(PG_MUT_BYTES_OF(extent_id));
    pg_host_set_order(candidates, connected, PG_BYTES_OF(extent_id), files->config.health);
    pg_host_set_order(candidates + connected, count - connected, PG_BYTES_OF(extent_id),
                      files->config.health);
    count = pg_min_size(count, max);
    for (size_t i = 0; i < count; i++) {
        out_up[i] = pg_health_fit(files->config.health, &candidates[i].peer);
    }
    return count;
}

pg_err pg_files_choose_code(pg_files *files, const pg_put_origin *origin, pg_code *out_code,
                            double *out_loss)
{
    double up[PG_CODE_SHARDS_MAX];
    const pg_code usual = PG_CODE_DEFAULT;
    *out_loss = -1;
    pg_err err = code_begun(files, origin, out_code);
    if (err != PG_ERR_NOT_FOUND) {
        return err;
    }
    pg_host_candidate *candidates = pg_calloc(PG_FILES_CANDIDATES_MAX, sizeof(*candidates));
    if (candidates == NULL) {
        return PG_ERR_NOMEM;
    }
    size_t count = hosts_rate(files, candidates, up, usual.data + PG_AUTO_PARITY_MAX);
    *out_code = usual;
    if (count > 0) {
        const pg_durability_aim aim = {usual.data, PG_AUTO_PARITY_MIN, PG_AUTO_PARITY_MAX,
                                       PG_AUTO_LOSS_MAX};
        out_code->parity = (uint8_t) pg_durability_parity(up, count, &aim, out_loss);
    }
    pg_mfree(candidates);
    return PG_OK;
}

// SPDX-License-Identifier: Apache-2.0
// An archive for the routes: it takes one pair of keys, and tells whether it has them.
#include <string.h>

#include "fake_files.h"
#include "files/vault.h"

static struct {
    pg_s3_credentials credentials;
} vault;

pg_vault *fake_vault(void)
{
    return (pg_vault *) (void *) &vault;
}

pg_vault_stats pg_vault_get_stats(const pg_vault *self)
{
    (void) self;
    return (pg_vault_stats){.extents = 2,
                            .bytes = 1 << 20,
                            .has_credentials = vault.credentials.access_key[0] != '\0',
                            .failure = "",
                            .rules = {2592000, 1 << 22, UINT64_C(1) << 36, false}};
}

pg_err pg_vault_login(pg_vault *self, const pg_s3_credentials *credentials)
{
    (void) self;
    vault.credentials = credentials == NULL ? (pg_s3_credentials){.access_key = ""} : *credentials;
    return PG_OK;
}

pg_err pg_vault_probe(pg_vault *self)
{
    (void) self;
    if (vault.credentials.access_key[0] == '\0') {
        return pg_fail(PG_ERR_KEY, "there are no credentials");
    }
    return strcmp(vault.credentials.secret_key, "a\"b\\c") == 0
               ? PG_OK
               : pg_fail(PG_ERR_KEY, "the store does not take the secret key");
}

pg_err pg_vault_run(pg_vault *self, pg_vault_round *out_round)
{
    (void) self;
    *out_round = (pg_vault_round){.looked = 5, .cold = 1, .uploaded = 1, .checked = 2};
    return PG_OK;
}

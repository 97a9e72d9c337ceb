// SPDX-License-Identifier: Apache-2.0
// The program of a later version, for test_upgrade.py: the linker puts pg_db_open of this file before ours, which appends a step to the
// schema; all else is the program. It touches what today's program has, as real steps do.
#include <string.h>

#include "base/mem.h"
#include "store/db.h"

#define STEPS_MAX 64

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for --wrap
pg_err __real_pg_db_open(const char *path, const pg_key *key, const pg_db_schema *schema,
                         pg_db **out_db);
pg_err __wrap_pg_db_open(const char *path, const pg_key *key, const pg_db_schema *schema,
                         pg_db **out_db);

pg_err __wrap_pg_db_open(const char *path, const pg_key *key, const pg_db_schema *schema,
                         pg_db **out_db)
{
    static const char *steps[STEPS_MAX];
    if (schema == NULL || schema->count >= STEPS_MAX) {
        return __real_pg_db_open(path, key, schema, out_db);
    }
    memcpy(steps, schema->steps, schema->count * sizeof(steps[0]));
    steps[schema->count] = "ALTER TABLE file ADD COLUMN colour TEXT NOT NULL DEFAULT 'green';"
                           "CREATE TABLE ballast (id INTEGER PRIMARY KEY, data BLOB);"
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i "
                           "< 2000) INSERT INTO ballast (data) SELECT randomblob(1000) FROM n";
    const pg_db_schema later = {steps, schema->count + 1};
    return __real_pg_db_open(path, key, &later, out_db);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

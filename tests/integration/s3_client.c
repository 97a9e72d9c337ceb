// SPDX-License-Identifier: Apache-2.0
// The S3 client as a program, for tests: s3-client ENDPOINT BUCKET REGION STYLE PROXY ACCESS SECRET TIMEOUT_MS OPERATION... What an object has goes to
// standard output, errors as "name: detail" to standard error. PROXY may be "-", as SECRET: then there are no credentials.
//
//      put NAME TEXT | get NAME [OFFSET LEN] | head NAME | remove NAME | list PREFIX | end-early NAME
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/fiber.h"
#include "runtime/runtime.h"
#include "runtime/time.h"
#include "store/s3.h"

#define GET_BYTES_MAX (16U << 20)

/** The command line. */
typedef struct arguments {
    char **words;
    int count;
} arguments;

static const char *word(const arguments *given, int at)
{
    return at < given->count ? given->words[at] : "";
}

static pg_err on_object(const char *name, uint64_t bytes, void *user)
{
    (void) user;
    (void) printf("%s %llu\n", name, (unsigned long long) bytes);
    return PG_OK;
}

static pg_err get(const pg_objects *objects, const arguments *given)
{
    pg_buf out PG_CLEANUP(pg_buf_deinit) = {.max_len = GET_BYTES_MAX};
    pg_object_range range = {strtoull(word(given, 10), NULL, 10),
                             strtoull(word(given, 11), NULL, 10)};
    PG_TRY(objects->get(objects->self, word(given, 9), given->count > 10 ? &range : NULL, &out));
    if (out.len > 0) {
        (void) fwrite(out.ptr, 1, out.len, stdout);
    }
    return PG_OK;
}

static pg_err end_run(void *arg)
{
    PG_TRY(pg_sleep_until(pg_after(PG_MS(100))));
    pg_s3_end(arg);
    return PG_OK;
}

static pg_err operate(pg_s3 *s3, const arguments *given)
{
    const pg_objects objects = pg_s3_objects(s3);
    const char *operation = word(given, 8);
    const char *name = word(given, 9);
    pg_scope scope;
    if (strcmp(operation, "put") == 0) {
        return objects.put(objects.self, name, pg_bytes_cstr(word(given, 10)));
    }
    if (strcmp(operation, "get") == 0) {
        return get(&objects, given);
    }
    if (strcmp(operation, "remove") == 0) {
        return objects.remove(objects.self, name);
    }
    if (strcmp(operation, "list") == 0) {
        return objects.list(objects.self, name, on_object, NULL);
    }
    if (strcmp(operation, "end-early") == 0) {
        pg_scope_init(&scope);
        PG_TRY(pg_scope_spawn(&scope, "end", end_run, s3));
        pg_err err = get(&objects, given);
        pg_scope_close(&scope);
        return err;
    }
    uint64_t bytes = 0;
    PG_TRY(objects.head(objects.self, name, &bytes));
    (void) printf("%llu\n", (unsigned long long) bytes);
    return PG_OK;
}

static pg_err client_run(void *arg)
{
    const arguments *given = arg;
    pg_s3 *s3 = NULL;
    pg_s3_credentials credentials;
    const pg_s3_config config = {
        .endpoint = word(given, 1),
        .bucket = word(given, 2),
        .region = word(given, 3),
        .in_host = strcmp(word(given, 4), "host") == 0,
        .proxy = strcmp(word(given, 5), "-") == 0 ? NULL : word(given, 5),
        .timeout_ms = (uint32_t) strtoul(word(given, 8), NULL, 10),
    };
    const arguments rest = {given->words + 1, given->count - 1};
    pg_err err = pg_s3_new(&config, &s3);
    if (err == PG_OK && strcmp(word(given, 7), "-") != 0) {
        err = pg_s3_credentials_make(pg_str_make(word(given, 6)), pg_str_make(word(given, 7)),
                                     &credentials);
        if (err == PG_OK) {
            err = pg_s3_credentials_set(s3, &credentials);
        }
    }
    if (err == PG_OK) {
        err = operate(s3, &rest);
    }
    if (err != PG_OK) {
        (void) fprintf(stderr, "%s: %s\n", pg_err_name(err), pg_error_detail(err));
    }
    if (s3 != NULL) {
        pg_s3_stats stats = pg_s3_get_stats(s3);
        (void) fprintf(stderr, "requests %llu retries %llu failures %llu\n",
                       (unsigned long long) stats.requests_total,
                       (unsigned long long) stats.retries_total,
                       (unsigned long long) stats.failures_total);
    }
    pg_s3_free(&s3);
    return err;
}

int main(int argc, char **argv)
{
    arguments given = {argv, argc};
    return pg_runtime_run(NULL, client_run, &given) == PG_OK ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
// The passphrase of an identity, and the secret it is restored from: the first line of a file, or typed without echo.
//
// Layer: cli.  Thread: loop thread only.
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "cli/invocation.h"
#include "crypto/secret.h"
#include "store/s3_sign.h"

/** The option the commands share. */
#define PG_PASSPHRASE_OPTION                                                                       \
    {                                                                                              \
        "passphrase-file", 0, PG_VALUE_KIND_FILE, "FILE",                                          \
            "the identity's passphrase, first line of FILE (- to be asked)"                        \
    }

/** Read what --passphrase-file names into *out_passphrase, to be ended with pg_secret_deinit; empty where it was not given.
 *  is_new   ask twice
 *  Errors: PG_ERR_INVALID (empty, too long, no terminal to ask on, typed differently), and those of pg_file_load. Parks: yes. */
PG_NODISCARD pg_err pg_passphrase_read(const pg_invocation *invocation, bool is_new,
                                       pg_secret *out_passphrase);

/** The same for another option whose value is a file or "-". */
PG_NODISCARD pg_err pg_passphrase_read_option(const pg_invocation *invocation, const char *option,
                                              bool is_new, pg_secret *out_passphrase);

/** Read the keys of an S3-compatible store: the two lines of what --key-file names ("-": standard input), else typed without echo. The caller wipes them.
 *  Errors as pg_passphrase_read; PG_ERR_IO. Parks: yes. */
PG_NODISCARD pg_err pg_s3_keys_read(const pg_invocation *invocation,
                                    pg_s3_credentials *out_credentials);

/** Read the secret text that an identity is restored from: what --secret-file names, else typed. End *out_secret with pg_secret_deinit.
 *  Errors as pg_passphrase_read. Parks: yes. */
PG_NODISCARD pg_err pg_secret_text_read(const pg_invocation *invocation, pg_secret *out_secret);

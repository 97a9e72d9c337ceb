// SPDX-License-Identifier: Apache-2.0
// `pangea doctor`: whether this node is well, and what to do where it is not.
#include "cli/doctor.h"

#include <string.h>

#include "base/mem.h"
#include "cli/answer.h"
#include "cli/command.h"
#include "cli/passphrase.h"

// The last row is the shell's.
static bool fits(const pg_doctor *doctor)
{
    unsigned rows = pg_output_rows(&doctor->invocation->output);
    size_t lines = 2 + pg_answer_count(doctor->checks);
    for (size_t i = 0; i < pg_answer_count(doctor->checks); i++) {
        json_object *check = json_object_array_get_idx(doctor->checks, i);
        lines += pg_answer_optional(check, "fix")[0] != '\0' ? 1 : 0;
    }
    return rows == 0 || lines < rows;
}

static pg_style style_of(const char *status)
{
    return strcmp(status, "fail") == 0   ? PG_STYLE_BAD
           : strcmp(status, "warn") == 0 ? PG_STYLE_CARE
                                         : PG_STYLE_GOOD;
}

static void check_tell(const pg_output *output, json_object *check)
{
    const char *status = pg_answer_text(check, "status");
    const char *fix = pg_answer_optional(check, "fix");
    const char *plain = pg_style_code(output->has_color, PG_STYLE_PLAIN);
    char found[PG_ERROR_TEXT_BYTES_MAX];
    pg_text_printable(pg_answer_text(check, "found"), found, sizeof(found));
    pg_output_line(output, "%s%-4s%s %-10s %s", pg_style_code(output->has_color, style_of(status)),
                   status, plain, pg_answer_text(check, "name"), found);
    if (fix[0] != '\0') {
        pg_output_line(output, "                -> %s", fix);
    }
}

// One screen: where it is too small for all, what is well is only counted.
static void checks_tell(const pg_doctor *doctor)
{
    const pg_output *output = &doctor->invocation->output;
    bool tells_all = fits(doctor);
    pg_output_line(output, "pangea doctor: %s", (const char *) doctor->folder.ptr);
    for (size_t i = 0; i < pg_answer_count(doctor->checks); i++) {
        json_object *check = json_object_array_get_idx(doctor->checks, i);
        if (tells_all || strcmp(pg_answer_text(check, "status"), "ok") != 0) {
            check_tell(output, check);
        }
    }
    pg_output_line(output, "%zu ok, %zu to look at, %zu to mend", doctor->counts[PG_VERDICT_OK],
                   doctor->counts[PG_VERDICT_WARN], doctor->counts[PG_VERDICT_FAIL]);
}

static void object_tell(const pg_doctor *doctor)
{
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "status",
                                  json_object_new_string(pg_verdict_text(pg_doctor_worst(doctor))));
    (void) json_object_object_add(object, "is_running",
                                  json_object_new_boolean(doctor->is_running));
    (void) json_object_object_add(object, "checks", json_object_get(doctor->checks));
    pg_output_object(&doctor->invocation->output, object);
}

static pg_err examine(pg_doctor *doctor, pg_invocation *invocation)
{
    const char *bundle = pg_invocation_option(invocation, "bundle");
    if (bundle == NULL && pg_invocation_has(invocation, "log")) {
        return pg_fail(PG_ERR_INVALID, "--log goes with --bundle");
    }
    PG_TRY(pg_doctor_gather(doctor, invocation));
    pg_doctor_judge(doctor);
    if (bundle != NULL) {
        PG_TRY(pg_doctor_bundle(doctor, bundle));
        pg_output_note(&invocation->output,
                       "wrote %s: no secrets, addresses under pseudonyms; look before you show it",
                       bundle);
    }
    checks_tell(doctor);
    object_tell(doctor);
    pg_output_told(&invocation->output);
    return pg_doctor_worst(doctor) == PG_VERDICT_FAIL
               ? pg_fail(PG_ERR_UNFIT, "%zu of %zu checks failed", doctor->counts[PG_VERDICT_FAIL],
                         pg_answer_count(doctor->checks))
               : PG_OK;
}

static pg_err doctor_run(pg_invocation *invocation)
{
    pg_doctor *doctor = PG_NEW(pg_doctor); // larger than a frame should be
    if (doctor == NULL) {
        return PG_ERR_NOMEM;
    }
    pg_err err = examine(doctor, invocation);
    pg_doctor_deinit(doctor);
    pg_mfree(doctor);
    return err;
}

static const pg_option doctor_options[] = {
    {"deep", 0, PG_VALUE_KIND_NONE, NULL, "hash every block and read the whole database"},
    {"bundle", 0, PG_VALUE_KIND_FILE, "FILE", "write what was found to FILE, a .tar.gz for others"},
    {"log", 0, PG_VALUE_KIND_FILE, "FILE",
     "with --bundle: add the last lines of this log (log.file)"},
    {"config", 0, PG_VALUE_KIND_FILE, "FILE", "settings (pangea.conf in the data directory)"},
    PG_PASSPHRASE_OPTION,
    {NULL, 0, PG_VALUE_KIND_NONE, NULL, NULL},
};

const pg_command pg_command_doctor = {
    .name = "doctor",
    .summary = "tell whether the node is well, and what to do where it is not",
    .description =
        "Looks at the clock, the disk, the ports, the peers, what is stored and what the\n"
        "system allows; each line is ok, warn or fail, with what was found and, behind an\n"
        "arrow, what to do. Without a running node it looks at the data directory alone. It\n"
        "ends with 38 when something fails; what it warns of does not count.\n"
        "\n"
        "A bundle has no secrets, links, names or addresses in it: it can be shown to others.",
    .example = "pangea doctor --deep\n"
               "pangea doctor --bundle support.tar.gz --log pangea.log",
    .options = doctor_options,
    .run = doctor_run,
    .waits = true,
};

// SPDX-License-Identifier: Apache-2.0
// `pangea completion`: the scripts that teach a shell to complete the command, and what they ask for.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/complete.h"
#include "cli/invocation.h"

#define SUMMARY_BYTES 128
#define PATIENCE_MS 500 // somebody pressed TAB and waits
#define LINK_SCHEME "pangea:"

extern const char pg_shell_bash[];
extern const char pg_shell_zsh[];
extern const char pg_shell_fish[];

/** Who asks, and what was found. */
typedef struct asking {
    const pg_invocation *invocation;
    json_object *candidates;
} asking;

// ---- What the node knows

static void put_peers(json_object *answer, pg_complete_fn put, void *user)
{
    json_object *peers = pg_answer_object(answer, "peers");
    for (size_t i = 0; i < pg_answer_count(peers); i++) {
        json_object *peer = json_object_array_get_idx(peers, i);
        put(pg_answer_text(peer, "peer_id"), pg_answer_optional(peer, "addr"), user);
    }
}

// Files of a list; a link is a secret, shown only to who began to type one.
static void put_files(json_object *files, pg_value_kind kind, const char *word, pg_complete_fn put,
                      void *user)
{
    bool wants_link = strncmp(word, LINK_SCHEME, strlen(LINK_SCHEME)) == 0;
    for (size_t i = 0; i < pg_answer_count(files); i++) {
        json_object *file = json_object_array_get_idx(files, i);
        char size[PG_SIZE_TEXT_BYTES];
        char shown[SUMMARY_BYTES];
        char summary[SUMMARY_BYTES + PG_SIZE_TEXT_BYTES + 2];
        const char *name = pg_answer_optional(file, "name");
        pg_size_format(pg_answer_u64(file, "size_bytes"), size);
        pg_text_printable(name, shown, sizeof(shown));
        (void) snprintf(summary, sizeof(summary), "%s%s%s", shown, shown[0] == '\0' ? "" : ", ",
                        size);
        if (wants_link) {
            put(pg_answer_text(file, "link"), summary, user);
            continue;
        }
        if (kind == PG_VALUE_KIND_STORED && name[0] != '\0' && strcmp(name, shown) == 0) {
            put(name, size, user);
        }
        if (kind != PG_VALUE_KIND_LINK) {
            put(pg_answer_text(file, "root"), summary, user);
        }
    }
}

static pg_err node_ask(pg_client *client, pg_value_kind kind, const char *word, pg_complete_fn put,
                       void *user)
{
    json_object *answer = NULL;
    if (kind == PG_VALUE_KIND_PEER) {
        PG_TRY(pg_client_call(client, "GET", "/api/v1/peers", NULL, &answer, NULL));
        put_peers(answer, put, user);
        json_object_put(answer);
        return PG_OK;
    }
    const bool is_pinned = kind == PG_VALUE_KIND_PINNED;
    PG_TRY(pg_client_call(client, "GET", is_pinned ? "/api/v1/pins" : "/api/v1/files", NULL,
                          &answer, NULL));
    put_files(pg_answer_object(answer, is_pinned ? "pins" : "files"), kind, word, put, user);
    json_object_put(answer);
    return PG_OK;
}

static pg_err node_open(const pg_invocation *invocation, const char *data, pg_client **out_client)
{
    return data == NULL ? pg_client_open(invocation, out_client)
                        : pg_client_open_folder(data, out_client);
}

// Nobody is told when there is no node: nothing is offered then.
static void on_ask(pg_value_kind kind, const char *data, const char *word, pg_complete_fn tell,
                   void *teller, void *user)
{
    const asking *self = user;
    pg_client *client = NULL;
    if (kind == PG_VALUE_KIND_LINK) {
        tell(LINK_SCHEME, "a link; TAB again for those of this node", teller);
        if (strncmp(word, LINK_SCHEME, strlen(LINK_SCHEME)) != 0) {
            return;
        }
    }
    if (node_open(self->invocation, data, &client) == PG_OK) {
        pg_client_limit(client, PATIENCE_MS);
        pg_ignore(node_ask(client, kind, word, tell, teller), "a shell waits, not for this");
    }
    pg_client_free(&client);
}

// ---- The command

static bool is_one_line(const char *text)
{
    return text[strcspn(text, "\t\n\r")] == '\0';
}

static void on_candidate(const char *text, const char *summary, void *user)
{
    asking *self = user;
    if (!is_one_line(text)) {
        return;
    }
    json_object *candidate = json_object_new_object();
    (void) json_object_object_add(candidate, "text", json_object_new_string(text));
    (void) json_object_object_add(candidate, "summary", json_object_new_string(summary));
    (void) json_object_array_add(self->candidates, candidate);
}

static pg_err words_run(const pg_invocation *invocation)
{
    static const char *const kinds[] = {
        [PG_COMPLETE_KIND_WORDS] = "words",
        [PG_COMPLETE_KIND_FILES] = "files",
        [PG_COMPLETE_KIND_FOLDERS] = "folders",
    };
    asking self = {.invocation = invocation, .candidates = json_object_new_array()};
    const pg_complete_callbacks callbacks = {on_candidate, on_ask, &self};
    const char *const empty = "";
    size_t count = invocation->argument_count - 1;
    pg_complete_kind kind = pg_complete(count == 0 ? &empty : invocation->arguments + 1,
                                        count == 0 ? 1 : count, &callbacks);
    pg_output_line(&invocation->output, "%s", kinds[kind]);
    for (size_t i = 0; i < pg_answer_count(self.candidates); i++) {
        json_object *candidate = json_object_array_get_idx(self.candidates, i);
        pg_output_line(&invocation->output, "%s\t%s", pg_answer_text(candidate, "text"),
                       pg_answer_optional(candidate, "summary"));
    }
    json_object *object = json_object_new_object();
    (void) json_object_object_add(object, "kind", json_object_new_string(kinds[kind]));
    (void) json_object_object_add(object, "candidates", self.candidates);
    pg_output_object(&invocation->output, object);
    return PG_OK;
}

static pg_err completion_run(pg_invocation *invocation)
{
    static const struct {
        const char *name;
        const char *script;
    } shells[] = {{"bash", pg_shell_bash}, {"zsh", pg_shell_zsh}, {"fish", pg_shell_fish}};
    const char *shell = invocation->arguments[0];
    if (strcmp(shell, "words") == 0) {
        return words_run(invocation);
    }
    if (invocation->argument_count > 1) {
        return pg_fail(PG_ERR_INVALID, "\"%s\" is one argument too many", invocation->arguments[1]);
    }
    for (size_t i = 0; i < PG_ARRAY_LEN(shells); i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            json_object *object = json_object_new_object();
            (void) json_object_object_add(object, "shell", json_object_new_string(shell));
            (void) json_object_object_add(object, "script",
                                          json_object_new_string(shells[i].script));
            if (!invocation->output.json) {
                (void) fputs(shells[i].script, invocation->output.result);
            }
            pg_output_object(&invocation->output, object);
        }
    }
    return PG_OK;
}

static const pg_argument completion_arguments[] = {
    {"bash|zsh|fish|words", PG_VALUE_KIND_CHOICE, false, false},
    {"WORD", PG_VALUE_KIND_TEXT, true, true},
    {NULL, PG_VALUE_KIND_NONE, false, false},
};

const pg_command pg_command_completion = {
    .name = "completion",
    .summary = "print what teaches a shell to complete the command",
    .description =
        "The package and `make install` put it where the shells look. By hand: write it to\n"
        "~/.local/share/bash-completion/completions/pangea, to _pangea in a folder of zsh's\n"
        "fpath, or to ~/.config/fish/completions/pangea.fish.\n"
        "\n"
        "What these scripts ask, words answers: what may stand in the place of the last WORD\n"
        "of a line (without the program's name). The first line of the answer is words, files\n"
        "or folders; after words a line for each, a tab, and what it is. Peers and files come\n"
        "from the running node. Links, which are secret, only once a WORD begins as one.",
    .example = "source <(pangea completion bash)\n"
               "pangea completion words -- put --co",
    .arguments = completion_arguments,
    .run = completion_run,
};

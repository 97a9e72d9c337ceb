// SPDX-License-Identifier: Apache-2.0
#include "cli/devnet_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json_tokener.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/client.h"
#include "cli/exit_codes.h"
#include "runtime/file.h"

#define READY_BYTES_MAX 65536
#define LOG_BYTES_MAX (8U << 20)
#define START_WAIT PG_SECONDS(60)
#define CONNECT_WAIT PG_SECONDS(120)
#define STOP_WAIT PG_SECONDS(15)
#define LOOK_INTERVAL PG_MS(20)
#define TELL_DELAY PG_MS(300) // Ctrl-C reaches the nodes too: then there is nothing to tell
#define PATH_BYTES 4096

static const char *text_of(const pg_buf *buf)
{
    return (const char *) buf->ptr;
}

static pg_err text_set(pg_buf *buf, const char *text)
{
    pg_buf_clear(buf);
    return pg_buf_printf(buf, "%s", text);
}

pg_err pg_devnet_init(pg_devnet *net, const char *folder)
{
    char program[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
    pg_scope_init_tolerant(&net->watchers);
    pg_waitq_init(&net->changed);
    PG_TRY(text_set(&net->folder, folder));
    if (len <= 0) {
        return pg_fail(PG_ERR_IO, "cannot tell where this program is: %s", strerror(errno));
    }
    program[len] = '\0';
    return text_set(&net->program, program);
}

// ---- Starting

// The words of a node's command line. They stand in `texts`, one after the other; an offset each, since it may move.
typedef struct command_line {
    pg_buf texts;
    size_t offsets[2 * (PG_DEVNET_NODES_MAX + 130) + 16];
    size_t count;
} command_line;

static pg_err words_add(command_line *words, const char *text)
{
    pg_assert(words->count < PG_ARRAY_LEN(words->offsets));
    words->offsets[words->count++] = words->texts.len;
    return pg_buf_append(&words->texts, pg_bytes_make(text, strlen(text) + 1));
}

static pg_err words_add_setting(command_line *words, const char *key, const char *value)
{
    pg_buf pair = {0};
    pg_err err = pg_buf_printf(&pair, "%s=%s", key, value);
    if (err == PG_OK) {
        err = words_add(words, "--set");
    }
    if (err == PG_OK) {
        err = words_add(words, text_of(&pair));
    }
    pg_buf_deinit(&pair);
    return err;
}

static pg_err words_make(const pg_devnet *net, const pg_devnet_node *node, command_line *words)
{
    char listen[64];
    uint64_t port = net->base_port == 0 ? 0 : net->base_port + node->index - 1;
    (void) snprintf(listen, sizeof(listen), "/ip4/127.0.0.1/tcp/%llu", (unsigned long long) port);
    PG_TRY(words_add(words, text_of(&net->program)));
    PG_TRY(words_add(words, "run"));
    PG_TRY(words_add(words, "--data"));
    PG_TRY(words_add(words, text_of(&node->data)));
    PG_TRY(words_add(words, "--listen"));
    PG_TRY(words_add(words, listen));
    PG_TRY(words_add_setting(words, "net.drain_timeout", "1s"));
    PG_TRY(words_add_setting(words, "net.mdns", "false")); // no peers but those of the network
    for (size_t i = 0; i + 1 < node->index; i++) {
        PG_TRY(words_add_setting(words, "net.peers", text_of(&net->nodes[i].addr)));
    }
    for (size_t i = 0; i < net->setting_count; i++) {
        PG_TRY(words_add(words, "--set"));
        PG_TRY(words_add(words, net->settings[i]));
    }
    return PG_OK;
}

static pg_err spawn_with(const pg_devnet_node *node, const command_line *words, int log_fd,
                         pg_process **out_process)
{
    const char **argv = pg_calloc(words->count + 1, sizeof(*argv));
    if (argv == NULL) {
        return pg_fail(PG_ERR_NOMEM, "cannot start node %zu", node->index);
    }
    for (size_t i = 0; i < words->count; i++) {
        argv[i] = text_of(&words->texts) + words->offsets[i];
    }
    const pg_process_spec spec = {
        .argv = argv,
        .stdin_fd = PG_PROCESS_FD_NULL,
        .stdout_fd = PG_PROCESS_FD_PIPE,
        .stderr_fd = log_fd,
        .die_with_parent = true,
    };
    pg_err err = pg_process_spawn(&spec, out_process);
    pg_mfree(argv);
    return err;
}

static pg_err node_spawn(const pg_devnet *net, pg_devnet_node *node)
{
    int log_fd = open(text_of(&node->log), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log_fd < 0) {
        return pg_fail(PG_ERR_IO, "open %s: %s", text_of(&node->log), strerror(errno));
    }
    command_line *words = PG_NEW(command_line);
    pg_err err = words == NULL ? pg_fail(PG_ERR_NOMEM, "cannot start node %zu", node->index)
                               : words_make(net, node, words);
    if (err == PG_OK) {
        err = spawn_with(node, words, log_fd, &node->process);
    }
    (void) close(log_fd);
    if (words != NULL) {
        pg_buf_deinit(&words->texts);
    }
    pg_mfree(words);
    return err;
}

// A node that ended instead of starting has said why in the last line of its log, and by its exit code.
static pg_err start_fail(pg_devnet_node *node)
{
    pg_buf log = {0};
    const char *line = "";
    if (pg_file_load(text_of(&node->log), LOG_BYTES_MAX, &log) == PG_OK && log.len > 1 &&
        pg_buf_append(&log, PG_BYTES_LIT("\0")) == PG_OK) {
        char *text = (char *) log.ptr;
        for (size_t end = log.len - 1; end > 0 && text[end - 1] == '\n'; end--) {
            text[end - 1] = '\0';
        }
        const char *newline = strrchr(text, '\n');
        line = newline == NULL ? text : newline + 1;
    }
    pg_err code = PG_ERR_CLOSED;
    if (pg_process_wait(node->process, pg_after(STOP_WAIT), &node->status) == PG_OK) {
        node->has_ended = true;
        node->net->alive--;
        code = pg_exit_code_err(node->status);
    }
    pg_err err = pg_fail(code, "node %zu did not start: %s", node->index, line);
    pg_buf_deinit(&log);
    return err;
}

static pg_err ready_take(pg_devnet_node *node, const char *text)
{
    json_object *ready = json_tokener_parse(text);
    json_object *addrs = pg_answer_object(ready, "addrs");
    pg_err err = pg_answer_count(addrs) > 0
                     ? text_set(&node->peer_id, pg_answer_text(ready, "peer_id"))
                     : PG_ERR_PROTOCOL;
    if (err == PG_OK) {
        err = text_set(&node->addr, json_object_get_string(json_object_array_get_idx(addrs, 0)));
    }
    json_object_put(ready);
    return err == PG_ERR_PROTOCOL
               ? pg_fail(PG_ERR_PROTOCOL, "node %zu did not say where it listens", node->index)
               : err;
}

// The line that a node prints once it is ready.
static pg_err ready_read(pg_devnet_node *node, pg_stream *stream)
{
    pg_buf line = {.max_len = READY_BYTES_MAX};
    pg_time deadline = pg_after(START_WAIT);
    pg_err err = PG_OK;
    while (err == PG_OK && (line.len == 0 || memchr(line.ptr, '\n', line.len) == NULL)) {
        uint8_t piece[4096];
        size_t len = 0;
        err = pg_stream_read(stream, PG_MUT_BYTES_OF(piece), deadline, &len);
        if (err == PG_OK && len == 0) {
            err = start_fail(node);
        } else if (err == PG_OK) {
            err = pg_buf_append(&line, pg_bytes_make(piece, len));
        }
    }
    if (err == PG_OK) {
        err = pg_buf_append(&line, PG_BYTES_LIT("\0"));
    }
    if (err == PG_OK) {
        err = ready_take(node, text_of(&line));
    }
    pg_buf_deinit(&line);
    return err;
}

static pg_err watch_fiber(void *arg)
{
    pg_devnet_node *node = arg;
    pg_devnet *net = node->net;
    PG_TRY(pg_process_wait(node->process, PG_FOREVER, &node->status));
    node->has_ended = true;
    net->alive--;
    pg_waitq_wake_all(&net->changed);
    PG_TRY(pg_sleep_until(pg_after(TELL_DELAY)));
    if (!net->is_stopping) {
        pg_output_warn(net->output, "node %zu (pid %lld) has ended, with status %d", node->index,
                       (long long) pg_process_pid(node->process), node->status);
    }
    return PG_OK;
}

pg_err pg_devnet_start(pg_devnet *net)
{
    pg_assert(net->count < PG_DEVNET_NODES_MAX);
    pg_devnet_node *node = &net->nodes[net->count++];
    node->net = net;
    node->index = net->count;
    PG_TRY(pg_buf_printf(&node->data, "%s/%02zu", text_of(&net->folder), node->index));
    PG_TRY(pg_buf_printf(&node->log, "%s/%02zu.log", text_of(&net->folder), node->index));
    PG_TRY(node_spawn(net, node));
    net->alive++;
    pg_stream *stream = pg_process_take_pipe(node->process, STDOUT_FILENO);
    pg_err err = ready_read(node, stream);
    pg_stream_free(&stream);
    PG_TRY(err);
    return pg_scope_spawn(&net->watchers, "cli.devnet", watch_fiber, node);
}

// ---- Connecting

/** A question to one node. */
typedef struct question {
    pg_client *client;
    size_t identified;
} question;

static pg_err look_job(void *arg)
{
    question *look = arg;
    json_object *answer = NULL;
    PG_TRY(pg_client_call(look->client, "GET", "/api/v1/peers", NULL, &answer, NULL));
    json_object *peers = pg_answer_object(answer, "peers");
    look->identified = 0;
    for (size_t i = 0; i < pg_answer_count(peers); i++) {
        look->identified +=
            pg_answer_bool(json_object_array_get_idx(peers, i), "identified") ? 1 : 0;
    }
    json_object_put(answer);
    return PG_OK;
}

static pg_err node_connect(const pg_devnet *net, const pg_devnet_node *node, pg_time deadline)
{
    question look = {0};
    PG_TRY(pg_client_open_folder(text_of(&node->data), &look.client));
    pg_err err = PG_OK;
    for (;;) {
        err = pg_client_run(look.client, look_job, &look);
        if (err != PG_OK || look.identified + 1 >= net->count) {
            break;
        }
        if (net->alive < net->count) {
            err = pg_fail(PG_ERR_CLOSED, "a node ended while they connected");
            break;
        }
        if (pg_now() > deadline) {
            err = pg_fail(PG_ERR_TIMEOUT, "node %zu is connected with %zu of %zu others",
                          node->index, look.identified, net->count - 1);
            break;
        }
        err = pg_sleep_until(pg_after(LOOK_INTERVAL));
        if (err != PG_OK) {
            break;
        }
    }
    pg_client_free(&look.client);
    return err;
}

pg_err pg_devnet_connect(pg_devnet *net)
{
    pg_time deadline = pg_after(CONNECT_WAIT);
    for (size_t i = 0; i < net->count; i++) {
        PG_TRY(node_connect(net, &net->nodes[i], deadline));
    }
    return PG_OK;
}

pg_err pg_devnet_watch(pg_devnet *net)
{
    while (net->alive > 0) {
        PG_TRY(pg_waitq_wait(&net->changed, PG_FOREVER));
    }
    PG_TRY(pg_sleep_until(pg_after(2 * TELL_DELAY))); // a Ctrl-C that ended them ends us too
    return pg_fail(PG_ERR_CLOSED, "all nodes have ended");
}

// ---- Stopping

static void node_stop(pg_devnet_node *node, pg_time deadline)
{
    if (node->process != NULL && !node->has_ended) {
        pg_ignore(pg_process_wait(node->process, deadline, &node->status), "else it is killed");
    }
    pg_process_free(&node->process);
    pg_buf *const texts[] = {&node->data, &node->log, &node->peer_id, &node->addr};
    for (size_t i = 0; i < PG_ARRAY_LEN(texts); i++) {
        pg_buf_deinit(texts[i]);
    }
}

void pg_devnet_stop(pg_devnet *net)
{
    pg_fiber_shield(true);
    net->is_stopping = true;
    pg_scope_close(&net->watchers);
    for (size_t i = 0; i < net->count; i++) {
        if (net->nodes[i].process != NULL && !net->nodes[i].has_ended) {
            pg_ignore(pg_process_kill(net->nodes[i].process, SIGTERM), "it may have ended");
        }
    }
    pg_time deadline = pg_after(STOP_WAIT);
    for (size_t i = 0; i < net->count; i++) {
        node_stop(&net->nodes[i], deadline);
    }
    pg_buf_deinit(&net->program);
    pg_buf_deinit(&net->folder);
    net->count = 0;
    pg_fiber_shield(false);
}

// SPDX-License-Identifier: Apache-2.0
#include "cli/status_screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/output.h"
#include "cli/reach.h"
#include "cli/span.h"
#include "codec/multiaddr.h"

#define BAR_CHARS 24
#define FULL_PERCENT 95 // of the quota: soon nothing is taken any more
#define HOSTS_WANTED 10 // as many as the usual code has pieces
#define TEXT_BYTES 256

/** A screen in the making. */
typedef struct screen {
    json_object *status;
    const pg_status_look *look;
    pg_buf *out;
    pg_err err; // the first, after which nothing is written any more
} screen;

PG_PRINTF(2, 3)
static void put(screen *self, const char *format, ...)
{
    char text[2 * TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (self->err == PG_OK && len > 0) {
        self->err = pg_buf_append(self->out,
                                  pg_bytes_make(text, pg_min_size((size_t) len, sizeof(text) - 1)));
    }
}

static const char *style(const screen *self, pg_style style)
{
    return pg_style_code(self->look->has_color, style);
}

static void put_name(screen *self, const char *name)
{
    put(self, "%s%-10s%s ", style(self, PG_STYLE_BOLD), name, style(self, PG_STYLE_PLAIN));
}

static void put_styled(screen *self, pg_style which, const char *text)
{
    put(self, "%s%s%s", style(self, which), text, style(self, PG_STYLE_PLAIN));
}

static double percent_of(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double) part / (double) whole;
}

// "[######..................]  25 %  2.5 GiB of 10.0 GiB"
static void put_bar(screen *self, uint64_t part, uint64_t whole, pg_style which)
{
    char bar[BAR_CHARS + 1];
    char have[PG_SIZE_TEXT_BYTES];
    char all[PG_SIZE_TEXT_BYTES];
    double percent = percent_of(part, whole);
    size_t filled = pg_min_size((size_t) (percent * BAR_CHARS / 100), BAR_CHARS);
    memset(bar, '#', filled);
    memset(bar + filled, '.', BAR_CHARS - filled);
    bar[BAR_CHARS] = '\0';
    pg_size_format(part, have);
    pg_size_format(whole, all);
    put(self, "[%s%s%s] %3.0f %%  %s of %s", style(self, which), bar, style(self, PG_STYLE_PLAIN),
        percent, have, all);
}

static uint64_t number_of(const screen *self, const char *part, const char *name)
{
    json_object *object = pg_answer_object(self->status, part);
    return object == NULL ? 0 : pg_answer_u64(object, name);
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

// ---- From where the node can be reached

static json_object *addrs_of(json_object *status)
{
    return pg_answer_object(pg_answer_object(status, "node"), "addrs");
}

static uint64_t accepted_of(json_object *status)
{
    return pg_answer_u64(pg_answer_object(pg_answer_object(status, "node"), "stats"),
                         "accepted_total");
}

static const char *scope_text(pg_ip_scope scope)
{
    switch (scope) {
    case PG_IP_SCOPE_LOOPBACK:
        return "by this machine only";
    case PG_IP_SCOPE_LINK_LOCAL:
    case PG_IP_SCOPE_PRIVATE:
        return "by the local network";
    case PG_IP_SCOPE_PUBLIC:
        return "by anybody, firewalls aside";
    case PG_IP_SCOPE_NONE:
    case PG_IP_SCOPE_UNUSABLE:
        break;
    }
    return "by nobody: it listens nowhere";
}

// ---- Warnings

PG_PRINTF(3, 4)
static void warn(json_object *warnings, const char *fix, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_object *warning = json_object_new_object();
    (void) json_object_object_add(warning, "text", json_object_new_string(text));
    (void) json_object_object_add(warning, "fix", json_object_new_string(fix));
    (void) json_object_array_add(warnings, warning);
}

static void warn_of_peers(json_object *warnings, json_object *status)
{
    size_t addrs = 0;
    uint64_t peers = pg_answer_u64(status, "peers");
    pg_ip_scope scope = pg_reach_scope(addrs_of(status), &addrs);
    if (pg_reach_judge(scope, accepted_of(status), peers) == PG_REACH_CLOSED) {
        warn(warnings, PG_REACH_CLOSED_FIX, PG_REACH_CLOSED_TEXT);
    }
    if (peers == 0) {
        warn(warnings, "`pangea join INVITATION`, or name peers in net.bootstrap",
             "the node is connected with nobody");
    } else if (peers < HOSTS_WANTED) {
        warn(warnings, "`pangea invite` others, or `pangea join` a larger network",
             "with %llu peer%s files lie on fewer hosts than they have pieces (%d, unless --code)",
             (unsigned long long) peers, plural(peers), HOSTS_WANTED);
    }
}

static void warn_of_files(json_object *warnings, json_object *status)
{
    json_object *files = pg_answer_object(status, "files");
    json_object *catalogue = pg_answer_object(status, "catalogue");
    uint64_t pending = files == NULL ? 0 : pg_answer_u64(files, "files_pending");
    uint64_t partial = files == NULL ? 0 : pg_answer_u64(files, "files_partial");
    if (pending > 0) {
        warn(warnings,
             "let the node run while others are there that take it; `pangea ls` names them",
             "%llu file%s on this node only", (unsigned long long) pending,
             pending == 1 ? " is" : "s are");
    }
    if (partial > 0) {
        warn(warnings, "more hosts are looked for as long as the node runs; `pangea ls` names them",
             "%llu file%s on fewer hosts than there are pieces", (unsigned long long) partial,
             partial == 1 ? " is" : "s are");
    }
    const char *state = catalogue == NULL ? "off" : pg_answer_text(catalogue, "state");
    if (strcmp(state, "too_large") == 0) {
        warn(warnings, "remove files (`pangea rm`), or put many small ones as one folder",
             "the list of your files is too large to be kept among the hosts: the secret alone "
             "will not bring back the newest");
    }
    if (strcmp(state, "restoring") == 0) {
        warn(warnings, "be connected with the network the files were put in; it goes on by itself",
             "the catalogue of your files is being restored and was not found yet");
    }
}

// What other nodes observe of this one, before it is given no more shards.
static void warn_of_health(json_object *warnings, json_object *status)
{
    json_object *health = pg_answer_object(status, "health");
    if (health != NULL && pg_answer_bool(health, "self_low")) {
        warn(warnings,
             "leave the node running and its port open (`pangea doctor`); or make it view-only "
             "(`pangea config set node.mode view-only`)",
             "others rate this node %llu of 100: under 30 they give it no more shards",
             (unsigned long long) pg_answer_u64(health, "self_score"));
    }
}

static void warn_of_store(json_object *warnings, json_object *status)
{
    json_object *store = pg_answer_object(status, "store");
    if (store == NULL) {
        return;
    }
    uint64_t used = pg_answer_u64(store, "used_bytes");
    uint64_t quota = pg_answer_u64(store, "quota_bytes");
    uint64_t lost = pg_answer_u64(store, "lost_total");
    if (pg_answer_bool(store, "has_failed")) {
        warn(warnings,
             "look at the log for the reason, make room on the disk, start the node again",
             "blocks could not be written to the disk: none is taken any more");
    }
    if (lost > 0) {
        warn(warnings, "what hosts have is fetched again; check the disk (smartctl -a)",
             "%llu block%s damaged on this disk", (unsigned long long) lost,
             lost == 1 ? " was found" : "s were found");
    }
    if (percent_of(used, quota) >= FULL_PERCENT) {
        warn(warnings, "raise storage.quota, or unpin something", "the quota is used up by %.0f %%",
             percent_of(used, quota));
    }
}

json_object *pg_status_warnings(json_object *status)
{
    json_object *warnings = json_object_new_array();
    warn_of_store(warnings, status);
    warn_of_peers(warnings, status);
    warn_of_files(warnings, status);
    warn_of_health(warnings, status);
    return warnings;
}

// ---- The screen

static void draw_node(screen *self)
{
    json_object *node = pg_answer_object(self->status, "node");
    char uptime[PG_SPAN_TEXT_BYTES];
    size_t addrs = 0;
    pg_ip_scope scope = pg_reach_scope(addrs_of(self->status), &addrs);
    pg_span_format((int64_t) pg_answer_u64(self->status, "uptime_ms") / 1000, uptime);
    put(self, "%spangea %s%s, up for %s, in %s\n", style(self, PG_STYLE_BOLD),
        pg_answer_text(node, "version"), style(self, PG_STYLE_PLAIN), uptime, self->look->folder);
    put_name(self, "node");
    put(self, "%s\n", pg_answer_text(node, "peer_id"));
    put_name(self, "person");
    put(self, "%s\n", pg_answer_text(node, "person_id"));
    if (strcmp(pg_answer_optional(self->status, "mode"), "view-only") == 0) {
        put_name(self, "mode");
        put(self, "view-only: it keeps nothing for strangers (node.mode)\n");
    }
    put_name(self, "reachable");
    put(self, "%s (%zu address%s, %llu connections came in)\n", scope_text(scope), addrs,
        addrs == 1 ? "" : "es", (unsigned long long) accepted_of(self->status));
}

static void draw_peers(screen *self)
{
    uint64_t peers = pg_answer_u64(self->status, "peers");
    json_object *dhts = pg_answer_object(self->status, "dhts");
    char text[TEXT_BYTES];
    put_name(self, "peers");
    (void) snprintf(text, sizeof(text), "%llu connected", (unsigned long long) peers);
    put_styled(self,
               peers == 0             ? PG_STYLE_BAD
               : peers < HOSTS_WANTED ? PG_STYLE_CARE
                                      : PG_STYLE_GOOD,
               text);
    put(self, ", %llu being dialed, %llu known from earlier\n",
        (unsigned long long) number_of(self, "finding", "dialing"),
        (unsigned long long) number_of(self, "finding", "remembered"));
    for (size_t i = 0; i < pg_answer_count(dhts); i++) {
        json_object *dht = json_object_array_get_idx(dhts, i);
        uint64_t known = pg_answer_u64(dht, "peers");
        put_name(self, i == 0 ? "DHT" : "");
        put(self, "%-7s%s, %llu peer%s in the table, keeps %llu records for others\n",
            pg_answer_text(dht, "realm"), pg_answer_bool(dht, "server") ? "server" : "client",
            (unsigned long long) known, plural(known),
            (unsigned long long) pg_answer_u64(dht, "records"));
    }
}

static void draw_files(screen *self)
{
    char size[PG_SIZE_TEXT_BYTES];
    char text[TEXT_BYTES];
    uint64_t files = number_of(self, "files", "files");
    uint64_t at_risk =
        number_of(self, "files", "files_pending") + number_of(self, "files", "files_partial");
    pg_size_format(number_of(self, "files", "files_bytes"), size);
    put_name(self, "files");
    if (files == 0) {
        put(self, "none put yet\n");
        return;
    }
    put(self, "%llu, %s; ", (unsigned long long) files, size);
    (void) snprintf(text, sizeof(text), "%llu at risk", (unsigned long long) at_risk);
    put_styled(self, at_risk == 0 ? PG_STYLE_GOOD : PG_STYLE_CARE,
               at_risk == 0 ? "all on as many hosts as they have pieces" : text);
    put(self, "\n");
}

static void draw_catalogue(screen *self)
{
    json_object *catalogue = pg_answer_object(self->status, "catalogue");
    const char *state = catalogue == NULL ? "off" : pg_answer_text(catalogue, "state");
    const char *reason = catalogue == NULL ? "" : pg_answer_optional(catalogue, "reason");
    put_name(self, "catalogue");
    if (strcmp(state, "published") == 0) {
        char age[PG_SPAN_TEXT_BYTES];
        uint64_t peers = pg_answer_u64(catalogue, "peers");
        pg_span_format(self->look->now_s - (int64_t) pg_answer_u64(catalogue, "published_s"), age);
        put(self, "version %llu kept among the hosts, %s ago",
            (unsigned long long) pg_answer_u64(catalogue, "sequence"), age);
        if (peers > 0) { // else it was not told from here
            put(self, ", told to %llu peer%s", (unsigned long long) peers, plural(peers));
        }
        put(self, "\n");
    } else if (strcmp(state, "behind") == 0) {
        put_styled(self, PG_STYLE_CARE, "newer here than among the hosts");
        put(self, "; %s\n", reason[0] == '\0' ? "soon told" : reason);
    } else if (strcmp(state, "too_large") == 0) {
        put_styled(self, PG_STYLE_BAD, "too large to be kept among the hosts");
        put(self, "\n");
    } else if (strcmp(state, "restoring") == 0) {
        put_styled(self, PG_STYLE_CARE, "being restored; not found yet");
        put(self, ", asked %llu times\n", (unsigned long long) pg_answer_u64(catalogue, "looks"));
    } else {
        put(self, "%s\n", strcmp(state, "empty") == 0 ? "empty" : "not kept among the hosts");
    }
}

static void draw_store(screen *self)
{
    char hosted[PG_SIZE_TEXT_BYTES];
    char cached[PG_SIZE_TEXT_BYTES];
    if (pg_answer_object(self->status, "store") == NULL) {
        return;
    }
    uint64_t used = number_of(self, "store", "used_bytes");
    uint64_t quota = number_of(self, "store", "quota_bytes");
    uint64_t leases = number_of(self, "place", "leases");
    pg_size_format(number_of(self, "place", "lease_bytes"), hosted);
    pg_size_format(number_of(self, "files", "cache_bytes"), cached);
    put_name(self, "disk");
    put_bar(self, used, quota,
            percent_of(used, quota) >= FULL_PERCENT ? PG_STYLE_BAD : PG_STYLE_GOOD);
    put(self, "\n");
    put_name(self, "");
    put(self, "%s hosted for others in %llu lease%s, %s cached\n", hosted,
        (unsigned long long) leases, plural(leases), cached);
}

static void draw_transfers(screen *self)
{
    json_object *transfers = pg_answer_object(self->status, "transfers");
    for (size_t i = 0; i < pg_answer_count(transfers); i++) {
        json_object *transfer = json_object_array_get_idx(transfers, i);
        if (strcmp(pg_answer_text(transfer, "state"), "running") != 0) {
            continue;
        }
        uint64_t total = pg_answer_u64(transfer, "total_bytes");
        uint64_t bytes = pg_answer_u64(transfer, "bytes");
        char done[PG_SIZE_TEXT_BYTES];
        put_name(self, pg_answer_text(transfer, "kind"));
        if (total > 0) {
            put_bar(self, bytes, total, PG_STYLE_PLAIN);
            put(self, "\n");
        } else {
            pg_size_format(bytes, done);
            put(self, "%s so far\n", done);
        }
    }
}

static void draw_warnings(screen *self)
{
    json_object *warnings = pg_answer_object(self->status, "warnings");
    for (size_t i = 0; i < pg_answer_count(warnings); i++) {
        json_object *warning = json_object_array_get_idx(warnings, i);
        put_styled(self, PG_STYLE_CARE, "! ");
        put(self, "%s\n  to do: %s\n", pg_answer_text(warning, "text"),
            pg_answer_text(warning, "fix"));
    }
}

pg_err pg_status_draw_warnings(json_object *status, const pg_status_look *look, pg_buf *out)
{
    screen self = {.status = status, .look = look, .out = out};
    draw_warnings(&self);
    return self.err;
}

pg_err pg_status_draw(json_object *status, const pg_status_look *look, pg_buf *out)
{
    screen self = {.status = status, .look = look, .out = out};
    draw_node(&self);
    draw_peers(&self);
    put(&self, "\n");
    draw_files(&self);
    draw_catalogue(&self);
    draw_store(&self);
    draw_transfers(&self);
    if (pg_answer_count(pg_answer_object(status, "warnings")) > 0) {
        put(&self, "\n");
        draw_warnings(&self);
    }
    return self.err;
}

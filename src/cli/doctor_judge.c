// SPDX-License-Identifier: Apache-2.0
// Judging the facts: each check says how it is, what was found, and what to do about it.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/answer.h"
#include "cli/doctor.h"
#include "cli/reach.h"
#include "cli/span.h"
#include "crypto/hash.h"
#include "node/storage.h"
#include "store/db.h"

#define TEXT_BYTES 512
#define CLOCK_WARN_S 60
#define CLOCK_FAIL_S 3600 // what the life of leases and of feeds begins to suffer from
#define CLOCK_HOSTS_MIN 3 // two of which agree
#define DISK_WARN_BYTES (UINT64_C(1) << 30)
#define DISK_FAIL_BYTES (UINT64_C(64) << 20)
#define INODES_WARN 1000
#define SYNC_WARN_MS 100
#define SLACK_BYTES (UINT64_C(16) << 20) // that a file system may take beside the blocks
#define MEMORY_WARN_BYTES (UINT64_C(128) << 20)
#define OPEN_FILES_MIN 1024

const char *pg_verdict_text(pg_verdict verdict)
{
    static const char *const texts[PG_VERDICT_COUNT] = {"ok", "warn", "fail"};
    return texts[verdict];
}

pg_verdict pg_doctor_worst(const pg_doctor *doctor)
{
    return doctor->counts[PG_VERDICT_FAIL] > 0   ? PG_VERDICT_FAIL
           : doctor->counts[PG_VERDICT_WARN] > 0 ? PG_VERDICT_WARN
                                                 : PG_VERDICT_OK;
}

// `fix` is what to do, told where it is not well; NULL: nothing.
PG_PRINTF(5, 6)
static void say(pg_doctor *doctor, pg_verdict verdict, const char *name, const char *fix,
                const char *format, ...)
{
    char found[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void) vsnprintf(found, sizeof(found), format, args);
    va_end(args);
    json_object *check = json_object_new_object();
    (void) json_object_object_add(check, "name", json_object_new_string(name));
    (void) json_object_object_add(check, "status",
                                  json_object_new_string(pg_verdict_text(verdict)));
    (void) json_object_object_add(check, "found", json_object_new_string(found));
    (void) json_object_object_add(
        check, "fix", verdict == PG_VERDICT_OK || fix == NULL ? NULL : json_object_new_string(fix));
    (void) json_object_array_add(doctor->checks, check);
    doctor->counts[verdict]++;
}

static pg_verdict worse(bool is_bad, bool is_doubtful)
{
    return is_bad ? PG_VERDICT_FAIL : is_doubtful ? PG_VERDICT_WARN : PG_VERDICT_OK;
}

// ---- Program and node

static void version_judge(pg_doctor *doctor)
{
    const char *running = pg_answer_optional(doctor->node, "version");
    bool differs = doctor->is_running && strcmp(running, PANGEA_VERSION) != 0;
    say(doctor, worse(false, differs), "version", "restart the node: `pangea run`",
        "%s%s%s, SQLite %s, OpenSSL %s, libcurl %s", PANGEA_VERSION,
        differs ? ", while the node runs " : "", differs ? running : "", pg_db_library_version(),
        pg_crypto_library_version(), curl_version_info(CURLVERSION_NOW)->version);
}

static void node_judge(pg_doctor *doctor)
{
    char uptime[PG_SPAN_TEXT_BYTES];
    if (!doctor->is_running) {
        say(doctor, PG_VERDICT_WARN, "node", "pangea run",
            "none is running: only the disk was looked at");
        return;
    }
    pg_span_format((int64_t) pg_answer_u64(doctor->node, "uptime_ms") / 1000, uptime);
    say(doctor, PG_VERDICT_OK, "node", NULL, "runs as process %llu for %s",
        (unsigned long long) pg_answer_u64(pg_answer_object(doctor->facts, "process"), "pid"),
        uptime);
}

static void config_judge(pg_doctor *doctor)
{
    bool is_bad = doctor->config_fault.len > 0;
    say(doctor, worse(is_bad, false), "settings", "mend that line; `man pangea` has every key",
        "%s", is_bad ? (const char *) doctor->config_fault.ptr : "pangea.conf has no mistake");
}

static void clock_judge(pg_doctor *doctor)
{
    json_object *clock = pg_answer_object(doctor->facts, "clock");
    uint64_t hosts = pg_answer_u64(clock, "hosts");
    int64_t ahead_s = (int64_t) pg_answer_number(clock, "hosts_ahead_s");
    int64_t off_s = ahead_s < 0 ? -ahead_s : ahead_s;
    uint64_t quiet_s = pg_answer_u64(clock, "quiet_s");
    bool is_kept = clock == NULL ? pg_machine_clock_is_kept() : pg_answer_bool(clock, "is_kept");
    const char *fix = "set the clock and let NTP keep it: `timedatectl set-ntp true`";
    const char *kept = is_kept ? "something keeps it right" : "nothing keeps it right";
    char span[PG_SPAN_TEXT_BYTES];
    if (hosts >= CLOCK_HOSTS_MIN && off_s > CLOCK_WARN_S) {
        pg_span_format(off_s, span);
        say(doctor, worse(off_s > CLOCK_FAIL_S, true), "clock", fix,
            "%s %s the median of %llu hosts", span, ahead_s > 0 ? "behind" : "ahead of",
            (unsigned long long) hosts);
    } else if (quiet_s > 0) {
        pg_span_format((int64_t) quiet_s, span);
        say(doctor, PG_VERDICT_WARN, "clock", fix,
            "it stepped: nothing is deleted for hosts' sake for %s", span);
    } else if (hosts >= CLOCK_HOSTS_MIN) {
        say(doctor, PG_VERDICT_OK, "clock", NULL, "within %lld s of the median of %llu hosts",
            (long long) off_s, (unsigned long long) hosts);
    } else {
        say(doctor, worse(false, !is_kept), "clock", fix, "%s; no hosts to compare it with", kept);
    }
}

// ---- Disk

static void secrets_judge(pg_doctor *doctor)
{
    char fix[2 * TEXT_BYTES];
    for (size_t i = 0; i < doctor->secret_count; i++) {
        const pg_doctor_secret *secret = &doctor->secrets[i];
        const char *path = (const char *) secret->path.ptr;
        // Of the directory only writing hurts: what is in it has modes of its own.
        uint32_t bad = i == 0 ? 0022 : 0077;
        if (secret->is_there && !secret->owner.is_ours) {
            (void) snprintf(fix, sizeof(fix), "run as its owner, or chown it: ls -ld '%s'", path);
            say(doctor, PG_VERDICT_FAIL, "secrets", fix, "%s belongs to another user",
                secret->name);
            return;
        }
        if (secret->is_there && (secret->owner.permissions & bad) != 0) {
            (void) snprintf(fix, sizeof(fix), "chmod %s '%s'", i == 0 ? "700" : "600", path);
            say(doctor, PG_VERDICT_FAIL, "secrets", fix, "%s is open to others (mode %04o)",
                secret->name, (unsigned) secret->owner.permissions);
            return;
        }
    }
    bool has_identity = doctor->secrets[1].is_there;
    say(doctor, worse(!has_identity, false), "secrets", "pangea init", "%s",
        has_identity ? "readable by their owner alone" : "there is no identity");
}

static void disk_judge(pg_doctor *doctor)
{
    const pg_machine_disk *disk = &doctor->disk;
    char left[PG_SIZE_TEXT_BYTES];
    char total[PG_SIZE_TEXT_BYTES];
    if (doctor->disk_err != PG_OK) {
        say(doctor, PG_VERDICT_FAIL, "disk", "is it mounted? `findmnt`", "cannot be looked at: %s",
            pg_err_text(doctor->disk_err));
        return;
    }
    pg_size_format(disk->free_bytes, left);
    pg_size_format(disk->total_bytes, total);
    bool is_short =
        disk->free_bytes < DISK_WARN_BYTES || (disk->files > 0 && disk->files_free < INODES_WARN);
    bool is_odd = disk->is_memory || disk->is_remote;
    const char *kind = disk->is_memory ? "it is memory: move the directory to a disk, `--data`"
                       : disk->is_remote
                           ? "locks and syncs of a remote disk may lie: use a local one"
                           : "make room, or set storage.quota lower";
    say(doctor, worse(disk->free_bytes < DISK_FAIL_BYTES, is_short || is_odd), "disk",
        is_short ? "make room, or set storage.quota lower" : kind,
        "%s, %s of %s free, room for %llu files", disk->kind, left, total,
        (unsigned long long) disk->files_free);
}

static void sync_judge(pg_doctor *doctor)
{
    int64_t ms = doctor->sync_ns / 1000000;
    say(doctor, worse(doctor->sync_ns == 0, ms >= SYNC_WARN_MS), "sync",
        doctor->sync_ns == 0 ? "see disk and secrets" : "every put waits for it: use a faster disk",
        doctor->sync_ns == 0 ? "the directory cannot be written to"
                             : "4 KiB are durable after %lld.%02lld ms",
        (long long) ms, (long long) (doctor->sync_ns / 10000 % 100));
}

static void quota_judge(pg_doctor *doctor)
{
    char used_text[PG_SIZE_TEXT_BYTES];
    char quota_text[PG_SIZE_TEXT_BYTES];
    json_object *store = pg_answer_object(doctor->facts, "store");
    json_object *told = pg_answer_object(doctor->stat, "store");
    uint64_t used = pg_answer_u64(store, "ledger_bytes");
    uint64_t quota =
        told == NULL ? doctor->config.storage_quota_bytes : pg_answer_u64(told, "quota_bytes");
    uint64_t left = quota > used ? quota - used : 0;
    bool is_promised = doctor->disk_err == PG_OK && left > doctor->disk.free_bytes;
    pg_size_format(used, used_text);
    pg_size_format(quota, quota_text);
    say(doctor, worse(false, is_promised || left == 0), "quota",
        is_promised ? "set storage.quota to what the disk can hold" : "set storage.quota higher",
        "%s of %s used%s", used_text, quota_text,
        is_promised ? "; the rest is more than the disk has" : "");
}

static void store_judge(pg_doctor *doctor)
{
    json_object *store = pg_answer_object(doctor->facts, "store");
    uint64_t damaged = pg_answer_u64(store, "damaged");
    uint64_t ledger = pg_answer_u64(store, "ledger_bytes");
    uint64_t disk = pg_answer_u64(store, "disk_bytes");
    bool has_failed = pg_answer_bool(pg_answer_object(doctor->stat, "store"), "has_failed");
    const unsigned long long checked = pg_answer_u64(store, "checked");
    const unsigned long long blocks = pg_answer_u64(store, "blocks");
    const char *how = doctor->is_deep ? "content" : "headers";
    if (has_failed) {
        say(doctor, PG_VERDICT_FAIL, "blocks", "look at the disk (`dmesg`), then restart the node",
            "the disk failed to make a block durable: none is taken");
    } else if (doctor->facts == NULL) {
        say(doctor, PG_VERDICT_WARN, "blocks", NULL, "not looked at, see database");
    } else if (damaged > 0) {
        say(doctor, PG_VERDICT_FAIL, "blocks",
            "look at the disk (`dmesg`, smartctl); a node that runs replaces what it reads damaged",
            "%llu of %llu are damaged, the first is %s", (unsigned long long) damaged, checked,
            pg_answer_text(store, "first_damaged"));
    } else if (disk > ledger + ledger / 16 + SLACK_BYTES) {
        char size[PG_SIZE_TEXT_BYTES];
        pg_size_format(disk - ledger, size);
        say(doctor, PG_VERDICT_WARN, "blocks",
            "restart the node; file systems without holes give space back late",
            "the disk takes %s more than is counted", size);
    } else {
        say(doctor, PG_VERDICT_OK, "blocks", NULL, "%llu of %llu looked at (%s), all are right",
            checked, blocks, how);
    }
}

// Nothing could be looked at. Without its passphrase a locked identity tells nothing, which is no fault; nor is a node on its way.
static void unread_judge(pg_doctor *doctor)
{
    const char *why = (const char *) doctor->unread.ptr;
    bool is_locked = doctor->unread_err == PG_ERR_KEY &&
                     !pg_invocation_has(doctor->invocation, "passphrase-file");
    if (is_locked) {
        say(doctor, PG_VERDICT_WARN, "database", "give --passphrase-file", "%s", why);
    } else if (doctor->unread_err == PG_ERR_BUSY) {
        say(doctor, PG_VERDICT_WARN, "database", "it starts or stops: try again in a moment", "%s",
            why);
    } else if (doctor->unread_err == PG_OK) {
        say(doctor, PG_VERDICT_WARN, "database", "restart the node", "%s", why);
    } else if (doctor->unread_err == PG_ERR_KEY || doctor->unread_err == PG_ERR_NOT_FOUND) {
        say(doctor, PG_VERDICT_FAIL, "database", "see secrets, and the passphrase", "%s", why);
    } else {
        say(doctor, PG_VERDICT_FAIL, "database", "restore a backup: `pangea help restore`", "%s",
            why);
    }
}

static void database_judge(pg_doctor *doctor)
{
    json_object *database = pg_answer_object(doctor->facts, "database");
    const char *fault = pg_answer_optional(database, "fault");
    uint64_t version = pg_answer_u64(database, "version");
    const unsigned known = pg_storage_schema_version();
    if (doctor->facts == NULL) {
        unread_judge(doctor);
    } else if (database == NULL) {
        say(doctor, PG_VERDICT_OK, "database", NULL, "none yet");
    } else if (fault[0] != '\0') {
        say(doctor, PG_VERDICT_FAIL, "database", "restore a backup: `pangea help restore`", "%s",
            fault);
    } else if (version > known) {
        say(doctor, PG_VERDICT_FAIL, "database", "install the newer program again",
            "version %llu, of a newer program: this one knows %u", (unsigned long long) version,
            known);
    } else {
        say(doctor, PG_VERDICT_OK, "database", NULL, "version %llu of %u, %s",
            (unsigned long long) version, known,
            pg_answer_bool(database, "checked") ? "every page was read" : "opens");
    }
}

// ---- Process

static void limits_judge(pg_doctor *doctor)
{
    json_object *process = pg_answer_object(doctor->facts, "process");
    char own[PG_SIZE_TEXT_BYTES];
    char left[PG_SIZE_TEXT_BYTES];
    pg_machine_process here;
    pg_machine_process_look(&here);
    uint64_t open = process == NULL ? here.open_files : pg_answer_u64(process, "open_files");
    uint64_t open_max =
        process == NULL ? here.open_files_max : pg_answer_u64(process, "open_files_max");
    bool is_short = open_max / 5 * 4 <= open;
    say(doctor, worse(is_short, open_max < OPEN_FILES_MIN), "open files",
        "raise the limit: `ulimit -n 8192`, or LimitNOFILE= of the service",
        open_max >= INT64_MAX ? "%llu, without limit" : "%llu of %llu", (unsigned long long) open,
        (unsigned long long) open_max);
    pg_size_format(process == NULL ? 0 : pg_answer_u64(process, "memory_bytes"), own);
    pg_size_format(here.machine_free_bytes, left);
    bool is_low = here.machine_bytes > 0 && here.machine_free_bytes < MEMORY_WARN_BYTES;
    say(doctor, worse(false, is_low), "memory", "end other programs, or set limits.memory lower",
        doctor->is_running ? "the node takes %s, %s are free" : "%.0s%s are free", own, left);
}

// ---- Network

static void ports_judge(pg_doctor *doctor)
{
    char text[TEXT_BYTES] = "";
    uint64_t pid = pg_answer_u64(pg_answer_object(doctor->facts, "process"), "pid");
    for (size_t i = 0; i < doctor->port_count; i++) {
        const pg_doctor_port *port = &doctor->ports[i];
        const char *kind = port->is_udp ? "UDP" : "TCP";
        bool is_ours =
            doctor->is_running && (port->found.pid == 0 || port->found.pid == (int64_t) pid);
        if (port->found.is_taken && !is_ours) {
            say(doctor, PG_VERDICT_FAIL, "ports",
                "end that program, or set net.listen to another port",
                "%s %u is taken by %s%s(process %lld)", kind, port->number,
                port->found.name[0] == '\0' ? "another user's program " : port->found.name,
                port->found.name[0] == '\0' ? "" : " ", (long long) port->found.pid);
            return;
        }
        if (doctor->is_running && !port->found.is_taken) {
            say(doctor, PG_VERDICT_FAIL, "ports", "restart the node", "nobody listens on %s %u",
                kind, port->number);
            return;
        }
        size_t len = strlen(text);
        (void) snprintf(text + len, sizeof(text) - len, "%s%s %u", len == 0 ? "" : ", ", kind,
                        port->number);
    }
    say(doctor, PG_VERDICT_OK, "ports", NULL,
        doctor->is_running ? "listens on %s"
        : text[0] == '\0'  ? "%sfree ones are taken"
                           : "%s: free",
        text);
}

/** What the connections tell of how others see us. */
typedef struct view {
    size_t inbound;
    size_t outbound;
    const char *observed; // an address of ours, as a peer sees it, that we do not listen on
} view;

// Without the port: behind a router it differs for every peer.
static bool is_own_addr(json_object *addrs, const char *observed)
{
    const char *end =
        strstr(observed, "/tcp/") != NULL ? strstr(observed, "/tcp/") : strstr(observed, "/udp/");
    size_t len = end == NULL ? strlen(observed) : (size_t) (end - observed);
    bool is_own = false;
    for (size_t i = 0; i < pg_answer_count(addrs) && !is_own; i++) {
        const char *addr = json_object_get_string(json_object_array_get_idx(addrs, i));
        is_own = strncmp(addr, observed, len) == 0 && addr[len] == '/';
    }
    return is_own;
}

static view view_make(const pg_doctor *doctor)
{
    view seen = {.observed = NULL};
    json_object *peers = pg_answer_object(doctor->peers, "peers");
    for (size_t i = 0; i < pg_answer_count(peers); i++) {
        json_object *peer = json_object_array_get_idx(peers, i);
        const char *observed = pg_answer_optional(peer, "observed_addr");
        bool is_inbound = strcmp(pg_answer_text(peer, "direction"), "inbound") == 0;
        seen.inbound += is_inbound ? 1 : 0;
        seen.outbound += is_inbound ? 0 : 1;
        if (observed[0] != '\0' &&
            !is_own_addr(pg_answer_object(doctor->node, "addrs"), observed)) {
            seen.observed = observed;
        }
    }
    return seen;
}

static void reach_judge(pg_doctor *doctor)
{
    const view seen = view_make(doctor);
    const char *fix = "let the router pass the port on, and set net.announce to its address";
    size_t addrs = 0;
    pg_ip_scope widest = pg_reach_scope(pg_answer_object(doctor->node, "addrs"), &addrs);
    switch (pg_reach_judge(widest, seen.inbound, seen.outbound)) {
    case PG_REACH_UNKNOWN:
        say(doctor, PG_VERDICT_WARN, "reachable", "see peers", "not known without peers");
        return;
    case PG_REACH_CLOSED:
        say(doctor, PG_VERDICT_WARN, "reachable", PG_REACH_CLOSED_FIX, PG_REACH_CLOSED_TEXT);
        return;
    case PG_REACH_MACHINE:
        say(doctor, PG_VERDICT_OK, "reachable", NULL,
            "by this machine only; %zu of %zu connections came from others", seen.inbound,
            seen.inbound + seen.outbound);
        return;
    case PG_REACH_OTHERS:
        say(doctor, PG_VERDICT_OK, "reachable", NULL, "%zu of %zu connections came from others",
            seen.inbound, seen.inbound + seen.outbound);
        return;
    case PG_REACH_UNPROVEN:
        break;
    }
    if (seen.observed != NULL) {
        say(doctor, PG_VERDICT_WARN, "reachable", fix, "behind a router; peers see %s",
            seen.observed);
    } else {
        say(doctor, PG_VERDICT_WARN, "reachable", fix, "nobody of %zu peers has come by himself",
            seen.outbound);
    }
}

static void peers_judge(pg_doctor *doctor)
{
    json_object *finding = pg_answer_object(doctor->stat, "finding");
    uint64_t peers = pg_answer_u64(doctor->stat, "peers");
    uint64_t listed = pg_answer_u64(finding, "bootstrap_peers");
    uint64_t good = pg_answer_u64(finding, "bootstrap_good");
    bool none_good = listed > 0 && good == 0 && peers == 0;
    say(doctor, worse(none_good, peers == 0), "peers",
        none_good ? "is this machine online? are the addresses of net.bootstrap right?"
                  : "join others: `pangea join INVITE`, or set net.bootstrap",
        "%llu connected, %llu remembered, %llu of %llu to begin with are good",
        (unsigned long long) peers, (unsigned long long) pg_answer_u64(finding, "remembered"),
        (unsigned long long) good, (unsigned long long) listed);
}

static void dht_judge(pg_doctor *doctor)
{
    char text[TEXT_BYTES] = "";
    uint64_t peers = 0;
    json_object *dhts = pg_answer_object(doctor->dht, "dhts");
    for (size_t i = 0; i < pg_answer_count(dhts); i++) {
        json_object *dht = json_object_array_get_idx(dhts, i);
        size_t len = strlen(text);
        peers += pg_answer_u64(dht, "peers");
        (void) snprintf(text + len, sizeof(text) - len, "%s%s: %llu peers%s", len == 0 ? "" : ", ",
                        pg_answer_text(dht, "realm"),
                        (unsigned long long) pg_answer_u64(dht, "peers"),
                        pg_answer_bool(dht, "server") ? ", serves" : "");
    }
    bool is_off = pg_answer_count(dhts) == 0;
    say(doctor, worse(false, is_off || peers == 0), "dht",
        is_off ? "set dht.enabled = true" : "files are found by it: see peers", "%s",
        is_off ? "off" : text);
}

static void catalogue_judge(pg_doctor *doctor)
{
    json_object *files = pg_answer_object(doctor->stat, "files");
    json_object *catalogue = pg_answer_object(doctor->stat, "catalogue");
    const char *state = pg_answer_text(catalogue, "state");
    uint64_t pending = pg_answer_u64(files, "files_pending");
    say(doctor, worse(false, pending > 0 || strcmp(state, "restoring") == 0), "files",
        "they need hosts: see peers", "%llu put, %llu of them here only; the list of them is %s",
        (unsigned long long) pg_answer_u64(files, "files"), (unsigned long long) pending, state);
}

// Only where one is configured.
static void archive_judge(pg_doctor *doctor)
{
    json_object *archive = pg_answer_object(doctor->stat, "archive");
    char bytes[PG_SIZE_TEXT_BYTES];
    if (archive == NULL) {
        return;
    }
    uint64_t damaged = pg_answer_u64(archive, "damaged");
    pg_size_format(pg_answer_u64(archive, "bytes"), bytes);
    if (!pg_answer_bool(archive, "has_credentials")) {
        say(doctor, PG_VERDICT_WARN, "archive", "`pangea archive login`",
            "there are no credentials");
    } else if (pg_answer_bool(archive, "is_failing")) {
        say(doctor, PG_VERDICT_WARN, "archive", "`pangea archive test` tells which step fails",
            "%s", pg_answer_text(archive, "failure"));
    } else {
        say(doctor, worse(false, damaged > 0), "archive", "`pangea archive now` archives them anew",
            "%llu extents, %s; %llu damaged",
            (unsigned long long) pg_answer_u64(archive, "extents"), bytes,
            (unsigned long long) damaged);
    }
}

void pg_doctor_judge(pg_doctor *doctor)
{
    doctor->checks = json_object_new_array();
    version_judge(doctor);
    node_judge(doctor);
    config_judge(doctor);
    clock_judge(doctor);
    secrets_judge(doctor);
    disk_judge(doctor);
    sync_judge(doctor);
    quota_judge(doctor);
    database_judge(doctor);
    store_judge(doctor);
    limits_judge(doctor);
    ports_judge(doctor);
    if (doctor->is_running) {
        peers_judge(doctor);
        reach_judge(doctor);
        dht_judge(doctor);
        catalogue_judge(doctor);
        archive_judge(doctor);
    }
}

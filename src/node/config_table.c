// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "net/limits.h"
#include "node/config.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

#define BOOL(name, member, initial, reloads, help)                                                 \
    {                                                                                              \
        name, PG_CONFIG_TYPE_BOOL, offsetof(pg_config, member), initial, 0, 0, NULL, reloads, help \
    }
#define NUMBER(name, member, initial, min, max, reloads, help)                                     \
    {                                                                                              \
        name, PG_CONFIG_TYPE_NUMBER, offsetof(pg_config, member), initial, min, max, NULL,         \
            reloads, help                                                                          \
    }
#define BYTES(name, member, initial, min, max, reloads, help)                                      \
    {                                                                                              \
        name, PG_CONFIG_TYPE_BYTES, offsetof(pg_config, member), initial, min, max, NULL, reloads, \
            help                                                                                   \
    }
#define DURATION(name, member, initial, min, max, reloads, help)                                   \
    {                                                                                              \
        name, PG_CONFIG_TYPE_DURATION, offsetof(pg_config, member), initial, min, max, NULL,       \
            reloads, help                                                                          \
    }
#define TEXT(name, member, initial, reloads, help)                                                 \
    {                                                                                              \
        name, PG_CONFIG_TYPE_TEXT, offsetof(pg_config, member), initial, 0, 0, NULL, reloads, help \
    }
#define CHECKED(name, type, member, initial, reloads, help)                                        \
    {                                                                                              \
        name, PG_CONFIG_TYPE_##type, offsetof(pg_config, member), initial, 0, 0, NULL, reloads,    \
            help                                                                                   \
    }
#define CHOICE(name, member, initial, choices, reloads, help)                                      \
    {                                                                                              \
        name, PG_CONFIG_TYPE_CHOICE, offsetof(pg_config, member), initial, 0, 0, choices, reloads, \
            help                                                                                   \
    }
#define LIST(name, type, member, initial, max, reloads, help)                                      \
    {                                                                                              \
        name, PG_CONFIG_TYPE_##type, offsetof(pg_config, member), initial, 0, max, NULL, reloads,  \
            help                                                                                   \
    }

static const pg_config_key keys[] = {
    CHECKED("api.listen", DOOR, api_listen, "", false,
            "address of this machine for the local API over TCP (127.0.0.1:4480, say); empty: the "
            "Unix socket only"),
    BYTES("archive.bandwidth", archive_bandwidth, "4MiB", 0, 1024 * TIB, true,
          "bytes a second that go into the archive, and as many that others read out of it; 0 is "
          "no cap"),
    TEXT("archive.bucket", archive_bucket, "", false,
         "bucket of the archive, which is there already"),
    TEXT("archive.ca_file", archive_ca_file, "", false,
         "file of certificates that alone are trusted for archive.endpoint; empty: those of the "
         "system"),
    DURATION("archive.cold_after", archive_cold_after_ms, "720h", 0, UINT64_C(31536000000), true,
             "what nobody has read from here for so long may be archived"),
    CHECKED("archive.endpoint", URL, archive_endpoint, "", false,
            "S3-compatible store for the cold archive (https://s3.example.org); empty: none"),
    TEXT("archive.proxy", archive_proxy, "", false,
         "socks5h://HOST:PORT (Tor, say) or http proxy through which alone the archive is reached; "
         "empty: directly"),
    BYTES("archive.quota", archive_quota_bytes, "100GiB", 0, 1024 * TIB, true,
          "most bytes of this node in the archive"),
    TEXT("archive.region", archive_region, "us-east-1", false,
         "region that requests are signed for"),
    CHOICE("archive.style", archive_style, "path", "path host", false,
           "where requests name the bucket"),
    CHOICE("archive.when", archive_when, "degraded", "degraded cold", true,
           "what is archived of what is cold: only files below their redundancy, or all"),
    DURATION("audit.interval", audit_interval_ms, "24h", 0, UINT64_C(2592000000), true,
             "how often each extent that this node keeps or put is audited, in the mean; 0s is "
             "never"),
    BOOL("dht.allow_private", dht_allow_private, "false", false,
         "let the global DHT have peers with private addresses: for networks of tests"),
    BOOL("dht.enabled", dht_enabled, "true", false, "take part in the DHTs"),
    CHOICE("dht.mode", dht_mode, "auto", "auto client server", true,
           "whether others are answered; auto: while one of this node's addresses is reachable"),
    BOOL("dht.test_namespace", dht_test_namespace, "false", false,
         "keep and find records under /test/, which nobody signs: for tests"),
    DURATION("health.ping_interval", health_ping_interval_ms, "5m", 0, 86400000, false,
             "from one ping of a host to the next, more or less; 0: nobody is pinged"),
    BYTES("limits.memory", limits_memory_bytes, "256MiB", 16 * MIB, TIB, true,
          "memory that connections and streams may take in all"),
    NUMBER("limits.book_peers", limits_book_peers, "4096", 16, 1000000, false,
           "peers remembered with their addresses"),
    NUMBER("limits.connections", limits_connections, "512", 8, 100000, true,
           "connections open at once"),
    NUMBER("limits.connections_high", limits_connections_high, "256", 1, 100000, true,
           "connected peers beyond which the least worth are let go"),
    NUMBER("limits.connections_low", limits_connections_low, "32", 0, 100000, true,
           "connected peers below which known ones are dialed"),
    NUMBER("limits.connections_per_ip", limits_connections_per_ip, "32", 1, 100000, true,
           "inbound connections from one IP address (not loopback)"),
    NUMBER("limits.connections_per_peer", limits_connections_per_peer, "4", 1, 1000, true,
           "connections with one peer"),
    NUMBER("limits.connections_per_subnet", limits_connections_per_subnet, "128", 1, 100000, true,
           "inbound connections from one IPv4 /24 or IPv6 /48 (not loopback)"),
    NUMBER("limits.accepts_per_ip", limits_accepts_per_ip, "10", 1, 100000, true,
           "new inbound connections a second from one IP address (not loopback), five times that "
           "at once"),
    NUMBER("limits.pending", limits_pending, "128", 4, 10000, true,
           "inbound connections whose handshake is not finished; beyond it the oldest is dropped"),
    NUMBER("limits.streams", limits_streams, "8192", 64, 1000000, true,
           "inbound streams being served at once"),
    NUMBER("limits.streams_per_peer", limits_streams_per_peer, "1024", 8, 100000, true,
           "inbound streams of one peer being served at once"),
    TEXT("log.file", log_file, "", true,
         "file for the log, in the data directory unless it begins with a slash; empty: standard "
         "error"),
    BYTES("log.file_bytes", log_file_bytes, "16MiB", 4 * KIB, TIB, true,
          "size at which the next file is begun; the one before becomes NAME.1, and so on"),
    NUMBER("log.file_count", log_file_count, "5", 1, 100, true,
           "files of the log in all; the oldest goes"),
    CHOICE("log.format", log_format, "text", "text json", true, "how log lines look"),
    CHOICE("log.level", log_level, "info", "error warn info debug trace", true,
           "the least important lines that are written"),
    LIST("net.announce", ADDRS, net_announce, "", PG_NET_ADVERTISED_MAX, true,
         "addresses to tell others besides those listened on (behind a router, say)"),
    LIST("net.bootstrap", PEERS, net_bootstrap, "", PG_CONFIG_LIST_MAX, true,
         "peers to begin with while few are connected, as multiaddrs with /p2p/ at the end"),
    DURATION("net.connection_grace", net_connection_grace_ms, "30s", 0, 86400000, true,
             "age from which a connection may be let go for others"),
    DURATION("net.dial_timeout", net_dial_timeout_ms, "10s", 100, 600000, true,
             "time for a connection to be made, handshake included"),
    DURATION("net.drain_timeout", net_drain_timeout_ms, "5s", 0, 600000, true,
             "time that streams in use get to finish when the node stops"),
    BOOL("net.echo", net_echo, "false", false, "serve /echo/1.0.0, for tests"),
    DURATION("net.handshake_timeout", net_handshake_timeout_ms, "10s", 100, 600000, true,
             "time for the whole handshake of an inbound connection"),
    LIST("net.listen", ADDRS, net_listen,
         "/ip4/0.0.0.0/tcp/4417 /ip4/0.0.0.0/udp/4417/quic-v1 /ip6/::/tcp/4417 "
         "/ip6/::/udp/4417/quic-v1",
         PG_CONFIG_LIST_MAX, false,
         "addresses to listen on, as multiaddrs; port 0 takes a free one"),
    BOOL("net.mdns", net_mdns, "true", true,
         "find peers on the local network, and be found there by them"),
    LIST("net.peers", PEERS, net_peers, "", PG_CONFIG_LIST_MAX, true,
         "peers to stay connected to, as multiaddrs with /p2p/ at the end"),
    BYTES("net.perf_bytes_max", net_perf_bytes_max, "16GiB", 0, 1024 * TIB, true,
          "most bytes one /perf/1.0.0 request may have in each direction; 0 refuses the protocol"),
    TEXT("net.swarm_key", net_swarm_key, "", false,
         "file with the key of a private network, in the data directory unless it begins with a "
         "slash; empty: a public node"),
    CHOICE(
        "node.mode", node_mode, "full", "full view-only", false,
        "view-only: keep nothing for strangers, relay nothing, answer nobody in the DHTs; put, get "
        "and pin as any node"),
    BYTES("rebalance.bandwidth", rebalance_bandwidth, "2MiB", 0, 1024 * TIB, true,
          "bytes a second that rebalancing may move; 0 is no cap"),
    BOOL("rebalance.enabled", rebalance_enabled, "true", true,
         "give slots to hosts that are much emptier than this node"),
    NUMBER("rebalance.margin", rebalance_margin, "10", 1, 100, true,
           "percent of its quota by which a host has to be emptier to be given slots"),
    BYTES("repair.bandwidth", repair_bandwidth, "8MiB", 0, 1024 * TIB, true,
          "bytes a second that repairs may move, what is fetched and pushed together; 0 is no cap"),
    BOOL("repair.enabled", repair_enabled, "true", true,
         "replace hosts that are lost, of files whose slots this node keeps"),
    DURATION("repair.patience", repair_patience_ms, "24h", 10000, UINT64_C(2592000000), true,
             "silence after which what a host held counts as lost; a quarter of it when a fifth of "
             "the slots is silent"),
    BOOL("security.require_pq", security_require_pq, "false", false,
         "refuse peers that cannot do the hybrid post-quantum handshake"),
    CHOICE("storage.accept", storage_accept, "anyone", "anyone nobody", true,
           "whose blocks this node keeps"),
    BYTES("storage.cache", storage_cache_bytes, "1GiB", 0, 1024 * TIB, false,
          "blocks that passed through and are given on to others; part of the quota"),
    BYTES("storage.quota", storage_quota_bytes, "10GiB", 16 * MIB, 1024 * TIB, true,
          "disk space for blocks of every kind"),
    BOOL(
        "storage.seed", storage_seed, "false", false,
        "let a view-only node keep what passed through it (storage.cache) and give it to others; a "
        "full node always does"),
    DURATION(
        "storage.ttl", storage_ttl_ms, "1440h", 60000, UINT64_C(5184000000), false,
        "how long hosts are asked to keep a file before its lease is renewed; 60 days at most"),
    BYTES("storage.uploader_max", storage_uploader_bytes_max, "0", 0, 1024 * TIB, true,
          "most bytes kept for one uploader; 0 is no limit but the quota"),
    BOOL("telemetry.enabled", telemetry_enabled, "false", true,
         "send documents of telemetry to telemetry.url, once somebody agreed: `pangea telemetry "
         "on`"),
    DURATION("telemetry.interval", telemetry_interval_ms, "24h", 3600000, UINT64_C(2592000000),
             true, "from one document of telemetry to the next, an eighth more or less"),
    CHECKED(
        "telemetry.url", COLLECTOR, telemetry_url, "", true,
        "collector of telemetry, https (or http on this machine); empty: none, the project runs "
        "none"),
    CHECKED(
        "trace.endpoint", URL, trace_endpoint, "", false,
        "collector of traces, OTLP over HTTP (http://127.0.0.1:4318/v1/traces, say); empty: none "
        "are made"),
};

_Static_assert(PG_ARRAY_LEN(keys) <= sizeof(((pg_config *) NULL)->layers),
               "layers has a byte a key");

const pg_config_key *pg_config_keys(size_t *out_count)
{
    *out_count = PG_ARRAY_LEN(keys);
    return keys;
}

// SPDX-License-Identifier: Apache-2.0
#include "api/figures.h"

#include <stddef.h>
#include <string.h>

#include "api/fields.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/fiber.h"

typedef enum figure_kind {
    FIGURE_KIND_GAUGE,
    FIGURE_KIND_COUNTER,
    FIGURE_KIND_FLAG, // a bool; 0 or 1 in the metrics
} figure_kind;

/** One row. */
typedef struct figure {
    pg_figure_part part;
    figure_kind kind;
    size_t offset;
    size_t size;
    const char *field; // in the part's JSON document; NULL = not there
    const char *
        metric; // NULL = not in the metrics; rows of the same stand together, with labels that differ
    const char *label; // "name=\"value\""; NULL = none
    const char *help;  // of the metric, on its first row
    uint32_t divisor;  // of the metric, to have it in seconds; 0 = none
} figure;

#define AT(type, member) offsetof(type, member), sizeof(((type *) NULL)->member)
#define HOST(member) PG_FIGURE_PART_HOST, FIGURE_KIND_GAUGE, AT(pg_host_stats, member)
#define HOST_SUM(member) PG_FIGURE_PART_HOST, FIGURE_KIND_COUNTER, AT(pg_host_stats, member)
#define STORE(member) PG_FIGURE_PART_STORE, FIGURE_KIND_GAUGE, AT(pg_block_store_stats, member)
#define STORE_SUM(member)                                                                          \
    PG_FIGURE_PART_STORE, FIGURE_KIND_COUNTER, AT(pg_block_store_stats, member)
#define STORE_FLAG(member) PG_FIGURE_PART_STORE, FIGURE_KIND_FLAG, AT(pg_block_store_stats, member)
#define PLACE(member) PG_FIGURE_PART_PLACE, FIGURE_KIND_GAUGE, AT(pg_place_stats, member)
#define PLACE_SUM(member) PG_FIGURE_PART_PLACE, FIGURE_KIND_COUNTER, AT(pg_place_stats, member)
#define FILES(member) PG_FIGURE_PART_FILES, FIGURE_KIND_GAUGE, AT(pg_files_stats, member)
#define FILES_SUM(member) PG_FIGURE_PART_FILES, FIGURE_KIND_COUNTER, AT(pg_files_stats, member)
#define BITSWAP(member) PG_FIGURE_PART_BITSWAP, FIGURE_KIND_GAUGE, AT(pg_bitswap_stats, member)
#define BITSWAP_SUM(member)                                                                        \
    PG_FIGURE_PART_BITSWAP, FIGURE_KIND_COUNTER, AT(pg_bitswap_stats, member)
#define FINDING(member) PG_FIGURE_PART_FINDING, FIGURE_KIND_GAUGE, AT(pg_figures_finding, member)
#define FINDING_SUM(member)                                                                        \
    PG_FIGURE_PART_FINDING, FIGURE_KIND_COUNTER, AT(pg_figures_finding, member)
#define DHT(member) PG_FIGURE_PART_DHT, FIGURE_KIND_GAUGE, AT(pg_dht_stats, member)
#define DHT_SUM(member) PG_FIGURE_PART_DHT, FIGURE_KIND_COUNTER, AT(pg_dht_stats, member)
#define DHT_FLAG(member) PG_FIGURE_PART_DHT, FIGURE_KIND_FLAG, AT(pg_dht_stats, member)
#define HEALTH(member) PG_FIGURE_PART_HEALTH, FIGURE_KIND_GAUGE, AT(pg_health_stats, member)
#define HEALTH_SUM(member) PG_FIGURE_PART_HEALTH, FIGURE_KIND_COUNTER, AT(pg_health_stats, member)
#define REPAIR(member) PG_FIGURE_PART_REPAIR, FIGURE_KIND_GAUGE, AT(pg_guard_stats, member)
#define REPAIR_SUM(member) PG_FIGURE_PART_REPAIR, FIGURE_KIND_COUNTER, AT(pg_guard_stats, member)
#define ARCHIVE(member) PG_FIGURE_PART_ARCHIVE, FIGURE_KIND_GAUGE, AT(pg_vault_stats, member)
#define ARCHIVE_SUM(member) PG_FIGURE_PART_ARCHIVE, FIGURE_KIND_COUNTER, AT(pg_vault_stats, member)
#define ARCHIVE_FLAG(member) PG_FIGURE_PART_ARCHIVE, FIGURE_KIND_FLAG, AT(pg_vault_stats, member)
#define API(member) PG_FIGURE_PART_API, FIGURE_KIND_GAUGE, AT(pg_figures_api, member)
#define API_SUM(member) PG_FIGURE_PART_API, FIGURE_KIND_COUNTER, AT(pg_figures_api, member)
#define PROCESS(member) PG_FIGURE_PART_PROCESS, FIGURE_KIND_GAUGE, AT(pg_figures_process, member)
#define PROCESS_SUM(member)                                                                        \
    PG_FIGURE_PART_PROCESS, FIGURE_KIND_COUNTER, AT(pg_figures_process, member)

// Columns: where it stands, JSON field, metric, label, help, divisor.
static const figure table[] = {
    {HOST(connections), "connections", "pangea_host_connections", NULL, "Connections open now.", 0},
    {HOST(peers), NULL, "pangea_host_peers", NULL, "Peers connected now.", 0},
    {HOST(pending), "pending", "pangea_host_handshakes", NULL,
     "Inbound connections whose handshake is not finished.", 0},
    {HOST(streams), "streams", "pangea_host_streams", NULL, "Inbound streams being served.", 0},
    {HOST(memory_bytes), "memory_bytes", "pangea_host_memory_bytes", NULL,
     "Memory that connections and streams take.", 0},
    {HOST(book_peers), "book_peers", "pangea_host_book_peers", NULL,
     "Peers remembered with their addresses.", 0},
    {HOST_SUM(admission.accepted), "accepted_total", "pangea_host_connections_accepted_total", NULL,
     "Inbound connections accepted.", 0},
    {HOST_SUM(admission.refused_connections), "refused_connections_total",
     "pangea_host_refused_total", "limit=\"connections\"",
     "Inbound connections and streams refused, by the limit that was reached.", 0},
    {HOST_SUM(admission.refused_ip), "refused_ip_total", "pangea_host_refused_total",
     "limit=\"ip\"", NULL, 0},
    {HOST_SUM(admission.refused_peer), "refused_peer_total", "pangea_host_refused_total",
     "limit=\"peer\"", NULL, 0},
    {HOST_SUM(admission.refused_streams), "refused_streams_total", "pangea_host_refused_total",
     "limit=\"streams\"", NULL, 0},
    {HOST_SUM(dials), "dials_total", "pangea_host_dials_total", NULL, "Dials of peers.", 0},
    {HOST_SUM(dials_failed), "dials_failed_total", "pangea_host_dials_failed_total", NULL,
     "Dials of peers that came to nothing.", 0},
    {HOST_SUM(handshakes_failed), "handshakes_failed_total", "pangea_host_handshakes_failed_total",
     NULL, "Inbound handshakes that came to nothing.", 0},
    {HOST_SUM(downgrades), "downgrades_total", "pangea_host_downgrades_total", NULL,
     "Classical connections refused since the peer can do the hybrid handshake.", 0},
    {HOST_SUM(offences), "offences_total", "pangea_host_offences_total", NULL,
     "Inbound streams that broke their protocol.", 0},
    {HOST(quic.connections), "quic_connections", "pangea_quic_connections", NULL,
     "QUIC connections open now, handshakes included.", 0},
    {HOST_SUM(quic.datagrams_in), "quic_datagrams_in_total", "pangea_quic_datagrams_received_total",
     NULL, "UDP datagrams received.", 0},
    {HOST_SUM(quic.datagrams_out), "quic_datagrams_out_total", "pangea_quic_datagrams_sent_total",
     NULL, "UDP datagrams sent.", 0},
    {HOST_SUM(quic.runs_out), "quic_sends_total", "pangea_quic_sends_total", NULL,
     "System calls that sent UDP datagrams.", 0},
    {HOST_SUM(quic.datagrams_lost), "quic_datagrams_lost_total",
     "pangea_quic_datagrams_unread_total", NULL, "UDP datagrams for nobody, or unreadable.", 0},
    {HOST_SUM(quic.retries), "quic_retries_total", "pangea_quic_retries_total", NULL,
     "Retry packets sent.", 0},
    {HOST_SUM(quic.versions), "quic_version_negotiations_total",
     "pangea_quic_version_negotiations_total", NULL, "Version negotiations sent.", 0},
    {HOST_SUM(quic.refusals), "quic_refusals_total", "pangea_quic_refusals_total", NULL,
     "Connections refused in their first packet.", 0},
    {HOST_SUM(quic.resets), "quic_stateless_resets_total", "pangea_quic_stateless_resets_total",
     NULL, "Stateless resets sent.", 0},
    {HOST_SUM(quic.answers_saved), "quic_answers_saved_total", "pangea_quic_answers_saved_total",
     NULL, "Answers without state that were not sent, since there were too many.", 0},

    {STORE(blocks), "blocks", "pangea_store_blocks", NULL, "Blocks kept.", 0},
    {STORE(used_bytes), "used_bytes", "pangea_store_used_bytes", NULL,
     "Disk space that blocks take.", 0},
    {STORE(quota_bytes), "quota_bytes", "pangea_store_quota_bytes", NULL,
     "Disk space that blocks may take.", 0},
    {STORE(packs), "packs", "pangea_store_pack_files", NULL, "Files that hold the blocks.", 0},
    {STORE_SUM(puts_total), "puts_total", "pangea_store_puts_total", NULL, "Blocks written.", 0},
    {STORE_SUM(syncs_total), "syncs_total", "pangea_store_syncs_total", NULL,
     "Syncs that made blocks durable.", 0},
    {STORE_SUM(lost_total), "lost_total", "pangea_store_lost_total", NULL,
     "Blocks found damaged, and dropped.", 0},
    {STORE_FLAG(was_rebuilt), "was_rebuilt", "pangea_store_was_rebuilt", NULL,
     "Whether the index was made anew at the start, since the store was not closed.", 0},
    {STORE_FLAG(has_failed), "has_failed", "pangea_store_has_failed", NULL,
     "Whether a sync failed, after which nothing is taken.", 0},

    {PLACE(leases), "leases", "pangea_place_leases", NULL,
     "Extents and whole blocks kept for others under a grant.", 0},
    {PLACE(lease_bytes), "lease_bytes", "pangea_place_lease_bytes", NULL,
     "Bytes of blocks kept for others under a grant.", 0},
    {PLACE(session_bytes), "session_bytes", "pangea_place_session_bytes", NULL,
     "Bytes of blocks pushed by others, not committed yet.", 0},
    {PLACE(quota_bytes), "quota_bytes", "pangea_place_quota_bytes", NULL,
     "Bytes of blocks that others may place here.", 0},
    {PLACE_SUM(pushes_total), "pushes_total", "pangea_place_pushes_total", NULL,
     "Blocks pushed by others.", 0},
    {PLACE_SUM(commits_total), "commits_total", "pangea_place_commits_total", NULL,
     "Grants of others committed.", 0},
    {PLACE_SUM(refused_total), "refused_total", "pangea_place_refused_total", NULL,
     "Requests of others refused by a rule.", 0},
    {PLACE_SUM(claims_total), "claims_total", "pangea_place_claims_total", NULL,
     "Slots brought by others than their owner that hosts were asked about.", 0},
    {PLACE_SUM(claims_held_total), "claims_held_total", "pangea_place_claims_held_total", NULL,
     "Slots brought by others than their owner and refused: their hosts have them.", 0},
    {PLACE_SUM(claims_old_total), "claims_old_total", "pangea_place_claims_old_total", NULL,
     "Slots brought by others than their owner and refused: a later grant is known.", 0},
    {PLACE_SUM(expired_total), "expired_total", "pangea_place_expired_total", NULL,
     "Leases dropped after their time.", 0},
    {PLACE_SUM(caught_up_total), "caught_up_total", "pangea_place_caught_up_total", NULL,
     "Leases that a missed grant was found for.", 0},

    {FILES(files), "files", "pangea_files_put", NULL, "Files that were put here and stand.", 0},
    {FILES(files_pending), "files_pending", "pangea_files_pending", NULL,
     "Files of these that are on this node only.", 0},
    {FILES(files_partial), "files_partial", "pangea_files_partial", NULL,
     "Files of these that are on fewer hosts than they have pieces.", 0},
    {FILES(files_bytes), "files_bytes", "pangea_files_put_bytes", NULL,
     "Bytes of the files that were put here and stand.", 0},
    {FILES(cache_bytes), "cache_bytes", "pangea_files_cache_bytes", NULL,
     "Bytes of blocks that passed through and are given on.", 0},
    {FILES(cache_bytes_max), "cache_bytes_max", "pangea_files_cache_max_bytes", NULL,
     "Bytes that such blocks may take.", 0},
    {FILES(pinned_blocks), "pinned_blocks", "pangea_files_pinned_blocks", NULL,
     "Blocks of pinned files.", 0},
    {FILES_SUM(puts_total), "puts_total", "pangea_files_puts_total", NULL, "Files put.", 0},
    {FILES_SUM(gets_total), "gets_total", "pangea_files_gets_total", NULL, "Files got.", 0},
    {FILES_SUM(bytes_put_total), "bytes_put_total", "pangea_files_put_bytes_total", NULL,
     "Bytes of files put.", 0},
    {FILES_SUM(bytes_got_total), "bytes_got_total", "pangea_files_got_bytes_total", NULL,
     "Bytes of files got.", 0},

    {BITSWAP_SUM(blocks_received), "blocks_received", "pangea_bitswap_blocks_received_total", NULL,
     "Blocks received from peers.", 0},
    {BITSWAP_SUM(bytes_received), "bytes_received", "pangea_bitswap_received_bytes_total", NULL,
     "Bytes of blocks received from peers.", 0},
    {BITSWAP_SUM(blocks_sent), "blocks_sent", "pangea_bitswap_blocks_sent_total", NULL,
     "Blocks sent to peers.", 0},
    {BITSWAP_SUM(bytes_sent), "bytes_sent", "pangea_bitswap_sent_bytes_total", NULL,
     "Bytes of blocks sent to peers.", 0},
    {BITSWAP_SUM(blocks_refused), "blocks_refused", "pangea_bitswap_blocks_refused_total", NULL,
     "Blocks received that are not what their CID names, or that nobody asked for.", 0},
    {BITSWAP_SUM(wants_served), "wants_served", "pangea_bitswap_wants_total", "answer=\"yes\"",
     "Wants of peers answered.", 0},
    {BITSWAP_SUM(wants_unserved), "wants_unserved", "pangea_bitswap_wants_total", "answer=\"no\"",
     NULL, 0},
    {BITSWAP(wants_held), "wants_held", "pangea_bitswap_wants", NULL, "Wants of peers that wait.",
     0},
    {BITSWAP(fetches_running), "fetches_running", "pangea_bitswap_fetches", NULL,
     "Fetches of this node that run.", 0},

    {FINDING(manager.connected), "connected", "pangea_finding_connected_peers", NULL,
     "Peers that the manager of connections counts as connected.", 0},
    {FINDING(manager.wanted), "wanted", "pangea_finding_wanted_peers", NULL,
     "Peers that have to be connected.", 0},
    {FINDING(manager.found), "found", "pangea_finding_found_peers", NULL,
     "Peers found that wait for room.", 0},
    {FINDING(manager.lost), "lost", "pangea_finding_lost_peers", NULL,
     "Peers that are being tried again.", 0},
    {FINDING(manager.dialing), "dialing", "pangea_finding_dialing_peers", NULL,
     "Peers being dialed by the manager of connections.", 0},
    {FINDING(remembered), "remembered", "pangea_finding_remembered_peers", NULL,
     "Peers known from earlier runs.", 0},
    {FINDING(bootstrap_peers), "bootstrap_peers", "pangea_finding_bootstrap_peers", NULL,
     "Peers on the list to begin with.", 0},
    {FINDING(bootstrap_good), "bootstrap_good", "pangea_finding_bootstrap_good_peers", NULL,
     "Peers of that list that answered when last looked at.", 0},
    {FINDING(mdns.links), "mdns_links", "pangea_mdns_links", NULL,
     "Network links on which peers are looked for.", 0},
    {FINDING_SUM(dials), "dials_total", "pangea_finding_dials_total", NULL,
     "Dials of the manager of connections.", 0},
    {FINDING_SUM(manager.dials_failed), "dials_failed_total", "pangea_finding_dials_failed_total",
     NULL, "Dials of the manager of connections that came to nothing.", 0},
    {FINDING_SUM(manager.trimmed), "trimmed_total", "pangea_finding_trimmed_total", NULL,
     "Peers let go for others.", 0},
    {FINDING_SUM(manager.pings), "pings_total", "pangea_finding_pings_total", NULL,
     "Looks whether silent peers are still there.", 0},
    {FINDING_SUM(manager.pings_failed), "pings_failed_total", "pangea_finding_pings_failed_total",
     NULL, "Such looks that nobody answered.", 0},
    {FINDING_SUM(mdns.messages), "mdns_messages_total", "pangea_mdns_messages_total", NULL,
     "Messages of mDNS looked at.", 0},
    {FINDING_SUM(mdns_refused), "mdns_refused_total", "pangea_mdns_refused_total", NULL,
     "Messages, addresses and peers of mDNS refused.", 0},

    {DHT_FLAG(is_server), "server", "pangea_dht_server", NULL,
     "Whether the node answers others in this DHT.", 0},
    {DHT(peers), "peers", "pangea_dht_peers", NULL, "Peers in the table.", 0},
    {DHT(network_size), "network_size", "pangea_dht_network_size", NULL,
     "Peers that the network is estimated to have; 0: not known.", 0},
    {DHT(records), "records", "pangea_dht_records", NULL, "Records kept for others.", 0},
    {DHT(record_bytes), "record_bytes", "pangea_dht_record_bytes", NULL,
     "Bytes of records kept for others.", 0},
    {DHT(providers), "providers", "pangea_dht_providers", NULL, "Providers kept for others.", 0},
    {DHT(unsaved), "unsaved", "pangea_dht_unsaved", NULL,
     "Records and providers that are not on disk as they are.", 0},
    {DHT(published), "published", "pangea_dht_published", NULL,
     "Keys that this node publishes again and again.", 0},
    {DHT_SUM(lookups), "lookups_total", "pangea_dht_lookups_total", NULL, "Lookups.", 0},
    {DHT_SUM(requests), "requests_total", "pangea_dht_requests_total", NULL, "Requests sent.", 0},
    {DHT_SUM(requests_failed), "requests_failed_total", "pangea_dht_requests_failed_total", NULL,
     "Requests sent that came to nothing.", 0},
    {DHT_SUM(served), "served_total", "pangea_dht_served_total", NULL,
     "Requests of others answered.", 0},
    {DHT_SUM(refused), "refused_total", "pangea_dht_refused_total", NULL,
     "Requests of others refused.", 0},
    {DHT_SUM(put_refused), "puts_refused_total", "pangea_dht_puts_refused_total", NULL,
     "Records of others refused.", 0},
    {DHT_SUM(peers_refused), "peers_refused_total", "pangea_dht_peers_refused_total", NULL,
     "Peers not taken into the table, by subnet.", 0},
    {DHT_SUM(corrected), "corrected_total", "pangea_dht_corrected_total", NULL,
     "Records given to peers that had older ones.", 0},

    {HEALTH(peers), NULL, "pangea_health_peers", NULL, "Peers in the book of observations.", 0},
    {HEALTH(barred), NULL, "pangea_health_barred_peers", NULL,
     "Peers that get no shards of files put here.", 0},
    {HEALTH_SUM(observations_total), NULL, "pangea_health_observations_total", NULL,
     "Observations of peers.", 0},
    {HEALTH_SUM(barred_total), NULL, "pangea_health_barred_total", NULL,
     "Judgements that barred a peer.", 0},
    {HEALTH(self_observers), NULL, "pangea_health_self_observers", NULL,
     "Peers that publish what they observed of this node.", 0},
    {HEALTH(self_score), NULL, "pangea_health_self_score", NULL,
     "What they say of it, 0 to 100; 0 where nobody says anything.", 0},
    {HEALTH(self_low), NULL, "pangea_health_self_low", NULL,
     "Whether this node is close to being given no more shards.", 0},
    {HEALTH_SUM(self_warnings_total), NULL, "pangea_health_self_warnings_total", NULL,
     "How often it came to be close to that.", 0},

    {REPAIR_SUM(rounds_total), NULL, "pangea_repair_rounds_total", NULL,
     "Rounds over the extents that are kept here.", 0},
    {REPAIR(peers), NULL, "pangea_repair_hosts", NULL, "Hosts of extents that are kept here.", 0},
    {REPAIR(peers_silent), NULL, "pangea_repair_silent_hosts", NULL,
     "Hosts of these that are silent.", 0},
    {REPAIR(peers_lost), NULL, "pangea_repair_lost_hosts", NULL,
     "Hosts of these that are silent for longer than patience lasts.", 0},
    {REPAIR(queued), NULL, "pangea_repair_queued_extents", NULL,
     "Extents that wait for their repair.", 0},
    {REPAIR(queued_urgent), NULL, "pangea_repair_urgent_extents", NULL,
     "Extents of these that are urgent.", 0},
    {REPAIR_SUM(repairs_total), NULL, "pangea_repair_done_total", NULL,
     "Repairs that put something in a new place.", 0},
    {REPAIR_SUM(repairs_failed_total), NULL, "pangea_repair_failed_total", NULL,
     "Repairs that came to nothing.", 0},
    {REPAIR_SUM(repaired_slots_total), NULL, "pangea_repair_slots_total", NULL, "Slots repaired.",
     0},
    {REPAIR_SUM(repaired_bytes_total), NULL, "pangea_repair_bytes_total", NULL,
     "Bytes pushed to new hosts.", 0},
    {REPAIR_SUM(audits_total), NULL, "pangea_audit_asked_total", NULL,
     "Audits asked for from here.", 0},
    {REPAIR_SUM(rebalanced_slots_total), NULL, "pangea_rebalance_slots_total", NULL,
     "Slots given to emptier hosts.", 0},
    {REPAIR_SUM(rebalanced_bytes_total), NULL, "pangea_rebalance_bytes_total", NULL,
     "Bytes pushed to emptier hosts.", 0},
    {REPAIR_SUM(rebalance_failed_total), NULL, "pangea_rebalance_failed_total", NULL,
     "Slots that an emptier host did not take.", 0},
    {REPAIR(balance.median), NULL, "pangea_rebalance_median_percent", NULL,
     "How full half of the hosts are at most that were asked, of their quotas.", 0},
    {REPAIR_SUM(evidence_told_total), NULL, "pangea_evidence_told_total", NULL,
     "Hosts that took what was told of a liar.", 0},
    {REPAIR_SUM(evidence.taken_total), NULL, "pangea_evidence_heard_total", "result=\"taken\"",
     "Records of liars that others told.", 0},
    {REPAIR_SUM(evidence.known_total), NULL, "pangea_evidence_heard_total", "result=\"known\"",
     NULL, 0},
    {REPAIR_SUM(evidence.refused_total), NULL, "pangea_evidence_heard_total", "result=\"refused\"",
     NULL, 0},
    {REPAIR_SUM(answers.answered_total), NULL, "pangea_audit_answered_total", NULL,
     "Audits of others answered.", 0},
    {REPAIR_SUM(answers.bytes_total), NULL, "pangea_audit_read_bytes_total", NULL,
     "Bytes read to answer audits.", 0},
    {REPAIR_SUM(audits_proven_total), NULL, "pangea_audit_slots_total", "result=\"proven\"",
     "Slots audited from here, by what came of it.", 0},
    {REPAIR_SUM(audits_silent_total), NULL, "pangea_audit_slots_total", "result=\"silent\"", NULL,
     0},
    {REPAIR_SUM(audits_fault_total), NULL, "pangea_audit_slots_total", "result=\"fault\"", NULL, 0},

    {ARCHIVE(extents), NULL, "pangea_archive_extents", NULL, "Extents and blocks archived.", 0},
    {ARCHIVE(bytes), NULL, "pangea_archive_bytes", NULL, "Bytes of their objects.", 0},
    {ARCHIVE(pending), NULL, "pangea_archive_pending_extents", NULL,
     "Extents that wait to be archived.", 0},
    {ARCHIVE(damaged), NULL, "pangea_archive_damaged_extents", NULL,
     "Extents that were found not to be whole in the archive.", 0},
    {ARCHIVE_FLAG(is_failing), NULL, "pangea_archive_failing", NULL,
     "Whether what was tried last with the archive failed.", 0},
    {ARCHIVE_SUM(uploads_total), NULL, "pangea_archive_uploads_total", "result=\"done\"",
     "Extents archived from here, by what came of it.", 0},
    {ARCHIVE_SUM(uploads_failed_total), NULL, "pangea_archive_uploads_total", "result=\"failed\"",
     NULL, 0},
    {ARCHIVE_SUM(reads_total), NULL, "pangea_archive_reads_total", NULL,
     "Shards and blocks read out of the archive.", 0},
    {ARCHIVE_SUM(corrupt_total), NULL, "pangea_archive_corrupt_total", NULL,
     "Objects that were not what they should be.", 0},
    {ARCHIVE_SUM(deleted_total), NULL, "pangea_archive_deleted_total", NULL,
     "Extents deleted since their time was over.", 0},
    {ARCHIVE_SUM(requests.requests_total), NULL, "pangea_archive_requests_total", NULL,
     "Requests to the store of the archive, each try counted.", 0},
    {ARCHIVE_SUM(requests.retries_total), NULL, "pangea_archive_retries_total", NULL,
     "Requests tried again.", 0},
    {ARCHIVE_SUM(requests.failures_total), NULL, "pangea_archive_failures_total", NULL,
     "Requests that failed in the end.", 0},
    {ARCHIVE_SUM(requests.bytes_up_total), NULL, "pangea_archive_sent_bytes_total", NULL,
     "Bytes of objects sent.", 0},
    {ARCHIVE_SUM(requests.bytes_down_total), NULL, "pangea_archive_received_bytes_total", NULL,
     "Bytes of objects received.", 0},

    {API_SUM(server.requests[0]), NULL, "pangea_api_requests_total", "status=\"2xx\"",
     "Requests to the local API answered, by class of status.", 0},
    {API_SUM(server.requests[1]), NULL, "pangea_api_requests_total", "status=\"3xx\"", NULL, 0},
    {API_SUM(server.requests[2]), NULL, "pangea_api_requests_total", "status=\"4xx\"", NULL, 0},
    {API_SUM(server.requests[3]), NULL, "pangea_api_requests_total", "status=\"5xx\"", NULL, 0},
    {API(server.running), NULL, "pangea_api_requests", NULL, "Requests being served.", 0},
    {API_SUM(server.refused), NULL, "pangea_api_refused_total", NULL,
     "Requests refused at the door: no token, another host, another site.", 0},
    {API(listeners), NULL, "pangea_api_event_listeners", NULL, "Listeners to events.", 0},
    {API(transfers), NULL, "pangea_api_transfers", NULL, "Named transfers that run.", 0},
    {API_SUM(traces.exported), NULL, "pangea_trace_spans_exported_total", NULL,
     "Spans that the collector of traces took.", 0},
    {API_SUM(traces.dropped), NULL, "pangea_trace_spans_dropped_total", NULL,
     "Spans that the collector of traces did not get.", 0},
    {PG_FIGURE_PART_API, FIGURE_KIND_FLAG, AT(pg_figures_api, telemetry.is_on), NULL,
     "pangea_telemetry_on", NULL, "1: documents of telemetry are sent, since the owner agreed.", 0},
    {API_SUM(telemetry.taken_total), NULL, "pangea_telemetry_documents_total", "result=\"taken\"",
     "Documents of telemetry, by what their collector did with them.", 0},
    {API_SUM(telemetry.not_taken_total), NULL, "pangea_telemetry_documents_total",
     "result=\"not_taken\"", NULL, 0},

    {PROCESS_SUM(machine.cpu_us), NULL, "process_cpu_seconds_total", NULL,
     "Time of processors that the process took, user and system.", 1000000},
    {PROCESS(machine.memory_bytes), NULL, "process_resident_memory_bytes", NULL,
     "Resident memory of the process.", 0},
    {PROCESS(machine.open_files), NULL, "process_open_fds", NULL,
     "File descriptors of the process.", 0},
    {PROCESS(machine.open_files_max), NULL, "process_max_fds", NULL,
     "File descriptors that the process may have.", 0},
    {PROCESS(started_ms), NULL, "process_start_time_seconds", NULL,
     "When the node was started, seconds since 1970.", 1000},
};

static uint64_t value_read(const figure *row, const void *stats)
{
    const char *at = (const char *) stats + row->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    bool flag = false;
    if (row->size == sizeof(wide)) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    if (row->size == sizeof(narrow)) {
        memcpy(&narrow, at, sizeof(narrow));
        return narrow;
    }
    pg_assert(row->size == sizeof(flag) && row->kind == FIGURE_KIND_FLAG);
    memcpy(&flag, at, sizeof(flag));
    return flag;
}

// ---- Documents

void pg_figures_add(pg_figure_part part, const void *stats, json_object *object)
{
    for (size_t i = 0; i < PG_ARRAY_LEN(table); i++) {
        if (table[i].part != part || table[i].field == NULL) {
            continue;
        }
        uint64_t value = value_read(&table[i], stats);
        if (table[i].kind == FIGURE_KIND_FLAG) {
            pg_field_add_bool(object, table[i].field, value != 0);
        } else {
            pg_field_add_u64(object, table[i].field, value);
        }
    }
}

// ---- Metrics

static pg_err family_write(const char *name, bool is_counter, const char *help, pg_buf *out)
{
    return pg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                         is_counter ? "counter" : "gauge");
}

static pg_err value_write(const figure *row, const void *stats, const char *label, pg_buf *out)
{
    uint64_t value = value_read(row, stats);
    const char *open = label == NULL ? "" : "{";
    const char *close = label == NULL ? "" : "}";
    PG_TRY(pg_buf_printf(out, "%s%s%s%s ", row->metric, open, label == NULL ? "" : label, close));
    if (row->divisor == 0) {
        return pg_buf_printf(out, "%llu\n", (unsigned long long) value);
    }
    return pg_buf_printf(out, "%llu.%06llu\n", (unsigned long long) (value / row->divisor),
                         (unsigned long long) (value % row->divisor * (1000000 / row->divisor)));
}

static pg_err dhts_write(const figure *row, const pg_figures *figures, pg_buf *out)
{
    static const char *const labels[] = {"realm=\"local\"", "realm=\"global\""};
    for (size_t i = 0; i < PG_ARRAY_LEN(labels); i++) {
        if (figures->dhts[i] != NULL) {
            PG_TRY(value_write(row, figures->dhts[i], labels[i], out));
        }
    }
    return PG_OK;
}

static bool is_there(const figure *row, const pg_figures *figures)
{
    return row->part == PG_FIGURE_PART_DHT ? figures->dhts[0] != NULL || figures->dhts[1] != NULL
                                           : figures->parts[row->part] != NULL;
}

static pg_err table_write(const pg_figures *figures, pg_buf *out)
{
    for (size_t i = 0; i < PG_ARRAY_LEN(table); i++) {
        const figure *row = &table[i];
        if (!is_there(row, figures)) {
            continue;
        }
        if (row->help != NULL) {
            PG_TRY(family_write(row->metric, row->kind == FIGURE_KIND_COUNTER, row->help, out));
        }
        PG_TRY(row->part == PG_FIGURE_PART_DHT
                   ? dhts_write(row, figures, out)
                   : value_write(row, figures->parts[row->part], row->label, out));
    }
    return PG_OK;
}

/** Kinds of fibers, of which there are as many families of samples as columns. */
typedef struct fiber_rows {
    pg_buf *out;
    bool of_all; // those that were started, not those that run
    pg_err err;
} fiber_rows;

static void on_fiber_kind(const pg_fiber_stats *stats, void *user)
{
    fiber_rows *rows = user;
    if (rows->err == PG_OK) {
        rows->err = pg_buf_printf(rows->out, "pangea_runtime_fibers%s{kind=\"%s\"} %zu\n",
                                  rows->of_all ? "_started_total" : "", stats->kind,
                                  rows->of_all ? stats->started_total : stats->running);
    }
}

static pg_err fibers_write(pg_buf *out)
{
    fiber_rows rows = {.out = out, .err = PG_OK};
    PG_TRY(family_write("pangea_runtime_fibers", false, "Fibers that run, by kind.", out));
    pg_fiber_stats_each(on_fiber_kind, &rows);
    PG_TRY(rows.err);
    PG_TRY(
        family_write("pangea_runtime_fibers_started_total", true, "Fibers started, by kind.", out));
    rows.of_all = true;
    pg_fiber_stats_each(on_fiber_kind, &rows);
    return rows.err;
}

static pg_err log_write(pg_buf *out)
{
    PG_TRY(family_write("pangea_log_lines_total", true, "Lines logged, by level.", out));
    for (pg_log_level level = PG_LOG_LEVEL_ERROR; level < PG_LOG_LEVEL_COUNT; level++) {
        PG_TRY(pg_buf_printf(out, "pangea_log_lines_total{level=\"%s\"} %llu\n",
                             pg_log_level_name(level), (unsigned long long) pg_log_lines(level)));
    }
    return PG_OK;
}

pg_err pg_figures_write(const pg_figures *figures, pg_buf *out)
{
    PG_TRY(
        family_write("pangea_build_info", false, "The version of the program, as a label.", out));
    PG_TRY(pg_buf_printf(out, "pangea_build_info{version=\"%s\"} 1\n", figures->version));
    PG_TRY(table_write(figures, out));
    PG_TRY(fibers_write(out));
    return log_write(out);
}

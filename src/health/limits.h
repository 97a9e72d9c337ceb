// SPDX-License-Identifier: Apache-2.0
// All limits of the room, each with unit and reason.
//
// Layer: health.  Thread: any.
#pragma once

// What is remembered

/** Peers with a history. A history takes 1.5 KiB, in memory and in the database. */
#define PG_HEALTH_PEERS_MAX 1024U

/** Hours of a history: 30 days, which is four times each hour of the week. */
#define PG_HEALTH_HOURS 720U

/** Pieces of evidence kept of one peer, the newest, and bytes of what proves one: 10 signed answers to an audit fit. */
#define PG_HEALTH_EVIDENCE_MAX 16U
#define PG_HEALTH_EVIDENCE_BYTES_MAX 8192U

/** Pieces of evidence that wait to be written; more at once are dropped, the oldest first. */
#define PG_HEALTH_EVIDENCE_WAITING_MAX 64U

/** Between two writes of what changed, milliseconds: a crash forgets so much of the observations. */
#define PG_HEALTH_SAVE_MS 60000

// Scores (score.h), in points of 0..100

/** Parts of the score. */
#define PG_HEALTH_SHARE_UPTIME 0.4
#define PG_HEALTH_SHARE_LATENCY 0.3
#define PG_HEALTH_SHARE_AVAILABILITY 0.3

/** What a part is of a peer nothing is known of, and how much that weighs: hours of uptime. */
#define PG_HEALTH_UNKNOWN 50.0
#define PG_HEALTH_UNKNOWN_HOURS 6.0

/** An hour of uptime weighs half after so many hours: a week. */
#define PG_HEALTH_HALF_LIFE_HOURS 168.0

/** The round trip that halves the latency part, nanoseconds: 200 ms, across the world and back. */
#define PG_HEALTH_RTT_HALF_NS INT64_C(200000000)

/** How many answers the means of latency and availability go back: two days of pings. */
#define PG_HEALTH_MEMORY 576.0

/** What an audit or a transfer weighs, in pings; and one that proved a loss. */
#define PG_HEALTH_WEIGHT_USE 4U
#define PG_HEALTH_WEIGHT_LOSS 48U

/** Below the first a peer takes no new shards, above the second it does again; below the third its operator is warned. */
#define PG_HEALTH_BAR_SCORE 30.0
#define PG_HEALTH_RETURN_SCORE 40.0
#define PG_HEALTH_WARN_SCORE 40.0

/** Observations before a peer is judged at all: an hour of pings. */
#define PG_HEALTH_JUDGE_AFTER 12U

/** A peer that was barred stays so for six hours at least; one that lost shards for a week, seconds. */
#define PG_HEALTH_BAR_S 21600
#define PG_HEALTH_BAR_LOSS_S 604800

/** Transfers and refusals of one peer closer together than this count as one, seconds: a long transfer is no better than many pings. */
#define PG_HEALTH_USE_EVERY_S 60

/** Proven losses since the last audit that was passed, which bar a peer whatever its score. */
#define PG_HEALTH_LOSSES_MAX 2U

/** Peers forgotten between two writes; with so many the book takes no new ones until it was written. */
#define PG_HEALTH_GONE_MAX 64U

// Pings

/** Peers pinged in a round, the most important first: with one ping each in five minutes at most one a second. */
#define PG_HEALTH_PINGED_MAX 256U

/** For a connection to be made and a ping answered, and before a silent peer is tried again, milliseconds. */
#define PG_HEALTH_PING_MS 15000
#define PG_HEALTH_AGAIN_MS 30000

/** A silent peer is looked up in the DHTs at its first miss and each twelfth one, an hour apart; for so long, milliseconds. */
#define PG_HEALTH_FIND_EVERY 12U
#define PG_HEALTH_FIND_MS 20000

// Forecasts

/** After the start, and between two trainings, milliseconds. */
#define PG_FORECAST_FIRST_MS 60000
#define PG_FORECAST_EVERY_MS (24 * 60 * 60 * 1000)

/** Examples of one training: some hundredths of a second, once a day. */
#define PG_FORECAST_EXAMPLES_MAX 65536U

/** Hours that must be known of a peer before its history is trained on, or a forecast counts more than its score: a day. */
#define PG_FORECAST_KNOWN_MIN 24U

/** Examples before a node's own model counts more than the one that comes with the program. */
#define PG_FORECAST_EXAMPLES_MIN 4096U

// What others say

/** Peers whose observations are put into the DHTs and looked up in a round: a put, an announcement and up to 16 lookups each, every six hours. */
#define PG_HEALTH_GOSSIP_MAX 32U

/** Rounds are so many times rarer than pings: six hours. */
#define PG_HEALTH_GOSSIP_PINGS 72

/** For one call of the DHTs, milliseconds. */
#define PG_HEALTH_GOSSIP_MS 15000

/** Observers of one peer that are heard, and how old what they say may be, seconds: four of their rounds. */
#define PG_HEALTH_OBSERVERS_MAX 16U
#define PG_HEALTH_OPINION_S 86400

/** Observers, of networks of their own, before what they say of this node is a warning. */
#define PG_HEALTH_WARN_OBSERVERS 1U

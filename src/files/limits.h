// SPDX-License-Identifier: Apache-2.0
// Every limit of the file formats and of the pipelines, each with unit and reason. The formats themselves are described in
// docs/protocols/files.md; what is a constant of version 1 there says so here.
//
// Layer: files.  Thread: any.
#pragma once

/** The version this program writes, and the only one it reads. */
#define PG_FILES_VERSION 1

/** A segment, bytes of plaintext: large enough for the compressor and one job, small enough that six fit in memory. */
#define PG_SEGMENT_BYTES_MAX (8U << 20)

/** Plaintext a data shard may stand for; with the tag and the rounding it stays under the 2 MiB a block exchange carries. */
#define PG_SHARD_PLAIN_BYTES_MAX (1U << 20)

/** A shard length is a multiple of this: one cache line, so that vector code needs no tail. Constant of version 1. */
#define PG_SHARD_UNIT_BYTES 64U

/** A shard, bytes: PG_SHARD_PLAIN_BYTES_MAX and its part of the tag, rounded up. */
#define PG_SHARD_BYTES_MAX (PG_SHARD_PLAIN_BYTES_MAX + PG_SHARD_UNIT_BYTES)

/** Shards of a segment, k + m: a set of that many shards fits in 32 bits, and more hosts for one extent help nobody. */
#define PG_CODE_SHARDS_MAX 32U

/** The parity that `--code auto` chooses from, and the loss it aims at: the probability that at a moment of the next day fewer than 8 shards of a
 *  segment can be had. Less than the usual 2 is not taken, since hosts may go for good; 8 parity shards are twice the size. */
#define PG_AUTO_PARITY_MIN 2U
#define PG_AUTO_PARITY_MAX 8U
#define PG_AUTO_LOSS_MAX 0.001

/** An extent, bytes of plaintext: a few provider records for each GiB. */
#define PG_EXTENT_BYTES_MAX (1U << 30)

/** How long an extent of a slow stream may stay open, minutes: until then nothing of it is a promise of its hosts. */
#define PG_EXTENT_MINUTES_MAX 15

/** Segments of an extent: 1 GiB at 1 MiB each, which is what k = 1 needs. */
#define PG_EXTENT_SEGMENTS_MAX 1024U

/** A descriptor block, bytes: under the 2 MiB a block exchange carries; 1,024 segments of 32 digests need 1.1 MiB. */
#define PG_DESCRIPTOR_BYTES_MAX (3U << 19)

/** A root block, bytes: cheap to keep whole on every host of a set. */
#define PG_ROOT_BYTES_MAX (64U << 10)

/** A file up to this many bytes stands in its root: half a root block. */
#define PG_INLINE_BYTES_MAX (32U << 10)

/** A file name in a root, bytes of UTF-8: what file systems take. */
#define PG_NAME_BYTES_MAX 255U

/** The id of one host in an extent's hints, bytes: a PeerId has 38 to 42. */
#define PG_HOST_ID_BYTES_MAX 64U

/** Trees of extent lists: level 0 is the file. One level carries 2 million extents, so this is never reached but by small test limits. */
#define PG_LEVELS_MAX 4U

/** A list of extents, bytes, read into memory whole: about 150,000 extents of 450 bytes, 150 TiB. */
#define PG_EXTENT_LIST_BYTES_MAX (64U << 20)

/** Segments that a pipeline holds in memory at once: about 19 MiB each. */
#define PG_LANES_MAX 6U

/** The block of a shard over which an audit sums, bytes, and so the length of an answer. Constant of version 1. */
#define PG_AUDIT_BLOCK_BYTES 4096U

/** Blocks of the largest shard: how many coefficients a challenge has. */
#define PG_AUDIT_BLOCKS_MAX (PG_SHARD_BYTES_MAX / PG_AUDIT_BLOCK_BYTES + 1U)

/** An encoded audit answer, bytes. */
#define PG_AUDIT_ANSWER_BYTES_MAX (PG_AUDIT_BLOCK_BYTES + 64U)

/** A message of the audit protocol, bytes: an answer, its challenge, an envelope. */
#define PG_AUDIT_MESSAGE_BYTES_MAX 8192U

/** What one auditor, and all together, may have a holder read in a minute, bytes: a full shard and a large descriptor 40 times; at 100 MB/s
 *  of disk all of them take a twentieth of it. */
#define PG_AUDIT_PEER_BYTES_MAX (UINT64_C(96) << 20)
#define PG_AUDIT_TOTAL_BYTES_MAX (UINT64_C(384) << 20)

/** Of that, what is kept for auditors who proved a shard to this node, or have a lease here, and what each of them may take of it: strangers who flood it
 *  with challenges do not have it owe them its answers. */
#define PG_AUDIT_KNOWN_BYTES_MAX (UINT64_C(96) << 20)
#define PG_AUDIT_KNOWN_PEER_BYTES_MAX (UINT64_C(8) << 20)

/** Auditors of one minute that are told apart, and how many of them may be strangers; others are asked to come later. */
#define PG_AUDIT_PEERS_MAX 1024U
#define PG_AUDIT_STRANGERS_MAX 768U

/** Audit streams of one connection, and answers worked on at once, each with a shard and a descriptor in memory. */
#define PG_AUDIT_STREAMS_MAX 4U
#define PG_AUDIT_WORKERS_MAX 4U

/** For a holder to answer, milliseconds: it reads a shard, and may have a queue; and a stream on which nothing is asked. */
#define PG_AUDIT_ASK_MS 15000
#define PG_AUDIT_IDLE_MS 60000

/** How often a holder that says it is busy is asked where something hangs on it, and after what pauses, milliseconds: what it reads is reckoned by the
 *  minute, and these are spread over one, so that who answers for eight seconds of each is found free. */
#define PG_AUDIT_ASKS_MAX 8U
#define PG_AUDIT_AGAIN_MS 7500

/** How far the clock of a holder may be from ours in what it signs, seconds: its answer is else none, since nobody could tell how old the evidence is. */
#define PG_AUDIT_SKEW_S (UINT64_C(3600))

/** Evidence that is older is not taken, seconds: the holder may have mended it long ago. */
#define PG_EVIDENCE_AGE_S (UINT64_C(24) * 3600)

/** Records that one peer and all together may tell in an hour: each may bring a shard, of its own accord and at its own cost. */
#define PG_EVIDENCE_PEER_HOUR_MAX 64U
#define PG_EVIDENCE_HOUR_MAX 1024U

/** Lies of one audit that others are told of, each with its shard in memory meanwhile. */
#define PG_EVIDENCE_LIES_MAX 4U

/** The same of a host whose slots somebody else brings, while that one waits. */
#define PG_CLAIM_ASK_MS 8000

/** For a new host to look into what a repair brings, milliseconds: it asks busy holders again. */
#define PG_GUARD_COMMIT_MS 120000

/** Faults of holders that are kept, with up to 4.5 KiB of evidence each; beyond, those that are over and the oldest go. */
#define PG_GUARD_FAULTS_MAX 1024

/** Audits in a row that a holder may leave unanswered, and for how long at least, seconds, before its slot counts as missed. A host under load, or whom
 *  somebody floods with challenges, is busy for hours: twelve at random times over three days find it free once. And slots that are counted, 200 bytes
 *  each; beyond, those asked longest ago go. */
#define PG_GUARD_OWED_MAX 12
#define PG_GUARD_OWED_S (UINT64_C(72) * 3600)
#define PG_GUARD_OWED_ROWS_MAX 4096

/** Lines of the log of repairs, and the length of one, bytes. */
#define PG_GUARD_NOTES_MAX 1024
#define PG_GUARD_NOTE_BYTES_MAX 256U

/** Hosts of extents kept here that are watched, 200 bytes each. */
#define PG_GUARD_PEERS_MAX 65536U

/** Extents that wait for repair, or were found in order lately; further ones wait for the next round. */
#define PG_GUARD_QUEUE_MAX 65536U

/** Hosts asked at once whether they are there. */
#define PG_GUARD_CHECKS_MAX 8U

/** Connected peers that are pinged at once to see whether it is this node that is cut off, and for how long, milliseconds. */
#define PG_GUARD_PINGS_MAX 8U
#define PG_GUARD_PING_MS 10000

/** Checks in a row that a host must have missed, beside the time, before it counts as lost: a node that was away itself has an old date. */
#define PG_GUARD_MISSES_MIN 3U

/** How long after a host came back that was taken for lost the silent ones of its extents are waited for: rounds, and at least seconds, in which a node tries
 *  to reach again whom it could not. */
#define PG_GUARD_BACK_ROUNDS 3U
#define PG_GUARD_BACK_S_MIN 60U

/** A round is a 24th of patience, and a leader that does nothing is followed by the next after as long; between these, seconds. */
#define PG_GUARD_ROUND_PART 24U
#define PG_GUARD_ROUND_S_MIN 1U
#define PG_GUARD_ROUND_S_MAX 3600U

/** Segments of a repair in work at once, each with the memory of all its shards: one is fetched, one computed, one pushed. */
#define PG_GUARD_LANES 3U

/** Leases that a host that leaves hands over at once. */
#define PG_GUARD_LEAVES 4U

/** What a leader's turn is reckoned by: seconds at least, slots moved to rebuild one, bytes a second where no cap is lower. */
#define PG_GUARD_TURN_S_MIN 10U
#define PG_GUARD_TURN_SLOTS 10U
#define PG_GUARD_TURN_SPEED (UINT64_C(8) << 20)

/** Copies of a block that is kept whole that its hosts see to: those of the default code. */
#define PG_GUARD_COPIES 4U

/** Nothing is repaired whose lease ends within so many seconds: the owner renews it before, or nobody wants it. */
#define PG_GUARD_EXPIRY_S (UINT64_C(3600))

/** Proofs are forgotten after so long, seconds: leases last 60 days. */
#define PG_GUARD_PROOF_S (UINT64_C(90) * 24 * 3600)

/** Hosts that are asked how full they are in one round of rebalancing, slots that move in one, and how long one is at least, seconds. */
#define PG_REBALANCE_ASKS_MAX 32U
#define PG_REBALANCE_MOVES_MAX 64U
#define PG_REBALANCE_EPOCH_S_MIN (UINT64_C(60))

/** Blocks waiting to be written to the cache, bytes; beyond it what passes through is not cached. */
#define PG_CACHE_QUEUE_BYTES_MAX (16U << 20)

/** Fibers that write to the cache: one sync serves them together. */
#define PG_CACHE_WRITERS 3U

/** How often the table of the cache is written, minutes: what it misses after a crash goes as a stray. */
#define PG_CACHE_SAVE_MINUTES 10

/** Puts and gets that run at once: each holds up to 115 MiB of segments. Further ones wait. */
#define PG_TRANSFERS_MAX 3U

/** How long they wait: whoever reads slowly, or not at all, keeps a place. */
#define PG_TRANSFER_WAIT_MINUTES 15

/** Hosts looked at for one extent: far more than it has slots. */
#define PG_FILES_CANDIDATES_MAX 256U

/** Time for a host to take an upload session, and to commit, milliseconds. */
#define PG_UPLOAD_OPEN_MS 10000
#define PG_UPLOAD_COMMIT_MS 30000

/** Shards on their way to one host at once: one is written while the host makes the one before durable. */
#define PG_UPLOAD_PUSHES_MAX 2U

/** Time for a host to take one shard, milliseconds, two of 1 MiB at once: then it counts as lost, and its slots go to others. Ten hosts
 *  share a line of 1.4 Mbit/s. One that is gone is found sooner, by the muxer. */
#define PG_UPLOAD_PUSH_MS 120000

/** When the hosts of a put that a crash broke off for good are told, seconds after the start; those that did not answer, after twice as long again and
 *  again, up to the most: a host may be away for a day. */
#define PG_ABANDON_WAIT_S 2
#define PG_ABANDON_WAIT_S_MAX 3600

/** How long a put that was broken off can be gone on with, seconds: as long as hosts keep what was pushed and not committed. */
#define PG_PUT_RESUME_S (INT64_C(2) * 24 * 3600)

/** A put that is made again while its source is what it was is answered with the file it made for so long, seconds: its answer may have been
 *  lost. One with a time to live, for that part of it at most: who puts again wants it to last. */
#define PG_PUT_REPEAT_S (INT64_C(2) * 24 * 3600)
#define PG_PUT_REPEAT_TTL_PART 16

/** Time for a put that was broken off to end, before the same can begin, milliseconds. */
#define PG_PUT_END_MS 10000

/** Time for hosts to hear that a put was given up, milliseconds; who does not hear of it keeps what it got for two days. */
#define PG_UPLOAD_ABANDON_MS 3000

/** Rounds of giving the slots of lost hosts to others, before a put fails. */
#define PG_UPLOAD_ROUNDS_MAX 4U

/** Time for a peer to answer what it holds, and for a root or descriptor to come, milliseconds. */
#define PG_FETCH_ASK_MS 3000
#define PG_FETCH_BLOCK_MS 15000

/** Once enough hosts of an extent have answered, the others get so much more, milliseconds: one that is away is not to cost every file
 *  PG_FETCH_ASK_MS. */
#define PG_FETCH_GRACE_MS 300

/** Shards on their way from one host at once: one is read there while another is sent. */
#define PG_FETCH_HOST_MAX 2U

/** Time for one shard, milliseconds, two of 1 MiB at once: ten hosts share a line of 1.4 Mbit/s. A host that is gone is found sooner, by
 *  the muxer. */
#define PG_FETCH_SHARD_MS 120000

/** A spare shard is asked for when none came for so long, milliseconds, or for twice the time that shards took lately, which is the more
 *  on a slow line: there a spare one only takes its part of it. */
#define PG_FETCH_HEDGE_MS 1000
#define PG_FETCH_HEDGE_MS_MAX 30000

/** Between two looks at files that are not on enough hosts, seconds; also when a host appears. */
#define PG_SPREAD_SECONDS 60

/** Hosts that failed which the report of a get names: a code makes up for fewer, and a file of many extents has some of each. */
#define PG_GET_FAULTY_MAX 16U

/** Providers of one block that are looked at. */
#define PG_PROVIDERS_MAX 16U

/** Time for the DHTs to find providers or a peer, milliseconds. */
#define PG_DISCOVER_MS 10000

/** Between two looks at what there is to announce, seconds. */
#define PG_ANNOUNCE_SECONDS 10

/** Grants that wait to be put into the DHTs; beyond, the oldest are left to their hosts. */
#define PG_GRANTS_WAITING_MAX 4096

/** How often in a row a drop is signed anew, above what hosts say they know; then not before the next look at what is to be dropped. */
#define PG_DROP_ROUNDS_MAX 3U

/** Between two checks of what hosts hold, minutes, and how long after the start the first is. */
#define PG_TEND_MINUTES 60
#define PG_TEND_FIRST_MINUTES 3

/** A host that did not answer so many checks in a row has lost what it held: a day in which the owner was up. */
#define PG_TEND_MISSED_MAX 24U

/** Hosts that receipts name and the catalogue does not have which are asked in one check of an extent. */
#define PG_ADOPT_ASKS_MAX 16U

/** Leases of a put, seconds, unless it asks for others: as long as hosts take. */
#define PG_FILES_TTL_S_DEFAULT (UINT64_C(60) * 24 * 3600)

// ---- The catalogue among the hosts

/** A snapshot of the catalogue, bytes: 25 million files of one extent on ten hosts. It is written and read in parts, so this is what hosts are
 *  asked to keep of one person's list, and what a restored node reads twice; not memory. */
#define PG_SNAPSHOT_BYTES_MAX (UINT64_C(16) << 30)

/** The record of one file in it, bytes, which is held in memory: a file of 100 TiB on ten hosts. */
#define PG_SNAPSHOT_RECORD_BYTES_MAX (64U << 20)

/** What is read from the database, and written to it, in one transaction, bytes of a snapshot: 400 files; others wait 20 ms meanwhile. */
#define PG_SNAPSHOT_STEP_BYTES (256U << 10)

/** Versions are written no faster than so many bytes a second on the average: a long list is not sent again each minute of a day on which
 *  something changes. */
#define PG_FEED_BYTES_PER_S (256U << 10)

/** A change is published when none came for so long, seconds, and at the latest so long after the first. The first of all is published
 *  after PG_FEED_RETRY_SECONDS. */
#define PG_FEED_QUIET_SECONDS 60
#define PG_FEED_LATEST_SECONDS 300

/** Between two looks whether another device published, minutes. */
#define PG_FEED_LOOK_MINUTES 60

/** What failed is tried again after so long, seconds, twice as long each time, up to so many minutes; when a peer appears, after the first. */
#define PG_FEED_RETRY_SECONDS 5
#define PG_FEED_RETRY_MINUTES_MAX 10

/** A version of another device is read again after so long, hours, to see that it can be; one that could not for so long is replaced. */
#define PG_FEED_VERIFY_HOURS 22
#define PG_FEED_UNREAD_HOURS 72

/** Pins that a restored node found and could not get are tried again after so long, minutes, twice as long each time, up to so many. */
#define PG_PIN_AGAIN_MINUTES 1
#define PG_PIN_AGAIN_MINUTES_MAX 60

/** That a file was removed, or let go of, is remembered for so long, seconds: half a year, three times as long as a device's leases last without it. */
#define PG_REMOVED_TTL_S (UINT64_C(180) * 24 * 3600)

// ---- Folders as archives

/** Entries of an archive: more than a disk of photographs has. Each costs whoever unpacks it an inode. */
#define PG_ARCHIVE_ENTRIES_MAX 10000000U

/** Folders inside each other: each level holds a descriptor open, of the 1,024 a process usually has. */
#define PG_ARCHIVE_DEPTH_MAX 256U

/** A path inside an archive, and what a symbolic link may say, bytes: what Linux takes. */
#define PG_ARCHIVE_PATH_BYTES_MAX 4095U

/** Files with several names whose first name is remembered while a folder is packed: about 150 MB. Those beyond are packed once for
 *  each name. */
#define PG_ARCHIVE_LINKED_MAX 1000000U

/** Ranges of data of a sparse file that are told apart; what lies behind the last is packed as it is. */
#define PG_ARCHIVE_RANGES_MAX 1024U

/** What is read from a file, or from a stream, in one step, bytes. */
#define PG_ARCHIVE_STEP_BYTES (128U << 10)

/** Hosts of what was put here that are kept in mind. */
#define PG_RELIANCE_HOSTS_MAX 4096

// ---- The archive

/** A round is a 24th of the time after which an extent is cold; between these, seconds. */
#define PG_VAULT_ROUND_PART 24U
#define PG_VAULT_ROUND_S_MIN 10U
#define PG_VAULT_ROUND_S_MAX 3600U

/** An extent that was found in order is not looked at again for so long, seconds; hosts that fall silent are seen before. */
#define PG_VAULT_LOOK_S (UINT64_C(24) * 3600)

/** Blocks that were read since the last round are remembered, 100 bytes each; beyond it everything counts as read. */
#define PG_VAULT_READS_MAX 65536U

/** Extents open for peers, 40 KiB each for 1 GiB: those who read take one after the other. */
#define PG_VAULT_OPEN_MAX 64U

/** What is archived is deleted when its lease has been over for so long, seconds: as long as hosts keep it. */
#define PG_VAULT_GRACE_S (UINT64_C(7) * 24 * 3600)

/** The newest grant of an archived extent that is not kept here any more is looked for after so long, seconds; each extent is read back in part. */
#define PG_VAULT_GRANT_S (UINT64_C(22) * 3600)
#define PG_VAULT_GRANT_FIRST_S 10 // and twice as long each time, up to that
#define PG_VAULT_CHECK_S (UINT64_C(7) * 24 * 3600)

/** Shards of an extent that are read back at each check: with a tenth of them gone, two checks of three notice at once. */
#define PG_VAULT_PROBES 8U

/** Extents in the archive of one node: a row takes 400 bytes of memory. */
#define PG_VAULT_ROWS_MAX 1000000U

/** Shards fetched at once from one node that archived an extent. */
#define PG_VAULT_FETCHES 4U

/** Time for a block or shard to come out of the archive of another node, which may wait for its own bandwidth, milliseconds. */
#define PG_FETCH_ARCHIVED_MS 120000

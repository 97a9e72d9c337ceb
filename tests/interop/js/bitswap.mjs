// SPDX-License-Identifier: Apache-2.0
// Helia's Bitswap over a libp2p node, without the rest of Helia: its mixin is given an object with the parts it uses. Of
// @helia/libp2p it uses types only, so package.json puts a small package we have anyway in the place of that one's 370.
import { blake3 } from '@noble/hashes/blake3.js'
import { CID } from 'multiformats/cid'
import { from } from 'multiformats/hashes/hasher'
import { sha256 } from 'multiformats/hashes/sha2'
import { withBitswap } from '@helia/bitswap'

const RAW = 0x55
const DAG_PB = 0x70
const blake3Hasher = from({ name: 'blake3', code: 0x1e, encode: (bytes) => blake3(bytes) })

// Blocks by their multihash, as Helia's stores have them.
class Blocks {
  map = new Map()
  key (cid) { return Buffer.from(cid.multihash.bytes).toString('hex') }
  async has (cid) { return this.map.has(this.key(cid)) }
  async put (cid, bytes) { this.map.set(this.key(cid), bytes) }
  async * get (cid) {
    const bytes = this.map.get(this.key(cid))
    if (bytes == null) throw Object.assign(new Error('Not Found'), { name: 'NotFoundError' })
    yield bytes
  }
}

// Block n of known content, as blocks.c has it, and its CID.
export async function makeBlock (hash, number, size) {
  const bytes = new Uint8Array(size)
  let x = number >>> 0
  for (let i = 0; i < size; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
  const digest = await (hash === 'blake3' ? blake3Hasher : sha256).digest(bytes)
  return { bytes, cid: hash === 'v0' ? CID.create(0, DAG_PB, digest) : CID.create(1, RAW, digest) }
}

export async function startBitswap (libp2p) {
  const blockstore = new Blocks()
  let mixin
  let broker
  // Whoever we are connected with may have anything.
  async function * connectedPeers () {
    for (const { remotePeer, remoteAddr } of libp2p.getConnections()) {
      yield { id: remotePeer.toCID(), multiaddrs: [remoteAddr], router: 'connected' }
    }
  }
  const helia = {
    status: 'starting',
    libp2p,
    blockstore,
    logger: libp2p.logger,
    routing: { findProviders: connectedPeers },
    getHasher: async (code) => (code === blake3Hasher.code ? blake3Hasher : sha256),
    hasBlockBroker: () => false,
    addMixin (it) { mixin = it },
    addBlockBroker (it) { broker = it }
  }
  withBitswap(helia)
  await mixin.start(helia)

  const signal = () => AbortSignal.timeout(60000)
  const each = async (first, count, fn) => {
    await Promise.all(Array.from({ length: count }, (_, i) => fn(first + i)))
  }
  const compare = (number, wanted, got) => {
    if (Buffer.compare(wanted, got) !== 0) throw new Error(`block ${number} differs`)
  }
  return {
    async blockPut ({ hash, first, count, bytes }) {
      await each(first, count, async (number) => {
        const block = await makeBlock(hash, number, bytes)
        await blockstore.put(block.cid, block.bytes)
        await broker.announce(block.cid)
      })
      return {}
    },
    // From whoever has it: the wants go to all connected peers, and stay until the blocks come.
    async blockGet ({ hash, first, count, bytes }) {
      await each(first, count, async (number) => {
        const block = await makeBlock(hash, number, bytes)
        compare(number, block.bytes, await broker.retrieve(block.cid, { signal: signal() }))
      })
      return {}
    },
    // From the one peer of a session. When it says that it does not have the block, others are looked for, in vain.
    async blockSession ({ hash, first, bytes }) {
      const block = await makeBlock(hash, first, bytes)
      const session = broker.createSession({ minProviders: 1, maxProviders: 1 })
      compare(first, block.bytes, await session.retrieve(block.cid, { signal: signal() }))
      return {}
    }
  }
}

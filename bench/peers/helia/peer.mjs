// SPDX-License-Identifier: Apache-2.0
// Helia with its blocks in memory, over a js-libp2p of TCP, Noise and yamux alone, told what to do line by line: JSON commands on
// standard input, one JSON answer a line on standard output, the first of them {"peerId", "addrs"}. What `helia` would bring beside
// that (gateways by HTTP, WebRTC, a DHT: 370 packages) takes no part between two nodes that are connected, so package.json puts a
// small package we have anyway in its place, and the class is imported by its path.
import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import '../../../tests/interop/js/polyfill.mjs'

const { withBitswap } = await import('@helia/bitswap')
const { unixfs } = await import('@helia/unixfs')
const { identify } = await import('@libp2p/identify')
const { noise } = await import('@libp2p/noise')
const { tcp } = await import('@libp2p/tcp')
const { yamux } = await import('@libp2p/yamux')
const { multiaddr } = await import('@multiformats/multiaddr')
const { createLibp2p } = await import('libp2p')
const { CID } = await import('multiformats/cid')
const { Helia } = await import('./node_modules/helia/dist/src/helia.js')

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify() },
  connectionMonitor: { enabled: false }
})

// Whoever we are connected with may have anything.
const connected = {
  name: 'connected',
  async * findProviders () {
    for (const { remotePeer, remoteAddr } of libp2p.getConnections()) {
      yield { id: remotePeer.toCID(), multiaddrs: [remoteAddr], router: 'connected' }
    }
  }
}

const helia = new Helia({ name: 'helia', version: '0', routers: [connected] })
helia.libp2p = libp2p
await withBitswap(helia).start()
const fs = unixfs(helia)

const commands = {
  async dial ({ addr }) {
    await libp2p.dial(multiaddr(addr))
    return {}
  },
  // The first bytes of a file.
  async add ({ path, bytes }) {
    return { cid: (await fs.addByteStream(createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20 }))).toString() }
  },
  async get ({ cid, path }) {
    await pipeline(fs.cat(CID.parse(cid)), createWriteStream(path))
    return {}
  },
  // All that is here.
  async drop () {
    await helia.gc()
    return {}
  }
}

console.log(JSON.stringify({ peerId: libp2p.peerId.toString(), addrs: libp2p.getMultiaddrs().map(String) }))
for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const { cmd, ...args } = JSON.parse(line)
    answer = { ok: true, ...(await commands[cmd](args)) }
  } catch (err) {
    answer = { ok: false, error: `${err.name}: ${err.message}` }
  }
  console.log(JSON.stringify(answer))
}
process.exit(0)

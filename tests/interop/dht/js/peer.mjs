// SPDX-License-Identifier: Apache-2.0
// A js-libp2p node with its Kademlia on our ids, told what to do line by line: JSON commands on standard input, one JSON
// answer a line on standard output, the first of them {"peerId", "addrs"}. Option --lan chooses the id of the local DHT.
import { createInterface } from 'node:readline'
import './polyfill.mjs'

const { createLibp2p } = await import('libp2p')
const { identify, identifyPush } = await import('@libp2p/identify')
const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht')
const { noise } = await import('@libp2p/noise')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { ping } = await import('@libp2p/ping')
const { tcp } = await import('@libp2p/tcp')
const { yamux } = await import('@libp2p/yamux')
const { multiaddr } = await import('@multiformats/multiaddr')
const { CID } = await import('multiformats/cid')

const bytes = (text) => new TextEncoder().encode(text)
const text = (data) => new TextDecoder().decode(data)
const soon = () => ({ signal: AbortSignal.timeout(30000) })

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    identifyPush: identifyPush(),
    ping: ping(),
    dht: kadDHT({
      protocol: process.argv.includes('--lan') ? '/pangea/lan/kad/1.0.0' : '/pangea/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
      initialQuerySelfInterval: 100,
      validators: { test: async () => {} },
      // of two values the one that sorts later
      selectors: { test: (key, values) => values.reduce((best, value, i) => text(value) > text(values[best]) ? i : best, 0) }
    })
  },
  connectionManager: { inboundConnectionThreshold: 1000 },
  connectionMonitor: { enabled: false }
})
const dht = node.services.dht

const commands = {
  async dial ({ addr }) {
    await node.dial(multiaddr(addr), soon())
    return {}
  },
  async table () {
    const peers = []
    for await (const peer of dht.routingTable.kb.toIterable?.() ?? []) peers.push(peer.peerId.toString())
    return { size: dht.routingTable.size, peers }
  },
  async find_peer ({ peer }) {
    for await (const event of dht.findPeer(peerIdFromString(peer), soon())) {
      if (event.name === 'FINAL_PEER') return { addrs: event.peer.multiaddrs.map(String) }
    }
    throw new Error('not found')
  },
  async put ({ key, value }) {
    const took = []
    const errors = []
    for await (const event of dht.put(bytes(key), bytes(value), soon())) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') took.push(event.from.toString())
      if (event.name === 'QUERY_ERROR') errors.push(String(event.error))
    }
    return { took, errors }
  },
  async get ({ key }) {
    let value
    for await (const event of dht.get(bytes(key), soon())) {
      if (event.name === 'VALUE') value = text(event.value)
    }
    if (value == null) throw new Error('not found')
    return { value }
  },
  async provide ({ cid }) {
    const told = []
    for await (const event of dht.provide(CID.parse(cid), soon())) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') told.push(event.from.toString())
    }
    return { told }
  },
  async providers ({ cid }) {
    const providers = {}
    for await (const event of dht.findProviders(CID.parse(cid), soon())) {
      if (event.name !== 'PROVIDER') continue
      for (const provider of event.providers) providers[provider.id.toString()] = provider.multiaddrs.map(String)
    }
    return { providers }
  },
  async refresh () {
    await dht.refreshRoutingTable()
    return {}
  },
  async stop () {
    await node.stop()
    setImmediate(() => process.exit(0))
    return {}
  }
}

console.log(JSON.stringify({ peerId: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) }))
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

// SPDX-License-Identifier: Apache-2.0
// A js-libp2p node that is told what to do line by line: JSON commands on standard input, one JSON answer a line on
// standard output, the first of them {"peerId", "addrs"}. Option --hybrid adds the post-quantum handshake, --bitswap Helia's
// Bitswap with the commands of bitswap.mjs; with --quic the node speaks QUIC in place of TCP.
import { createHash, randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import './polyfill.mjs'

const { quic } = await import('@chainsafe/libp2p-quic')
const { createLibp2p } = await import('libp2p')
const { identify, identifyPush } = await import('@libp2p/identify')
const { noise } = await import('@libp2p/noise')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { ping } = await import('@libp2p/ping')
const { tcp } = await import('@libp2p/tcp')
const { yamux } = await import('@libp2p/yamux')
const { multiaddr } = await import('@multiformats/multiaddr')
const { hybridNoise } = await import('./hybrid.mjs')

const ECHO = '/echo/1.0.0'
const PERF = '/perf/1.0.0'
const CHUNK = 65536
const manyStreams = { maxInboundStreams: 2000, maxOutboundStreams: 2000 }
const payloadsSeen = []
const byQuic = process.argv.includes('--quic')

const node = await createLibp2p({
  addresses: { listen: [byQuic ? '/ip4/127.0.0.1/udp/0/quic-v1' : '/ip4/127.0.0.1/tcp/0'] },
  transports: [byQuic ? quic({ maxConcurrentStreamLimit: 2000 }) : tcp()],
  connectionEncrypters: [...(process.argv.includes('--hybrid') ? [hybridNoise(payloadsSeen)] : []), noise()],
  streamMuxers: [yamux({ maxInboundStreams: 2000, maxOutboundStreams: 2000 })],
  services: { identify: identify(), identifyPush: identifyPush(), ping: ping() },
  connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
  connectionMonitor: { enabled: false }
})

const bitswap = process.argv.includes('--bitswap') ? await (await import('./bitswap.mjs')).startBitswap(node) : {}

async function drain (stream) {
  await new Promise((resolve, reject) => {
    stream.addEventListener('drain', resolve, { once: true })
    stream.addEventListener('close', (event) => reject(event.error ?? new Error('closed')), { once: true })
  })
}

async function sendZeros (stream, count) {
  const zeros = new Uint8Array(CHUNK)
  for (let left = count; left > 0; left -= CHUNK) {
    if (!stream.send(left < CHUNK ? zeros.subarray(0, left) : zeros)) await drain(stream)
  }
}

// The server of /perf/1.0.0: eight bytes say how much to send back once the other side has finished.
await node.handle(PERF, async (stream) => {
  try {
    let head = new Uint8Array(0)
    for await (const data of stream) {
      if (head.length < 8) head = Buffer.concat([head, data.subarray()]).subarray(0, 8)
    }
    await sendZeros(stream, Number(Buffer.from(head).readBigUInt64BE()))
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}, manyStreams)

async function echo (stream) {
  try {
    for await (const data of stream) {
      if (!stream.send(data)) await drain(stream)
    }
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}

await node.handle(ECHO, echo, manyStreams)

const openStream = async (peer, protocol) => {
  const connection = node.getConnections(peerIdFromString(peer))[0]
  if (connection == null) throw new Error('not connected')
  return connection.newStream(protocol, { signal: AbortSignal.timeout(20000) })
}

async function echoOnce (peer, size, pieces) {
  const stream = await openStream(peer, ECHO)
  const sent = createHash('sha256')
  const received = createHash('sha256')
  let back = 0
  const reading = (async () => {
    for await (const data of stream) {
      received.update(data.subarray())
      back += data.byteLength
    }
  })()
  for (let left = size; left > 0;) {
    const piece = randomBytes(Math.min(left, pieces))
    sent.update(piece)
    left -= piece.length
    if (!stream.send(piece)) await drain(stream)
  }
  await stream.close({ signal: AbortSignal.timeout(60000) }) // our half only: the echo goes on
  await reading
  if (back !== size || sent.digest('hex') !== received.digest('hex')) throw new Error(`echo: ${back} of ${size} bytes`)
}

const commands = {
  ...bitswap,
  async dial ({ addr }) {
    const connection = await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(20000) })
    return {
      peer: connection.remotePeer.toString(),
      security: connection.encryption,
      muxer: connection.multiplexer
    }
  },
  async connections () {
    return {
      connections: node.getConnections().map((connection) => ({
        peer: connection.remotePeer.toString(),
        security: connection.encryption,
        muxer: connection.multiplexer,
        direction: connection.direction
      }))
    }
  },
  // What identify told us, once it has.
  async identified ({ peer }) {
    for (;;) {
      const known = await node.peerStore.get(peerIdFromString(peer)).catch(() => null)
      if (known != null && known.protocols.length > 0 && known.metadata.has('AgentVersion')) {
        return {
          protocols: known.protocols,
          agent: new TextDecoder().decode(known.metadata.get('AgentVersion')),
          addrs: known.addresses.map(({ multiaddr, isCertified }) => ({ addr: multiaddr.toString(), isCertified })),
          signedRecord: known.peerRecordEnvelope != null
        }
      }
      await new Promise((resolve) => node.addEventListener('peer:identify', resolve, { once: true }))
    }
  },
  // Register one more protocol: identify push must tell the others.
  async register ({ protocol }) {
    await node.handle(protocol, echo)
    return {}
  },
  async ping ({ addr }) {
    return { ms: await node.services.ping.ping(multiaddr(addr), { signal: AbortSignal.timeout(20000) }) }
  },
  async echo ({ peer, streams = 1, bytes = 1, pieces = CHUNK }) {
    await Promise.all(Array.from({ length: streams }, () => echoOnce(peer, bytes, pieces)))
    return { streams, bytes }
  },
  // Open, write, abort: the connection must live on.
  async reset ({ peer, streams = 1 }) {
    for (let i = 0; i < streams; i++) {
      const stream = await openStream(peer, ECHO)
      stream.send(randomBytes(1000))
      stream.abort(new Error('reset by the test'))
    }
    await echoOnce(peer, 1000, CHUNK)
    return {}
  },
  async unsupported ({ peer }) {
    try {
      await openStream(peer, '/no/such/protocol/1.0.0')
    } catch (err) {
      return { refused: err.name }
    }
    throw new Error('a protocol that does not exist was accepted')
  },
  async perf ({ peer, up = 0, down = 0 }) {
    const stream = await openStream(peer, PERF)
    const head = new Uint8Array(8)
    new DataView(head.buffer).setBigUint64(0, BigInt(down))
    const start = performance.now()
    let received = 0
    const reading = (async () => {
      for await (const data of stream) received += data.byteLength
    })()
    stream.send(head)
    await sendZeros(stream, up)
    await stream.close({ signal: AbortSignal.timeout(120000) })
    await reading
    if (received !== down) throw new Error(`perf: ${received} of ${down} bytes came back`)
    return { up, down, seconds: (performance.now() - start) / 1000 }
  },
  async payloads () {
    return { payloads: payloadsSeen }
  },
  async hangup ({ peer }) {
    await node.hangUp(peerIdFromString(peer))
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

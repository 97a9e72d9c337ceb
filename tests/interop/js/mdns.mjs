// SPDX-License-Identifier: Apache-2.0
// A js-libp2p node with mDNS that listens on the address given to it and tells by JSON lines what happens: first {"peerId", "addrs"}, then
// {"found", "addrs"} for each answer of a peer, every second, and {"connected", "direction"} for each connection. It dials nobody by
// itself; on end of its standard input it ends.
import './polyfill.mjs'

const { createLibp2p } = await import('libp2p')
const { identify } = await import('@libp2p/identify')
const { mdns } = await import('@libp2p/mdns')
const { noise } = await import('@libp2p/noise')
const { ping } = await import('@libp2p/ping')
const { tcp } = await import('@libp2p/tcp')
const { yamux } = await import('@libp2p/yamux')

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n')
// What mDNS says, and not libp2p's peer:discovery: that comes once for a peer, without an address where the peer's connection came first.
const telling = (components) => {
  const service = mdns({ interval: 1000 })(components)
  service.addEventListener('peer', ({ detail }) => {
    tell({ found: detail.id.toString(), addrs: detail.multiaddrs.map(String) })
  })
  return service
}
const node = await createLibp2p({
  addresses: { listen: [process.argv[2]] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  peerDiscovery: [telling],
  services: { identify: identify(), ping: ping() }
})
tell({ peerId: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
node.addEventListener('connection:open', ({ detail }) => {
  tell({ connected: detail.remotePeer.toString(), direction: detail.direction })
})
process.stdin.on('end', () => process.exit(0)).resume()

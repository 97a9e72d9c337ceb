// SPDX-License-Identifier: Apache-2.0
// An independent hybrid Noise for js-libp2p: Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256, on the primitives of the
// noble packages. It shares no code with the C engine; the tests hold the two against each other, and both against
// the known answers of the draft (selftest.mjs).
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { lpStream } from '@libp2p/utils'
import { Uint8ArrayList } from 'uint8arraylist'
import { toMessageStream } from './node_modules/@libp2p/noise/dist/src/utils.js'

export const HYBRID_ID = '/noise-mlkem768-hfs/0.2.0'
export const HYBRID_NAME = 'Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256'
const OFFERS_FIELD = 1024
const DH = 32
const EK = 1184
const CT = 1088
const TAG = 16

const utf8 = (text) => new TextEncoder().encode(text)
const flat = (bytes) => (bytes instanceof Uint8Array ? bytes : bytes.subarray())
const join = (...parts) => new Uint8ArrayList(...parts).subarray()

// One direction of a cipher: ChaCha20-Poly1305, four zero bytes and a little-endian counter as nonce.
export class Cipher {
  constructor (key) {
    this.key = key
    this.counter = 0n
  }

  nonce () {
    const nonce = new Uint8Array(12)
    new DataView(nonce.buffer).setBigUint64(4, this.counter++, true)
    return nonce
  }

  seal (ad, plain) {
    return chacha20poly1305(this.key, this.nonce(), ad).encrypt(flat(plain))
  }

  open (ad, sealed) {
    return chacha20poly1305(this.key, this.nonce(), ad).decrypt(flat(sealed))
  }
}

// The symmetric state of the Noise specification, section 5.2.
class Symmetric {
  constructor (name) {
    const bytes = utf8(name)
    this.h = bytes.length <= 32 ? join(bytes, new Uint8Array(32 - bytes.length)) : sha256(bytes)
    this.ck = this.h
    this.cipher = null
    this.mixHash(new Uint8Array(0)) // the empty prologue
  }

  mixHash (data) {
    this.h = sha256(join(this.h, flat(data)))
  }

  derive (ikm) {
    const okm = expand(sha256, extract(sha256, ikm, this.ck), new Uint8Array(0), 64)
    return [okm.slice(0, 32), okm.slice(32)]
  }

  mixKey (ikm) {
    const [ck, key] = this.derive(ikm)
    this.ck = ck
    this.cipher = new Cipher(key)
  }

  sealAndHash (plain) {
    const sealed = this.cipher == null ? flat(plain) : this.cipher.seal(this.h, plain)
    this.mixHash(sealed)
    return sealed
  }

  openAndHash (sealed) {
    const plain = this.cipher == null ? flat(sealed) : this.cipher.open(this.h, sealed)
    this.mixHash(sealed)
    return plain
  }

  split () {
    const [first, second] = this.derive(new Uint8Array(0))
    return [new Cipher(first), new Cipher(second)]
  }
}

const keyPair = (secret) => ({ secret, public: x25519.getPublicKey(secret) })

// Both roles of XXhfs. `fixed` holds private values for the known-answer test.
export class Handshake {
  constructor ({ name = HYBRID_NAME, s, e, kemSeed, kemRandom } = {}) {
    this.sym = new Symmetric(name)
    this.s = keyPair(s ?? x25519.utils.randomSecretKey())
    this.e = keyPair(e ?? x25519.utils.randomSecretKey())
    this.kemSeed = kemSeed
    this.kemRandom = kemRandom
  }

  // -> e, e1
  writeA () {
    this.kem = ml_kem768.keygen(this.kemSeed)
    this.sym.mixHash(this.e.public)
    const ek = this.sym.sealAndHash(this.kem.publicKey)
    return join(this.e.public, ek, this.sym.sealAndHash(new Uint8Array(0)))
  }

  readA (message) {
    const bytes = flat(message)
    if (bytes.length < DH + EK) throw new Error(`message A has ${bytes.length} bytes`)
    this.re = bytes.slice(0, DH)
    this.sym.mixHash(this.re)
    this.rek = this.sym.openAndHash(bytes.slice(DH, DH + EK))
    this.sym.openAndHash(bytes.slice(DH + EK))
  }

  // <- e, ee, ekem1, s, es
  writeB (payload) {
    this.sym.mixHash(this.e.public)
    this.sym.mixKey(x25519.getSharedSecret(this.e.secret, this.re))
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(this.rek, this.kemRandom)
    const ct = this.sym.sealAndHash(cipherText)
    this.sym.mixKey(sharedSecret)
    const s = this.sym.sealAndHash(this.s.public)
    this.sym.mixKey(x25519.getSharedSecret(this.s.secret, this.re))
    return join(this.e.public, ct, s, this.sym.sealAndHash(payload))
  }

  readB (message) {
    const bytes = flat(message)
    if (bytes.length < DH + CT + TAG + DH + TAG + TAG) throw new Error(`message B has ${bytes.length} bytes`)
    let at = 0
    const take = (len) => bytes.slice(at, (at += len))
    this.re = take(DH)
    this.sym.mixHash(this.re)
    this.sym.mixKey(x25519.getSharedSecret(this.e.secret, this.re))
    const ct = this.sym.openAndHash(take(CT + TAG))
    this.sym.mixKey(ml_kem768.decapsulate(ct, this.kem.secretKey))
    this.rs = this.sym.openAndHash(take(DH + TAG))
    this.sym.mixKey(x25519.getSharedSecret(this.e.secret, this.rs))
    return this.sym.openAndHash(bytes.slice(at))
  }

  // -> s, se
  writeC (payload) {
    const s = this.sym.sealAndHash(this.s.public)
    this.sym.mixKey(x25519.getSharedSecret(this.s.secret, this.re))
    return join(s, this.sym.sealAndHash(payload))
  }

  readC (message) {
    const bytes = flat(message)
    this.rs = this.sym.openAndHash(bytes.slice(0, DH + TAG))
    this.sym.mixKey(x25519.getSharedSecret(this.e.secret, this.rs))
    return this.sym.openAndHash(bytes.slice(DH + TAG))
  }
}

// The payload: 1 identity key, 2 signature, 4 extensions {2 muxers, 1024 offered security protocols}.
function varint (value) {
  const out = []
  for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) | 128)
  return Uint8Array.from([...out, value])
}

const field = (number, bytes) => join(varint(number * 8 + 2), varint(bytes.length), bytes)

function fields (bytes) {
  const out = new Map()
  let at = 0
  const readVarint = () => {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('payload ends too early')
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = readVarint()
    if (tag % 8 !== 2) throw new Error(`payload field with wire type ${tag % 8}`)
    const len = readVarint()
    const number = Math.floor(tag / 8)
    out.set(number, [...(out.get(number) ?? []), bytes.slice(at, at + len)])
    at += len
  }
  return out
}

async function payloadMake (privateKey, staticKey, muxers, offers) {
  const signature = await privateKey.sign(join(utf8('noise-libp2p-static-key:'), staticKey))
  const extensions = join(
    ...muxers.map((muxer) => field(2, utf8(muxer))),
    ...offers.map((offer) => field(OFFERS_FIELD, utf8(offer)))
  )
  return join(field(1, publicKeyToProtobuf(privateKey.publicKey)), field(2, signature), field(4, extensions))
}

async function payloadCheck (bytes, staticKey, expectedPeer) {
  const payload = fields(bytes)
  const publicKey = publicKeyFromProtobuf(payload.get(1)[0])
  const signed = join(utf8('noise-libp2p-static-key:'), staticKey)
  if (!(await publicKey.verify(signed, payload.get(2)[0]))) throw new Error('wrong identity signature')
  const peer = peerIdFromPublicKey(publicKey)
  if (expectedPeer != null && !expectedPeer.equals(peer)) throw new Error(`expected ${expectedPeer}, met ${peer}`)
  const extensions = fields(payload.get(4)?.[0] ?? new Uint8Array(0))
  const texts = (number) => (extensions.get(number) ?? []).map((text) => new TextDecoder().decode(text))
  return { peer, muxers: texts(2), offers: texts(OFFERS_FIELD) }
}

class HybridNoise {
  constructor (components, seen) {
    this.protocol = HYBRID_ID
    this.components = components
    this.seen = seen
  }

  async secureOutbound (connection, options) {
    return this.secure(connection, options, true)
  }

  async secureInbound (connection, options) {
    return this.secure(connection, options, false)
  }

  async secure (connection, options, initiator) {
    const frames = lpStream(connection, {
      lengthEncoder: Object.assign((value) => Uint8Array.from([value >> 8, value & 255]), { bytes: 2 }),
      lengthDecoder: Object.assign((data) => (data.get == null ? data[0] * 256 + data[1] : data.get(0) * 256 + data.get(1)), { bytes: 2 }),
      maxDataLength: 65535
    })
    const muxers = this.components.upgrader.getStreamMuxers()
    const handshake = new Handshake()
    const payload = await payloadMake(this.components.privateKey, handshake.s.public, [...muxers.keys()], [HYBRID_ID, '/noise'])
    let remote
    if (initiator) {
      await frames.write(handshake.writeA(), options)
      const answer = handshake.readB(await frames.read(options))
      remote = await payloadCheck(answer, handshake.rs, options?.remotePeer)
      await frames.write(handshake.writeC(payload), options)
    } else {
      handshake.readA(await frames.read(options))
      await frames.write(handshake.writeB(payload), options)
      const answer = handshake.readC(await frames.read(options))
      remote = await payloadCheck(answer, handshake.rs, options?.remotePeer)
    }
    this.seen.push({ peer: remote.peer.toString(), offers: remote.offers, muxers: remote.muxers })

    const [first, second] = handshake.sym.split()
    const [out, back] = initiator ? [first, second] : [second, first]
    const none = new Uint8Array(0)
    const wanted = initiator ? [...muxers.keys()] : remote.muxers
    const common = initiator ? new Set(remote.muxers) : new Set(muxers.keys())
    return {
      connection: toMessageStream(frames.unwrap(), {
        payload: {},
        encrypt: (plain) => out.seal(none, plain),
        decrypt: (sealed) => back.open(none, sealed)
      }),
      remotePeer: remote.peer,
      streamMuxer: muxers.get(wanted.find((muxer) => common.has(muxer)))
    }
  }
}

// A connection encrypter for js-libp2p. `seen` collects what remote payloads said.
export const hybridNoise = (seen) => (components) => new HybridNoise(components, seen)

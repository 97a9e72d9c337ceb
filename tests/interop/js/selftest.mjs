// SPDX-License-Identifier: Apache-2.0
// Holds the hybrid handshake of hybrid.mjs against the known answers of the draft: private values are runs of one byte
// (B+1 .. B+6 for B = 0x10), payloads are empty. Prints one JSON object; exit code 1 when an answer differs.
import { bytesToHex } from '@noble/hashes/utils.js'
import { HYBRID_NAME, Handshake } from './hybrid.mjs'

const B = 0x10
const run = (offset, len = 32) => new Uint8Array(len).fill(B + offset)
const expected = {
  'Noise_XXhfs_25519+ML-KEM-768_ChaChaPoly_SHA256': [
    '86b6140bdd5266658b0f25b5d3088153418f072068fb1564bf0502429d5ee862',
    '2931480a25e21d6f48b8687d7d753d0097d755fc8e76764b797a3c9db038422b',
    '49849d5ec7ee65f51397789fee47f984fee70a4d4628ea065e2a2b89395ea67a'
  ],
  [HYBRID_NAME]: [
    'b5a3c9854777aa5dad0a633c769bcc6662713f20f14e0371e4bfd253e1869eef',
    '0a825d67cbf14170dcccf6f5c54d50f46a9a23541122654f5bec41ef0a5657e5',
    'f8546817671a440fd8df45b26fd6b45ebbf39e4207455ca12bc6d56ac0b35ebc'
  ]
}

let ok = true
for (const [name, answers] of Object.entries(expected)) {
  const initiator = new Handshake({ name, s: run(1), e: run(3), kemSeed: run(5, 64) })
  const responder = new Handshake({ name, s: run(2), e: run(4), kemRandom: run(6) })
  const none = new Uint8Array(0)
  responder.readA(initiator.writeA())
  initiator.readB(responder.writeB(none))
  responder.readC(initiator.writeC(none))
  const [first, second] = initiator.sym.split()
  const got = [initiator.sym.h, first.key, second.key].map(bytesToHex)
  const good = JSON.stringify(got) === JSON.stringify(answers)
  ok &&= good
  console.log(JSON.stringify({ name, good, got }))
}
process.exit(ok ? 0 : 1)

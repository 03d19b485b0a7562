/**
 * Messages exchanged with the AWS Cryptographic Material Providers Library, in both directions: its raw keyrings (key
 * agreement above all, which no other implementation here has), its multi-keyring and its required encryption context.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import {
  type Keyring,
  MultiKeyring,
  RequiredEncryptionContextCryptographicMaterialsManager,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { type EcdhCurveName } from '#lib/keyrings/ecdh/ecdh-key'
import { RawEcdhKeyring } from '#lib/keyrings/raw-ecdh-keyring'
import { CONTEXTS, CONTEXT_NAMES, makeKeys, plaintextOf } from './interop/cases.ts'
import { type MplKeyring, type MplPeer, rawMplKeyring, startMplPeer } from './interop/mpl-peer.ts'
import { keyringOf, policyOf } from './interop/ours.ts'
import { type PeerKey, isSigning } from './interop/peer.ts'
import { preparedOrPending } from './interop/pending.ts'

const SUITES = [0x0478, 0x0578] as const
const FRAME_LENGTH = 128

/** The same keyring here and there. */
interface Pair {
  readonly ours: Keyring
  readonly theirs: MplKeyring
}

interface Party {
  readonly privateKey: string
  readonly publicKey: Buffer
}

/** One party's keyrings, named as the specification names their schemas. */
interface EcdhPairs {
  readonly ephemeral: Pair
  readonly discovery: Pair
  readonly sending: Pair
  readonly receiving: Pair
}

function party(namedCurve: EcdhCurveName): Party {
  return generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}

function ecdhPairs(curve: EcdhCurveName): EcdhPairs {
  const [alice, bob] = [party(curve), party(curve)]
  const spec = { type: 'raw-ecdh', curveSpec: `ECC_NIST_${curve.replace('-', '')}` } as const
  const der = (key: Buffer): string => key.toString('base64')
  const between = (sender: Party, recipient: Party): Pair => {
    const keys = { schema: 'static', senderPrivateKey: sender.privateKey } as const
    return {
      ours: new RawEcdhKeyring({ curve, ...keys, recipientPublicKey: recipient.publicKey }),
      theirs: { ...spec, ...keys, recipientPublicKey: der(recipient.publicKey) },
    }
  }
  const discovery = { schema: 'discovery', recipientPrivateKey: bob.privateKey } as const
  return {
    ephemeral: {
      ours: new RawEcdhKeyring({ curve, schema: 'ephemeral', recipientPublicKey: bob.publicKey }),
      theirs: { ...spec, schema: 'ephemeral', recipientPublicKey: der(bob.publicKey) },
    },
    discovery: { ours: new RawEcdhKeyring({ curve, ...discovery }), theirs: { ...spec, ...discovery } },
    sending: between(alice, bob),
    receiving: between(bob, alice),
  }
}

function rawPair(key: PeerKey): Pair {
  return { ours: keyringOf(key), theirs: rawMplKeyring(key) }
}

function multiPair([generator, ...children]: readonly [Pair, ...Pair[]]): Pair {
  return {
    ours: new MultiKeyring({ generator: generator.ours, children: children.map(({ ours }) => ours) }),
    theirs: { type: 'multi', generator: generator.theirs, children: children.map(({ theirs }) => theirs) },
  }
}

describe('interop with the AWS Cryptographic Material Providers Library', () => {
  let peer: MplPeer

  before(async function () {
    this.timeout(600_000)
    peer = await preparedOrPending(this, startMplPeer)
  })
  after(async () => {
    // Undefined where it is not there, and the specs are pending.
    await (peer as MplPeer | undefined)?.close()
  })

  /** Every reader reads what both sides write, in every kind of context (none, plain, in the order of UTF-8). */
  async function exchange(writer: Pair, readers: readonly Pair[], suites: readonly number[] = SUITES): Promise<void> {
    for (const suite of suites) {
      for (const context of CONTEXT_NAMES) {
        const plaintext = plaintextOf('a frame and one', FRAME_LENGTH)
        const encryptionContext = CONTEXTS[context]
        const shared = { encryptionContext, frameLength: FRAME_LENGTH }
        const written = await encrypt(plaintext, {
          ...shared,
          keyring: writer.ours,
          algorithmSuite: suite,
          commitmentPolicy: policyOf(suite),
        })
        const theirs = await peer.encrypt({ ...shared, suite, keyring: writer.theirs, data: plaintext })
        for (const reader of readers) {
          const read = await peer.decrypt({ suite, keyring: reader.theirs, data: written.ciphertext })
          assert.ok(read.plaintext.equals(plaintext))
          assertContext(read.encryptionContext, encryptionContext, suite)
          const { plaintext: back, header } = await decrypt(theirs, {
            keyring: reader.ours,
            commitmentPolicy: policyOf(suite),
          })
          assert.ok(back.equals(plaintext))
          assertContext(header.encryptionContext, encryptionContext, suite)
        }
      }
    }
  }

  for (const curve of ['P-256', 'P-384', 'P-521'] as const) {
    describe(`raw ECDH on ${curve}`, () => {
      const { ephemeral, discovery, sending, receiving } = ecdhPairs(curve)

      it('from an ephemeral key to the recipient', async () => {
        await exchange(ephemeral, [discovery])
      })

      it('between two static keys, opened by the recipient, by the sender and by discovery', async () => {
        await exchange(sending, [receiving, sending, discovery])
      })

      it('of data keys of 128 and 192 bits', async () => {
        await exchange(sending, [receiving, discovery], [0x0114, 0x0346])
      })

      it('refuses the same directions', async () => {
        const data = Buffer.from('text')
        const message = { suite: 0x0478, frameLength: FRAME_LENGTH }
        await assert.rejects(encrypt(data, { keyring: discovery.ours }), { code: 'ERR_ESDK_WRAP' })
        await assert.rejects(peer.encrypt({ ...message, keyring: discovery.theirs, data }))
        const { ciphertext } = await encrypt(data, { keyring: ephemeral.ours, algorithmSuite: 0x0478 })
        for (const reader of [ephemeral, sending, receiving]) {
          await assert.rejects(decrypt(ciphertext, { keyring: reader.ours }), { code: 'ERR_ESDK_UNWRAP' })
          await assert.rejects(peer.decrypt({ ...message, keyring: reader.theirs, data: ciphertext }))
        }
      })
    })
  }

  const keys = makeKeys()
  const rawPairs = keys.map(rawPair)

  describe('other raw keyrings', () => {
    for (const [index, { algorithm }] of keys.entries()) {
      it(algorithm, async () => {
        await exchange(rawPairs[index]!, [rawPairs[index]!])
      })
    }
  })

  it('multi-keyrings, opened by each of their keyrings', async () => {
    const [aes128, aes192, aes256, , , rsa] = rawPairs as [Pair, Pair, Pair, Pair, Pair, Pair] // there are eight
    const { sending, receiving } = ecdhPairs('P-384')
    const both = multiPair([aes256, rsa, sending])
    await exchange(both, [both, aes256, rsa, receiving])
    const other = multiPair([sending, aes128])
    await exchange(other, [receiving, aes128, multiPair([aes192, receiving])])
  })

  describe('required encryption contexts', () => {
    const names = ['purpose', 'Zone']
    const stored = { apple: '', a: 'A' }
    const required = { purpose: 'interop', Zone: 'b' }
    const aes = rawPairs[2]!
    const { sending, receiving } = ecdhPairs('P-256')
    const plaintext = plaintextOf('a frame and one', FRAME_LENGTH)

    for (const suite of SUITES) {
      for (const [title, writer, reader] of [
        ['raw AES', aes, aes],
        ['raw ECDH', sending, receiving],
      ] as const) {
        it(`are reproduced by either: ${title}, suite 0${suite.toString(16)}`, async () => {
          const shared = { encryptionContext: { ...stored, ...required }, frameLength: FRAME_LENGTH }
          const written = await encrypt(plaintext, {
            ...shared,
            algorithmSuite: suite,
            materialsManager: manager(writer.ours),
          })
          assertContext(written.header.encryptionContext, stored, suite, 'what is stored')
          const theirs = await peer.encrypt({
            ...shared,
            ...{ suite, keyring: writer.theirs, data: plaintext },
            requiredEncryptionContextKeys: names,
          })
          const asked = { suite, keyring: reader.theirs, data: written.ciphertext }
          for (const requiredEncryptionContextKeys of [[], names]) {
            const reproducing = { ...asked, encryptionContext: required, requiredEncryptionContextKeys }
            assert.ok((await peer.decrypt(reproducing)).plaintext.equals(plaintext))
          }
          for (const keys of [{ keyring: reader.ours }, { materialsManager: manager(reader.ours) }]) {
            const read = await decrypt(theirs, { ...keys, encryptionContext: required })
            assert.ok(read.plaintext.equals(plaintext))
            assertContext(read.header.encryptionContext, stored, suite, 'what is stored')
          }
          for (const wrong of [{}, { purpose: 'interop' }, { ...required, Zone: 'c' }, { ...required, more: 'x' }]) {
            await assert.rejects(peer.decrypt({ ...asked, encryptionContext: wrong }))
            await assert.rejects(decrypt(theirs, { keyring: reader.ours, encryptionContext: wrong }))
          }
        })
      }
    }

    function manager(keyring: Keyring): RequiredEncryptionContextCryptographicMaterialsManager {
      return new RequiredEncryptionContextCryptographicMaterialsManager({
        keyring,
        requiredEncryptionContextKeys: names,
      })
    }
  })
})

/** The pairs that were given, and the public key of a signed message. */
function assertContext(
  actual: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string>>,
  suite: number,
  message?: string,
): void {
  const { 'aws-crypto-public-key': publicKey, ...pairs } = actual
  assert.deepEqual(pairs, expected, message)
  assert.equal(publicKey !== undefined, isSigning(suite))
}

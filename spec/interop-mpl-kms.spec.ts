// Messages of the AWS Cryptographic Material Providers Library under asymmetric keys of AWS KMS on the same server, both ways.
import assert from 'node:assert/strict'
import { type KeyObject, generateKeyPairSync } from 'node:crypto'
import { type Keyring, RawEcdhKeyring, decrypt, encrypt } from 'esdk-streams'
import { KmsEcdhKeyring, KmsRsaKeyring } from 'esdk-streams/kms'
import { PREPARE_TIMEOUT_MS } from './emulators/emulator.ts'
import { CONTEXTS, CONTEXT_NAMES, plaintextOf } from './interop/cases.ts'
import { type MplKeyring, type MplPeer, startMplPeer } from './interop/mpl-peer.ts'
import { policyOf } from './interop/ours.ts'
import { preparedOrPending } from './interop/pending.ts'
import { CURVE_NAMES, type CurveName } from './keyrings/ecdh/keys.ts'
import { createKey, publicKeyOf, useLocalStack } from './keyrings/kms/setup.ts'

const FRAME_LENGTH = 128
/** Suites with and without commitment and signature, with data keys of each length. */
const SUITES = [0x0478, 0x0578, 0x0346, 0x0114]
const UNSIGNED_SUITES = [0x0478, 0x0178, 0x0114]

/** The same keyring here and there. */
interface Pair {
  readonly ours: Keyring
  readonly theirs: MplKeyring
}

describe('interop with the AWS Cryptographic Material Providers Library under asymmetric keys of AWS KMS', () => {
  const kms = useLocalStack()
  let peer: MplPeer

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    const credentials = { AWS_ACCESS_KEY_ID: 'spec', AWS_SECRET_ACCESS_KEY: 'spec' }
    const environment = { AWS_ENDPOINT_URL: kms.server.endpoint, ...credentials }
    peer = await preparedOrPending(this, () => startMplPeer(environment))
  })
  after(async () => {
    // Undefined where it is not there, and the specs are pending.
    await (peer as MplPeer | undefined)?.close()
  })

  /** Each reader reads what both sides write in each suite, in contexts of every kind. */
  async function exchange(writer: Pair, readers: readonly Pair[], suites: readonly number[]): Promise<void> {
    const data = plaintextOf('a frame and one', FRAME_LENGTH)
    for (const suite of suites) {
      for (const context of CONTEXT_NAMES) {
        const shared = { encryptionContext: CONTEXTS[context], frameLength: FRAME_LENGTH }
        const policy = { commitmentPolicy: policyOf(suite) }
        const { ciphertext } = await encrypt(data, {
          ...shared,
          ...policy,
          keyring: writer.ours,
          algorithmSuite: suite,
        })
        const theirs = await peer.encrypt({ ...shared, suite, keyring: writer.theirs, data })
        for (const reader of readers) {
          const read = await peer.decrypt({ suite, keyring: reader.theirs, data: ciphertext })
          const { plaintext } = await decrypt(theirs, { ...policy, keyring: reader.ours })
          for (const found of [read.plaintext, plaintext]) assert.equal(found.toString('hex'), data.toString('hex'))
        }
      }
    }
  }

  for (const curve of CURVE_NAMES) {
    it(`its ECDH keyring on ${curve}, of either schema, and its raw one`, async () => {
      const { behind } = kms.server
      const spec = `ECC_NIST_${curve.replace('-', '') as 'P256'}` as const // as the three curves are called there
      const [alice, bob] = [await createPair(behind, spec), await createPair(behind, spec)]
      const carol = generateKeyPairSync('ec', { namedCurve: curve })
      const toBob = fixed(curve, alice, bob.publicKey)
      const fromAlice = fixed(curve, bob, alice.publicKey)
      await exchange(toBob, [fromAlice, toBob, discovery(curve, bob)], SUITES)
      const toCarol = fixed(curve, alice, carol.publicKey, alice.publicKey)
      const rawCarol = raw(curve, carol, alice.publicKey)
      await exchange(toCarol, [rawCarol], [0x0578])
      await exchange(rawCarol, [toCarol, discovery(curve, alice)], [0x0578])
    })
  }

  it('its RSA keyring', async () => {
    const { behind, clientProvider } = kms.server
    const encryptionAlgorithm = 'RSAES_OAEP_SHA_256'
    const keyId = await createKey(behind, 'us-west-1', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })
    const publicKey = (await publicKeyOf(behind, keyId)).export({ format: 'pem', type: 'spki' }).toString()
    const pair: Pair = {
      ours: new KmsRsaKeyring({ keyId, encryptionAlgorithm, publicKey, clientProvider }),
      theirs: { type: 'kms-rsa', keyId, encryptionAlgorithm, publicKey },
    }
    await exchange(pair, [pair], UNSIGNED_SUITES)
    await assert.rejects(encrypt('text', { keyring: pair.ours, algorithmSuite: 0x0578 }), { code: 'ERR_ESDK_WRAP' })
    await assert.rejects(
      peer.encrypt({ suite: 0x0578, frameLength: FRAME_LENGTH, keyring: pair.theirs, data: Buffer.from('text') }),
    )
  })

  it('refuses what it refuses: to encrypt by discovery, another recipient, another context', async () => {
    const { behind } = kms.server
    const [alice, bob] = [await createPair(behind, 'ECC_NIST_P256'), await createPair(behind, 'ECC_NIST_P256')]
    const data = Buffer.from('text')
    const asked = { suite: 0x0478, frameLength: FRAME_LENGTH, data }
    const byDiscovery = discovery('P-256', bob)
    await assert.rejects(encrypt(data, { keyring: byDiscovery.ours }), { code: 'ERR_ESDK_WRAP' })
    await assert.rejects(peer.encrypt({ ...asked, keyring: byDiscovery.theirs }), /forbidden on encrypt/)
    const toBob = fixed('P-256', alice, bob.publicKey)
    const { ciphertext } = await encrypt(data, { keyring: toBob.ours, algorithmSuite: 0x0478 })
    for (const reader of [discovery('P-256', alice), fixed('P-256', bob, bob.publicKey)]) {
      await assert.rejects(decrypt(ciphertext, { keyring: reader.ours }), { code: 'ERR_ESDK_UNWRAP' })
      await assert.rejects(peer.decrypt({ ...asked, keyring: reader.theirs, data: ciphertext }))
    }
  })

  interface KmsPair {
    readonly keyId: string
    readonly publicKey: KeyObject
  }

  async function createPair(behind: string, KeySpec: 'ECC_NIST_P256'): Promise<KmsPair> {
    const keyId = await createKey(behind, 'us-east-1', { KeySpec, KeyUsage: 'KEY_AGREEMENT' })
    return { keyId, publicKey: await publicKeyOf(behind, keyId) }
  }

  function fixed(curve: CurveName, { keyId }: KmsPair, recipient: KeyObject, sender?: KeyObject): Pair {
    const { clientProvider } = kms.server
    const options = {
      curve,
      schema: 'static',
      senderKeyId: keyId,
      recipientPublicKey: recipient,
      clientProvider,
    } as const
    return {
      ours: new KmsEcdhKeyring({ ...options, ...(sender !== undefined && { senderPublicKey: sender }) }),
      theirs: {
        ...{ type: 'kms-ecdh', curveSpec: curveSpec(curve), schema: 'static', keyId },
        recipientPublicKey: der(recipient),
        ...(sender !== undefined && { senderPublicKey: der(sender) }),
      },
    }
  }

  function discovery(curve: CurveName, { keyId }: KmsPair): Pair {
    const { clientProvider } = kms.server
    return {
      ours: new KmsEcdhKeyring({ curve, schema: 'discovery', recipientKeyId: keyId, clientProvider }),
      theirs: { type: 'kms-ecdh', curveSpec: curveSpec(curve), schema: 'discovery', keyId },
    }
  }

  function raw(curve: CurveName, { privateKey }: { privateKey: KeyObject }, recipientPublicKey: KeyObject): Pair {
    return {
      ours: new RawEcdhKeyring({ curve, schema: 'static', senderPrivateKey: privateKey, recipientPublicKey }),
      theirs: {
        ...{ type: 'raw-ecdh', curveSpec: curveSpec(curve), schema: 'static' },
        senderPrivateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
        recipientPublicKey: der(recipientPublicKey),
      },
    }
  }
})

function curveSpec(curve: CurveName): string {
  return `ECC_NIST_${curve.replace('-', '')}`
}

function der(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).toString('base64')
}

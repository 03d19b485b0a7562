/** Messages under keys of AWS KMS exchanged with other implementations, on one server and both ways. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { type Keyring, RawMasterKeyProvider, WrappingKey, decrypt, encrypt } from 'esdk-streams'
import {
  KmsDiscoveryKeyring,
  KmsKeyring,
  KmsMasterKeyProvider,
  KmsMrkDiscoveryKeyring,
  KmsMrkKeyring,
} from 'esdk-streams/kms'
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { PREPARE_TIMEOUT_MS } from '../../emulators/emulator.ts'
import { CONTEXTS, type Context, type Size, plaintextOf } from '../../interop/cases.ts'
import { policyOf } from '../../interop/ours.ts'
import { type RsaPeerKey, isSigning } from '../../interop/peer.ts'
import { preparedOrPending } from '../../interop/pending.ts'
import { KMS_PEERS, type KmsPeer, type TheirKeys } from './peers.ts'
import { ACCOUNT, REGIONS, useKmsServer } from './setup.ts'

interface Message {
  readonly suite: number
  readonly frameLength: number
  readonly size: Size
  readonly context: Context
}

/** Java has no empty values, and Python no frames that are no multiple of 128 bytes. */
const messages: readonly Message[] = [
  { suite: 0x0578, frameLength: 128, size: 'a frame and one', context: 'multi-byte' },
  { suite: 0x0478, frameLength: 4096, size: 'three frames', context: 'ascii' },
  { suite: 0x0378, frameLength: 128, size: 'empty', context: 'multi-byte' },
  { suite: 0x0178, frameLength: 4096, size: 'a frame less one', context: 'none' },
  { suite: 0x0014, frameLength: 256, size: 'one byte', context: 'multi-byte' },
]
const message = messages[0]!

/** The announcement's second example: an RSA key of one's own beside AWS KMS. */
class EscrowProvider extends RawMasterKeyProvider {
  readonly providerId: string
  readonly #key: WrappingKey

  constructor({ keyNamespace, keyName, privateKey }: RsaPeerKey) {
    super()
    this.providerId = keyNamespace
    this.#key = new WrappingKey({
      wrappingAlgorithm: 'RSA_OAEP_SHA1_MGF1',
      wrappingKey: privateKey,
      wrappingKeyType: 'private',
    })
    this.addMasterKey(keyName)
  }

  override getRawKey(): WrappingKey {
    return this.#key
  }
}

let made: RsaPeerKey | undefined

/** Made once: such a key takes seconds. */
function escrowKey(): RsaPeerKey {
  if (made !== undefined) return made
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 4096,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  made = { keyNamespace: 'static-random', keyName: 'escrow', algorithm: 'rsa-oaep-sha1', ...pair }
  return made
}

function pairs(context: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(context).filter(([name]) => name !== 'aws-crypto-public-key'))
}

for (const [title, start] of Object.entries(KMS_PEERS)) {
  describe(`keyrings/kms, with ${title}`, () => {
    const kms = useKmsServer()
    let peer: KmsPeer

    before(async function () {
      this.timeout(PREPARE_TIMEOUT_MS)
      peer = await preparedOrPending(this, () => start(kms.server))
    })
    after(async () => {
      // Undefined where it is not there, and the specs are pending.
      await (peer as KmsPeer | undefined)?.close()
    })

    function provider(...keyIds: readonly string[]): KmsMasterKeyProvider {
      const { clientProvider } = kms.server
      const own = new KmsMasterKeyProvider({ clientProvider })
      own.addMasterKeys(keyIds)
      return own
    }

    function keyring(generatorKeyId: string, ...keyIds: readonly string[]): KmsKeyring {
      return new KmsKeyring({ generatorKeyId, keyIds, clientProvider: kms.server.clientProvider })
    }

    async function write(ours: Keyring, { suite, frameLength, size, context }: Message = message): Promise<Buffer> {
      const encryptionContext = CONTEXTS[context]
      const options = { algorithmSuite: suite, commitmentPolicy: policyOf(suite), frameLength, encryptionContext }
      return (await encrypt(plaintextOf(size, frameLength), { keyring: ours, ...options })).ciphertext
    }

    function letWrite(theirs: TheirKeys, { suite, frameLength, size, context }: Message = message): Promise<Buffer> {
      const data = plaintextOf(size, frameLength)
      return theirs.encrypt({ suite, frameLength, data, encryptionContext: CONTEXTS[context] })
    }

    async function read(ours: Keyring, data: Buffer, expected: Message = message): Promise<void> {
      const { suite, size, frameLength } = expected
      const { plaintext, header } = await decrypt(data, { keyring: ours, commitmentPolicy: policyOf(suite) })
      assert.equal(plaintext.toString('hex'), plaintextOf(size, frameLength).toString('hex'))
      assert.equal(header.suite.id, suite)
      checkContext(header.encryptionContext, expected)
    }

    async function letRead(theirs: TheirKeys, data: Buffer, expected: Message = message): Promise<void> {
      const { suite, size, frameLength } = expected
      const { plaintext, encryptionContext } = await theirs.decrypt({ suite, data })
      assert.equal(plaintext.toString('hex'), plaintextOf(size, frameLength).toString('hex'))
      checkContext(encryptionContext, expected)
    }

    function checkContext(actual: Readonly<Record<string, string>>, { context, suite }: Message): void {
      assert.deepEqual(pairs(actual), CONTEXTS[context])
      assert.equal('aws-crypto-public-key' in actual, isSigning(suite))
    }

    /** All other regions refuse. */
    function only(region: string): void {
      kms.server.proxy.faults((asked) =>
        asked.region === region ? undefined : { error: 'AccessDeniedException', status: 400 },
      )
    }

    for (const each of messages) {
      it(`under keys in three regions, each of which opens them: suite ${each.suite.toString(16).padStart(4, '0')}`, async () => {
        const { keys, proxy, clientProvider } = kms.server
        const three = [keys[0]!, keys[1]!, keys[2]!] as const
        const written = [await write(keyring(...three), each), await write(provider(...three), each)]
        const theirs = await letWrite(peer.strict(three), each)
        for (const [index, region] of REGIONS.entries()) {
          only(region)
          const key = three[index]!
          for (const data of written) {
            for (const reader of [peer.strict([key]), peer.discovery([region]), peer.discovery(REGIONS)]) {
              await letRead(reader, data, each)
            }
          }
          await letRead(peer.strict(three), written[0]!, each)
          const options = { clientProvider, region, regions: [region] }
          for (const reader of [
            keyring(key),
            keyring(...three),
            provider(key),
            new KmsDiscoveryKeyring(options),
            KmsMasterKeyProvider.discovery(options),
          ]) {
            await read(reader, theirs, each)
          }
        }
        proxy.faults()
      })
    }

    it('under aliases, opened under the keys that they stand for', async () => {
      const { aliases, keys } = kms.server
      const two = [aliases[1]!, aliases[2]!] as const
      const written = [await write(keyring(...two)), await write(provider(...two))]
      const theirs = await letWrite(peer.strict(two))
      for (const key of [keys[1]!, keys[2]!]) {
        for (const data of written) await letRead(peer.strict([key]), data)
        await read(keyring(key), theirs)
        await read(provider(key), theirs)
      }
    })

    it('discovered in the accounts of a filter, and in no others', async () => {
      const { keys, proxy, clientProvider } = kms.server
      const data = await write(keyring(keys[2]!))
      const theirs = await letWrite(peer.strict([keys[2]!]))
      const options = { clientProvider, region: 'us-west-2', regions: ['us-west-2'] }
      const ours = (...accounts: string[]): Keyring[] => {
        const discoveryFilter = { partition: 'aws', accounts }
        return [
          new KmsDiscoveryKeyring({ ...options, discoveryFilter }),
          KmsMasterKeyProvider.discovery({ ...options, discoveryFilter }),
        ]
      }
      // One account alone: where there are more, the library's discovery keyrings take no key's account for one of them.
      await letRead(peer.discovery(['us-west-2'], [ACCOUNT]), data)
      for (const reader of ours('111122223333', ACCOUNT)) await read(reader, theirs)
      proxy.faults()
      await assert.rejects(letRead(peer.discovery(['us-west-2'], ['111122223333']), data))
      for (const reader of ours('111122223333')) {
        await assert.rejects(read(reader, theirs), { code: 'ERR_ESDK_UNWRAP' })
      }
      assert.deepEqual(proxy.asked, [])
    })

    it('under one key, which another one does not open', async () => {
      const { keys, proxy } = kms.server
      const data = await write(keyring(keys[0]!))
      const theirs = await letWrite(peer.strict([keys[0]!]))
      proxy.faults()
      await assert.rejects(letRead(peer.strict([keys[1]!]), data))
      for (const reader of [keyring(keys[1]!), provider(keys[1]!)]) {
        await assert.rejects(read(reader, theirs), { code: 'ERR_ESDK_UNWRAP' })
      }
      assert.deepEqual(proxy.asked, [])
    })

    // The server's ciphertexts do not hold the whole id of a multi-Region key: beneath the proxy, a key of one Region stands
    // for all replicas.
    it('under a replica of a multi-Region key, opened under another one and by discovery', async () => {
      const { keys, clientProvider, proxy } = kms.server
      const id = keys[0]!.split('/')[1]!
      const replica = (region: string): string => `arn:aws:kms:${region}:${ACCOUNT}:key/mrk-${id}`
      const [east, west] = [replica('us-east-1'), replica('us-west-1')]
      proxy.faults(({ body }: Asked): Fault | undefined => {
        if (body['KeyId'] !== east && body['KeyId'] !== west) return undefined
        return {
          region: 'us-east-1',
          ask: (sent) => ({ ...sent, KeyId: keys[0]! }),
          answer: (given) => ({ ...given, KeyId: body['KeyId'] }),
        }
      })
      const data = await write(new KmsMrkKeyring({ generatorKeyId: east, clientProvider }))
      const theirs = await letWrite(peer.mrk(west))
      await letRead(peer.mrk(west), data)
      await letRead(peer.mrkDiscovery('us-west-1'), data)
      for (const reader of [
        new KmsMrkKeyring({ generatorKeyId: east, clientProvider }),
        new KmsMrkDiscoveryKeyring({ region: 'us-east-1', clientProvider }),
        provider(east),
        KmsMasterKeyProvider.discovery({ region: 'us-east-1', clientProvider }),
      ]) {
        await read(reader, theirs)
      }
      await assert.rejects(letRead(peer.strict([west]), data))
      await assert.rejects(read(keyring(east), theirs), { code: 'ERR_ESDK_UNWRAP' })
    })

    it('beside an RSA key in escrow, opened with either alone', async () => {
      const { aliases, keys, clientProvider } = kms.server
      const key = escrowKey()
      const escrow = new EscrowProvider(key)
      const both = provider(aliases[0]!)
      both.addMasterKeyProvider(escrow)
      const data = await write(both)
      await letRead(peer.escrow(undefined, key), data)
      await letRead(peer.strict([keys[0]!]), data)
      const theirs = await letWrite(peer.escrow(aliases[0], key))
      await read(escrow, theirs)
      await read(KmsMasterKeyProvider.discovery({ region: 'us-east-1', clientProvider }), theirs)
    })
  })
}

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import fc from 'fast-check'
import { MultiKeyring, UnwrapError, WrapError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey } from 'esdk-streams/format'
import { RawEcdhKeyring } from '#lib/keyrings/raw-ecdh-keyring'
import { bytes, encryptionContexts, sequence, suites, policyOf } from '../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../materials/sample.ts'
import {
  CURVES,
  CURVE_NAMES,
  type CurveName,
  KNOWN_ANSWER,
  type Party,
  agreed,
  crafted,
  fixedInfoOf,
  party,
} from './ecdh/keys.ts'
import { assertLeaksNothing } from './leaks.ts'

const encryptionContext = { department: 'admin', 'aws-crypto-public-key': 'all pairs count' }
const materials = decryptionMaterials({ encryptionContext })
const NOT_AUTHENTIC = 'not authentic under this shared secret and encryption context'
const MALFORMED = 'malformed key provider info'

/** The keyrings of one curve: Alice sends to Bob, and Eve has nothing to do with it. */
interface Keyrings {
  readonly alice: Party
  readonly bob: Party
  readonly ephemeral: RawEcdhKeyring
  readonly discovery: RawEcdhKeyring
  readonly sending: RawEcdhKeyring
  readonly receiving: RawEcdhKeyring
}

function keyringsOf(curve: CurveName): Keyrings {
  const [alice, bob] = [party(curve, 0x01), party(curve, 0x21)]
  return {
    ...{ alice, bob },
    ephemeral: new RawEcdhKeyring({ curve, schema: 'ephemeral', recipientPublicKey: bob.publicKey }),
    discovery: new RawEcdhKeyring({ curve, schema: 'discovery', recipientPrivateKey: bob.privateKey }),
    sending: between(curve, alice, bob),
    receiving: between(curve, bob, alice),
  }
}

function between(curve: CurveName, own: Party, other: Party): RawEcdhKeyring {
  const keys = { senderPrivateKey: own.privateKey, recipientPublicKey: other.publicKey }
  return new RawEcdhKeyring({ curve, schema: 'static', ...keys })
}

const KEYRINGS = { 'P-256': keyringsOf('P-256'), 'P-384': keyringsOf('P-384'), 'P-521': keyringsOf('P-521') } as const

async function wrapped(by: RawEcdhKeyring, context = encryptionContext): Promise<EncryptedDataKey> {
  const full = encryptionMaterials({ encryptionContext: context, dataKey: secret() })
  return (await by.onEncrypt(full)).encryptedDataKeys[0]!
}

async function assertNotUnwrapped(
  key: EncryptedDataKey,
  reason: string,
  by: RawEcdhKeyring,
  given = materials,
): Promise<void> {
  await assert.rejects(by.onDecrypt(given, [key]), (error) => {
    assert.ok(error instanceof UnwrapError)
    assert.deepEqual(error.attempts, [{ key, reason }])
    const { alice, bob } = KEYRINGS['P-256']
    assertLeaksNothing(error, secret().export(), alice.secret, bob.secret, agreed(alice, bob))
    return true
  })
}

async function assertUnwrapped(key: EncryptedDataKey, by: RawEcdhKeyring, given = materials): Promise<void> {
  const { dataKey, unconfirmed } = await by.onDecrypt(given, [key])
  assert.ok(dataKey?.equals(secret()))
  assert.equal(unconfirmed, undefined)
}

function flipped(source: Buffer, at: number, mask = 1): Buffer {
  const changed = Buffer.from(source)
  changed[at]! ^= mask
  return changed
}

describe('keyrings/raw-ecdh-keyring', () => {
  describe('the known answer', () => {
    const { alice, bob, sending, receiving, discovery } = KEYRINGS['P-256']
    const recipe = {
      curve: 'P-256',
      ...{ senderPoint: alice.point, recipientPoint: bob.point, sharedSecret: agreed(alice, bob) },
      ...{ salt: sequence(0xd0, 32), dataKey: sequence(0x40, 32), encryptionContext: { department: 'admin' } },
    } as const
    const key = KNOWN_ANSWER

    it('is what the specs craft', () => {
      assert.equal(
        recipe.sharedSecret.toString('hex'),
        '4fe243908f378aa1c2a69538822e6ed908c3225d8692575507c649901245150a',
      )
      assert.equal(
        fixedInfoOf(recipe).toString('hex'),
        '656364682d6b65792d64657269766174696f6e007032353600484d41435f5348413338340002515c3d6eb9e396b904d3feca7f54fdcd0cc1e9' +
          '97bf375dca515ad0a6c3b4035f031f140146bfb1b251f84f4ddbe0d4cdcfd77afd984a9520e35794021f8312bb9e0001000001000a646570' +
          '6172746d656e74000561646d696e',
      )
      assert.deepEqual(crafted(recipe), key)
    })

    it('is unwrapped by either party, and by discovery, under both provider ids', async () => {
      const given = decryptionMaterials({ encryptionContext: { department: 'admin' } })
      for (const by of [sending, receiving, discovery]) {
        for (const keyProviderId of ['raw-ecdh', 'aws-kms-ecdh']) {
          const { dataKey } = await by.onDecrypt(given, [{ ...key, keyProviderId }])
          assert.deepEqual(dataKey?.export(), sequence(0x40, 32))
        }
      }
    })

    it('is not unwrapped in another context', async () => {
      for (const context of [{}, { department: 'Admin' }, { department: 'admin', a: '' }]) {
        const given = decryptionMaterials({ encryptionContext: context })
        for (const by of [sending, receiving, discovery]) await assertNotUnwrapped(key, NOT_AUTHENTIC, by, given)
      }
    })
  })

  for (const curve of CURVE_NAMES) {
    describe(`on ${curve}`, () => {
      const { alice, bob, ephemeral, discovery, sending, receiving } = KEYRINGS[curve]

      it('writes, byte for byte, what the specification says', async () => {
        const key = await wrapped(sending)
        assert.equal(key.keyProviderInfo.length, CURVES[curve].info)
        assert.equal(key.ciphertext.length, 32 + 32 + 32 + 16)
        const expected = crafted({
          ...{ curve, encryptionContext, senderPoint: alice.point, recipientPoint: bob.point },
          ...{ sharedSecret: agreed(bob, alice), salt: key.ciphertext.subarray(0, 32), dataKey: secret().export() },
        })
        assert.deepEqual(key, expected)
        assert.equal((await wrapped(ephemeral)).keyProviderInfo.length, CURVES[curve].info)
      })

      it('unwraps for the recipient, for either of two static parties, and for nobody else', async () => {
        const eve = party(curve, 0x61)
        const strangers = {
          'another recipient': new RawEcdhKeyring({ curve, schema: 'discovery', recipientPrivateKey: eve.privateKey }),
          'another sender or recipient': between(curve, bob, eve),
        }
        const key = await wrapped(sending)
        for (const by of [sending, receiving, discovery]) await assertUnwrapped(key, by)
        await assertUnwrapped(await wrapped(receiving), sending)
        await assertUnwrapped(await wrapped(receiving), receiving)
        await assertNotUnwrapped(await wrapped(receiving), 'another recipient', discovery)
        const unknown = await wrapped(ephemeral)
        await assertUnwrapped(unknown, discovery)
        for (const by of [sending, receiving]) await assertNotUnwrapped(unknown, 'another sender or recipient', by)
        for (const [reason, by] of Object.entries(strangers)) {
          await assertNotUnwrapped(key, reason, by)
          await assertNotUnwrapped(unknown, reason, by)
        }
        await assertNotUnwrapped(key, 'another sender or recipient', between(curve, eve, bob))
      })

      it('unwraps what a party sent to itself', async () => {
        const self = between(curve, alice, alice)
        await assertUnwrapped(await wrapped(self), self)
      })

      it('wraps data keys of every suite', async () => {
        for (const suite of ALGORITHM_SUITES) {
          const full = await ephemeral.onEncrypt(encryptionMaterials({ suite, encryptionContext }))
          const given = decryptionMaterials({ suite, encryptionContext })
          const { dataKey } = await discovery.onDecrypt(given, full.encryptedDataKeys)
          assert.equal(dataKey?.symmetricKeySize, suite.keyBytes)
          assert.ok(full.dataKey?.equals(dataKey))
        }
      })

      it('makes a salt, and where it is ephemeral a key pair, for each data key', async () => {
        const [salts, senders] = [new Set<string>(), new Set<string>()]
        for (let index = 0; index < 10; index++) {
          for (const by of [ephemeral, sending]) {
            const { keyProviderInfo, ciphertext } = await wrapped(by)
            salts.add(ciphertext.toString('hex', 0, 32))
            senders.add(keyProviderInfo.toString('hex', keyProviderInfo.length - CURVES[curve].point))
          }
        }
        assert.equal(salts.size, 20)
        assert.equal(senders.size, 11)
      })

      it('unwraps nothing that was changed in any byte', async () => {
        const key = await wrapped(sending)
        const readers = [sending, receiving, discovery]
        for (let at = 0; at < key.ciphertext.length; at++) {
          const changed = { ...key, ciphertext: flipped(key.ciphertext, at) }
          await assertNotUnwrapped(changed, NOT_AUTHENTIC, readers[at % readers.length]!)
        }
        for (let at = 0; at < key.keyProviderInfo.length; at++) {
          const changed = { ...key, keyProviderInfo: flipped(key.keyProviderInfo, at) }
          for (const by of readers) await assert.rejects(by.onDecrypt(materials, [changed]), UnwrapError)
        }
      })

      it('unwraps nothing that was changed in any bit', async () => {
        const key = await wrapped(sending)
        const whole = Buffer.concat([key.keyProviderInfo, key.ciphertext])
        const at = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }))
        await fc.assert(
          fc.asyncProperty(fc.constantFrom(sending, receiving, discovery), at, async (by, [index, mask]) => {
            const changed = flipped(whole, index, mask)
            const infoBytes = key.keyProviderInfo.length
            const parts = { keyProviderInfo: changed.subarray(0, infoBytes), ciphertext: changed.subarray(infoBytes) }
            await assert.rejects(by.onDecrypt(materials, [{ ...key, ...parts }]), UnwrapError)
          }),
        )
      })

      it('takes no sender that is not on the curve', async () => {
        const { bytes: size } = CURVES[curve]
        const limit = Buffer.alloc(size, 0xff)
        const senders = [
          ...[Buffer.alloc(size + 1), Buffer.concat([Buffer.from([2]), limit]), offCurve(curve)],
          ...[0, 4, 5, 6, 7, 0x82].map((prefix) => flipped(alice.point, 0, alice.point[0]! ^ prefix)),
        ]
        for (const senderPoint of senders) {
          const key = crafted({
            ...{ curve, encryptionContext, senderPoint, recipientPoint: bob.point, sharedSecret: agreed(bob, alice) },
            ...{ salt: sequence(0, 32), dataKey: secret().export() },
          })
          await assertNotUnwrapped(key, `a public key that is no point of ${curve}`, discovery)
        }
      })

      it('does not take the other point of the same x for the sender, though its shared secret is the same', async () => {
        const key = await wrapped(sending)
        const at = key.keyProviderInfo.length - CURVES[curve].point
        const negated = { ...key, keyProviderInfo: flipped(key.keyProviderInfo, at) }
        await assertNotUnwrapped(negated, NOT_AUTHENTIC, discovery)
        await assertNotUnwrapped(negated, 'another sender or recipient', receiving)
      })
    })
  }

  describe('passes over', () => {
    const { ephemeral, discovery, sending } = KEYRINGS['P-256']
    const CASES: Readonly<Record<string, [(key: EncryptedDataKey) => EncryptedDataKey, string]>> = {
      'another provider': [(key) => ({ ...key, keyProviderId: 'raw-ecdh2' }), 'not wrapped by key agreement'],
      'KMS without key agreement': [(key) => ({ ...key, keyProviderId: 'aws-kms' }), 'not wrapped by key agreement'],
      'no info': [withInfo(() => Buffer.alloc(0)), MALFORMED],
      'info of one byte': [withInfo((info) => info.subarray(0, 1)), MALFORMED],
      'info that is cut': [withInfo((info) => info.subarray(0, -1)), MALFORMED],
      'info that is cut by two': [withInfo((info) => info.subarray(0, -2)), MALFORMED],
      'info that goes on': [withInfo((info) => Buffer.concat([info, Buffer.alloc(2)])), MALFORMED],
      'version 0': [withInfo((info) => flipped(info, 0, 1)), 'a version of other than 1'],
      'version 2': [withInfo((info) => flipped(info, 0, 3)), 'a version of other than 1'],
      'a first point of another length': [withInfo((info) => flipped(info, 4, 1)), MALFORMED],
      'a first point of a huge length': [withInfo((info) => flipped(info, 1, 0xff)), MALFORMED],
      'a second point of another length': [withInfo((info) => flipped(info, 1 + 4 + 33 + 3, 2)), MALFORMED],
      'a second point of a huge length': [withInfo((info) => flipped(info, 1 + 4 + 33, 0x80)), MALFORMED],
      'a ciphertext a byte short': [
        (key) => ({ ...key, ciphertext: key.ciphertext.subarray(1) }),
        'not a wrapped data key of 32 bytes',
      ],
      'a ciphertext a byte long': [
        (key) => ({ ...key, ciphertext: Buffer.concat([key.ciphertext, Buffer.alloc(1)]) }),
        'not a wrapped data key of 32 bytes',
      ],
      'no ciphertext': [(key) => ({ ...key, ciphertext: Buffer.alloc(0) }), 'not a wrapped data key of 32 bytes'],
    }
    for (const [what, [change, reason]] of Object.entries(CASES)) {
      it(`${what}, and goes on`, async () => {
        const key = await wrapped(sending)
        const changed = change(key)
        for (const by of [sending, discovery]) {
          await assertNotUnwrapped(changed, reason, by)
          const opened = await by.onDecrypt(materials, [changed, key])
          assert.ok(opened.dataKey?.equals(secret()))
        }
      })
    }

    it('data keys of the other curves', async () => {
      for (const curve of CURVE_NAMES) {
        for (const other of CURVE_NAMES.filter((name) => name !== curve)) {
          for (const by of [KEYRINGS[curve].sending, KEYRINGS[curve].discovery]) {
            await assertNotUnwrapped(await wrapped(KEYRINGS[other].sending), 'another curve', by)
          }
        }
      }
    })

    it('everything, where it is ephemeral', async () => {
      const reason = 'a keyring of the schema "ephemeral" only encrypts'
      await assertNotUnwrapped(await wrapped(ephemeral), reason, ephemeral)
      await assertNotUnwrapped(await wrapped(sending), reason, ephemeral)
    })

    function withInfo(change: (info: Buffer) => Buffer): (key: EncryptedDataKey) => EncryptedDataKey {
      return (key) => ({ ...key, keyProviderInfo: change(key.keyProviderInfo) })
    }
  })

  const { discovery, sending, receiving } = KEYRINGS['P-256']

  it('does not encrypt by discovery', async () => {
    await assert.rejects(discovery.onEncrypt(encryptionMaterials()), WrapError)
    await assert.rejects(encrypt('text', { keyring: discovery }), WrapError)
  })

  it('does not unwrap a data key that is shorter than the suite’s, though it is authentic', async () => {
    const full = await sending.onEncrypt(encryptionMaterials({ suite: ALGORITHM_SUITES[0]!, encryptionContext }))
    await assertNotUnwrapped(full.encryptedDataKeys[0]!, 'not a wrapped data key of 32 bytes', receiving)
  })

  it('tries data keys in their order, and says of each why it gave nothing', async () => {
    const key = await wrapped(sending)
    const broken = { ...key, ciphertext: flipped(key.ciphertext, 40) }
    const opened = await receiving.onDecrypt(materials, [foreignKey(), broken, key, await wrapped(sending)])
    assert.ok(opened.dataKey?.equals(secret()))
    await assert.rejects(receiving.onDecrypt(materials, [foreignKey(), broken]), (error) => {
      assert.ok(error instanceof UnwrapError)
      assert.deepEqual(error.attempts, [
        { key: foreignKey(), reason: 'not wrapped by key agreement' },
        { key: broken, reason: NOT_AUTHENTIC },
      ])
      return true
    })
    await assert.rejects(receiving.onDecrypt(materials, []), { code: 'ERR_ESDK_UNWRAP', attempts: [] })
  })

  it('does not decrypt into materials that hold a data key', async () => {
    await assert.rejects(receiving.onDecrypt({ ...materials, dataKey: secret() }, [await wrapped(sending)]), TypeError)
  })

  it('stops where its signal is aborted', async () => {
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    await assert.rejects(receiving.onDecrypt(materials, [await wrapped(sending)], { signal }), reason)
  })

  it('fails where the context can’t be serialised', async () => {
    const tooLong = { a: 'x'.repeat(0x10000) }
    await assert.rejects(sending.onEncrypt(encryptionMaterials({ encryptionContext: tooLong })), {
      code: 'ERR_ESDK_LIMIT',
    })
    const given = decryptionMaterials({ encryptionContext: tooLong })
    await assert.rejects(receiving.onDecrypt(given, [await wrapped(sending)]), { code: 'ERR_ESDK_LIMIT' })
  })

  it('shows no key when it is printed', () => {
    const { alice } = KEYRINGS['P-256']
    for (const by of [discovery, sending]) {
      const shown = inspect(by, { depth: 10, showHidden: true })
      assert.ok(!shown.includes('01 02 03') && !shown.includes(alice.point.toString('hex')))
      assert.equal(JSON.stringify(by), '{}')
    }
  })

  describe('whole messages', () => {
    const cases = fc.record({
      curve: fc.constantFrom(...CURVE_NAMES),
      pair: fc.constantFrom<[keyof Keyrings, keyof Keyrings]>(
        ['ephemeral', 'discovery'],
        ['sending', 'receiving'],
        ['sending', 'sending'],
        ['sending', 'discovery'],
        ['receiving', 'sending'],
      ),
      suite: suites,
      context: encryptionContexts,
      plaintext: bytes(100),
    })

    it('of every schema, curve, suite and context come back', async () => {
      await fc.assert(
        fc.asyncProperty(cases, async ({ curve, pair, suite, context, plaintext }) => {
          const [writer, reader] = pair.map((name) => KEYRINGS[curve][name as 'sending']) // every name in pair is a keyring's
          const shared = { commitmentPolicy: policyOf(suite) }
          const options = { ...shared, keyring: writer!, algorithmSuite: suite.id, encryptionContext: context }
          const { ciphertext } = await encrypt(plaintext, options)
          const back = await decrypt(ciphertext, { ...shared, keyring: reader! })
          assert.deepEqual(back.plaintext, plaintext)
        }),
        { numRuns: 60 },
      )
    })

    it('are opened by any keyring of several', async () => {
      const keyring = new MultiKeyring({ generator: KEYRINGS['P-384'].ephemeral, children: [sending] })
      const { ciphertext } = await encrypt('text', { keyring })
      for (const reader of [KEYRINGS['P-384'].discovery, receiving, discovery]) {
        assert.equal((await decrypt(ciphertext, { keyring: reader })).plaintext.toString(), 'text')
      }
    })
  })
})

/** A compressed point in form, whose x is on the curve's twist. */
function offCurve(curve: CurveName): Buffer {
  const { point } = CURVES[curve]
  for (let x = 1; x < 256; x++) {
    const candidate = Buffer.alloc(point)
    candidate[0] = 2
    candidate[point - 1] = x
    if (!isOnCurve(curve, candidate)) return candidate
  }
  throw new Error('every small x is on the curve')
}

function isOnCurve(curve: CurveName, candidate: Buffer): boolean {
  const { Point } = { 'P-256': p256, 'P-384': p384, 'P-521': p521 }[curve]
  try {
    Point.fromBytes(candidate)
    return true
  } catch {
    return false
  }
}

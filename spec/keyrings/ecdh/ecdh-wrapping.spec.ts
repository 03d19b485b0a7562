import assert from 'node:assert/strict'
import { UnwrapError, WrapError } from 'esdk-streams'
import type { EncryptedDataKey } from 'esdk-streams/format'
import { ecdhCurve } from '#lib/keyrings/ecdh/ecdh-key'
import { encodeEcdhInfo, readEcdhInfo } from '#lib/keyrings/ecdh/ecdh-provider-info'
import {
  type EcdhProviderId,
  type EcdhUnwrapping,
  addEcdhDataKey,
  unwrapEcdhDataKey,
} from '#lib/keyrings/ecdh/ecdh-wrapping'
import { decryptionMaterials, encryptionMaterials, secret } from '../../materials/sample.ts'
import { CURVES, CURVE_NAMES, type CurveName, agreed, party } from './keys.ts'

const encryptionContext = { department: 'admin' }
const materials = decryptionMaterials({ encryptionContext })
const curve = ecdhCurve('P-256')
const [alice, bob] = [party('P-256', 0x01), party('P-256', 0x21)]
const parties = { sender: alice.point, recipient: bob.point }

function wrapped(sharedSecret = agreed(alice, bob), keyProviderId: EcdhProviderId = 'aws-kms-ecdh'): EncryptedDataKey {
  const full = encryptionMaterials({ encryptionContext, dataKey: secret() })
  return addEcdhDataKey(full, { curve, keyProviderId, parties, sharedSecret }).encryptedDataKeys[0]!
}

/** A keyring that asks someone else for the secret, later. */
function asking(agree: () => Promise<Buffer>, changes: Partial<EcdhUnwrapping> = {}): EcdhUnwrapping {
  return { curve, choose: ({ sender }) => ({ other: sender }), agree, ...changes }
}

function isCleared(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

describe('keyrings/ecdh/ecdh-provider-info', () => {
  it('puts the recipient first, and lengths of 32 bits', () => {
    for (const name of CURVE_NAMES) {
      const both = { sender: party(name, 1).point, recipient: party(name, 2).point }
      const info = encodeEcdhInfo(both)
      assert.equal(info.length, CURVES[name].info)
      const length = CURVES[name].point.toString(16).padStart(8, '0')
      assert.equal(
        info.toString('hex'),
        `01${length}${both.recipient.toString('hex')}${length}${both.sender.toString('hex')}`,
      )
      assert.deepEqual(readEcdhInfo(ecdhCurve(name), info), both)
    }
  })

  it('reads nothing else, of any length', () => {
    const info = encodeEcdhInfo(parties)
    for (let length = 0; length < 300; length++) {
      const bytes = Buffer.alloc(length, 1)
      info.copy(bytes)
      const read = readEcdhInfo(curve, bytes)
      if (length === info.length) assert.deepEqual(read, parties)
      else assert.match(read as string, /^(malformed key provider info|another curve)$/) // a reason, as asserted
    }
  })
})

describe('keyrings/ecdh/ecdh-wrapping', () => {
  it('writes the id of the keyring, and reads those of both kinds', async () => {
    for (const id of ['raw-ecdh', 'aws-kms-ecdh'] as const) {
      const key = wrapped(agreed(alice, bob), id)
      assert.equal(key.keyProviderId, id)
      const opened = await unwrapEcdhDataKey(
        materials,
        [key],
        {},
        asking(() => Promise.resolve(agreed(bob, alice))),
      )
      assert.ok(opened.dataKey?.equals(secret()))
    }
  })

  it('agrees with the one who was chosen: a point of the message, or a known key', async () => {
    for (const [other, expected] of [
      [alice.point, alice.publicKey],
      [bob.publicKey, bob.publicKey],
    ] as const) {
      const unwrapping = asking(() => Promise.resolve(agreed(bob, alice)), { choose: () => ({ other }) })
      await unwrapEcdhDataKey(
        materials,
        [wrapped()],
        {},
        {
          ...unwrapping,
          agree: (key) => {
            assert.ok(key.equals(expected))
            return agreed(bob, alice)
          },
        },
      )
    }
  })

  it('clears the shared secret, whatever becomes of the data key', async () => {
    const sent = agreed(alice, bob)
    const key = wrapped(sent)
    assert.ok(isCleared(sent))
    const opened = agreed(alice, bob)
    await unwrapEcdhDataKey(
      materials,
      [key],
      {},
      asking(() => Promise.resolve(opened)),
    )
    assert.ok(isCleared(opened))
    const wrong = Buffer.alloc(32, 7)
    await assert.rejects(
      unwrapEcdhDataKey(
        materials,
        [key],
        {},
        asking(() => Promise.resolve(wrong)),
      ),
      UnwrapError,
    )
    assert.ok(isCleared(wrong))
    const failing = Buffer.alloc(32, 7)
    const tooLong = encryptionMaterials({ encryptionContext: { a: 'x'.repeat(0x10000) } })
    const agreement = { curve, keyProviderId: 'raw-ecdh', parties, sharedSecret: failing } as const
    assert.throws(() => addEcdhDataKey(tooLong, agreement), { code: 'ERR_ESDK_LIMIT' })
    assert.ok(isCleared(failing))
  })

  it('takes no shared secret of another length', async () => {
    const sizes: Readonly<Record<CurveName, readonly number[]>> = {
      'P-256': [0, 31, 33, 65],
      'P-384': [32, 47, 49],
      'P-521': [64, 65, 67],
    }
    for (const name of CURVE_NAMES) {
      const own = ecdhCurve(name)
      const [sender, recipient] = [party(name, 1).point, party(name, 2).point]
      const full = encryptionMaterials({ encryptionContext, dataKey: secret() })
      const shared = { curve: own, keyProviderId: 'raw-ecdh', parties: { sender, recipient } } as const
      for (const size of sizes[name]) {
        const sharedSecret = (): Buffer => Buffer.alloc(size, 9)
        assert.throws(() => addEcdhDataKey(full, { ...shared, sharedSecret: sharedSecret() }), WrapError)
        const sharedSecretOf = Buffer.alloc(CURVES[name].bytes, 9)
        const key = addEcdhDataKey(full, { ...shared, sharedSecret: sharedSecretOf }).encryptedDataKeys[0]!
        const unwrapping = asking(() => Promise.resolve(sharedSecret()), { curve: own })
        await assert.rejects(unwrapEcdhDataKey(materials, [key], {}, unwrapping), (error) => {
          assert.ok(error instanceof UnwrapError)
          assert.match(error.attempts[0]!.reason, /a shared secret of P-\d+ has \d+ bytes, got/)
          return true
        })
      }
    }
  })

  it('keeps what the keyring throws, and goes on to the next data key', async () => {
    const failures = [new Error('access denied'), 'no error at all']
    for (const failure of failures) {
      let calls = 0
      const unwrapping = asking(() => {
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever a keyring may throw
        return calls++ === 0 ? Promise.reject(failure) : Promise.resolve(agreed(bob, alice))
      })
      const [first, second] = [wrapped(), wrapped()]
      const opened = await unwrapEcdhDataKey(materials, [first, second], {}, unwrapping)
      assert.ok(opened.dataKey?.equals(secret()))
      calls = 0
      await assert.rejects(unwrapEcdhDataKey(materials, [first], {}, unwrapping), (error) => {
        assert.ok(error instanceof UnwrapError)
        const text = failure instanceof Error ? failure.message : failure
        assert.deepEqual(error.attempts, [
          { key: first, reason: `no shared secret was obtained: ${text}`, cause: failure },
        ])
        return true
      })
    }
  })

  it('does not ask for a secret where the data key cannot be unwrapped anyway', async () => {
    const unwrapping = asking(() => assert.fail('asked'))
    const key = wrapped()
    const invalid = [
      { ...key, keyProviderId: 'aws-kms' },
      { ...key, keyProviderInfo: key.keyProviderInfo.subarray(1) },
      { ...key, ciphertext: key.ciphertext.subarray(1) },
      { ...key, keyProviderInfo: encodeEcdhInfo({ ...parties, sender: Buffer.alloc(33) }) },
    ]
    await assert.rejects(unwrapEcdhDataKey(materials, invalid, {}, unwrapping), (error) => {
      assert.ok(error instanceof UnwrapError)
      assert.equal(error.attempts.length, invalid.length)
      assert.ok(error.attempts.every(({ cause }) => cause === undefined))
      return true
    })
  })

  it('rejects with the reason of an abort, before a secret is asked for and while it is', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const unwrapping = asking(() => {
      controller.abort(reason)
      return Promise.reject(new Error('interrupted'))
    })
    const { signal } = controller
    await assert.rejects(unwrapEcdhDataKey(materials, [wrapped()], { signal }, unwrapping), reason)
    const never = asking(() => assert.fail('asked'))
    await assert.rejects(unwrapEcdhDataKey(materials, [wrapped()], { signal }, never), reason)
  })

  it('does not unwrap into materials that hold a data key', async () => {
    const full = { ...materials, dataKey: secret() }
    await assert.rejects(
      unwrapEcdhDataKey(
        full,
        [wrapped()],
        {},
        asking(() => Promise.resolve(agreed(bob, alice))),
      ),
      TypeError,
    )
  })
})

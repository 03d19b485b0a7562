import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import * as curves from '@noble/curves/nist.js'
import { ecdhCurve, ecdhCurveOfPoint, ecdhPrivateKey, ecdhPublicKey } from '#lib/keyrings/ecdh/ecdh-key'
import { RawEcdhKeyring, type RawEcdhKeyringOptions } from '#lib/keyrings/raw-ecdh-keyring'
import { decryptionMaterials, encryptionMaterials } from '../../materials/sample.ts'
import { CURVES, CURVE_NAMES, type CurveName, party, sec1 } from './keys.ts'

const pem = { format: 'pem' } as const
const der = { format: 'der' } as const

function publicForms(curve: CurveName): Record<string, Parameters<typeof ecdhPublicKey>[2]> {
  const { publicKey } = party(curve, 1)
  const spki = publicKey.export({ ...der, type: 'spki' })
  return {
    KeyObject: publicKey,
    PEM: publicKey.export({ ...pem, type: 'spki' }).toString(),
    'PEM in a buffer': Buffer.from(publicKey.export({ ...pem, type: 'spki' })),
    DER: spki,
    'DER inside a larger array': new Uint8Array([9, ...spki, 9]).subarray(1, -1),
    'DER with a compressed point': compressedSpki(curve),
  }
}

function privateForms(curve: CurveName): Record<string, Parameters<typeof ecdhPrivateKey>[2]> {
  const { privateKey, secret } = party(curve, 1)
  return {
    KeyObject: privateKey,
    'PKCS#8 PEM': privateKey.export({ ...pem, type: 'pkcs8' }).toString(),
    'SEC 1 PEM': privateKey.export({ ...pem, type: 'sec1' }).toString(),
    'PEM in a buffer': Buffer.from(privateKey.export({ ...pem, type: 'pkcs8' })),
    'PKCS#8 DER': privateKey.export({ ...der, type: 'pkcs8' }),
    'SEC 1 DER': privateKey.export({ ...der, type: 'sec1' }),
    'SEC 1 DER without the public key': sec1(curve, secret),
    'DER in an array': new Uint8Array(privateKey.export({ ...der, type: 'pkcs8' })),
  }
}

/** SubjectPublicKeyInfo around a point in any form. */
function spkiOf(curve: CurveName, point: Buffer): Buffer {
  const algorithm = Buffer.concat([Buffer.from('06072a8648ce3d0201', 'hex'), Buffer.from(CURVES[curve].oid, 'hex')])
  const bits = Buffer.concat([Buffer.from([0]), point])
  const body = Buffer.concat([tagged(0x30, algorithm), tagged(0x03, bits)])
  return tagged(0x30, body)
}

function tagged(tag: number, content: Buffer): Buffer {
  const length = content.length < 128 ? [content.length] : [0x81, content.length]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

function compressedSpki(curve: CurveName): Buffer {
  return spkiOf(curve, party(curve, 1).point)
}

describe('keyrings/ecdh/ecdh-key', () => {
  for (const name of CURVE_NAMES) {
    describe(name, () => {
      const curve = ecdhCurve(name)
      const { point, publicKey, privateKey } = party(name, 1)

      for (const [form, key] of Object.entries(publicForms(name))) {
        it(`takes a public key: ${form}`, () => {
          const read = ecdhPublicKey('recipientPublicKey', curve, key)
          assert.deepEqual(read.point, point)
          assert.ok(read.key.equals(publicKey))
        })
      }

      for (const [form, key] of Object.entries(privateForms(name))) {
        it(`takes a private key: ${form}`, () => {
          const read = ecdhPrivateKey('senderPrivateKey', curve, key)
          assert.deepEqual(read.point, point)
          assert.equal(read.key.type, 'private')
        })
      }

      it('takes no key of another curve', () => {
        for (const other of CURVE_NAMES.filter((candidate) => candidate !== name)) {
          for (const key of Object.values(publicForms(other))) {
            assertRefused(() => ecdhPublicKey('recipientPublicKey', curve, key))
          }
          for (const key of Object.values(privateForms(other))) {
            assertRefused(() => ecdhPrivateKey('senderPrivateKey', curve, key))
          }
        }
      })

      it('takes no point at infinity and no point off the curve', () => {
        const full = publicKey.export({ ...der, type: 'spki' })
        const off = Buffer.from(full)
        off[off.length - 1]! ^= 1
        for (const key of [spkiOf(name, Buffer.from([0])), off, spkiOf(name, Buffer.alloc(point.length))]) {
          assertRefused(() => ecdhPublicKey('recipientPublicKey', curve, key))
          const pemKey = `-----BEGIN PUBLIC KEY-----\n${key.toString('base64')}\n-----END PUBLIC KEY-----\n`
          assertRefused(() => ecdhPublicKey('recipientPublicKey', curve, pemKey))
        }
      })

      it('takes no key at infinity as a KeyObject either, and lives on', () => {
        // Versions of Node refuse to import it, or import it and crash when they are asked for its details.
        let infinity
        try {
          infinity = createPublicKey({ key: spkiOf(name, Buffer.from([0])), format: 'der', type: 'spki' })
        } catch {
          return
        }
        const key = infinity
        assertRefused(() => ecdhPublicKey('recipientPublicKey', curve, key))
      })

      it('takes no private key that is 0 or the order of the curve', () => {
        const { p256, p384, p521 } = curves
        const order = { 'P-256': p256, 'P-384': p384, 'P-521': p521 }[name].Point.Fn.ORDER
        for (const scalar of [0n, order]) {
          const secret = Buffer.from(scalar.toString(16).padStart(2 * CURVES[name].bytes, '0'), 'hex')
          assertRefused(() => ecdhPrivateKey('senderPrivateKey', curve, sec1(name, secret)))
        }
      })

      it('takes no private key that is stored beside another public key', () => {
        const stored = generateKeyPairSync('ec', { namedCurve: name }).privateKey.export({ ...der, type: 'sec1' })
        const other = party(name, 2).publicKey.export({ ...der, type: 'spki' })
        const full = 2 * (CURVES[name].point - 1) + 1
        for (const wrong of [other.subarray(-full), negated(name, stored.subarray(-full))]) {
          const key = Buffer.concat([stored.subarray(0, -full), wrong])
          assertRefused(() => ecdhPrivateKey('senderPrivateKey', curve, key), /belongs to another private key/)
          const object = createPrivateKey({ key, format: 'der', type: 'sec1' })
          assertRefused(() => ecdhPrivateKey('senderPrivateKey', curve, object), /belongs to another private key/)
        }
      })

      it('takes keys whose file spells the curve out', async () => {
        const own = generateKeyPairSync('ec', { namedCurve: name, paramEncoding: 'explicit' })
        const keyring = new RawEcdhKeyring({
          ...{ curve: name, schema: 'static' },
          senderPrivateKey: own.privateKey,
          recipientPublicKey: publicKey,
        })
        const other = new RawEcdhKeyring({
          ...{ curve: name, schema: 'static' },
          senderPrivateKey: privateKey,
          recipientPublicKey: own.publicKey,
        })
        const { dataKey, encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
        for (const by of [keyring, other]) {
          assert.ok((await by.onDecrypt(decryptionMaterials(), encryptedDataKeys)).dataKey?.equals(dataKey!))
        }
      })
    })
  }

  const P256 = ecdhCurve('P-256')

  it('takes no key of a curve of the same size, though its x be on this one', () => {
    for (let index = 0; index < 20; index++) {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
      assertRefused(() => ecdhPublicKey('recipientPublicKey', P256, publicKey))
      assertRefused(() => ecdhPrivateKey('senderPrivateKey', P256, privateKey))
    }
    const brainpool = generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' })
    assertRefused(() => ecdhPublicKey('recipientPublicKey', P256, brainpool.publicKey))
  })

  it('takes nothing else for a key', () => {
    const { publicKey, privateKey } = party('P-256', 1)
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const x25519 = generateKeyPairSync('x25519')
    const never = [
      ...['', 'key', Buffer.alloc(0), Buffer.from([0x30]), Buffer.alloc(33, 2), createSecretKey(Buffer.alloc(32))],
      ...[undefined, null, 5, {}, [0x30], new ArrayBuffer(8), rsa.publicKey, rsa.privateKey],
      ...[x25519.publicKey, x25519.privateKey],
    ]
    const privateText = privateKey.export({ ...pem, type: 'pkcs8' })
    for (const wrong of [...never, privateKey, privateText, privateKey.export({ ...der, type: 'pkcs8' })]) {
      const key = wrong as Buffer // that it is none is what has to be found
      assertRefused(() => ecdhPublicKey('recipientPublicKey', P256, key))
    }
    for (const wrong of [...never, publicKey, publicKey.export({ ...pem, type: 'spki' })]) {
      const key = wrong as Buffer // that it is none is what has to be found
      assertRefused(() => ecdhPrivateKey('senderPrivateKey', P256, key), /private key on P-256/)
    }
    assertRefused(() => ecdhPublicKey('recipientPublicKey', P256, privateText), /this is a private key/)
  })

  it('tells nothing of a private key that it refuses', () => {
    const text = party('P-384', 1)
      .privateKey.export({ ...pem, type: 'pkcs8' })
      .toString()
    const body = text.split('\n')[1]!
    for (const key of [text, `${text.slice(0, 80)}!${text.slice(81)}`]) {
      assert.throws(
        () => ecdhPrivateKey('senderPrivateKey', P256, key),
        (error) => !inspect(error, { depth: 5 }).includes(body.slice(0, 20)),
      )
    }
  })

  it('leaves a caller’s bytes as they are, and keeps none of them', () => {
    const mine = party('P-256', 1).privateKey.export({ ...der, type: 'pkcs8' })
    const before = Buffer.from(mine)
    const read = ecdhPrivateKey('senderPrivateKey', P256, mine)
    assert.deepEqual(mine, before)
    mine.fill(0)
    assert.deepEqual(read.key.export({ ...der, type: 'pkcs8' }), before)
  })

  it('knows its curves by name and by the length of their points', () => {
    for (const name of CURVE_NAMES) {
      assert.equal(ecdhCurveOfPoint(CURVES[name].point)?.curve, name)
      assert.equal(ecdhCurve(name).sharedSecretBytes, CURVES[name].bytes)
    }
    assert.equal(ecdhCurveOfPoint(34), undefined)
    for (const name of ['p256', 'P-512', 'SM2', '__proto__', 'toString', '', undefined]) {
      assert.throws(() => ecdhCurve(name as CurveName), /"curve" expected one of P-256, P-384, P-521/) // not one of them
    }
  })

  describe('options of the raw ECDH keyring', () => {
    const { publicKey: recipientPublicKey, privateKey: senderPrivateKey } = party('P-256', 1)
    const recipientPrivateKey = senderPrivateKey
    const curve = 'P-256'
    const WRONG: Readonly<Record<string, [object, RegExp]>> = {
      'no schema': [
        { curve, recipientPublicKey },
        /"schema" expected one of ephemeral, discovery, static, got undefined/,
      ],
      'an unknown schema': [{ curve, schema: 'toString', recipientPublicKey }, /"schema" expected/],
      'no curve': [{ schema: 'ephemeral', recipientPublicKey }, /"curve" expected/],
      'an ephemeral schema without its key': [{ curve, schema: 'ephemeral' }, /needs "recipientPublicKey"/],
      'an ephemeral schema with a sender': [
        { curve, schema: 'ephemeral', recipientPublicKey, senderPrivateKey },
        /the schema "ephemeral" takes no "senderPrivateKey"/,
      ],
      'discovery without its key': [{ curve, schema: 'discovery' }, /needs "recipientPrivateKey"/],
      'discovery with a public key': [
        { curve, schema: 'discovery', recipientPrivateKey, recipientPublicKey },
        /the schema "discovery" takes no "recipientPublicKey"/,
      ],
      'a static schema without a sender': [{ curve, schema: 'static', recipientPublicKey }, /needs "senderPrivateKey"/],
      'a static schema without a recipient': [
        { curve, schema: 'static', senderPrivateKey },
        /needs "recipientPublicKey"/,
      ],
      'a static schema with the keys exchanged': [
        { curve, schema: 'static', senderPrivateKey: recipientPublicKey, recipientPublicKey: senderPrivateKey },
        /"senderPrivateKey" expected a private key on P-256/,
      ],
    }
    for (const [what, [options, message]] of Object.entries(WRONG)) {
      it(`refuse ${what}`, () => {
        const wrong = options as RawEcdhKeyringOptions // that it is none is what has to be found
        assert.throws(() => new RawEcdhKeyring(wrong), { name: 'TypeError', message })
      })
    }
  })
})

/** The same point with -y, which has the same x. */
function negated(curve: CurveName, point: Buffer): Buffer {
  const size = CURVES[curve].point - 1
  const primes = {
    'P-256': 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    'P-384': 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    'P-521': 2n ** 521n - 1n,
  }
  const y = primes[curve] - BigInt(`0x${point.toString('hex', 1 + size)}`)
  return Buffer.concat([point.subarray(0, 1 + size), Buffer.from(y.toString(16).padStart(2 * size, '0'), 'hex')])
}

function assertRefused(work: () => unknown, message = /expected a (public|private) key on P-/): void {
  assert.throws(work, { name: 'TypeError', message })
}

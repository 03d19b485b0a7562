/** Keys on elliptic curves that are the same in every run, and the data keys that they wrap. */
import {
  type KeyObject,
  createCipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
} from 'node:crypto'
import { type EncryptedDataKey, encodeEncryptionContext } from 'esdk-streams/format'
import { compressPoint } from '#lib/crypto/ec-point'
import { sequence } from '../../arbitraries.ts'
import { uint } from '../../message-recipe.ts'

export const CURVES = {
  'P-256': { bytes: 32, point: 33, info: 75, name: 'p256', oid: '06082a8648ce3d030107' },
  'P-384': { bytes: 48, point: 49, info: 107, name: 'p384', oid: '06052b81040022' },
  'P-521': { bytes: 66, point: 67, info: 143, name: 'p521', oid: '06052b81040023' },
} as const

export type CurveName = keyof typeof CURVES

export const CURVE_NAMES: readonly CurveName[] = ['P-256', 'P-384', 'P-521']

/** SEC 1 DER of a private key, without its public key. */
export function sec1(curve: CurveName, secret: Buffer): Buffer {
  const oid = Buffer.from(CURVES[curve].oid, 'hex')
  const content = [Buffer.from('0201010400', 'hex'), secret, Buffer.from([0xa0, oid.length]), oid]
  content[0]![4] = secret.length
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.from([0x30, body.length]), body])
}

/** A key pair and its point. */
export interface Party {
  readonly secret: Buffer
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly point: Buffer
}

/** The party whose private key rises from `first`; on P-521 behind a zero byte, so that any `first` is below the order. */
export function party(curve: CurveName, first: number): Party {
  const { bytes } = CURVES[curve]
  const secret =
    curve === 'P-521' ? Buffer.concat([Buffer.alloc(1), sequence(first, bytes - 1)]) : sequence(first, bytes)
  const privateKey = createPrivateKey({ key: sec1(curve, secret), format: 'der', type: 'sec1' })
  const publicKey = createPublicKey(privateKey)
  return { secret, privateKey, publicKey, point: compressPoint(publicKey) }
}

/** What a crafted data key is made of. */
export interface Recipe {
  readonly curve: CurveName
  /** Their points may be anything: the secret alone is computed with keys. */
  readonly senderPoint: Buffer
  readonly recipientPoint: Buffer
  readonly sharedSecret: Buffer
  readonly salt: Buffer
  readonly dataKey: Buffer
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly keyProviderId?: string
}

/** The shared secret of two parties. */
export function agreed(own: Party, other: Party): Buffer {
  return diffieHellman({ privateKey: own.privateKey, publicKey: other.publicKey })
}

/** A data key wrapped as the specification says, written from it a second time. */
export function crafted(recipe: Recipe): EncryptedDataKey {
  const { senderPoint, recipientPoint, salt, keyProviderId = 'raw-ecdh' } = recipe
  const fixedInfo = fixedInfoOf(recipe)
  const blocks = [1, 2].map((counter) =>
    createHmac('sha384', recipe.sharedSecret)
      .update(Buffer.concat([uint(counter, 4), fixedInfo, Buffer.alloc(1), salt, uint(512, 4)]))
      .digest(),
  )
  const derived = Buffer.concat(blocks)
  const cipher = createCipheriv('aes-256-gcm', derived.subarray(32, 64), Buffer.alloc(12)).setAAD(fixedInfo)
  const wrapped = Buffer.concat([cipher.update(recipe.dataKey), cipher.final()])
  const lengths = [uint(recipientPoint.length, 4), uint(senderPoint.length, 4)] as const
  return {
    keyProviderId,
    keyProviderInfo: Buffer.concat([Buffer.from([1]), lengths[0], recipientPoint, lengths[1], senderPoint]),
    ciphertext: Buffer.concat([salt, derived.subarray(0, 32), wrapped, cipher.getAuthTag()]),
  }
}

export function fixedInfoOf({ curve, senderPoint, recipientPoint, encryptionContext }: Recipe): Buffer {
  return Buffer.concat([
    Buffer.from(`ecdh-key-derivation\0${CURVES[curve].name}\0HMAC_SHA384\0`),
    ...[senderPoint, recipientPoint, Buffer.from([0, 1, 0])],
    encodeEncryptionContext(encryptionContext),
  ])
}

/** The wrapped data key of the known answer, of Alice for Bob on P-256; `keyProviderId` is that of raw keys. */
export const KNOWN_ANSWER: EncryptedDataKey = {
  keyProviderId: 'raw-ecdh',
  keyProviderInfo: Buffer.from(
    '0100000021031f140146bfb1b251f84f4ddbe0d4cdcfd77afd984a9520e35794021f8312bb9e' +
      '0000002102515c3d6eb9e396b904d3feca7f54fdcd0cc1e997bf375dca515ad0a6c3b4035f',
    'hex',
  ),
  ciphertext: Buffer.from(
    'd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeefc8c09f4faa73d4baf820ca40227795a7b5e56844c37067d5626e' +
      '373f00623ea815235c4df9960b494ec61d015aec048d618570b33e1652a3d8efb318e3ef29bb766ec49d5325bd6c449f7cd4367e5d0b',
    'hex',
  ),
}

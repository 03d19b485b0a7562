/**
 * Messages made by hand: every field can be replaced before the header is authenticated, every frame can lie about
 * itself, and all that was not replaced still fits. Always the same bytes for the same recipe.
 */
import { type KeyObject, createHash, createPrivateKey, createPublicKey, createSecretKey } from 'node:crypto'
import { p256, p384 } from '@noble/curves/nist.js'
import { RawAesKeyring } from 'esdk-streams'
import {
  type AlgorithmSuite,
  type BodyContent,
  type EncryptedDataKey,
  type SignatureAlgorithm,
  bodyAad,
  encodeEncryptedDataKeys,
  encodeEncryptionContext,
} from 'esdk-streams/format'
import { sealAead } from '#lib/crypto/aead'
import { compressPoint } from '#lib/crypto/ec-point'
import { sealHeader } from '#lib/crypto/header-tag'
import { deriveMessageKeys } from '#lib/crypto/message-keys'
import { sequence } from './arbitraries.ts'

/** The one wrapping key of crafted messages. No secret. */
export const CRAFTING_KEY: { readonly keyNamespace: string; readonly keyName: string; readonly wrappingKey: Buffer } = {
  keyNamespace: 'esdk-streams-fixtures',
  keyName: 'aes-256',
  wrappingKey: sequence(0, 32),
}

/** Opens crafted messages. */
export function craftingKeyring(): RawAesKeyring {
  return new RawAesKeyring(CRAFTING_KEY)
}

/** A header body in its parts; `type`, `reserved` and `ivLength` are empty in version 2, `commitment` in version 1. */
export interface HeaderParts {
  readonly version: Buffer
  readonly type: Buffer
  readonly suite: Buffer
  readonly messageId: Buffer
  /** Length, count and pairs. */
  readonly context: Buffer
  /** Count and entries. */
  readonly keys: Buffer
  readonly contentType: Buffer
  readonly reserved: Buffer
  readonly ivLength: Buffer
  readonly frameLength: Buffer
  readonly commitment: Buffer
}

/** A frame, or non-framed content. What it says of itself and what is authenticated may differ. */
export interface FrameRecipe {
  readonly content: Buffer
  readonly kind: BodyContent
  readonly number: number
  readonly iv?: Buffer
  /** What is written where it is not what is authenticated. */
  readonly storedNumber?: number
  readonly storedLength?: bigint
  /** What is authenticated where it is not what is written. */
  readonly aad?: Buffer
}

/** What a crafted message is made of; everything but the suite has a value that fits. */
export interface Recipe {
  readonly suite: AlgorithmSuite
  readonly plaintext?: Buffer
  readonly frameLength?: number
  readonly dataKey?: Buffer
  /** The stored pairs, without public key. */
  readonly context?: Readonly<Record<string, string>>
  /** Pairs that are authenticated and not stored. */
  readonly required?: Readonly<Record<string, string>>
  /** The text under `aws-crypto-public-key`; null: none. Unless said, that of the signing key where the suite signs. */
  readonly publicKey?: string | null
  readonly keys?: readonly EncryptedDataKey[]
  readonly header?: Partial<HeaderParts>
  /** What is authenticated after the header body. */
  readonly requiredBytes?: Buffer
  readonly headerIv?: Buffer
  /** As version 4.0.0 of the SDK for .NET derived it, without the message id. */
  readonly bindMessageId?: boolean
  readonly frames?: readonly FrameRecipe[]
  readonly nonFramed?: boolean
  /** The signature over these bytes. */
  readonly sign?: (signed: Buffer) => Buffer
  readonly trailing?: Buffer
}

/** A crafted message and its parts. */
export interface Crafted {
  readonly message: Buffer
  readonly header: Buffer
  readonly body: Buffer
  readonly footer: Buffer
  readonly parts: HeaderParts
  readonly messageKey: KeyObject
}

const FRAME_LENGTH = 16

/** 40 bytes: two full frames of 16 bytes and one of 8. */
export const CRAFTED_PLAINTEXT: Buffer = Buffer.from('forty bytes of plaintext in three frames')

/** The context of a recipe that says nothing. */
export const CRAFTED_CONTEXT: Readonly<Record<string, string>> = { purpose: 'fixture', é: '\u{1f600}' }

/** Makes a message. */
export function craft(recipe: Recipe): Crafted {
  const { suite, context = CRAFTED_CONTEXT, required = {}, nonFramed = false } = recipe
  const { plaintext = CRAFTED_PLAINTEXT, frameLength = nonFramed ? 0 : FRAME_LENGTH } = recipe
  const dataKey = recipe.dataKey ?? sequence(0x40, suite.keyBytes)
  const messageId = recipe.header?.messageId ?? sequence(0xa0, suite.messageVersion === 1 ? 16 : 32)
  const stored: Record<string, string> = { ...context }
  const publicKey =
    recipe.publicKey === undefined ? suite.signature && publicKeyText(suite.signature) : recipe.publicKey
  if (typeof publicKey === 'string') stored['aws-crypto-public-key'] = publicKey
  const keys = recipe.keys ?? [wrap(dataKey, { ...stored, ...required })]
  const { messageKey, commitment = Buffer.alloc(0) } = deriveMessageKeys(
    suite,
    createSecretKey(Buffer.concat([dataKey, Buffer.alloc(suite.keyBytes)], suite.keyBytes)),
    messageId,
    recipe.bindMessageId,
  )
  const first = suite.messageVersion === 1
  const parts: HeaderParts = {
    version: uint(suite.messageVersion, 1),
    type: first ? uint(0x80, 1) : Buffer.alloc(0),
    suite: uint(suite.id, 2),
    messageId,
    context: prefixed(encodeEncryptionContext(stored)),
    keys: encodeEncryptedDataKeys(keys),
    contentType: uint(nonFramed ? 1 : 2, 1),
    reserved: Buffer.alloc(first ? 4 : 0),
    ivLength: first ? uint(12, 1) : Buffer.alloc(0),
    frameLength: uint(frameLength, 4),
    commitment,
    ...recipe.header,
  }
  const headerBody = joinParts(parts)
  const requiredBytes = recipe.requiredBytes ?? encodeEncryptionContext(required)
  const header = Buffer.concat([
    headerBody,
    authenticate(suite, messageKey, headerBody, requiredBytes, recipe.headerIv),
  ])
  const frames = recipe.frames ?? (nonFramed ? [nonFramedContent(plaintext)] : framesOf(plaintext, frameLength))
  const body = Buffer.concat(frames.map((frame) => sealFrame(messageKey, messageId, frame)))
  const footer = footerOf(suite, Buffer.concat([header, body]), recipe.sign)
  const message = Buffer.concat([header, body, footer, recipe.trailing ?? Buffer.alloc(0)])
  return { message, header, body, footer, parts, messageKey }
}

/** The bytes of a header body. */
export function joinParts(parts: HeaderParts): Buffer {
  const { version, type, suite, messageId, context, keys, contentType, reserved, ivLength, frameLength } = parts
  const ordered = [version, type, suite, messageId, context, keys, contentType, reserved, ivLength, frameLength]
  return Buffer.concat([...ordered, parts.commitment])
}

function authenticate(
  suite: AlgorithmSuite,
  messageKey: KeyObject,
  headerBody: Buffer,
  required: Buffer,
  iv: Buffer | undefined,
): Buffer {
  const { tag } =
    iv === undefined
      ? sealHeader(messageKey, headerBody, required)
      : sealAead(messageKey, iv, Buffer.concat([headerBody, required]), Buffer.alloc(0))
  return suite.messageVersion === 1 ? Buffer.concat([iv ?? Buffer.alloc(12), tag]) : tag
}

function footerOf(suite: AlgorithmSuite, signed: Buffer, sign: Recipe['sign']): Buffer {
  const { signature } = suite
  if (sign !== undefined) return prefixed(sign(signed))
  if (signature === undefined) return Buffer.alloc(0)
  return prefixed(signatureOf(signature, hashOf(signature, signed), signature.signatureBytes))
}

/** Frames as this library cuts them: the final one is full where the plaintext divides evenly. */
export function framesOf(plaintext: Buffer, frameLength: number): FrameRecipe[] {
  const count = Math.max(1, Math.ceil(plaintext.length / frameLength))
  return Array.from({ length: count }, (_, index) => ({
    content: plaintext.subarray(index * frameLength, (index + 1) * frameLength),
    kind: index === count - 1 ? 'final' : 'regular',
    number: index + 1,
  }))
}

/** Content without frames. */
export function nonFramedContent(content: Buffer): FrameRecipe {
  return { content, kind: 'non-framed', number: 1 }
}

/** The bytes of one frame. */
export function sealFrame(messageKey: KeyObject, messageId: Buffer, frame: FrameRecipe): Buffer {
  const { content, kind, number, storedNumber = number, storedLength = BigInt(content.length) } = frame
  const iv = frame.iv ?? Buffer.concat([Buffer.alloc(8), uint(number, 4)])
  const aad = frame.aad ?? bodyAad(messageId, kind, number, content.length)
  const { ciphertext, tag } = sealAead(messageKey, iv, aad, content)
  const starts: Readonly<Record<BodyContent, () => Buffer[]>> = {
    regular: () => [uint(storedNumber, 4), iv],
    final: () => [uint(0xffffffff, 4), uint(storedNumber, 4), iv, uint(Number(storedLength), 4)],
    'non-framed': () => [iv, uint64(storedLength)],
  }
  return Buffer.concat([...starts[kind](), ciphertext, tag])
}

/** A data key wrapped by raw AES under the crafting key (or another, or another name). */
export function wrap(
  dataKey: Buffer,
  context: Readonly<Record<string, string>>,
  { keyNamespace, keyName, wrappingKey }: typeof CRAFTING_KEY = CRAFTING_KEY,
): EncryptedDataKey {
  const iv = sequence(0xc0, 12)
  const { ciphertext, tag } = sealAead(createSecretKey(wrappingKey), iv, encodeEncryptionContext(context), dataKey)
  return {
    keyProviderId: keyNamespace,
    keyProviderInfo: Buffer.concat([Buffer.from(keyName), uint(128, 4), uint(12, 4), iv]),
    ciphertext: Buffer.concat([ciphertext, tag]),
  }
}

const CURVES = { 'P-256': p256, 'P-384': p384 } as const

/** The fixed private key of crafted messages on a curve; another one for another `first` byte. */
export function craftingSigningKey({ curve }: Pick<SignatureAlgorithm, 'curve'>, first = 1): KeyObject {
  const size = curve === 'P-256' ? 32 : 48
  const secret = sequence(first, size)
  const point = Buffer.from(CURVES[curve].getPublicKey(secret, false))
  const coordinates = { x: point.toString('base64url', 1, 1 + size), y: point.toString('base64url', 1 + size) }
  const key = { kty: 'EC', crv: curve, d: secret.toString('base64url'), ...coordinates }
  return createPrivateKey({ format: 'jwk', key })
}

/** The text that a message stores for a signing key. */
export function publicKeyText(algorithm: Pick<SignatureAlgorithm, 'curve'>, first = 1): string {
  return compressPoint(createPublicKey(craftingSigningKey(algorithm, first))).toString('base64')
}

/** The digest that a suite signs. */
export function hashOf({ hash }: Pick<SignatureAlgorithm, 'hash'>, signed: Buffer): Buffer {
  return createHash(hash).update(signed).digest()
}

/** A signature of exactly `length` bytes, the same for the same input: signs with one nonce after the other. */
export function signatureOf(
  { curve }: Pick<SignatureAlgorithm, 'curve'>,
  digest: Buffer,
  length: number,
  first = 1,
): Buffer {
  const { Signature, sign } = CURVES[curve]
  const secret = sequence(first, curve === 'P-256' ? 32 : 48)
  for (let attempt = 0; ; attempt++) {
    const compact = sign(digest, secret, { prehash: false, lowS: false, extraEntropy: uint(attempt, 32) })
    const der = Buffer.from(Signature.fromBytes(compact, 'compact').toBytes('der'))
    if (der.length === length) return der
  }
}

/** A number in so many bytes. */
export function uint(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.writeUIntBE(value, Math.max(0, size - 6), Math.min(6, size))
  return bytes
}

/** A number in eight bytes. */
export function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

/** Bytes after their length in two bytes. */
export function prefixed(content: Buffer): Buffer {
  return Buffer.concat([uint(content.length, 2), content])
}

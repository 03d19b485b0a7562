/**
 * Writes fixtures/: golden messages, messages of shapes that must be refused, unusual ones that must be read, and known
 * answers of RSA with PKCS #1 v1.5 (those only on a Node whose OpenSSL has implicit rejection). All but the last are the
 * same bytes in every run.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { DecryptOptions, ErrorCode } from 'esdk-streams'
import {
  ALGORITHM_SUITES,
  type AlgorithmSuite,
  algorithmSuite,
  bodyAad,
  encodeEncryptedDataKeys,
  encodeEncryptionContext,
} from 'esdk-streams/format'
import { encodePairs } from '#lib/format/encryption-context'
import { sequence } from '../spec/arbitraries.ts'
import {
  CRAFTED_CONTEXT,
  CRAFTED_PLAINTEXT,
  CRAFTING_KEY,
  type FrameRecipe,
  type Recipe,
  craft,
  framesOf,
  hashOf,
  nonFramedContent,
  prefixed,
  publicKeyText,
  sealFrame,
  signatureOf,
  uint,
  wrap,
} from '../spec/message-recipe.ts'
import { pkcs1Answers } from './pkcs1-answers.ts'

const root = resolve(import.meta.dirname, '..', 'fixtures')

const V1 = algorithmSuite(0x0178)
const V1_SIGNED = algorithmSuite(0x0378)
const P256_SIGNED = algorithmSuite(0x0214)
const V2 = algorithmSuite(0x0478)
const V2_SIGNED = algorithmSuite(0x0578)

/** The options of a decryption as far as JSON holds them. */
type Options = Pick<DecryptOptions, 'encryptionContext' | 'allowNet400Messages'>

interface Malformed {
  readonly message: Buffer
  readonly code: ErrorCode
  /** Of an authentication error: which check has to find it. */
  readonly part?: 'header' | 'commitment' | 'frame' | 'signature'
  readonly options?: Options
}

interface Unusual {
  readonly message: Buffer
  readonly plaintext: Buffer
  readonly options?: Options
}

const malformed: Record<string, Malformed> = {}
const unusual: Record<string, Unusual> = {}

function refuse(
  name: string,
  code: ErrorCode,
  message: Buffer | Recipe,
  more: Omit<Malformed, 'message' | 'code'> = {},
): void {
  malformed[name] = { message: bytesOf(message), code: code, ...more }
}

function refuseUnauthentic(name: string, part: NonNullable<Malformed['part']>, message: Buffer | Recipe): void {
  refuse(name, 'ERR_ESDK_AUTHENTICATION', message, { part })
}

function accept(name: string, recipe: Recipe, options?: Options): void {
  const plaintext = recipe.plaintext ?? CRAFTED_PLAINTEXT
  unusual[name] = { message: craft(recipe).message, plaintext, ...(options !== undefined && { options }) }
}

function bytesOf(message: Buffer | Recipe): Buffer {
  return Buffer.isBuffer(message) ? message : craft(message).message
}

/** A copy with one byte changed. A negative position counts from the end. */
function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at < 0 ? copy.length + at : at]! ^= 1
  return copy
}

/** Pairs in the order given, after their length. */
function section(...pairs: (readonly [string | Buffer, string | Buffer])[]): Buffer {
  return prefixed(encodePairs(pairs.map(([name, value]) => [Buffer.from(name), Buffer.from(value)])))
}

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

// Headers that are no headers.
{
  const v1 = craft({ suite: V1 }).message
  const v2 = craft({ suite: V2 }).message
  refuse('empty', 'ERR_ESDK_TRUNCATED', Buffer.alloc(0))
  refuse('base64-v1', 'ERR_ESDK_MALFORMED', Buffer.from(v1.toString('base64')))
  refuse('base64-v2', 'ERR_ESDK_MALFORMED', Buffer.from(v2.toString('base64')))
  refuse('base64-v2-signed', 'ERR_ESDK_MALFORMED', Buffer.from(craft({ suite: V2_SIGNED }).message.toString('base64')))
  refuse('gzip', 'ERR_ESDK_MALFORMED', gzipSync(v2))
  refuse('version-0', 'ERR_ESDK_MALFORMED', { suite: V2, header: { version: uint(0, 1) } })
  refuse('version-3', 'ERR_ESDK_MALFORMED', { suite: V2, header: { version: uint(3, 1) } })
  refuse('type-0', 'ERR_ESDK_MALFORMED', { suite: V1, header: { type: uint(0, 1) } })
  refuse('type-129', 'ERR_ESDK_MALFORMED', { suite: V1, header: { type: uint(0x81, 1) } })
  refuse('version-1-with-committing-suite', 'ERR_ESDK_MALFORMED', { suite: V1, header: { suite: uint(0x0478, 2) } })
  refuse('version-2-with-other-suite', 'ERR_ESDK_MALFORMED', { suite: V2, header: { suite: uint(0x0178, 2) } })
  refuse('suite-0', 'ERR_ESDK_MALFORMED', { suite: V2, header: { suite: uint(0, 2) } })
  refuse('suite-unknown', 'ERR_ESDK_MALFORMED', { suite: V1, header: { suite: uint(0x0215, 2) } })
  refuse('suite-of-s3-encryption-client', 'ERR_ESDK_UNSUPPORTED', { suite: V2, header: { suite: uint(0x0073, 2) } })
  refuse('suite-of-database-encryption', 'ERR_ESDK_UNSUPPORTED', { suite: V2, header: { suite: uint(0x6701, 2) } })
  refuse('content-type-0', 'ERR_ESDK_MALFORMED', { suite: V2, header: { contentType: uint(0, 1) } })
  refuse('content-type-3', 'ERR_ESDK_MALFORMED', { suite: V1, header: { contentType: uint(3, 1) } })
  refuse('reserved-not-zero', 'ERR_ESDK_MALFORMED', { suite: V1, header: { reserved: uint(1, 4) } })
  refuse('iv-length-11', 'ERR_ESDK_MALFORMED', { suite: V1, header: { ivLength: uint(11, 1) } })
  refuse('framed-with-frame-length-0', 'ERR_ESDK_MALFORMED', { suite: V2, header: { frameLength: uint(0, 4) } })
  const frameLength = uint(16, 4)
  refuse('non-framed-with-frame-length', 'ERR_ESDK_MALFORMED', { suite: V2, nonFramed: true, header: { frameLength } })
  refuse('frame-length-above-limit', 'ERR_ESDK_LIMIT', { suite: V2, header: { frameLength: uint(2 ** 26 + 1, 4) } })
}

// Encryption contexts that can't be read.
{
  const context = (name: string, bytes: Buffer): void => {
    refuse(`context-${name}`, 'ERR_ESDK_MALFORMED', { suite: V2, context: {}, header: { context: bytes } })
  }
  context('of-one-byte', hex('0001 00'))
  context('that-counts-a-pair-and-has-none', hex('0002 0001'))
  context('that-counts-no-pair-and-is-longer', hex('0003 0000 00'))
  context('that-counts-no-pair-and-has-one', hex('0006 0000 0000 0000'))
  context('pair-past-its-end', hex('0008 0001 0001 61 0002 62'))
  context('two-bytes-too-long', prefixed(Buffer.concat([encodeEncryptionContext({ a: 'b' }), Buffer.alloc(2)])))
  context('with-a-name-twice', section(['a', '1'], ['a', '2']))
  context('with-a-name-twice-apart', section(['a', '1'], ['b', '2'], ['a', '1']))
  context('name-not-utf8', section([hex('ff'), '1']))
  context('value-of-overlong-utf8', section(['a', hex('c080')]))
  context('value-of-lone-surrogate', section(['a', hex('eda080')]))
}

// Encrypted data keys.
{
  refuse('keys-none', 'ERR_ESDK_MALFORMED', { suite: V2, keys: [] })
  const key = wrap(sequence(0x40, 32), CRAFTED_CONTEXT)
  const entry = encodeEncryptedDataKeys([key])
  const idAt = entry.indexOf(CRAFTING_KEY.keyNamespace)
  const broken = Buffer.from(entry)
  broken[idAt] = 0xff
  refuse('key-provider-id-not-utf8', 'ERR_ESDK_MALFORMED', { suite: V2, header: { keys: broken } })
  const other = wrap(sequence(0x40, 32), CRAFTED_CONTEXT, { ...CRAFTING_KEY, wrappingKey: sequence(1, 32) })
  refuse('key-wrapped-under-another-key', 'ERR_ESDK_UNWRAP', { suite: V2, keys: [other] })
  refuse('key-wrapped-in-another-context', 'ERR_ESDK_UNWRAP', { suite: V2, keys: [wrap(sequence(0x40, 32), {})] })
  const short = sequence(0x40, 16)
  const keys = [wrap(short, CRAFTED_CONTEXT)]
  refuse('key-of-16-bytes-for-a-suite-of-32', 'ERR_ESDK_UNWRAP', { suite: V1, dataKey: short, keys })
  const renamed = wrap(sequence(0x40, 32), CRAFTED_CONTEXT, { ...CRAFTING_KEY, keyName: 'aes-2560' })
  refuse('key-name-longer', 'ERR_ESDK_UNWRAP', { suite: V2, keys: [renamed] })
  const withTag = (bits: number): Buffer => {
    const info = Buffer.from(key.keyProviderInfo)
    info.writeUInt32BE(bits, CRAFTING_KEY.keyName.length)
    return info
  }
  refuse('key-tag-length-96', 'ERR_ESDK_UNWRAP', { suite: V2, keys: [{ ...key, keyProviderInfo: withTag(96) }] })
}

// Headers that are not authentic, each but for one check.
{
  const { parts } = craft({ suite: V2 })
  const commitment = flipped(parts.commitment, 0)
  refuseUnauthentic('commitment-differs', 'commitment', { suite: V2, header: { commitment } })
  const v2 = craft({ suite: V2 })
  refuseUnauthentic('header-tag-changed', 'header', flipped(v2.message, v2.header.length - 1))
  const v1 = craft({ suite: V1 })
  refuseUnauthentic('header-iv-changed', 'header', flipped(v1.message, v1.header.length - 28))
  const requiredBytes = encodeEncryptionContext({ left: 'out' })
  refuseUnauthentic('header-authenticated-with-a-pair-more', 'header', { suite: V2, requiredBytes })
  refuseUnauthentic('header-of-net-400', 'header', { suite: V2, requiredBytes: uint(0, 2) })
  const net400 = { bindMessageId: false, requiredBytes: uint(0, 2) }
  refuseUnauthentic('header-and-key-of-net-400', 'header', { suite: V1, ...net400 })
  accept('header-of-net-400', { suite: V2, requiredBytes: uint(0, 2) }, { allowNet400Messages: true })
  accept('header-and-key-of-net-400', { suite: V1, ...net400 }, { allowNet400Messages: true })
  accept('header-with-random-iv', { suite: V1, headerIv: sequence(0x71, 12) })
}

// Public keys that are none.
{
  const key = (name: string, publicKey: string | null, suite: AlgorithmSuite = V2_SIGNED): void => {
    refuse(`public-key-${name}`, 'ERR_ESDK_MALFORMED', { suite, publicKey })
  }
  const text = publicKeyText(V2_SIGNED.signature!)
  const point = Buffer.from(text, 'base64')
  const withPrefix = (prefix: number): string => Buffer.concat([uint(prefix, 1), point.subarray(1)]).toString('base64')
  key('missing', null)
  key('without-signature', text, V2)
  key('not-base64', text.replace(/^./, '!'))
  key('base64-not-canonical', `${text}\n`)
  key('of-48-bytes', point.subarray(0, 48).toString('base64'))
  key('of-50-bytes', Buffer.concat([point, Buffer.alloc(1)]).toString('base64'))
  key('prefix-04', withPrefix(4))
  key('prefix-05', withPrefix(5))
  key('of-another-curve', publicKeyText(P256_SIGNED.signature!))
  key('off-the-curve', Buffer.concat([uint(2, 1), uint(1, 48)]).toString('base64'))
  key('above-the-prime', Buffer.concat([uint(2, 1), Buffer.alloc(48, 0xff)]).toString('base64'))
}

// Frames.
{
  const [first, second, final] = framesOf(CRAFTED_PLAINTEXT, 16) as [FrameRecipe, FrameRecipe, FrameRecipe] // 40 bytes
  const frames = (name: string, list: readonly FrameRecipe[], suite = V2): void => {
    refuseUnauthentic(`frame-${name}`, 'frame', { suite, frames: list })
  }
  const { messageKey, parts, header, body, message } = craft({ suite: V2 })
  frames('0-first', [{ ...first, number: 0 }, second, final])
  frames('2-first', [second, { ...final, number: 3 }])
  frames('repeated', [first, first, second, final])
  frames('left-out', [first, final])
  frames('swapped', [second, first, final])
  frames('bears-another-number', [first, { ...second, storedNumber: 7 }, final])
  frames('final-bears-another-number', [first, second, { ...final, storedNumber: 2 }])
  const numbered = bodyAad(parts.messageId, 'regular', 1, 16)
  frames('authenticated-under-another-number', [first, { ...second, aad: numbered }, final])
  const relabelled = { ...second, kind: 'final', aad: bodyAad(parts.messageId, 'regular', 2, 16) } as const
  frames('regular-as-final', [first, relabelled])
  const aad = bodyAad(parts.messageId, 'final', 2, 16)
  frames('final-as-regular', [first, { ...second, aad }, final])
  frames('final-authenticated-as-non-framed', [
    first,
    second,
    { ...final, aad: bodyAad(parts.messageId, 'non-framed', 3, 8) },
  ])
  const lengthless = bodyAad(parts.messageId, 'regular', 1, 0)
  frames('authenticated-with-another-length', [{ ...first, aad: lengthless }, second, final])
  const halved = framesOf(CRAFTED_PLAINTEXT, 16).map((frame) => ({
    ...frame,
    aad: bodyAad(parts.messageId.subarray(0, 16), frame.kind, frame.number, frame.content.length),
  }))
  frames('authenticated-with-half-the-message-id', halved)
  refuseUnauthentic('frame-iv-changed', 'frame', flipped(message, header.length + 4))
  refuseUnauthentic('frame-content-changed', 'frame', flipped(message, header.length + 16))
  refuseUnauthentic('frame-tag-changed', 'frame', flipped(message, header.length + 16 + 16))
  refuseUnauthentic('final-frame-tag-changed', 'frame', flipped(message, -1))
  const long = { content: CRAFTED_PLAINTEXT.subarray(0, 17), kind: 'final', number: 1 } as const
  refuse('final-frame-longer-than-frame-length', 'ERR_ESDK_MALFORMED', { suite: V2, frames: [long] })
  const huge = { ...final, storedLength: 0xffffffffn }
  refuse('final-frame-of-4-gibibytes', 'ERR_ESDK_MALFORMED', { suite: V2, frames: [first, second, huge] })
  refuse('final-frame-missing', 'ERR_ESDK_TRUNCATED', { suite: V2, frames: [first, second] })
  const again = sealFrame(messageKey, parts.messageId, { ...final, number: 4 })
  refuse('final-frame-twice', 'ERR_ESDK_MALFORMED', { suite: V2, trailing: again })
  refuse('trailing-byte', 'ERR_ESDK_MALFORMED', { suite: V2, trailing: Buffer.alloc(1) })
  refuse('trailing-byte-after-signature', 'ERR_ESDK_MALFORMED', { suite: V2_SIGNED, trailing: Buffer.alloc(1) })
  refuse('two-messages', 'ERR_ESDK_MALFORMED', { suite: V2, trailing: message })
  refuse('cut-in-header', 'ERR_ESDK_TRUNCATED', message.subarray(0, header.length - 1))
  refuse('cut-after-header', 'ERR_ESDK_TRUNCATED', header)
  refuse('cut-in-frame', 'ERR_ESDK_TRUNCATED', message.subarray(0, header.length + 30))
  refuse('cut-in-final-frame', 'ERR_ESDK_TRUNCATED', message.subarray(0, -1))
  accept('frames-with-random-ivs', {
    suite: V2,
    frames: [first, second, final].map((frame) => ({ ...frame, iv: sequence(0x50 + 12 * frame.number, 12) })),
  })
  const whole = CRAFTED_PLAINTEXT.subarray(0, 32)
  const empty = { content: Buffer.alloc(0), kind: 'final', number: 3 } as const
  for (const suite of [V1, V2_SIGNED]) {
    accept(`even-plaintext-full-final-frame-${suite.id.toString(16)}`, { suite, plaintext: whole })
    const name = `even-plaintext-empty-final-frame-${suite.id.toString(16)}`
    accept(name, { suite, plaintext: whole, frames: [first, second, empty] })
    accept(`empty-plaintext-${suite.id.toString(16)}`, { suite, plaintext: Buffer.alloc(0) })
  }
  accept('frame-length-1', { suite: V2, frameLength: 1 })
  if (body.length !== 40 + 3 * 32 + 8) throw new Error('the layout of frames is not as it was')
}

// Content without frames.
{
  const content = nonFramedContent(CRAFTED_PLAINTEXT)
  const claims = (name: string, storedLength: bigint, code: ErrorCode): void => {
    refuse(`non-framed-${name}`, code, { suite: V2, nonFramed: true, frames: [{ ...content, storedLength }] })
  }
  claims('above-the-format', 68_719_476_705n, 'ERR_ESDK_MALFORMED')
  claims('of-2-to-the-64-less-1', 2n ** 64n - 1n, 'ERR_ESDK_MALFORMED')
  claims('above-limit', 68_719_476_704n, 'ERR_ESDK_LIMIT')
  claims('longer-than-it-is', 41n, 'ERR_ESDK_TRUNCATED')
  const { message, parts } = craft({ suite: V2, nonFramed: true })
  refuseUnauthentic('non-framed-tag-changed', 'frame', flipped(message, -1))
  const aads = {
    'non-framed-authenticated-as-final': bodyAad(parts.messageId, 'final', 1, CRAFTED_PLAINTEXT.length),
    'non-framed-authenticated-as-number-2': bodyAad(parts.messageId, 'non-framed', 2, CRAFTED_PLAINTEXT.length),
  }
  for (const [name, aad] of Object.entries(aads)) {
    refuseUnauthentic(name, 'frame', { suite: V2, nonFramed: true, frames: [{ ...content, aad }] })
  }
  for (const suite of [V1, V1_SIGNED, V2, V2_SIGNED]) {
    accept(`non-framed-${suite.id.toString(16).padStart(4, '0')}`, { suite, nonFramed: true })
  }
  accept('non-framed-empty', { suite: V2_SIGNED, nonFramed: true, plaintext: Buffer.alloc(0) })
}

// Signatures.
{
  const { message, header, body, footer } = craft({ suite: V2_SIGNED })
  const algorithm = V2_SIGNED.signature!
  const signed = Buffer.concat([header, body])
  const footers = (name: string, code: ErrorCode, bytes: Buffer): void => {
    refuse(name, code, Buffer.concat([signed, bytes]))
  }
  footers('footer-missing', 'ERR_ESDK_TRUNCATED', Buffer.alloc(0))
  footers('footer-cut', 'ERR_ESDK_TRUNCATED', footer.subarray(0, -1))
  footers('signature-of-0-bytes', 'ERR_ESDK_MALFORMED', uint(0, 2))
  footers('signature-longer-than-any', 'ERR_ESDK_MALFORMED', prefixed(Buffer.alloc(105)))
  const der = footer.subarray(2)
  const signatures = (name: string, sign: (bytes: Buffer) => Buffer, suite = V2_SIGNED): void => {
    refuseUnauthentic(`signature-${name}`, 'signature', { suite, sign })
  }
  signatures('by-another-key', (bytes) => signatureOf(algorithm, hashOf(algorithm, bytes), 103, 2))
  signatures('over-sha-256', (bytes) => signatureOf(algorithm, hashOf({ hash: 'sha256' }, bytes), 103))
  signatures('over-another-message', () => signatureOf(algorithm, hashOf(algorithm, header), 103))
  signatures('with-a-byte-after-it', () => Buffer.concat([der, Buffer.alloc(1)]))
  signatures('with-a-byte-within-it', () =>
    Buffer.concat([hex('30'), uint(der[1]! + 1, 1), der.subarray(2), hex('00')]),
  )
  signatures('with-length-in-long-form', () => Buffer.concat([hex('3081'), der.subarray(1)]))
  signatures('of-zeros', () => hex('3006 020100 020100'))
  signatures('of-ones', () => hex('3006 020101 020101'))
  const retagged = craft({ suite: V1_SIGNED, headerIv: sequence(0x71, 12) })
  const original = craft({ suite: V1_SIGNED })
  const forged = Buffer.concat([retagged.header, original.body, original.footer])
  refuseUnauthentic('signature-over-another-header-authentication', 'signature', forged)
  refuseUnauthentic('signature-changed', 'signature', flipped(message, -1))
  for (const [suite, lengths] of [
    [P256_SIGNED, [69, 70, 72]],
    [V2_SIGNED, [101, 102, 104]],
  ] as const) {
    for (const length of lengths) {
      const sign = (bytes: Buffer): Buffer => signatureOf(suite.signature!, hashOf(suite.signature!, bytes), length)
      accept(`signature-of-${length}-bytes`, { suite, sign })
    }
  }
}

// Encryption contexts that are not written so, and are read.
{
  const pairs = [['z', '1'] as const, ['a', '2'] as const]
  const unsorted = section(...pairs)
  accept('context-unsorted', { suite: V2, context: Object.fromEntries(pairs), header: { context: unsorted } })
  accept('context-expanded-empty', { suite: V1, context: {}, header: { context: hex('0002 0000') } })
  accept('context-empty', { suite: V2, context: {} })
  const odd = JSON.parse('{"__proto__": "a", "constructor": "b", "": "c", "\\ufeffd": ""}') as Record<string, string> // names as they are
  accept('context-of-odd-names', { suite: V2, context: odd })
  const required = { left: 'out' }
  accept('context-pair-not-stored', { suite: V2_SIGNED, required }, { encryptionContext: required })
  refuse('context-pair-not-stored-and-not-reproduced', 'ERR_ESDK_UNWRAP', { suite: V2, required })
  refuse(
    'context-pair-reproduced-otherwise',
    'ERR_ESDK_POLICY',
    { suite: V2 },
    { options: { encryptionContext: { purpose: 'other' } } },
  )
  const foreign = { keyProviderId: 'other', keyProviderInfo: Buffer.from('name'), ciphertext: Buffer.alloc(48) }
  accept('keys-of-others-first', { suite: V2, keys: [foreign, wrap(sequence(0x40, 32), CRAFTED_CONTEXT)] })
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value, undefined, 2) + '\n')
}

function writeFolder(name: string, messages: Readonly<Record<string, { readonly message: Buffer }>>): void {
  const folder = join(root, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const entries = Object.entries(messages).map(([file, { message, ...facts }]) => {
    writeFileSync(join(folder, `${file}.bin`), message)
    return { file: `${file}.bin`, sha256: sha256(message), ...facts }
  })
  writeJson(join(folder, 'manifest.json'), entries)
}

function hexPlaintext<T extends { readonly plaintext: Buffer }>(
  entry: T,
): Omit<T, 'plaintext'> & { plaintext: string } {
  return { ...entry, plaintext: entry.plaintext.toString('hex') }
}

function golden(suite: AlgorithmSuite): { readonly message: Buffer } & Record<string, unknown> {
  const { message, header, parts } = craft({ suite })
  const publicKey = suite.signature === undefined ? {} : { 'aws-crypto-public-key': publicKeyText(suite.signature) }
  return {
    message,
    suite: suite.name,
    plaintext: CRAFTED_PLAINTEXT.toString('hex'),
    headerLength: header.length,
    messageId: parts.messageId.toString('hex'),
    frameLength: 16,
    encryptionContext: { ...CRAFTED_CONTEXT, ...publicKey },
    ...(suite.committing && { commitment: parts.commitment.toString('hex') }),
  }
}

writeFolder(
  'messages',
  Object.fromEntries(ALGORITHM_SUITES.map((suite) => [suite.id.toString(16).padStart(4, '0'), golden(suite)])),
)
writeFolder('malformed', malformed)
writeFolder('unusual', Object.fromEntries(Object.entries(unusual).map(([name, entry]) => [name, hexPlaintext(entry)])))
const answers = pkcs1Answers()
if (answers !== undefined) writeJson(join(root, 'rsa-pkcs1.json'), answers)
writeReadme()

/** Brings the table at the end of the README up to date. */
function writeReadme(): void {
  const path = join(root, 'README.md')
  const text = readFileSync(path, 'utf8')
  const mark = '<!-- sha256 -->'
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => /\.(bin|json)$/.test(name))
    .sort()
  const rows = files.map((name) => `| \`${name}\` | \`${sha256(readFileSync(join(root, name)))}\` |`)
  const table = ['| file | sha256 |', '|---|---|', ...rows].join('\n')
  writeFileSync(path, `${text.slice(0, text.indexOf(mark) + mark.length)}\n\n${table}\n`)
}

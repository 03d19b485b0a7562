/** What the specs of objects share: plaintexts, sources that are watched, and faults for one object each. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { type RawAesKeyring, decrypt, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { type PutObjectOptions, putObject } from 'esdk-streams/s3'
import { aesKeyring } from '../../arbitraries.ts'
import type { AskedOfS3, S3Fault } from '../../emulators/s3-fault-proxy.ts'
import type { S3Server } from '../../emulators/s3-setup.ts'

export const KIB = 1024
export const MIB: number = 1024 * KIB

/** The shortest that S3 takes. */
export const PART_BYTES: number = 5 * MIB

export const keyring: RawAesKeyring = aesKeyring()

/** Unsigned, so that a message's header is always as long. */
export const UNSIGNED = 0x0478

/** Bytes to take plaintexts from. */
export const PLAIN: Buffer = randomBytes(24 * MIB)

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A source whose end one can see. */
export class WatchedSource extends Readable {
  /** Bytes that were asked for so far. */
  given = 0
  readonly #bytes: Buffer
  readonly #end: () => Error | null

  /** @param end called when all bytes are given: an error, or null for the end */
  constructor(bytes: Buffer, end: () => Error | null = () => null) {
    super()
    this.#bytes = bytes
    this.#end = end
  }

  override _read(): void {
    const chunk = this.#bytes.subarray(this.given, this.given + 64 * KIB)
    this.given += chunk.length
    if (chunk.length > 0) {
      this.push(chunk)
      return
    }
    const error = this.#end()
    if (error === null) this.push(null)
    else this.destroy(error)
  }
}

/** Goes wrong with what is asked of an object. Objects without any are left alone. */
export type Faults = (asked: AskedOfS3) => S3Fault | undefined

/** Faults for one object each, so that specs of several objects can run at the same time. */
export class FaultsByKey {
  readonly #byKey = new Map<string, Faults>()
  #keys = 0

  /** Has the proxy ask here; what was asked before is forgotten. */
  install({ proxy }: S3Server): void {
    this.#byKey.clear()
    proxy.faults((asked) => this.#byKey.get(asked.key)?.(asked))
  }

  /** A new key, with which this goes wrong. */
  key(faults?: Faults): string {
    const key = `object-${++this.#keys}`
    if (faults !== undefined) this.#byKey.set(key, faults)
    return key
  }

  set(key: string, faults: Faults): void {
    this.#byKey.set(key, faults)
  }
}

/** The first `times` requests that match have this fault. */
export function first(times: number, fault: S3Fault, matches: (asked: AskedOfS3) => boolean): Faults {
  let left = times
  return (asked) => (matches(asked) && left-- > 0 ? fault : undefined)
}

/** What was asked about an object, in order. */
export function askedAbout({ proxy }: S3Server, key: string, operation?: string): AskedOfS3[] {
  return proxy.asked.filter((asked) => asked.key === key && (operation === undefined || asked.operation === operation))
}

/** Encrypts into an object, past the proxy. */
export async function store(
  { direct, bucket }: S3Server,
  Key: string,
  plaintext: Buffer,
  options: Partial<PutObjectOptions> = {},
): Promise<void> {
  const { params, ...rest } = options
  await putObject({
    client: direct,
    body: plaintext,
    keyring,
    algorithmSuite: UNSIGNED,
    frameLength: 64 * KIB,
    ...rest,
    params: { Bucket: bucket, Key, ...params },
  })
}

/** The message in memory that `store` would write, or about. */
export async function messageOf(plaintext: Buffer, frameLength: number = 64 * KIB): Promise<Buffer> {
  return (await encrypt(plaintext, { keyring, algorithmSuite: UNSIGNED, frameLength })).ciphertext
}

/** The object is whole, and has this plaintext. */
export async function assertPlaintext(
  server: S3Server,
  key: string,
  plaintext: Uint8Array,
  under: RawAesKeyring = keyring,
): Promise<void> {
  const { plaintext: found } = await decrypt(await server.objectBytes(key), { keyring: under })
  assert.deepEqual([found.length, hashOf(found)], [plaintext.length, hashOf(plaintext)])
}

/** The error that something settles with; fails when it does not fail. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  const settled = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(settled instanceof Error, 'it fails')
  return settled
}

/** `code` of an error of this library, or of an abort. */
export function codeOf(error: Error): string {
  if (isEncryptionSdkError(error)) return error.code
  return 'code' in error ? String(error.code) : error.name
}

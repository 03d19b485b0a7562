/** Opening INPUT and OUTPUT, and saying which of them a failure is about. */
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { decodedSource, encodedTarget } from '../adapters/base64.ts'
import { type FileSource, openFileSource } from '../adapters/file-source.ts'
import { type FileTarget, openFileTarget } from '../adapters/file-target.ts'
import type { KnownObject } from '../adapters/s3/object-source.ts'
import { isEncryptionSdkError } from '../errors.ts'
import { loadOverAwsSdk } from './aws-sdk.ts'
import { FileFailure, OutputClosed, UsageError, codeOf } from './failure.ts'
import { STANDARD_STREAM, displayName, isObject, objectName } from './location.ts'
import type { TransferFlags } from './options.ts'
import { standardInput, standardOutput } from './standard-streams.ts'

/** How INPUT is read. */
export interface SourceOptions {
  readonly signal: AbortSignal
  /** What a list said of an object. */
  readonly known?: KnownObject | undefined
  /** Whether it is in base64. */
  readonly decode?: boolean | undefined
}

/** Opens INPUT. */
export async function openSource(input: string, options: SourceOptions): Promise<FileSource> {
  const source = await openEncoded(input, options)
  return options.decode === true ? decodedSource(source) : source
}

async function openEncoded(input: string, { signal, known }: SourceOptions): Promise<FileSource> {
  if (isObject(input)) {
    const { openObjectSource, s3Client } = await objects()
    return openObjectSource({ client: await s3Client(), name: objectName(input), known, signal })
  }
  return input === STANDARD_STREAM ? standardInput() : openFileSource(input)
}

/** How OUTPUT is written. */
export interface TargetOptions {
  readonly signal: AbortSignal
  /** Whether it may be INPUT itself. */
  readonly inPlace: boolean
  /** Whether it may not be there, not even when it appears. */
  readonly exclusive: boolean
  /** Whether it is to be in base64. */
  readonly encode?: boolean | undefined
  /** Length of the first part of an object, about how long it will be in all, and how many parts are sent at once. */
  readonly partBytes?: number | undefined
  readonly expectedBytes?: number | undefined
  /** Length of the plaintext, where OUTPUT will be its message. */
  readonly plaintextLength?: number | undefined
  readonly queueSize?: number | undefined
}

/** Opens OUTPUT. */
export async function openTarget(output: string, source: FileSource, options: TargetOptions): Promise<FileTarget> {
  const { signal, encode } = options
  try {
    const target = await openPlain(output, source, options)
    return encode === true ? encodedTarget(target) : target
  } catch (error) {
    const name = displayName('OUTPUT', output)
    if (error instanceof TypeError) throw new UsageError(`${name}: INPUT and OUTPUT may not be the same file`)
    throw signal.aborted ? error : new FileFailure(name, error)
  }
}

async function openPlain(output: string, source: FileSource, options: TargetOptions): Promise<FileTarget> {
  if (isObject(output)) return openObjectTarget(output, options)
  if (output === STANDARD_STREAM) return standardOutput(source)
  const { signal, inPlace, exclusive } = options
  return openFileTarget(output, source, { signal, inPlace, exclusive })
}

async function openObjectTarget(output: string, options: TargetOptions): Promise<FileTarget> {
  const { signal, partBytes, expectedBytes, plaintextLength, queueSize, exclusive } = options
  const { ObjectTarget, s3Client } = await objects()
  return new ObjectTarget({
    client: await s3Client(),
    name: objectName(output),
    signal,
    expectedBytes,
    plaintextLength,
    exclusive,
    ...(partBytes !== undefined && { partBytes }),
    ...(queueSize !== undefined && { queueSize }),
    onRemains: (message) => process.stderr.write(`esdk: ${message}\n`),
  })
}

/** What works with Amazon S3. */
export async function objects(): Promise<typeof import('./objects.ts')> {
  return loadOverAwsSdk(() => import('./objects.ts'))
}

/** A key that is overwritten takes everything with it that it ever encrypted. */
export async function refuseKeyFiles(output: string, flags: TransferFlags): Promise<void> {
  if (output === STANDARD_STREAM || isObject(output)) return
  const target = await statOf(output)
  if (target?.isFile() === true && (await isKeyFile(target, flags))) {
    throw new UsageError(`${output}: OUTPUT may not be a key file`)
  }
}

/** Whether a file, by whatever name, is a key file of the command line. */
export async function isKeyFile(file: BigIntStats | undefined, flags: TransferFlags): Promise<boolean> {
  const keys = await Promise.all(keyFilesOf(flags).map(statOf))
  return keys.some((key) => isSameFile(file, key))
}

/** Whether both are there and are one file, by whatever names. */
export function isSameFile(a: BigIntStats | undefined, b: BigIntStats | undefined): boolean {
  return a !== undefined && a.dev === b?.dev && a.ino === b.ino
}

/** The key files of a command line. */
export function keyFilesOf({ key = [], toKey = [] }: TransferFlags): readonly string[] {
  return [...key, ...toKey]
}

/** What the file system says of a path, if anything; who opens it says what is wrong. */
export async function statOf(path: string): Promise<BigIntStats | undefined> {
  if (isObject(path)) return undefined
  return stat(path, { bigint: true }).catch(() => undefined)
}

/** Runs something that is about one file. */
export async function named<T>(file: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw isExplained(error) ? error : new FileFailure(file, error)
  }
}

const WRITING: readonly string[] = ['write', 'writev', 'fsync', 'fchmod', 'rename', 'link', 'close']

function isExplained(error: unknown): boolean {
  return error instanceof UsageError || error instanceof FileFailure || error instanceof OutputClosed
}

/** Says of a failure of the work which file it is about. */
export function blame(error: unknown, input: string, output: string): unknown {
  if (isExplained(error)) return error
  // An option that is unfit for this file: its frames would be too many.
  if (error instanceof RangeError && codeOf(error) === undefined) return new UsageError(`${input}: ${error.message}`)
  const writing =
    error instanceof Error && 'syscall' in error && typeof error.syscall === 'string' && WRITING.includes(error.syscall)
  if (writing && output === STANDARD_STREAM && codeOf(error) === 'EPIPE') return new OutputClosed()
  const isOfOutput = writing || codeOf(error) === 'EEXIST' || isAboutObject(error, output)
  return new FileFailure(isOfOutput ? displayName('OUTPUT', output) : displayName('INPUT', input), error)
}

/** Errors of Amazon S3 name the object first. */
function isAboutObject(error: unknown, location: string): boolean {
  return isObject(location) && isEncryptionSdkError(error) && /^[ :]/.test(restAfter(location, error.message))
}

function restAfter(beginning: string, text: string): string {
  return text.startsWith(beginning) ? text.slice(beginning.length) : ''
}

/** Where the many files of `-r` come from and go to: folders, or prefixes of Amazon S3. */
import { basename, join, resolve } from 'node:path'
import { listFolder } from '../adapters/fleet/list-folder.ts'
import { isWithin, makeFolders, pathInTree } from '../adapters/fleet/tree.ts'
import type { KnownObject } from '../adapters/s3/object-source.ts'
import { TransferError } from '../errors.ts'
import { FileFailure, UsageError, codeOf } from './failure.ts'
import { type Mode, defaultOutput, isObject, objectName } from './location.ts'
import { objects, statOf } from './places.ts'

/** A file of INPUT, or what is not one. */
export type FleetEntry =
  | { readonly kind: 'file'; readonly name: string; readonly input: string; readonly known?: KnownObject }
  | { readonly kind: 'skipped'; readonly name: string; readonly input: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly name: string; readonly input: string; readonly error: unknown }

/** All that is in INPUT. @throws UsageError | FileFailure | `AbortError` */
export async function* listTree(input: string, signal: AbortSignal): AsyncGenerator<FleetEntry, void> {
  if (isObject(input)) yield* listPrefix(input, signal)
  else yield* listFiles(input)
}

async function* listFiles(folder: string): AsyncGenerator<FleetEntry, void> {
  try {
    for await (const entry of listFolder(folder)) {
      const { name } = entry
      const input = join(folder, name)
      if (entry.kind === 'file') yield { kind: 'file', name, input }
      else yield { ...entry, input }
    }
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR')
      throw new UsageError(`${folder}: with -r, INPUT is a folder or s3://bucket/prefix/`)
    throw new FileFailure(folder, error)
  }
}

async function* listPrefix(prefix: string, signal: AbortSignal): AsyncGenerator<FleetEntry, void> {
  const { listObjects, s3Client } = await objects()
  const { Bucket, Key: Prefix } = objectName(prefix)
  let any = false
  try {
    for await (const { Key, ETag, length } of listObjects({ client: await s3Client(), Bucket, Prefix, signal })) {
      any = true
      const name = Key.slice(Prefix.length)
      // Others make objects without any content for what they show as folders.
      const isFolder = (name === '' || name.endsWith('/')) && length === 0
      const input = `${prefix}${name}`
      if (!isFolder) yield { kind: 'file', name, input, known: { ETag, length } }
    }
  } catch (error) {
    throw signal.aborted ? error : new FileFailure(prefix, error)
  }
  if (!any) throw new FileFailure(prefix, new TransferError('no object is there'))
}

/** What a file is now: where that changes, it is to be worked on again. */
export async function versionOf(input: string, known?: KnownObject): Promise<string | undefined> {
  if (known !== undefined) return known.ETag
  const stats = await statOf(input)
  return stats === undefined ? undefined : `${stats.size} ${stats.mtimeNs}`
}

/** A location that means the same from wherever it is looked at. */
export function absolute(location: string): string {
  return isObject(location) ? location : resolve(location)
}

/** Whether a location lies in a folder or prefix, or is it. */
export async function liesIn(tree: string, location: string): Promise<boolean> {
  if (isObject(tree) !== isObject(location)) return false
  return isObject(tree) ? location.startsWith(tree) : isWithin(tree, location)
}

/** The tree that is written. */
export class TargetTree {
  readonly #mode: Mode
  readonly #input: string
  readonly #output: string
  /** Whether INPUT lies in OUTPUT, so that some of it could be overwritten. */
  readonly #isAround: boolean
  readonly #suffix: string | undefined
  /** Only of these names, two can come from different ones. */
  readonly #decrypted = new Set<string>()

  private constructor(
    { mode, suffix }: { mode: Mode; suffix?: string | undefined },
    input: string,
    output: string,
    isAround: boolean,
  ) {
    this.#mode = mode
    this.#suffix = suffix
    this.#input = input
    this.#output = output
    this.#isAround = isAround
  }

  /** @throws UsageError where OUTPUT lies in INPUT */
  static async of(
    naming: { readonly mode: Mode; readonly suffix?: string | undefined },
    input: string,
    output: string,
  ): Promise<TargetTree> {
    const { mode } = naming
    const isInPlace = mode === 'reencrypt' && absolute(input) === absolute(output)
    if (!isInPlace && (await liesIn(input, output))) {
      throw new UsageError(`${output}: OUTPUT may not lie in INPUT, or be it`)
    }
    return new TargetTree(naming, input, output, !isInPlace && (await liesIn(output, input)))
  }

  /**
   * Where a file goes.
   *
   * @throws UsageError where something else is, or goes, there; Error where the name would lead elsewhere.
   */
  async place(name: string): Promise<string> {
    const target = this.#mode === 'reencrypt' ? name : defaultOutput(this.#mode, name, this.#suffix)
    const output = isObject(this.#output) ? `${this.#output}${target}` : pathInTree(this.#output, target)
    if (this.#isAround && (await liesIn(this.#input, output))) {
      throw new UsageError(`${output}: OUTPUT of this file would lie in INPUT`)
    }
    if (this.#mode === 'decrypt' && target.endsWith('.decrypted')) {
      if (this.#decrypted.has(target)) throw new UsageError(`${output}: another file of INPUT goes there too`)
      this.#decrypted.add(target)
    }
    return output
  }

  /** Makes the folders that a place is in. */
  async makeRoom(output: string): Promise<void> {
    if (isObject(output)) return
    if (basename(output) === '') throw new Error(`${output} is no name of a file`)
    await makeFolders(this.#output, output, isObject(this.#input) ? undefined : this.#input)
  }
}

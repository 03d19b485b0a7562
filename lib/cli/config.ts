/** `esdk.config.json`: where it is, what it says, and the profile that is meant. */
import { open } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { CONFIG_SCHEMA, type Config, type Profile, checkBySchema } from './config-schema.ts'
import { FileFailure, UsageError, codeOf } from './failure.ts'
import { suggestion } from './nearest.ts'

/** The name that is looked for. */
export const CONFIG_NAME = 'esdk.config.json'

/** Longer is no configuration. */
const MAX_BYTES = 1024 * 1024
const WRITABLE_BY_ALL = 0o002

/** A configuration that was read. */
export interface FoundConfig extends Config {
  readonly path: string
}

/** A profile, and the configuration that has it. */
export interface FoundProfile {
  readonly name: string
  readonly profile: Profile
  readonly config: FoundConfig
}

/** What the command line says of configurations. */
export interface ConfigFlags {
  /** False with `--no-config`. */
  readonly config?: string | false
  readonly profile?: string
}

/**
 * The configuration that is named, or the nearest one in this folder and those around it.
 *
 * One that was only found chooses the keys, so it has to be the caller's (or root's) own: whoever can leave a file in a
 * folder above could name theirs.
 *
 * @throws UsageError where it is not as it should be; FileFailure where it can't be read.
 */
export async function findConfig(named: string | false | undefined): Promise<FoundConfig | undefined> {
  if (named === false) return undefined
  if (named !== undefined) return (await readConfig(resolve(named), true)) ?? missing(named)
  for (let folder = resolve('.'); ; folder = dirname(folder)) {
    const found = await readConfig(join(folder, CONFIG_NAME), false)
    if (found !== undefined || folder === dirname(folder)) return found
  }
}

function missing(path: string): never {
  throw new UsageError(`--config ${path}: there is no such file`)
}

/** @throws UsageError where there is no such profile. */
export function profileOf(config: FoundConfig, name: string): FoundProfile {
  const names = Object.keys(config.profiles)
  const profile = Object.hasOwn(config.profiles, name) ? config.profiles[name] : undefined
  if (profile !== undefined) return { name, profile, config }
  const known = names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`
  throw new UsageError(`${config.path}: no profile ${JSON.stringify(name)}${suggestion(name, names)}; ${known}`)
}

/**
 * The profile that is named. @throws UsageError where there is none, or no configuration; as {@link findConfig} does.
 */
export async function namedProfile(option: string, name: string, named: ConfigFlags['config']): Promise<FoundProfile> {
  const config = await findConfig(named)
  if (config !== undefined) return profileOf(config, name)
  const where = named === false ? 'there is none with --no-config' : `there is none in ${resolve('.')} or around it`
  throw new UsageError(`${option} ${name} is looked for in ${CONFIG_NAME}, and ${where}`)
}

/** The path of a key file of a configuration. */
export function pathFrom({ path }: FoundConfig, file: string): string {
  return file.startsWith('~/') ? join(homedir(), file.slice(2)) : resolve(dirname(path), file)
}

async function readConfig(path: string, trusted: boolean): Promise<FoundConfig | undefined> {
  let text: string
  try {
    const file = await open(path, 'r')
    try {
      const { uid, mode, size } = await file.stat()
      if (!trusted) checkOwner(path, uid, mode)
      if (size > MAX_BYTES) throw new UsageError(`${path}: longer than ${MAX_BYTES} bytes, so it is no configuration`)
      text = await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined
    throw error instanceof UsageError ? error : new FileFailure(path, error)
  }
  return { ...parsed(path, text), path }
}

function checkOwner(path: string, uid: number, mode: number): void {
  const own = process.getuid?.() // not on Windows
  if (own === undefined) return
  const reason =
    uid !== own && uid !== 0
      ? 'belongs to someone else'
      : (mode & WRITABLE_BY_ALL) !== 0
        ? 'all may write it'
        : undefined
  if (reason === undefined) return
  throw new UsageError(`${path}: ${reason}; use it with --config ${path}, or not at all with --no-config`)
}

function parsed(path: string, text: string): Config {
  try {
    const value: unknown = JSON.parse(text)
    checkBySchema(value, CONFIG_SCHEMA, '')
    const config = value as Config // it was checked
    if (config.defaultProfile !== undefined) profileOf({ ...config, path }, config.defaultProfile)
    return config
  } catch (error) {
    // What a parser says may hold a piece of the text, and so of what should not have been in it.
    if (error instanceof SyntaxError) throw new UsageError(`${path}: this is not JSON${placeOf(text, error.message)}`)
    const isTold = !(error instanceof UsageError) || error.message.startsWith(path)
    throw isTold ? error : new UsageError(`${path}: ${error.message}`)
  }
}

function placeOf(text: string, message: string): string {
  const position = /at position (\d+)/.exec(message)?.[1]
  if (position === undefined) return ''
  const before = text.slice(0, Number(position)).split('\n')
  return `, at line ${before.length}, column ${before.at(-1)!.length + 1}`
}

/** Folders in the checkout's cache folder: what takes long to install is made once. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const STAMP = 'esdk-streams-stamp'

/** What a folder holds. */
export interface CachedFolder {
  readonly name: string
  /** Says what it was made from: the folder is made anew where this differs. */
  readonly stamp: string
  /** A file in it without which it is not whole: a folder that was deleted in part may have kept its stamp. */
  readonly proof: string
  /** Fills a new folder. */
  readonly make: (folder: string) => Promise<void>
}

/** The path of the folder, which is made where it is not there. */
export async function cachedFolder({ name, stamp, proof, make }: CachedFolder): Promise<string> {
  const folder = `${cache}${name}`
  const isReady = async (): Promise<boolean> => {
    const found = await readFile(`${folder}/${STAMP}`, 'utf8').catch(() => undefined)
    return found === stamp && existsSync(`${folder}/${proof}`)
  }
  if (await isReady()) return folder
  // Beside it and then renamed, so that an interrupted or a second making leaves nothing half done.
  const fresh = `${folder}.${process.pid}`
  try {
    await mkdir(cache, { recursive: true })
    await make(fresh)
    await writeFile(`${fresh}/${STAMP}`, stamp)
    if (await isReady()) return folder
    await rm(folder, { recursive: true, force: true })
    await rename(fresh, folder)
  } catch (error) {
    if (!(await isReady())) throw error
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  return folder
}

/** What a failing program says, in one line: it says most in its last one. */
export function lastLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const stderr = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
  return (stderr === '' ? error.message : stderr).split('\n').at(-1) ?? ''
}

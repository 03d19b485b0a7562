/** Listing the files of a folder, and of the folders in it. */
import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Something in a folder. */
export type FolderEntry =
  | { readonly kind: 'file'; readonly name: string }
  /** Not a file, or none that is meant to be worked on. */
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: string }
  /** A folder within that can't be read. */
  | { readonly kind: 'failed'; readonly name: string; readonly error: unknown }

/** What an interrupted process left behind: see `AtomicTarget`. */
const TEMPORARY = /^\.esdk-[0-9a-f-]{36}\.tmp$/

/**
 * All files of a folder and of the folders in it, by their relative names with slashes, sorted. Links are not followed:
 * they may lead out of it, or in circles.
 *
 * @throws what the file system says of the folder itself.
 */
export async function* listFolder(folder: string, within = ''): AsyncGenerator<FolderEntry, void> {
  let entries: readonly Dirent[]
  try {
    entries = await readdir(join(folder, within), { withFileTypes: true })
  } catch (error) {
    if (within === '') throw error
    yield { kind: 'failed', name: within, error }
    return
  }
  for (const entry of [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = within === '' ? entry.name : `${within}/${entry.name}`
    if (entry.isDirectory()) yield* listFolder(folder, name)
    else if (!entry.isFile()) yield { kind: 'skipped', name, reason: reasonOf(entry) }
    else if (TEMPORARY.test(entry.name))
      yield { kind: 'skipped', name, reason: 'it is a temporary file of this program' }
    else yield { kind: 'file', name }
  }
}

function reasonOf(entry: Dirent): string {
  return entry.isSymbolicLink() ? 'links are not followed' : 'it is not a file'
}

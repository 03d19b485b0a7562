/** The places of a tree of files: a name, which may be a stranger's, never leads out of it. */
import { isError } from '../../errors.ts'
import { mkdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'

/** What would lead elsewhere, or is no name of a file. */
const UNFIT_PARTS: readonly string[] = ['', '.', '..']
const UNFIT_CHARACTERS = process.platform === 'win32' ? /[\0\\:]/ : /\0/

/**
 * The path of a relative name with slashes, such as an object's, in a folder.
 *
 * @throws Error where it is no name of a file in it: `../x`, `a//b`, `/etc/x`.
 */
export function pathInTree(folder: string, name: string): string {
  if (name.split('/').some((part) => UNFIT_PARTS.includes(part) || UNFIT_CHARACTERS.test(part))) {
    throw new Error(`${JSON.stringify(name)} is no name of a file in a folder, so it is not written`)
  }
  return join(folder, name)
}

/** Makes the folder of a file in a tree, with those around it; modes are those of the source's folders. */
export async function makeFolders(tree: string, path: string, sourceTree?: string): Promise<void> {
  await mkdir(dirname(resolve(tree)), { recursive: true })
  const parts = relative(tree, dirname(path)).split(sep)
  for (let depth = 0; depth <= parts.length; depth++) {
    const within = join(...parts.slice(0, depth))
    const mode = sourceTree === undefined ? undefined : await modeOf(join(sourceTree, within))
    await mkdir(join(tree, within), mode === undefined ? {} : { mode }).catch((error: unknown) => {
      if (!(isError(error) && 'code' in error && error.code === 'EEXIST')) throw error
    })
  }
}

/** Others may do with the copy of a folder what they may with it; its owner has to be able to write into it. */
async function modeOf(folder: string): Promise<number | undefined> {
  const found = await stat(folder).catch(() => undefined)
  return found === undefined ? undefined : (found.mode & 0o777) | 0o700
}

/** Whether a path is a folder, or lies in it; links in the paths, which need not exist, are followed. */
export async function isWithin(folder: string, path: string): Promise<boolean> {
  const way = relative(await realPathOf(folder), await realPathOf(path))
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

/** The real path of a file, or of where it would be made. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const whole = resolve(path)
    const folder = dirname(whole)
    return folder === whole ? whole : join(await realPathOf(folder), whole.slice(folder.length))
  }
}

/** Which of many files are meant, by patterns of their names. */
import picomatch from 'picomatch'

/** Patterns of relative names, whose parts are separated by slashes. */
export interface Globs {
  /** What matches one of these; everything unless said. */
  readonly include?: readonly string[] | undefined
  /** But not what matches one of these. */
  readonly exclude?: readonly string[] | undefined
}

/**
 * Makes a filter of globs. A pattern without a slash is one of the last part of a name, in any folder; all others are of
 * the whole name.
 *
 * @example const isMeant = globFilter({ include: ['*.log'], exclude: ['old/**'] })
 */
export function globFilter({ include, exclude }: Globs): (name: string) => boolean {
  const isIncluded = include === undefined ? () => true : anyOf(include)
  const isExcluded = exclude === undefined ? () => false : anyOf(exclude)
  return (name) => isIncluded(name) && !isExcluded(name)
}

function anyOf(globs: readonly string[]): (name: string) => boolean {
  // Names come with slashes on every system. A leading dot is nothing special: a backup of some files is none.
  const matchers = globs.map((glob) => picomatch(glob, { dot: true, basename: !glob.includes('/'), windows: false }))
  return (name) => matchers.some((matches) => matches(name))
}

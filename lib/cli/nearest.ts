/** What someone may have meant by a name that is not known. */

/** At most so many letters may differ, by the length of the name. */
const MOST_LETTERS = 3

/** ` (did you mean "x"?)`, or nothing where no known name is like it. */
export function suggestion(name: string, known: readonly string[]): string {
  const limit = Math.min(MOST_LETTERS, Math.ceil(name.length / 3))
  const near = known
    .map((each) => ({ each, letters: distance(name.toLowerCase(), each.toLowerCase()) }))
    .filter(({ letters }) => letters <= limit)
    .sort((a, b) => a.letters - b.letters)[0]
  return near === undefined ? '' : ` (did you mean ${JSON.stringify(near.each)}?)`
}

/** Of Levenshtein: how many letters are to be added, taken away or replaced. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

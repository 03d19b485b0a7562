/** Numbers as people read them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const
const STEP = 1000

/** `268 MB` and the like; powers of 1000. */
export function humanBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= STEP - 0.5 && unit < UNITS.length - 1) {
    value /= STEP
    unit += 1
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]!}`
}

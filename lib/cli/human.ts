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

const MINUTE_S = 60
const HOUR_S = 3600

/** `12 s`, `5 min`, `2 h 10 min`; rounded up. */
export function humanSeconds(seconds: number): string {
  if (seconds <= 2 * MINUTE_S) return `${Math.ceil(seconds)} s`
  const minutes = Math.ceil(seconds / MINUTE_S)
  if (seconds <= 2 * HOUR_S) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

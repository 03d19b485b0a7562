/** Measurements as tables of Markdown, padded so that they read well as text too. */
import { type Figure, type Measurement, type Ratio, isMissed } from './measurement.ts'

const SIGNIFICANT_DIGITS = 3

/** At most three significant digits, with commas. */
export function numberText(value: number): string {
  return value.toLocaleString('en-US', {
    maximumSignificantDigits: Math.max(SIGNIFICANT_DIGITS, Math.ceil(Math.log10(value))),
  })
}

export function figureText(figure: Figure): string {
  const limit = figure.below === undefined ? '' : ` (< ${figure.below})`
  return `${numberText(figure.value)}${limit}${missedText(figure)}`
}

/** Rounded down, so that what is missed does not look as if it were not. */
export function ratioText(ratio: Ratio): string {
  const unit = ratio.as === 'times' ? '×' : ' %'
  const number = (value: number): number => (ratio.as === 'times' ? value : value * 100)
  const digits = ratio.as === 'times' ? (ratio.value < 10 ? 2 : 1) : 0
  const value = Math.floor(number(ratio.value) * 10 ** digits) / 10 ** digits
  const required = ratio.atLeast === undefined ? '' : ` (≥ ${number(ratio.atLeast)}${unit})`
  return `${value.toFixed(digits)}${unit}${required}${missedText(ratio)}`
}

function missedText(what: Figure | Ratio): string {
  return isMissed(what) ? ' MISSED' : ''
}

/** Heading of a ratio's column. */
export function ratioHeading(ratio: Ratio): string {
  return ratio.as === 'times' ? `against ${ratio.to}` : `of ${ratio.to}`
}

type Row = Readonly<Record<string, string>>

/** One row a measurement, which are of one question. */
export function measurementTable(measurements: readonly Measurement[]): string {
  return markdownTable(measurementRows(measurements))
}

/** Cells by the names of their columns. */
export function measurementRows(measurements: readonly Measurement[]): Row[] {
  return measurements.map(({ axes, node, engine, figures, ratios }) => ({
    Node: node,
    engine,
    ...axes,
    ...Object.fromEntries(figures.map((figure) => [`${figure.name}, ${figure.unit}`, figureText(figure)])),
    ...Object.fromEntries(ratios.map((ratio) => [ratioHeading(ratio), ratioText(ratio)])),
  }))
}

/** Columns are in the order in which rows name them first; a row may lack some. */
export function columnsOf(rows: readonly Row[]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))]
}

export function markdownTable(rows: readonly Row[]): string {
  const names = columnsOf(rows)
  const lines = rows.map((row) => names.map((name) => row[name] ?? ''))
  const widths = names.map((name, at) => Math.max(3, name.length, ...lines.map((line) => line[at]!.length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(' | ')} |`
  return [line(names), line(widths.map((width) => '-'.repeat(width))), ...lines.map(line)].join('\n')
}

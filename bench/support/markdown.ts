/** RESULTS.md, and the table in the README: both are made from results.json. */
import { type Measurement, type QuestionName, type Results, missedOf } from './measurement.ts'
import { markdownTable, measurementTable, numberText, ratioText } from './tables.ts'
import { TITLES } from './titles.ts'

/** Questions in the order in which they are told. */
export const QUESTIONS: readonly QuestionName[] = Object.keys(TITLES) as QuestionName[] // the keys of that table

const README_START = '<!-- bench: written by `npm run bench` -->'
const README_END = '<!-- /bench -->'

/** Where, when and how it was measured, in one paragraph. */
export function circumstances({ date, version, full, machine, measurements }: Results): string {
  const { cpu, cores, memoryMiB, system, load } = machine
  const nodes = [...new Set(measurements.map(({ node }) => node))].join(', ')
  return [
    `esdk-streams ${version} on Node ${nodes}; ${cpu}, ${cores} cores, ${Math.round(memoryMiB / 1024)} GiB, ${system};`,
    `${date.slice(0, 10)}, ${full ? 'all cases' : 'the quick cases'}. The load of the machine was`,
    `${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after; 1 of it is the benchmark’s own.`,
  ].join(' ')
}

export const METHOD: string =
  'Each question verifies first that what is timed is right. Then all contenders take their turns, round by round, in one ' +
  'run; numbers are medians, and a comparison is the median of the rounds’ own ratios, so that what disturbs a round ' +
  'disturbs both sides. MB is a million bytes, MiB 2²⁰. In brackets is what is required; MISSED says where it is not met.'

export function resultsMarkdown(results: Results): string {
  const { measurements, leftOut } = results
  const sections = QUESTIONS.flatMap((question) => {
    const asked = measurements.filter((measurement) => measurement.question === question)
    const { title, how } = TITLES[question]
    return asked.length === 0 ? [] : [`## ${title}`, how, measurementTable(asked)]
  })
  const missed = missedOf(measurements).length
  return `${[
    '# How fast is it?',
    '`npm run bench` writes this file, `results.json` (the same numbers) and `results.html` (with plots).',
    circumstances(results),
    METHOD,
    missed === 0 ? 'Nothing that is required is missed.' : `Required and missed: ${missed} of the rows below.`,
    ...sections,
    ...(leftOut.length === 0 ? [] : ['## Left out', leftOut.map((why) => `- ${why}`).join('\n')]),
  ].join('\n\n')}\n`
}

/** What most users care about. */
const README_ROWS: readonly (readonly [QuestionName, Readonly<Record<string, string>>])[] = [
  ['throughput', { suite: 'unsigned 0x0478', frames: '4 KiB' }],
  ['throughput', { suite: 'unsigned 0x0478', frames: '64 KiB' }],
  ['throughput', { suite: 'signed 0x0578', frames: '4 KiB' }],
  ['throughput', { suite: 'signed 0x0578', frames: '64 KiB' }],
  ['small-messages', { suite: 'unsigned 0x0478', message: '256 B' }],
  ['files', {}],
]

export function readmeTable(results: Results): string {
  const rows = README_ROWS.flatMap(([question, axes]) => {
    const asked = results.measurements.filter((each) => each.question === question && each.engine === 'native')
    const fitting = asked.filter((each) => hasAxes(each, axes))
    return [...new Set(fitting.map(({ node }) => node))].map((node) =>
      readmeRow(fitting.filter((each) => each.node === node)),
    )
  })
  return `${markdownTable(rows)}\n\n${circumstances(results)}`
}

function hasAxes(measurement: Measurement, axes: Readonly<Record<string, string>>): boolean {
  return Object.entries(axes).every(([name, value]) => measurement.axes[name] === value)
}

/** Both directions in one row. */
function readmeRow(measurements: readonly Measurement[]): Record<string, string> {
  const { question, node, axes } = measurements[0]!
  const about = Object.entries(axes).flatMap(([axis, text]) => {
    return axis === 'direction' ? [] : [axis === 'frames' ? `frames of ${text}` : text]
  })
  const cells: Record<string, string> = {}
  for (const each of measurements) cells[each.axes['direction']!] = readmeCell(each)
  return { '': [TITLES[question].title, ...about].join(', '), Node: node, ...cells }
}

function readmeCell({ figures, ratios }: Measurement): string {
  const own = figures.find(({ kind }) => kind === 'ours')!
  const others = ratios.filter(({ as }) => as === 'times').map(({ atLeast: _, ...ratio }) => ratio)
  return `${numberText(own.value)} ${own.unit} (${others.map((ratio) => `${ratioText(ratio)} ${ratio.to}`).join(', ')})`
}

/** The README with the table that belongs to the results. @throws Error where it has no place for one. */
export function withReadmeTable(readme: string, results: Results): string {
  const [start, end] = [readme.indexOf(README_START), readme.indexOf(README_END)]
  if (start < 0 || end < start) throw new Error(`the README lacks "${README_START}" … "${README_END}"`)
  return `${readme.slice(0, start + README_START.length)}\n\n${readmeTable(results)}\n\n${readme.slice(end)}`
}

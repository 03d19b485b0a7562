/** Plots of measurements: bars that begin at 0, named beside them, as SVG that takes its colours from the page. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Figure, Measurement } from './measurement.ts'
import { numberText } from './tables.ts'
import { TITLES } from './titles.ts'

const WIDTH = 900
const MARGINS = { marginLeft: 230, marginRight: 190, marginTop: 8, marginBottom: 46 } as const
const BAR_HEIGHT = 19
const GROUP_GAP = 14
/** Room for the number behind the longest bar. */
const HEADROOM = 1.18
const FONT = { fontSize: '13px' } as const

/** A bar. */
interface Bar {
  /** What it is about: the bars of a group are compared. */
  readonly group: string
  readonly name: string
  readonly kind: Kind
  readonly value: number
}

/** Of each there is a colour of the page, `--ours` and so on. */
export const KINDS = {
  ours: 'esdk-streams',
  'ours-node': 'esdk-streams without the native engine',
  other: 'others',
  floor: 'floors',
} as const

type Kind = keyof typeof KINDS

export interface Drawn {
  readonly title: string
  /** All of it in words. */
  readonly description: string
  readonly svg: string
}

/** The plots of the measurements of one question: one for each version of Node, unit, and axis that asks for it. */
export function plotsOf(measurements: readonly Measurement[]): Drawn[] {
  const plots = new Map<string, { unit: Figure['unit']; bars: Bar[] }>()
  for (const measurement of measurements) {
    for (const figure of measurement.figures) {
      const title = titleOf(measurement, figure.unit)
      const plot = plots.get(title) ?? { unit: figure.unit, bars: [] }
      plots.set(title, plot)
      const bar = barOf(measurement, figure)
      // Others are measured beside each engine: the first run counts.
      if (!plot.bars.some(({ group, name }) => group === bar.group && name === bar.name)) plot.bars.push(bar)
    }
  }
  return [...plots].map(([title, { unit, bars }]) => draw(title, unit, bars))
}

const QUANTITIES = {
  'MB/s': 'speed',
  'messages/s': 'messages',
  ms: 'delay',
  MiB: 'memory',
} as const satisfies Record<Figure['unit'], string>

function titleOf({ question, node, axes }: Measurement, unit: Figure['unit']): string {
  const { title, plotBy } = TITLES[question]
  return [title, ...plotBy.map((axis) => axes[axis]!), `Node ${node}`, `${QUANTITIES[unit]} in ${unit}`].join(', ')
}

function barOf({ question, engine, axes }: Measurement, { name, kind, value }: Figure): Bar {
  const group = Object.entries(axes).flatMap(([axis, text]) => (TITLES[question].plotBy.includes(axis) ? [] : [text]))
  const isNode = kind === 'ours' && engine === 'node'
  return {
    group: group.join(', '),
    name: isNode ? `${name}, node engine` : name,
    kind: isNode ? 'ours-node' : kind,
    value,
  }
}

function draw(title: string, unit: string, bars: readonly Bar[]): Drawn {
  const groups = [...new Set(bars.map(({ group }) => group))]
  const names = [...new Set(bars.map(({ name }) => name))].sort((a, b) => rank(bars, a) - rank(bars, b))
  const says = ({ name, value }: Bar): string => `${name} ${numberText(value)} ${unit}`
  const description = groups
    .map(
      (group) =>
        `${group}: ${bars
          .filter((bar) => bar.group === group)
          .map(says)
          .join(', ')}`,
    )
    .join('; ')
  // Here, the types of both are those of a browser's document.
  const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as { document: object }
  const svg = (Plot.plot as unknown as (options: object) => { readonly outerHTML: string })({
    document,
    width: WIDTH,
    height: MARGINS.marginTop + MARGINS.marginBottom + groups.length * (names.length * BAR_HEIGHT + GROUP_GAP),
    ...MARGINS,
    style: FONT,
    ariaLabel: title,
    ariaDescription: description,
    x: { label: unit, domain: [0, Math.max(...bars.map(({ value }) => value)) * HEADROOM], ticks: 6, labelOffset: 38 },
    y: { label: null, domain: names, tickSize: 0, padding: 0.15 },
    fy: { label: null, domain: groups, padding: GROUP_GAP / (names.length * BAR_HEIGHT + GROUP_GAP) },
    color: { domain: Object.keys(KINDS), range: Object.keys(KINDS).map((kind) => `var(--${kind})`) },
    marks: [
      Plot.gridX({ strokeOpacity: 0.15, ticks: 6 }),
      Plot.barX(bars, {
        ...{ x: 'value', y: 'name', fy: 'group', fill: 'kind' },
        ariaLabel: (bar: Bar) => `${bar.group}: ${says(bar)}`,
      }),
      Plot.text(bars, {
        ...{ x: 'value', y: 'name', fy: 'group', textAnchor: 'start', dx: 5 },
        text: ({ value }: Bar) => numberText(value),
      }),
      Plot.ruleX([0]),
    ],
  })
  return { title, description, svg: svg.outerHTML.replace('<svg ', '<svg role="img" ') }
}

/** Ours first, floors last. */
function rank(bars: readonly Bar[], name: string): number {
  return Object.keys(KINDS).indexOf(bars.find((bar) => bar.name === name)!.kind)
}

/** results.html: one page that needs nothing else, in light and dark. */
import { type Measurement, type Results, missedOf } from './measurement.ts'
import { METHOD, QUESTIONS, circumstances } from './markdown.ts'
import { type Drawn, KINDS, plotsOf } from './plots.ts'
import { columnsOf, measurementRows } from './tables.ts'
import { TITLES } from './titles.ts'

const COLOURS = `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --missed: #b3261e;
  --ours: #0b62c4; --ours-node: #4c86cc; --other: #a3541f; --floor: #707a86;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --ink: #e6e8eb; --quiet: #9aa4b0; --line: #333b45; --missed: #ff8a80;
    --ours: #5aa9ff; --ours-node: #3f7fc4; --other: #f0a05a; --floor: #8b95a5;
  }
}`

/** Of the picture: what most speed is asked of. */
const PICTURED_SUITE = 'unsigned 0x0478'

const STYLE = `${COLOURS}
body { margin: 0 auto; padding: 2rem 1rem; max-width: 60rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
figure { margin: 1.5rem 0; }
figcaption { font-weight: 600; }
.scroll { overflow-x: auto; }
svg[role=img] { min-width: 44rem; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
.key span { display: inline-block; width: 0.9em; height: 0.9em; margin-right: 0.4em; vertical-align: -0.1em; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
summary { cursor: pointer; color: var(--quiet); }
.missed { color: var(--missed); font-weight: 600; }`

export function resultsPage(results: Results): string {
  const { measurements, leftOut } = results
  const missed = missedOf(measurements).length
  const sections = QUESTIONS.flatMap((question) => {
    const asked = measurements.filter((measurement) => measurement.question === question)
    return asked.length === 0 ? [] : [section(TITLES[question], asked)]
  })
  const key = Object.entries(KINDS).map(
    ([kind, meaning]) => `<li><span style="background: var(--${kind})"></span>${escaped(meaning)}</li>`,
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>esdk-streams: how fast is it?</title>
<style>${STYLE}
</style>
</head>
<body>
<h1>How fast is it?</h1>
<p>${escaped(circumstances(results))}</p>
<p>${escaped(METHOD)}</p>
<p${missed === 0 ? '>Nothing that is required is missed.' : ` class="missed">Required and missed: ${missed} of the rows below.`}</p>
<ul class="key">${key.join('')}</ul>
${sections.join('\n')}
${leftOut.length === 0 ? '' : `<h2>Left out</h2>\n<ul>${leftOut.map((why) => `<li>${escaped(why)}</li>`).join('')}</ul>`}
</body>
</html>
`
}

/**
 * results.svg, for the README: streams in process in the suite without signatures, of the first version of Node; no picture
 * where that was not measured.
 */
export function resultsPicture({ measurements }: Results): string | undefined {
  const [plot] = plotsOf(
    measurements.filter(({ question, axes }) => question === 'throughput' && axes['suite'] === PICTURED_SUITE),
  )
  if (plot === undefined) return undefined
  const style = `<style>${COLOURS}\nsvg { background: var(--paper); color: var(--ink); font-family: sans-serif; }</style>`
  const [, tag, rest] = /^(<svg [^>]*>)([^]*)$/.exec(plot.svg)!
  const named = tag!.includes(' xmlns=') ? tag! : tag!.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ')
  return `${named}<title>${escaped(plot.title)}</title>${style}${rest!}\n`
}

function section({ title, how }: { title: string; how: string }, measurements: readonly Measurement[]): string {
  return `<section>
<h2>${escaped(title)}</h2>
<p>${escaped(how)}</p>
${plotsOf(measurements).map(figure).join('\n')}
<details>
<summary>All numbers: ${escaped(title)}</summary>
<div class="scroll">${table(measurements)}</div>
</details>
</section>`
}

function figure({ title, svg }: Drawn): string {
  return `<figure>
<figcaption>${escaped(title)}</figcaption>
<div class="scroll">${svg}</div>
</figure>`
}

function table(measurements: readonly Measurement[]): string {
  const rows = measurementRows(measurements)
  const columns = columnsOf(rows)
  const head = columns.map((name) => `<th scope="col">${escaped(name)}</th>`).join('')
  const body = rows.map((row) => `<tr>${columns.map((name) => cell(row[name] ?? '')).join('')}</tr>`)
  return `<table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>`
}

function cell(text: string): string {
  return text.includes('MISSED') ? `<td class="missed">${escaped(text)}</td>` : `<td>${escaped(text)}</td>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

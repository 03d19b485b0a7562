/** The page that `esdk inspect --html` writes: one file, no script, nothing from elsewhere. */
import { createHash } from 'node:crypto'
import type { WalkedMessage } from '../streams/walk-message.ts'
import { oneLine } from './failure.ts'
import type { InspectRecord } from './inspect.ts'
import {
  MIN_UNITS,
  ROW_UNITS,
  type Segment,
  type SegmentKind,
  type Strip,
  stripsOf,
  widthsOf,
} from './inspect-strips.ts'

/** Each is told apart from the page's background in both schemes. */
const COLOURS: Readonly<Record<SegmentKind | 'frame-odd', string>> = {
  header: '#3f78c4',
  context: '#8a63c7',
  keys: '#b8662b',
  authentication: '#3b8a55',
  frame: '#1f8296',
  'frame-odd': '#4a8f9d',
  final: '#94741a',
  footer: '#b8548c',
  fault: '#d13f3f',
}

const LEGEND: Readonly<Record<SegmentKind, string>> = {
  header: 'header fields, numbers',
  context: 'encryption context, IVs',
  keys: 'encrypted data keys, lengths',
  authentication: 'authentication',
  frame: 'frames',
  final: 'final frame',
  footer: 'footer, end mark',
  fault: 'cut, damaged or too much',
}

const STYLE = `
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --faint: #57606a; --line: #d0d7de; --fault: #b42323 }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --text: #e6e8ea; --faint: #a0a8b0; --line: #3a4148; --fault: #ff8080 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem; max-width: 64rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
p { margin: .5rem 0 } .faint { color: var(--faint) } .fault { color: var(--fault); font-weight: 600 }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 } th.name { width: 14rem }
.number { text-align: right; font-variant-numeric: tabular-nums; width: 9rem; overflow-wrap: normal }
.row { display: block; width: 100%; height: 2.6rem }
.ends { display: flex; justify-content: space-between; gap: 1rem; font-size: .8rem; color: var(--faint) }
.swatch { display: inline-block; width: .8rem; height: .8rem; margin-right: .45rem }
ul.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none }
ul.legend svg { vertical-align: baseline }
code { font: .9em ui-monospace, monospace }
${Object.entries(COLOURS)
  .map(([kind, colour]) => `.${kind} rect, rect.${kind} { fill: ${colour} }`)
  .join('\n')}
@media (max-width: 36rem) { body { padding: .8rem } .number { width: 5.5rem } th.name { width: 8rem } }
@media print { section { break-inside: avoid } * { print-color-adjust: exact } }
`

/** The page. */
export function inspectPage(name: string, record: InspectRecord, headerBytes: Buffer): string {
  const body = record.body!
  const strips = stripsOf(record, body, headerBytes)
  const hash = createHash('sha256').update(STYLE).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
  const title = `${oneLine(name)}: message, not verified`
  const used = new Set(strips.flatMap(({ segments }) => segments.map(({ kind }) => kind)))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(oneLine(name))}</h1>
<p class="faint">Read without any key: nothing of this is verified.</p>
${verdict(body)}
${facts(record, body)}
${keys(record)}
${context(record)}
<h2>To scale</h2>
<ul class="legend">
${[...used].map((kind) => `<li>${swatch(kind)}${LEGEND[kind]}</li>`).join('\n')}
</ul>
<p class="faint">Widths are in proportion to bytes, in each row to a scale of its own. No part is drawn narrower than ${
    (MIN_UNITS / ROW_UNITS) * 100
  } % of its row.</p>
${strips.map(section).join('\n')}
</body>
</html>`
}

function verdict({ complete, faults, faultCount }: WalkedMessage): string {
  if (complete) return '<p>Whole, as far as can be seen without keys.</p>'
  const items = faults.map(({ offset, message }) => `<li>at ${grouped(offset)}: ${escaped(message)}</li>`)
  if (faultCount > faults.length) items.push(`<li>and ${grouped(faultCount - faults.length)} more</li>`)
  return `<p class="fault">Not whole:</p>\n<ul class="faults">${items.join('\n')}</ul>`
}

function facts(record: InspectRecord, { regularFrames, finalFrame, contentLength }: WalkedMessage): string {
  const { algorithmSuite: suite, contentType, frameLength, headerLength, messageLength, version } = record
  const framed = `framed, ${grouped(frameLength)} bytes a frame`
  const pairs: (readonly [string, string])[] = [
    ['format version', String(version)],
    ['algorithm suite', `${suite.id} ${suite.name}`],
    ['commitment', suite.committing ? 'committing' : 'not committing'],
    ['signature', suite.signed ? 'signed' : 'not signed'],
    ['message id', record.messageId],
    ['content', contentType === 'framed' ? framed : contentType],
    ['header length', bytes(headerLength)],
    ['message length', bytes(messageLength ?? 0)],
    ['length of the content', bytes(contentLength)],
  ]
  if (contentType === 'framed') {
    pairs.push(['frames', grouped(regularFrames + (finalFrame === undefined ? 0 : 1))])
  }
  return table(
    'facts',
    pairs.map(([label, value]) => [label, escaped(value)]),
  )
}

function keys({ encryptedDataKeys }: InspectRecord): string {
  const rows = encryptedDataKeys.map(
    ({ keyProviderId, keyName, keyProviderInfo, ciphertextLength }) =>
      `<tr><td>${value(keyProviderId)}</td><td>${keyName === undefined ? `base64 <code>${escaped(keyProviderInfo)}</code>` : value(keyName)}` +
      `</td><td class="number">${grouped(ciphertextLength)}</td></tr>`,
  )
  return `<h2>Encrypted data keys</h2>
<table class="keys"><tr><th>provider</th><th>key</th><th class="number">wrapped, bytes</th></tr>
${rows.join('\n')}</table>`
}

function context({ encryptionContext }: InspectRecord): string {
  const pairs = Object.entries(encryptionContext)
  const title = '<h2>Encryption context</h2>'
  if (pairs.length === 0) return `${title}\n<p>none</p>`
  return `${title}\n${table(
    'context',
    pairs.map(([name, text]) => [value(name), value(text)]),
  )}`
}

function table(kind: string, rows: readonly (readonly [string, string])[]): string {
  const lines = rows.map(([label, text]) => `<tr><th class="name">${label}</th><td>${text}</td></tr>`)
  return `<table class="${kind}">\n${lines.join('\n')}</table>`
}

function section({ title, segments, rows = segments }: Strip): string {
  const [first, last] = [segments[0]!, segments.at(-1)!]
  const end = last.offset + last.length
  return `<section>
<h2>${title}</h2>
${drawing(title, segments)}
<div class="ends"><span>${grouped(first.offset)}</span><span>${grouped(end)}</span></div>
<table class="parts"><tr><th>part</th><th class="number">offset</th><th class="number">length</th></tr>
${rows.map(partRow).join('\n')}</table>
</section>`
}

function drawing(title: string, segments: readonly Segment[]): string {
  const widths = widthsOf(segments.map(({ length }) => length))
  let x = 0
  const rects = segments.map(({ kind, name, offset, length }, index) => {
    const width = widths[index]!
    x += width
    const shade = kind === 'frame' && index % 2 === 1 ? 'frame-odd' : kind
    const told = `${name}: ${bytes(length)} at ${grouped(offset)}`
    return (
      `<rect class="${shade}" x="${(x - width).toFixed(3)}" width="${width.toFixed(3)}" height="40" ` +
      `data-length="${length}"><title>${escaped(told)}</title></rect>`
    )
  })
  return `<svg class="row" role="img" aria-label="${title}, drawn to scale" viewBox="0 0 ${ROW_UNITS} 40" preserveAspectRatio="none">
${rects.join('\n')}</svg>`
}

function partRow({ kind, name, offset, length }: Segment): string {
  const cells = `<td class="number">${grouped(offset)}</td><td class="number">${grouped(length)}</td>`
  return `<tr><td>${swatch(kind)}${escaped(name)}</td>${cells}</tr>`
}

function swatch(kind: SegmentKind): string {
  return `<svg class="swatch ${kind}" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1"/></svg>`
}

function bytes(count: number): string {
  return `${grouped(count)} bytes`
}

function grouped(count: number): string {
  return count.toLocaleString('en-US')
}

/** Text of strangers, in quotes, as code. */
function value(text: string): string {
  return `<code>${escaped(oneLine(JSON.stringify(text)))}</code>`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}

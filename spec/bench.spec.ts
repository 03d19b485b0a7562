/** The benchmark, run as small as it goes: what it writes, and what a browser makes of its page. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'puppeteer-core'
import { QUESTIONS, resultsMarkdown, withReadmeTable } from '../bench/support/markdown.ts'
import { type Results, isMissed, missedOf } from '../bench/support/measurement.ts'
import { numberText } from '../bench/support/tables.ts'
import { startChromium } from './browser/chromium.ts'
import { preparedOrPending } from './interop/pending.ts'

const root = resolve(import.meta.dirname, '..')

/** Its peers may have to be installed first. */
const PATIENCE_MS = 600_000
/** WCAG 2.2, 1.4.3 and 1.4.11. */
const CONTRAST = { text: 4.5, bar: 3 } as const

async function resultsIn(folder: string): Promise<Results> {
  return JSON.parse(await readFile(join(folder, 'results.json'), 'utf8')) as Results // written by the benchmark
}

describe('benchmark', function () {
  this.timeout(PATIENCE_MS)
  let folder: string
  let results: Results
  let code: number | null
  let stderr = ''

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-bench-spec-'))
    const args = ['--import', 'tsx', 'bench/main.ts', '--mib', '1', '--rounds', '1', '--check', '--output', folder]
    const child: ChildProcess = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()))
    ;[code] = (await once(child, 'close')) as [number | null]
    results = await resultsIn(folder)
  })

  after(() => rm(folder, { recursive: true }))

  it('writes the four files, and nothing else', async () => {
    assert.deepEqual((await readdir(folder)).sort(), ['RESULTS.md', 'results.html', 'results.json', 'results.svg'])
  })

  it('answers every question, with numbers that could be', () => {
    assert.deepEqual([...new Set(results.measurements.map(({ question }) => question))], QUESTIONS)
    assert.ok(results.machine.cores > 0 && results.machine.memoryMiB > 0 && results.machine.load.after >= 0)
    assert.ok(Math.abs(Date.now() - Date.parse(results.date)) < PATIENCE_MS)
    for (const { node, engine, axes, figures, ratios } of results.measurements) {
      assert.equal(node, process.versions.node)
      assert.ok(['native', 'node'].includes(engine))
      assert.ok(Object.values(axes).every((text) => text !== ''))
      assert.ok(figures.some(({ kind }) => kind === 'ours'))
      for (const { value } of [...figures, ...ratios]) assert.ok(Number.isFinite(value) && value > 0)
    }
  })

  it('knows what is required, and says with --check what is missed', () => {
    const { measurements } = results
    const engines = new Set(measurements.map(({ engine }) => engine))
    const required = measurements.flatMap(({ question, engine, axes, ratios }) =>
      question === 'throughput' && axes['direction'] === 'decrypt'
        ? [[engine, axes['suite']!.slice(0, 6), axes['frames'], ...ratios.map(({ atLeast }) => atLeast)].join(' ')]
        : [],
    )
    const faster = Number.parseInt(process.versions.node) >= 24 ? 4 : 3
    assert.deepEqual(required, [
      ...(engines.has('native') ? ['native unsign 4 KiB 10 0.8', `native unsign 64 KiB ${faster} 0.8`] : []),
      ...(engines.has('native') ? ['native signed 4 KiB  0.9', 'native signed 64 KiB  0.9'] : []),
      ...['node unsign 4 KiB 3 ', 'node unsign 64 KiB 1.8 ', 'node signed 4 KiB  ', 'node signed 64 KiB  '],
    ])
    const limits = measurements.flatMap(({ figures }) => figures.flatMap(({ below }) => below ?? []))
    assert.deepEqual([...new Set(limits)], [128, 20])
    assert.equal(code, missedOf(measurements).length > 0 ? 1 : 0, stderr)
    assert.equal(isMissed({ to: 'x', as: 'times', value: 2.9, atLeast: 3 }), true)
    assert.equal(isMissed({ to: 'x', as: 'times', value: 3, atLeast: 3 }), false)
    assert.equal(isMissed({ name: 'x', kind: 'ours', unit: 'ms', value: 20, below: 20 }), true)
  })

  it('tells the same in RESULTS.md: every number, and each that is missed', async () => {
    const text = await readFile(join(folder, 'RESULTS.md'), 'utf8')
    assert.equal(text, resultsMarkdown(results))
    const rows = text.split('\n').filter((line) => line.startsWith(`| ${process.versions.node} `))
    assert.equal(rows.length, results.measurements.length)
    results.measurements.forEach(({ axes, figures, ratios }, index) => {
      const cells = rows[index]!.split('|').map((cell) => cell.trim())
      for (const value of Object.values(axes)) assert.ok(cells.includes(value))
      for (const { value } of figures) {
        assert.ok(
          cells.some((cell) => cell.split(' ')[0] === numberText(value)),
          `${rows[index]!} has ${value}`,
        )
      }
      const missed = [...figures, ...ratios].filter(isMissed).length
      assert.equal(cells.filter((cell) => cell.endsWith(' MISSED')).length, missed)
    })
  })

  it('keeps RESULTS.md and the README as the committed results have it', async () => {
    const committed = await resultsIn(join(root, 'bench'))
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    assert.equal(await readFile(join(root, 'bench', 'RESULTS.md'), 'utf8'), resultsMarkdown(committed))
    assert.equal(readme, withReadmeTable(readme, committed))
    assert.ok((await readFile(join(root, 'bench', 'results.html'), 'utf8')).includes(committed.date.slice(0, 10)))
  })

  describe('page in a browser', () => {
    let browser: Browser
    let page: Page

    before(async function () {
      browser = await preparedOrPending(this, startChromium)
      page = await browser.newPage()
    })

    after(async () => {
      await (browser as Browser | undefined)?.close()
    })

    for (const scheme of ['light', 'dark'] as const) {
      it(`shows what was measured, readably: ${scheme}`, async () => {
        await page.setViewport({ width: 1000, height: 1400 })
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
        await page.goto(pathToFileURL(join(folder, 'results.html')).href)
        const { plots, paper, words, resources } = await page.evaluate(seen)
        assert.equal(resources, 0, 'it needs nothing else')
        assert.equal(luminance(paper) > 0.5, scheme === 'light')
        assertPlots(plots, results)
        for (const [color, text] of words)
          assert.ok(contrast(color, paper) >= CONTRAST.text, `${text}: ${color.join()}`)
        for (const plot of plots) {
          for (const { color, label } of plot.bars)
            assert.ok(contrast(color, paper) >= CONTRAST.bar, `${label}: ${color.join()}`)
          assertApart(plot)
        }
      })
    }

    for (const scheme of ['light', 'dark'] as const) {
      it(`has a picture for the README: ${scheme}`, async () => {
        await page.setViewport({ width: 1000, height: 1400 })
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
        await page.goto(pathToFileURL(join(folder, 'results.svg')).href) // as XML: what is ill formed shows an error
        const { root: tag, paper, ink, bars, texts } = (await page.evaluate(pictured)) as Pictured // what it gives
        assert.equal(tag, 'svg')
        assert.equal(luminance(paper) > 0.5, scheme === 'light')
        assert.ok(contrast(ink, paper) >= CONTRAST.text)
        const asked = results.measurements.filter(
          ({ question, axes }) => question === 'throughput' && axes['suite'] === 'unsigned 0x0478',
        )
        const figures = new Set(asked.flatMap((each) => each.figures.map(({ value }) => numberText(value))))
        assert.equal(bars, texts.filter((text) => figures.has(text)).length)
        assert.ok(bars >= 8)
      })
    }

    it('fits a telephone', async () => {
      await page.goto(pathToFileURL(join(folder, 'results.html')).href)
      await page.setViewport({ width: 375, height: 700 })
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 375)
    })
  })
})

interface Pictured {
  readonly root: string
  readonly paper: readonly [number, number, number]
  readonly ink: readonly [number, number, number]
  readonly bars: number
  readonly texts: readonly string[]
}

/** Runs in the browser. */
const pictured = `(() => {
  const svg = document.documentElement
  const color = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number)
  return {
    root: svg.tagName,
    paper: color(getComputedStyle(svg).backgroundColor),
    ink: color(getComputedStyle(svg).color),
    bars: document.querySelectorAll('[aria-label=bar] rect').length,
    texts: [...document.querySelectorAll('text')].map((text) => text.textContent),
  }
})()`

interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

type Color = readonly [red: number, green: number, blue: number]
type Text = Box & { readonly text: string }
type Bar = Box & { readonly label: string; readonly color: Color }

interface SeenPlot extends Box {
  readonly title: string
  readonly description: string
  readonly texts: readonly Text[]
  readonly bars: readonly Bar[]
}

interface Seen {
  readonly paper: Color
  readonly plots: readonly SeenPlot[]
  /** Colours of text, and one that has it. */
  readonly words: readonly (readonly [Color, string])[]
  readonly resources: number
}

/** What there is to see: runs in the page. */
const seen = `(() => {
  const color = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number)
  const box = (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect()
    return { left, right, top, bottom }
  }
  const all = (within, selector) => [...within.querySelectorAll(selector)]
  for (const details of all(document, 'details')) details.open = true
  const plots = all(document, 'figure svg').map((svg) => ({
    ...box(svg),
    title: svg.getAttribute('role') === 'img' ? svg.getAttribute('aria-label') : '',
    description: svg.getAttribute('aria-description') ?? '',
    texts: all(svg, 'text').map((text) => ({ ...box(text), text: text.textContent })),
    bars: all(svg, '[aria-label=bar] rect').map((bar) => ({
      ...box(bar),
      label: bar.getAttribute('aria-label'),
      color: color(getComputedStyle(bar).fill),
    })),
  }))
  const words = new Map()
  for (const element of all(document, 'h1, h2, p, li, figcaption, summary, th, td')) {
    words.set(getComputedStyle(element).color, element.textContent)
  }
  for (const element of all(document, 'svg text')) words.set(getComputedStyle(element).fill, element.textContent)
  return {
    paper: color(getComputedStyle(document.body).backgroundColor),
    plots,
    words: [...words].map(([each, text]) => [color(each), text]),
    resources: performance.getEntriesByType('resource').length,
  }
})()` as unknown as () => Seen // the page is no place for what the compiler makes of functions

/** Bars are as long as their numbers say, and all of the library's numbers are there, in words too. */
function assertPlots(plots: readonly SeenPlot[], { measurements }: Results): void {
  assert.ok(plots.length >= QUESTIONS.length)
  const drawn: string[] = []
  for (const { title, description, bars } of plots) {
    assert.notEqual(title, '')
    const values = bars.map(({ label }) => Number(/ ([\d,.]+) \S+$/.exec(label)![1]!.replaceAll(',', '')))
    const lengths = bars.map(({ left, right }) => right - left)
    const longest = lengths.indexOf(Math.max(...lengths))
    assert.ok(lengths[longest]! > 300, `${title}: the longest bar is ${lengths[longest]!} px`)
    bars.forEach(({ label, left }, index) => {
      assert.ok(Math.abs(left - bars[0]!.left) < 0.1, `${label} begins where the others do`)
      const expected = (values[index]! / values[longest]!) * lengths[longest]!
      assert.ok(Math.abs(lengths[index]! - expected) < 1 + expected / 100, `${label}: ${lengths[index]!} px`)
      const said = label.slice(label.indexOf(': ') + 2)
      assert.ok(description.includes(said), `${said} is said of ${title}`)
      drawn.push(said.replace(', node engine', ''))
    })
  }
  const expected = measurements.flatMap(({ figures }) =>
    figures
      .filter(({ kind }) => kind === 'ours')
      .map(({ name, value, unit }) => `${name} ${numberText(value)} ${unit}`),
  )
  for (const each of new Set(expected)) assert.ok(drawn.includes(each), `${each} is drawn`)
}

/** No text is on another, on a bar, or cut off. */
function assertApart({ title, texts, bars, left, right, top, bottom }: SeenPlot): void {
  texts.forEach((text, index) => {
    assert.ok(text.right > text.left, `${title}: "${text.text}" is drawn`)
    const isWhole = text.left >= left && text.right <= right && text.top >= top && text.bottom <= bottom
    assert.ok(isWhole, `${title}: "${text.text}" is cut off`)
    for (const other of texts.slice(index + 1)) {
      assert.ok(!overlap(text, other), `${title}: "${text.text}" and "${other.text}"`)
    }
    for (const bar of bars) assert.ok(!overlap(text, bar), `${title}: "${text.text}" and the bar ${bar.label}`)
  })
}

function overlap(a: Box, b: Box): boolean {
  const [across, down] = [
    Math.min(a.right, b.right) - Math.max(a.left, b.left),
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
  ]
  // The box of a text has room above and below its letters.
  return across > 0.5 && down > 3
}

function luminance([red, green, blue]: Color): number {
  const linear = (value: number): number =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

function contrast(a: Color, b: Color): number {
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (lighter! + 0.05) / (darker! + 0.05)
}

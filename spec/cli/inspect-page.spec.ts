/** The page of `esdk inspect --html`, in a real browser. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'puppeteer-core'
import { ALGORITHM_SUITES, encodeMessageFooter } from 'esdk-streams/format'
import { encrypt } from 'esdk-streams'
import { MIN_UNITS, ROW_UNITS, widthsOf } from '#lib/cli/inspect-strips'
import { aesKeyring } from '../arbitraries.ts'
import { startChromium } from '../browser/chromium.ts'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { preparedOrPending } from '../interop/pending.ts'
import { craft, wrap } from '../message-recipe.ts'
import { esdk, temporaryFolder } from './command.ts'

const HOSTILE = {
  '<script>window.broken = 1</script>': '"><img src=x onerror="window.broken = 1">',
  "' onload='window.broken = 1": '</title></style></code><b>bold</b>&lt;',
  'long\u202e\u001b[2J': 'x'.repeat(3000),
}

/** What a page has of its rows. */
interface DrawnRow {
  readonly title: string
  readonly width: number
  readonly drawn: readonly { readonly width: number; readonly length: number }[]
}

describe('the page of esdk inspect', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  let browser: Browser
  let page: Page
  const asked: string[] = []

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    browser = await preparedOrPending(this, startChromium)
  })

  after(() => browser.close())

  beforeEach(async () => {
    asked.length = 0
    page = await browser.newPage()
    page.on('request', (request) => asked.push(request.url()))
  })

  afterEach(() => page.close())

  /** Opens the page of a message; gives its address. */
  async function open(message: Buffer, code = 0): Promise<string> {
    await writeFile(folder.of('message'), message)
    const { code: ended, stdout } = await esdk(folder.path, ['inspect', 'message', '--html'])
    assert.equal(ended, code)
    await writeFile(folder.of('page.html'), stdout)
    const url = pathToFileURL(folder.of('page.html')).href
    await page.goto(url)
    return url
  }

  /** What a script finds in the page. */
  const find = async <T>(script: string): Promise<T> => (await page.evaluate(script)) as T // as our own script says

  const textOf = (selector: string): Promise<string> => find(`document.querySelector('${selector}').textContent`)

  const textsOf = (selector: string): Promise<string[]> =>
    find(`[...document.querySelectorAll('${selector}')].map((each) => each.textContent)`)

  const rows = (): Promise<DrawnRow[]> =>
    find(`[...document.querySelectorAll('section')].map((section) => ({
      title: section.querySelector('h2').textContent,
      width: section.querySelector('svg.row').getBoundingClientRect().width,
      drawn: [...section.querySelectorAll('svg.row rect')].map((rect) => ({
        width: rect.getBoundingClientRect().width,
        length: Number(rect.getAttribute('data-length')),
      })),
    }))`)

  /** Each segment is as wide as its bytes say, or as wide as the least. */
  function assertToScale({ title, width, drawn }: DrawnRow): void {
    const least = (width * MIN_UNITS) / ROW_UNITS
    const wide = drawn.filter((segment) => segment.width > least + 0.2)
    const [first] = wide
    for (const { width: its, length } of wide) {
      const proportional = (first!.width / first!.length) * length
      assert.ok(Math.abs(its - proportional) < 0.5, `${title}: ${its} and not ${proportional}`)
    }
    for (const segment of drawn) {
      assert.ok(segment.width >= least - 0.2, `${title}: ${segment.width} of ${width}`)
      if (!wide.includes(segment)) assert.ok((first!.width / first!.length) * segment.length <= least + 0.5)
    }
    const sum = drawn.reduce((all, segment) => all + segment.width, 0)
    assert.ok(Math.abs(sum - width) < 1, `${title}: ${sum} of ${width}`)
  }

  async function assertNothingOverflows(): Promise<void> {
    const room = await find<number>(`document.querySelector('.ends span:last-child').getBoundingClientRect().width`)
    assert.ok(room > 5, 'there is no font: text takes no room')
    for (const width of [1200, 360]) {
      await page.setViewport({ width, height: 900 })
      const wide = await find(`[...document.querySelectorAll('body, body *:not(svg):not(rect):not(title)')]
        .filter((each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)
        .map((each) => each.tagName + ' ' + each.textContent.slice(0, 60))`)
      assert.deepEqual(wide, [], `${width} pixels`)
      const beyond = await find<number>('document.documentElement.scrollWidth - window.innerWidth')
      assert.ok(beyond <= 0, `${beyond} pixels beyond the window`)
    }
    await page.setViewport({ width: 1200, height: 900 })
  }

  /** WCAG 2.2: 4.5 for text (1.4.3), 3 for what is drawn (1.4.11). */
  async function assertContrast(): Promise<void> {
    for (const scheme of ['light', 'dark']) {
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      const { back, text, drawn } = await find<{ back: string; text: string[]; drawn: string[] }>(`({
        back: getComputedStyle(document.body).backgroundColor,
        text: [...document.querySelectorAll('h1, h2, p, th, td, li, span, code')].map((each) => getComputedStyle(each).color),
        drawn: [...document.querySelectorAll('rect')].map((each) => getComputedStyle(each).fill),
      })`)
      assert.equal(luminance(back) > 0.5, scheme === 'light')
      for (const [colours, least] of [
        [text, 4.5],
        [drawn, 3],
      ] as const) {
        for (const colour of new Set(colours)) {
          const [bright, dim] = [luminance(colour), luminance(back)].sort((a, b) => b - a)
          const contrast = (bright! + 0.05) / (dim! + 0.05)
          assert.ok(contrast >= least, `${scheme}: ${colour} on ${back} has ${contrast}`)
        }
      }
    }
  }

  it('draws messages of each kind of suite, framed and not, to scale', async () => {
    const isFull = process.env['ESDK_FULL'] === '1'
    for (const suite of ALGORITHM_SUITES.filter(({ id }) => isFull || [0x0014, 0x0378, 0x0578].includes(id))) {
      for (const nonFramed of [false, true]) {
        await open(craft({ suite, nonFramed }).message)
        const drawn = await rows()
        for (const row of drawn) assertToScale(row)
        const titles = drawn.map(({ title }) => title)
        const parts = nonFramed ? ['The content'] : ['The first frame', 'The final frame']
        const footer = suite.signature === undefined ? [] : ['The footer']
        assert.deepEqual(titles, ['The message', 'The header', ...parts, ...footer])
      }
    }
  })

  it('has all bytes in its first row, none twice, and says the same in its table', async () => {
    const { message } = craft({ suite: ALGORITHM_SUITES.at(-1)! })
    await open(message)
    const [whole] = await rows()
    assert.equal(
      whole!.drawn.reduce((sum, { length }) => sum + length, 0),
      message.length,
    )
    const cells = await textsOf('section:first-of-type td')
    const table = Array.from({ length: cells.length / 3 }, (_, row) => cells.slice(3 * row, 3 * row + 3))
    let at = 0
    for (const [, offset, length] of table) {
      assert.equal(Number(offset!.replaceAll(',', '')), at)
      at += Number(length!.replaceAll(',', ''))
    }
    assert.equal(at, message.length)
  })

  it('is readable with one frame and with 100,000, which are drawn together, on paper too', async () => {
    for (const [count, segments] of [
      [1, 6],
      [100_000, 66],
    ] as const) {
      const options = { keyring: aesKeyring(), frameLength: 1, algorithmSuite: 0x0478 }
      await open((await encrypt(Buffer.alloc(count), options)).ciphertext)
      const drawn = await rows()
      for (const row of drawn) assertToScale(row)
      assert.equal(drawn[0]!.drawn.length, segments)
      await assertNothingOverflows()
      await assertContrast()
      assert.match(await textOf('table.facts'), new RegExp(`frames${count.toLocaleString('en-US')}$`))
      const paper = Buffer.from(await page.pdf({ format: 'a4', printBackground: true })).toString('latin1')
      const pages = paper.match(/\/Type\s*\/Page\b/g) ?? []
      assert.ok(pages.length >= 1 && pages.length <= 4, `${pages.length} pages`)
    }
  })

  it('shows what strangers wrote as text, and nothing of it runs; it asks nobody for anything', async () => {
    const { message } = craft({ suite: ALGORITHM_SUITES.at(-1)!, context: HOSTILE })
    const url = await open(message)
    assert.equal(await find(`'broken' in window`), false)
    assert.deepEqual(await textsOf('script, img, b, iframe, link'), [])
    const shown = await textsOf('table.context code')
    for (const [name, value] of Object.entries(HOSTILE).slice(0, 2)) {
      assert.ok(shown.includes(JSON.stringify(name)) && shown.includes(JSON.stringify(value)), name)
    }
    assert.ok(shown.includes('"long\\u202e\\u001b[2J"'))
    await assertNothingOverflows()
    await assertContrast()
    assert.deepEqual(new Set(asked), new Set([url]))
    // Nor would anything run if it were there.
    const policy = await find<string>(`document.querySelector('meta[http-equiv]').getAttribute('content')`)
    assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+';/)
    await find(`{
      const script = document.createElement('script')
      script.textContent = 'window.broken = 1'
      document.body.append(script)
    }`)
    assert.equal(await find(`'broken' in window`), false)
  })

  it('shows hostile names of files and providers as text', async () => {
    const suite = ALGORITHM_SUITES.at(-2)!
    const key = wrap(Buffer.alloc(32), {})
    const keys = [
      { ...key, keyProviderId: '<img src=x onerror="window.broken = 1">' },
      { ...key, keyProviderInfo: Buffer.from('<b>&amp;') },
      { ...key, keyProviderInfo: Buffer.from([0xff]) },
    ]
    const name = '<b>name&amp;"'
    await writeFile(folder.of(name), craft({ suite, keys }).message)
    const { stdout } = await esdk(folder.path, ['inspect', name, '--html'])
    await page.setContent(stdout.toString())
    assert.equal(await textOf('h1'), name)
    assert.equal((await page.$$('img, b')).length, 0)
    const shown = await textsOf('table.keys td')
    assert.equal(shown[0], JSON.stringify(keys[0]!.keyProviderId))
    assert.deepEqual([shown[4], shown[7]], ['"<b>&amp;"', 'base64 /w=='])
  })

  it('shows messages that are cut, damaged or too long, in the colour for that', async () => {
    const suite = ALGORITHM_SUITES.at(-1)!
    const { message, header } = craft({ suite })
    for (const [bytes, expected] of [
      [message.subarray(0, header.length), /before frame 1/],
      [message.subarray(0, header.length + 60), /in the IV of frame 2/],
      [message.subarray(0, -20), /in the signature/],
      [Buffer.concat([message, Buffer.alloc(500)]), /500 bytes after the end/],
      [Buffer.concat([message.subarray(0, -105), encodeMessageFooter(Buffer.alloc(105))]), /signature of 105 bytes/],
    ] as const) {
      await open(bytes, 1)
      assert.match(await textOf('ul.faults'), expected)
      for (const row of await rows()) assertToScale(row)
      const isRed = (await page.$$('section rect.fault')).length > 0
      assert.equal(isRed, bytes.length > header.length)
      await assertContrast()
    }
  })

  it('draws a header of very many data keys with few segments', async () => {
    const suite = ALGORITHM_SUITES.at(-2)!
    const key = wrap(Buffer.alloc(32), {})
    for (const count of [30, 500]) {
      await open(craft({ suite, keys: Array.from({ length: count }, () => key) }).message)
      const header = (await rows())[1]!
      assertToScale(header)
      assert.ok(header.drawn.length <= 60)
    }
  })
})

describe('widths of the page', () => {
  it('are in proportion, and none is less than the least', () => {
    assert.deepEqual(widthsOf([1, 1, 2], 100, 1), [25, 25, 50])
    assert.deepEqual(widthsOf([1, 1_000_000], 100, 1), [1, 99])
    // With the room that the smallest take, others become too small.
    const widths = widthsOf([1, 1, 1, 1, 11, 985], 100, 1)
    assert.deepEqual(widths.slice(0, 4), [1, 1, 1, 1])
    assert.ok(widths.every((width) => width >= 1))
    assert.ok(Math.abs(widths.reduce((sum, width) => sum + width, 0) - 100) < 1e-9)
    assert.deepEqual(widthsOf([5], 100, 1), [100])
  })
})

/** Relative luminance of `rgb(…)`: WCAG 2.2. */
function luminance(colour: string): number {
  const [r, g, b] = colour.match(/[\d.]+/g)!.map((text) => {
    const share = Number(text) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}

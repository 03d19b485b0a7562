/** The page of errors knows every error, and quotes only what is said. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pageOf, root } from './markdown.ts'

const text = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8')
const page = pageOf('docs/troubleshooting.md', text)

const declared = readFileSync(join(root, 'lib/errors.ts'), 'utf8')
const codes = [...declared.matchAll(/^ {2}readonly code = '(\w+)'$/gm)].map(([, code]) => code!)
const names = [...declared.matchAll(/^export class (\w+Error) extends EncryptionSdkError/gm)].map(([, name]) => name!)

/** What AWS says, and not this library. */
const OF_AWS = /^(?:…: )?(?:\w+Exception|TimeoutError|NoSuchKey|NoSuchBucket|AccessDenied)\b/

/** All of lib/, with texts that are put together from several lines in one piece. */
const lib = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(root, 'lib', name), 'utf8'))
  .join('\n')
  .replace(/['`] \+\s+['`]/g, '')
  .replaceAll("\\'", "'")

/** Rows of the tables of a section, as cells. */
function rowsOf(section: string): string[][] {
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| -/.test(line))
    .slice(1)
    .map((line) => line.split(/ *(?<!\\)\| */).slice(1, -1))
}

function sectionOf(code: string): string {
  return text.split(/^## /m).find((section) => section.startsWith(code))!
}

describe('the page of errors', () => {
  it('has a section for each code, and no other', () => {
    assert.ok(codes.length > 10)
    const sections = page.headings.filter((heading) => heading.startsWith('ERR_'))
    assert.deepEqual(sections, codes)
    const union = [...declared.matchAll(/^ {2}\| '(\w+)'$/gm)].map(([, code]) => code!)
    assert.deepEqual([...union].sort(), [...codes].sort())
  })

  it('names the class of each, and gives every message a cause and a cure', () => {
    for (const [index, code] of codes.entries()) {
      const section = sectionOf(code)
      assert.ok(section.includes(`\`${names[index]!}\``), `${code} names ${names[index]!}`)
      const rows = rowsOf(section)
      assert.ok(rows.length > 0, code)
      for (const cells of rows)
        assert.ok(cells.length >= 3 && cells.every((cell) => cell.length > 0), cells.join(' | '))
    }
  })

  it('quotes messages that this library has', () => {
    const quoted = codes.flatMap((code) =>
      rowsOf(sectionOf(code)).flatMap((cells) => {
        const message = cells.length === 4 ? cells[1]! : cells[0]!
        return [...message.matchAll(/`([^`]+)`/g)].map(([, quote]) => quote!)
      }),
    )
    const ours = quoted.filter((quote) => !OF_AWS.test(quote))
    assert.ok(ours.length > 50)
    assert.deepEqual(
      ours.filter((quote) => !isSaid(quote)),
      [],
    )
  })

  it('would miss a message that nothing says', () => {
    assert.ok(isSaid('the header has … encrypted data keys; the limit is …'))
    assert.ok(!isSaid('the header has … encrypted keys; the limit is …'))
    assert.ok(!isSaid('…'))
  })
})

/** Whether a file has its pieces, in this order, near each other. */
function isSaid(quote: string): boolean {
  const pieces = quote
    .split('…')
    .map((piece) => piece.trim().replace(/^[:;,.)]+ ?/, ''))
    .filter((piece) => piece.length > 2)
  if (pieces.length === 0) return false
  const pattern = pieces.map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^\\n]{0,120}?')
  return new RegExp(pattern).test(lib)
}

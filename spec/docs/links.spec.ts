/** Every link of the documentation leads somewhere. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type Mention, type Page, allPages, pageOf, root, show } from './markdown.ts'

const pages = allPages()

const NO_HEADING = 'names no heading of that page'

/** What is wrong with a link; nothing where it is right. */
function faultOf({ page, text }: Mention, own: Page): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return externalFault(text)
  const [path = '', anchor] = text.split('#', 2)
  if (path === '') return own.anchors.has(anchor ?? '') ? undefined : NO_HEADING
  const target = relative(root, join(root, dirname(page), decodeURIComponent(path)))
  if (target.startsWith('..')) return 'leads out of the repository'
  if (!existsSync(join(root, target))) return 'leads to no file'
  if (anchor === undefined) return undefined
  if (!target.endsWith('.md')) return 'names a part of what is no page'
  const of = pages.find(({ name }) => name === target) ?? pageOf(target, readFileSync(join(root, target), 'utf8'))
  return of.anchors.has(anchor) ? undefined : NO_HEADING
}

/** Nobody is asked whether it is there; it is only looked at. */
function externalFault(text: string): string | undefined {
  if (!URL.canParse(text)) return 'is no URL'
  const { protocol, hostname } = new URL(text)
  if (protocol !== 'https:') return 'is not https'
  return hostname.includes('.') ? undefined : 'has no host'
}

function faultsOf(page: Page): string[] {
  return page.links.flatMap((link) => {
    const fault = faultOf(link, page)
    return fault === undefined ? [] : [`${show(link)} ${fault}`]
  })
}

describe('links of the documentation', () => {
  it('lead to files that exist and to headings that they have', () => {
    assert.deepEqual(pages.flatMap(faultsOf), [])
    assert.ok(pages.flatMap(({ links }) => links).length > 100)
  })

  it('are found, and faulted where they are wrong', () => {
    const page = pageOf(
      'docs/page.md',
      [
        '# A heading\n\n## Another `one`\n',
        '[a](#a-heading) [b](#another-one) [c](../README.md) [d](https://example.com/) [e](../SECURITY.md#no-such-heading)',
        '[f](no-such-page.md) [g](#no-such-heading) [h](http://example.com/) [i](../../out.md) [j](https://example)',
        '![k](no-such-picture.svg) [l](../package.json#name)',
      ].join('\n'),
    )
    assert.deepEqual(
      faultsOf(page).map((fault) => fault.replace(/^docs\/page\.md:\d+: /, '')),
      [
        '../SECURITY.md#no-such-heading names no heading of that page',
        'no-such-page.md leads to no file',
        '#no-such-heading names no heading of that page',
        'http://example.com/ is not https',
        '../../out.md leads out of the repository',
        'https://example has no host',
        'no-such-picture.svg leads to no file',
        '../package.json#name names a part of what is no page',
      ],
    )
  })

  it('lead to every page of docs/, from its index', () => {
    const index = pages.find(({ name }) => name === 'docs/README.md')
    const linked = index?.links.map(({ text }) => `docs/${text.split('#')[0]!}`) ?? []
    const missing = pages.map(({ name }) => name).filter((name) => name.startsWith('docs/') && !linked.includes(name))
    assert.deepEqual(
      missing.filter((name) => name !== 'docs/README.md'),
      [],
    )
  })
})

/** The Markdown of this repository, as its readers and its specs see it. */
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import GithubSlugger from 'github-slugger'
import MarkdownIt from 'markdown-it'

export const root: string = resolve(import.meta.dirname, '../..')

/** A code block. */
export interface Block {
  /** The page that it stands on, from the root. */
  readonly page: string
  /** The line of the page that its first line is. */
  readonly line: number
  readonly language: string
  readonly code: string
  /** In a comment of the page: what its examples need, or what makes sure of what they did. */
  readonly hidden: boolean
  /** Why it is not run, where it says so. */
  readonly notRun: string | undefined
}

/** Something said at a line of a page. */
export interface Mention {
  readonly page: string
  readonly line: number
  readonly text: string
}

/** A Markdown file. */
export interface Page {
  /** Its path from the root, with slashes. */
  readonly name: string
  readonly blocks: readonly Block[]
  /** What stands in backticks. */
  readonly codes: readonly Mention[]
  /** Where its links lead to, as written. */
  readonly links: readonly Mention[]
  /** What a link after `#` may name. */
  readonly anchors: ReadonlySet<string>
  /** Its headings, as text. */
  readonly headings: readonly string[]
}

/** The first line of a block that is not run; the rest of the line says why. */
const NOT_RUN = /^(?:\/\/|#) Not run by the tests: (.+)$/m

const parser = new MarkdownIt({ html: true })

/** Every page that this repository has. */
export function allPages(): readonly Page[] {
  return ['.', 'docs', 'fixtures']
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(root, folder, name)))
    .filter((file) => file.endsWith('.md'))
    .map((file) => pageOf(relative(root, file).replaceAll('\\', '/'), readFileSync(file, 'utf8')))
}

/** Reads a page. */
export function pageOf(name: string, text: string): Page {
  const [blocks, codes, links, headings]: [Block[], Mention[], Mention[], string[]] = [[], [], [], []]
  const slugger = new GithubSlugger()
  const tokens = parser.parse(text, {})
  let line = 1
  for (const [index, token] of tokens.entries()) {
    if (token.map !== null) line = token.map[0] + 1 // the cells of a table have none
    if (token.type === 'fence') {
      blocks.push(blockOf({ page: name, line: line + 1, language: token.info.trim(), hidden: false }, token.content))
    }
    if (token.type === 'html_block') blocks.push(...hiddenBlocks(name, line, token.content))
    if (token.type !== 'inline') continue
    const children = token.children ?? []
    for (const child of children) {
      if (child.type === 'code_inline') codes.push({ page: name, line, text: child.content })
      const target = child.attrGet(child.type === 'image' ? 'src' : 'href')
      if (target !== null) links.push({ page: name, line, text: target })
    }
    if (tokens[index - 1]?.type === 'heading_open') headings.push(children.map(({ content }) => content).join(''))
  }
  const anchors = new Set(headings.map((heading) => slugger.slug(heading)))
  return { name, blocks, codes, links, anchors, headings }
}

function hiddenBlocks(page: string, line: number, html: string): Block[] {
  if (!html.startsWith('<!--')) return []
  return [...html.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => {
    const before = html.slice(0, index).split('\n').length - 1
    return blockOf({ page, line: line + before + 1, language: language!, hidden: true }, code!)
  })
}

function blockOf(block: Omit<Block, 'code' | 'notRun'>, code: string): Block {
  return { ...block, code, notRun: NOT_RUN.exec(code.split('\n')[0]!)?.[1] }
}

/** `page:line: text` */
export function show({ page, line, text }: Mention): string {
  return `${page}:${line}: ${text}`
}

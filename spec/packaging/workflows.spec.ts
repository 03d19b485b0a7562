/** The workflows that check and release the package. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { root } from '../docs/markdown.ts'
import { scripts } from '../docs/known-names.ts'

const folder = join(root, '.github/workflows')

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
}

interface Job {
  readonly uses?: string
  readonly needs?: string
  readonly permissions?: Readonly<Record<string, string>>
  readonly 'timeout-minutes'?: number
  readonly steps?: readonly Step[]
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, Job>>
}

const read = (name: string): Workflow => parse(readFileSync(join(folder, name), 'utf8')) as Workflow // our own files

const stepsOf = ({ jobs }: Workflow): readonly Step[] => Object.values(jobs).flatMap(({ steps = [] }) => steps)

describe('workflows', () => {
  const files = readdirSync(folder)

  it('are two', () => {
    assert.deepEqual(files.sort(), ['ci.yml', 'release.yml'])
  })

  for (const name of files) {
    it(`may do no more than they need, and take actions only by their commit: ${name}`, () => {
      const workflow = read(name)
      assert.deepEqual(workflow.permissions, { contents: 'read' })
      const used = stepsOf(workflow).flatMap(({ uses }) => uses ?? [])
      assert.ok(used.length > 0)
      for (const uses of used) assert.match(uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/)
      for (const { uses, 'timeout-minutes': minutes } of Object.values(workflow.jobs)) {
        assert.ok(uses !== undefined || minutes !== undefined)
      }
    })

    it(`run what is there: ${name}`, () => {
      const runs = stepsOf(read(name)).flatMap(({ run }) => run ?? [])
      const named = runs.flatMap((run) => /^npm run (?:--silent )?([\w:-]+)/.exec(run)?.[1] ?? [])
      assert.deepEqual(
        named.filter((script) => !scripts.has(script)),
        [],
      )
    })
  }

  it('check everything on each change', () => {
    const ci = read('ci.yml')
    assert.deepEqual(Object.keys(ci.on).sort(), ['pull_request', 'push', 'workflow_call'])
    assert.ok(stepsOf(ci).some(({ run }) => run === 'bash .ci/run'))
  })

  it('release a tag after all checks, with provenance and a bill of materials', () => {
    const { on, jobs } = read('release.yml')
    assert.deepEqual(on, { push: { tags: ['v*.*.*'] } })
    assert.equal(jobs['check']!.uses, './.github/workflows/ci.yml')
    const publish = jobs['publish']!
    assert.equal(publish.needs, 'check')
    assert.deepEqual(publish.permissions, { contents: 'read', 'id-token': 'write' })
    const runs = publish.steps!.flatMap(({ run }) => run ?? [])
    const order = ['npm ci', 'npm run audit', 'npm run packaging', 'npm run --silent sbom', 'npm publish --provenance']
    const found = order.map((command) => runs.findIndex((run) => run.startsWith(command)))
    assert.ok(
      found.every((at, index) => at >= 0 && at > (found[index - 1] ?? -1)),
      found.join(),
    )
    const withToken = publish.steps!.filter(({ env = {} }) => 'NODE_AUTH_TOKEN' in env)
    assert.deepEqual(
      withToken.map(({ run }) => run),
      ['npm publish --provenance --access public'],
    )
  })
})

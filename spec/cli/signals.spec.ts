import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { AES_JWK, INTERRUPTED, outcome, start, temporaryFolder } from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const isLinux = process.platform === 'linux'
const plaintext = Buffer.alloc(24_000_000, 'plaintext')

describe('esdk, when it is interrupted', () => {
  const folder = temporaryFolder()

  async function untilWorking(): Promise<void> {
    while (!(await folder.names()).some((name) => name.endsWith('.tmp'))) await setTimeout(2)
  }

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('target'), 'old')
  })

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`ends with ${INTERRUPTED[signal]} on ${signal}, also when that comes twice, while it waits for stdin`, async () => {
      const child = start(folder.path, ['encrypt', '-', '-o', 'target', ...KEY])
      const ended = outcome(child)
      child.stdin!.write('some')
      await untilWorking()
      child.kill(signal)
      child.kill(signal)
      const { code, stderr } = await ended
      assert.deepEqual([code, stderr], [INTERRUPTED[signal], ''])
      assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
      assert.deepEqual(await folder.names(), ['key.jwk', 'target'])
    })
  }

  it('ends at once while the reader of stdout stands still', async () => {
    await writeFile(folder.of('input'), plaintext)
    const child = start(folder.path, ['encrypt', 'input', '-o', '-', ...KEY])
    await new Promise((resolve) => child.stdout!.once('readable', resolve)) // reads no further
    child.kill('SIGINT')
    const code = await new Promise((resolve) => child.once('exit', resolve))
    child.stdout!.destroy()
    assert.equal(code, 130)
  })

  it('ends at once while it waits for a named pipe, or for stdin', async function () {
    if (!isLinux) this.skip()
    execFileSync('mkfifo', [folder.of('pipe')])
    const waiting = start(folder.path, ['encrypt', 'pipe', '-o', 'target', ...KEY])
    const ended = outcome(waiting)
    await untilWorking()
    waiting.kill('SIGTERM')
    assert.equal((await ended).code, 143)
    assert.deepEqual(await folder.names(), ['key.jwk', 'pipe', 'target'])

    // These give no sign of having begun.
    const others = [
      start(folder.path, ['inspect', 'pipe']),
      start(folder.path, ['inspect', '-']),
      start(folder.path, ['decrypt', 'target', '--key', 'pipe']),
    ]
    const codes = Promise.all(others.map(async (child) => (await outcome(child)).code))
    await setTimeout(1500)
    for (const child of others) child.kill('SIGINT')
    assert.deepEqual(await codes, [130, 130, 130])
  })
})

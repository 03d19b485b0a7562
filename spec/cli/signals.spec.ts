import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { RawAesKeyring, encrypt } from 'esdk-streams'
import { AES_JWK, AES_KEY, INTERRUPTED, interrupted, outcome, start, temporaryFolder } from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const isLinux = process.platform === 'linux'
const plaintext = Buffer.alloc(24_000_000, 'plaintext')
const keyring = new RawAesKeyring({ keyNamespace: 'esdk', keyName: 'k', wrappingKey: AES_KEY })

describe('esdk, when it is interrupted', () => {
  const folder = temporaryFolder()
  let message: Buffer

  /** Whether the command has opened its target, and so listens to signals. */
  const isWorking = async (): Promise<boolean> => (await folder.names()).some((name) => name.endsWith('.tmp'))

  async function untilWorking(): Promise<void> {
    while (!(await isWorking())) await setTimeout(2)
  }

  before(async () => {
    message = (await encrypt(plaintext, { keyring })).ciphertext
  })

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('target'), 'old')
  })

  for (const [mode, input] of [
    ['encrypt', () => plaintext],
    ['decrypt', () => message],
  ] as const) {
    it(`leaves the target as it was and no temporary file, whenever that is: ${mode}`, async () => {
      await writeFile(folder.of('input'), input())
      const names = await folder.names()
      let inTime = 0
      for (let kill = 0; kill < 10; kill++) {
        const signal = kill % 2 === 0 ? 'SIGINT' : 'SIGTERM'
        const child = start(folder.path, [mode, 'input', '-o', 'target', ...KEY])
        const { code, stderr } = await interrupted(child, signal, { isWorking, withinMs: 80 })
        assert.equal(stderr, '')
        assert.deepEqual(await folder.names(), names)
        const isOld = (await readFile(folder.of('target'))).equals(Buffer.from('old'))
        // It may have been done already: then all of it is there.
        assert.equal(code, isOld ? INTERRUPTED[signal] : 0)
        if (isOld) inTime += 1
        else await writeFile(folder.of('target'), 'old')
      }
      assert.ok(inTime > 0)
    })
  }

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

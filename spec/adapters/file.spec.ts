import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readdirSync, truncateSync } from 'node:fs'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import {
  AuthenticationError,
  ChangedError,
  type CryptographicMaterialsManager,
  type Keyring,
  LengthError,
  LimitError,
  MalformedMessageError,
  RawAesKeyring,
  TruncatedMessageError,
  UnwrapError,
  WrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { decryptFile, encryptFile, reencryptFile } from 'esdk-streams/file'
import fc from 'fast-check'
import { openFileSource } from '#lib/adapters/file-source'
import { openFileTarget } from '#lib/adapters/file-target'

const MIB = 1024 * 1024
const UNSIGNED = 0x0478
const isLinux = process.platform === 'linux'
const isRoot = process.getuid?.() === 0
const run = promisify(execFile)

const keyring = newKeyring('a')
const otherKeyring = newKeyring('b')

function newKeyring(keyName: string): RawAesKeyring {
  return new RawAesKeyring({ keyNamespace: 'spec', keyName, wrappingKey: randomBytes(32) })
}

/** A keyring that does something else first, at the moment when the target is open and reading has begun. */
function after(work: () => void | Promise<void>, inner: Keyring = keyring): Keyring {
  return {
    onEncrypt: async (...args) => {
      await work()
      return inner.onEncrypt(...args)
    },
    onDecrypt: async (...args) => {
      await work()
      return inner.onDecrypt(...args)
    },
  }
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o7777).toString(8)
}

describe('esdk-streams/file', () => {
  let folder: string
  let source: string
  let target: string
  const plaintext = randomBytes(2 * MIB + 17)
  let descriptors: number

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-file-'))
    source = join(folder, 'source')
    target = join(folder, 'target')
    await writeFile(source, plaintext)
    if (isLinux) descriptors = openDescriptors()
  })

  afterEach(async () => {
    await rm(folder, { recursive: true })
    if (isLinux) assert.ok(openDescriptors() <= descriptors, 'every file descriptor is closed')
  })

  /** The target is what it was before (nothing, unless said), and there is nothing else beside it. */
  async function assertUntouched(expected?: Buffer): Promise<void> {
    const names = (await readdir(folder)).filter((name) => name.startsWith('.') || name === 'target')
    assert.deepEqual(names, expected === undefined ? [] : ['target'])
    if (expected !== undefined) assert.deepEqual(await readFile(target), expected)
  }

  async function assertDecrypts(path: string, expected: Uint8Array = plaintext): Promise<void> {
    assert.ok((await decrypt(await readFile(path), { keyring })).plaintext.equals(expected))
  }

  describe('a round trip', () => {
    it('gives back files of any length, with any length of frame', async () => {
      const lengths = fc.oneof(fc.constantFrom(0, 1, 4096, 512 * 1024, MIB), fc.nat(3 * MIB))
      await fc.assert(
        fc.asyncProperty(lengths, fc.constantFrom(1024, 4096, 100_000), async (length, frameLength) => {
          const bytes = plaintext.subarray(0, length)
          await writeFile(source, bytes)
          await encryptFile(source, target, { keyring, frameLength, algorithmSuite: UNSIGNED })
          await decryptFile(target, join(folder, 'back'), { keyring })
          assert.ok((await readFile(join(folder, 'back'))).equals(bytes))
        }),
        { numRuns: 20 },
      )
    })

    it('returns header and counts, and reports progress up to the end', async () => {
      const seen: number[] = []
      const encryption = await encryptFile(source, target, {
        keyring,
        encryptionContext: { purpose: 'spec' },
        onProgress: ({ bytesIn }) => seen.push(bytesIn),
      })
      const { size } = await stat(target)
      const frames = Math.ceil(plaintext.length / 4096)
      assert.deepEqual(encryption.stats, { bytesIn: plaintext.length, bytesOut: size, frames })
      assert.equal(encryption.header.encryptionContext['purpose'], 'spec')
      assert.equal(seen.at(-1), plaintext.length)

      const decryption = await decryptFile(target, join(folder, 'back'), { keyring })
      assert.deepEqual(decryption.stats, { bytesIn: size, bytesOut: plaintext.length, frames })
      assert.deepEqual(decryption.header.messageId, encryption.header.messageId)
    })

    it('takes the URLs of files', async () => {
      await encryptFile(pathToFileURL(source), pathToFileURL(target), { keyring })
      await assertDecrypts(target)
    })

    it('reads files that say they are empty and are not', async function () {
      if (!isLinux) this.skip()
      await encryptFile('/proc/version', target, { keyring })
      await assertDecrypts(target, await readFile('/proc/version'))
    })

    it('tells the keyrings the length of the file, where it is known', async () => {
      const lengths: (number | undefined)[] = []
      const materialsManager: CryptographicMaterialsManager = {
        getEncryptionMaterials: ({ maxPlaintextLength }) => {
          lengths.push(maxPlaintextLength)
          return Promise.reject(new WrapError('enough'))
        },
        decryptMaterials: () => Promise.reject(new Error('not called')),
      }
      const empty = join(folder, 'empty')
      await writeFile(empty, '')
      for (const path of [source, empty, ...(isLinux ? ['/proc/version'] : [])]) {
        await assert.rejects(encryptFile(path, target, { materialsManager }), WrapError)
      }
      assert.deepEqual(lengths, [plaintext.length, 0, ...(isLinux ? [undefined] : [])])
    })
  })

  describe('the target', () => {
    it('has the mode of the source where it is new, and was 0600 until then', async () => {
      await chmod(source, 0o644)
      let temporary: string | undefined
      const observed = after(async () => {
        const name = (await readdir(folder)).find((each) => each.startsWith('.'))
        temporary = await modeOf(join(folder, name!))
      })
      await encryptFile(source, target, { keyring: observed })
      assert.equal(temporary, '600')
      assert.equal(await modeOf(target), '644')
      await chmod(target, 0o400)
      await decryptFile(target, join(folder, 'back'), { keyring })
      assert.equal(await modeOf(join(folder, 'back')), '400')
    })

    it('keeps the mode, and as far as possible the owner, of the file that it replaces', async () => {
      await writeFile(target, 'old')
      await chmod(target, 0o640)
      if (isRoot) await chown(target, 12_345, 54_321)
      await encryptFile(source, target, { keyring })
      assert.equal(await modeOf(target), '640')
      const { uid, gid } = await stat(target)
      if (isRoot) assert.deepEqual([uid, gid], [12_345, 54_321])
      await assertDecrypts(target)
    })

    it('shuts out the group where it cannot keep the group of the file that it replaces', async function () {
      if (!isRoot) this.skip()
      await writeFile(target, 'old')
      await chmod(target, 0o664)
      await chmod(folder, 0o777)
      await chmod(source, 0o644)
      const code = `import { randomBytes } from 'node:crypto'
        import { RawAesKeyring } from 'esdk-streams'
        import { encryptFile } from 'esdk-streams/file'
        const keyring = new RawAesKeyring({ keyNamespace: 'a', keyName: 'b', wrappingKey: randomBytes(32) })
        process.setgroups([])
        process.setegid(54_321)
        process.seteuid(12_345)
        await encryptFile(${JSON.stringify(source)}, ${JSON.stringify(target)}, { keyring })`
      await run(process.execPath, ['--input-type=module', '--eval', code])
      const { uid, gid } = await stat(target)
      assert.deepEqual([uid, gid, await modeOf(target)], [12_345, 54_321, '604'])
    })

    it('appears only when all is verified', async () => {
      const { ciphertext } = await encrypt(plaintext, { keyring })
      await writeFile(source, ciphertext)
      await writeFile(target, 'old')
      const seen = new Set<string>()
      await decryptFile(source, target, {
        keyring: after(() => undefined),
        onProgress: () => seen.add(execFileSync('cat', [target], { encoding: 'utf8' })),
      })
      assert.deepEqual([...seen], ['old'])
      assert.ok((await readFile(target)).equals(plaintext))
    })

    it('is the file that a link leads to, and the link stays', async () => {
      await mkdir(join(folder, 'elsewhere'))
      await writeFile(join(folder, 'elsewhere/real'), 'old')
      await symlink('elsewhere/real', join(folder, 'link'))
      await symlink('link', target)
      await encryptFile(source, target, { keyring })
      assert.equal(await readlink(target), 'link')
      assert.ok((await lstat(join(folder, 'elsewhere/real'))).isFile())
      await assertDecrypts(join(folder, 'elsewhere/real'))
      assert.deepEqual(await readdir(join(folder, 'elsewhere')), ['real'])
    })

    it('is made where a link leads that led nowhere', async () => {
      await mkdir(join(folder, 'elsewhere'))
      await symlink('elsewhere/new', join(folder, 'link'))
      await symlink('link', target)
      await encryptFile(source, target, { keyring })
      assert.equal(await readlink(target), 'link')
      await assertDecrypts(join(folder, 'elsewhere/new'))
    })

    it('is refused where it is the source, under whatever name', async () => {
      await link(source, join(folder, 'hard'))
      await symlink('source', join(folder, 'soft'))
      for (const name of ['source', 'hard', 'soft', '../' + folder.split('/').at(-1)! + '/source']) {
        for (const operation of [encryptFile, decryptFile]) {
          await assert.rejects(operation(source, join(folder, name), { keyring }), {
            name: 'TypeError',
            message: /same file/,
          })
        }
      }
      assert.ok((await readFile(source)).equals(plaintext))
      await assertUntouched()
    })

    it('is written into where it is a device', async function () {
      if (!isLinux) this.skip()
      const before = await stat('/dev/null')
      await encryptFile(source, '/dev/null', { keyring })
      const { ino, mode } = await stat('/dev/null')
      assert.deepEqual([ino, mode], [before.ino, before.mode])
      await assert.rejects(encryptFile(source, '/dev/full', { keyring }), { code: 'ENOSPC' })
    })

    it('may be a named pipe', async function () {
      if (!isLinux) this.skip()
      execFileSync('mkfifo', [target])
      const reader = run('cat', [target], { encoding: 'buffer', maxBuffer: 64 * MIB })
      await encryptFile(source, target, { keyring })
      const { stdout } = await reader
      assert.ok((await decrypt(stdout, { keyring })).plaintext.equals(plaintext))
      assert.ok((await stat(target)).isFIFO())
    })

    it('gets nothing of a message that does not verify where it is a named pipe, unless that is asked for', async function () {
      if (!isLinux) this.skip()
      const { ciphertext } = await encrypt(plaintext, { keyring })
      ciphertext[ciphertext.length - 1]! ^= 1
      await writeFile(source, ciphertext)
      execFileSync('mkfifo', [target])
      for (const [options, released] of [
        [{}, false],
        [{ verifyFirst: false }, true],
      ] as const) {
        const reader = run('cat', [target], { encoding: 'buffer', maxBuffer: 64 * MIB })
        await assert.rejects(decryptFile(source, target, { keyring, ...options }), AuthenticationError)
        assert.equal((await reader).stdout.length > 0, released)
      }
    })

    it('ends with the error of a pipe whose reader goes away', async function () {
      if (!isLinux) this.skip()
      execFileSync('mkfifo', [target])
      const reader = run('head', ['-c', '1', target])
      await assert.rejects(encryptFile(source, target, { keyring }), { code: 'EPIPE' })
      await reader
    })
  })

  describe('the source', () => {
    it('may be a named pipe; the target is then for its owner alone', async function () {
      if (!isLinux) this.skip()
      const pipe = join(folder, 'pipe')
      execFileSync('mkfifo', [pipe])
      const writer = run('sh', ['-c', 'cat "$0" > "$1"', source, pipe])
      await encryptFile(pipe, target, { keyring })
      await writer
      await assertDecrypts(target)
      assert.equal(await modeOf(target), '600')
    })

    for (const [verb, change] of [
      [
        'grows',
        (path: string) => {
          appendFileSync(path, 'more')
        },
      ],
      [
        'shrinks',
        (path: string) => {
          truncateSync(path, MIB)
        },
      ],
    ] as const) {
      it(`that ${verb} while it is read is a ChangedError`, async () => {
        await writeFile(target, 'old')
        const changing = after(() => {
          change(source)
        })
        await assert.rejects(encryptFile(source, target, { keyring: changing }), ChangedError)
        await assertUntouched(Buffer.from('old'))
      })
    }

    it('of another length than the caller says is a LengthError, and one above the bound a LimitError', async () => {
      await assert.rejects(encryptFile(source, target, { keyring, plaintextLength: 5 }), LengthError)
      await assert.rejects(encryptFile(source, target, { keyring, plaintextLength: 5 * MIB }), LengthError)
      await assert.rejects(encryptFile(source, target, { keyring, plaintextLengthBound: MIB }), LimitError)
      await assertUntouched()
      await encryptFile(source, target, { keyring, plaintextLengthBound: plaintext.length })
      await assertDecrypts(target)
    })
  })

  describe('on failure leaves the target as it was, and nothing beside it', () => {
    beforeEach(() => writeFile(target, 'old'))
    afterEach(() => assertUntouched(Buffer.from('old')))

    it('when options are unfit', async () => {
      await assert.rejects(encryptFile(source, target, { keyring, frameLength: 0 }), RangeError)
      await assert.rejects(decryptFile(source, target, {}), TypeError)
      await assert.rejects(reencryptFile(source, target, { from: {}, to: { keyring } }), TypeError)
      await assert.rejects(reencryptFile(source, target, { from: { keyring }, to: {} }), TypeError)
      for (const path of ['', 'a\0b', 3 as never]) {
        await assert.rejects(encryptFile(path, target, { keyring }), { name: 'TypeError', message: /"from"/ })
        await assert.rejects(encryptFile(source, path, { keyring }), { name: 'TypeError', message: /"to"/ })
      }
    })

    it('when there is no source, or no folder for the target', async () => {
      const missing = join(folder, 'missing')
      await assert.rejects(encryptFile(missing, target, { keyring }), { code: 'ENOENT', path: missing })
      await assert.rejects(encryptFile(source, join(missing, 'target'), { keyring }), { code: 'ENOENT', path: missing })
      await assert.rejects(encryptFile(join(source, 'x'), target, { keyring }), { code: 'ENOTDIR' })
    })

    it('when source or target is a folder', async () => {
      const inner = join(folder, 'inner')
      await mkdir(inner)
      await assert.rejects(encryptFile(inner, target, { keyring }), { code: 'EISDIR', path: inner })
      await assert.rejects(encryptFile(source, inner, { keyring }), { code: 'EISDIR', path: inner })
      await assert.rejects(encryptFile(source, join(folder, 'new/'), { keyring }), { code: 'EISDIR' })
    })

    it('when reading fails', async function () {
      if (!isLinux) this.skip()
      await assert.rejects(encryptFile('/proc/self/mem', target, { keyring }), { code: 'EIO' })
    })

    it('when no key can be wrapped or unwrapped', async () => {
      const failing = after(() => Promise.reject(new Error('no')))
      await assert.rejects(encryptFile(source, target, { keyring: failing }), WrapError)
      const message = join(folder, 'message')
      await encryptFile(source, message, { keyring })
      await assert.rejects(decryptFile(message, target, { keyring: otherKeyring }), UnwrapError)
    })

    it('when a message is changed, cut or continued, wherever', async () => {
      const { ciphertext } = await encrypt(plaintext, { keyring })
      const message = join(folder, 'message')
      const attempt = async (bytes: Buffer): Promise<void> => {
        await writeFile(message, bytes)
        await decryptFile(message, target, { keyring })
      }
      for (const at of [300, MIB, ciphertext.length - 60]) {
        const changed = Buffer.from(ciphertext)
        changed[at]! ^= 1
        await assert.rejects(attempt(changed), AuthenticationError)
        await assert.rejects(attempt(ciphertext.subarray(0, at)), TruncatedMessageError)
      }
      await assert.rejects(attempt(Buffer.concat([ciphertext, Buffer.of(0)])), MalformedMessageError)
      await assert.rejects(attempt(Buffer.alloc(0)), TruncatedMessageError)
      await rm(message)
    })

    it('when it is aborted before it begins', async () => {
      const reason = new Error('changed my mind')
      const signal = AbortSignal.abort(reason)
      const expected = { name: 'AbortError', code: 'ABORT_ERR', cause: reason }
      await assert.rejects(encryptFile(source, target, { keyring, signal }), expected)
      await assert.rejects(decryptFile(source, target, { keyring, signal }), expected)
      await assert.rejects(reencryptFile(source, target, { from: { keyring }, to: { keyring }, signal }), expected)
    })

    it('when it is aborted while a keyring is asked, while data flows, or when all but the rename is done', async () => {
      const message = join(folder, 'message')
      await encryptFile(source, message, { keyring })
      for (const moment of ['keyring', 'first progress', 'last progress']) {
        const reason = new Error(moment)
        const controller = new AbortController()
        const abort = (): void => {
          controller.abort(reason)
        }
        const asked = after(() => {
          if (moment === 'keyring') abort()
        })
        const onProgress = ({ bytesIn }: { bytesIn: number }): void => {
          if (moment === 'first progress' || bytesIn >= plaintext.length) abort()
        }
        const options = { keyring: asked, signal: controller.signal, onProgress }
        const expected = { name: 'AbortError', code: 'ABORT_ERR', cause: reason }
        await assert.rejects(encryptFile(source, target, options), expected)
      }
    })

    it('when it is aborted at any time', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(12), async (delay) => {
          const signal = AbortSignal.timeout(delay)
          const operation = encryptFile(source, target, { keyring, signal })
          const error: unknown = await operation.then(
            () => undefined,
            (reason: unknown) => reason,
          )
          if (error === undefined) await writeFile(target, 'old')
          else assert.equal((error as NodeJS.ErrnoException).code, 'ABORT_ERR')
          await assertUntouched(Buffer.from('old'))
        }),
        { numRuns: 25 },
      )
    })

    it('when it is aborted in the last moment before the rename', async () => {
      const from = await openFileSource(source)
      const to = await openFileTarget(target, from)
      to.sink.end('new')
      await once(to.sink, 'finish')
      await assert.rejects(to.commit(AbortSignal.abort()), { code: 'ABORT_ERR' })
      await to.discard()
      await from.close()
    })

    it('when a pipe is waited for and it is aborted, at once', async function () {
      if (!isLinux) this.skip()
      const pipe = join(folder, 'pipe')
      execFileSync('mkfifo', [pipe])
      for (const [from, to] of [
        [pipe, target],
        [source, pipe],
      ] as const) {
        const controller = new AbortController()
        const operation = encryptFile(from, to, { keyring, signal: controller.signal })
        setTimeout(() => {
          controller.abort()
        }, 50)
        await assert.rejects(operation, { code: 'ABORT_ERR' })
      }
    })
  })

  it('leaves nothing behind when the rename fails', async () => {
    const blocking = after(() => {
      mkdirSync(target)
    })
    await assert.rejects(encryptFile(source, target, { keyring: blocking }), (error: NodeJS.ErrnoException) =>
      ['EISDIR', 'ENOTEMPTY', 'EEXIST'].includes(error.code ?? ''),
    )
    assert.deepEqual((await readdir(folder)).sort(), ['source', 'target'])
  })

  describe('reencryptFile', () => {
    const options = { from: { keyring }, to: { keyring: otherKeyring, encryptionContext: { b: '2' } } }

    it('writes the message under new keys into another file', async () => {
      await encryptFile(source, target, { keyring, encryptionContext: { a: '1' } })
      const renewed = join(folder, 'renewed')
      const { header, stats } = await reencryptFile(target, renewed, options)
      assert.equal(header.encryptionContext['a'], '1')
      assert.equal(header.encryptionContext['b'], '2')
      assert.deepEqual([stats.bytesIn, stats.bytesOut], [(await stat(target)).size, (await stat(renewed)).size])
      const result = await decrypt(await readFile(renewed), { keyring: otherKeyring })
      assert.ok(result.plaintext.equals(plaintext))
    })

    it('may replace the message itself, and leaves it as it was on failure', async () => {
      await encryptFile(source, target, { keyring })
      await chmod(target, 0o640)
      const before = await readFile(target)
      await assert.rejects(reencryptFile(target, target, { ...options, from: { keyring: otherKeyring } }), UnwrapError)
      await assertUntouched(before)
      await reencryptFile(target, target, options)
      assert.equal(await modeOf(target), '640')
      const result = await decrypt(await readFile(target), { keyring: otherKeyring })
      assert.ok(result.plaintext.equals(plaintext))
    })
  })
})

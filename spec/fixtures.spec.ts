/** The committed messages, good and bad, through `decrypt` and through a DecryptStream that is fed in pieces. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import {
  AuthenticationError,
  type DecryptOptions,
  DecryptStream,
  type ErrorCode,
  decrypt,
  isEncryptionSdkError,
} from 'esdk-streams'
import { ALGORITHM_SUITES, readFrom, readMessageHeader } from 'esdk-streams/format'
import { cuts, through } from './arbitraries.ts'
import { craftingKeyring } from './message-recipe.ts'

const root = resolve(import.meta.dirname, '..', 'fixtures')

interface Entry {
  readonly file: string
  readonly sha256: string
  readonly options?: DecryptOptions
}

interface Golden extends Entry {
  readonly suite: string
  readonly plaintext: string
  readonly headerLength: number
  readonly messageId: string
  readonly frameLength: number
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly commitment?: string
}

interface Malformed extends Entry {
  readonly code: ErrorCode
  readonly part?: AuthenticationError['part']
}

interface Unusual extends Entry {
  readonly plaintext: string
}

const golden = manifest('messages') as Golden[] // as scripts/make-fixtures.ts wrote it
const malformed = manifest('malformed') as Malformed[]
const unusual = manifest('unusual') as Unusual[]

function manifest(folder: string): Entry[] {
  return JSON.parse(readFileSync(join(root, folder, 'manifest.json'), 'utf8')) as Entry[]
}

function messageOf(folder: string, { file, sha256 }: Entry): Buffer {
  const message = readFileSync(join(root, folder, file))
  assert.equal(createHash('sha256').update(message).digest('hex'), sha256, `${file} is as its manifest says`)
  return message
}

function optionsOf({ options }: Entry): DecryptOptions {
  return { keyring: craftingKeyring(), commitmentPolicy: 'require-encrypt-allow-decrypt', ...options }
}

function fails({ code, part }: Malformed): (error: unknown) => true {
  return (error) => {
    assert.ok(isEncryptionSdkError(error), String(error))
    assert.equal(error.code, code, error.message)
    if (part !== undefined) assert.equal(error instanceof AuthenticationError && error.part, part, error.message)
    return true
  }
}

async function assertStreams(message: Buffer, options: DecryptOptions, plaintext: string): Promise<void> {
  await fc.assert(
    fc.asyncProperty(cuts, async (cut) => {
      const decrypted = await through(cut(message), new DecryptStream(options))
      assert.equal(decrypted.toString('hex'), plaintext)
    }),
    { numRuns: 5, examples: [[(bytes) => Array.from(bytes, (byte) => Buffer.from([byte]))]] },
  )
}

describe('fixtures', () => {
  it('are all listed, and each is there', () => {
    for (const [folder, entries] of Object.entries({ messages: golden, malformed, unusual })) {
      const files = readdirSync(join(root, folder)).filter((name) => name !== 'manifest.json')
      assert.deepEqual(files.sort(), entries.map(({ file }) => file).sort())
    }
    assert.equal(golden.length, ALGORITHM_SUITES.length)
    assert.ok(malformed.length >= 100)
  })

  it('have their sums in the README', () => {
    const text = readFileSync(join(root, 'README.md'), 'utf8')
    const sums = new Map(
      [...text.matchAll(/^\| `([^`]+)` +\| `([0-9a-f]{64})` \|$/gm)].map(([, name, sum]) => [name, sum]),
    )
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'))
    for (const name of files.filter((file) => /\.(bin|json)$/.test(file))) {
      const sum = createHash('sha256')
        .update(readFileSync(join(root, name)))
        .digest('hex')
      assert.equal(sums.get(name), sum, name)
      sums.delete(name)
    }
    assert.deepEqual([...sums.keys()], [])
  })

  describe('messages', () => {
    for (const entry of golden) {
      it(`opens ${entry.suite}`, async () => {
        const message = messageOf('messages', entry)
        const { plaintext, header } = await decrypt(message, optionsOf(entry))
        assert.equal(plaintext.toString('hex'), entry.plaintext)
        assert.equal(header.suite.name, entry.suite)
        assert.equal(header.messageId.toString('hex'), entry.messageId)
        assert.equal(header.contentType, 'framed')
        assert.equal(header.frameLength, entry.frameLength)
        assert.deepEqual({ ...header.encryptionContext }, entry.encryptionContext)
        assert.equal(header.version === 2 ? header.commitment.toString('hex') : undefined, entry.commitment)
        const authentication = header.version === 1 ? 28 : 16
        assert.equal(readFrom(readMessageHeader(), message).length + authentication, entry.headerLength)
        await assertStreams(message, optionsOf(entry), entry.plaintext)
      })
    }
  })

  for (const name of ['0178', '0214', '0478', '0578']) {
    it(`open no more with a bit of any byte of ${name} changed, or cut anywhere`, async () => {
      const entry = golden.find(({ file }) => file === `${name}.bin`)!
      const message = messageOf('messages', entry)
      for (let at = 0; at < message.length; at++) {
        const changed = Buffer.from(message)
        changed[at]! ^= 1 << (at & 7)
        await assert.rejects(decrypt(changed, optionsOf(entry)), isEncryptionSdkError, `byte ${at}`)
        const cut = message.subarray(0, at)
        await assert.rejects(decrypt(cut, optionsOf(entry)), { code: 'ERR_ESDK_TRUNCATED' }, `${at} bytes`)
      }
    })
  }

  describe('malformed', () => {
    for (const entry of malformed) {
      it(`refuses ${entry.file.replace('.bin', '').replaceAll('-', ' ')}`, async () => {
        const message = messageOf('malformed', entry)
        await assert.rejects(decrypt(message, optionsOf(entry)), fails(entry))
        await fc.assert(
          fc.asyncProperty(cuts, async (cut) => {
            await assert.rejects(through(cut(message), new DecryptStream(optionsOf(entry))), fails(entry))
          }),
          { numRuns: 3 },
        )
      })
    }
  })

  describe('unusual', () => {
    for (const entry of unusual) {
      it(`opens ${entry.file.replace('.bin', '').replaceAll('-', ' ')}`, async () => {
        const message = messageOf('unusual', entry)
        const { plaintext } = await decrypt(message, optionsOf(entry))
        assert.equal(plaintext.toString('hex'), entry.plaintext)
        await assertStreams(message, optionsOf(entry), entry.plaintext)
      })
    }

    for (const entry of unusual.filter(({ options }) => options?.allowNet400Messages === true)) {
      it(`names the option that opens ${entry.file}`, async () => {
        const { keyring, commitmentPolicy } = optionsOf(entry) as Required<DecryptOptions> // both are set above
        const message = messageOf('unusual', entry)
        await assert.rejects(decrypt(message, { keyring, commitmentPolicy }), (error) => {
          assert.ok(error instanceof AuthenticationError && error.part === 'header')
          assert.match(error.message, /allowNet400Messages/)
          return true
        })
      })
    }
  })

  it('name what to do with base64 and gzip', async () => {
    for (const [name, expected] of [
      ['base64-v1', /base64/],
      ['base64-v2', /base64/],
      ['base64-v2-signed', /base64/],
      ['gzip', /gzip/],
    ] as const) {
      const message = readFileSync(join(root, 'malformed', `${name}.bin`))
      await assert.rejects(decrypt(message, { keyring: craftingKeyring() }), expected)
    }
  })
})

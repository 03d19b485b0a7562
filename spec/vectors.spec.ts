/**
 * Messages written by other implementations, from a folder beside the checkout (`ESDK_VECTORS` names another): see its
 * README.md. Where the folder is not there, these specs are pending.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { AuthenticationError, decrypt, MultiKeyring, RawAesKeyring, RawRsaKeyring, type Keyring } from 'esdk-streams'
import { forEach } from './interop/each.ts'
import { decryptPieces } from './interop/ours.ts'
import { cutAtRandom, seededRandom } from './interop/random.ts'

const given = process.env['ESDK_VECTORS']
const folder = given ?? fileURLToPath(new URL('../../shared/vectors', import.meta.url))

describe('vectors', () => {
  if (given === undefined && !existsSync(folder)) {
    it('open (no folder "../shared/vectors"; ESDK_VECTORS can name another)')
    return
  }
  describe('of the AWS Encryption SDK for Python 4.0.4', () => {
    specifyPython(`${folder}/python-4.0.4`)
  })
  describe('of message format version 2, by six implementations', () => {
    specifyCommitment(`${folder}/commitment-v2.json`)
  })
})

interface Manifest {
  readonly tests: Readonly<Record<string, ManifestTest>>
}

interface ManifestTest {
  readonly ciphertext: string
  readonly 'master-keys': readonly MasterKey[]
  readonly result: { readonly output: { readonly plaintext: string } }
  readonly 'encryption-context': Readonly<Record<string, string>>
}

interface MasterKey {
  readonly key: string
  readonly 'provider-id': string
  readonly 'encryption-algorithm': 'aes' | 'rsa'
  readonly 'padding-algorithm': 'pkcs1' | 'oaep-mgf1' | null
  readonly 'padding-hash'?: 'sha1' | 'sha256' | 'sha384' | 'sha512'
}

interface Keys {
  readonly keys: Readonly<Record<string, KeyMaterial>>
}

interface KeyMaterial {
  readonly type: 'symmetric' | 'private' | 'public'
  readonly material: string
  readonly 'key-id': string
  readonly decrypt: boolean
}

interface PythonMessage {
  readonly id: string
  readonly test: ManifestTest
}

function specifyPython(root: string): void {
  // The folder's README describes these files.
  const { tests } = readJson(`${root}/manifest.json`) as Manifest
  const { keys } = readJson(`${root}/keys.json`) as Keys
  const keyringOf = memoized((masterKey: MasterKey) => rawKeyring(masterKey, keys[masterKey.key]!))
  const seen = { messages: 0, suites: new Set<number>(), contentTypes: new Set<string>() }

  const groups = new Map<string, PythonMessage[]>()
  for (const [id, test] of Object.entries(tests)) {
    const title = describeGroup(test)
    groups.set(title, [...(groups.get(title) ?? []), { id, test }])
  }
  for (const [title, messages] of groups) {
    it(`${messages.length} messages ${title}`, async () => {
      await forEach(messages, 1, ({ id }) => id, openPython)
    })
  }

  it('were 715, of all suites, framed and not', () => {
    assert.equal(seen.messages, 715)
    assert.equal(seen.suites.size, 11)
    assert.deepEqual([...seen.contentTypes].sort(), ['framed', 'non-framed'])
  })

  async function openPython({ id, test }: PythonMessage): Promise<void> {
    const ciphertext = await readFile(resolved(root, test.ciphertext))
    const plaintext = await readFile(resolved(root, test.result.output.plaintext))
    const masterKeys = test['master-keys']
    const keyring = new MultiKeyring({ children: masterKeys.map(keyringOf) })
    const { plaintext: opened, header } = await decrypt(ciphertext, { keyring, commitmentPolicy })
    assert.ok(opened.equals(plaintext), 'the plaintext')
    for (const [name, value] of Object.entries(test['encryption-context'])) {
      assert.equal(header.encryptionContext[name], value, `"${name}" of the encryption context`)
    }

    const alone = keyringOf(masterKeys.find(({ key }) => keys[key]?.decrypt === true)!)
    const pieces = cutAtRandom(ciphertext, seededRandom(Number.parseInt(id.slice(0, 8), 16)))
    const options = { keyring: alone, commitmentPolicy } as const
    assert.ok((await decryptPieces(pieces, options)).equals(plaintext), 'the plaintext, streamed')

    seen.messages++
    seen.suites.add(header.suite.id)
    seen.contentTypes.add(header.contentType)
  }
}

/** Under this policy every suite may be read. */
const commitmentPolicy = 'require-encrypt-allow-decrypt'

function describeGroup({ 'master-keys': masterKeys, 'encryption-context': context }: ManifestTest): string {
  const names = masterKeys.map((masterKey) => {
    const padding = [masterKey['padding-algorithm'], masterKey['padding-hash']].filter(Boolean).join(' ')
    return padding === '' ? masterKey.key : `${masterKey.key} (${padding})`
  })
  const pairs = Object.keys(context).length === 0 ? 'none' : JSON.stringify(context)
  return `under ${names.join(' and ')}, encryption context ${pairs}`
}

function rawKeyring(masterKey: MasterKey, { type, material, 'key-id': keyName }: KeyMaterial): Keyring {
  const keyNamespace = masterKey['provider-id']
  if (masterKey['encryption-algorithm'] === 'aes') {
    return new RawAesKeyring({ keyNamespace, keyName, wrappingKey: Buffer.from(material, 'base64') })
  }
  const hash = masterKey['padding-hash']
  const padding = hash === undefined ? 'pkcs1' : (`oaep-${hash}` as const)
  const key: { publicKey: KeyObject } | { privateKey: KeyObject } =
    type === 'public' ? { publicKey: createPublicKey(material) } : { privateKey: createPrivateKey(material) }
  return new RawRsaKeyring({ keyNamespace, keyName, padding, ...key })
}

interface CommitmentVectors {
  readonly tests: readonly CommitmentVector[]
}

interface CommitmentVector {
  readonly comment: string
  readonly ciphertext: string
  readonly 'decrypted-dek': string
  readonly 'message-id': string
  readonly commitment: string
  readonly 'encryption-context': Readonly<Record<string, string>>
  readonly 'plaintext-frames'?: readonly string[]
  readonly status: boolean
}

function specifyCommitment(path: string): void {
  const { tests } = readJson(path) as CommitmentVectors // the folder's README describes it
  const good = tests.filter(({ status }) => status)
  const bad = tests.filter(({ status }) => !status)

  for (const vector of good) {
    it(vector.comment, async () => {
      const ciphertext = bytes(vector.ciphertext)
      const plaintext = Buffer.from(vector['plaintext-frames']!.join(''))
      const keyring = new DataKeyKeyring(bytes(vector['decrypted-dek']))
      const { plaintext: opened, header } = await decrypt(ciphertext, { keyring })
      assert.deepEqual(opened, plaintext)
      assert.deepEqual(Buffer.from(header.messageId), bytes(vector['message-id']))
      assert.ok(header.version === 2)
      assert.deepEqual(Buffer.from(header.commitment), bytes(vector.commitment))
      assert.deepEqual({ ...header.encryptionContext }, vector['encryption-context'])
      for (const pieces of cuttings(ciphertext)) {
        assert.deepEqual(await decryptPieces(pieces, { keyring }), plaintext)
      }
    })
  }

  for (const vector of bad) {
    it(vector.comment, async () => {
      const ciphertext = bytes(vector.ciphertext)
      const keyring = new DataKeyKeyring(bytes(vector['decrypted-dek']))
      await assert.rejects(decrypt(ciphertext, { keyring }), isWrongCommitment)
      for (const pieces of cuttings(ciphertext)) {
        const released: Buffer[] = []
        await assert.rejects(decryptPieces(pieces, { keyring }, released), isWrongCommitment)
        assert.deepEqual(released, [])
      }
    })
  }

  it('are 41 to open and 5 to refuse', () => {
    assert.deepEqual([good.length, bad.length], [41, 5])
  })
}

/** Whole, in single bytes, and cut at random. */
function cuttings(bytes: Buffer): Buffer[][] {
  const random = seededRandom(bytes.length)
  return [[bytes], Array.from(bytes, (byte) => Buffer.of(byte)), cutAtRandom(bytes, random), cutAtRandom(bytes, random)]
}

function isWrongCommitment(error: unknown): boolean {
  assert.ok(error instanceof AuthenticationError, String(error))
  assert.equal(error.code, 'ERR_ESDK_AUTHENTICATION')
  assert.equal(error.part, 'commitment')
  return true
}

/** Hands over a data key that was unwrapped elsewhere. */
class DataKeyKeyring implements Keyring {
  readonly #dataKey: KeyObject

  constructor(dataKey: Buffer) {
    this.#dataKey = createSecretKey(dataKey)
  }

  onEncrypt(): Promise<never> {
    return Promise.reject(new Error('this keyring only decrypts'))
  }

  onDecrypt: Keyring['onDecrypt'] = (materials) => Promise.resolve({ ...materials, dataKey: this.#dataKey })
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** `file://name` in a manifest is relative to the manifest. */
function resolved(root: string, uri: string): string {
  return `${root}/${uri.replace(/^file:\/\//, '')}`
}

function bytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64')
}

/** By the argument's JSON: loading a key of 4096 bits takes longer than opening most of the messages. */
function memoized<T, U>(make: (argument: T) => U): (argument: T) => U {
  const made = new Map<string, U>()
  return (argument) => {
    const name = JSON.stringify(argument)
    const value = made.get(name) ?? make(argument)
    made.set(name, value)
    return value
  }
}

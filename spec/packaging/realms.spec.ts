/** What is made in another realm, as by a test runner, or by another copy of the package, is what it is. */
import assert from 'node:assert/strict'
import { cp, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { EncryptStream, MultiKeyring, RawAesKeyring, decrypt, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { KmsKeyring, limitRegions } from 'esdk-streams/kms'
import { asError, isError } from '#lib/errors'
import { withoutResponse } from '#lib/keyrings/kms/kms-request'
import { aesKeyring } from '../arbitraries.ts'
import { root } from '../docs/markdown.ts'
import { folderFor } from './installed.ts'

const keyring = aesKeyring('realms')

describe('across realms', () => {
  const realm = createContext({})
  const made = (code: string): unknown => runInContext(code, realm)

  it('bytes, keys and lists are taken', async () => {
    for (const code of [
      'new Uint8Array([1, 2, 3])',
      'new Uint8Array([1, 2, 3]).buffer',
      '[new Uint8Array([1, 2, 3])]',
    ]) {
      const { ciphertext } = await encrypt(made(code) as Uint8Array, { keyring })
      assert.deepEqual([...(await decrypt(ciphertext, { keyring })).plaintext], [1, 2, 3])
    }
    const wrappingKey = made('new Uint8Array(32)') as Uint8Array
    new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey })
    limitRegions(made("['eu-west-1']") as string[], () => undefined)
    new KmsKeyring({ generatorKeyId: 'alias/any', grantTokens: made("['token']") as string[] })
  })

  it('an error is passed on as it is', async () => {
    const error = made("Object.assign(new Error('gone'), { code: 'ENOENT' })") as Error
    assert.equal(error instanceof Error, false)
    assert.ok(isError(error))
    assert.equal(asError(error), error)
    assert.ok(isError(new DOMException('aborted', 'AbortError')))
    for (const value of [undefined, null, 'text', {}, { message: 'text' }]) assert.ok(!isError(value))
    assert.equal(asError('text').message, 'text')
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.alloc(1)
      await Promise.reject(error)
    }
    await assert.rejects(encrypt(failing(), { keyring }), (thrown) => thrown === error)
    const stream = Readable.from(failing()).on('error', (thrown) => sealing.destroy(thrown))
    const sealing = new EncryptStream({ keyring })
    await assert.rejects(stream.pipe(sealing).resume().toArray(), (thrown) => thrown === error)
  })

  it('an error that holds a response is not shown', () => {
    const unreadable = made("Object.assign(new SyntaxError('secret'), { $response: {} })")
    assert.doesNotMatch(String(withoutResponse(unreadable)), /secret/)
  })

  it('an aborted signal is one, whatever it was aborted with', async () => {
    const controller = new AbortController()
    controller.abort(made("new Error('enough')"))
    await assert.rejects(encrypt('text', { keyring, signal: controller.signal }), {
      name: 'AbortError',
      code: 'ABORT_ERR',
    })
  })
})

describe('across copies of the package', () => {
  it('errors are known by their code, and keyrings by what they do', async () => {
    const folder = await folderFor('copy')
    await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
    const copy = (await import(pathToFileURL(join(folder, 'dist/index.js')).href)) as typeof import('esdk-streams')
    assert.notEqual(copy.encrypt, encrypt)
    const { ciphertext } = await encrypt('text', { keyring })
    const wrappingKey = Buffer.alloc(32)
    const other = new copy.RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey })
    const failure = await copy.decrypt(ciphertext, { keyring: other }).catch((error: unknown) => error)
    assert.ok(isEncryptionSdkError(failure))
    assert.equal(failure.code, 'ERR_ESDK_UNWRAP')

    const both = new MultiKeyring({ children: [other, keyring] })
    assert.equal((await decrypt(ciphertext, { keyring: both })).plaintext.toString(), 'text')
    await assert.rejects(decrypt(ciphertext, { keyring: new MultiKeyring({ children: [other] }) }), (error) => {
      assert.ok(isEncryptionSdkError(error) && error.code === 'ERR_ESDK_UNWRAP' && 'attempts' in error)
      assert.deepEqual(
        (error.attempts as { reason: string }[]).map(({ reason }) => reason),
        ['another key namespace'],
      )
      return true
    })
  })
})

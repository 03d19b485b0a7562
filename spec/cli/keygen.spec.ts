import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { esdk, temporaryFolder } from './command.ts'

describe('esdk keygen', () => {
  const folder = temporaryFolder()

  it('writes a 256-bit key as a JWK with a random kid, for its owner alone, whatever the umask', async () => {
    const previous = process.umask(0o277)
    const runs = [esdk(folder.path, ['keygen', 'one.jwk']), esdk(folder.path, ['keygen', 'two.jwk'])]
    process.umask(previous)
    for (const { code, stdout, stderr } of await Promise.all(runs)) {
      assert.deepEqual([code, stdout.length, stderr], [0, 0, ''])
    }
    const keys: Record<string, string>[] = []
    for (const name of ['one.jwk', 'two.jwk']) {
      const text = await readFile(folder.of(name), 'utf8')
      const jwk = JSON.parse(text) as Record<string, string> // written by the command
      assert.deepEqual(Object.keys(jwk), ['kty', 'kid', 'namespace', 'k'])
      assert.deepEqual([jwk['kty'], jwk['namespace']], ['oct', 'esdk'])
      assert.equal(Buffer.from(jwk['k']!, 'base64url').length, 32)
      assert.equal((await stat(folder.of(name))).mode & 0o777, 0o600)
      assert.doesNotMatch(JSON.stringify(keys), new RegExp(`${jwk['kid']!}|${jwk['k']!}`))
      keys.push(jwk)
    }
  })

  it('never writes over a file', async () => {
    await writeFile(folder.of('key.jwk'), 'precious')
    const { code, stderr } = await esdk(folder.path, ['keygen', 'key.jwk'])
    assert.equal(code, 1)
    assert.match(stderr, /^esdk: key\.jwk: EEXIST: [^\n]*; choose another name\n$/)
    assert.equal(await readFile(folder.of('key.jwk'), 'utf8'), 'precious')
  })

  it('refuses stdout and missing folders', async () => {
    const [standard, missing] = await Promise.all([
      esdk(folder.path, ['keygen', '-']),
      esdk(folder.path, ['keygen', 'no/key.jwk']),
    ])
    assert.equal(standard.code, 2)
    assert.equal(missing.code, 1)
    assert.match(missing.stderr, /no\/key\.jwk: ENOENT/)
    assert.deepEqual(await folder.names(), [])
  })
})

/** How often AWS KMS is asked where materials are cached: counted at the server, not at a keyring of the specs' own. */
import assert from 'node:assert/strict'
import { CachingCryptographicMaterialsManager, LocalCryptographicMaterialsCache, decrypt, encrypt } from 'esdk-streams'
import { KmsKeyring } from 'esdk-streams/kms'
import { useKmsServer } from './setup.ts'

const UNSIGNED = 0x0478
const encryptionContext = { purpose: 'caching' }

describe('keyrings/kms, with a cache', () => {
  const kms = useKmsServer()

  function keyring(): KmsKeyring {
    const { keys, clientProvider } = kms.server
    return new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: [keys[1]!], clientProvider })
  }

  function caching(maxMessages = 1000): CachingCryptographicMaterialsManager {
    const cache = new LocalCryptographicMaterialsCache({ capacity: 100 })
    const limits = { maxAgeMs: 3_600_000, maxMessages }
    return new CachingCryptographicMaterialsManager({ keyring: keyring(), cache, ...limits })
  }

  /** The server's calls since it was last told of faults, by their names. */
  function calls(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { operation } of kms.server.proxy.asked) counts[operation] = (counts[operation] ?? 0) + 1
    return counts
  }

  /** Does `work` `count` times, `width` at a time. */
  async function each(count: number, width: number, work: () => Promise<void>): Promise<void> {
    for (let done = 0; done < count; done += width) await Promise.all(Array.from({ length: width }, work))
  }

  const encryptions = [
    { messages: 10_000, each: 1000, width: 1, dataKeys: 10 },
    { messages: 10_000, each: 1000, width: 100, dataKeys: 10 },
    // One request may serve some of those who ask at once.
    { messages: 1000, each: 40, width: 100, dataKeys: 25 },
  ]
  for (const { messages, each: maxMessages, width, dataKeys } of encryptions) {
    const title = `${messages} messages of at most ${maxMessages} each, ${width} at a time`
    it(`is asked for ${dataKeys} data keys by ${title}`, async () => {
      const materialsManager = caching(maxMessages)
      const uses = new Map<string, { count: number; readonly first: Buffer }>()
      await each(messages, width, async () => {
        const options = { materialsManager, algorithmSuite: UNSIGNED, encryptionContext }
        const { ciphertext, header } = await encrypt('one frame', options)
        const key = header.encryptedDataKeys[0]!.ciphertext.toString('hex')
        const use = uses.get(key) ?? { count: 0, first: ciphertext }
        use.count++
        uses.set(key, use)
      })
      assert.deepEqual(calls(), { GenerateDataKey: dataKeys, Encrypt: dataKeys })
      assert.deepEqual(
        Array.from(uses.values(), ({ count }) => count),
        Array.from({ length: dataKeys }, () => maxMessages),
      )
      for (const { first } of uses.values()) {
        assert.equal((await decrypt(first, { keyring: keyring() })).plaintext.toString(), 'one frame')
      }
      assert.equal(calls()['Decrypt'], dataKeys)
    })
  }

  for (const { suite, width } of [
    { suite: UNSIGNED, width: 1 },
    { suite: UNSIGNED, width: 100 },
    { suite: 0x0578, width: 100 },
  ]) {
    const title = `suite 0${suite.toString(16)}, ${width} at a time`
    it(`is asked once by 1000 decryptions of one message, ${title}`, async () => {
      const { ciphertext } = await encrypt('text', { keyring: keyring(), algorithmSuite: suite, encryptionContext })
      kms.server.proxy.faults()
      const materialsManager = caching()
      await each(1000, width, async () => {
        const { plaintext } = await decrypt(ciphertext, { materialsManager, encryptionContext })
        assert.equal(plaintext.toString(), 'text')
      })
      assert.deepEqual(calls(), { Decrypt: 1 })
    })
  }

  it('is asked again after it failed, once by all who ask at once', async () => {
    const { proxy } = kms.server
    const materialsManager = caching()
    const { ciphertext } = await encrypt('text', { keyring: keyring(), encryptionContext })
    const work = (): Promise<unknown> => decrypt(ciphertext, { materialsManager })
    proxy.faults(() => ({ error: 'AccessDeniedException', status: 400 }))
    const failed = await Promise.allSettled(Array.from({ length: 100 }, work))
    assert.deepEqual([...new Set(failed.map(({ status }) => status))], ['rejected'])
    assert.deepEqual(calls(), { Decrypt: 2 }) // one a data key
    proxy.faults()
    await Promise.all(Array.from({ length: 100 }, work))
    assert.deepEqual(calls(), { Decrypt: 1 })
  })
})

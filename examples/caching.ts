/**
 * One data key for many small messages: with a key service behind the keyring, one call to it instead of a hundred.
 * Between those messages only the message id differs, and with it the key that each is encrypted with.
 *
 * Run: `node --import tsx examples/caching.ts`
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  CachingCryptographicMaterialsManager,
  LocalCryptographicMaterialsCache,
  RawAesKeyring,
  decrypt,
  encrypt,
} from 'esdk-streams'

const keyring = new RawAesKeyring({ keyNamespace: 'my-app', keyName: 'records', wrappingKey: randomBytes(32) })
const materialsManager = new CachingCryptographicMaterialsManager({
  keyring,
  cache: new LocalCryptographicMaterialsCache({ capacity: 100 }),
  maxAgeMs: 60_000,
  maxMessages: 1000,
})

// Each encryption context has a data key of its own, so use one with few different values.
const encryptionContext = { purpose: 'records' }
const records = Array.from({ length: 100 }, (_, index) => `record ${index}`)
const messages = await Promise.all(
  records.map(async (record) => (await encrypt(record, { materialsManager, encryptionContext })).ciphertext),
)
assert.deepEqual(materialsManager.stats, { hits: 99, misses: 1, bypasses: 0 })

// Anyone with the key decrypts them, with or without a cache. All have the same wrapped data key, so that it is
// unwrapped once.
const decrypted = await Promise.all(
  messages.map(async (message) => (await decrypt(message, { materialsManager })).plaintext.toString()),
)
assert.deepEqual(decrypted, records)
const { hits, misses } = materialsManager.stats
console.log(`decrypted ${decrypted.length} records; ${hits + misses} requests for keys, ${misses} of them not cached`)

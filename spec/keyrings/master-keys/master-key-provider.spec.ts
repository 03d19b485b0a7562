import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import {
  DecryptStream,
  EncryptStream,
  type Keyring,
  MasterKeyProvider,
  MultiKeyring,
  RawAesKeyring,
  RawMasterKeyProvider,
  WrappingKey,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { sequence, through } from '../../arbitraries.ts'

/** Derives a key from each id; notes for which it was asked. */
class DerivedMasterKeyProvider extends RawMasterKeyProvider {
  readonly providerId: string
  readonly asked: string[] = []
  failures = 0

  constructor(providerId = 'derived') {
    super()
    this.providerId = providerId
  }

  async getRawKey(keyId: Buffer): Promise<WrappingKey> {
    await Promise.resolve()
    this.asked.push(keyId.toString('latin1'))
    if (this.failures-- > 0) throw new Error('the vault is shut')
    const wrappingKey = createHash('sha256').update(this.providerId).update(keyId).digest()
    return new WrappingKey({
      wrappingAlgorithm: 'AES_256_GCM_IV12_TAG16_NO_PADDING',
      wrappingKey,
      wrappingKeyType: 'symmetric',
    })
  }
}

function provider(...keyIds: (string | Uint8Array)[]): DerivedMasterKeyProvider {
  const made = new DerivedMasterKeyProvider()
  made.addMasterKeys(keyIds)
  return made
}

/** The raw keyring of the same key. */
function keyringOf(keyName: string | Uint8Array, keyNamespace = 'derived'): Keyring {
  const wrappingKey = createHash('sha256').update(keyNamespace).update(keyName).digest()
  return new RawAesKeyring({ keyNamespace, keyName, wrappingKey })
}

describe('MasterKeyProvider', () => {
  it('wraps the data key under every master key, the first one added first; any of them decrypts', async () => {
    const keyProvider = provider('one', 'two', Buffer.from([0xff, 0]))
    const { ciphertext, header } = await encrypt('text', { keyProvider })
    assert.deepEqual(
      header.encryptedDataKeys.map((key) => key.keyProviderInfo.subarray(0, -20).toString('latin1')),
      ['one', 'two', '\xff\0'],
    )
    for (const id of ['one', 'two', Buffer.from([0xff, 0])]) {
      assert.equal((await decrypt(ciphertext, { keyProvider: provider(id) })).plaintext.toString(), 'text')
      assert.equal((await decrypt(ciphertext, { keyring: keyringOf(id) })).plaintext.toString(), 'text')
    }
    await assert.rejects(decrypt(ciphertext, { keyProvider: provider('three') }), { code: 'ERR_ESDK_UNWRAP' })
  })

  it('reads what a raw keyring of the same names wrote', async () => {
    const { ciphertext } = await encrypt('text', { keyring: keyringOf('one') })
    assert.equal((await decrypt(ciphertext, { keyProvider: provider('zero', 'one') })).plaintext.toString(), 'text')
  })

  it('puts the master keys of added providers after its own, and takes one of them where it has none', async () => {
    const own = provider('own')
    const added = new DerivedMasterKeyProvider('added')
    added.addMasterKey('theirs')
    own.addMasterKeyProvider(added)
    const { ciphertext, header } = await encrypt('text', { keyProvider: own })
    assert.deepEqual(
      header.encryptedDataKeys.map((key) => key.keyProviderId),
      ['derived', 'added'],
    )
    assert.equal((await decrypt(ciphertext, { keyProvider: added })).plaintext.toString(), 'text')
    const empty = provider()
    empty.addMasterKeyProviders([added, own])
    const nested = await encrypt('text', { keyProvider: empty })
    assert.deepEqual(
      nested.header.encryptedDataKeys.map((key) => key.keyProviderId),
      ['added', 'derived', 'added'],
    )
    assert.equal((await decrypt(nested.ciphertext, { keyProvider: empty })).plaintext.toString(), 'text')
  })

  it('refuses both directions without master keys, and says what to do', async () => {
    await assert.rejects(encrypt('text', { keyProvider: provider() }), {
      code: 'ERR_ESDK_WRAP',
      message: /addMasterKey/,
    })
    const { ciphertext } = await encrypt('text', { keyProvider: provider('one') })
    await assert.rejects(decrypt(ciphertext, { keyProvider: provider() }), {
      code: 'ERR_ESDK_UNWRAP',
      message: /addMasterKey/,
    })
  })

  it('asks for a raw key once an id, when it is first needed, and again after a failure', async () => {
    const keyProvider = provider('one', 'one', 'two')
    assert.deepEqual(keyProvider.asked, [])
    await Promise.all([encrypt('', { keyProvider }), encrypt('', { keyProvider })])
    assert.deepEqual(keyProvider.asked, ['one', 'two'])
    assert.deepEqual(keyProvider.masterKeyIds.map(String), ['one', 'two'])
    const failing = provider('one')
    failing.failures = 1
    await assert.rejects(encrypt('', { keyProvider: failing }), { code: 'ERR_ESDK_WRAP', message: /the vault is shut/ })
    await encrypt('', { keyProvider: failing })
    assert.deepEqual(failing.asked, ['one', 'one'])
  })

  it('serves wherever a keyring does: in streams, in a multi-keyring, as a keyring', async () => {
    const keyProvider = provider('one')
    const message = await through([sequence(0, 200)], new EncryptStream({ keyProvider, frameLength: 10 }))
    assert.deepEqual(await through([message], new DecryptStream({ keyProvider })), sequence(0, 200))
    const generator = keyringOf('generator')
    const { ciphertext, header } = await encrypt('text', {
      keyring: new MultiKeyring({ generator, children: [keyProvider] }),
    })
    assert.equal(header.encryptedDataKeys.length, 2)
    assert.equal((await decrypt(ciphertext, { keyring: keyProvider })).plaintext.toString(), 'text')
  })

  it('lists in a failure what each master key made of each encrypted data key', async () => {
    const { ciphertext } = await encrypt('text', { keyProvider: provider('one', 'two') })
    const both = provider('three')
    const other = new DerivedMasterKeyProvider('other')
    other.addMasterKey('one')
    both.addMasterKeyProvider(other)
    await assert.rejects(decrypt(ciphertext, { keyProvider: both }), (error: { attempts?: { reason: string }[] }) => {
      assert.deepEqual(
        error.attempts?.map(({ reason }) => reason),
        ['another key name', 'another key name', 'another key namespace', 'another key namespace'],
      )
      return true
    })
  })

  it('refuses what is no id, itself, and keys that are none', async () => {
    assert.throws(() => {
      provider('')
    }, TypeError)
    assert.throws(() => {
      provider(Buffer.alloc(0))
    }, TypeError)
    const [one, two] = [provider('one'), provider('two')]
    assert.throws(() => {
      one.addMasterKeyProvider(one)
    }, /added to itself/)
    one.addMasterKeyProvider(two)
    assert.throws(() => {
      two.addMasterKeyProvider(one)
    }, /added to itself/)
    class Wrong extends RawMasterKeyProvider {
      readonly providerId = 'wrong'
      getRawKey(): WrappingKey {
        return randomBytes(32) as never // what a careless subclass gives
      }
    }
    const wrong = new Wrong()
    wrong.addMasterKey('one')
    await assert.rejects(encrypt('', { keyProvider: wrong }), /getRawKey expected to give a WrappingKey/)
    assert.ok(wrong instanceof MasterKeyProvider)
  })
})

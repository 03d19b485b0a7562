/**
 * A keyring of one's own: any object with `onEncrypt` and `onDecrypt`. This one wraps data keys under keys that are
 * derived, one per tenant, from a single root key, and finds the tenant in the encryption context.
 *
 * Run: `node --import tsx examples/custom-keyring.ts`
 */
import assert from 'node:assert/strict'
import { type KeyObject, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import {
  type DecryptionMaterials,
  type EncryptionMaterials,
  type Keyring,
  RawAesKeyring,
  decrypt,
  encrypt,
} from 'esdk-streams'

class TenantKeyring implements Keyring {
  readonly #rootKey: KeyObject

  constructor(rootKey: Uint8Array) {
    this.#rootKey = createSecretKey(rootKey)
  }

  async onEncrypt(materials: EncryptionMaterials): Promise<EncryptionMaterials> {
    return this.#keyringOf(materials).onEncrypt(materials)
  }

  async onDecrypt(...[materials, ...rest]: Parameters<Keyring['onDecrypt']>): Promise<DecryptionMaterials> {
    return this.#keyringOf(materials).onDecrypt(materials, ...rest)
  }

  /** The keyring of the tenant that the encryption context names. */
  #keyringOf({ encryptionContext }: EncryptionMaterials | DecryptionMaterials): RawAesKeyring {
    const { tenant } = encryptionContext
    if (tenant === undefined) throw new Error('the encryption context names no tenant')
    const wrappingKey = new Uint8Array(hkdfSync('sha256', this.#rootKey, Buffer.alloc(0), `tenant:${tenant}`, 32))
    return new RawAesKeyring({ keyNamespace: 'tenants', keyName: tenant, wrappingKey })
  }
}

const keyring = new TenantKeyring(randomBytes(32))
const { ciphertext } = await encrypt('for tenant 17 only', { keyring, encryptionContext: { tenant: '17' } })
const { plaintext, header } = await decrypt(ciphertext, { keyring, encryptionContext: { tenant: '17' } })
assert.equal(plaintext.toString(), 'for tenant 17 only')
console.log(`decrypted for tenant ${header.encryptionContext['tenant'] ?? '?'}: ${plaintext.toString()}`)

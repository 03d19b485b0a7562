/**
 * Data keys wrapped under an AES key that never leaves a token. This makes such a key on a token that is there:
 *
 *     pkcs11-tool --module $PKCS11_LIBRARY --token-label my-token --login --keygen --key-type AES:32 --label backup
 *
 * Needs the package `pkcs11js`. Run, with PKCS11_LIBRARY, PKCS11_TOKEN and PKCS11_PIN set:
 * `node --import tsx examples/pkcs11.ts`
 */
import assert from 'node:assert/strict'
import { decrypt, encrypt } from 'esdk-streams'
import { Pkcs11Keyring } from 'esdk-streams/pkcs11'

const {
  PKCS11_LIBRARY = '/usr/lib/softhsm/libsofthsm2.so',
  PKCS11_TOKEN = 'my-token',
  PKCS11_KEY = 'backup',
} = process.env

const keyring = new Pkcs11Keyring({
  library: PKCS11_LIBRARY,
  tokenLabel: PKCS11_TOKEN,
  // A function is asked when nobody is logged in yet. It may be async, and ask a person.
  pin: () => process.env['PKCS11_PIN'] ?? '',
  keyLabel: PKCS11_KEY,
  wrappingAlgorithm: 'aes-gcm',
  // What messages call the key. A RawAesKeyring with the same key and names reads them, and so do other SDKs'.
  keyNamespace: 'my-hsm',
  keyName: 'backup-2026',
})
try {
  const encryptionContext = { purpose: 'backup' }
  const { ciphertext } = await encrypt('kept under a key that nobody has seen', { keyring, encryptionContext })
  const { plaintext } = await decrypt(ciphertext, { keyring, encryptionContext })
  assert.equal(plaintext.toString(), 'kept under a key that nobody has seen')
  console.log(`decrypted ${plaintext.length} bytes`)
} finally {
  await keyring.close() // closes the sessions, and logs out with the last of them
}

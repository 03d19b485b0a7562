/**
 * One message under an AWS KMS key and an RSA escrow key from a master key provider of one's own: either reads it. The
 * second example of the announcement of the AWS Encryption SDK for Python, here.
 *
 * Needs a key with the alias `exampleKey` in us-east-1, and AWS credentials as the AWS SDK finds them.
 * Run: `AWS_ACCOUNT_ID=111122223333 node --import tsx examples/escrow.ts`
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { RawMasterKeyProvider, WrappingKey, decrypt, encrypt } from 'esdk-streams'
import { KmsMasterKeyProvider } from 'esdk-streams/kms'

/** Makes a 4096-bit RSA key for each key id, and gives it again for the same id. */
class StaticRandomMasterKeyProvider extends RawMasterKeyProvider {
  readonly providerId = 'static-random'
  readonly #keys = new Map<string, WrappingKey>()

  getRawKey(keyId: Buffer): WrappingKey {
    const name = keyId.toString('hex')
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 4096 })
    const key = new WrappingKey({
      wrappingAlgorithm: 'RSA_OAEP_SHA1_MGF1',
      wrappingKey: privateKey,
      wrappingKeyType: 'private',
    })
    this.#keys.set(name, key)
    return key
  }
}

const account = process.env['AWS_ACCOUNT_ID'] ?? '111122223333'

const escrow = new StaticRandomMasterKeyProvider()
escrow.addMasterKey(randomBytes(8))

const provider = new KmsMasterKeyProvider()
provider.addMasterKey(`arn:aws:kms:us-east-1:${account}:alias/exampleKey`)
provider.addMasterKeyProvider(escrow)

const { ciphertext } = await encrypt('readable with either key', { keyProvider: provider })

const { plaintext } = await decrypt(ciphertext, { keyProvider: escrow })
console.log(`decrypted with the escrow key alone: ${plaintext.toString()}`)

const viaKms = await decrypt(ciphertext, { keyProvider: KmsMasterKeyProvider.discovery({ region: 'us-east-1' }) })
console.log(`decrypted with AWS KMS: ${viaKms.plaintext.toString()}`)

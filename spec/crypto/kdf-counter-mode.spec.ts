/**
 * The known answers are those of the AWS Cryptographic Material Providers Library (TestKDF_TestVectors.dfy), which took
 * B.1 to B.10 from NIST's own; the AWS Encryption SDK for JavaScript publishes a digest over all 63 results.
 */
import assert from 'node:assert/strict'
import { createHash, createHmac, createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { expand, kdfCounterMode } from '#lib/crypto/kdf-counter-mode'
import { bytes } from '../arbitraries.ts'

type Hash = 'sha256' | 'sha384'
type Answer = readonly [name: string, hash: Hash, bytes: number, key: string, data: string, derived: string]

// prettier-ignore
const FIXED_DATA: readonly Answer[] = [
  ['B.1', 'sha256', 32, 'e204d6d466aad507ffaf6d6dab0a5b26152c9e21e764370464e360c8fbc765c6', '7b03b98d9f94b899e591f3ef264b71b193fba7043c7e953cde23bc5384bc1a6293580115fae3495fd845dadbd02bd6455cf48d0f62b33e62364a3a80', '770dfab6a6a4a4bee0257ff335213f78d8287b4fd537d5c1fffa956910e7c779'],
  ['B.2', 'sha256', 32, 'aeeeca60f689a441b13b0cbcd441d82df0cf87dac236290dece8931df8d70317', '588ec041e5733b7031212c5538efe4f6aafa4cda8b925d261f5a2688f007b3ac240ee12991e77b8cb8538678615966164a81872bd1cfcbfb39a4f450', '3e81d6113cee3c529ecedff89a6999ce25b618c15ee1d19d45cb376a1c8e2374'],
  ['B.3', 'sha256', 32, '95c8f76e11367eb55526a2b393ae906583d1cbdd47962146f506cc7cac12f464', 'cad60e904b9e9c8bfeb4a81a7f67d3bddcc05e64255870403770f3533ae6dd634ceaa56c53e688bd137ae6018935f34b9fb084ea48e4c688f6bbb388', 'cafa5ca03f5fbe2a242004abcbd3de1059c7407b1ee579255124af189be0b556'],
  ['B.4', 'sha256', 32, '4d05391fd6fb1e292e78ab9619b1b72a7d63ee59d7435dd71897b9ff7ee7ae70', 'f078e6f9b7f82d64554fa6b604c808f19b1f6ad6727db7aa6f1c86694e104b5256c8b4039919646481d7ea2452c72c17a3e8d7d3916285460aa5eb81', '6b16e8f53b831aa5e86bf97a5c4fa37d089bc172da5a1e7f662dd4a595339ab7'],
  ['B.5', 'sha256', 32, '0f68a82ff1671634cc9136c564a9e02a767621dd74a1bf5c24129b808214b752', '648599809c2c4e7c6a5e6c449f0031ebf55c3661a895b44db0572ee88083b1f4b12602aa55fc1df150a65a6d6eeda0aa79a434a1039b91b5a58fc7f1', 'e297640f7768485d4a6e7cfe245f8bfa84700d99762692ea1a425ccc0275e8f5'],
  ['B.6', 'sha384', 32, '822c764a1b117085c10f0e689814d2bfbd9b43287f1a8c75d795a9831a286184c8586f3577b6e5bbce1637925e04fc47', 'af346110b941b11d2189316c9fc2b9f4213775a5d7368d35412678a28fcd03b07f0549666efdf30c80f0ab5563720a56ef616a13bb8f7780036fc08e', 'e0ae235cb82380527be76934a69622396d90e7bfa7e2d295e4375bcee0d1b101'],
  ['B.7', 'sha384', 32, '340e212d758e83cc5b89e4b56a86ee8c9631ae4e4bbaec15ac095ea4407bc7b634ad630dd0be85a91c08a8c7e1e1030b', '3cd5561ad12fadfce408e04180afcee38b83156b9e4be0779c4f0db9e26bfe5ccd43e15921977cd26b1db8288b80089eb7d1bbd7f59e1011b3e18b51', '05fa577b7081210e7c9de69db03d7c2026cf4469a90bfa29f1c2c10818d463e0'],
  ['B.8', 'sha384', 32, '00a12d3ce4ff75a6e30f41f3557c826af1326b6302f4ce887bad3d3317a548c8c03a057284dcc38d8bc690bd4a565f47', '24c5c0b2c810dfa08e35d7feebb8c78e0cd726c92ecd42d9171013738ca2531a947f523c37f64cdb04305bd969d1d6f9ecd46405d28280f968500ba7', 'aef3d57c8da7d9582c5d1c62d6b64896da9b1b0e4012a44cdc3dcf4b70ad6c66'],
  ['B.9', 'sha384', 20, '0000d9b7ec6fbefdf256fd68220b5205ac65a2001145118c50ba6b657032198b8b7ce3b2f7068a780dc17c22459af2b7', 'd857541c62b85756dc73de7dc2d86f5d5e8b28338bb0a945b5c4fd7c81f71961b9705d3d153b19195d003b74212068ed10f96c53438653087a0152cf', '793ef113f96397ab0031eaa0faa777c107e7d03c'],
  ['B.10', 'sha384', 20, '4f3d744d3e449e0627bf4498743828f86e638f60620a7ed4a7c9b5b073691c9ec94728c58822e827f0f6ccf86dbc1cae', '301feeb25e6ca8503ecd821f1d3787aebfb3d0ec518bb31174f5209b2ac1f28ed3e698736bad10a18e3cbdb5dc27bbd12d058b36db0892f9cfd08300', '85ef9505b230565eccf2a64ab3de53e5a91c7b51'],
]

/** With the label "aws-kms-hierarchy"; the data is the context. */
// prettier-ignore
const LABELLED: readonly Answer[] = [
  ['C.1', 'sha256', 32, '7dc9bdfc2534047cfe63e9eb297b77525149ed7d4afce9c6440f350e61ef3ed0', '77dae93e689b581d3e06eb01c8d3ba02', 'bce898725589aec08f9834b3b80fdc3ff173907e5574e729fdce127cf76db7cc'],
  ['C.2', 'sha256', 32, '5016711776440a204ba9c7c0ffdcd63cb6017e93abe96eb12391d9811e09509f', 'd2f1c09e67421b238f42a8bd52abd3fc', '36ceae48ed85559c5d357898765259217262ccec8a39a276555cc7e8f0fc5c61'],
  ['C.3', 'sha256', 32, '395a102e5336bdf11bf2edecf64236e24a704f9cd00d944775d38b3949457aec', '330fb77c52e5f9567594eda21bf3ad6c', '1637ec8d9fa3faec562fe1679ce1e492a62df42788a3cdc874c1149370fed2c2'],
  ['C.4', 'sha256', 32, '98c019dfef9aaf43edfab892e4f3e30180f7e4988e8395293c46f43aa6ea56bd', 'f3a0667fdb897326bbd8305097a89447', 'bf7056eadce97a9a64bce6eeef9b3620612333a079eb2a4091690f99a259099c'],
  ['C.5', 'sha256', 32, 'a6ec74338cbdc0af2a9a331ad0954c9faea2cf046ce8c4f00c39e49b614b2a42', 'eca9e92d2b197af398bf9a372d869fdc', '9c0b14fb64e3a3a11e2df202f8f62c0b5884bdaf5f603d2c62a0d4888cde3997'],
]

const DIGEST_OF_ALL = '6469767018d52fa471b0d3821ceda705fad528d1c318f7e330319f1c203db267'

/** Results for zeros in every size, in the order that the digest has them in. */
function ofZeros(): Buffer[] {
  const results: Buffer[] = []
  for (const hash of ['sha256', 'sha384'] as const) {
    for (const keyBytes of [66, 48, 32]) {
      for (const size of [32, 64]) {
        for (const label of [Buffer.alloc(0), Buffer.alloc(3)]) {
          for (const contextBytes of [16, 32]) {
            const [key, context] = [Buffer.alloc(keyBytes), Buffer.alloc(contextBytes)]
            results.push(kdfCounterMode({ hash, key, label, context, bytes: size }))
          }
        }
      }
    }
  }
  return results
}

describe('crypto/kdf-counter-mode', () => {
  for (const [name, hash, size, key, data, derived] of FIXED_DATA) {
    it(`known answer ${name} (${hash})`, () => {
      const result = expand(hash, Buffer.from(key, 'hex'), Buffer.from(data, 'hex'), size)
      assert.equal(result.toString('hex'), derived)
    })
  }

  for (const [name, hash, size, key, context, derived] of LABELLED) {
    it(`known answer ${name} (${hash}), from bytes and from a KeyObject`, () => {
      const raw = Buffer.from(key, 'hex')
      for (const form of [raw, createSecretKey(raw)]) {
        const input = { hash, key: form, label: Buffer.from('aws-kms-hierarchy'), context: Buffer.from(context, 'hex') }
        assert.equal(kdfCounterMode({ ...input, bytes: size }).toString('hex'), derived)
      }
      assert.equal(raw.toString('hex'), key, 'the caller’s bytes are left as they are')
    })
  }

  it('has the published digest over all known answers', () => {
    const listed = [...FIXED_DATA, ...LABELLED].map(([, , , , , derived]) => Buffer.from(derived, 'hex'))
    const digest = createHash('sha256')
    for (const result of [...listed, ...ofZeros()]) digest.update(result)
    assert.equal(digest.digest('hex'), DIGEST_OF_ALL)
  })

  it('is HMAC over counter, label, zero, context and length in bits', () => {
    fc.assert(
      fc.property(
        ...([
          fc.constantFrom<Hash>('sha256', 'sha384'),
          bytes(80, 1),
          bytes(40),
          bytes(40),
          fc.integer({ min: 1, max: 300 }),
        ] as const),
        (hash, key, label, context, size) => {
          const bits = uint32(size * 8)
          const blocks = Array.from({ length: 10 }, (_, index) =>
            createHmac(hash, key)
              .update(Buffer.concat([uint32(index + 1), label, Buffer.from([0]), context, bits]))
              .digest(),
          )
          const expected = Buffer.concat(blocks).subarray(0, size)
          assert.deepEqual(kdfCounterMode({ hash, key, label, context, bytes: size }), expected)
        },
      ),
    )
  })

  it('binds the length: a longer result does not begin with the shorter one', () => {
    const input = { hash: 'sha384', key: Buffer.alloc(32), label: Buffer.alloc(1), context: Buffer.alloc(1) } as const
    const short = kdfCounterMode({ ...input, bytes: 32 })
    assert.notDeepEqual(kdfCounterMode({ ...input, bytes: 64 }).subarray(0, 32), short)
  })

  it('takes lengths that are whole, positive and fit in its 32 bits', () => {
    const input = { hash: 'sha256', key: Buffer.alloc(32), label: Buffer.alloc(1), context: Buffer.alloc(1) } as const
    for (const size of [0, -1, 1.5, NaN, 2 ** 29]) {
      assert.throws(() => kdfCounterMode({ ...input, bytes: size }), RangeError)
    }
  })
})

function uint32(value: number): Buffer {
  const four = Buffer.alloc(4)
  four.writeUInt32BE(value)
  return four
}

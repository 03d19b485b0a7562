import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import {
  type CryptographicMaterialsManager,
  DefaultCryptographicMaterialsManager,
  type EncryptOptions,
  EncryptStream,
  type EncryptionMaterials,
  type EncryptionMaterialsRequest,
  MultiKeyring,
  decrypt,
  encrypt,
  readHeader,
} from 'esdk-streams'
import { ALGORITHM_SUITES, algorithmSuite, ciphertextLength, plaintextLengthOf } from 'esdk-streams/format'
import { aesKeyring, bytes, cuts, messageCases, policyOf, sequence, through } from '../arbitraries.ts'

const keyring = aesKeyring()
const unsigned = { keyring, algorithmSuite: 0x0478 } as const

/** A manager that notes what it is asked for, and may change what it gives. */
function spyManager(
  requests: EncryptionMaterialsRequest[],
  change: (materials: EncryptionMaterials) => EncryptionMaterials = (materials) => materials,
): CryptographicMaterialsManager {
  const underlying = new DefaultCryptographicMaterialsManager(keyring)
  return {
    getEncryptionMaterials: async (request, options) => {
      requests.push(request)
      return change(await underlying.getEncryptionMaterials(request, options))
    },
    decryptMaterials: (request, options) => underlying.decryptMaterials(request, options),
  }
}

describe('EncryptStream', () => {
  it('cuts frames by their length alone, not by the chunks that come', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(300), fc.integer({ min: 1, max: 100 }), cuts, async (plaintext, frameLength, cut) => {
        const message = await through(cut(plaintext), new EncryptStream({ ...unsigned, frameLength }))
        const { headerLength } = await readHeader(message)
        const frames = Math.max(1, Math.ceil(plaintext.length / frameLength))
        assert.equal(message.length, headerLength + plaintext.length + 32 * (frames - 1) + 40)
        const last = message.length - 40 - (plaintext.length - (frames - 1) * frameLength)
        assert.equal(message.readUInt32BE(last), 0xffffffff)
        assert.equal(message.readUInt32BE(last + 4), frames)
        assert.ok((await decrypt(message, { keyring })).plaintext.equals(plaintext))
      }),
    )
  })

  it('ends an evenly divided plaintext with a full final frame, and an empty one with an empty', async () => {
    for (const [length, last] of [
      [0, 0],
      [16, 16],
      [48, 16],
      [49, 1],
    ] as const) {
      const { ciphertext } = await encrypt(sequence(0, length), { ...unsigned, frameLength: 16 })
      assert.equal(ciphertext.readUInt32BE(ciphertext.length - 16 - last - 4), last)
    }
  })

  it('writes a message exactly as long as was computed, whatever suite', async () => {
    await fc.assert(
      fc.asyncProperty(messageCases, async ({ plaintext, suite, encryptOptions }) => {
        const { ciphertext, header } = await encrypt(plaintext, encryptOptions)
        const { headerLength } = await readHeader(ciphertext)
        const sizes = { headerLength, frameLength: header.frameLength, algorithmSuite: suite.id }
        assert.equal(ciphertextLength({ ...sizes, plaintextLength: plaintext.length }), ciphertext.length)
        assert.equal(plaintextLengthOf({ ...sizes, ciphertextLength: ciphertext.length }), plaintext.length)
      }),
      { numRuns: 60 },
    )
  })

  it('never uses a message id or a data key twice', async () => {
    const messages = await Promise.all(Array.from({ length: 50 }, () => encrypt('same', unsigned)))
    assert.equal(new Set(messages.map(({ header }) => header.messageId.toString('hex'))).size, 50)
    assert.equal(
      new Set(messages.map(({ header }) => header.encryptedDataKeys[0]!.ciphertext.toString('hex'))).size,
      50,
    )
    for (const { header } of messages) assert.equal(header.messageId.length, 32)
    const old = await encrypt('', { keyring, commitmentPolicy: 'forbid-encrypt-allow-decrypt' })
    assert.equal(old.header.messageId.length, 16)
  })

  it('takes the suite of the policy', async () => {
    const suiteOf = async (options: Partial<EncryptOptions>): Promise<number> =>
      (await encrypt('', { keyring, ...options })).header.suite.id
    assert.equal(await suiteOf({}), 0x0578)
    assert.equal(await suiteOf({ commitmentPolicy: 'require-encrypt-allow-decrypt' }), 0x0578)
    assert.equal(await suiteOf({ commitmentPolicy: 'forbid-encrypt-allow-decrypt' }), 0x0378)
    assert.equal(await suiteOf({ randomAccess: true }), 0x0478)
    assert.equal(await suiteOf({ randomAccess: true, commitmentPolicy: 'forbid-encrypt-allow-decrypt' }), 0x0178)
  })

  it('refuses a suite that the policy forbids before any manager is asked', async () => {
    for (const { id, committing } of ALGORITHM_SUITES) {
      const requests: EncryptionMaterialsRequest[] = []
      const commitmentPolicy = committing ? 'forbid-encrypt-allow-decrypt' : 'require-encrypt-allow-decrypt'
      const options = { materialsManager: spyManager(requests), algorithmSuite: id, commitmentPolicy } as const
      await assert.rejects(encrypt('', options), { code: 'ERR_ESDK_POLICY' })
      assert.equal(requests.length, 0)
    }
  })

  it('refuses materials of a suite that the policy forbids', async () => {
    const materialsManager: CryptographicMaterialsManager = {
      ...spyManager([]),
      getEncryptionMaterials: (request, options) =>
        new DefaultCryptographicMaterialsManager(keyring).getEncryptionMaterials(
          { ...request, algorithmSuite: algorithmSuite(0x0178), commitmentPolicy: 'forbid-encrypt-allow-decrypt' },
          options,
        ),
    }
    await assert.rejects(encrypt('', { materialsManager }), { code: 'ERR_ESDK_POLICY' })
  })

  it('refuses materials that are incomplete', async () => {
    const without = (name: keyof EncryptionMaterials) => (materials: EncryptionMaterials) => {
      const rest = Object.entries(materials).filter(([other]) => other !== name)
      return Object.fromEntries(rest) as unknown as EncryptionMaterials // incomplete on purpose
    }
    const wrong: Record<string, (materials: EncryptionMaterials) => EncryptionMaterials> = {
      'no data key': without('dataKey'),
      'no signing key': without('signingKey'),
      'no encrypted data keys': (materials) => ({ ...materials, encryptedDataKeys: [] }),
      'no public key': (materials) => ({ ...materials, encryptionContext: {} }),
      'a required pair that is missing': (materials) => ({ ...materials, requiredEncryptionContextKeys: ['x'] }),
    }
    for (const [name, change] of Object.entries(wrong)) {
      await assert.rejects(encrypt('', { materialsManager: spyManager([], change) }), { code: 'ERR_ESDK_WRAP' }, name)
    }
  })

  it('refuses materials that would store a pair that is not to be stored', async () => {
    const change = (materials: EncryptionMaterials): EncryptionMaterials => ({
      ...materials,
      requiredEncryptionContextKeys: [],
    })
    const options = { encryptionContext: { tenant: '17' }, requiredEncryptionContextKeys: ['tenant'] }
    await assert.rejects(encrypt('', { ...options, materialsManager: spyManager([], change) }), {
      code: 'ERR_ESDK_WRAP',
      message: /"tenant"/,
    })
    await encrypt('', { ...options, materialsManager: spyManager([]) })
  })

  it('tells the manager what is known of the length: exactly, at most, or nothing', async () => {
    const requests: EncryptionMaterialsRequest[] = []
    const materialsManager = spyManager(requests)
    await encrypt('12345', { materialsManager })
    await encrypt([Buffer.from('12345')], { materialsManager })
    await encrypt([Buffer.from('12345')], { materialsManager, plaintextLength: 5 })
    await encrypt([Buffer.from('12345')], { materialsManager, plaintextLengthBound: 9 })
    assert.deepEqual(
      requests.map(({ maxPlaintextLength }) => maxPlaintextLength),
      [5, undefined, 5, 9],
    )
  })

  it('wraps the data key no more often than maxEncryptedDataKeys says', async () => {
    const three = new MultiKeyring({ generator: keyring, children: [aesKeyring('b'), aesKeyring('c')] })
    const { header } = await encrypt('', { keyring: three, maxEncryptedDataKeys: 3 })
    assert.equal(header.encryptedDataKeys.length, 3)
    await assert.rejects(encrypt('', { keyring: three, maxEncryptedDataKeys: 2 }), { code: 'ERR_ESDK_LIMIT' })
  })

  it('keeps the header within maxHeaderBytes', async () => {
    const { ciphertext } = await encrypt('', unsigned)
    const { headerLength } = await readHeader(ciphertext)
    await encrypt('', { ...unsigned, maxHeaderBytes: headerLength })
    await assert.rejects(encrypt('', { ...unsigned, maxHeaderBytes: headerLength - 1 }), { code: 'ERR_ESDK_LIMIT' })
    await assert.rejects(encrypt('', { ...unsigned, encryptionContext: { long: 'x'.repeat(70_000) } }), {
      code: 'ERR_ESDK_LIMIT',
    })
  })

  describe('holds the plaintext to', () => {
    it('the length that was said, neither more nor less', async () => {
      for (const [said, real] of [
        [5, 4],
        [5, 6],
        [0, 1],
        [4096, 4095],
        [4096, 4097],
        [1, 0],
      ] as const) {
        const options = { ...unsigned, plaintextLength: said }
        await assert.rejects(encrypt(sequence(0, real), options), { code: 'ERR_ESDK_LENGTH' })
        await assert.rejects(through([sequence(0, real)], new EncryptStream(options)), { code: 'ERR_ESDK_LENGTH' })
      }
      for (const length of [0, 1, 4096, 5000]) {
        const { ciphertext } = await encrypt(sequence(0, length), { ...unsigned, plaintextLength: length })
        assert.equal((await decrypt(ciphertext, { keyring })).plaintext.length, length)
      }
    })

    it('a bound, of which 0 means empty', async () => {
      for (const [bound, real] of [
        [0, 1],
        [5, 6],
        [4096, 4097],
      ] as const) {
        await assert.rejects(encrypt(sequence(0, real), { ...unsigned, plaintextLengthBound: bound }), {
          code: 'ERR_ESDK_LIMIT',
        })
      }
      for (const [bound, real] of [
        [0, 0],
        [5, 5],
        [5, 2],
      ] as const) {
        await encrypt(sequence(0, real), { ...unsigned, plaintextLengthBound: bound })
      }
    })

    it('either as soon as it is passed, with nothing of what is over sealed', async () => {
      for (const option of ['plaintextLength', 'plaintextLengthBound'] as const) {
        const stream = new EncryptStream({ ...unsigned, frameLength: 4, [option]: 10 })
        const released: Buffer[] = []
        stream.on('data', (chunk) => released.push(chunk))
        const failed = new Promise<Error>((resolve) => stream.once('error', resolve))
        stream.write(sequence(0, 6))
        await new Promise((resolve) => stream.once('header', resolve))
        stream.write(sequence(0, 5)) // no end: the source stays open
        const error = await failed
        assert.match(error.message, /longer than/)
        assert.ok(Buffer.concat(released.slice(1)).length <= 2 * (4 + 32))
      }
    })
  })

  it('announces its header before any bytes, once, and counts bytes and frames', async () => {
    const stream = new EncryptStream({ ...unsigned, frameLength: 10, encryptionContext: { a: 'b' } })
    const events: string[] = []
    stream.on('header', (header) => {
      events.push('header')
      assert.equal(header, stream.header)
    })
    let length = 0
    stream.on('data', (chunk) => {
      events.push('data')
      length += chunk.length
    })
    await pipeline(Readable.from([sequence(0, 35)]), stream)
    assert.deepEqual([events[0], events.filter((event) => event === 'header').length], ['header', 1])
    assert.deepEqual({ ...stream.stats }, { bytesIn: 35, bytesOut: length, frames: 4 })
    assert.deepEqual({ ...stream.header!.encryptionContext }, { a: 'b' })
  })

  it('asks for keys only when it is written to or ended', async () => {
    const requests: EncryptionMaterialsRequest[] = []
    const stream = new EncryptStream({ materialsManager: spyManager(requests) })
    await new Promise(setImmediate)
    assert.equal(requests.length, 0)
    stream.resume().end()
    await new Promise((resolve) => stream.once('end', resolve))
    assert.equal(requests.length, 1)
  })

  it('encrypts under every suite that a policy allows', async () => {
    for (const suite of ALGORITHM_SUITES) {
      const options = { keyring, commitmentPolicy: policyOf(suite) }
      const { ciphertext, header } = await encrypt('text', { ...options, algorithmSuite: suite.name })
      assert.equal(header.suite.id, suite.id)
      assert.equal(header.version, suite.messageVersion)
      assert.equal((await decrypt(ciphertext, options)).plaintext.toString(), 'text')
    }
  })
})

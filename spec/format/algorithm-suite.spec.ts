import assert from 'node:assert/strict'
import { MalformedMessageError, UnsupportedError } from 'esdk-streams'
import { ALGORITHM_SUITES, algorithmSuite } from 'esdk-streams/format'
import { suiteHex, suiteOfMessage } from '#lib/format/algorithm-suite'

/** The specification's table, written down a second time: id, version, key bytes, KDF, hash, commits, curve, hash, DER. */
const TABLE = [
  [0x0014, 1, 16, 'identity', undefined, false, undefined, undefined, undefined],
  [0x0046, 1, 24, 'identity', undefined, false, undefined, undefined, undefined],
  [0x0078, 1, 32, 'identity', undefined, false, undefined, undefined, undefined],
  [0x0114, 1, 16, 'hkdf', 'sha256', false, undefined, undefined, undefined],
  [0x0146, 1, 24, 'hkdf', 'sha256', false, undefined, undefined, undefined],
  [0x0178, 1, 32, 'hkdf', 'sha256', false, undefined, undefined, undefined],
  [0x0214, 1, 16, 'hkdf', 'sha256', false, 'P-256', 'sha256', 71],
  [0x0346, 1, 24, 'hkdf', 'sha384', false, 'P-384', 'sha384', 103],
  [0x0378, 1, 32, 'hkdf', 'sha384', false, 'P-384', 'sha384', 103],
  [0x0478, 2, 32, 'hkdf', 'sha512', true, undefined, undefined, undefined],
  [0x0578, 2, 32, 'hkdf', 'sha512', true, 'P-384', 'sha384', 103],
]

const ids = TABLE.map(([id]) => Number(id))

describe('format/algorithm-suite', () => {
  it('has the specification’s table', () => {
    const rows = ALGORITHM_SUITES.map(({ id, messageVersion, keyBytes, kdf, kdfHash, committing, signature }) => {
      const { curve, hash, signatureBytes } = signature ?? {}
      return [id, messageVersion, keyBytes, kdf, kdfHash, committing, curve, hash, signatureBytes]
    })
    assert.deepEqual(rows, TABLE)
  })

  it('names key, KDF and signature in each name', () => {
    for (const { name, keyBytes, kdf, kdfHash, committing, signature } of ALGORITHM_SUITES) {
      assert.ok(name.startsWith(`ALG_AES_${keyBytes * 8}_GCM_`), name)
      assert.equal(name.includes('NO_KDF'), kdf === 'identity')
      if (kdfHash !== undefined) assert.ok(name.includes(`HKDF_${kdfHash.toUpperCase()}`), name)
      assert.equal(name.includes('COMMIT_KEY'), committing)
      assert.equal(name.includes('ECDSA'), signature !== undefined)
      if (signature !== undefined) assert.ok(name.endsWith(`ECDSA_${signature.curve.replace('-', '')}`), name)
    }
  })

  it('can’t be changed', () => {
    assert.ok(Object.isFrozen(ALGORITHM_SUITES))
    for (const suite of ALGORITHM_SUITES) assert.ok(Object.isFrozen(suite))
  })

  describe('of a message', () => {
    it('goes with one version only', () => {
      for (const { id, messageVersion } of ALGORITHM_SUITES) {
        assert.equal(suiteOfMessage(id, messageVersion).id, id)
        assert.throws(() => suiteOfMessage(id, messageVersion === 1 ? 2 : 1), MalformedMessageError)
      }
    })

    it('is refused under every other of the 65,536 ids, as unsupported where another product has it', () => {
      const foreign = new Set([0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x6700, 0x6701])
      for (let id = 0; id <= 0xffff; id++) {
        if (ids.includes(id)) continue
        const expected = foreign.has(id) ? 'ERR_ESDK_UNSUPPORTED' : 'ERR_ESDK_MALFORMED'
        for (const version of [1, 2] as const) {
          try {
            suiteOfMessage(id, version)
            assert.fail(`suite ${id} was found`)
          } catch (error) {
            assert.equal((error as { code?: unknown }).code, expected, `suite ${id}`) // whatever was thrown
          }
        }
      }
    })

    it('tells whose a foreign id is', () => {
      assert.throws(() => suiteOfMessage(0x0073, 2), /S3 Encryption Client/)
      assert.throws(() => suiteOfMessage(0x6701, 2), /Database Encryption/)
      assert.throws(() => suiteOfMessage(0x6701, 2), UnsupportedError)
    })
  })

  describe('of a caller', () => {
    it('is named by id, name, or name without its beginning', () => {
      for (const suite of ALGORITHM_SUITES) {
        assert.equal(algorithmSuite(suite.id), suite)
        assert.equal(algorithmSuite(suite.name), suite)
        assert.equal(algorithmSuite(suite.name.replace('ALG_', '')), suite)
      }
    })

    it('is a RangeError that lists all where there is none such', () => {
      for (const wrong of [0, 0x0070, 0x0579, 'AES', '', '0x0578', '1400']) {
        assert.throws(() => algorithmSuite(wrong), RangeError)
      }
      assert.throws(() => algorithmSuite(0x0579), /0x0014.*0x0578 or its name, got 0x0579/)
    })
  })

  it('writes ids in four digits', () => {
    assert.equal(suiteHex(0x14), '0x0014')
    assert.equal(suiteHex(0x0578), '0x0578')
  })
})

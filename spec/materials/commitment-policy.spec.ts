import assert from 'node:assert/strict'
import { PolicyError } from 'esdk-streams'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import {
  COMMITMENT_POLICIES,
  DEFAULT_COMMITMENT_POLICY,
  checkPolicyOnDecrypt,
  checkPolicyOnEncrypt,
  suiteOfPolicy,
} from '#lib/materials/commitment-policy'

/** Policy: encrypts committing suites, encrypts others, decrypts committing suites, decrypts others, default, unsigned. */
const TABLE = {
  'forbid-encrypt-allow-decrypt': [false, true, true, true, 0x0378, 0x0178],
  'require-encrypt-allow-decrypt': [true, false, true, true, 0x0578, 0x0478],
  'require-encrypt-require-decrypt': [true, false, true, false, 0x0578, 0x0478],
} as const

function passes(check: () => void): boolean {
  try {
    check()
    return true
  } catch (error) {
    assert.ok(error instanceof PolicyError)
    assert.match(error.message, /^commitment policy (forbid|require)-encrypt-/)
    return false
  }
}

describe('materials/commitment-policy', () => {
  it('has three policies, the strictest by default', () => {
    assert.deepEqual([...COMMITMENT_POLICIES].sort(), Object.keys(TABLE).sort())
    assert.equal(DEFAULT_COMMITMENT_POLICY, 'require-encrypt-require-decrypt')
  })

  for (const policy of COMMITMENT_POLICIES) {
    it(`decides under ${policy} as the specification's table`, () => {
      const [encryptsCommitting, encryptsOthers, decryptsCommitting, decryptsOthers, suite, unsigned] = TABLE[policy]
      for (const candidate of ALGORITHM_SUITES) {
        const encrypts = passes(() => {
          checkPolicyOnEncrypt(policy, candidate)
        })
        const decrypts = passes(() => {
          checkPolicyOnDecrypt(policy, candidate)
        })
        const expected = candidate.committing
          ? [encryptsCommitting, decryptsCommitting]
          : [encryptsOthers, decryptsOthers]
        assert.deepEqual([encrypts, decrypts], expected, candidate.name)
      }
      assert.equal(suiteOfPolicy(policy).id, suite)
      assert.equal(suiteOfPolicy(policy, true).id, unsigned)
    })
  }

  it('names the policy that would decrypt', () => {
    const [oldest] = ALGORITHM_SUITES
    assert.throws(() => {
      checkPolicyOnDecrypt(DEFAULT_COMMITMENT_POLICY, oldest!)
    }, /0x0014.*"commitmentPolicy: 'require-encrypt-allow-decrypt'" allows it/)
  })
})

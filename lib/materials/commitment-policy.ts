/** Commitment policies: framework/commitment-policy.md. */
import { PolicyError } from '../errors.ts'
import { type AlgorithmSuite, algorithmSuite, suiteHex } from '../format/algorithm-suite.ts'

/** Whether messages must commit to their data key. */
export type CommitmentPolicy =
  'forbid-encrypt-allow-decrypt' | 'require-encrypt-allow-decrypt' | 'require-encrypt-require-decrypt'

interface PolicyRules {
  readonly encryptsCommitting: boolean
  readonly decryptsOnlyCommitting: boolean
  readonly defaultSuite: AlgorithmSuite
  readonly unsignedSuite: AlgorithmSuite
}

const committing = {
  encryptsCommitting: true,
  defaultSuite: algorithmSuite(0x0578),
  unsignedSuite: algorithmSuite(0x0478),
} as const

const RULES: Readonly<Record<CommitmentPolicy, PolicyRules>> = {
  'forbid-encrypt-allow-decrypt': {
    encryptsCommitting: false,
    decryptsOnlyCommitting: false,
    // The specification's page names 0x0078; every implementation takes 0x0378.
    defaultSuite: algorithmSuite(0x0378),
    unsignedSuite: algorithmSuite(0x0178),
  },
  'require-encrypt-allow-decrypt': { ...committing, decryptsOnlyCommitting: false },
  'require-encrypt-require-decrypt': { ...committing, decryptsOnlyCommitting: true },
}

/** The policy of a caller that says nothing. */
export const DEFAULT_COMMITMENT_POLICY: CommitmentPolicy = 'require-encrypt-require-decrypt'

/** The names of all policies. */
export const COMMITMENT_POLICIES: readonly CommitmentPolicy[] = Object.freeze(
  Object.keys(RULES) as CommitmentPolicy[], // the keys of a Record<CommitmentPolicy, …>
)

/** The suite that a policy encrypts with where none is asked for; with `unsigned`, its best suite without a signature. */
export function suiteOfPolicy(policy: CommitmentPolicy, unsigned = false): AlgorithmSuite {
  return unsigned ? RULES[policy].unsignedSuite : RULES[policy].defaultSuite
}

/** @throws PolicyError where the policy forbids encrypting with the suite. */
export function checkPolicyOnEncrypt(policy: CommitmentPolicy, suite: AlgorithmSuite): void {
  if (suite.committing !== RULES[policy].encryptsCommitting) {
    const verb = suite.committing ? 'commits' : 'does not commit'
    throw new PolicyError(
      `commitment policy ${policy} forbids encrypting with ${suiteHex(suite.id)}, which ${verb} to its data key`,
    )
  }
}

/** @throws PolicyError where the policy forbids decrypting a message of the suite. */
export function checkPolicyOnDecrypt(policy: CommitmentPolicy, suite: AlgorithmSuite): void {
  if (!suite.committing && RULES[policy].decryptsOnlyCommitting) {
    throw new PolicyError(
      `commitment policy ${policy} forbids decrypting a message of ${suiteHex(suite.id)}, which does not commit to its data key; ` +
        `"commitmentPolicy: 'require-encrypt-allow-decrypt'" allows it`,
    )
  }
}

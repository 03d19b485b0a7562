/** The calls of AWS KMS that make branch keys, which never leave it unwrapped: framework/branch-key-store.md "Wrapped Branch Key Creation". */
import { GenerateDataKeyWithoutPlaintextCommand, ReEncryptCommand } from '@aws-sdk/client-kms'
import type { EncryptionContext } from '../../../format/encryption-context.ts'
import { type KmsCall, anotherKey, grantTokensOf, requestOf } from '../kms-calls.ts'
import { callKms } from '../kms-request.ts'

/** Branch keys and beacon keys have so many bytes. */
export const BRANCH_KEY_BYTES = 32

/** A new branch key, wrapped with the encryption context of the call. */
export async function generateBranchKey(call: KmsCall): Promise<Uint8Array> {
  const command = new GenerateDataKeyWithoutPlaintextCommand({ ...requestOf(call), NumberOfBytes: BRANCH_KEY_BYTES })
  const { CiphertextBlob, KeyId } = await callKms('GenerateDataKeyWithoutPlaintext', call, (options) =>
    call.client.send(command, options),
  )
  return checked(call, CiphertextBlob, KeyId)
}

/** The same branch key, wrapped with another encryption context than that of the call; or with that, to authenticate it. */
export async function rewrapBranchKey(
  call: KmsCall,
  wrappedKey: Uint8Array,
  destination: EncryptionContext,
): Promise<Uint8Array> {
  const command = new ReEncryptCommand({
    SourceKeyId: call.keyId,
    SourceEncryptionContext: { ...call.encryptionContext },
    CiphertextBlob: wrappedKey,
    DestinationKeyId: call.keyId,
    DestinationEncryptionContext: { ...destination },
    ...grantTokensOf(call.grantTokens),
  })
  const { CiphertextBlob, KeyId, SourceKeyId } = await callKms('ReEncrypt', call, (options) =>
    call.client.send(command, options),
  )
  if (SourceKeyId !== call.keyId) throw new Error(anotherKey(SourceKeyId))
  return checked(call, CiphertextBlob, KeyId)
}

function checked({ keyId }: KmsCall, ciphertext: Uint8Array | undefined, answeredFor: string | undefined): Uint8Array {
  if (answeredFor !== keyId) throw new Error(anotherKey(answeredFor))
  if (ciphertext === undefined || ciphertext.length === 0) throw new Error('AWS KMS gave no ciphertext')
  return ciphertext
}

/** The first half of the decrypt operation: from the header's bytes to the message key that proved it genuine. */
import type { KeyObject } from 'node:crypto'
import { isHeaderAuthentic } from '../crypto/header-tag.ts'
import { deriveMessageKeys, sameCommitment } from '../crypto/message-keys.ts'
import { MessageVerifier } from '../crypto/signature.ts'
import { type Attempt, AuthenticationError, PolicyError, UnwrapError } from '../errors.ts'
import { suiteHex } from '../format/algorithm-suite.ts'
import { type EncryptionContext, encodeEncryptionContext, selectPairs } from '../format/encryption-context.ts'
import {
  type HeaderAuthentication,
  encodeHeaderAuthentication,
  readHeaderAuthentication,
} from '../format/header-authentication.ts'
import { type MessageHeader, readMessageHeader } from '../format/message-header.ts'
import { recorded } from '../format/reading.ts'
import { checkPolicyOnDecrypt } from '../materials/commitment-policy.ts'
import { joinReproduced } from '../materials/cryptographic-materials-manager.ts'
import { type DecryptionMaterials, type UnconfirmedUnwrap, checkDecryptionMaterials } from '../materials/materials.ts'
import { unlessAborted } from '../materials/shared-request.ts'
import type { ByteQueue } from './byte-queue.ts'
import type { DecryptSettings } from './options.ts'
import type { Session } from './protocol-transform.ts'

/** A message whose header is authentic. */
export interface OpenedMessage {
  readonly header: MessageHeader
  readonly messageKey: KeyObject
  /** Of a signed message; it has taken the header's bytes already. */
  readonly verifier: MessageVerifier | undefined
}

/** A header as received. */
interface ReceivedHeader {
  readonly header: MessageHeader
  readonly body: Buffer
  readonly authentication: HeaderAuthentication
}

type CompleteMaterials = ReturnType<typeof checkDecryptionMaterials>

/** Reads the header, checks it against the caller's policies, gets the keys, and authenticates it. */
export async function openMessageHeader(
  input: ByteQueue,
  settings: DecryptSettings,
  session: Session,
): Promise<OpenedMessage> {
  const { value: header, bytes: body } = await input.read(
    recorded(readMessageHeader(settings.limits), settings.limits.maxHeaderBytes, 'header'),
  )
  checkPolicies(header, settings)
  const authentication = await input.read(readHeaderAuthentication(header.version))
  const received = { header, body, authentication }
  const { materials, messageKey } = await authenticate(received, settings, session)
  const { signature } = header.suite
  let verifier: MessageVerifier | undefined
  if (signature !== undefined && materials.verificationKey !== undefined) {
    verifier = new MessageVerifier(signature, materials.verificationKey)
    verifier.update(body)
    verifier.update(encodeHeaderAuthentication(header.version, authentication))
  }
  session.onHeader(header)
  return { header, messageKey, verifier }
}

/** Everything that can refuse a message before any key is asked for. */
function checkPolicies({ suite, encryptionContext }: MessageHeader, settings: DecryptSettings): void {
  checkPolicyOnDecrypt(settings.commitmentPolicy, suite)
  if (settings.unsignedOnly && suite.signature !== undefined) {
    throw new PolicyError(`the message is signed (${suiteHex(suite.id)}); "unsignedOnly" refuses that`)
  }
  const joined = joinReproduced(encryptionContext, settings.encryptionContext)
  checkHolds(joined.encryptionContext, settings.requiredEncryptionContextKeys)
}

function checkHolds(context: EncryptionContext, names: readonly string[]): void {
  const missing = names.find((name) => !Object.hasOwn(context, name))
  if (missing !== undefined) {
    throw new PolicyError(`the message's encryption context lacks the required name ${JSON.stringify(missing)}`)
  }
}

/**
 * Asks for materials and proves the header with them. A data key that was unwrapped with PKCS #1 v1.5 may be wrong
 * without having failed; where the header disproves one, the keys are asked again without it.
 */
async function authenticate(
  received: ReceivedHeader,
  settings: DecryptSettings,
  session: Session,
): Promise<{ materials: CompleteMaterials; messageKey: KeyObject }> {
  const disproved: UnconfirmedUnwrap[] = []
  for (;;) {
    const materials = await decryptionMaterials(received.header, settings, session, disproved)
    try {
      return { materials, messageKey: proveHeader(received, materials, settings) }
    } catch (error) {
      const { unconfirmed } = materials
      if (unconfirmed === undefined || !(error instanceof AuthenticationError)) throw error
      if (
        disproved.some(
          ({ attempt, unwrappedBy }) =>
            attempt.key === unconfirmed.attempt.key && unwrappedBy === unconfirmed.unwrappedBy,
        )
      ) {
        // A manager that hands out a disproved data key again must not keep us here.
        throw new UnwrapError(disproved.map(({ attempt }): Attempt => attempt))
      }
      disproved.push(unconfirmed)
    }
  }
}

async function decryptionMaterials(
  header: MessageHeader,
  { materialsManager, commitmentPolicy, encryptionContext: reproducedEncryptionContext }: DecryptSettings,
  { signal }: Session,
  disproved: readonly UnconfirmedUnwrap[],
): Promise<CompleteMaterials> {
  signal?.throwIfAborted()
  const materials: DecryptionMaterials = await unlessAborted(
    materialsManager.decryptMaterials(
      {
        algorithmSuite: header.suite,
        commitmentPolicy,
        encryptedDataKeys: header.encryptedDataKeys,
        encryptionContext: header.encryptionContext,
        reproducedEncryptionContext,
        disproved,
      },
      signal === undefined ? {} : { signal },
    ),
    signal,
  )
  checkPolicyOnDecrypt(commitmentPolicy, materials.suite)
  if (materials.suite.id !== header.suite.id) {
    throw new UnwrapError([
      {
        reason: `the materials are for ${suiteHex(materials.suite.id)}, the message is of ${suiteHex(header.suite.id)}`,
      },
    ])
  }
  return checkDecryptionMaterials(materials)
}

/** The message key, once commitment and header tag have proved it the right one. */
function proveHeader(received: ReceivedHeader, materials: CompleteMaterials, settings: DecryptSettings): KeyObject {
  const { header, body, authentication } = received
  const { suite, messageId } = header
  const keys = deriveMessageKeys(suite, materials.dataKey, messageId)
  if (header.version === 2 && !(keys.commitment !== undefined && sameCommitment(keys.commitment, header.commitment))) {
    throw new AuthenticationError('commitment', 'the message commits to another data key')
  }
  const names = materials.requiredEncryptionContextKeys
  const required = encodeEncryptionContext(selectPairs(materials.encryptionContext, names))
  if (isHeaderAuthentic(keys.messageKey, body, required, authentication)) return keys.messageKey

  // The SDK for .NET 4.0.0 bound an empty list of required pairs as two zero bytes, and left the message id out of the KDF.
  const net400Required = required.length === 0 ? Buffer.alloc(2) : required
  const { messageKey } = deriveMessageKeys(suite, materials.dataKey, messageId, false)
  if (isHeaderAuthentic(messageKey, body, net400Required, authentication)) {
    if (settings.allowNet400Messages) return messageKey
    throw new AuthenticationError(
      'header',
      'the header is authenticated as version 4.0.0 of the SDK for .NET did it; "allowNet400Messages: true" opens such messages',
    )
  }
  throw new AuthenticationError('header', 'the header is not authentic: it or the encryption context was changed')
}

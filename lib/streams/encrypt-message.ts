/** The encrypt operation: client-apis/encrypt.md, in its order. */
import { cryptoEngine } from '../crypto/engine.ts'
import { sealHeader } from '../crypto/header-tag.ts'
import { deriveMessageKeys } from '../crypto/message-keys.ts'
import { fewRandomBytes } from '../crypto/random.ts'
import { MessageSigner } from '../crypto/signature.ts'
import { LengthError, LimitError, WrapError } from '../errors.ts'
import { encodeEncryptionContext, selectPairs } from '../format/encryption-context.ts'
import { encodeHeaderAuthentication } from '../format/header-authentication.ts'
import { encodeMessageFooter } from '../format/message-footer.ts'
import { MESSAGE_ID_BYTES, type MessageHeader, encodeMessageHeader } from '../format/message-header.ts'
import { checkPolicyOnEncrypt } from '../materials/commitment-policy.ts'
import { type EncryptionMaterials, checkEncryptionMaterials } from '../materials/materials.ts'
import type { ByteQueue } from './byte-queue.ts'
import { unlessAborted } from '../materials/shared-request.ts'
import type { EncryptSettings } from './options.ts'
import { allocatorOf } from './output-memory.ts'
import type { Session } from './protocol-transform.ts'
import { BATCH_BYTES } from './batch.ts'

/** Yields the message of the plaintext in `input`: header, frames, footer. */
export async function* encryptMessage(
  input: ByteQueue,
  settings: EncryptSettings,
  session: Session,
): AsyncGenerator<Buffer, void> {
  limitPlaintext(input, settings)
  const materials = await encryptionMaterials(settings, session)
  const { header, headerBytes, messageKey } = makeHeader(materials, settings)
  session.onHeader(header)
  const signer = signerOf(materials)
  signer?.update(headerBytes)
  yield headerBytes

  const { frameLength } = settings
  const cipher = cryptoEngine().createFrameCipher({
    messageKey,
    messageId: header.messageId,
    frameLength,
    allocate: allocatorOf(session.memory),
  })
  try {
    // One byte more than a frame: the last full frame is held back, to become the final one if nothing follows.
    while (await input.atLeast(frameLength + 1)) {
      const available = Math.min(input.length - 1, Math.max(frameLength, BATCH_BYTES))
      const count = Math.floor(available / frameLength)
      const frames = cipher.sealRegular(...input.takeWhole(count, frameLength))
      session.stats.frames += count
      for (const piece of frames) {
        signer?.update(piece)
        yield piece
      }
    }
    checkLength(input, settings)
    const final = cipher.sealFinal(input.take(input.length))
    session.stats.frames += 1
    signer?.update(final)
    yield final
  } finally {
    cipher.close()
  }
  if (signer !== undefined) yield encodeMessageFooter(await signer.sign())
}

function limitPlaintext(input: ByteQueue, { plaintextLength, plaintextLengthBound }: EncryptSettings): void {
  if (plaintextLength !== undefined) {
    input.limit(
      plaintextLength,
      () => new LengthError(`the plaintext is longer than the ${plaintextLength} bytes that were said`),
    )
  } else if (plaintextLengthBound !== undefined) {
    input.limit(
      plaintextLengthBound,
      () => new LimitError(`the plaintext is longer than its bound of ${plaintextLengthBound} bytes`),
    )
  }
}

function checkLength(input: ByteQueue, { plaintextLength }: EncryptSettings): void {
  if (plaintextLength !== undefined && input.received !== plaintextLength) {
    throw new LengthError(`the plaintext has ${input.received} bytes; ${plaintextLength} were said`)
  }
}

async function encryptionMaterials(
  settings: EncryptSettings,
  { signal }: Session,
): Promise<ReturnType<typeof checkEncryptionMaterials>> {
  signal?.throwIfAborted()
  const { commitmentPolicy, algorithmSuite, limits } = settings
  if (algorithmSuite !== undefined) checkPolicyOnEncrypt(commitmentPolicy, algorithmSuite)
  const maxPlaintextLength = settings.plaintextLength ?? settings.plaintextLengthBound
  const materials = await unlessAborted(
    settings.materialsManager.getEncryptionMaterials(
      {
        encryptionContext: settings.encryptionContext,
        requiredEncryptionContextKeys: settings.requiredEncryptionContextKeys,
        commitmentPolicy,
        ...(algorithmSuite !== undefined && { algorithmSuite }),
        ...(maxPlaintextLength !== undefined && { maxPlaintextLength }),
      },
      signal === undefined ? {} : { signal },
    ),
    signal,
  )
  checkPolicyOnEncrypt(commitmentPolicy, materials.suite)
  const dropped = settings.requiredEncryptionContextKeys.find(
    (name) => !materials.requiredEncryptionContextKeys.includes(name),
  )
  if (dropped !== undefined) {
    throw new WrapError(
      `the materials manager would store the pair ${JSON.stringify(dropped)}, which is not to be stored`,
    )
  }
  const count = materials.encryptedDataKeys.length
  if (count > limits.maxEncryptedDataKeys) {
    throw new LimitError(
      `the data key was wrapped ${count} times; "maxEncryptedDataKeys" is ${limits.maxEncryptedDataKeys}`,
    )
  }
  return checkEncryptionMaterials(materials)
}

interface MadeHeader {
  readonly header: MessageHeader
  readonly headerBytes: Buffer
  readonly messageKey: ReturnType<typeof deriveMessageKeys>['messageKey']
}

function makeHeader(
  materials: ReturnType<typeof checkEncryptionMaterials>,
  { frameLength, limits }: EncryptSettings,
): MadeHeader {
  const { suite, encryptionContext, requiredEncryptionContextKeys, encryptedDataKeys } = materials
  const messageId = fewRandomBytes(MESSAGE_ID_BYTES[suite.messageVersion])
  const { messageKey, commitment } = deriveMessageKeys(suite, materials.dataKey, messageId)
  const fields = {
    suite,
    messageId,
    encryptionContext: selectPairs(encryptionContext, requiredEncryptionContextKeys, false),
    encryptedDataKeys,
    contentType: 'framed',
    frameLength,
  } as const
  const header: MessageHeader =
    commitment === undefined ? { version: 1, ...fields } : { version: 2, ...fields, commitment }
  const body = encodeMessageHeader(header)
  const required = encodeEncryptionContext(selectPairs(encryptionContext, requiredEncryptionContextKeys))
  const authentication = sealHeader(messageKey, body, required)
  const headerBytes = Buffer.concat([body, encodeHeaderAuthentication(header.version, authentication)])
  if (headerBytes.length > limits.maxHeaderBytes) {
    throw new LimitError(`the header takes ${headerBytes.length} bytes; "maxHeaderBytes" is ${limits.maxHeaderBytes}`)
  }
  return { header, headerBytes, messageKey }
}

function signerOf({ suite, signingKey }: EncryptionMaterials): MessageSigner | undefined {
  return suite.signature === undefined || signingKey === undefined
    ? undefined
    : new MessageSigner(suite.signature, signingKey)
}

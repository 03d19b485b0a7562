/** Records: what the command says about a file, as JSON. */
import { suiteHex } from '../format/algorithm-suite.ts'
import { type EncryptedDataKey, keyNameOf } from '../format/encrypted-data-key.ts'
import type { MessageHeader } from '../format/message-header.ts'
import type { FileResult } from '../adapters/transfer.ts'
import type { Mode } from './location.ts'

/** A header as records hold it. */
export interface HeaderRecord {
  readonly version: number
  readonly algorithmSuite: {
    readonly id: string
    readonly name: string
    readonly signed: boolean
    readonly committing: boolean
  }
  /** Base64. */
  readonly messageId: string
  readonly encryptionContext: Readonly<Record<string, string>>
  readonly encryptedDataKeys: readonly EncryptedDataKeyRecord[]
  readonly contentType: string
  readonly frameLength: number
}

/** An encrypted data key as records hold it. */
export interface EncryptedDataKeyRecord {
  readonly keyProviderId: string
  /** Base64. */
  readonly keyProviderInfo: string
  /** The same as text, without what a raw AES keyring adds; absent where it is none. */
  readonly keyName?: string
  /** Length of the wrapped data key, in bytes. */
  readonly ciphertextLength: number
}

/** What was done with a file. */
export interface FileRecord {
  readonly mode: Mode
  readonly input: string
  readonly output: string
  readonly header: HeaderRecord
  readonly bytesIn: number
  readonly bytesOut: number
  readonly frames: number
  readonly durationMs: number
  /** Of an object that was re-encrypted: the version that is still there, under the old keys. */
  readonly previousVersionId?: string
}

/** The record of a file that is done. */
export function fileRecord(
  { header, stats }: FileResult,
  about: Pick<FileRecord, 'mode' | 'input' | 'output' | 'durationMs'>,
): FileRecord {
  const { mode, input, output, durationMs } = about
  const { bytesIn, bytesOut, frames } = stats
  return { mode, input, output, header: headerRecord(header), bytesIn, bytesOut, frames, durationMs }
}

/** The record of a header. */
export function headerRecord(header: MessageHeader): HeaderRecord {
  const { suite } = header
  return {
    version: header.version,
    algorithmSuite: {
      id: suiteHex(suite.id),
      name: suite.name,
      signed: suite.signature !== undefined,
      committing: suite.committing,
    },
    messageId: header.messageId.toString('base64'),
    encryptionContext: header.encryptionContext,
    encryptedDataKeys: header.encryptedDataKeys.map(encryptedDataKeyRecord),
    contentType: header.contentType,
    frameLength: header.frameLength,
  }
}

function encryptedDataKeyRecord({
  keyProviderId,
  keyProviderInfo,
  ciphertext,
}: EncryptedDataKey): EncryptedDataKeyRecord {
  const keyName = keyNameOf(keyProviderInfo)
  return {
    keyProviderId,
    keyProviderInfo: keyProviderInfo.toString('base64'),
    ...(keyName !== undefined && { keyName }),
    ciphertextLength: ciphertext.length,
  }
}

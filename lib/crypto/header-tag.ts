/** The tag of a header: data-format/message-header.md "Authentication Tag". */
import type { KeyObject } from 'node:crypto'
import { type HeaderAuthentication, IV_BYTES } from '../format/header-authentication.ts'
import { openAead, sealAead } from './aead.ts'

const NOTHING = Buffer.alloc(0)

/**
 * Authenticates a header body as it is written, together with the serialised pairs that are required and not stored.
 * The IV is all zero, which no frame ever uses.
 */
export function sealHeader(messageKey: KeyObject, headerBody: Buffer, requiredContext: Buffer): HeaderAuthentication {
  const iv = Buffer.alloc(IV_BYTES)
  const { tag } = sealAead(messageKey, iv, Buffer.concat([headerBody, requiredContext]), NOTHING)
  return { iv, tag }
}

/** Whether a header body, as received, is authentic. */
export function isHeaderAuthentic(
  messageKey: KeyObject,
  headerBody: Buffer,
  requiredContext: Buffer,
  { iv, tag }: HeaderAuthentication,
): boolean {
  const aad = Buffer.concat([headerBody, requiredContext])
  return openAead(messageKey, iv, aad, { ciphertext: NOTHING, tag }) !== undefined
}

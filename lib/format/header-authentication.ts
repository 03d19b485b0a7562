/** Header authentication: data-format/message-header.md "Header Authentication". */
import type { Reading } from './reading.ts'

export const IV_BYTES = 12
export const TAG_BYTES = 16

/** What proves the header genuine. Version 2 stores no IV: it is all zero. */
export interface HeaderAuthentication {
  readonly iv: Buffer
  readonly tag: Buffer
}

/** The bytes of a header authentication. */
export function encodeHeaderAuthentication(version: 1 | 2, { iv, tag }: HeaderAuthentication): Buffer {
  return version === 1 ? Buffer.concat([iv, tag]) : tag
}

/** Reads a header authentication of the given message format version. */
export function* readHeaderAuthentication(version: 1 | 2): Reading<HeaderAuthentication> {
  const iv = version === 1 ? yield IV_BYTES : Buffer.alloc(IV_BYTES)
  const tag = yield TAG_BYTES
  return { iv, tag }
}

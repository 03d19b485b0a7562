/** Message body AAD: data-format/message-body-aad.md. */

/** The three kinds of content that a body AAD tells apart. */
export type BodyContent = 'non-framed' | 'regular' | 'final'

const CONTENT_STRINGS: Readonly<Record<BodyContent, string>> = {
  'non-framed': 'AWSKMSEncryptionClient Single Block',
  regular: 'AWSKMSEncryptionClient Frame',
  final: 'AWSKMSEncryptionClient Final Frame',
}

/** The AAD of one frame, or of non-framed content (whose sequence number is 1). */
export function bodyAad(
  messageId: Buffer,
  content: BodyContent,
  sequenceNumber: number,
  contentLength: number,
): Buffer {
  const text = CONTENT_STRINGS[content]
  const aad = Buffer.alloc(messageId.length + text.length + 12)
  messageId.copy(aad, 0)
  aad.write(text, messageId.length, 'latin1')
  setBodyAadNumber(aad, sequenceNumber)
  aad.writeBigUInt64BE(BigInt(contentLength), aad.length - 8)
  return aad
}

/** Changes the sequence number in an AAD made by `bodyAad`, so that a batch of regular frames needs only one. */
export function setBodyAadNumber(aad: Buffer, sequenceNumber: number): void {
  aad.writeUInt32BE(sequenceNumber, aad.length - 12)
}

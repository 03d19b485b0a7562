/**
 * `esdk-streams/format`: the message format by itself. Pure and synchronous; no keys, no streams. What these functions
 * read is *not* authenticated.
 *
 * @module esdk-streams/format
 * @example
 * import { readFrom, readMessageHeader } from 'esdk-streams/format'
 * const { value: header } = readFrom(readMessageHeader(), message)
 * console.log(header.suite.name, header.encryptionContext)
 */
export { type Reading, readFrom } from './reading.ts'
export { type AlgorithmSuite, type SignatureAlgorithm, ALGORITHM_SUITES, algorithmSuite } from './algorithm-suite.ts'
export { type EncryptionContext, encodeEncryptionContext, readEncryptionContext } from './encryption-context.ts'
export { type EncryptedDataKey, encodeEncryptedDataKeys, readEncryptedDataKeys } from './encrypted-data-key.ts'
export {
  type ContentType,
  type HeaderLimits,
  type MessageHeader,
  type MessageHeaderV1,
  type MessageHeaderV2,
  encodeMessageHeader,
  readMessageHeader,
} from './message-header.ts'
export {
  type HeaderAuthentication,
  encodeHeaderAuthentication,
  readHeaderAuthentication,
} from './header-authentication.ts'
export { type FinalFrameStart, type NonFramedStart, readFinalFrameStart, readNonFramedStart } from './frame.ts'
export { type BodyContent, bodyAad } from './body-aad.ts'
export { encodeMessageFooter, readMessageFooter } from './message-footer.ts'
export { type MessageSizeParameters, ciphertextLength, plaintextLengthOf } from './message-size.ts'

/**
 * `esdk-streams/s3`: objects of Amazon S3, encrypted and decrypted as streams.
 *
 * @module esdk-streams/s3
 */
export {
  type PutObjectOptions,
  type UploadOptions,
  type UploadResult,
  type UploadStats,
  putObject,
} from './put-object.ts'
export {
  type GetObjectOptions,
  type ObjectSource,
  type OpenObjectOptions,
  getObject,
  openObject,
} from './get-object.ts'
export type { ObjectDecryptStream } from './get-object.ts'
export { type ReencryptObjectOptions, type ReencryptObjectResult, reencryptObject } from './reencrypt-object.ts'
export type { ObjectDescription } from './object-body.ts'
export type { S3Options } from './s3-request.ts'
export type { ObjectParams, UploadOutput } from './upload.ts'

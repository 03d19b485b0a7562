/** Base64 around a source or a target: RFC 4648, section 4. */
import { Transform, type TransformCallback, pipeline } from 'node:stream'
import { MalformedMessageError, TruncatedMessageError } from '../errors.ts'
import type { FileSource } from './file-source.ts'
import type { FileTarget } from './file-target.ts'

const GROUP_BYTES = 3
const GROUP_CHARACTERS = 4

/** The bytes that a source holds in base64. They have no positions, and their number is known only roughly. */
export function decodedSource(source: FileSource): FileSource {
  const { stats, length } = source
  return {
    // The reader of the decoder hears of a failure of either.
    bytes: pipeline(source.bytes, new Base64Decoder(), () => undefined),
    ...(stats !== undefined && { stats }),
    length: undefined,
    ...(length !== undefined && { lengthBound: Math.floor(length / GROUP_CHARACTERS) * GROUP_BYTES }),
    close: () => source.close(),
  }
}

/** The same target, for base64 of what is written. */
export function encodedTarget(target: FileTarget): FileTarget {
  return {
    sink: target.sink,
    encoder: new Base64Encoder(),
    direct: target.direct,
    commit: (signal) => target.commit(signal),
    discard: () => target.discard(),
  }
}

/** Writes no line breaks. */
class Base64Encoder extends Transform {
  #rest: Buffer = Buffer.alloc(0)

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const whole = bytes.length - (bytes.length % GROUP_BYTES)
    this.#rest = Buffer.from(bytes.subarray(whole))
    callback(null, Buffer.from(bytes.toString('base64', 0, whole), 'latin1'))
  }

  override _flush(callback: TransformCallback): void {
    callback(null, Buffer.from(this.#rest.toString('base64'), 'latin1'))
  }
}

/** Takes no character that is not of the alphabet, but for white space; nothing after the padding, and no group that was cut. */
class Base64Decoder extends Transform {
  #rest = ''
  #padded = false

  constructor() {
    super({ writableHighWaterMark: 1 }) // the blocks of a file are used again
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const text = this.#rest + chunk.toString('latin1').replace(/[\t\n\v\f\r ]+/g, '')
    const end = text.length - (text.length % GROUP_CHARACTERS)
    const groups = text.slice(0, end)
    this.#rest = text.slice(end)
    const bare = groups.replace(/={1,2}$/, '')
    const after = this.#padded && text !== '' ? text[0] : bare.length < groups.length ? this.#rest[0] : undefined
    const foreign = after ?? /[^A-Za-z0-9+/]/.exec(bare)?.[0] ?? /[^A-Za-z0-9+/=]/.exec(this.#rest)?.[0]
    if (foreign !== undefined) {
      callback(new MalformedMessageError(`this is not base64: ${JSON.stringify(foreign)} is not expected there`))
      return
    }
    this.#padded ||= bare.length < groups.length
    callback(null, Buffer.from(bare, 'base64'))
  }

  override _flush(callback: TransformCallback): void {
    const isCut = this.#rest !== ''
    callback(isCut ? new TruncatedMessageError('the base64 ended inside of a group of four characters') : null)
  }
}

/** An object as a target: it appears when all of it was written and verified, or not at all. */
import { isError } from '../../errors.ts'
import { Readable, Writable } from 'node:stream'
import { abortError } from '../../streams/abort-error.ts'
import type { FileTarget } from '../file-target.ts'
import type { ObjectName } from './object-source.ts'
import { PLAINTEXT_LENGTH, UPLOAD_ID, type UploadOptions, checkedSending } from './put-object.ts'
import { type S3Options, watchOf } from './s3-request.ts'
import { type UploadOutput, upload } from './upload.ts'

/** Which object to write, and how. */
export interface ObjectTargetOptions extends S3Options, Pick<UploadOptions, 'partBytes' | 'queueSize'> {
  readonly name: ObjectName
  /** About how many bytes it will be. */
  readonly expectedBytes?: number | undefined
  /** Length of the plaintext whose message it will be; said in its metadata. */
  readonly plaintextLength?: number | undefined
  /** Whether the object may not be there when it is to appear. */
  readonly exclusive?: boolean
  /** Called where what was sent of a failed upload could not be removed; the message says what is left. */
  readonly onRemains?: (message: string) => void
}

/** An upload under way, which ends with `commit` or `discard`. */
export class ObjectTarget implements FileTarget {
  readonly direct = false
  readonly sink: Writable
  readonly #body: Readable
  readonly #uploaded: Promise<UploadOutput>
  readonly #onRemains: ((message: string) => void) | undefined
  /** Tells a writer that there is room again. */
  #room: (() => void) | undefined

  /** @throws RangeError | LimitError when an option is unfit. */
  constructor(options: ObjectTargetOptions) {
    const { client, name, partBytes, queueSize, expectedBytes, plaintextLength, exclusive = false, onRemains } = options
    const written = { ...name, ...(exclusive && { IfNoneMatch: '*' }) }
    const sending = checkedSending(written, { partBytes, queueSize, expectedBytes, onProgress: undefined })
    if (plaintextLength !== undefined) sending.metadata[PLAINTEXT_LENGTH] = String(plaintextLength)
    const watch = watchOf(options)
    this.#onRemains = onRemains
    this.#body = new Readable({
      read: () => {
        const room = this.#room
        this.#room = undefined
        room?.()
      },
    })
    this.sink = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        if (this.#body.push(chunk)) callback()
        else this.#room = callback
      },
      destroy: (error, callback) => {
        if (error !== null) this.#body.destroy(error)
        callback(error)
      },
    })
    // An upload that fails early ends the writing. Both may fail before anyone listens.
    this.#body.on('error', (error) => this.sink.destroy(error))
    this.sink.on('error', () => undefined)
    const { params, metadata, sizes, queueSize: queue } = sending
    this.#uploaded = upload(this.#body, {
      client,
      params: { ...params, Metadata: metadata },
      watch,
      sizes,
      queueSize: queue,
      unique: UPLOAD_ID,
      onPart: () => undefined,
    })
    this.#uploaded.catch(() => undefined) // whoever ends it hears of it
  }

  async commit(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw abortError(signal)
    this.#body.push(null)
    await this.#uploaded
  }

  /** Waits until what was sent is removed. */
  async discard(): Promise<void> {
    this.#body.destroy(new Error('the upload was given up'))
    try {
      await this.#uploaded
    } catch (error) {
      const message = isError(error) ? error.message : ''
      if (message.includes('could not be removed')) this.#onRemains?.(message)
    }
  }
}

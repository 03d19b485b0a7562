/** The frame cipher over the addon of native/: a batch of frames in one call, under one key schedule a message. */
import { bodyAad } from '../format/body-aad.ts'
import { type FinalFrameStart, type NonFramedStart, REGULAR_FRAME } from '../format/frame.ts'
import { NodeFrameCipher } from './frame-cipher-node.ts'
import {
  type FrameCipher,
  type FrameCipherParameters,
  SequenceCounter,
  countFrames,
  frameNotAuthentic,
  frameOutOfOrder,
} from './frame-cipher.ts'
import { withKeyBytes } from './key-bytes.ts'
import type { NativeAddon, NativeHandle } from './native-addon.ts'

/**
 * A frame cipher over the addon. Each batch gets fresh memory unless its caller has some: `Buffer.allocUnsafeSlow` is as
 * fast as any other that is not kept beyond its use. What comes once a message (its final frame, or its content without
 * frames) has a cipher of its own, under the same counter: a short message then needs no handle.
 */
export class NativeFrameCipher implements FrameCipher {
  readonly #addon: NativeAddon
  readonly #parameters: FrameCipherParameters
  readonly #counter: SequenceCounter
  readonly #allocate: (bytes: number) => Buffer
  readonly #once: NodeFrameCipher
  #handle: NativeHandle | undefined

  constructor(addon: NativeAddon, parameters: FrameCipherParameters, counter: SequenceCounter = new SequenceCounter()) {
    this.#addon = addon
    this.#parameters = parameters
    this.#counter = counter
    this.#allocate = parameters.allocate ?? ((bytes) => Buffer.allocUnsafeSlow(bytes))
    this.#once = new NodeFrameCipher(parameters, counter, addon)
  }

  sealRegular(...parts: readonly Buffer[]): readonly Buffer[] {
    return this.#guard(() => {
      const { frameLength } = this.#parameters
      const { count, first } = this.#claim(parts, frameLength)
      if (count === 0) return []
      const size = frameLength + REGULAR_FRAME.overhead
      const frames = this.#allocate(count * size)
      let done = 0
      for (const part of parts) {
        const more = part.length / frameLength
        const room = frames.subarray(done * size, (done + more) * size)
        if (more > 0) this.#addon.seal(this.#openHandle(), part, first + done, room)
        done += more
      }
      return [frames]
    })
  }

  openRegular(...parts: readonly Buffer[]): Buffer {
    return this.#guard(() => {
      const { frameLength } = this.#parameters
      const size = frameLength + REGULAR_FRAME.overhead
      const { count, first } = this.#claim(parts, size)
      const plaintext = this.#allocate(count * frameLength)
      let done = 0
      for (const part of parts) {
        const more = part.length / size
        const room = plaintext.subarray(done * frameLength, (done + more) * frameLength)
        const good = more === 0 ? 0 : this.#addon.open(this.#openHandle(), part, first + done, room)
        if (good !== more) {
          plaintext.fill(0)
          const expected = first + done + good
          const stored = part.readUInt32BE(good * size)
          throw stored === expected ? frameNotAuthentic(expected) : frameOutOfOrder(expected, stored)
        }
        done += more
      }
      return plaintext
    })
  }

  sealFinal(plaintext: Buffer): Buffer {
    return this.#last(() => this.#once.sealFinal(plaintext))
  }

  openFinal(start: FinalFrameStart, ciphertext: Buffer, tag: Buffer): Buffer {
    return this.#last(() => this.#once.openFinal(start, ciphertext, tag))
  }

  openNonFramed(start: NonFramedStart, ciphertext: Buffer, tag: Buffer): Buffer {
    return this.#last(() => this.#once.openNonFramed(start, ciphertext, tag))
  }

  close(): void {
    this.#counter.end()
    if (this.#handle !== undefined) this.#addon.end(this.#handle)
    this.#handle = undefined
  }

  #claim(parts: readonly Buffer[], unit: number): { count: number; first: number } {
    const count = countFrames(parts, unit)
    return { count, first: this.#counter.regular(count) }
  }

  /** Made for the first batch. The only place where the key's bytes are seen. */
  #openHandle(): NativeHandle {
    if (this.#handle !== undefined) return this.#handle
    const { messageKey, messageId, frameLength } = this.#parameters
    const aad = bodyAad(messageId, 'regular', 1, frameLength)
    this.#handle = withKeyBytes(messageKey, (key) => this.#addon.create(key, aad, frameLength))
    return this.#handle
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.close()
      throw error
    }
  }

  #last<T>(work: () => T): T {
    try {
      return work()
    } finally {
      this.close()
    }
  }
}

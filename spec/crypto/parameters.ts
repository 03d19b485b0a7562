/** Parameters of frame ciphers, for specs. */
import { createSecretKey } from 'node:crypto'
import type { FrameCipherParameters } from '#lib/crypto/frame-cipher'
import { sequence } from '../arbitraries.ts'

/** Always the same, but for the frame length. */
export function parametersOf(frameLength: number): FrameCipherParameters {
  return { messageKey: createSecretKey(sequence(1, 32)), messageId: sequence(0xa0, 32), frameLength }
}

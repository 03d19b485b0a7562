/** Which engine seals and opens frames: chosen once a process, the same for every message of it. */
import { isError } from '../errors.ts'
import { NativeFrameCipher } from './frame-cipher-native.ts'
import { NodeFrameCipher } from './frame-cipher-node.ts'
import type { FrameCipher, FrameCipherParameters, SequenceCounter } from './frame-cipher.ts'
import { type NativeAddon, loadNativeAddon } from './native-addon.ts'

/** `native` is the addon of native/, `node` is node:crypto. Both give the same bytes. */
export type FrameCipherEngineName = 'native' | 'node'

/** Makes frame ciphers. */
export interface FrameCipherEngine {
  readonly name: FrameCipherEngineName
  readonly create: (parameters: FrameCipherParameters, counter?: SequenceCounter) => FrameCipher
}

/**
 * The engine that is asked for; unless one is, the addon where it loads, and else node:crypto without a word.
 *
 * @param asked the value of the environment variable ESDK_ENGINE
 * @throws RangeError where there is no such engine; Error where the addon is asked for and does not load.
 */
export function chooseEngine(asked: string | undefined, load: () => NativeAddon = loadNativeAddon): FrameCipherEngine {
  const wanted = asked === '' ? undefined : asked
  if (wanted !== undefined && wanted !== 'native' && wanted !== 'node') {
    throw new RangeError(`"ESDK_ENGINE" expected native or node, got ${JSON.stringify(wanted)}`)
  }
  if (wanted !== 'node') {
    try {
      const addon = load()
      return { name: 'native', create: (parameters, counter) => new NativeFrameCipher(addon, parameters, counter) }
    } catch (cause) {
      if (wanted === 'native') {
        const reason = isError(cause) ? cause.message : String(cause)
        throw new Error(`"ESDK_ENGINE" is native, but the native engine can't be loaded: ${reason}`, { cause })
      }
    }
  }
  return { name: 'node', create: (parameters, counter) => new NodeFrameCipher(parameters, counter) }
}

let chosen: FrameCipherEngine | undefined

/**
 * The engine of this process.
 *
 * @throws RangeError | Error as {@link chooseEngine} does, where ESDK_ENGINE can't be followed.
 */
export function frameCipherEngine(): FrameCipherEngine {
  return (chosen ??= chooseEngine(process.env['ESDK_ENGINE']))
}

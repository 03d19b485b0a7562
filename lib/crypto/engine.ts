/** Which engine seals and opens frames, and signs digests: chosen once a process, the same for every message of it. */
import type { KeyObject } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { NativeFrameCipher } from './frame-cipher-native.ts'
import { NodeFrameCipher } from './frame-cipher-node.ts'
import type { FrameCipher, FrameCipherParameters, SequenceCounter } from './frame-cipher.ts'
import { type NativeAddon, loadNativeAddon } from './native-addon.ts'
import { signDigestNatively } from './signing-native.ts'
import { signDigestInJavaScript } from './signing-node.ts'

/** `native` is the addon of native/, `node` is node:crypto. Both give the same bytes. */
export type EngineName = 'native' | 'node'

/** Makes what messages are sealed, opened and signed with. */
export interface CryptoEngine {
  readonly name: EngineName
  readonly createFrameCipher: (parameters: FrameCipherParameters, counter?: SequenceCounter) => FrameCipher
  /** A signature in DER over a digest, of the one length that the library writes. */
  readonly signDigest: (
    algorithm: SignatureAlgorithm,
    signingKey: KeyObject,
    digest: Buffer,
  ) => Buffer | Promise<Buffer>
}

/**
 * The engine that is asked for; unless one is, the addon where it loads, and else node:crypto without a word.
 *
 * @param asked the value of the environment variable ESDK_ENGINE
 * @throws RangeError where there is no such engine; Error where the addon is asked for and does not load.
 */
export function chooseEngine(asked: string | undefined, load: () => NativeAddon = loadNativeAddon): CryptoEngine {
  const wanted = asked === '' ? undefined : asked
  if (wanted !== undefined && wanted !== 'native' && wanted !== 'node') {
    throw new RangeError(`"ESDK_ENGINE" expected native or node, got ${JSON.stringify(wanted)}`)
  }
  if (wanted !== 'node') {
    try {
      const addon = load()
      return {
        name: 'native',
        createFrameCipher: (parameters, counter) => new NativeFrameCipher(addon, parameters, counter),
        signDigest: (algorithm, signingKey, digest) => signDigestNatively(addon, algorithm, signingKey, digest),
      }
    } catch (cause) {
      if (wanted === 'native') {
        const reason = cause instanceof Error ? cause.message : String(cause)
        throw new Error(`"ESDK_ENGINE" is native, but the native engine can't be loaded: ${reason}`, { cause })
      }
    }
  }
  return {
    name: 'node',
    createFrameCipher: (parameters, counter) => new NodeFrameCipher(parameters, counter),
    signDigest: signDigestInJavaScript,
  }
}

let chosen: CryptoEngine | undefined

/**
 * The engine of this process.
 *
 * @throws RangeError | Error as {@link chooseEngine} does, where ESDK_ENGINE can't be followed.
 */
export function cryptoEngine(): CryptoEngine {
  return (chosen ??= chooseEngine(process.env['ESDK_ENGINE']))
}

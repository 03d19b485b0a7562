/** Which engine seals and opens frames, and signs digests: chosen once a process, the same for every message of it. */
import type { KeyObject } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { NativeFrameCipher } from './frame-cipher-native.ts'
import { NodeFrameCipher } from './frame-cipher-node.ts'
import type { FrameCipher, FrameCipherParameters, SequenceCounter } from './frame-cipher.ts'
import { chosenAddon } from './addon-choice.ts'
import type { NativeAddon } from './native-addon.ts'
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

/** The engine over an addon, or without one over node:crypto. */
export function engineOver(addon: NativeAddon | undefined): CryptoEngine {
  return addon === undefined
    ? {
        name: 'node',
        createFrameCipher: (parameters, counter) => new NodeFrameCipher(parameters, counter),
        signDigest: signDigestInJavaScript,
      }
    : {
        name: 'native',
        createFrameCipher: (parameters, counter) => new NativeFrameCipher(addon, parameters, counter),
        signDigest: (algorithm, signingKey, digest) => signDigestNatively(addon, algorithm, signingKey, digest),
      }
}

let chosen: CryptoEngine | undefined

/**
 * The engine of this process.
 *
 * @throws RangeError | Error as {@link chooseAddon} does, where ESDK_ENGINE can't be followed.
 */
export function cryptoEngine(): CryptoEngine {
  return (chosen ??= engineOver(chosenAddon()))
}

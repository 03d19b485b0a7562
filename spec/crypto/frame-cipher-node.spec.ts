import { NodeFrameCipher } from '#lib/crypto/frame-cipher-node'
import { behavesAsFrameCipher } from './frame-cipher-behaviour.ts'

describe('crypto/frame-cipher-node', () => {
  behavesAsFrameCipher((parameters, counter) => new NodeFrameCipher(parameters, counter))
})

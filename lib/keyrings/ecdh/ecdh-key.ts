/** Keys of key agreement: framework/key-agreement-schemas.md. Every key is checked to lie on its curve. */
import { type KeyObject, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { types } from 'node:util'
import { type PointFormat, compressPoint, decompressPoint } from '../../crypto/ec-point.ts'

/** The curves of key agreement. */
export type EcdhCurveName = 'P-256' | 'P-384' | 'P-521'

/** A curve: what the derivation calls it, and how long its points and shared secrets are. */
export interface EcdhCurve extends PointFormat {
  readonly curve: EcdhCurveName
  readonly derivationName: string
  readonly sharedSecretBytes: number
}

const CURVES: Readonly<Record<EcdhCurveName, EcdhCurve>> = {
  'P-256': { curve: 'P-256', derivationName: 'p256', compressedPointBytes: 33, sharedSecretBytes: 32 },
  'P-384': { curve: 'P-384', derivationName: 'p384', compressedPointBytes: 49, sharedSecretBytes: 48 },
  'P-521': { curve: 'P-521', derivationName: 'p521', compressedPointBytes: 67, sharedSecretBytes: 66 },
}

/** The curve of an option. @throws TypeError where there is none of that name. */
export function ecdhCurve(name: EcdhCurveName): EcdhCurve {
  if (!Object.hasOwn(CURVES, name)) {
    throw new TypeError(`"curve" expected one of ${Object.keys(CURVES).join(', ')}, got ${JSON.stringify(name)}`)
  }
  return CURVES[name]
}

/** The curve whose compressed points have these many bytes. */
export function ecdhCurveOfPoint(compressedPointBytes: number): EcdhCurve | undefined {
  return Object.values(CURVES).find((curve) => curve.compressedPointBytes === compressedPointBytes)
}

/** PEM as text or bytes, DER (SPKI for public keys, PKCS#8 or SEC 1 for private ones), or a `KeyObject`. */
export type EcdhKeyInput = string | Uint8Array | KeyObject

/** A key on a curve, and the compressed point of its public key. */
export interface EcdhKey {
  readonly key: KeyObject
  readonly point: Buffer
}

/** A public key of an option. @throws TypeError unless it is one on that curve. */
export function ecdhPublicKey(option: string, curve: EcdhCurve, input: EcdhKeyInput): EcdhKey {
  const expected = `"${option}" expected a public key on ${curve.curve}, in PEM, in DER (SPKI) or as a KeyObject`
  const key = keyObject(expected, input, (source) => {
    if (!isDer(source) && source.toString('latin1').includes('PRIVATE KEY')) {
      throw new TypeError(`${expected}: this is a private key, from which no public key is derived`)
    }
    return createPublicKey(isDer(source) ? { key: source, format: 'der', type: 'spki' } : source)
  })
  return canonical(expected, curve, key)
}

/** A private key of an option. @throws TypeError unless it is one on that curve, and its public key is its own. */
export function ecdhPrivateKey(option: string, curve: EcdhCurve, input: EcdhKeyInput): EcdhKey {
  const expected = `"${option}" expected a private key on ${curve.curve}, in PEM, in DER (PKCS#8 or SEC 1) or as a KeyObject`
  const key = keyObject(expected, input, (source) => {
    if (!isDer(source)) return createPrivateKey(source)
    try {
      return createPrivateKey({ key: source, format: 'der', type: 'pkcs8' })
    } catch {
      return createPrivateKey({ key: source, format: 'der', type: 'sec1' })
    }
  })
  if (key.type !== 'private') throw new TypeError(expected)
  const { key: publicKey, point } = canonical(expected, curve, createPublicKey(key))
  if (!isPair(key, publicKey)) throw new TypeError(`${expected}: its public key belongs to another private key`)
  return { key, point }
}

function keyObject(expected: string, input: EcdhKeyInput, parse: (source: Buffer) => KeyObject): KeyObject {
  if (types.isKeyObject(input)) return input
  let source: Buffer
  if (typeof input === 'string') source = Buffer.from(input, 'utf8')
  else if (types.isUint8Array(input)) source = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  else throw new TypeError(expected)
  try {
    return parse(source)
  } catch (cause) {
    throw cause instanceof TypeError && cause.message.startsWith(expected) ? cause : new TypeError(expected, { cause })
  } finally {
    if (typeof input === 'string') source.fill(0)
  }
}

/** DER of a key is a SEQUENCE; PEM begins with text. */
function isDer(source: Buffer): boolean {
  return source[0] === 0x30
}

/** The same key, made anew from its compressed point: a point of exactly that curve, under its name. */
function canonical(expected: string, curve: EcdhCurve, key: KeyObject): EcdhKey {
  let point: Buffer
  try {
    // Throws for what is no public key, and is too short or throws for the point at infinity: older versions of Node
    // crash on other questions about that point, and newer ones then fail on the next key, whichever it is.
    const { length } = key.export({ format: 'der', type: 'spki' })
    if (length <= curve.compressedPointBytes) throw new TypeError('the key is no point')
    point = compressPoint(key)
  } catch (cause) {
    throw new TypeError(expected, { cause })
  }
  const known = decompressPoint(curve, point)
  // Equal too, because the x of a point on another curve of that size may be one on this curve.
  if (known?.equals(key) !== true) throw new TypeError(expected)
  return { key: known, point }
}

/** A private key may be stored beside a public key that is not its own, and is imported so. */
function isPair(privateKey: KeyObject, publicKey: KeyObject): boolean {
  const text = Buffer.from('a pair of keys')
  return verify('sha256', text, publicKey, sign('sha256', text, privateKey))
}

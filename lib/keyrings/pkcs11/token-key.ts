/** What a key on a token does: data keys are encrypted and decrypted where the key is, by PKCS #11 version 2.40. */
import { type KeyObject, createPublicKey, publicEncrypt } from 'node:crypto'
import { IV_BYTES, TAG_BYTES } from '../../format/header-authentication.ts'
import { RSA_PADDINGS, type RsaPadding } from '../raw-rsa-keyring.ts'
import * as CK from './pkcs11-constants.ts'
import type { Pkcs11Attribute, Pkcs11Mechanism } from './pkcs11-module.ts'
import type { Session } from './session-pool.ts'
import { TokenFailure, isLost, isNotAuthentic, returnValueOf } from './token-failure.ts'

/** What a key is known by on the token. */
export interface KeyQuery {
  readonly label: string | undefined
  readonly id: Buffer | undefined
}

/** The largest RSA modulus: tokens ask for room for one before they decrypt. */
const MAX_MODULUS_BYTES = 2048

const KINDS = {
  'AES key': { objectClass: CK.CKO_SECRET_KEY, keyType: CK.CKK_AES },
  'public RSA key': { objectClass: CK.CKO_PUBLIC_KEY, keyType: CK.CKK_RSA },
  'private RSA key': { objectClass: CK.CKO_PRIVATE_KEY, keyType: CK.CKK_RSA },
} as const

const RSA_MECHANISMS: Readonly<Record<RsaPadding, Pkcs11Mechanism>> = {
  pkcs1: { mechanism: CK.CKM_RSA_PKCS },
  'oaep-sha1': oaep(CK.CKM_SHA_1, CK.CKG_MGF1_SHA1),
  'oaep-sha256': oaep(CK.CKM_SHA256, CK.CKG_MGF1_SHA256),
  'oaep-sha384': oaep(CK.CKM_SHA384, CK.CKG_MGF1_SHA384),
  'oaep-sha512': oaep(CK.CKM_SHA512, CK.CKG_MGF1_SHA512),
}

function oaep(hashAlg: number, mgf: number): Pkcs11Mechanism {
  const parameter = { type: CK.CK_PARAMS_RSA_OAEP, hashAlg, mgf, source: CK.CKZ_DATA_SPECIFIED }
  return { mechanism: CK.CKM_RSA_PKCS_OAEP, parameter }
}

function aesGcm(iv: Buffer, aad: Buffer): Pkcs11Mechanism {
  const parameter = { type: CK.CK_PARAMS_AES_GCM_v240, iv, ivBits: IV_BYTES * 8, aad, tagBits: TAG_BYTES * 8 }
  return { mechanism: CK.CKM_AES_GCM, parameter }
}

/**
 * Encrypts a data key under an AES key.
 *
 * @param iv all zero where the token is to make it. Whatever the token leaves there is what it used.
 */
export async function sealOnToken(
  session: Session,
  query: KeyQuery,
  { iv, aad, dataKey }: { readonly iv: Buffer; readonly aad: Buffer; readonly dataKey: Buffer },
): Promise<Buffer> {
  const { module, handle } = session
  const mechanism = aesGcm(iv, aad)
  const output = Buffer.alloc(dataKey.length + TAG_BYTES)
  module.C_EncryptInit(handle, mechanism, findKey(session, 'AES key', query))
  const sealed = await holding([mechanism, dataKey], module.C_EncryptAsync(handle, dataKey, output))
  if (sealed.length === output.length) return sealed
  throw new TokenFailure(`the token gave ${sealed.length} bytes of ciphertext, and not ${output.length}`)
}

/** Hands the data key, which is cleared afterwards, to `take`; `undefined` where it is not authentic or of another length. */
export async function openOnToken<T>(
  session: Session,
  query: KeyQuery,
  { iv, aad, ciphertext }: { readonly iv: Buffer; readonly aad: Buffer; readonly ciphertext: Buffer },
  take: (dataKey: Buffer) => T,
): Promise<T | undefined> {
  const { module, handle } = session
  const mechanism = aesGcm(iv, aad)
  const output = Buffer.alloc(ciphertext.length)
  module.C_DecryptInit(handle, mechanism, findKey(session, 'AES key', query))
  try {
    const dataKey = await holding([mechanism, ciphertext], module.C_DecryptAsync(handle, ciphertext, output))
    return dataKey.length === ciphertext.length - TAG_BYTES ? take(dataKey) : undefined
  } catch (error) {
    if (isNotAuthentic(error)) return undefined
    throw error
  } finally {
    output.fill(0)
  }
}

/** pkcs11js keeps nothing of what a token works on from being collected, so this does until the work is done. */
async function holding<T>(inUse: unknown[], work: Promise<T>): Promise<T> {
  try {
    return await work
  } finally {
    inUse.length = 0
  }
}

/** Encrypts a data key under the public half of a pair, as it is on the token now. */
export function wrapForToken(session: Session, query: KeyQuery, padding: RsaPadding, dataKey: Buffer): Buffer {
  const key = publicKey(session, query)
  try {
    return publicEncrypt({ key, ...RSA_PADDINGS[padding] }, dataKey)
  } catch (cause) {
    throw new TokenFailure('the RSA key may be too short for this padding', { cause })
  }
}

/**
 * Hands the data key, which is cleared afterwards, to `take`; `undefined` where decryption failed or gave another length. A
 * token's words about a ciphertext would tell good padding from bad, so they end here.
 *
 * @param last whether a token that failed is not asked again; some fail so when padding is bad.
 */
export async function unwrapOnToken<T>(
  session: Session,
  query: KeyQuery,
  { padding, keyBytes, last }: { readonly padding: RsaPadding; readonly keyBytes: number; readonly last: boolean },
  ciphertext: Buffer,
  take: (dataKey: Buffer) => T,
): Promise<T | undefined> {
  const { module, handle } = session
  const output = Buffer.alloc(MAX_MODULUS_BYTES)
  module.C_DecryptInit(handle, RSA_MECHANISMS[padding], findKey(session, 'private RSA key', query))
  try {
    const dataKey = await holding([ciphertext], module.C_DecryptAsync(handle, ciphertext, output))
    return dataKey.length === keyBytes ? take(dataKey) : undefined
  } catch (error) {
    if (isLost(error) && !(last && returnValueOf(error) === 'CKR_DEVICE_ERROR')) throw error
    return undefined
  } finally {
    output.fill(0)
  }
}

function publicKey(session: Session, query: KeyQuery): KeyObject {
  const object = findKey(session, 'public RSA key', query, (found) => {
    checkPair(session, query, found)
  })
  const types = [CK.CKA_MODULUS, CK.CKA_PUBLIC_EXPONENT, CK.CKA_ENCRYPT]
  const [modulus, exponent, encrypt] = attributes(session, object, types)
  if (modulus === undefined || exponent === undefined) throw new TokenFailure("the public RSA key can't be read")
  // The token would not use it for this either.
  if (encrypt?.[0] !== 1) throw new TokenFailure(`the public RSA key ${nameOf(query)} may not be used to encrypt`)
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') }
  return createPublicKey({ key: jwk, format: 'jwk' })
}

/** Public keys can be put on a token without its PIN, so it is held against the private one where that is there. */
function checkPair(session: Session, query: KeyQuery, publicObject: Buffer): void {
  const [privateObject] = search(session, 'private RSA key', query)
  if (privateObject === undefined) return
  const [ours, theirs] = [publicObject, privateObject].map((object) => attributes(session, object, [CK.CKA_MODULUS])[0])
  if (ours !== undefined && theirs?.equals(ours) === true) return
  throw new TokenFailure(`the public RSA key ${nameOf(query)} does not belong to the private one`)
}

function attributes({ module, handle }: Session, object: Buffer, types: number[]): (Buffer | undefined)[] {
  const template = types.map((type) => ({ type }))
  return module.C_GetAttributeValue(handle, object, template).map(({ value }) => value)
}

/** The one key that the query fits, once `check` has let it pass. @throws TokenFailure where there is none, or several. */
function findKey(
  session: Session,
  kind: keyof typeof KINDS,
  query: KeyQuery,
  check?: (object: Buffer) => void,
): Buffer {
  const known = session.keys.get(kind)
  if (known !== undefined) return known
  const [key, ...others] = search(session, kind, query)
  if (key === undefined) throw new TokenFailure(`there is no ${kind} ${nameOf(query)} on the token`)
  if (others.length > 0) throw new TokenFailure(`there is more than one ${kind} ${nameOf(query)} on the token`)
  check?.(key)
  session.keys.set(kind, key)
  return key
}

function search({ module, handle }: Session, kind: keyof typeof KINDS, { label, id }: KeyQuery): Buffer[] {
  const { objectClass, keyType } = KINDS[kind]
  const template: Pkcs11Attribute[] = [
    { type: CK.CKA_CLASS, value: objectClass },
    { type: CK.CKA_KEY_TYPE, value: keyType },
  ]
  if (label !== undefined) template.push({ type: CK.CKA_LABEL, value: label })
  if (id !== undefined) template.push({ type: CK.CKA_ID, value: id })
  module.C_FindObjectsInit(handle, template)
  try {
    return module.C_FindObjects(handle, 2)
  } finally {
    module.C_FindObjectsFinal(handle)
  }
}

/** A key as failures name it. */
export function nameOf({ label, id }: KeyQuery): string {
  const names = [
    ...(label === undefined ? [] : [`labelled ${JSON.stringify(label)}`]),
    ...(id === undefined ? [] : [`with id ${id.toString('hex')}`]),
  ]
  return names.join(' ')
}

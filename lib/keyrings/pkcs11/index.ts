/**
 * `esdk-streams/pkcs11`: keys on tokens of PKCS #11.
 *
 * @module esdk-streams/pkcs11
 */
export { Pkcs11Keyring, type Pkcs11KeyringOptions, type Pkcs11WrappingAlgorithm } from './pkcs11-keyring.ts'
export type { Pkcs11Attribute, Pkcs11Mechanism, Pkcs11Module } from './pkcs11-module.ts'
export type { Pin } from './pkcs11-token.ts'

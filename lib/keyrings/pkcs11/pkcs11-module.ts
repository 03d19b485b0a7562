/** Modules of PKCS #11: which are loaded, and when they are let go. */
import { isError, messageOf } from '../../errors.ts'
import { CKF_OS_LOCKING_OK } from './pkcs11-constants.ts'
import { TokenFailure, returnValueOf } from './token-failure.ts'

/** One attribute of an object on a token. */
export interface Pkcs11Attribute {
  readonly type: number
  readonly value?: number | boolean | string | Buffer
}

/** A mechanism and its parameters, as pkcs11js takes them. */
export interface Pkcs11Mechanism {
  readonly mechanism: number
  readonly parameter?: { readonly type: number }
}

/** The part that is used here of the class `PKCS11` of pkcs11js. */
export interface Pkcs11Module {
  C_Initialize(options?: { flags?: number }): void
  C_Finalize(): void
  C_GetSlotList(tokenPresent?: boolean): Buffer[]
  C_GetTokenInfo(slot: Buffer): { label: string }
  C_OpenSession(slot: Buffer, flags: number): Buffer
  C_CloseSession(session: Buffer): void
  C_GetSessionInfo(session: Buffer): { state: number }
  C_Login(session: Buffer, userType: number, pin: string): void
  C_FindObjectsInit(session: Buffer, template: Pkcs11Attribute[]): void
  C_FindObjects(session: Buffer, maxObjectCount: number): Buffer[]
  C_FindObjectsFinal(session: Buffer): void
  C_GetAttributeValue(session: Buffer, object: Buffer, template: Pkcs11Attribute[]): { type: number; value?: Buffer }[]
  C_EncryptInit(session: Buffer, mechanism: Pkcs11Mechanism, key: Buffer): void
  C_EncryptAsync(session: Buffer, input: Buffer, output: Buffer): Promise<Buffer>
  C_DecryptInit(session: Buffer, mechanism: Pkcs11Mechanism, key: Buffer): void
  C_DecryptAsync(session: Buffer, input: Buffer, output: Buffer): Promise<Buffer>
}

/** A module while a keyring uses it. */
export interface ModuleUse {
  readonly module: Pkcs11Module
  /** Initializes it unless it is; does nothing to a module of the caller's own. */
  readonly initialize: () => void
  /** To be called once, when nothing is asked of it any more. */
  readonly release: () => void
}

// A variable, so that the package is not looked for when this one is built.
const PACKAGE: string = 'pkcs11js'

/** One module a path: there is no second one in a process, whatever it is loaded by. */
const libraries = new Map<string, Pkcs11Module>()

/** Those that were initialized here. */
const initialized = new Set<Pkcs11Module>()

/** All users of all modules: two paths, or a path and a module of the caller's own, may be the same library. */
let users = 0

/** A module of the caller's own, which the caller initialized and finalizes. */
export function useModule(module: Pkcs11Module): ModuleUse {
  users += 1
  return { module, initialize: () => undefined, release }
}

/** The module of a shared library. @throws TokenFailure where it, or pkcs11js, can't be loaded. */
export async function useLibrary(path: string): Promise<ModuleUse> {
  const PKCS11 = await loadPackage()
  const module = libraries.get(path) ?? loadLibrary(PKCS11, path)
  libraries.set(path, module)
  users += 1
  return {
    module,
    initialize: () => {
      initialize(module)
    },
    release,
  }
}

type Pkcs11Class = new (library: string) => Pkcs11Module

async function loadPackage(): Promise<Pkcs11Class> {
  try {
    const { default: loaded } = (await import(PACKAGE)) as { default: { PKCS11: Pkcs11Class } } // its index.d.ts says so
    return loaded.PKCS11
  } catch (cause) {
    const text =
      isError(cause) && 'code' in cause && cause.code === 'ERR_MODULE_NOT_FOUND'
        ? `the package "${PACKAGE}" is needed, and is not installed: npm install ${PACKAGE}`
        : `the package "${PACKAGE}" can't be loaded, maybe because it was not built: npm rebuild ${PACKAGE}`
    throw new TokenFailure(text, { cause })
  }
}

function loadLibrary(PKCS11: Pkcs11Class, path: string): Pkcs11Module {
  try {
    return new PKCS11(path)
  } catch (cause) {
    const reason = messageOf(cause)
    throw new TokenFailure(`the PKCS #11 module can't be loaded: ${reason}`, { cause })
  }
}

function initialize(module: Pkcs11Module): void {
  try {
    // Sessions work in other threads than this one.
    module.C_Initialize({ flags: CKF_OS_LOCKING_OK })
    initialized.add(module)
  } catch (error) {
    if (returnValueOf(error) !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw error
  }
}

/** Finalizing takes a library from all who use it, so it waits until nobody does. */
function release(): void {
  users -= 1
  if (users > 0) return
  for (const module of initialized) {
    try {
      module.C_Finalize()
    } catch {
      // Someone else did.
    }
  }
  initialized.clear()
}

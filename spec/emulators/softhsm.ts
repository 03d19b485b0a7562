/** SoftHSM 2: a token of PKCS #11 in files, from where the system has it or, unpacked, from the system's package. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pkcs11Attribute, Pkcs11Module } from 'esdk-streams/pkcs11'
import { UnavailableError } from '../interop/pending.ts'
import { fileOfPackage } from './debian-packages.ts'

const IN_PACKAGE = 'usr/lib/softhsm/libsofthsm2.so'

/** Where systems have it. */
const LIBRARIES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
]

/** What only specs call of a module. */
export interface AdminModule extends Pkcs11Module {
  C_InitToken(slot: Buffer, pin: string, label: string): string
  C_InitPIN(session: Buffer, pin: string): void
  C_Logout(session: Buffer): void
  C_CloseAllSessions(slot: Buffer): void
  C_CreateObject(session: Buffer, template: Pkcs11Attribute[]): Buffer
  C_DestroyObject(session: Buffer, object: Buffer): void
}

/** The numbers that pkcs11js exports, and its class. */
export type Pkcs11js = Readonly<Record<string, number>> & { readonly PKCS11: new (library: string) => AdminModule }

/** @throws UnavailableError where the native part of the package could not be built. */
export async function pkcs11js(): Promise<Pkcs11js> {
  const name: string = 'pkcs11js' // not looked for when this is compiled
  try {
    return ((await import(name)) as { default: Pkcs11js }).default // a module of CommonJS
  } catch {
    throw new UnavailableError(`${name} is not there: "npm ci" builds it where there is a C++ compiler and Python`)
  }
}

/** @throws UnavailableError where it is neither installed nor a package of the system's. */
async function softHsmLibrary(): Promise<string> {
  const known = LIBRARIES.find((path) => existsSync(path))
  return known ?? (await fileOfPackage({ what: 'SoftHSM 2', name: 'libsofthsm2', file: IN_PACKAGE }))
}

/** A folder of tokens, and the module that knows it while `SOFTHSM2_CONF` says so. */
export class SoftHsm {
  readonly library: string
  readonly pkcs11js: Pkcs11js
  /** For the specs' own use. A module is one a process, so it and the keyrings' end together. */
  readonly admin: AdminModule
  readonly #folder: string
  readonly #before: string | undefined

  private constructor(library: string, js: Pkcs11js, admin: AdminModule, folder: string) {
    this.library = library
    this.pkcs11js = js
    this.admin = admin
    this.#folder = folder
    this.#before = process.env['SOFTHSM2_CONF']
    process.env['SOFTHSM2_CONF'] = join(folder, 'softhsm2.conf')
  }

  /** @throws UnavailableError where there is no SoftHSM, or no pkcs11js. */
  static async start(): Promise<SoftHsm> {
    const js = await pkcs11js()
    const library = await softHsmLibrary()
    const admin = loaded(js, library)
    const folder = await mkdtemp(join(tmpdir(), 'softhsm-'))
    const tokens = join(folder, 'tokens')
    await mkdir(tokens)
    await writeFile(join(folder, 'softhsm2.conf'), `directories.tokendir = ${tokens}\nlog.level = ERROR\n`)
    return new SoftHsm(library, js, admin, folder)
  }

  async stop(): Promise<void> {
    this.finalize()
    if (this.#before === undefined) Reflect.deleteProperty(process.env, 'SOFTHSM2_CONF')
    else process.env['SOFTHSM2_CONF'] = this.#before
    await rm(this.#folder, { recursive: true, force: true })
  }

  initialize(): void {
    if (!this.isInitialized()) this.admin.C_Initialize({ flags: this.pkcs11js['CKF_OS_LOCKING_OK']! })
  }

  isInitialized(): boolean {
    try {
      this.admin.C_GetSlotList(true)
      return true
    } catch {
      return false
    }
  }

  finalize(): void {
    if (this.isInitialized()) this.admin.C_Finalize()
  }

  /** The slot of a token. */
  slotOf(label: string): Buffer {
    const fits = (slot: Buffer): boolean => this.admin.C_GetTokenInfo(slot).label.trim() === label
    return this.admin.C_GetSlotList(true).find(fits)!
  }

  /** Makes a token. */
  initToken(label: string, pin: string): void {
    this.initialize()
    const { CKF_RW_SESSION, CKF_SERIAL_SESSION, CKU_SO } = this.pkcs11js
    const free = this.admin.C_GetSlotList(true).at(-1)!
    this.admin.C_InitToken(free, 'so-pin', label.padEnd(32))
    const session = this.admin.C_OpenSession(this.slotOf(label), CKF_RW_SESSION! | CKF_SERIAL_SESSION!)
    this.admin.C_Login(session, CKU_SO!, 'so-pin')
    this.admin.C_InitPIN(session, pin)
    this.admin.C_Logout(session)
    this.admin.C_CloseSession(session)
  }

  /** Takes a token away, and all sessions of this process with it. */
  async removeTokens(): Promise<void> {
    this.finalize()
    await rm(join(this.#folder, 'tokens'), { recursive: true, force: true })
    await mkdir(join(this.#folder, 'tokens'))
  }

  /** Works on the objects of a token, as its user. */
  asUser<T>(label: string, pin: string, work: (admin: AdminModule, session: Buffer) => T): T {
    const session = this.login(label, pin)
    try {
      return work(this.admin, session)
    } finally {
      this.admin.C_CloseSession(session)
    }
  }

  /** A session of its user. While there is one, all sessions of the process are the user's. */
  login(label: string, pin: string): Buffer {
    this.initialize()
    const { CKF_RW_SESSION, CKF_SERIAL_SESSION, CKU_USER } = this.pkcs11js
    const session = this.admin.C_OpenSession(this.slotOf(label), CKF_RW_SESSION! | CKF_SERIAL_SESSION!)
    try {
      this.admin.C_Login(session, CKU_USER!, pin)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('CKR_USER_ALREADY_LOGGED_IN')) throw error
    }
    return session
  }
}

function loaded(js: Pkcs11js, library: string): AdminModule {
  try {
    return new js.PKCS11(library)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new UnavailableError(`SoftHSM 2 does not load: ${reason}`)
  }
}

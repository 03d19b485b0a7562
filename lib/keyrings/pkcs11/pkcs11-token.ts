/** A token: finding its slot, logging in once, and the sessions that follow. */
import { endianness } from 'node:os'
import { CKF_SERIAL_SESSION, CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS, CKU_USER } from './pkcs11-constants.ts'
import { type ModuleUse, type Pkcs11Module, useLibrary, useModule } from './pkcs11-module.ts'
import { type Session, SessionPool, type SessionWork } from './session-pool.ts'
import { TokenFailure, isRefusedPin, reasonOf, returnValueOf } from './token-failure.ts'

/** A PIN, or who is asked for it whenever there is nobody logged in. */
export type Pin = string | (() => string | Promise<string>)

/** Which token, and how it is reached. */
export interface TokenOptions {
  /** The path of a shared library, or a module of the caller's own. */
  readonly module: string | Pkcs11Module
  /** The number of a slot, or the label of the token in it. */
  readonly token: number | string
  readonly pin: Pin | undefined
}

/** Opens nothing before it is used. */
export class Pkcs11Token {
  readonly #options: TokenOptions
  readonly #pool: SessionPool
  #use: Promise<ModuleUse> | undefined
  #refusedPin: { readonly pin: string; readonly cause: unknown } | undefined
  #closing: Promise<void> | undefined

  constructor(options: TokenOptions) {
    this.#options = options
    this.#pool = new SessionPool(() => this.#openSession())
  }

  /** See {@link SessionPool.use}. */
  use<T>(work: SessionWork<T>, signal: AbortSignal | undefined): Promise<T> {
    return this.#pool.use(work, signal)
  }

  /** Ends what it began when nothing uses it any more; afterwards every use fails. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await this.#pool.close()
    const use = await this.#use?.catch(() => undefined)
    use?.release()
  }

  async #openSession(): Promise<Session> {
    const { module, initialize } = await this.#useModule()
    initialize()
    const handle = module.C_OpenSession(this.#findSlot(module), CKF_SERIAL_SESSION)
    try {
      await this.#login(module, handle)
      return { module, handle, keys: new Map() }
    } catch (error) {
      try {
        module.C_CloseSession(handle)
      } catch {
        // The first failure says why.
      }
      throw error
    }
  }

  async #useModule(): Promise<ModuleUse> {
    const { module } = this.#options
    this.#use ??= typeof module === 'string' ? useLibrary(module) : Promise.resolve(useModule(module))
    try {
      return await this.#use
    } catch (error) {
      this.#use = undefined // what was missing may be installed by the next time
      throw error
    }
  }

  #findSlot(module: Pkcs11Module): Buffer {
    const { token } = this.#options
    const slots = module.C_GetSlotList(true)
    const fitting = slots.filter((slot) =>
      typeof token === 'number' ? slotNumber(slot) === BigInt(token) : labelOf(module, slot) === token,
    )
    const [slot] = fitting
    const which = typeof token === 'number' ? `in slot ${token}` : `labelled ${JSON.stringify(token)}`
    if (slot === undefined) throw new TokenFailure(`there is no token ${which}`)
    if (fitting.length > 1) throw new TokenFailure(`there are ${fitting.length} tokens ${which}: say which "slot"`)
    return slot
  }

  /** Those who are logged in are so in all sessions of the process. */
  async #login(module: Pkcs11Module, session: Buffer): Promise<void> {
    if (this.#options.pin === undefined) return
    const { state } = module.C_GetSessionInfo(session)
    if (state === CKS_RO_USER_FUNCTIONS || state === CKS_RW_USER_FUNCTIONS) return
    const pin = await this.#askForPin(this.#options.pin)
    // A few wrong ones lock the token.
    if (pin === this.#refusedPin?.pin) {
      const { cause } = this.#refusedPin
      throw new TokenFailure(`${reasonOf(cause)}; it is not tried again`, { cause })
    }
    try {
      module.C_Login(session, CKU_USER, pin)
    } catch (error) {
      if (returnValueOf(error) === 'CKR_USER_ALREADY_LOGGED_IN') return
      if (isRefusedPin(error)) this.#refusedPin = { pin, cause: error }
      throw error
    }
  }

  async #askForPin(pin: Pin): Promise<string> {
    if (typeof pin === 'string') return pin
    let answer: unknown
    try {
      answer = await pin()
    } catch (cause) {
      throw new TokenFailure('the function "pin" failed', { cause })
    }
    if (typeof answer !== 'string') throw new TokenFailure('the function "pin" gave no string')
    return answer
  }
}

/** The number of a slot, which pkcs11js gives as the bytes of an unsigned long of this machine. */
function slotNumber(slot: Buffer): bigint {
  const bytes = endianness() === 'LE' ? Buffer.from(slot).reverse() : slot
  return BigInt(`0x${bytes.toString('hex')}`)
}

/** The label without its padding; `undefined` of what is in a slot and is no token that is known. */
function labelOf(module: Pkcs11Module, slot: Buffer): string | undefined {
  try {
    return module.C_GetTokenInfo(slot).label.replace(/[ \0]+$/, '')
  } catch {
    return undefined
  }
}

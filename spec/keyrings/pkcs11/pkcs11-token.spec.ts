import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
import { Pkcs11Keyring, type Pkcs11KeyringOptions } from 'esdk-streams/pkcs11'
import { decryptionMaterials, encryptionMaterials } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'
import {
  AES_KEYS,
  OTHER_TOKEN,
  PIN,
  TOKEN,
  answer,
  assertUnwraps,
  attemptsOf,
  importKeys,
  makeTokens,
  names,
  overridden,
  pair,
  reasonsOf,
  short,
  useToken,
  watched,
  without,
  wrapErrorOf,
  wrapped,
} from './setup.ts'

const MAX_SESSIONS = 3

describe('keyrings/pkcs11/pkcs11-token', () => {
  const token = useToken()
  const opened: Pkcs11Keyring[] = []

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((keyring) => keyring.close()))
    token.hsm.finalize()
  })

  function make(changes: Partial<Pkcs11KeyringOptions> = {}): Pkcs11Keyring {
    const all = { ...token.options, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm', ...changes } as const
    const keyring = new Pkcs11Keyring(all)
    opened.push(keyring)
    return keyring
  }

  /** A keyring over a module that was initialized already. */
  function over(
    module: Pkcs11KeyringOptions['module'] & object,
    changes: Partial<Pkcs11KeyringOptions> = {},
  ): Pkcs11Keyring {
    token.hsm.initialize()
    const rest = without(token.options, 'library')
    const own = { ...rest, module, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm', ...changes } as const
    const keyring = new Pkcs11Keyring(own)
    opened.push(keyring)
    return keyring
  }

  /** Counts the calls of the module by name. */
  function counting(): {
    readonly calls: Map<string, number>
    readonly module: Pkcs11KeyringOptions['module'] & object
  } {
    const calls = new Map<string, number>()
    return { calls, module: watched(token.hsm.admin, (name) => calls.set(name, (calls.get(name) ?? 0) + 1)) }
  }

  describe('logs in', () => {
    it('once, with few sessions, however much there is to do', async () => {
      const { calls, module } = counting()
      const keyring = over(module)
      const messages = await Promise.all(
        Array.from({ length: 100 }, () => encrypt('text', { keyring, algorithmSuite: 0x0478 })),
      )
      await Promise.all(messages.map(({ ciphertext }) => decrypt(ciphertext, { keyring })))
      assert.equal(calls.get('C_Login'), 1)
      assert.equal(calls.get('C_OpenSession')! <= MAX_SESSIONS, true)
      assert.equal(calls.get('C_EncryptAsync'), 100)
      await keyring.close()
      assert.equal(calls.get('C_CloseSession'), calls.get('C_OpenSession'))
      assert.deepEqual([calls.get('C_Initialize'), calls.get('C_Finalize')], [undefined, undefined])
    })

    it('not where someone has', async () => {
      token.hsm.login(TOKEN, PIN)
      const { calls, module } = counting()
      await wrapped(over(module, { pin: () => assert.fail('the PIN was asked for') }))
      await assertUnwraps(over(module, { pin: 'any' }), await wrapped(over(module)))
      assert.equal(calls.get('C_Login'), undefined)
      // Between looking and logging in, someone may.
      const racing = overridden(token.hsm.admin, (name, _args, call) =>
        name === 'C_GetSessionInfo' ? { state: 0 } : call(),
      )
      await wrapped(over(racing))
    })

    it('with the PIN that a function gives, at once or later, and asks for it once', async () => {
      let asked = 0
      const pin = async (): Promise<string> => {
        asked += 1
        await setTimeout(5)
        return PIN
      }
      const keyring = make({ pin })
      await Promise.all(Array.from({ length: 20 }, () => wrapped(keyring)))
      assert.equal(asked, 1)
      await wrapped(make({ pin: () => PIN }))
    })

    it('never twice with a PIN that was refused', async () => {
      const { calls, module } = counting()
      const pin = 'not the PIN'
      const keyring = over(module, { pin })
      const failures = await Promise.all(Array.from({ length: 10 }, () => wrapErrorOf(keyring)))
      failures.push(await wrapErrorOf(keyring))
      for (const failure of failures) {
        assert.match(failure.message, /the PIN is wrong \(CKR_PIN_INCORRECT\)(; it is not tried again)?$/)
        assertLeaksNothing(failure, Buffer.from(pin))
      }
      const key = await wrapped(new RawAesKeyring({ ...names, wrappingKey: AES_KEYS.aes }))
      const [attempt] = await attemptsOf(keyring, [key])
      assert.match(attempt!.reason, /^the PIN is wrong \(CKR_PIN_INCORRECT\); it is not tried again$/)
      assert.equal(calls.get('C_Login'), 1)
    })

    it('with the next PIN that a function gives', async () => {
      const { calls, module } = counting()
      const pins = ['one', 'one', PIN]
      const keyring = over(module, { pin: () => pins.shift()! })
      for (const again of ['', '; it is not tried again']) {
        const { message } = await wrapErrorOf(keyring)
        assert.equal(message.endsWith(`the PIN is wrong (CKR_PIN_INCORRECT)${again}`), true)
      }
      await wrapped(keyring)
      assert.equal(calls.get('C_Login'), 2)
    })

    it('not without a PIN: private keys are not seen', async () => {
      const rest = {
        ...without(token.options, 'pin'),
        ...names,
        keyLabel: 'aes',
        wrappingAlgorithm: 'aes-gcm',
      } as const
      const keyring = new Pkcs11Keyring(rest)
      opened.push(keyring)
      assert.match((await wrapErrorOf(keyring)).message, /there is no AES key labelled "aes" on the token$/)
    })

    it('not where the function fails or gives something else', async () => {
      const failing = make({ pin: () => Promise.reject(new Error('nobody there')) })
      const error = await wrapErrorOf(failing)
      assert.match(error.message, /the function "pin" failed$/)
      const nothing = undefined as unknown as string // a function without types may give it
      assert.match((await wrapErrorOf(make({ pin: () => nothing }))).message, /the function "pin" gave no string$/)
    })
  })

  describe('opens a session anew, once', () => {
    for (const name of [
      'CKR_SESSION_HANDLE_INVALID',
      'CKR_DEVICE_ERROR',
      'CKR_USER_NOT_LOGGED_IN',
      'CKR_OPERATION_ACTIVE',
    ]) {
      for (const method of ['C_EncryptInit', 'C_EncryptAsync', 'C_FindObjectsInit']) {
        it(`when ${method} answers ${name}`, async () => {
          let failures = 0
          const module = overridden(token.hsm.admin, (called, _args, call) => {
            if (called !== method || failures === 0) return call()
            failures -= 1
            if (method !== 'C_EncryptAsync') throw answer(name)
            return Promise.reject(answer(name))
          })
          const keyring = over(module)
          failures = 1
          await wrapped(keyring)
          if (method !== 'C_FindObjectsInit') {
            failures = 1
            await wrapped(keyring)
          }
          failures = 2
          const stale = over(module)
          assert.equal((await wrapErrorOf(stale)).message.includes(name), true)
          assert.equal(failures, 0)
          await wrapped(stale)
        })
      }
    }

    it('when all sessions were closed by someone else', async () => {
      const keyring = make()
      const key = await wrapped(keyring)
      await Promise.all([wrapped(keyring), wrapped(keyring), wrapped(keyring)])
      for (let time = 0; time < 2; time++) {
        token.hsm.admin.C_CloseAllSessions(token.hsm.slotOf(TOKEN))
        await Promise.all([wrapped(keyring), assertUnwraps(keyring, key), assertUnwraps(keyring, key)])
      }
    })

    it('when someone else finalized the library', async () => {
      const keyring = make()
      const key = await wrapped(keyring)
      token.hsm.finalize()
      await assertUnwraps(keyring, key)
      assert.equal(token.hsm.isInitialized(), true)
    })

    it('when the key was made anew', async () => {
      const keyring = make({ keyLabel: 'fleeting' })
      importKeys(token.hsm, (keys) => keys.aes('fleeting', AES_KEYS['aes-128'], 20))
      await wrapped(keyring)
      importKeys(token.hsm, (keys) => {
        keys.destroy('fleeting')
        keys.aes('fleeting', AES_KEYS.aes, 21)
      })
      await assertUnwraps(make(), await wrapped(keyring))
      await assertUnwraps(keyring, await wrapped(make()))
    })

    it('and wraps under no public key that was there once', async () => {
      const keyring = make({ keyLabel: 'replaced', wrappingAlgorithm: 'oaep-sha1' })
      importKeys(token.hsm, (keys) => {
        keys.rsa('replaced', short, 22)
      })
      assert.equal((await wrapped(keyring)).ciphertext.length, 128)
      importKeys(token.hsm, (keys) => {
        keys.destroy('replaced')
      })
      assert.match((await wrapErrorOf(keyring)).message, /there is no public RSA key labelled "replaced" on the token$/)
      importKeys(token.hsm, (keys) => {
        keys.rsa('replaced', pair, 23)
      })
      const key = await wrapped(keyring)
      assert.equal(key.ciphertext.length, 256)
      await assertUnwraps(keyring, key)
    })

    it('and says so when the token is gone', async () => {
      const keyring = make()
      const key = await wrapped(keyring)
      await token.hsm.removeTokens()
      const reason = `there is no token labelled ${JSON.stringify(TOKEN)}`
      assert.equal((await wrapErrorOf(keyring)).message.endsWith(reason), true)
      assert.deepEqual(await reasonsOf(keyring, key, key), [reason, reason])
      makeTokens(token.hsm)
      await assertUnwraps(keyring, key) // it was put back
    })

    it('and tells why when a removed token stays away', async () => {
      let gone = false
      const module = overridden(token.hsm.admin, (name, _args, call) => {
        if (gone && name === 'C_OpenSession') throw answer('CKR_TOKEN_NOT_PRESENT', 224)
        return gone && name === 'C_DecryptAsync' ? Promise.reject(answer('CKR_DEVICE_REMOVED', 50)) : call()
      })
      for (const wrappingAlgorithm of ['aes-gcm', 'pkcs1'] as const) {
        gone = false
        const keyring = over(module, { wrappingAlgorithm, keyLabel: wrappingAlgorithm === 'pkcs1' ? 'rsa' : 'aes' })
        const key = await wrapped(keyring)
        gone = true
        const [attempt] = await attemptsOf(keyring, [key])
        assert.equal(attempt?.reason, 'there is no token in the slot (CKR_TOKEN_NOT_PRESENT)')
        assert.equal(attempt.cause instanceof Error, true)
      }
    })
  })

  it('passes over slots with a token that nobody knows, and takes none of two with the same label', async () => {
    const labelled = (answerOf: (call: () => unknown) => unknown): Pkcs11Keyring =>
      over(
        overridden(token.hsm.admin, (name, args, call) => {
          const other = name === 'C_GetTokenInfo' && !(args[0] as Buffer).equals(token.hsm.slotOf(TOKEN))
          return other ? answerOf(call) : call()
        }),
      )
    const unknown = labelled(() => {
      throw answer('CKR_TOKEN_NOT_RECOGNIZED', 225)
    })
    await wrapped(unknown)
    const twice = labelled(() => ({ label: TOKEN.padEnd(32, '\0') }))
    const { message } = await wrapErrorOf(twice)
    assert.match(message, /there are \d tokens labelled "esdk spec": say which "slot"$/)
  })

  it('closes the session in which it could not log in', async () => {
    let closing = true
    const closed: unknown[] = []
    const module = overridden(token.hsm.admin, (name, args, call) => {
      if (name !== 'C_CloseSession') return call()
      closed.push(args[0])
      const result = call()
      if (closing) return result
      throw answer('CKR_SESSION_HANDLE_INVALID', 179)
    })
    for (closing of [true, false]) {
      const { message } = await wrapErrorOf(over(module, { pin: 'not the PIN' }))
      assert.match(message, /the PIN is wrong \(CKR_PIN_INCORRECT\)$/)
    }
    assert.equal(closed.length, 2)
  })

  it('does not tell of a device error over a ciphertext of RSA: padding may be why', async () => {
    let failures = 0
    const module = overridden(token.hsm.admin, (name, _args, call) => {
      if (name !== 'C_DecryptAsync' || failures === 0) return call()
      failures -= 1
      return Promise.reject(answer('CKR_DEVICE_ERROR', 48))
    })
    const keyring = over(module, { keyLabel: 'rsa', wrappingAlgorithm: 'pkcs1' })
    const key = await wrapped(keyring)
    failures = 1
    await assertUnwraps(keyring, key)
    failures = 2
    assert.deepEqual(await attemptsOf(keyring, [key]), [{ key, reason: 'not unwrapped by this private key' }])
    assert.equal(failures, 0)
    const aes = over(module)
    const aesKey = await wrapped(aes)
    failures = 2
    assert.deepEqual(await reasonsOf(aes, aesKey), ['the token answered CKR_DEVICE_ERROR'])
  })

  describe('is aborted', () => {
    /** A module whose calls take their time, and how many are under way. */
    function slow(): { module: Pkcs11KeyringOptions['module'] & object; running: () => number } {
      let running = 0
      const module = overridden(token.hsm.admin, (name, _args, call) => {
        if (!name.endsWith('Async')) return call()
        running += 1
        return setTimeout(100)
          .then(call)
          .finally(() => (running -= 1))
      })
      return { module, running: () => running }
    }

    it('at once, while a call is under way, which ends on its own', async () => {
      const { module, running } = slow()
      const keyring = over(module)
      const key = await wrapped(keyring)
      const reason = new Error('enough')
      for (const work of [
        (signal: AbortSignal) => keyring.onEncrypt(encryptionMaterials(), { signal }),
        (signal: AbortSignal) => keyring.onDecrypt(decryptionMaterials(), [key], { signal }),
        (signal: AbortSignal) => keyring.onDecrypt(decryptionMaterials(), [key, key], { signal }),
      ]) {
        const controller = new AbortController()
        const rejected = assert.rejects(work(controller.signal), reason)
        await setTimeout(20)
        assert.equal(running(), 1)
        controller.abort(reason)
        const start = performance.now()
        await rejected
        assert.equal(performance.now() - start < 50, true)
        assert.equal(running(), 1)
        while (running() > 0) await setTimeout(5)
      }
      await assertUnwraps(keyring, key)
      await keyring.close()
      assert.equal(running(), 0)
    })

    it('while it waits for a session, and leaves the others theirs', async () => {
      const keyring = over(slow().module)
      const controller = new AbortController()
      const { signal } = controller
      const reason = new Error('enough')
      const many = Array.from({ length: 12 }, (_, index) =>
        keyring.onEncrypt(encryptionMaterials(), index % 2 === 0 ? {} : { signal }),
      )
      const results = Promise.allSettled(many)
      await setTimeout(20)
      controller.abort(reason)
      for (const [index, result] of (await results).entries()) {
        assert.equal(result.status, index % 2 === 0 ? 'fulfilled' : 'rejected')
        if (result.status === 'rejected') assert.equal(result.reason, reason)
      }
    })

    it('before anything is asked', async () => {
      const { calls, module } = counting()
      const keyring = over(module)
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await assert.rejects(keyring.onEncrypt(encryptionMaterials(), { signal }), reason)
      await assert.rejects(keyring.onDecrypt(decryptionMaterials(), [], { signal }), { code: 'ERR_ESDK_UNWRAP' })
      await assert.rejects(keyring.onDecrypt(decryptionMaterials(), [await wrapped(make())], { signal }), reason)
      assert.equal(calls.size, 0)
    })
  })

  describe('is closed', () => {
    it('after what is under way; what waits, and what comes after, fails', async () => {
      const keyring = make()
      const key = await wrapped(keyring)
      const many = Array.from({ length: 50 }, () => keyring.onEncrypt(encryptionMaterials()))
      const results = Promise.allSettled(many)
      await setTimeout(0)
      const [first, second] = [keyring.close(), keyring.close()]
      assert.equal(first, second)
      await first
      const settled = await results
      assert.equal(settled[0]!.status, 'fulfilled')
      for (const result of settled) {
        if (result.status === 'fulfilled') continue
        assert.match(String(result.reason), /WrapError: .*: the keyring is closed$/)
      }
      assert.match((await wrapErrorOf(keyring)).message, /the keyring is closed$/)
      assert.deepEqual(await reasonsOf(keyring, key), ['the keyring is closed'])
      assert.equal(token.hsm.isInitialized(), false)
    })

    it('without having been used, and as a resource', async () => {
      const { calls, module } = counting()
      await over(module).close()
      assert.equal(calls.size, 0)
      const keyring = over(module)
      await wrapped(keyring)
      await keyring[Symbol.asyncDispose]()
      assert.equal(calls.get('C_CloseSession'), 1)
    })

    it('without taking the library from the others', async () => {
      const [one, two] = [make(), make()]
      const third = make({ tokenLabel: OTHER_TOKEN })
      await Promise.all([wrapped(one), wrapped(two), wrapErrorOf(third)])
      await one.close()
      // Before anything is asked of the other, which would initialize it again.
      assert.equal(token.hsm.isInitialized(), true)
      const key = await wrapped(two)
      await third.close()
      assert.equal(token.hsm.isInitialized(), true)
      await assertUnwraps(two, key)
      await two.close()
      assert.equal(token.hsm.isInitialized(), false)
      await wrapped(make())
    })

    it('and leaves a library alone that someone else initialized', async () => {
      token.hsm.initialize()
      const keyring = make()
      await wrapped(keyring)
      await keyring.close()
      assert.equal(token.hsm.isInitialized(), true)
    })
  })

  it('does not initialize a module that is the caller’s', async () => {
    const keyring = over(token.hsm.admin)
    const key = await wrapped(keyring)
    token.hsm.finalize()
    const reason = 'the module is not initialized (CKR_CRYPTOKI_NOT_INITIALIZED)'
    assert.equal((await wrapErrorOf(keyring)).message.endsWith(reason), true)
    assert.deepEqual(await reasonsOf(keyring, key), [reason])
    assert.equal(token.hsm.isInitialized(), false)
    token.hsm.initialize()
    await assertUnwraps(keyring, key)
  })
})

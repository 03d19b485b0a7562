import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PolicyError } from 'esdk-streams'
import { encryptionContextOf } from '#lib/format/encryption-context'
import { joinReproduced } from '#lib/materials/cryptographic-materials-manager'
import { encryptionContexts } from '../arbitraries.ts'

function frozen(context: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return encryptionContextOf(Object.entries(context))
}

describe('materials/cryptographic-materials-manager, joining reproduced pairs', () => {
  it('adds pairs that are not stored and requires just those', () => {
    const { encryptionContext, requiredEncryptionContextKeys } = joinReproduced(
      frozen({ a: '1', b: '2' }),
      frozen({ b: '2', c: '3', '': '' }),
    )
    assert.deepEqual({ ...encryptionContext }, { a: '1', b: '2', c: '3', '': '' })
    assert.deepEqual([...requiredEncryptionContextKeys].sort(), ['', 'c'])
  })

  it('leaves the stored pairs as they are where nothing is added', () => {
    const stored = frozen({ a: '1' })
    for (const reproduced of [{}, { a: '1' }]) {
      assert.deepEqual(joinReproduced(stored, frozen(reproduced)), {
        encryptionContext: stored,
        requiredEncryptionContextKeys: [],
      })
    }
  })

  it('refuses another value for a stored name, and names it', () => {
    for (const name of ['a', '__proto__', 'constructor', '']) {
      const pair = (value: string): Readonly<Record<string, string>> => encryptionContextOf([[name, value]])
      assert.throws(() => joinReproduced(pair('1'), pair('2')), PolicyError)
      assert.throws(() => joinReproduced(pair('1'), pair('')), {
        code: 'ERR_ESDK_POLICY',
        message: new RegExp(`another value for ${JSON.stringify(name)}`),
      })
    }
  })

  it('takes names of prototypes for names like any other', () => {
    const { requiredEncryptionContextKeys } = joinReproduced(frozen({}), encryptionContextOf([['constructor', 'x']]))
    assert.deepEqual(requiredEncryptionContextKeys, ['constructor'])
    const plain: Record<string, string> = {} // as a manager of a user's own may hand over
    assert.deepEqual(joinReproduced(plain, { toString: 'x' } as object as typeof plain).requiredEncryptionContextKeys, [
      'toString',
    ]) // toString as a name
  })

  it('holds all pairs of both, or refuses', () => {
    fc.assert(
      fc.property(encryptionContexts, encryptionContexts, (stored, reproduced) => {
        const differs = Object.keys(reproduced).some(
          (name) => Object.hasOwn(stored, name) && stored[name] !== reproduced[name],
        )
        if (differs) {
          assert.throws(() => joinReproduced(frozen(stored), frozen(reproduced)), PolicyError)
          return
        }
        const joined = joinReproduced(frozen(stored), frozen(reproduced))
        const expected = new Map([...Object.entries(stored), ...Object.entries(reproduced)])
        assert.deepEqual(new Map(Object.entries(joined.encryptionContext)), expected)
        const added = Object.keys(reproduced).filter((name) => !Object.hasOwn(stored, name))
        assert.deepEqual([...joined.requiredEncryptionContextKeys].sort(), added.sort())
      }),
    )
  })
})

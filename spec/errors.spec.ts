import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import {
  AuthenticationError,
  ChangedError,
  EncryptionSdkError,
  LengthError,
  LimitError,
  MalformedMessageError,
  PolicyError,
  TruncatedMessageError,
  UnsupportedError,
  UnwrapError,
  WrapError,
  isEncryptionSdkError,
} from 'esdk-streams'

const KINDS = [
  [MalformedMessageError, 'MalformedMessageError', 'ERR_ESDK_MALFORMED'],
  [TruncatedMessageError, 'TruncatedMessageError', 'ERR_ESDK_TRUNCATED'],
  [UnsupportedError, 'UnsupportedError', 'ERR_ESDK_UNSUPPORTED'],
  [WrapError, 'WrapError', 'ERR_ESDK_WRAP'],
  [PolicyError, 'PolicyError', 'ERR_ESDK_POLICY'],
  [LimitError, 'LimitError', 'ERR_ESDK_LIMIT'],
  [LengthError, 'LengthError', 'ERR_ESDK_LENGTH'],
  [ChangedError, 'ChangedError', 'ERR_ESDK_CHANGED'],
] as const

function key(keyProviderId: string): { keyProviderId: string; keyProviderInfo: Buffer } {
  return { keyProviderId, keyProviderInfo: Buffer.from('info') }
}

describe('errors', () => {
  for (const [Kind, name, code] of KINDS) {
    it(`${name} has its code, name, message and cause`, () => {
      const cause = new Error('why')
      const error = new Kind('what', { cause })
      assert.ok(error instanceof EncryptionSdkError && error instanceof Error)
      assert.deepEqual([error.name, error.code, error.message, error.cause], [name, code, 'what', cause])
      assert.ok(isEncryptionSdkError(error))
      assert.equal('cause' in new Kind('what'), false)
      assert.match(String(error), new RegExp(`^${name}: what$`))
    })
  }

  it('AuthenticationError says which part', () => {
    for (const part of ['header', 'commitment', 'frame', 'signature'] as const) {
      const error = new AuthenticationError(part, 'what')
      assert.deepEqual([error.name, error.code, error.part], ['AuthenticationError', 'ERR_ESDK_AUTHENTICATION', part])
      assert.ok(isEncryptionSdkError(error))
    }
  })

  it('have codes of their own, each', () => {
    const codes = [...KINDS.map(([, , code]) => code), 'ERR_ESDK_AUTHENTICATION', 'ERR_ESDK_UNWRAP']
    assert.equal(new Set(codes).size, codes.length)
  })

  describe('UnwrapError', () => {
    it('lists its attempts, and the first five in its message', () => {
      const attempts = Array.from({ length: 7 }, (_, index) => ({ key: key(`p${index}`), reason: `reason ${index}` }))
      const error = new UnwrapError(attempts)
      assert.equal(error.code, 'ERR_ESDK_UNWRAP')
      assert.equal(error.name, 'UnwrapError')
      assert.equal(error.attempts, attempts)
      assert.equal(
        error.message,
        'no data key could be unwrapped: "p0": reason 0; "p1": reason 1; "p2": reason 2; "p3": reason 3; "p4": reason 4; and 2 more',
      )
      assert.match(new UnwrapError(attempts.slice(0, 5)).message, /"p4": reason 4$/)
    })

    it('escapes what a stranger wrote', () => {
      const error = new UnwrapError([{ key: key('evil\n\u001b[2J"'), reason: 'another key namespace' }])
      assert.ok(error.message.includes('"evil\\n\\u001b[2J\\"": another key namespace'))
    })

    it('takes attempts without a key, and none at all', () => {
      assert.equal(new UnwrapError([{ reason: 'no network' }]).message, 'no data key could be unwrapped: no network')
      assert.match(new UnwrapError([]).message, /the message has no encrypted data key for these keys/)
      const cause = new Error('why')
      assert.equal(new UnwrapError([], { cause }).cause, cause)
    })
  })

  describe('are known by isEncryptionSdkError', () => {
    it('across copies of the library', async () => {
      const url = pathToFileURL(resolve(import.meta.dirname, '..', 'dist', 'errors.js'))
      const copy = (await import(`${url.href}?copy`)) as { LimitError: typeof LimitError } // the same module once more
      const error = new copy.LimitError('what')
      assert.notEqual(copy.LimitError, LimitError)
      assert.ok(!(error instanceof LimitError))
      assert.ok(isEncryptionSdkError(error))
    })

    it('and by nothing that is not', () => {
      const abort = Object.assign(new Error('aborted'), { code: 'ABORT_ERR' })
      const similar = Object.assign(new Error('similar'), { code: 'ERR_ESDK_LIMIT' })
      for (const value of [
        undefined,
        null,
        5,
        'ERR_ESDK_LIMIT',
        {},
        new Error('plain'),
        new TypeError(),
        abort,
        similar,
      ]) {
        assert.equal(isEncryptionSdkError(value), false)
      }
    })

    it('by a mark that does not show', () => {
      const error = new LimitError('what')
      assert.deepEqual(Object.keys(error).sort(), ['code', 'name'])
    })
  })
})

import assert from 'node:assert/strict'
import { checkKeyName } from '#lib/keyrings/key-name'

describe('keyrings/key-name', () => {
  it('takes any non-empty text that encrypted data keys can hold', () => {
    const fine = ['a', ' ', 'é', '\u{1f600}', 'my-aws-kms', 'AWS-KMS', 'aws', 'aws-km', 'x'.repeat(0xffff), '__proto__']
    for (const text of fine) {
      checkKeyName(text, 'name')
      checkKeyName('namespace', text)
    }
  })

  it('keeps namespaces that begin with aws-kms for AWS KMS, and only those', () => {
    for (const namespace of ['aws-kms', 'aws-kms-foo', 'aws-kms-hierarchy', 'aws-kmsx']) {
      assert.throws(
        () => {
          checkKeyName(namespace, 'name')
        },
        { name: 'TypeError', message: /"keyNamespace" may not begin with "aws-kms"/ },
      )
      checkKeyName('namespace', namespace)
    }
  })

  it('takes nothing else, and says which', () => {
    const wrong = [
      '',
      undefined,
      null,
      5,
      Buffer.from('name'),
      '\ud800',
      'a\udc00',
      'x'.repeat(0x10000),
      'é'.repeat(0x8000),
    ]
    for (const value of wrong) {
      assert.throws(
        () => {
          checkKeyName(value, 'name')
        },
        { name: 'TypeError', message: /^"keyNamespace" / },
      )
      assert.throws(
        () => {
          checkKeyName('namespace', value)
        },
        { name: 'TypeError', message: /^"keyName" / },
      )
    }
  })
})

import assert from 'node:assert/strict'
import { keyNameBytes } from '#lib/keyrings/key-name'

describe('keyrings/key-name', () => {
  it('takes any non-empty text that encrypted data keys can hold', () => {
    const fine = ['a', ' ', 'é', '\u{1f600}', 'my-aws-kms', 'AWS-KMS', 'aws', 'aws-km', 'x'.repeat(0xffff), '__proto__']
    for (const text of fine) {
      assert.equal(keyNameBytes(text, 'name').toString(), 'name')
      assert.equal(keyNameBytes('namespace', text).toString(), text)
    }
  })

  it('takes bytes for a name, and copies them', () => {
    const name = Buffer.from([0xff, 0, 0xfe])
    const bytes = keyNameBytes('namespace', name)
    name.fill(1)
    assert.deepEqual(bytes, Buffer.from([0xff, 0, 0xfe]))
  })

  it('keeps namespaces that begin with aws-kms for AWS KMS, and only those', () => {
    for (const namespace of ['aws-kms', 'aws-kms-foo', 'aws-kms-hierarchy', 'aws-kmsx']) {
      const expected = { name: 'TypeError', message: /"keyNamespace" may not begin with "aws-kms"/ }
      assert.throws(() => keyNameBytes(namespace, 'name'), expected)
      keyNameBytes('namespace', namespace)
    }
  })

  it('takes nothing else, and says which', () => {
    const wrong = ['', undefined, null, 5, {}, '\ud800', 'a\udc00', 'x'.repeat(0x10000), 'é'.repeat(0x8000)]
    for (const value of wrong) {
      assert.throws(() => keyNameBytes(value, 'name'), { name: 'TypeError', message: /^"keyNamespace" / })
      assert.throws(() => keyNameBytes('namespace', value), { name: 'TypeError', message: /^"keyName" / })
    }
    assert.throws(() => keyNameBytes(Buffer.from('namespace'), 'name'), /^TypeError: "keyNamespace" /)
    assert.throws(() => keyNameBytes('namespace', Buffer.alloc(0)), /^TypeError: "keyName" /)
  })
})

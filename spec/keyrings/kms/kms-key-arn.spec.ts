import assert from 'node:assert/strict'
import {
  checkKmsKeyIdentifier,
  checkMultiRegionKeysUnique,
  formatKmsArn,
  isMultiRegionKey,
  matchesForDecrypt,
  parseKmsArn,
  parseKmsKeyArn,
} from '#lib/keyrings/kms/kms-key-arn'

const KEY = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const ALIAS = 'arn:aws-cn:kms:cn-north-1:111122223333:alias/my/alias'
const MRK_EAST = 'arn:aws:kms:us-east-1:111122223333:key/mrk-1234'
const MRK_WEST = 'arn:aws:kms:us-west-2:111122223333:key/mrk-1234'

const NO_ARNS = [
  '',
  'arn',
  KEY.replace('arn:', 'arm:'),
  KEY.replace(':aws:', '::'),
  KEY.replace(':kms:', ':s3:'),
  KEY.replace('us-east-1', ''),
  KEY.replace('111122223333', ''),
  KEY.replace('key/', 'key:'),
  KEY.replace('key/', 'keys/'),
  KEY.replace('key/', ''),
  KEY.replace(/key\/.*/, 'key/'),
  `${KEY}:1`,
  KEY.replace('arn:', 'ARN:'),
  KEY.replace(/key\/.*/, 'keyx'),
  KEY.replace(/key\/.*/, 'aliasx'),
  KEY.replace('us-east-1', 'us-éast-1'),
  KEY.replace('us-east-1', 'us-east-1\n'),
  KEY + '0'.repeat(2048),
]

describe('keyrings/kms/kms-key-arn', () => {
  it('takes an ARN apart and puts it together, in another region too', () => {
    assert.deepEqual(parseKmsArn(ALIAS), {
      partition: 'aws-cn',
      region: 'cn-north-1',
      account: '111122223333',
      resourceType: 'alias',
      resourceId: 'my/alias',
    })
    for (const text of [KEY, ALIAS, MRK_EAST]) assert.equal(formatKmsArn(parseKmsArn(text)!), text)
    assert.equal(formatKmsArn(parseKmsArn(MRK_EAST)!, 'us-west-2'), MRK_WEST)
    assert.equal(parseKmsKeyArn(ALIAS), undefined)
    assert.equal(parseKmsKeyArn(KEY)?.resourceType, 'key')
  })

  it('finds everything else no ARN', () => {
    for (const text of NO_ARNS) assert.equal(parseKmsArn(text), undefined, text)
  })

  it('takes ARNs, alias names and ids for identifiers, and nothing else', () => {
    for (const text of [KEY, ALIAS, MRK_EAST, 'alias/name', '1234abcd-12ab', 'mrk-1234'])
      checkKmsKeyIdentifier('keyId', text)
    const wrong = [
      ...NO_ARNS.filter((text) => text !== 'arn'),
      'key/1234',
      'alias/',
      'é',
      'x'.repeat(2049),
      5,
      undefined,
      null,
    ]
    for (const value of wrong) {
      assert.throws(
        () => {
          checkKmsKeyIdentifier('keyId', value)
        },
        /^TypeError: "keyId" expected/,
        String(value),
      )
    }
  })

  it('knows multi-Region keys by mrk-, with the dash, and never by an alias', () => {
    for (const text of [MRK_EAST, 'mrk-1234']) assert.equal(isMultiRegionKey(text), true, text)
    for (const text of [
      KEY,
      'mrkfoo',
      KEY.replace('1234abcd', 'mrk1'),
      'alias/mrk-1234',
      ALIAS.replace('my/alias', 'mrk-1'),
    ]) {
      assert.equal(isMultiRegionKey(text), false, text)
    }
  })

  it('matches equal identifiers, and replicas of one multi-Region key', () => {
    for (const [a, b] of [
      [KEY, KEY],
      ['alias/a', 'alias/a'],
      [MRK_EAST, MRK_WEST],
      [MRK_WEST, MRK_EAST],
    ] as const) {
      assert.equal(matchesForDecrypt(a, b), true, `${a} ${b}`)
    }
    const different = [
      [KEY, KEY.replace('us-east-1', 'us-west-2')],
      [MRK_EAST, MRK_WEST.replace('1111', '2222')],
      [MRK_EAST, MRK_WEST.replace('mrk-1234', 'mrk-1235')],
      [MRK_EAST, MRK_WEST.replace(':aws:', ':aws-cn:')],
      [MRK_EAST, 'mrk-1234'],
      [MRK_EAST, MRK_WEST.replace('key/', 'alias/')],
    ] as const
    for (const [a, b] of different) assert.equal(matchesForDecrypt(a, b), false, `${a} ${b}`)
  })

  it('refuses replicas of one key side by side, and names all of them', () => {
    checkMultiRegionKeysUnique([])
    checkMultiRegionKeysUnique([KEY, KEY, MRK_EAST, MRK_EAST.replace('mrk-1234', 'mrk-1235')])
    const replicas = [MRK_EAST, KEY, MRK_WEST, 'mrk-1234']
    assert.throws(
      () => {
        checkMultiRegionKeysUnique(replicas)
      },
      (error: Error) => {
        return (
          [MRK_EAST, MRK_WEST, 'mrk-1234'].every((key) => error.message.includes(key)) && !error.message.includes(KEY)
        )
      },
    )
  })
})

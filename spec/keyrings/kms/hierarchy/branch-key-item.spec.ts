// Items that somebody with access to the table changed. What no check of the library refuses, AWS KMS does not decrypt.
import assert from 'node:assert/strict'
import { EncryptCommand } from '@aws-sdk/client-kms'
import { type UnwrapError, WrapError } from 'esdk-streams'
import type { BranchKeyStore } from 'esdk-streams/kms'
import { clientAt, createKey, unwrapErrorOf } from '../setup.ts'
import { type Item, LOGICAL_NAME, operations, useTable } from './setup.ts'

const VERSION = '83eec007-5659-4554-bf11-699b90f41ac6'
const OTHER = 'branch:version:00000000-0000-4000-8000-000000000000'

describe('keyrings/kms/hierarchy/branch-key-item', () => {
  const shared = useTable()
  let store: BranchKeyStore
  let branchKeyId: string
  let beacon: Item
  let active: Item
  let version: Item

  before(async () => {
    store = shared.table.store()
    branchKeyId = await store.createKey({ branchKeyId: 'victim', encryptionContext: { department: 'admin' } })
    ;[beacon, active, version] = (await shared.table.items(branchKeyId)) as [Item, Item, Item] // as it was made
  })

  /** What reads an item, and what it asked AWS KMS for. */
  async function failureOf({ type }: Item): Promise<UnwrapError> {
    shared.server.proxy.faults()
    const text = type?.S ?? ''
    if (text === 'beacon:ACTIVE') return unwrapErrorOf(store.getBeaconKey(branchKeyId))
    if (text === 'branch:ACTIVE') return unwrapErrorOf(store.getActiveBranchKey(branchKeyId))
    return unwrapErrorOf(store.getBranchKeyVersion(branchKeyId, text.slice('branch:version:'.length)))
  }

  /** Puts a changed item in the place of the one that was there. */
  async function withItem<T>(original: Item, changed: Item, work: () => Promise<T>): Promise<T> {
    await shared.table.put(changed)
    try {
      return await work()
    } finally {
      await shared.table.put(original)
    }
  }

  function without(item: Item, name: string): Item {
    return Object.fromEntries(Object.entries(item).filter(([other]) => other !== name))
  }

  /** Every change of one attribute, but for those of the table's key. */
  function changesOf(item: Item, otherKeyArn: string): [what: string, changed: Item][] {
    const names = Object.keys(item).filter((name) => name !== 'branch-key-id' && name !== 'type')
    const changes: [string, Item][] = names.flatMap((name) => {
      const { S, N, B } = item[name]!
      const others: Item[string][] = [
        ...(S === undefined ? [] : [{ S: `${S}x` }, { S: '' }, { N: '1' }, { B: Buffer.from(S) }]),
        ...(N === undefined ? [] : [{ N: '2' }, { N: '0' }, { S: N }]),
        ...(B === undefined ? [] : [{ B: flipped(B) }, { B: B.slice(1) }, { S: 'x' }, { BOOL: true }]),
      ]
      return [
        [`without ${name}`, without(item, name)],
        ...others.map((value): [string, Item] => [
          `${name} ${JSON.stringify(value).slice(0, 40)}`,
          { ...item, [name]: value },
        ]),
      ]
    })
    return [
      ...changes,
      ['another key', { ...item, 'kms-arn': { S: otherKeyArn } }],
      ['the time of another', { ...item, 'create-time': { S: '2023-06-03T19:03:29.358000Z' } }],
      ['a pair more', { ...item, 'aws-crypto-ec:role': { S: 'root' } }],
      ['an attribute more', { ...item, more: { S: 'x' } }],
      ['an attribute more of another type', { ...item, more: { NULL: true } }],
      ['a version', { ...item, version: { S: OTHER } }],
      ['a name of the store', { ...item, tablename: { S: LOGICAL_NAME } }],
    ]
  }

  function flipped(bytes: Uint8Array): Uint8Array {
    const copy = Uint8Array.from(bytes)
    copy[copy.length - 1]! ^= 1
    return copy
  }

  it('gives no key of an item that was changed in any attribute, and makes no version of it', async function () {
    this.timeout(30_000)
    const otherKeyArn = await createKey(shared.server.behind, 'us-east-1')
    let changes = 0
    for (const item of [beacon, active, version]) {
      for (const [what, changed] of changesOf(item, otherKeyArn)) {
        changes += 1
        await withItem(item, changed, async () => {
          const { message } = await failureOf(item)
          assert.match(message, /^no data key could be unwrapped: branch key "victim": /, what)
          if (item === active) {
            await assert.rejects(store.versionKey(branchKeyId), WrapError, what)
            assert.ok(!operations(shared.server).includes('TransactWriteItems'), what)
          }
        })
      }
    }
    assert.ok(changes > 80, String(changes))
    for (const key of [store.getActiveBranchKey(branchKeyId), store.getBeaconKey(branchKeyId)]) await key
  })

  it('refuses before it asks AWS KMS what is no item of a store', async () => {
    for (const [changed, reason] of [
      [without(active, 'create-time'), /its item has no "create-time"$/],
      [without(active, 'kms-arn'), /"kms-arn" of its item is not the ARN of a key$/],
      [{ ...active, 'kms-arn': { S: shared.server.aliases[0]! } }, /"kms-arn" of its item is not the ARN of a key$/],
      [without(active, 'hierarchy-version'), /hierarchy version null; only 1 is known$/],
      [{ ...active, 'hierarchy-version': { N: '2' } }, /hierarchy version 2; only 1 is known$/],
      [
        { ...active, 'hierarchy-version': { S: '1' } },
        /the attribute "hierarchy-version" of its item has another type$/,
      ],
      [without(active, 'version'), /"version" of its item does not fit its type$/],
      [{ ...active, version: { S: VERSION } }, /"version" of its item does not fit its type$/],
      [{ ...active, version: { S: 'branch:version:' } }, /its version is not a UUID$/],
      [{ ...active, version: { S: `branch:version:${VERSION.toUpperCase()}` } }, /its version is not a UUID$/],
      [{ ...active, version: { S: `branch:version:${VERSION}0` } }, /its version is not a UUID$/],
      [without(active, 'enc'), /its item holds no wrapped key$/],
      [{ ...active, enc: { S: 'text' } }, /its item holds no wrapped key$/],
      [{ ...active, enc: { B: new Uint8Array() } }, /its item holds no wrapped key$/],
      [{ ...active, tablename: { S: LOGICAL_NAME } }, /its item has an attribute "tablename"$/],
      [{ ...active, more: { L: [] } }, /the attribute "more" of its item has another type$/],
    ] as [Item, RegExp][]) {
      await withItem(active, changed, async () => {
        assert.match((await failureOf(active)).message, reason)
        assert.deepEqual(operations(shared.server), ['GetItem'])
      })
    }
    for (const item of [version, beacon]) {
      await withItem(item, { ...item, version: version['type']! }, async () => {
        assert.match((await failureOf(item)).message, /"version" of its item does not fit its type$/)
        assert.deepEqual(operations(shared.server), ['GetItem'])
      })
    }
  })

  it('refuses an item that is authentic, and another than the one asked for', async () => {
    const other = await store.createKey({ branchKeyId: 'other', encryptionContext: { department: 'admin' } })
    await store.versionKey(branchKeyId)
    const versions = (await shared.table.items(branchKeyId)).slice(2)
    const next = versions.find((item) => item['type']!.S !== version['type']!.S)!
    const { proxy } = shared.server
    // Whoever answers for DynamoDB gives what AWS KMS will decrypt.
    for (const [asked, given] of [
      [active, await shared.table.item(other, 'branch:ACTIVE')],
      [beacon, await shared.table.item(other, 'beacon:ACTIVE')],
      [version, next],
      [active, version],
      [version, await shared.table.item(branchKeyId, 'branch:ACTIVE')],
      [beacon, version],
    ] as const) {
      const failure = failureOf(asked)
      const Item = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, onTheWire(value)]))
      proxy.faults(({ operation }) => (operation === 'GetItem' ? (answer) => ({ ...answer, Item }) : undefined))
      const { message } = await failure
      assert.match(message, new RegExp(`its item is "${given['type']!.S!}" of "${given['branch-key-id']!.S!}"$`))
      assert.deepEqual(operations(shared.server), ['GetItem'])
    }
  })

  function onTheWire({ S, N, B }: Item[string]): object {
    return {
      ...(S !== undefined && { S }),
      ...(N !== undefined && { N }),
      ...(B && { B: Buffer.from(B).toString('base64') }),
    }
  }

  it('refuses an item that was copied to another place', async () => {
    const place = { S: OTHER }
    for (const copy of [
      { ...version, type: place }, // as another version of the same
      { ...without(active, 'version'), type: place },
      { ...beacon, type: place },
    ]) {
      await shared.table.put(copy)
      assert.match((await failureOf(copy)).message, /InvalidCiphertextException/)
    }
    for (const copy of [version, active, beacon]) await shared.table.put({ ...copy, 'branch-key-id': { S: 'thief' } })
    for (const read of [
      store.getActiveBranchKey('thief'),
      store.getBeaconKey('thief'),
      store.getBranchKeyVersion('thief', version['type']!.S!.slice('branch:version:'.length)),
    ]) {
      assert.match((await unwrapErrorOf(read)).message, /InvalidCiphertextException/)
    }
    const promoted = { ...version, type: active['type']!, version: version['type']! }
    await withItem(active, promoted, async () => {
      assert.match((await failureOf(active)).message, /InvalidCiphertextException/) // an old version is not made active again
    })
  })

  it('refuses a hierarchy version that it does not know, authentic or not', async () => {
    const { behind, keys } = shared.server
    const item: Item = {
      'branch-key-id': { S: branchKeyId },
      type: { S: `branch:version:${VERSION}` },
      'create-time': { S: '2023-06-03T19:03:29.358000Z' },
      'kms-arn': { S: keys[0]! },
    }
    for (const hierarchyVersion of ['1', '2']) {
      const EncryptionContext = {
        ...Object.fromEntries(Object.entries(item).map(([name, { S }]) => [name, S!])),
        'hierarchy-version': hierarchyVersion,
        tablename: LOGICAL_NAME,
      }
      const { CiphertextBlob: B } = await clientAt(behind, 'us-east-1').send(
        new EncryptCommand({ KeyId: keys[0], Plaintext: Buffer.alloc(32, 7), EncryptionContext }),
      )
      await shared.table.put({ ...item, 'hierarchy-version': { N: hierarchyVersion }, enc: { B: B! } })
      const read = store.getBranchKeyVersion(branchKeyId, VERSION)
      if (hierarchyVersion === '1') await read
      else assert.match((await unwrapErrorOf(read)).message, /hierarchy version 2; only 1 is known/)
    }
  })

  it('does not read what belongs to a store of another logical name', async () => {
    const other = shared.table.store({ logicalKeyStoreName: 'another' })
    for (const read of [other.getActiveBranchKey(branchKeyId), other.getBeaconKey(branchKeyId)]) {
      assert.match((await unwrapErrorOf(read)).message, /InvalidCiphertextException/)
    }
    await assert.rejects(other.versionKey(branchKeyId), {
      code: 'ERR_ESDK_WRAP',
      message: /InvalidCiphertextException/,
    })
  })
})

/** Re-encrypted objects, as other SDKs see them: under the new key only, whoever wrote the old message. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { decrypt } from 'esdk-streams'
import { reencryptObject } from 'esdk-streams/s3'
import { sequence } from '../../arbitraries.ts'
import { esdk, temporaryFolder } from '../../cli/command.ts'
import { useS3Server } from '../../emulators/s3-setup.ts'
import { forEach } from '../../interop/each.ts'
import { JavaScriptPeer } from '../../interop/javascript-peer.ts'
import { keyringOf, policyOf } from '../../interop/ours.ts'
import type { AesPeerKey, Peer } from '../../interop/peer.ts'
import { preparedOrPending } from '../../interop/pending.ts'
import { startPythonPeer } from '../../interop/python-peer.ts'
import { KIB, PART_BYTES, PLAIN, hashOf } from './objects.ts'

const FULL = process.env['ESDK_FULL'] === '1'
const FRAME = 4 * KIB
const CONTEXT = { purpose: 'interop', é: '～' }

/** With frames of 4 KiB, and 64 KiB for the last. */
const SIZES = [0, 1, 3 * FRAME, PART_BYTES + 100 * KIB]
const OLD_SUITES = [0x0178, 0x0378, 0x0478, 0x0578]
const NEW_SUITES = [0x0478, 0x0578]

const old = keyNamed('old', 1)
const current = keyNamed('new', 2)
/** The name of the new key, and the bytes of the old one. */
const misnamed = keyNamed('new', 1)

interface Case {
  readonly writer: Peer
  readonly suite: number
  readonly size: number
  readonly to: number
  readonly key: string
}

function keyNamed(keyName: string, first: number): AesPeerKey {
  return { algorithm: 'aes-256', keyNamespace: 'interop', keyName, wrappingKey: sequence(first, 32) }
}

function jwkOf({ keyNamespace: namespace, keyName: kid, wrappingKey }: AesPeerKey): string {
  return JSON.stringify({ kty: 'oct', kid, namespace, k: wrappingKey.toString('base64url') })
}

describe('adapters/s3, re-encryption, and other SDKs', function () {
  this.timeout(120_000)
  const shared = useS3Server('versitygw')
  const folder = temporaryFolder()
  const peers: Peer[] = [new JavaScriptPeer()]
  let keys = 0

  before(async function () {
    this.timeout(600_000)
    peers.push(await preparedOrPending(this, startPythonPeer))
  })

  after(() => Promise.all(peers.map((peer) => peer.close())))

  afterEach(async () => {
    assert.deepEqual(await shared.server.multipartUploads(), [])
  })

  /** Each size and each suite by each writer, into one suite; with `ESDK_FULL=1`, each size of each suite. */
  function casesIn(prefix: string, to: number): Case[] {
    return peers.flatMap((writer, turn) =>
      OLD_SUITES.flatMap((suite, index) => {
        const sizes = FULL ? SIZES : [SIZES[(index + turn) % SIZES.length]!]
        return sizes.map((size) => ({ writer, suite, size, to, key: `${prefix}/${++keys}` }))
      }),
    )
  }

  const show = ({ writer, suite, size, to }: Case): string =>
    `${writer.name}: ${suite.toString(16)} → ${to.toString(16)}, ${size} bytes`

  async function store({ writer, suite, size, key }: Case): Promise<void> {
    const frameLength = size > PART_BYTES ? 64 * KIB : FRAME
    const message = { suite, keys: [old], data: PLAIN.subarray(0, size), frameLength, encryptionContext: CONTEXT }
    const Body = await writer.encrypt(message)
    await shared.server.direct.send(new PutObjectCommand({ Bucket: shared.server.bucket, Key: key, Body }))
  }

  async function assertNewKeyOnly({ size, to: suite, key }: Case): Promise<void> {
    const data = await shared.server.objectBytes(key)
    assert.equal(data.readUInt16BE(1), suite)
    for (const peer of peers) {
      const { plaintext, encryptionContext } = await peer.decrypt({ suite, keys: [current], data })
      assert.equal(hashOf(plaintext), hashOf(PLAIN.subarray(0, size)), peer.name)
      const pairs = Object.entries(encryptionContext).filter(([name]) => !name.startsWith('aws-crypto-'))
      assert.deepEqual(Object.fromEntries(pairs), CONTEXT)
      for (const wrong of [old, misnamed]) await assert.rejects(peer.decrypt({ suite, keys: [wrong], data }), peer.name)
    }
    for (const wrong of [old, misnamed]) {
      await assert.rejects(decrypt(data, { keyring: keyringOf(wrong) }), { code: 'ERR_ESDK_UNWRAP' })
    }
    const { plaintext } = await decrypt(data, { keyring: keyringOf(current) })
    assert.equal(hashOf(plaintext), hashOf(PLAIN.subarray(0, size)))
  }

  it('by reencryptObject', async () => {
    const cases = NEW_SUITES.flatMap((to) => casesIn('library', to))
    await forEach(cases, 4, show, async (each) => {
      await store(each)
      await reencryptObject({
        client: shared.server.client,
        params: { Bucket: shared.server.bucket, Key: each.key },
        from: { keyring: keyringOf(old), commitmentPolicy: policyOf(each.suite) },
        to: { keyring: keyringOf(current), algorithmSuite: each.to },
        partBytes: PART_BYTES,
      })
      await assertNewKeyOnly(each)
    })
  })

  it('by esdk reencrypt, of a whole prefix and of one object', async () => {
    await writeFile(folder.of('old.jwk'), jwkOf(old))
    await writeFile(folder.of('new.jwk'), jwkOf(current))
    const { bucket, environment: env } = shared.server
    const run = async (...args: string[]): Promise<void> => {
      const policy = ['--commitment-policy', 'require-encrypt-allow-decrypt', '--part-size', String(PART_BYTES)]
      const keyArgs = ['--key', 'old.jwk', '--to-key', 'new.jwk']
      const { code, stderr } = await esdk(folder.path, ['reencrypt', ...args, ...keyArgs, ...policy], { env })
      assert.deepEqual([stderr, code], ['', 0])
    }
    const many = casesIn('command', 0x0478)
    const one = { ...casesIn('alone', 0x0578)[0]!, suite: 0x0378, size: SIZES.at(-1)! }
    await forEach([...many, one], 4, show, store)
    await run('-r', `s3://${bucket}/command/`, '--suite', '0x0478')
    await run(`s3://${bucket}/${one.key}`)
    await forEach([...many, one], 4, show, assertNewKeyOnly)
  })
})

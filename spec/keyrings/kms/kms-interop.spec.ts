/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- the peer's classes are not what their types say */
// Messages of the AWS Encryption SDK for JavaScript on the same server, both ways: discovery, aliases, unsigned suites, and
// multi-Region keys (of the proxy's making, as in kms-discovery-keyring.spec.ts).
import assert from 'node:assert/strict'
import {
  AwsKmsMrkAwareSymmetricDiscoveryKeyringNode,
  AwsKmsMrkAwareSymmetricKeyringNode,
  CommitmentPolicy,
  KmsKeyringNode,
  type KeyringNode,
  buildClient,
} from '@aws-crypto/client-node'
import { KMS } from '@aws-sdk/client-kms'
import { type Keyring, decrypt, encrypt } from 'esdk-streams'
import { KmsDiscoveryKeyring, KmsKeyring, KmsMrkDiscoveryKeyring, KmsMrkKeyring } from 'esdk-streams/kms'
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { ACCOUNT, useKmsServer } from './setup.ts'

const encryptionContext = { purpose: 'interop', ключ: 'значение' }
const peer = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)

describe('keyrings/kms, with the AWS Encryption SDK for JavaScript', () => {
  const kms = useKmsServer()

  function peerClient(region: string): never {
    const credentials = { accessKeyId: 'spec', secretAccessKey: 'spec' }
    return new KMS({ endpoint: kms.server.endpoint, region, credentials }) as never // it has its own copy of the types
  }

  async function reads(theirs: KeyringNode, ours: Keyring): Promise<void> {
    const { ciphertext } = await encrypt('ours', { keyring: ours, encryptionContext })
    const opened = await peer.decrypt(theirs, ciphertext)
    assert.equal(opened.plaintext.toString(), 'ours')
    assert.equal(opened.messageHeader.encryptionContext['ключ'], 'значение')
  }

  async function writes(theirs: KeyringNode, ours: Keyring): Promise<void> {
    const { result } = await peer.encrypt(theirs, 'theirs', { encryptionContext })
    const opened = await decrypt(result, { keyring: ours, encryptionContext })
    assert.equal(opened.plaintext.toString(), 'theirs')
  }

  it('its strict keyring, with an alias', async () => {
    const { aliases, keys, clientProvider } = kms.server
    const strict = new KmsKeyringNode({ generatorKeyId: aliases[0]!, keyIds: [keys[1]!], clientProvider: peerClient })
    for (const key of keys.slice(0, 2)) await writes(strict, new KmsKeyring({ keyIds: [key], clientProvider }))
    await reads(strict, new KmsKeyring({ generatorKeyId: aliases[1]!, clientProvider }))
  })

  it('its discovery keyring', async () => {
    const { keys, clientProvider } = kms.server
    const discovery = new KmsKeyringNode({
      discovery: true,
      discoveryFilter: { partition: 'aws', accountIDs: [ACCOUNT] },
      clientProvider: peerClient,
    })
    await reads(discovery, new KmsKeyring({ generatorKeyId: keys[2]!, clientProvider }))
    const strict = new KmsKeyringNode({ generatorKeyId: keys[2]!, clientProvider: peerClient })
    await writes(strict, new KmsDiscoveryKeyring({ clientProvider, regions: ['us-west-2'] }))
  })

  it('its keyrings of multi-Region keys', async () => {
    const { keys, clientProvider, proxy } = kms.server
    const id = keys[0]!.split('/')[1]!
    const [east, west] = ['us-east-1', 'us-west-1'].map((region) => `arn:aws:kms:${region}:${ACCOUNT}:key/mrk-${id}`)
    proxy.faults(({ body }: Asked): Fault | undefined => {
      if (body['KeyId'] !== east && body['KeyId'] !== west) return undefined
      return {
        region: 'us-east-1',
        ask: (sent) => ({ ...sent, KeyId: keys[0]! }),
        answer: (given) => ({ ...given, KeyId: body['KeyId'] }),
      }
    })
    const theirs = new AwsKmsMrkAwareSymmetricKeyringNode({ client: peerClient('us-west-1'), keyId: west! })
    await reads(theirs, new KmsMrkKeyring({ generatorKeyId: east!, clientProvider }))
    await writes(theirs, new KmsMrkKeyring({ generatorKeyId: east!, clientProvider }))
    await writes(theirs, new KmsMrkDiscoveryKeyring({ region: 'us-east-1', clientProvider }))
    const discovery = new AwsKmsMrkAwareSymmetricDiscoveryKeyringNode({ client: peerClient('us-west-1') })
    await reads(discovery, new KmsMrkKeyring({ generatorKeyId: east!, clientProvider }))
  })
})

/** The AWS Encryption SDK for Python, in a process of its own that answers JSON lines. See python-peer.py. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { JsonLinesChild } from './json-lines-child.ts'
import type { DiscoveryFilter, Peer, PeerDecrypted, PeerKey, PeerMessage, PeerPlaintext } from './peer.ts'
import { pythonEnvironment } from './python-environment.ts'

/** A provider of master keys of AWS KMS, as python-peer.py makes it. */
export type PythonKmsKeys =
  | { readonly type: 'kms' | 'kms-mrk'; readonly keyIds: readonly string[] }
  | ({ readonly type: 'kms-discovery' } & DiscoveryFilter)
  | ({ readonly type: 'kms-mrk-discovery'; readonly region: string } & DiscoveryFilter)

/** The interpreter that has the AWS Encryption SDK for Python. @throws UnavailableError where it can't be had. */
export function pythonSdk(): Promise<string> {
  return pythonEnvironment({
    what: 'the Python peer',
    folder: 'python',
    requirements: new URL('requirements.txt', import.meta.url),
    minimumMinor: 8,
  })
}

/**
 * Starts the peer; the first time, installs it into `.cache/python` of the checkout.
 *
 * @param environment added to this process's own, such as `AWS_ENDPOINT_URL` and credentials for it
 * @throws UnavailableError where there is no Python ≥ 3.8 or the packages can't be installed.
 */
export async function startPythonPeer(environment: Readonly<Record<string, string>> = {}): Promise<Peer<PythonKey>> {
  const python = await pythonSdk()
  const script = fileURLToPath(new URL('python-peer.py', import.meta.url))
  const env = { ...process.env, ...environment }
  const child = spawn(python, ['-B', '-u', script], { stdio: 'pipe', env })
  return new PythonPeer(new JsonLinesChild('the Python peer', child))
}

type PythonKey = PeerKey | PythonKmsKeys

class PythonPeer implements Peer<PythonKey> {
  readonly name = 'Python'
  readonly #child: JsonLinesChild

  constructor(child: JsonLinesChild) {
    this.#child = child
  }

  async encrypt({ frameLength, encryptionContext, ...message }: PeerPlaintext<PythonKey>): Promise<Buffer> {
    const { data } = await this.#child.ask('encrypt', { ...wire(message), frameLength, encryptionContext })
    return Buffer.from(data ?? '', 'base64')
  }

  async decrypt(message: PeerMessage<PythonKey>): Promise<PeerDecrypted> {
    const { data, encryptionContext } = await this.#child.ask('decrypt', wire(message))
    return { plaintext: Buffer.from(data ?? '', 'base64'), encryptionContext: encryptionContext ?? {} }
  }

  async close(): Promise<void> {
    await this.#child.close()
  }
}

function wire({ suite, keys, data }: PeerMessage<PythonKey>): object {
  return { suite, keys: keys.map(wireKey), data: data.toString('base64') }
}

function wireKey(key: PythonKey): object {
  if ('type' in key) return key
  const { keyNamespace, keyName, algorithm } = key
  const material = 'wrappingKey' in key ? key.wrappingKey.toString('base64') : key.privateKey
  return { keyNamespace, keyName, algorithm, material }
}

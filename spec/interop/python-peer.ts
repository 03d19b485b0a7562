/** The AWS Encryption SDK for Python, in a process of its own that answers JSON lines. See python-peer.py. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { JsonLinesChild } from './json-lines-child.ts'
import type { Peer, PeerDecrypted, PeerKey, PeerMessage, PeerPlaintext } from './peer.ts'
import { pythonEnvironment } from './python-environment.ts'

/**
 * Starts the peer; the first time, installs it into `.cache/python` of the checkout.
 *
 * @throws UnavailableError where there is no Python ≥ 3.8 or the packages can't be installed.
 */
export async function startPythonPeer(): Promise<Peer> {
  const python = await pythonEnvironment({
    what: 'the Python peer',
    folder: 'python',
    requirements: new URL('requirements.txt', import.meta.url),
    minimumMinor: 8,
  })
  const script = fileURLToPath(new URL('python-peer.py', import.meta.url))
  return new PythonPeer(new JsonLinesChild('the Python peer', spawn(python, ['-u', script], { stdio: 'pipe' })))
}

class PythonPeer implements Peer {
  readonly name = 'Python'
  readonly #child: JsonLinesChild

  constructor(child: JsonLinesChild) {
    this.#child = child
  }

  async encrypt({ frameLength, encryptionContext, ...message }: PeerPlaintext): Promise<Buffer> {
    const { data } = await this.#child.ask('encrypt', { ...wire(message), frameLength, encryptionContext })
    return Buffer.from(data ?? '', 'base64')
  }

  async decrypt(message: PeerMessage): Promise<PeerDecrypted> {
    const { data, encryptionContext } = await this.#child.ask('decrypt', wire(message))
    return { plaintext: Buffer.from(data ?? '', 'base64'), encryptionContext: encryptionContext ?? {} }
  }

  async close(): Promise<void> {
    await this.#child.close()
  }
}

function wire({ suite, keys, data }: PeerMessage): object {
  return { suite, keys: keys.map(wireKey), data: data.toString('base64') }
}

function wireKey(key: PeerKey): object {
  const { keyNamespace, keyName, algorithm } = key
  const material = 'wrappingKey' in key ? key.wrappingKey.toString('base64') : key.privateKey
  return { keyNamespace, keyName, algorithm, material }
}

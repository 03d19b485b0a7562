/** The AWS Encryption SDK for Java, in a process of its own that answers JSON lines. See java-peer/JavaPeer.java. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from './cached-folder.ts'
import { JsonLinesChild } from './json-lines-child.ts'
import { type MplKeyring, rawMplKeyring } from './mpl-peer.ts'
import type { DiscoveryFilter, Peer, PeerDecrypted, PeerKey, PeerMessage, PeerPlaintext, RsaPeerKey } from './peer.ts'
import { UnavailableError } from './pending.ts'

const run = promisify(execFile)

const MINIMUM_JAVA = 17
const BUILD_TIMEOUT_MS = 240_000
const sources = fileURLToPath(new URL('java-peer/', import.meta.url))

interface KeyName {
  readonly keyNamespace: string
  readonly keyName: string
}

/** Master keys and their providers, as JavaPeer.java makes them. With key ids, a provider is strict. */
export type JavaMasterKeys =
  | ({ readonly type: 'jce-aes'; readonly wrappingKey: string } & KeyName)
  | ({ readonly type: 'jce-rsa'; readonly transformation: string } & Pick<RsaPeerKey, 'publicKey' | 'privateKey'> &
      KeyName)
  | { readonly type: 'kms-provider' | 'kms-mrk-provider'; readonly keyIds: readonly string[] }
  | ({ readonly type: 'kms-provider' } & DiscoveryFilter)
  | ({ readonly type: 'kms-mrk-provider'; readonly region: string } & DiscoveryFilter)
  | { readonly type: 'providers'; readonly providers: readonly JavaMasterKeys[] }

/** A message to read, under master keys or under a keyring of the library. */
export interface JavaMessage {
  readonly suite: number
  readonly keys: JavaMasterKeys | MplKeyring
  readonly data: Buffer
}

/** A message to write; a frame length of 0 means non-framed. */
export interface JavaPlaintext extends JavaMessage {
  readonly frameLength: number
  readonly encryptionContext: Readonly<Record<string, string>>
}

/**
 * The class path of the peer and the SDK; the first time, builds them into `.cache/java` of the checkout.
 *
 * @throws UnavailableError where there is no JDK or Maven, or it can't be built.
 */
export async function javaClassPath(): Promise<string> {
  const version = await jdkVersion()
  const parts = await Promise.all(['pom.xml', 'JavaPeer.java'].map((name) => readFile(`${sources}${name}`)))
  const stamp = createHash('sha256').update(version).update(Buffer.concat(parts)).digest('hex')
  try {
    const folder = await cachedFolder({ name: 'java', stamp, proof: 'classes/JavaPeer.class', make: build })
    return [`${folder}/classes`, `${folder}/dependency/*`].join(delimiter)
  } catch (error) {
    throw new UnavailableError(`the Java peer could not be built: ${lastLine(error)}`)
  }
}

/**
 * Starts the peer.
 *
 * @param environment added to this process's own, such as `AWS_ENDPOINT_URL` and credentials for it
 * @throws UnavailableError as {@link javaClassPath} does
 */
export async function startJavaPeer(environment: Readonly<Record<string, string>> = {}): Promise<JavaPeer> {
  const classPath = await javaClassPath()
  const env = { ...process.env, ...environment }
  const java = spawn('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, 'JavaPeer'], { stdio: 'pipe', env })
  return new JavaPeer(new JsonLinesChild('the Java peer', java))
}

/** It may be missing in continuous integration too. */
async function jdkVersion(): Promise<string> {
  for (const [program, argument] of [
    ['javac', '--version'],
    ['mvn', '--version'],
  ] as const) {
    await run(program, [argument]).catch((error: unknown) => {
      const what = `the Java peer needs a JDK and Maven: "${program} ${argument}" failed: ${lastLine(error)}`
      throw new UnavailableError(what, { optional: true })
    })
  }
  const { stdout } = await run('javac', ['--version'])
  const version = Number(/\d+/.exec(stdout)?.[0])
  if (version >= MINIMUM_JAVA) return stdout
  throw new UnavailableError(`the Java peer needs a JDK ${MINIMUM_JAVA} or later, and this is ${stdout.trim()}`, {
    optional: true,
  })
}

async function build(folder: string): Promise<void> {
  const settings = [
    '--quiet',
    '--batch-mode',
    '-Dstyle.color=never',
    '--file',
    `${sources}pom.xml`,
    `-Dfolder=${folder}`,
  ]
  try {
    await run('mvn', [...settings, 'compile', 'dependency:copy-dependencies'], { timeout: BUILD_TIMEOUT_MS })
  } catch (error) {
    // Maven says on stdout what is wrong, among much else.
    const lines = error instanceof Error && 'stdout' in error ? String(error.stdout).split('\n') : []
    const line = lines.find((text) => /ERROR.*(\.java:|Failed to execute|Could not)/.test(text))
    throw new Error(line ?? lastLine(error), { cause: error })
  }
}

export class JavaPeer {
  readonly #child: JsonLinesChild

  constructor(child: JsonLinesChild) {
    this.#child = child
  }

  async encrypt(plaintext: JavaPlaintext): Promise<Buffer> {
    return (await this.#message('encrypt', plaintext)).plaintext
  }

  async decrypt(message: JavaMessage): Promise<PeerDecrypted> {
    return await this.#message('decrypt', message)
  }

  async #message(operation: string, message: JavaMessage): Promise<PeerDecrypted> {
    const answer = await this.#child.ask(operation, { ...message, data: message.data.toString('base64') })
    return { plaintext: Buffer.from(answer.data ?? '', 'base64'), encryptionContext: answer.encryptionContext ?? {} }
  }

  async close(): Promise<void> {
    await this.#child.close()
  }
}

const TRANSFORMATIONS = {
  'rsa-pkcs1': 'RSA/ECB/PKCS1Padding',
  'rsa-oaep-sha1': 'RSA/ECB/OAEPWithSHA-1AndMGF1Padding',
  'rsa-oaep-sha256': 'RSA/ECB/OAEPWithSHA-256AndMGF1Padding',
  'rsa-oaep-sha384': 'RSA/ECB/OAEPWithSHA-384AndMGF1Padding',
  'rsa-oaep-sha512': 'RSA/ECB/OAEPWithSHA-512AndMGF1Padding',
} as const

/** The master key of a key. */
export function jceMasterKey(key: PeerKey): JavaMasterKeys {
  const { keyNamespace, keyName } = key
  const name = { keyNamespace, keyName }
  if ('wrappingKey' in key) return { type: 'jce-aes', ...name, wrappingKey: key.wrappingKey.toString('base64') }
  const { publicKey, privateKey } = key
  return { type: 'jce-rsa', ...name, publicKey, privateKey, transformation: TRANSFORMATIONS[key.algorithm] }
}

/** Keys of one's own as a master key, or as master keys of which the first generates. */
export function jceMasterKeys(keys: readonly PeerKey[]): JavaMasterKeys {
  const [first, ...others] = keys.map(jceMasterKey)
  if (first === undefined) throw new RangeError('no key')
  return others.length === 0 ? first : { type: 'providers', providers: [first, ...others] }
}

/** Keys of one's own as a raw keyring, or in a multi-keyring. */
export function rawKeyrings(keys: readonly PeerKey[]): MplKeyring {
  const [generator, ...children] = keys.map(rawMplKeyring)
  if (generator === undefined) throw new RangeError('no key')
  return children.length === 0 ? generator : { type: 'multi', generator, children }
}

type KeysOf = (keys: readonly PeerKey[]) => JavaMessage['keys']

/** The Java peer with keys of one's own. */
export class JavaRawKeysPeer implements Peer {
  readonly name = 'Java'
  readonly #peer: JavaPeer
  readonly #keysOf: KeysOf

  constructor(peer: JavaPeer, keysOf: KeysOf) {
    this.#peer = peer
    this.#keysOf = keysOf
  }

  async encrypt(plaintext: PeerPlaintext): Promise<Buffer> {
    return await this.#peer.encrypt({ ...plaintext, keys: this.#keysOf(plaintext.keys) })
  }

  async decrypt(message: PeerMessage): Promise<PeerDecrypted> {
    return await this.#peer.decrypt({ ...message, keys: this.#keysOf(message.keys) })
  }

  async close(): Promise<void> {
    await this.#peer.close()
  }
}

/**
 * A library for Node, timing itself: one JSON request a line on stdin, one JSON answer a line on stdout. What it is asked
 * is in bench/support/peer-process.ts; the argument is the library.
 */
import { Buffer } from 'node:buffer'
import { readFile, writeFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { createInterface } from 'node:readline'

const FIRST_COMMITTING = 0x0400

async function esdkStreams({ suite, frameLength, keyNamespace, keyName, wrappingKey }) {
  const { RawAesKeyring, decrypt, encrypt } = await import('esdk-streams')
  const keyring = new RawAesKeyring({ keyNamespace, keyName, wrappingKey })
  const committing = suite >= FIRST_COMMITTING
  const commitmentPolicy = committing ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt'
  const options = { keyring, algorithmSuite: suite, frameLength, commitmentPolicy }
  return {
    encrypt: async (plaintext) => (await encrypt(plaintext, options)).ciphertext,
    decrypt: async (message) => (await decrypt(message, { keyring, commitmentPolicy })).plaintext,
  }
}

async function clientNode({ suite, frameLength, keyNamespace, keyName, wrappingKey }) {
  const { CommitmentPolicy, RawAesKeyringNode, RawAesWrappingSuiteIdentifier, buildClient } =
    await import('@aws-crypto/client-node')
  const keyring = new RawAesKeyringNode({
    keyNamespace,
    keyName,
    unencryptedMasterKey: new Uint8Array(wrappingKey),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
  const committing = suite >= FIRST_COMMITTING
  const { REQUIRE_ENCRYPT_REQUIRE_DECRYPT, FORBID_ENCRYPT_ALLOW_DECRYPT } = CommitmentPolicy
  const client = buildClient(committing ? REQUIRE_ENCRYPT_REQUIRE_DECRYPT : FORBID_ENCRYPT_ALLOW_DECRYPT)
  return {
    encrypt: async (plaintext) => (await client.encrypt(keyring, plaintext, { suiteId: suite, frameLength })).result,
    decrypt: async (message) => (await client.decrypt(keyring, message)).plaintext,
  }
}

const make = { 'esdk-streams': esdkStreams, 'client-node': clientNode }[process.argv[2]]
let library
let plaintext
let message

async function prepare(request) {
  library = await make({ ...request, wrappingKey: Buffer.from(request.wrappingKey, 'base64') })
  plaintext = await readFile(request.plaintext)
  message = await library.encrypt(plaintext)
  await writeFile(request.write, message)
  const read = await readFile(request.read)
  if (!(await library.decrypt(read)).equals(plaintext)) throw new Error('another plaintext')
  return {}
}

async function answer(request) {
  if (request.operation === 'prepare') return await prepare(request)
  const start = performance.now()
  const output = request.operation === 'encrypt' ? await library.encrypt(plaintext) : await library.decrypt(message)
  const seconds = (performance.now() - start) / 1000
  if (output.length < plaintext.length) throw new Error('too short')
  return { seconds }
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  const reply = await answer(request).catch((error) => ({ error: String(error) }))
  process.stdout.write(`${JSON.stringify({ ...reply, id: request.id })}\n`)
}

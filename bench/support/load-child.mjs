/** Encrypts when it is told to, as a process or as a worker thread: `{ bytes }` in, how many came out back. */
import { Buffer } from 'node:buffer'
import process from 'node:process'
import { parentPort } from 'node:worker_threads'
import { EncryptStream, RawAesKeyring } from 'esdk-streams'
import { chunksOf, timeThrough } from './memory-streams.mjs'

const UNSIGNED = 0x0478
const keyring = new RawAesKeyring({ keyNamespace: 'bench', keyName: 'key', wrappingKey: Buffer.alloc(32, 'key') })
const block = Buffer.alloc(1024 * 1024, 'esdk')
const port = parentPort ?? process
const answer = (message) => (parentPort === null ? process.send(message) : parentPort.postMessage(message))

port.on('message', async ({ bytes }) => {
  const encryptor = new EncryptStream({ keyring, algorithmSuite: UNSIGNED })
  answer((await timeThrough(chunksOf(block, bytes), encryptor)).length)
})

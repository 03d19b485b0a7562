/**
 * Several streams at once, in a process whose memory and event loop are its own: `encrypt|decrypt|copy|idle STREAMS BYTES
 * SUITE [FILE]`, and a raw AES key in hex as BENCH_KEY. To decrypt, FILE is a message of so many bytes of plaintext.
 * Says in JSON the delays of the event loop in ms, the most memory that the process had in MiB, and seconds.
 */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import process from 'node:process'
import { setTimeout as wait } from 'node:timers/promises'
import { DecryptStream, EncryptStream, RawAesKeyring } from 'esdk-streams'
import { chunksOf, copying, timeThrough } from './memory-streams.mjs'

const SETTLING_MS = 50
const IDLE_MS = 500
const BLOCK_BYTES = 1024 * 1024

const [mode, streams, length, suite, file] = process.argv.slice(2)
const bytes = Number(length)
const block = Buffer.alloc(Math.min(BLOCK_BYTES, bytes), 'esdk')
const wrappingKey = Buffer.from(process.env['BENCH_KEY'], 'hex')
const keyring = new RawAesKeyring({ keyNamespace: 'bench', keyName: 'key', wrappingKey })
const source = () => (mode === 'decrypt' ? createReadStream(file) : chunksOf(block, bytes))
const stream = {
  encrypt: () => new EncryptStream({ keyring, algorithmSuite: Number(suite) }),
  decrypt: () => new DecryptStream({ keyring }),
  copy: copying,
}[mode]

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
await wait(SETTLING_MS)
const start = performance.now()
const count = mode === 'idle' ? 0 : Number(streams)
const passes = await Promise.all(Array.from({ length: count }, () => timeThrough(source(), stream())))
if (mode === 'idle') await wait(IDLE_MS)
const seconds = (performance.now() - start) / 1000
await wait(SETTLING_MS)
delay.disable()
for (const pass of passes) assert.ok(mode === 'encrypt' ? pass.length > bytes : pass.length === bytes)
const milliseconds = { longest: delay.max / 1e6, p99: delay.percentile(99) / 1e6 }
process.stdout.write(JSON.stringify({ ...milliseconds, seconds, peakMiB: process.resourceUsage().maxRSS / 1024 }))

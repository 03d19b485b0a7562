/**
 * One file into another, in a process whose memory is its own: `encrypt|decrypt FROM TO`, and a raw AES key in hex as
 * BENCH_KEY. Says in JSON how many seconds it took, and the most memory that the process had, in MiB.
 */
import { Buffer } from 'node:buffer'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { RawAesKeyring } from 'esdk-streams'
import { decryptFile, encryptFile } from 'esdk-streams/file'

const [direction, from, to] = process.argv.slice(2)
const wrappingKey = Buffer.from(process.env['BENCH_KEY'], 'hex')
const keyring = new RawAesKeyring({ keyNamespace: 'bench', keyName: 'key', wrappingKey })
const start = performance.now()
if (direction === 'encrypt') await encryptFile(from, to, { keyring, algorithmSuite: 0x0478, frameLength: 65536 })
else await decryptFile(from, to, { keyring })
const seconds = (performance.now() - start) / 1000
process.stdout.write(JSON.stringify({ seconds, peakMiB: process.resourceUsage().maxRSS / 1024 }))

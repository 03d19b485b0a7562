/**
 * The main job, end to end, on a key made for the occasion: no AWS, no setup. Writes a file of random bytes into a
 * temporary folder, encrypts it, decrypts it, compares the two, and says how fast that was.
 *
 * Run: `npm run demo`. Exit code 1 where the files differ.
 */
import { randomBytes, randomFillSync } from 'node:crypto'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SingleBar } from 'cli-progress'
import { RawAesKeyring } from 'esdk-streams'
import { type FileResult, decryptFile, encryptFile } from 'esdk-streams/file'

const MIB = 1024 * 1024
const FILE_BYTES = 256 * MIB

type OnProgress = (stats: { readonly bytesIn: number }) => void

async function demo(folder: string, signal: AbortSignal): Promise<boolean> {
  const [plain, encrypted, back] = ['plain', 'plain.encrypted', 'plain.back'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ] // as many as names
  console.log(`esdk-streams on Node ${process.versions.node}: ${FILE_BYTES / MIB} MiB of random bytes in ${folder}`)
  await writeRandomFile(plain)

  const keyring = new RawAesKeyring({ keyNamespace: 'demo', keyName: 'made just now', wrappingKey: randomBytes(32) })
  const encryptionContext = { purpose: 'demo' }
  const encryption = await timed('encrypt', FILE_BYTES, (onProgress) =>
    encryptFile(plain, encrypted, { keyring, encryptionContext, signal, onProgress }),
  )
  const decryption = await timed('decrypt', (await stat(encrypted)).size, (onProgress) =>
    decryptFile(encrypted, back, { keyring, encryptionContext, signal, onProgress }),
  )

  const { suite, frameLength } = decryption.header
  console.log(`suite    ${suite.name}, ${decryption.stats.frames} frames of ${frameLength} bytes`)
  console.log(
    `sizes    ${encryption.stats.bytesIn} -> ${encryption.stats.bytesOut} -> ${decryption.stats.bytesOut} bytes`,
  )
  const identical = await sameBytes(plain, back)
  console.log(identical ? 'the files are identical' : 'THE FILES DIFFER')
  return identical
}

async function timed(
  verb: string,
  total: number,
  work: (onProgress: OnProgress) => Promise<FileResult>,
): Promise<FileResult> {
  const bar = new SingleBar({
    format: `${verb}  {bar} {percentage}%`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    gracefulExit: false,
  })
  bar.start(total, 0)
  const start = performance.now()
  try {
    const result = await work(({ bytesIn }) => {
      bar.update(bytesIn)
    })
    const seconds = (performance.now() - start) / 1000
    bar.stop()
    console.log(
      `${verb}  ${seconds.toFixed(2)} s, ${Math.round(FILE_BYTES / MIB / seconds)} MiB/s, written and synced to disk`,
    )
    return result
  } finally {
    bar.stop()
  }
}

async function writeRandomFile(path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    const block = Buffer.alloc(4 * MIB)
    for (let written = 0; written < FILE_BYTES; written += block.length) await file.writeFile(randomFillSync(block))
    await file.sync()
  } finally {
    await file.close()
  }
}

async function sameBytes(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([open(one), open(other)])
  try {
    const [blockA, blockB] = [Buffer.alloc(4 * MIB), Buffer.alloc(4 * MIB)]
    if ((await a.stat()).size !== (await b.stat()).size) return false
    for (let position = 0; ; position += blockA.length) {
      const [readA, readB] = await Promise.all([
        a.read(blockA, 0, blockA.length, position),
        b.read(blockB, 0, blockB.length, position),
      ])
      if (readA.bytesRead !== readB.bytesRead) return false
      if (readA.bytesRead === 0) return true
      if (!blockA.subarray(0, readA.bytesRead).equals(blockB.subarray(0, readA.bytesRead))) return false
    }
  } finally {
    await Promise.all([a.close(), b.close()])
  }
}

const controller = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => {
    controller.abort()
  })
const folder = await mkdtemp(join(tmpdir(), 'esdk-demo-'))
try {
  if (!(await demo(folder, controller.signal))) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true, force: true })
}

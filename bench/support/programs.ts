/** Programs that turn one file into another, and how long they take. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { fileOfPackage } from '../../spec/emulators/debian-packages.ts'
import type { Direction } from './contenders.ts'

const BLOCK_BYTES = 1024 * 1024

/** What a pass over a file took. */
export interface Pass {
  /** Of the work alone, where the program says so, or of the whole process. */
  readonly seconds: number
  readonly processSeconds: number
  readonly peakMiB?: number
}

/** Makes `to` from `from`. */
export type Program = (direction: Direction, from: string, to: string) => Promise<Pass>

/** `encryptFile` and `decryptFile`. */
export function ours(): Program {
  const script = fileURLToPath(new URL('file-child.mjs', import.meta.url))
  const env = { ...process.env, BENCH_KEY: randomBytes(32).toString('hex') }
  return async (...args) => {
    const start = performance.now()
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { env })
    const processSeconds = (performance.now() - start) / 1000
    return { processSeconds, ...(JSON.parse(stdout) as { seconds: number; peakMiB: number }) } // written by our script
  }
}

/** @throws UnavailableError where there is none, and none can be had. */
export async function age(folder: string): Promise<Program> {
  const installed = '/usr/bin/age'
  const path = existsSync(installed)
    ? installed
    : await fileOfPackage({ what: 'age', name: 'age', file: 'usr/bin/age' })
  const key = join(folder, 'age.key')
  await promisify(execFile)(join(dirname(path), 'age-keygen'), ['-o', key])
  return (direction, from, to) =>
    direction === 'encrypt'
      ? run(path, ['-e', '-i', key, '-o', to, from])
      : run(path, ['-d', '-i', key, '-o', to, from])
}

/** Not authenticated: a reference, and no peer. */
export function opensslCtr(): Program {
  const secrets = ['-K', randomBytes(32).toString('hex'), '-iv', randomBytes(16).toString('hex')]
  return (direction, from, to) => {
    const way = direction === 'encrypt' ? '-e' : '-d'
    return run('openssl', ['enc', way, '-aes-256-ctr', ...secrets, '-in', from, '-out', to])
  }
}

export const cp: Program = (_direction, from, to) => run('cp', [from, to])

export const cat: Program = async (_direction, from, to) => {
  const target = await open(to, 'w')
  try {
    return await run('cat', [from], target.fd)
  } finally {
    await target.close()
  }
}

async function run(program: string, args: readonly string[], stdout: number | 'ignore' = 'ignore'): Promise<Pass> {
  const start = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', stdout, 'inherit'] })
  const [code] = (await once(child, 'close')) as [number | null]
  const seconds = (performance.now() - start) / 1000
  assert.equal(code, 0, `${program} failed`)
  return { seconds, processSeconds: seconds }
}

/** @throws AssertionError where two files differ. */
export async function assertSameFile(path: string, other: string): Promise<void> {
  const files = await Promise.all([open(path), open(other)])
  try {
    const blocks = files.map(() => Buffer.alloc(BLOCK_BYTES))
    for (let position = 0; ; position += BLOCK_BYTES) {
      const [mine, its] = await Promise.all(
        files.map(async (file, at) => {
          const { bytesRead } = await file.read(blocks[at]!, 0, BLOCK_BYTES, position)
          return blocks[at]!.subarray(0, bytesRead)
        }),
      )
      assert.ok(mine!.equals(its!), `${other} differs`)
      if (mine!.length < BLOCK_BYTES) return
    }
  } finally {
    await Promise.all(files.map((file) => file.close()))
  }
}

/** Writes a file of random bytes. */
export async function randomFile(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let left = bytes; left > 0; left -= BLOCK_BYTES) await file.write(randomBytes(Math.min(left, BLOCK_BYTES)))
  } finally {
    await file.close()
  }
}

export async function removed(path: string): Promise<string> {
  await rm(path, { force: true })
  return path
}

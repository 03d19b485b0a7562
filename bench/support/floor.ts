/** Floors: what the same bytes take without a library, over OpenSSL in C (floor.c) and over node:crypto. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from '../../spec/interop/cached-folder.ts'
import { UnavailableError } from '../../spec/interop/pending.ts'
import type { Direction } from './contenders.ts'
import { timed } from './rounds.ts'

const NUMBER_BYTES = 4
const IV_BYTES = 12
const TAG_BYTES = 16
const OVERHEAD_BYTES = NUMBER_BYTES + IV_BYTES + TAG_BYTES
const AAD_BYTES = 72

const ADDON = 'floor.node'
const LINK = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared']

/** Seals all frames of a plaintext, or opens them into it; output memory is there already. */
type Loop = (key: Buffer, plaintext: Buffer, frames: Buffer, frameLength: number) => boolean
type Loops = Readonly<Record<'seal' | 'open', Loop>>

/** Bare loops over the frames of one plaintext, by turns into the same memory. */
export class FrameLoop {
  readonly #loops: Loops
  readonly #key = randomBytes(32)
  readonly #plaintext: Buffer
  readonly #opened: Buffer
  readonly #frames: Buffer
  readonly #frameLength: number

  constructor(loops: Loops, plaintext: Buffer, frameLength: number) {
    this.#loops = loops
    this.#frameLength = frameLength
    // Whole frames only: the last, shorter one would make no difference.
    this.#plaintext = plaintext.subarray(0, plaintext.length - (plaintext.length % frameLength))
    this.#opened = Buffer.alloc(this.#plaintext.length)
    this.#frames = Buffer.alloc((this.#plaintext.length / frameLength) * (frameLength + OVERHEAD_BYTES))
    this.time('encrypt')
    this.time('decrypt')
    assert.ok(this.#opened.equals(this.#plaintext), 'the floor opens what it sealed')
  }

  /** Seconds that all frames take. */
  time(direction: Direction): number {
    const [loop, plaintext] =
      direction === 'encrypt' ? [this.#loops.seal, this.#plaintext] : [this.#loops.open, this.#opened]
    return timed(() => {
      assert.ok(loop(this.#key, plaintext, this.#frames, this.#frameLength))
    })
  }
}

/** Compiled for this machine, once. @throws UnavailableError where there is no C compiler, or Node exports no OpenSSL. */
export async function opensslLoops(): Promise<Loops> {
  const source = fileURLToPath(new URL('floor.c', import.meta.url))
  const make = async (folder: string): Promise<void> => {
    await mkdir(folder)
    const [compiler, ...flags] = (process.env['CC'] ?? 'cc').split(' ').filter((word) => word !== '')
    const all = [...flags, '-std=c11', '-O2', '-fPIC', '-Wall', '-Wextra', source, ...LINK, '-o', `${folder}/${ADDON}`]
    await promisify(execFile)(compiler!, all)
  }
  try {
    const stamp = `${process.platform} ${process.arch}\n${await readFile(source, 'utf8')}`
    const folder = await cachedFolder({ name: 'bench-floor', stamp, proof: ADDON, make })
    return createRequire(import.meta.url)(`${folder}/${ADDON}`) as Loops // the addon's own functions
  } catch (error) {
    throw new UnavailableError(`the loop over OpenSSL in C: ${lastLine(error)}`)
  }
}

/** The same over node:crypto: a cipher a frame. */
export const nodeLoops: Loops = { seal: sealFrames, open: openFrames }

function sealFrames(key: Buffer, plaintext: Buffer, frames: Buffer, frameLength: number): boolean {
  const [secret, aad, iv] = [createSecretKey(key), Buffer.alloc(AAD_BYTES), Buffer.alloc(IV_BYTES)]
  for (let at = 0, to = 0, number = 1; at < plaintext.length; at += frameLength, number++) {
    iv.writeUInt32BE(number, IV_BYTES - NUMBER_BYTES)
    aad.writeUInt32BE(number, AAD_BYTES - NUMBER_BYTES)
    const cipher = createCipheriv('aes-256-gcm', secret, iv, { authTagLength: TAG_BYTES })
    cipher.setAAD(aad)
    to = frames.writeUInt32BE(number, to)
    to += iv.copy(frames, to)
    to += cipher.update(plaintext.subarray(at, at + frameLength)).copy(frames, to)
    cipher.final()
    to += cipher.getAuthTag().copy(frames, to)
  }
  return true
}

function openFrames(key: Buffer, plaintext: Buffer, frames: Buffer, frameLength: number): boolean {
  const [secret, aad] = [createSecretKey(key), Buffer.alloc(AAD_BYTES)]
  for (let at = 0, from = 0; at < plaintext.length; at += frameLength) {
    const start = from + NUMBER_BYTES + IV_BYTES
    const end = start + frameLength
    frames.copy(aad, AAD_BYTES - NUMBER_BYTES, from, from + NUMBER_BYTES)
    const iv = frames.subarray(from + NUMBER_BYTES, start)
    const decipher = createDecipheriv('aes-256-gcm', secret, iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(aad).setAuthTag(frames.subarray(end, end + TAG_BYTES))
    decipher.update(frames.subarray(start, end)).copy(plaintext, at)
    decipher.final()
    from = end + TAG_BYTES
  }
  return true
}

/** Seconds of the digest that a signature is made of. */
export function timeSha384(bytes: Buffer): number {
  return timed(() => {
    createHash('sha384').update(bytes).digest()
  })
}

/** Ends of a pipe in memory. Plain JavaScript, so that children whose memory is measured need no compiler. */
import { Readable, Transform, Writable } from 'node:stream'
import { performance } from 'node:perf_hooks'
import { pipeline } from 'node:stream/promises'
import { Buffer } from 'node:buffer'

/** The usual size of what files and sockets give. */
const CHUNK_BYTES = 64 * 1024

export function chunksOf(bytes, length = bytes.length) {
  let offset = 0
  return new Readable({
    highWaterMark: CHUNK_BYTES,
    read() {
      if (offset >= length) return void this.push(null)
      const start = offset % bytes.length
      const end = Math.min(start + CHUNK_BYTES, bytes.length, start + length - offset)
      offset += end - start
      this.push(bytes.subarray(start, end))
    },
  })
}

export function copying() {
  return new Transform({
    highWaterMark: CHUNK_BYTES,
    transform(chunk, _encoding, callback) {
      callback(null, Buffer.from(chunk))
    },
  })
}

export async function timeThrough(source, stream) {
  let length = 0
  const sink = new Writable({
    highWaterMark: CHUNK_BYTES,
    write(chunk, _encoding, callback) {
      length += chunk.length
      callback()
    },
  })
  const start = performance.now()
  await pipeline(source, stream, sink)
  return { seconds: (performance.now() - start) / 1000, length }
}
